"""Builders with defaults for tests of the queue: one fact per test stands out. Amounts are numbers of whole units (cpu in cores)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from raysail.api.core.node import Node
from raysail.api.kueue import ClusterQueue, Cohort, LocalQueue, ResourceFlavor, Topology, Workload
from raysail.api.meta import Object, format_time
from raysail.queue.answers.snapshot import Listed, Snapshot, build
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import Admit, Plan, Preempt, Wait
from raysail.queue.planner.options import Options
from raysail.queue.topology.pods import Pod

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def at(seconds: float) -> str:
    return format_time(START + timedelta(seconds=seconds))


def flavor(name: str = "default", **spec: Any) -> ResourceFlavor:
    return msgspec.convert({"metadata": {"name": name}, "spec": spec}, ResourceFlavor)


def quota(name: str, nominal: float, borrow: float | None = None, lend: float | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "nominalQuota": str(nominal)}
    if borrow is not None:
        made["borrowingLimit"] = str(borrow)
    if lend is not None:
        made["lendingLimit"] = str(lend)
    return made


def cq(
    name: str,
    cpu: float = 0,
    *,
    borrow: float | None = None,
    lend: float | None = None,
    cohort: str = "",
    flavors: dict[str, float] | None = None,
    within: str = "Never",
    reclaim: str = "Never",
    borrow_within: dict[str, Any] | None = None,
    strategy: str = "BestEffortFIFO",
    **spec: Any,
) -> ClusterQueue:
    groups = [{"name": each, "resources": [quota("cpu", nominal, borrow, lend)]} for each, nominal in (flavors or {"default": cpu}).items()]
    preemption: dict[str, Any] = {"withinClusterQueue": within, "reclaimWithinCohort": reclaim}
    if borrow_within:
        preemption["borrowWithinCohort"] = borrow_within
    body = {
        "cohortName": cohort,
        "namespaceSelector": {},
        "queueingStrategy": strategy,
        "resourceGroups": [{"coveredResources": ["cpu"], "flavors": groups}],
        "preemption": preemption,
        **spec,
    }
    return msgspec.convert({"metadata": {"name": name}, "spec": body}, ClusterQueue)


def cohort(name: str, cpu: float | None = None, *, parent: str = "", borrow: float | None = None, lend: float | None = None) -> Cohort:
    spec: dict[str, Any] = {"parentName": parent}
    if cpu is not None:
        spec["resourceGroups"] = [
            {"coveredResources": ["cpu"], "flavors": [{"name": "default", "resources": [quota("cpu", cpu, borrow, lend)]}]}
        ]
    return msgspec.convert({"metadata": {"name": name}, "spec": spec}, Cohort)


def lq(name: str, cluster_queue: str, **spec: Any) -> LocalQueue:
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": {"clusterQueue": cluster_queue, **spec}}, LocalQueue)


def wl(
    name: str,
    queue: str,
    cpu: float = 1,
    *,
    priority: int = 0,
    count: int = 1,
    min_count: int | None = None,
    created: float = 0,
    holds: str = "",
    since: float = 0,
    admitted: bool = True,
    pod: dict[str, Any] | None = None,
    owner: str = "",
    **status: Any,
) -> Workload:
    """A workload of `count` Pods with `cpu` each. `holds`: it has quota, in that flavor."""
    conditions = list(status.pop("conditions", ()))
    pod_set: dict[str, Any] = {
        "name": "main",
        "count": count,
        "template": {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": str(cpu)}}}], **(pod or {})}},
    }
    if min_count is not None:
        pod_set["minCount"] = min_count
    if holds:
        conditions.append({"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "lastTransitionTime": at(since)})
        if admitted:
            conditions.append({"type": "Admitted", "status": "True", "reason": "Admitted", "lastTransitionTime": at(since)})
        given = {"name": "main", "flavors": {"cpu": holds}, "resourceUsage": {"cpu": str(cpu * count)}, "count": count}
        status["admission"] = {"clusterQueue": queue, "podSetAssignments": [given]}
    metadata: dict[str, Any] = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": at(created), "generation": 1}
    if owner:
        metadata["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": owner, "controller": True}]
    body = {
        "metadata": metadata,
        "spec": {"queueName": queue, "podSets": [pod_set], "priority": priority},
        "status": {**status, "conditions": conditions},
    }
    return msgspec.convert(body, Workload)


PLAIN = Options()


def scene(
    *objects: Object,
    options: Options = PLAIN,
    now: datetime = NOW,
) -> Snapshot:
    """A world of these objects. Each ClusterQueue gets a LocalQueue of its name, unless LocalQueues are given; flavors are made as needed."""
    queues = [each for each in objects if isinstance(each, ClusterQueue)]
    locals_ = [each for each in objects if isinstance(each, LocalQueue)]
    flavors = [each for each in objects if isinstance(each, ResourceFlavor)]
    known = {each.metadata.name for each in flavors}
    for queue in queues:
        for group in queue.spec.resource_groups or ():
            for each in group.flavors:
                if each.name not in known:
                    known.add(each.name)
                    flavors.append(flavor(each.name))
    return build(
        Listed(
            workloads=[each for each in objects if isinstance(each, Workload)],
            cluster_queues=queues,
            local_queues=locals_ or [lq(queue.metadata.name, queue.metadata.name) for queue in queues],
            cohorts=[each for each in objects if isinstance(each, Cohort)],
            flavors=flavors,
            namespaces={"ns": {}},
            topologies=[each for each in objects if isinstance(each, Topology)],
            nodes=[each for each in objects if isinstance(each, Node)],
            pods=[each for each in objects if isinstance(each, Pod)],
        ),
        now.timestamp(),
        options,
    )


def run(snapshot: Snapshot, now: datetime = NOW) -> Plan:
    """One plan over everything."""
    return plan(snapshot.world, snapshot.pending, now.timestamp(), snapshot.options)


def admitted(result: Plan) -> dict[str, str]:
    """Names of admitted workloads to the flavor of their cpu."""
    return {d.info.name: d.assignment.pod_sets[0].flavors["cpu"].flavor for d in result.decisions if isinstance(d, Admit)}


def waiting(result: Plan) -> dict[str, str]:
    """Names of those that wait to the reason."""
    return {d.info.name: d.reason for d in result.decisions if isinstance(d, Wait)}


def preempted(result: Plan) -> dict[str, str]:
    """Names of victims to the reason."""
    return {victim.info.name: victim.reason for d in result.decisions if isinstance(d, Preempt) for victim in d.victims}
