"""A job and its copy on a worker: whether it may be handed on, what the copy looks like, what of its status comes back. Pure; wire form.

Source: Kueue pkg/controller/jobs/*/…multikueue_adapter.go, pkg/controller/jobframework/utils.go (SetMultiKueueMeta).
"""

from __future__ import annotations

import copy
from typing import Any, Final

from raysail.api.kueue import Workload
from raysail.api.kueue.admission import jobkinds
from raysail.api.kueue.admission.jobkinds import JobKind, set_at, value_at
from raysail.api.kueue.names import MULTIKUEUE_ORIGIN_LABEL, PREBUILT_WORKLOAD_NAME
from raysail.api.meta import OwnerReference
from raysail.queue.model.activity import MULTIKUEUE_CONTROLLER

Object = dict[str, Any]

KINDS: Final = tuple(
    kind
    for kind in (
        jobkinds.BATCH_JOB,
        jobkinds.RAY_JOB,
        jobkinds.RAY_CLUSTER,
        jobkinds.RAY_SERVICE,
        jobkinds.JOB_SET,
        jobkinds.MPI_JOB,
        jobkinds.TRAIN_JOB,
        jobkinds.APP_WRAPPER,
        *jobkinds.TRAINING_JOBS,
    )
)
"""The kinds that can be handed on: those with a managedBy."""

_JOB_LABELS: Final = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")


def owner_of(workload: Workload) -> OwnerReference | None:
    """The job that the Workload stands for."""
    owners = workload.metadata.owner_references or []
    return next((owner for owner in owners if owner.controller), owners[0] if owners else None)


def kind_of(owner: OwnerReference | None) -> JobKind | None:
    """How its kind is handed on; None where it cannot be."""
    if owner is None:
        return None
    return next((kind for kind in KINDS if (kind.resource.api_version, kind.resource.kind) == (owner.api_version, owner.kind)), None)


def why_unmanaged(job: Object, kind: JobKind) -> str:
    """Why the job must not be handed on: its own controller would run it here as well. Empty: it may be."""
    manager = value_at(job, kind.managed_by) or ""
    if manager == MULTIKUEUE_CONTROLLER:
        return ""
    return f'Expecting {".".join(kind.managed_by)} to be "{MULTIKUEUE_CONTROLLER}" not "{manager}"'


def copy_of(job: Object, kind: JobKind, workload: str, origin: str) -> Object:
    """The job as it is created on a worker: suspended, for the Workload that is there, run by the kind's own controller."""
    meta = job["metadata"]
    made: Object = {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "labels": {**(meta.get("labels") or {}), MULTIKUEUE_ORIGIN_LABEL: origin, PREBUILT_WORKLOAD_NAME: workload},
            "annotations": dict(meta.get("annotations") or {}),
        },
        "spec": copy.deepcopy(job.get("spec") or {}),
    }
    owner: Any = made
    for key in kind.managed_by[:-1]:
        owner = owner.get(key) or {}
    owner.pop(kind.managed_by[-1], None)
    if kind.suspend:
        set_at(made, kind.suspend, True)
    if kind is jobkinds.BATCH_JOB:
        made["spec"].pop("selector", None)
        labels = (made["spec"].get("template") or {}).get("metadata", {}).get("labels") or {}
        for label in _JOB_LABELS:
            labels.pop(label, None)
    return made


def is_ours(remote: Object, origin: str) -> bool:
    """Whether the object on the worker came from here."""
    return bool(((remote.get("metadata") or {}).get("labels") or {}).get(MULTIKUEUE_ORIGIN_LABEL) == origin)


def status_back(local: Object, remote: Object, kind: JobKind, now: str) -> tuple[Object | None, bool]:
    """(the new status of the job here; None: as it is, whether the worker's was held back for now).

    A Job that is still suspended here must not look started, or its template could not be changed any more when it is let go.
    """
    status, ours = remote.get("status") or {}, local.get("status") or {}
    if kind is jobkinds.BATCH_JOB and kind.is_suspended(local) and not kind.is_suspended(remote) and not _ended(status):
        if _holds(ours, "Suspended"):
            return None, True
        conditions = [each for each in ours.get("conditions") or () if each.get("type") != "Suspended"]
        suspended = {
            "type": "Suspended",
            "status": "True",
            "reason": "MultiKueueAdapter",
            "message": "Set by MultiKueue adapter",
            "lastTransitionTime": now,
            "lastProbeTime": now,
        }
        return {**ours, "conditions": [*conditions, suspended]}, True
    return (None if status == ours else status), False


def _holds(status: Object, type_: str) -> bool:
    return any(each.get("type") == type_ and each.get("status") == "True" for each in status.get("conditions") or ())


def _ended(status: Object) -> bool:
    return _holds(status, "Complete") or _holds(status, "Failed")
