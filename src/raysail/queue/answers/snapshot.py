"""A planner's world from listed API objects: for explanations and simulations outside of the controllers process.

The same pure functions that schedule then say why: nothing has to be stored for it, and nothing can be out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raysail.api import conditions
from raysail.api.core.node import Node
from raysail.api.kueue import AdmissionCheck, ClusterQueue, Cohort, LocalQueue, ResourceFlavor, Topology, Workload
from raysail.queue.model.activity import Activity, Check, Surroundings, activity_of
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.requests import NO_RULES, ResourceRules, summarize_limits
from raysail.queue.model.workload import WorkloadInfo, counts_as_usage, may_be_queued
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending
from raysail.queue.planner.options import Options
from raysail.queue.topology.nodes import pod_amounts
from raysail.queue.topology.pods import Pod, counts_beside


@dataclass(frozen=True, slots=True)
class Listed:
    """What the API lists. `namespaces` are labels by name; `limit_ranges` specs by namespace; `overheads` podFixed by RuntimeClass."""

    workloads: Iterable[Workload] = ()
    cluster_queues: Iterable[ClusterQueue] = ()
    local_queues: Iterable[LocalQueue] = ()
    cohorts: Iterable[Cohort] = ()
    flavors: Iterable[ResourceFlavor] = ()
    checks: Iterable[AdmissionCheck] = ()
    topologies: Iterable[Topology] = ()
    nodes: Iterable[Node] = ()
    pods: Iterable[Pod] = ()
    """Nodes and Pods: only looked at where there are topologies."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limit_ranges: Mapping[str, Iterable[Mapping[str, Any]]] = field(default_factory=dict)
    overheads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """World, pending queues and the objects they were made from."""

    world: World
    pending: Pending
    workloads: dict[str, Workload]
    local_queues: dict[str, LocalQueue]
    activities: dict[str, Activity]
    options: Options
    infos: dict[str, WorkloadInfo]
    """Every Workload that waits or holds quota, by namespace/name."""


def build(listed: Listed, now: float, options: Options = Options(), rules: ResourceRules = NO_RULES) -> Snapshot:  # noqa: B008
    """The world as the scheduler would see it after a restart. `now` in seconds since the epoch."""
    world, pending = World(), Pending()
    for flavor in listed.flavors:
        world.set_flavor(Flavor.from_object(flavor))
    for cohort in listed.cohorts:
        world.set_cohort(cohort)
    checks = {
        check.metadata.name: Check(check.spec.controller_name, conditions.is_true(check.status.conditions, "Active"))
        for check in listed.checks
    }
    activities: dict[str, Activity] = {}
    world.check_controllers = {name: check.controller for name, check in checks.items()}
    _survey(world, listed)
    around = Surroundings(world.flavors, checks, frozenset(world.topologies.levels))
    for obj in listed.cluster_queues:
        queue = world.set_cluster_queue(obj)
        activity = activity_of(queue, around, terminating=obj.metadata.deletion_timestamp is not None)
        activities[queue.name] = activity
        queue.active = activity.active
        pending.queue(queue.name, queue.strategy)
    world.namespaces.update(listed.namespaces)
    for namespace, specs in listed.limit_ranges.items():
        world.limits[namespace] = summarize_limits(specs)
    local_queues: dict[str, LocalQueue] = {}
    for local in listed.local_queues:
        key = f"{local.metadata.namespace}/{local.metadata.name}"
        local_queues[key] = local
        if (local.spec.stop_policy or "None") == "None" and local.metadata.deletion_timestamp is None:
            pending.local_queues[key] = local.spec.cluster_queue
    workloads: dict[str, Workload] = {}
    infos: dict[str, WorkloadInfo] = {}
    for workload in listed.workloads:
        info = WorkloadInfo(workload, rules, world.limits.get(workload.metadata.namespace), listed.overheads)
        workloads[info.key] = workload
        if counts_as_usage(workload):
            world.add_workload(info)
            infos[info.key] = info
        elif may_be_queued(workload):
            pending.push(info, now)
            infos[info.key] = info
    return Snapshot(world, pending, workloads, local_queues, activities, options, infos)


def _survey(world: World, listed: Listed) -> None:
    """Topologies, their nodes, and what runs there beside them."""
    for topology in listed.topologies:
        world.topologies.set_topology(topology.metadata.name, [level.node_label for level in topology.spec.levels])
    for node in listed.nodes:
        world.topologies.set_node(node)
    for pod in listed.pods:
        if counts_beside(pod):
            world.topologies.set_pod(f"{pod.metadata.namespace}/{pod.metadata.name}", pod.node, pod_amounts(pod.spec))
