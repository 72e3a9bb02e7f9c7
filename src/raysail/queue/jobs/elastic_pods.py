"""Which Pods of an elastic job may run: as many of each pod set as its active slice was granted. Pure.

The Pods of all slices of a chain carry the chain's name. Those beyond what was granted wait behind a scheduling gate; where a gate is taken off, what
admission checks ask for since then is written to the Pod. Source: Kueue pkg/controller/elasticjobs/elastic_job_ungater.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from raysail.api.kueue import Workload, names
from raysail.queue.checks.provisioning import CLASS_ANNOTATION, REQUEST_ANNOTATION
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import Job, JsonObject
from raysail.queue.model.slices import is_evicted, latest_with_quota, workload_counts
from raysail.queue.model.workload import is_admitted, is_finished

_PROVISIONING_ANNOTATIONS: Final[tuple[str, ...]] = (REQUEST_ANNOTATION, CLASS_ANNOTATION)


class ConflictingUpdatesError(Exception):
    """Two admission checks ask for different things of one pod set, or a Pod has something else already."""


@dataclass(slots=True)
class PodUpdate:
    """What admission checks ask of the Pods of one pod set that may differ from what its template had."""

    annotations: dict[str, str] = field(default_factory=dict)
    node_selector: dict[str, str] = field(default_factory=dict)


def may_ungate(workload: Workload, gates: JobGates) -> bool:
    """Whether it is an admitted slice of an elastic job."""
    return gates.elastic(workload.metadata.annotations) and not is_finished(workload) and is_admitted(workload)


def active_slice(slices: Iterable[Workload]) -> Workload | None:
    """Of a job's Workloads the one whose counts are granted, once it is fully admitted: checks may still be out after quota is reserved."""
    found = latest_with_quota(slices)
    return found if found is not None and is_admitted(found) and not is_evicted(found) else None


def update_for(workload: Workload, pod_set: str) -> PodUpdate:
    """What the checks of a Workload ask of a pod set's Pods. Raises ConflictingUpdatesError."""
    found = PodUpdate()
    for check in workload.status.admission_checks or ():
        for update in check.pod_set_updates or ():
            if update.name != pod_set:
                continue
            given = update.annotations or {}
            wanted = {key: given[key] for key in _PROVISIONING_ANNOTATIONS if key in given}
            _add(found.annotations, wanted, "annotation", pod_set)
            _add(found.node_selector, update.node_selector or {}, "node selector", pod_set)
    return found


def _add(present: dict[str, str], more: Mapping[str, str], what: str, pod_set: str) -> None:
    for key, value in more.items():
        if present.setdefault(key, value) != value:
            raise ConflictingUpdatesError(f'conflicting "{key}" {what} updates for PodSet "{pod_set}"')


def gated(pod: Job) -> bool:
    """Whether it waits for its slice."""
    return any(gate.get("name") == names.ELASTIC_JOB_GATE for gate in pod.spec.get("schedulingGates") or ())


def pods_to_ungate(workload: Workload, pods: Iterable[Job]) -> list[tuple[Job, JsonObject]]:
    """The Pods of the chain that may run now, and the patch of each: by name, up to the counts of its active slice, ended ones not counted.

    A Pod that has something else from an earlier admission stays behind its gate: it has to be made anew. Raises ConflictingUpdatesError.
    """
    granted = workload_counts(workload)
    waiting: dict[str, list[Job]] = {}
    running: dict[str, int] = {}
    updates: dict[str, PodUpdate] = {}
    for pod in pods:
        if pod.status.get("phase") in ("Succeeded", "Failed"):
            continue
        pod_set = pod.labels.get(names.POD_SET_LABEL, "")
        if not gated(pod):
            running[pod_set] = running.get(pod_set, 0) + 1
            continue
        if pod_set not in updates:
            updates[pod_set] = update_for(workload, pod_set)
        if _compatible(pod, updates[pod_set]):
            waiting.setdefault(pod_set, []).append(pod)
    found: list[tuple[Job, JsonObject]] = []
    for pod_set, candidates in waiting.items():
        room = granted.get(pod_set, 0) - running.get(pod_set, 0)
        candidates.sort(key=lambda pod: pod.metadata.name)
        found += [(pod, _patch(pod, updates[pod_set])) for pod in candidates[: max(room, 0)]]
    return found


def _compatible(pod: Job, update: PodUpdate) -> bool:
    selector = pod.spec.get("nodeSelector") or {}
    return all(pod.annotations.get(key, value) == value for key, value in update.annotations.items()) and all(
        selector.get(key, value) == value for key, value in update.node_selector.items()
    )


def _patch(pod: Job, update: PodUpdate) -> JsonObject:
    left = [gate for gate in pod.spec.get("schedulingGates") or () if gate.get("name") != names.ELASTIC_JOB_GATE]
    patch: JsonObject = {"spec": {"schedulingGates": left or None}}
    selector = pod.spec.get("nodeSelector") or {}
    if more := {key: value for key, value in update.node_selector.items() if selector.get(key) != value}:
        patch["spec"]["nodeSelector"] = more
    if annotations := {key: value for key, value in update.annotations.items() if key not in pod.annotations}:
        patch["metadata"] = {"annotations": annotations}
    return patch
