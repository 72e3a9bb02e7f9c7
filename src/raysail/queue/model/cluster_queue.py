"""ClusterQueues, Cohorts and flavors as the planner sees them: their policies, quotas and places in the tree.

Source: Kueue pkg/cache/scheduler (clusterqueue.go, cohort.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from raysail.api import selectors
from raysail.api.kueue import ClusterQueue as ClusterQueueObject
from raysail.api.kueue import Cohort as CohortObject
from raysail.api.kueue import ResourceFlavor as ResourceFlavorObject
from raysail.api.quantity import NANO, parse_nano
from raysail.queue.model.quota import Amounts, CohortNode, FlavorResource, Journal, Quota, QuotaNode
from raysail.queue.model.requests import to_amount
from raysail.queue.model.usage_ledger import USAGE_BASED
from raysail.queue.model.workload import WorkloadInfo, is_admitted

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
