"""Concurrent admission (Kueue: alpha): one job, several Workloads, each for one flavor; the first that fits runs, a better one may take over.

A parent Workload is never queued itself; its variants name the flavors they may use, in an annotation.
Source: Kueue pkg/workload/concurrentadmission, pkg/scheduler/scheduler.go (findAdmittedSibling, isMigrationAllowed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raysail.api.kueue import Workload
from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.workload import ALLOWED_FLAVORS, WorkloadInfo, is_admitted

PARENT_LABEL: Final = "kueue.x-k8s.io/concurrent-admission-parent"


def is_parent(obj: Workload) -> bool:
    """Whether it only stands for its variants."""
    return (obj.metadata.labels or {}).get(PARENT_LABEL) == "true"


def parent_uid(obj: Workload) -> str:
    """UID of the Workload it is a variant of; empty for none."""
    for owner in obj.metadata.owner_references or ():
        if owner.kind == "Workload" and owner.api_version.startswith("kueue.x-k8s.io/"):
            return owner.uid
    return ""


def allowed_flavors(obj: Workload) -> list[str] | None:
    """The flavors it may use; None: any."""
    text = (obj.metadata.annotations or {}).get(ALLOWED_FLAVORS)
    return None if text is None else [name for part in text.split(",") if (name := part.strip())]


def is_variant(obj: Workload) -> bool:
    """Whether another Workload owns it."""
    return any(
        owner.kind == "Workload" and owner.api_version.startswith("kueue.x-k8s.io/") for owner in obj.metadata.owner_references or ()
    )


def admitted_sibling(info: WorkloadInfo, queue: ClusterQueue, *, better: bool) -> WorkloadInfo | None:
    """An admitted variant of the same parent whose flavor comes earlier (`better`) or later in the queue's order."""
    parent = parent_uid(info.obj)
    if not parent or not queue.groups:
        return None
    flavors = queue.groups[0].flavors
    own = _position(info.obj, flavors)
    if own is None:
        return None
    for other in queue.workloads.values():
        if other.uid == info.uid or parent_uid(other.obj) != parent or not is_admitted(other.obj):
            continue
        position = _position(other.obj, flavors)
        if position is not None and (position < own if better else position > own):
            return other
    return None


def may_migrate(info: WorkloadInfo, queue: ClusterQueue) -> bool:
    """Whether its flavor is at least as good as the last one to which the queue lets run jobs move."""
    if not queue.last_acceptable_flavor:
        return True
    flavors = queue.groups[0].flavors
    own = _position(info.obj, flavors)
    return own is not None and own <= flavors.index(queue.last_acceptable_flavor)


def _position(obj: Workload, flavors: Sequence[str]) -> int | None:
    allowed = allowed_flavors(obj)
    return flavors.index(allowed[0]) if allowed and allowed[0] in flavors else None
