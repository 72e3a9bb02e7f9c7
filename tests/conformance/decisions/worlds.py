"""A world from the corpus' objects, and one cycle of it applied to the objects, as the shell would."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from raysail.api.core.node import Node
from raysail.api.kueue import ClusterQueue, Cohort, ResourceFlavor, Topology, Workload
from raysail.api.meta import parse_time
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import (
    Said,
    event_of_waiting,
    events_of_admission,
    events_of_preemption,
    evict_for_migration,
    evict_victim,
    migration_message,
    reserve_quota,
    tell_waiting,
)
from raysail.queue.model.activity import Surroundings, activity_of
from raysail.queue.model.cluster_queue import Flavor, read_weight
from raysail.queue.model.requests import ResourceRules, summarize_limits
from raysail.queue.model.usage_ledger import UsageLedger
from raysail.queue.model.workload import WorkloadInfo, counts_as_usage, has_reservation, may_be_queued
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending
from raysail.queue.planner.decisions import Admit, Migrate, Plan, Preempt, Wait
from raysail.queue.planner.options import Options
from raysail.queue.topology.nodes import pod_amounts
from raysail.queue.topology.pods import Pod, counts_beside

from .corpus import Json, view

NOW = "2026-11-23T07:00:00Z"


class Scene:
    """A world with its pending queues and the API's objects beside it."""

    def __init__(
        self, now: str, rules: ResourceRules | None = None, gates: Mapping[str, bool] | None = None, ledger: UsageLedger | None = None
    ) -> None:
        self.now = parse_time(now or NOW)
        self.rules = rules or ResourceRules()
        self.gates = gates or {}
        self.world = World()
        self.world.ledger = ledger
        self.pending = Pending(
            keep_scan=self.gates.get("FlavorFungibilityPreserveScanProgress", True),
            concurrent_admission=self.gates.get("ConcurrentAdmission", False),
        )
        self.objects: dict[str, Json] = {}
        self.limit_ranges: dict[str, list[Json]] = {}
        self.overheads: dict[str, Json] = {}
        self.events: list[Said] = []

    @property
    def seconds(self) -> float:
        return self.now.timestamp()

    def flavors(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            flavor = Flavor.from_object(view(obj, ResourceFlavor))
            self.world.set_flavor(flavor)

    def topologies(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            topology = view(obj, Topology)
            self.world.topologies.set_topology(topology.metadata.name, [level.node_label for level in topology.spec.levels])

    def nodes(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            self.world.topologies.set_node(view(obj, Node))

    def pods(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            pod = view(obj, Pod)
            if counts_beside(pod):
                self.world.topologies.set_pod(f"{pod.metadata.namespace}/{pod.metadata.name}", pod.node, pod_amounts(pod.spec))

    def checks(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            self.world.check_controllers[obj["metadata"]["name"]] = obj["spec"].get("controllerName", "")

    def queues(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            queue = self.world.set_cluster_queue(view(obj, ClusterQueue))
            activity = activity_of(queue, Surroundings(self.world.flavors, {}, {f.topology_name for f in self.world.flavors.values()}))
            queue.active = activity.active or activity.reason.startswith("AdmissionCheck")
            waiting = self.pending.queue(queue.name, queue.strategy)
            waiting.take_turns(self.world.ledger.usage if self.world.ledger is not None and queue.usage_based else None)

    def cohorts(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            self.world.set_cohort(view(obj, Cohort))

    def local_queues(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            meta = obj["metadata"]
            key = f"{meta.get('namespace', '')}/{meta['name']}"
            self.pending.local_queues[key] = (obj.get("spec") or {}).get("clusterQueue", "")
            if self.world.ledger is not None:
                self.world.ledger.weights[key] = read_weight(((obj.get("spec") or {}).get("fairSharing") or {}).get("weight"))

    def namespaces(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            self.world.namespaces[obj["metadata"]["name"]] = obj["metadata"].get("labels") or {}

    def others(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            if obj.get("kind") == "LimitRange":
                self.limit_ranges.setdefault(obj["metadata"].get("namespace", ""), []).append(obj["spec"])
            elif obj.get("kind") == "RuntimeClass":
                self.overheads[obj["metadata"]["name"]] = (obj.get("overhead") or {}).get("podFixed") or {}
        for namespace, specs in self.limit_ranges.items():
            self.world.limits[namespace] = summarize_limits(specs)

    def info(self, obj: Json) -> WorkloadInfo:
        found = view(obj, Workload)
        return WorkloadInfo(
            found,
            self.rules,
            self.world.limits.get(found.metadata.namespace),
            self.overheads,
            by_priority=self.gates.get("PrioritySortingWithinCohort", True),
            priority_boost=self.gates.get("PriorityBoost", False),
        )

    def workloads(self, objects: Iterable[Json]) -> None:
        for obj in objects or ():
            info = self.info(obj)
            self.objects[info.key] = copy.deepcopy(obj)
            if counts_as_usage(info.obj):
                self.world.add_workload(info)
            elif may_be_queued(info.obj):
                self.pending.push(info, self.seconds)

    def apply(self, plan: Plan, options: Options) -> None:
        """Writes the decisions into the objects and collects the events, in the order in which Kueue does: admissions, then refusals."""
        for decision in plan.decisions:
            match decision:
                case Admit():
                    _, status, generation = self._status(decision.info.key)
                    held = has_reservation(decision.info.obj)
                    queue = self.world.cluster_queues[decision.cluster_queue]
                    flavors = {given.flavor for pod_set in decision.assignment.pod_sets for given in pod_set.flavors.values()}
                    reserve_quota(status, decision, queue.checks_for(flavors), self.now, generation)
                    self.events += events_of_admission(decision, status, self.now, held_before=held)
                    if decision.replaced is not None:
                        self._replace(decision)
                case Preempt():
                    for at, victim in enumerate(decision.victims):
                        _, status, generation = self._status(victim.info.key)
                        message = evict_victim(status, decision, at, self.now, generation)
                        self.events += events_of_preemption(decision, at, message)
                case Wait():
                    _, status, generation = self._status(decision.info.key)
                    tell_waiting(status, decision, self.now, generation)
                    self.events.append(event_of_waiting(decision))
                case Migrate():
                    _, status, generation = self._status(decision.victim.key)
                    evict_for_migration(status, decision, self.now, generation)
                    said = Said(decision.victim.key, "Normal", "EvictedDueToFlavorMigration", migration_message(decision))
                    self.events.append(said)
        _ = options

    def _replace(self, decision: Admit) -> None:
        old = decision.replaced
        if old is None:
            return
        _, status, generation = self._status(old.key)
        uid = decision.info.uid
        message = f"Replaced to accommodate a workload (UID: {uid}, JobUID: {decision.info.job_uid}) due to workload slice aggregation"
        transitions.finish(status, "WorkloadSliceReplaced", message, self.now, generation)

    def _status(self, key: str) -> tuple[Json, dict[str, Any], int]:
        obj = self.objects[key]
        return obj, obj.setdefault("status", {}), int(obj["metadata"].get("generation", 0))


def holders(scene: Scene) -> dict[str, Json]:
    """What holds quota in the world: key to admission."""
    found: dict[str, Json] = {}
    for queue in scene.world.cluster_queues.values():
        for key in queue.workloads:
            admission = scene.objects[key].get("status", {}).get("admission")
            found[key] = admission
    return found


def later(now: datetime, seconds: float) -> datetime:
    return datetime.fromtimestamp(now.timestamp() + seconds, tz=now.tzinfo)
