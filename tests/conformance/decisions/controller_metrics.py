"""Group `controller-core`: the metrics of a ClusterQueue's quota, before and after it is changed."""

from __future__ import annotations

from typing import Any

from raysail.api.kueue import ClusterQueue, Workload
from raysail.queue.metrics import families
from raysail.queue.metrics.gauges import queue_samples
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending

from .corpus import Case, Json, differences, view

POINTS = (
    ("NominalDPs", families.NOMINAL),
    ("BorrowingDPs", families.BORROWING_LIMIT),
    ("LendingDPs", families.LENDING_LIMIT),
    ("UsageDPs", families.USAGE),
)


def _holder(queue: Json) -> Json:
    """An admitted workload that holds what the queue's status says is reserved, as the reference makes one."""
    reserved = (queue.get("status") or {}).get("flavorsReservation") or []
    flavors = {resource["name"]: flavor["name"] for flavor in reserved for resource in flavor["resources"]}
    usage = {resource["name"]: resource["total"] for flavor in reserved for resource in flavor["resources"]}
    given = {"name": "main", "count": 1, "flavors": flavors, "resourceUsage": usage}
    admission = {"clusterQueue": queue["metadata"]["name"], "podSetAssignments": [given]}
    conditions = [{"type": type_, "status": "True", "reason": "ByTest"} for type_ in ("QuotaReserved", "Admitted")]
    spec = {"podSets": [{"name": "main", "count": 1, "template": {}}]}
    return {"metadata": {"name": "wl"}, "spec": spec, "status": {"admission": admission, "conditions": conditions}}


def _told(world: World, queue: Json) -> Any:
    world.set_cluster_queue(view(queue, ClusterQueue))
    world.add_workload(WorkloadInfo(view(_holder(queue), Workload)))
    samples, _ = queue_samples(world, Pending(), {}, resources=True, fair_sharing=False, role="standalone")
    return {
        name: sorted([*labels, "+Inf" if value == float("inf") else value] for labels, value in samples.get(family, ()))
        for name, family in POINTS
    }


def _wanted(metrics: Json) -> Any:
    names = ("cohort", "cluster_queue", "flavor", "resource", "replica_role")
    return {
        name: sorted([*(point["Labels"].get(label, "") for label in names), point.get("Value", 0)] for point in metrics.get(name) or ())
        for name, _ in POINTS
    }


def quota_metrics(case: Case) -> list[str]:
    world = World()
    found = differences(_told(world, case.given["queue"]), _wanted(case.want["wantMetrics"]), "before")
    if case.given.get("updatedQueue"):
        found += differences(_told(world, case.given["updatedQueue"]), _wanted(case.want["wantUpdatedMetrics"]), "after")
    return found


RUNNERS = {"controller-core": {"TestRecordResourceMetrics": quota_metrics}}
