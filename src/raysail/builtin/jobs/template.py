"""From a Job's template to a Pod. Names are chosen here, not by the API, so that a create whose answer was lost cannot make a second Pod."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, Final

from raysail.api.batch import JOB_COMPLETION_INDEX, JOB_TRACKING_FINALIZER, Job
from raysail.api.resources import JOBS, PODS
from raysail.builtin.jobs.pods import FAILURE_COUNT, IGNORED_FAILURE_COUNT
from raysail.builtin.naming import unique_name

INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
_PREFIX_LENGTH: Final = 58

JsonObject = dict[str, Any]


def build_pod(
    job: Job, name_taken: Collection[str], start: int, index: int | None = None, failures: tuple[int, int] | None = None
) -> JsonObject:
    """The next Pod of the Job, in wire form. `start`: where counting for its name begins; `failures`: of its index so far (counted, ignored)."""
    template: JsonObject = copy.deepcopy(job.spec.template or {})
    meta: JsonObject = template.get("metadata") or {}
    spec: JsonObject = template.get("spec") or {}
    prefix = _prefix(job.metadata.name, index)
    annotations = dict(meta.get("annotations") or {})
    labels = dict(meta.get("labels") or {})
    if index is not None:
        annotations[JOB_COMPLETION_INDEX] = labels[JOB_COMPLETION_INDEX] = str(index)
        _add_index_variable(spec, JOB_COMPLETION_INDEX)
        if not spec.get("hostname"):
            spec["hostname"] = prefix[:-1]
    if failures is not None:
        annotations[FAILURE_COUNT] = str(failures[0])
        if failures[1]:
            annotations[IGNORED_FAILURE_COUNT] = str(failures[1])
    finalizers = [*(f for f in meta.get("finalizers") or () if f != JOB_TRACKING_FINALIZER), JOB_TRACKING_FINALIZER]
    metadata: JsonObject = {
        "name": unique_name(prefix, job.metadata.uid, start, name_taken),
        "generateName": prefix,
        "namespace": job.metadata.namespace,
        "finalizers": finalizers,
        "ownerReferences": [
            {
                "apiVersion": JOBS.api_version,
                "kind": JOBS.kind,
                "name": job.metadata.name,
                "uid": job.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": PODS.api_version, "kind": PODS.kind, "metadata": metadata, "spec": spec}


def _prefix(job_name: str, index: int | None) -> str:
    tail = f"-{index}-" if index is not None else "-"
    return job_name[: _PREFIX_LENGTH - len(tail)] + tail


def _add_index_variable(spec: JsonObject, label: str) -> None:
    variable = {"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        environment = container.get("env") or []
        if not any(present.get("name") == INDEX_VARIABLE for present in environment):
            container["env"] = [*environment, variable]
