"""The planner's world: flavors, ClusterQueues and Cohorts with what they hold. Mutable; one cycle's attempts are undone through the journal.

Source: Kueue pkg/cache/scheduler (cache.go, clusterqueue.go, cohort.go, snapshot.go). Unlike there, nothing is copied per cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from raysail.api import selectors
from raysail.api.kueue import ClusterQueue as ClusterQueueObject
from raysail.api.kueue import Cohort as CohortObject
from raysail.api.kueue import ResourceFlavor as ResourceFlavorObject
from raysail.api.quantity import NANO, parse_nano
from raysail.queue.model.quota import Amounts, CohortNode, FlavorResource, Journal, Quota, QuotaNode
from raysail.queue.model.requests import LimitSummary, to_amount
from raysail.queue.model.usage_ledger import USAGE_BASED, UsageLedger
from raysail.queue.model.workload import WorkloadInfo, has_reservation, is_admitted
from raysail.queue.topology.world import Topologies

NEVER = "Never"


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """Resources that come together, and the flavors that provide them, in the order in which they are tried."""

    resources: tuple[str, ...]
    flavors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preemption:
    """spec.preemption as stored. The API defaults each policy to Never; an empty one allows nobody either."""

    within_cluster_queue: str = NEVER
    reclaim_within_cohort: str = NEVER
    borrow_within_cohort: str = NEVER
    max_priority_threshold: int | None = None


@dataclass(frozen=True, slots=True)
class Fungibility:
    """spec.flavorFungibility with its defaults."""

    when_can_borrow: str = "MayStopSearch"
    when_can_preempt: str = "TryNextFlavor"
    preference: str = "BorrowingOverPreemption"


@dataclass(frozen=True, slots=True)
class Flavor:
    """A ResourceFlavor: labels, taints and tolerations of its nodes."""

    name: str
    node_labels: Mapping[str, str] = field(default_factory=dict)
    node_taints: tuple[Mapping[str, Any], ...] = ()
    tolerations: tuple[Mapping[str, Any], ...] = ()
    topology_name: str = ""

    @classmethod
    def from_object(cls, obj: ResourceFlavorObject) -> Flavor:
        """From the API's object."""
        spec = obj.spec
        return cls(
            obj.metadata.name,
            dict(spec.node_labels or {}),
            tuple(msgspec.to_builtins(spec.node_taints or [])),
            tuple(msgspec.to_builtins(spec.tolerations or [])),
            spec.topology_name or "",
        )


class Tally:
    """What the workloads of one queue hold: how many, how much; and of that, those that are admitted."""

    __slots__ = ("admitted", "reserved", "reserving", "used")

    def __init__(self) -> None:
        self.reserving = 0
        self.admitted = 0
        self.reserved: Amounts = {}
        self.used: Amounts = {}

    def count(self, info: WorkloadInfo, sign: int) -> None:
        """Adds (1) or takes away (-1) a workload."""
        admitted = is_admitted(info.obj)
        self.reserving += sign
        self.admitted += sign if admitted else 0
        for key, amount in info.usage().items():
            self.reserved[key] = self.reserved.get(key, 0) + sign * amount
            if admitted:
                self.used[key] = self.used.get(key, 0) + sign * amount


