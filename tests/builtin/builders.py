"""Objects with defaults; a case names only what it is about."""

from __future__ import annotations

from typing import Any

import msgspec

from raysail.api.batch import JOB_COMPLETION_INDEX, JOB_TRACKING_FINALIZER, Job
from raysail.api.core import Node, Pod

NOW = "2026-01-01T00:10:00Z"


def job(name: str = "j", *, status: dict[str, Any] | None = None, deleting: bool = False, **spec: Any) -> Job:
    defaults = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
    }
    meta = {"name": name, "namespace": "ns", "uid": "job-uid", "resourceVersion": "1"}
    if deleting:
        meta["deletionTimestamp"] = NOW
    wire = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {**defaults, **spec},
        "status": {"startTime": "2026-01-01T00:00:00Z", "uncountedTerminatedPods": {}, **(status or {})},
    }
    return msgspec.convert(wire, Job)


def pod(
    name: str,
    phase: str = "Running",
    *,
    index: int | None = None,
    tracked: bool = True,
    deleting: bool = False,
    ready: bool = False,
    exit_code: int | None = None,
    ended: str = "",
    node: str = "",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    restarts: int = 0,
    ip: str = "",
    priority: int = 0,
    created: str = "2026-01-01T00:00:00Z",
    requests: dict[str, str] | None = None,
    **spec: Any,
) -> Pod:
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "creationTimestamp": created,
        "labels": labels or {},
        "annotations": annotations or {},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "job-uid", "controller": True}],
    }
    if tracked:
        meta["finalizers"] = [JOB_TRACKING_FINALIZER]
    if index is not None:
        meta["annotations"] = {**meta["annotations"], JOB_COMPLETION_INDEX: str(index)}
    if deleting:
        meta["deletionTimestamp"] = NOW
    status: dict[str, Any] = {"phase": phase, "conditions": list(conditions or ())}
    if ip:
        status["podIP"] = ip
    if ready:
        status["conditions"].append({"type": "Ready", "status": "True"})
    container: dict[str, Any] = {"name": "c", "restartCount": restarts}
    if exit_code is not None or ended:
        container["state"] = {"terminated": {"exitCode": exit_code or 0, "finishedAt": ended or "2026-01-01T00:00:00Z"}}
    if phase != "Pending":
        status["containerStatuses"] = [container]
    wire = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": requests or {}}}],
            "nodeName": node,
            "priority": priority,
            **spec,
        },
        "status": status,
    }
    return msgspec.convert(wire, Pod)


def node(name: str, *, labels: dict[str, str] | None = None, taints: list[dict[str, Any]] | None = None, **allocatable: str) -> Node:
    wire = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": {"pods": "110", **allocatable}, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return msgspec.convert(wire, Node)
