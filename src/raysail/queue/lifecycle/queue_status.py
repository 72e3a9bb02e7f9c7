"""The status of ClusterQueues, LocalQueues and Cohorts: counts, use of flavors, shares, Active. Pure; wire form.

Source: Kueue pkg/controller/core/clusterqueue_controller.go, localqueue_controller.go, pkg/cache/scheduler/cache.go (Usage, LocalQueueUsage).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from raysail.queue.lifecycle.status import Status, put
from raysail.queue.model.activity import Activity
from raysail.queue.model.cluster_queue import ClusterQueue, Cohort, Tally
from raysail.queue.model.fairness import share_of
from raysail.queue.model.quota import Amounts
from raysail.queue.planner.assignment import quantity


def flavors_in_use(queue: ClusterQueue, amounts: Amounts) -> list[dict[str, Any]]:
    """Use per flavor and resource of the queue, with what of it is borrowed."""
    found = []
    for group in queue.groups:
        for flavor in group.flavors:
            resources = []
            for resource in sorted(group.resources):
                used = amounts.get((flavor, resource), 0)
                borrowed = max(0, used - queue.quota((flavor, resource)).nominal) if queue.parent is not None else 0
                resources.append({"name": resource, "total": quantity(resource, used), "borrowed": quantity(resource, borrowed)})
            found.append({"name": flavor, "resources": resources})
    return found


def cluster_queue_status(
    status: Status, queue: ClusterQueue, pending: int, activity: Activity, now: datetime, generation: int, *, fair_sharing: bool
) -> None:
    """Brings a ClusterQueue's status up to date (changed in place)."""
    status["flavorsReservation"] = flavors_in_use(queue, queue.tally.reserved)
    status["flavorsUsage"] = flavors_in_use(queue, queue.tally.used)
    status["pendingWorkloads"] = pending
    status["reservingWorkloads"] = queue.tally.reserving
    status["admittedWorkloads"] = queue.tally.admitted
    put(status, "Active", activity.active, activity.reason, activity.message, now, generation)
    if fair_sharing:
        status["fairSharing"] = {"weightedShare": share_of(queue).rounded}
    else:
        status.pop("fairSharing", None)
    _drop_empty(status)


def local_queue_status(
    status: Status, tally: Tally, queue: ClusterQueue | None, pending: int, activity: Activity, now: datetime, generation: int
) -> None:
    """Brings a LocalQueue's status up to date (changed in place). `queue` is the ClusterQueue it leads to, if that is there."""
    for name, amounts in (("flavorsReservation", tally.reserved), ("flavorsUsage", tally.used)):
        use = flavors_in_use(queue, amounts) if queue is not None else []
        for flavor in use:
            for resource in flavor["resources"]:
                del resource["borrowed"]
        if use:
            status[name] = use
        else:
            status.pop(name, None)
    status["pendingWorkloads"] = pending
    status["reservingWorkloads"] = tally.reserving
    status["admittedWorkloads"] = tally.admitted
    put(status, "Active", activity.active, activity.reason, activity.message, now, generation)
    _drop_empty(status)


def _drop_empty(status: Status) -> None:
    """An empty list is what is not there: as the views read it, so that nothing is written for nothing."""
    for name in ("flavorsReservation", "flavorsUsage"):
        if not status.get(name):
            status.pop(name, None)


def local_queue_activity(*, stopped: bool, cluster_queue_exists: bool, cluster_queue_active: bool) -> Activity:
    """The condition Active of a LocalQueue."""
    if stopped:
        return Activity(False, "Stopped", "LocalQueue is stopped")
    if not cluster_queue_exists:
        return Activity(False, "ClusterQueueDoesNotExist", "Can't submit new workloads to clusterQueue")
    if not cluster_queue_active:
        return Activity(False, "ClusterQueueIsInactive", "Can't submit new workloads to clusterQueue")
    return Activity(True, "Ready", "Can submit new workloads to localQueue")


def cohort_status(status: Status, cohort: Cohort, *, fair_sharing: bool) -> None:
    """Brings a Cohort's status up to date (changed in place)."""
    if fair_sharing:
        status["fairSharing"] = {"weightedShare": share_of(cohort).rounded}
    else:
        status.pop("fairSharing", None)