class ClusterQueue(QuotaNode):
    """A ClusterQueue: its rules and the workloads that hold its quota."""

    __slots__ = (
        "active",
        "admission_mode",
        "checks",
        "fungibility",
        "generation",
        "groups",
        "inactive_reasons",
        "last_acceptable_flavor",
        "namespace_selector",
        "not_ready",
        "preemption",
        "stop_policy",
        "strategy",
        "tally",
        "wanted_cohort",
        "workloads",
    )

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.groups: tuple[ResourceGroup, ...] = ()
        self.preemption = Preemption()
        self.fungibility = Fungibility()
        self.strategy = "BestEffortFIFO"
        self.namespace_selector = selectors.NOTHING
        self.checks: dict[str, frozenset[str]] = {}
        """Admission check to the flavors it is for; empty: all."""
        self.stop_policy = "None"
        self.admission_mode = ""
        self.last_acceptable_flavor = ""
        """Concurrent admission: to no flavor behind this one may a running job move; empty: to any."""
        self.wanted_cohort = ""
        self.active = True
        self.inactive_reasons: list[tuple[str, str]] = []
        self.generation = 0
        """Goes up when quota is freed or changed in the tree: a flavor scan from before says nothing any more."""
        self.workloads: dict[str, WorkloadInfo] = {}
        self.tally = Tally()
        self.not_ready: set[str] = set()

    def group_of(self, resource: str) -> ResourceGroup | None:
        """The resource group that covers it."""
        return next((group for group in self.groups if resource in group.resources), None)

    def all_flavors(self) -> set[str]:
        """Names of all flavors it gives quota in."""
        return {flavor for group in self.groups for flavor in group.flavors}

    def configure(self, obj: ClusterQueueObject) -> None:
        """Takes over the object's spec. Call `World.relink` afterwards."""
        spec = obj.spec
        self.groups = tuple(
            ResourceGroup(tuple(group.covered_resources or ()), tuple(flavor.name for flavor in group.flavors or ()))
            for group in spec.resource_groups or ()
        )
        self.quotas = read_quotas(spec.resource_groups)
        rules = spec.preemption
        borrow = rules.borrow_within_cohort if rules else None
        self.preemption = Preemption(
            rules.within_cluster_queue if rules else "",
            rules.reclaim_within_cohort if rules else "",
            (borrow.policy if borrow else None) or NEVER,
            borrow.max_priority_threshold if borrow else None,
        )
        fungibility = spec.flavor_fungibility
        if fungibility is not None:
            self.fungibility = Fungibility(
                _modern(fungibility.when_can_borrow or "MayStopSearch"),
                _modern(fungibility.when_can_preempt or "TryNextFlavor"),
                fungibility.preference or "BorrowingOverPreemption",
            )
        else:
            self.fungibility = Fungibility()
        self.strategy = spec.queueing_strategy or "BestEffortFIFO"
        self.namespace_selector = selectors.from_object(spec.namespace_selector)
        self.stop_policy = spec.stop_policy or "None"
        self.admission_mode = (spec.admission_scope.admission_mode if spec.admission_scope else None) or ""
        policy = spec.concurrent_admission_policy
        limits = policy.migration.constraints if policy is not None and policy.migration is not None else None
        self.last_acceptable_flavor = (limits.last_acceptable_flavor_name if limits is not None else None) or ""
        self.fair_weight = read_weight(spec.fair_sharing.weight if spec.fair_sharing else None)
        self.wanted_cohort = spec.cohort_name or ""
        strategy = spec.admission_checks_strategy
        self.checks = {rule.name: frozenset(rule.on_flavors or ()) for rule in (strategy.admission_checks if strategy else None) or ()}

    def checks_for(self, flavors: Iterable[str]) -> list[str]:
        """Admission checks that apply to an assignment of these flavors."""
        assigned = set(flavors)
        return [name for name, only in self.checks.items() if not only or only & assigned]

    @property
    def usage_based(self) -> bool:
        """Whether its LocalQueues take turns by what they used."""
        return self.admission_mode == USAGE_BASED

    def covered_resources(self) -> frozenset[str]:
        """All resources that it gives quota in."""
        return frozenset(resource for group in self.groups for resource in group.resources)

    def path(self) -> str:
        """`/root/.../parent/name`, as preemption messages show it."""
        return "/" + "/".join([*reversed([cohort.name for cohort in self.ancestors()]), self.name])

    def can_always_reclaim(self) -> bool:
        """Whether it may take back its nominal quota from anybody in the cohort."""
        return self.preemption.reclaim_within_cohort == "Any"


def _modern(policy: str) -> str:
    return "MayStopSearch" if policy in ("Borrow", "Preempt") else policy


class Cohort(CohortNode):
    """A Cohort. `explicit` is false for one that only exists because somebody names it."""

    __slots__ = ("cyclic", "explicit", "wanted_parent")

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.explicit = False
        self.cyclic = False
        self.wanted_parent = ""

    def configure(self, obj: CohortObject) -> None:
        """Takes over the object's spec. Call `World.relink` afterwards."""
        self.explicit = True
        self.quotas = read_quotas(obj.spec.resource_groups)
        self.fair_weight = read_weight(obj.spec.fair_sharing.weight if obj.spec.fair_sharing else None)
        self.wanted_parent = obj.spec.parent_name or ""

    def forget(self) -> None:
        """The object was deleted: what is left is implicit."""
        self.explicit = False
        self.quotas = {}
        self.fair_weight = 1.0
        self.wanted_parent = ""


def read_quotas(groups: Iterable[Any] | None) -> dict[FlavorResource, Quota]:
    """Quotas per flavor and resource of spec.resourceGroups."""
    found: dict[FlavorResource, Quota] = {}
    for group in groups or ():
        for flavor in group.flavors or ():
            for resource in flavor.resources or ():
                found[flavor.name, resource.name] = Quota(
                    _amount(resource.name, resource.nominal_quota) or 0,
                    _amount(resource.name, resource.borrowing_limit),
                    _amount(resource.name, resource.lending_limit),
                )
    return found


def _amount(resource: str, text: Any) -> int | None:
    return None if text is None else to_amount(resource, parse_nano(text))


def read_weight(text: Any) -> float:
    """fairSharing.weight; 1 where it is not given."""
    return 1.0 if text is None else parse_nano(text) / NANO


class World:
    """Everything a cycle looks at, apart from the pending queues."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.topologies = Topologies(self.journal)
        self.check_controllers: dict[str, str] = {}
        """Controller of each AdmissionCheck."""
        self.flavors: dict[str, Flavor] = {}
        self.cluster_queues: dict[str, ClusterQueue] = {}
        self.cohorts: dict[str, Cohort] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.limits: dict[str, Mapping[str, LimitSummary]] = {}
        self.local_tallies: dict[str, Tally] = {}
        """What the workloads of each LocalQueue (namespace/name) hold."""
        self.ledger: UsageLedger | None = None
        """What LocalQueues used lately, where admission fair sharing is on."""
        self.cycles = 0
        """Rounds of planning so far."""
        self.holders: dict[str, str] = {}
        """Key of each workload that holds quota to the name of its ClusterQueue."""

    # configuration

    def set_flavor(self, flavor: Flavor) -> None:
        """Adds or changes a flavor."""
        self.flavors[flavor.name] = flavor
        self.topologies.set_flavor(flavor.name, flavor.topology_name, flavor.node_labels, flavor.tolerations)

    def drop_flavor(self, name: str) -> None:
        """Forgets a flavor."""
        self.flavors.pop(name, None)
        self.topologies.drop_flavor(name)

    def set_cluster_queue(self, obj: ClusterQueueObject) -> ClusterQueue:
        """Adds or changes a ClusterQueue; returns it."""
        queue = self.cluster_queues.get(obj.metadata.name)
        if queue is None:
            queue = self.cluster_queues[obj.metadata.name] = ClusterQueue(obj.metadata.name, self.journal)
        before = queue.quotas
        queue.configure(obj)
        if before != queue.quotas:
            queue.generation += 1
        self._place(queue, queue.wanted_cohort)
        return queue

    def drop_cluster_queue(self, name: str) -> None:
        """Forgets a ClusterQueue with everything it held."""
        queue = self.cluster_queues.pop(name, None)
        if queue is None:
            return
        for key, info in queue.workloads.items():
            self._tally(queue, info, -1)
            self.topologies.count(info.topology_uses(), -1)
            self.holders.pop(key, None)
        self._place(queue, "")

    def set_cohort(self, obj: CohortObject) -> Cohort:
        """Adds or changes a Cohort; returns it."""
        cohort = self._cohort(obj.metadata.name)
        cohort.configure(obj)
        self._place_cohort(cohort)
        return cohort

    def drop_cohort(self, name: str) -> None:
        """The Cohort object is gone; it stays, without quota, while others name it."""
        cohort = self.cohorts.get(name)
        if cohort is not None:
            cohort.forget()
            self._place_cohort(cohort)

    def _cohort(self, name: str) -> Cohort:
        if name not in self.cohorts:
            self.cohorts[name] = Cohort(name, self.journal)
        return self.cohorts[name]

    def _place(self, queue: ClusterQueue, cohort: str) -> None:
        old = queue.parent
        if old is not None and old.name != cohort:
            del old.member_nodes[queue.name]
            queue.parent = None
        if cohort and queue.parent is None:
            queue.parent = self._cohort(cohort)
            queue.parent.member_nodes[queue.name] = queue
        queue.subtree_quota = {key: quota.nominal for key, quota in queue.quotas.items()}
        self._recount(old)
        self._recount(queue.parent)
        if isinstance(old, Cohort):
            self._prune(old)

    def _place_cohort(self, cohort: Cohort) -> None:
        """Links every cohort to the parent it wants. Those on, or leading into, a cycle stand alone and are marked."""
        changed: list[CohortNode | None] = [cohort]
        for name in [each.wanted_parent for each in self.cohorts.values() if each.wanted_parent]:
            self._cohort(name)
        for each in list(self.cohorts.values()):
            each.cyclic = self._goes_in_circles(each)
            wanted = "" if each.cyclic else each.wanted_parent
            if each.parent is not None and each.parent.name != wanted:
                changed += (each.parent, each)
                del each.parent.child_cohorts[each.name]
                each.parent = None
            if wanted and each.parent is None:
                each.parent = self.cohorts[wanted]
                each.parent.child_cohorts[each.name] = each
                changed.append(each)
        for node in changed:
            self._recount(node)
        for node in changed:
            if isinstance(node, Cohort):
                self._prune(node)

    def _goes_in_circles(self, cohort: Cohort) -> bool:
        seen = {cohort.name}
        name = cohort.wanted_parent
        while name:
            if name in seen:
                return True
            seen.add(name)
            name = self.cohorts[name].wanted_parent if name in self.cohorts else ""
        return False

    def _prune(self, cohort: Cohort) -> None:
        """An implicit cohort without children is no more."""
        node: CohortNode | None = cohort
        while isinstance(node, Cohort) and not node.explicit and not node.child_cohorts and not node.member_nodes:
            if any(each.wanted_parent == node.name for each in self.cohorts.values()):
                return
            parent = node.parent
            self.cohorts.pop(node.name, None)
            if parent is not None:
                del parent.child_cohorts[node.name]
            node = parent

    def _recount(self, cohort: CohortNode | None) -> None:
        if cohort is None:
            return
        root = cohort.root()
        assert isinstance(root, CohortNode)  # noqa: S101 - the root of a cohort is a cohort
        root.recount()
        self.bump(root)

    # usage

    def holds(self, key: str) -> bool:
        """Whether that workload is counted somewhere."""
        return key in self.holders

    def add_workload(self, info: WorkloadInfo) -> bool:
        """Counts a workload against the ClusterQueue that admitted it. False where that queue is unknown."""
        self.remove_workload(info.key)
        queue = self.cluster_queues.get(info.cluster_queue)
        if queue is None:
            return False
        queue.workloads[info.key] = info
        self.holders[info.key] = queue.name
        self.take(info)
        self._tally(queue, info, 1)
        return True

    def remove_workload(self, key: str) -> WorkloadInfo | None:
        """Gives back what a workload holds; returns it if it was counted."""
        queue = self.cluster_queues.get(self.holders.pop(key, ""))
        if queue is None:
            return None
        info = queue.workloads.pop(key, None)
        queue.not_ready.discard(key)
        if info is not None:
            queue.remove_all(info.usage())
            self.topologies.count(info.topology_uses(), -1)
            self._tally(queue, info, -1)
            self.bump(queue.root())
        return info

    def _tally(self, queue: ClusterQueue, info: WorkloadInfo, sign: int) -> None:
        queue.tally.count(info, sign)
        name = f"{info.namespace}/{info.local_queue}"
        local = self.local_tallies.setdefault(name, Tally())
        local.count(info, sign)
        if not local.reserving:
            del self.local_tallies[name]

    def workload(self, key: str) -> WorkloadInfo | None:
        """The counted workload of that key."""
        queue = self.cluster_queues.get(self.holders.get(key, ""))
        return queue.workloads.get(key) if queue else None

    def bump(self, root: QuotaNode) -> None:
        """Quota was freed or changed in this tree: earlier flavor scans are outdated."""
        for queue in tree_members(root):
            queue.generation += 1

    # lookups

    def counts_at_once(self, queue: ClusterQueue, info: WorkloadInfo) -> bool:
        """Whether its reservation counts in the use of its LocalQueue before it is admitted. A second pass does not count again."""
        return self.ledger is not None and queue.usage_based and not has_reservation(info.obj)

    def usable(self, queue: ClusterQueue) -> bool:
        """Whether a cycle may use it: active, and not in a tree that goes round in circles."""
        return queue.active and not self.in_circle(queue)

    def in_circle(self, queue: ClusterQueue) -> bool:
        """Whether its cohorts go round in circles."""
        return isinstance(queue.parent, Cohort) and queue.parent.cyclic

    def selects(self, queue: ClusterQueue, namespace: str) -> bool:
        """Whether the namespace is there and may use the queue."""
        labels = self.namespaces.get(namespace)
        return labels is not None and bool(queue.namespace_selector.matches(labels))

    def removed(self, infos: Iterable[WorkloadInfo]) -> int:
        """Takes away, for an attempt, what these hold. Returns the mark to give to `journal.undo`."""
        mark = self.journal.mark()
        for info in infos:
            self.release(info)
        return mark

    def take(self, info: WorkloadInfo) -> None:
        """Counts what a workload holds, quota and places."""
        self.cluster_queues[info.cluster_queue].add_all(info.usage())
        self.topologies.count(info.topology_uses(), 1)

    def release(self, info: WorkloadInfo) -> None:
        """Takes away what a workload holds, quota and places."""
        self.cluster_queues[info.cluster_queue].remove_all(info.usage())
        self.topologies.count(info.topology_uses(), -1)

    def fits(self, queue: ClusterQueue, usage: Amounts) -> bool:
        """Whether all of it is available now."""
        return all(max(0, queue.available(key)) >= amount for key, amount in usage.items())


def tree_members(root: QuotaNode) -> Iterator[ClusterQueue]:
    """All ClusterQueues of a tree."""
    members: Iterable[QuotaNode] = root.subtree_members() if isinstance(root, CohortNode) else (root,)
    for member in members:
        if isinstance(member, ClusterQueue):
            yield member
