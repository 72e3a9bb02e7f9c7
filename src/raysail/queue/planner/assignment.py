"""The outcome of trying to give a workload flavors: what each pod set would get, in which mode, and why not.

Texts are Kueue's: people and clients read them. Source: pkg/scheduler/flavorassigner/flavorassigner.go and flavor_assigner_attempts.go.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from raysail.api.quantity import format_amount
from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.quota import UNLIMITED, Amounts
from raysail.queue.model.workload import FlavorScan, WorkloadInfo
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.world import DomainUse


class Mode(IntEnum):
    """Whether an assignment can be had now; from worst to best."""

    NO_FIT = 0
    PREEMPT = 1
    DEFERRED_FIT = 2
    FIT = 3

    @property
    def text(self) -> str:
        """Kueue's word for it."""
        return ("NoFit", "Preempt", "DeferredFit", "Fit")[self.value]


class NoFit:
    """Reasons of QuotaReserved=False when flavors could not be assigned; SEVERITY orders them."""

    NO_MATCHING_FLAVOR = "NoMatchingFlavor"
    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    TOPOLOGY_PLACEMENT_FAILED = "TopologyPlacementFailed"


SEVERITY = {"": 0, NoFit.TOPOLOGY_PLACEMENT_FAILED: 1, NoFit.WAITING_FOR_QUOTA: 2, NoFit.EXCEEDS_MAX_QUOTA: 3, NoFit.NO_MATCHING_FLAVOR: 4}


def most_severe(a: str, b: str) -> str:
    """The reason that is harder to overcome."""
    return a if SEVERITY.get(a, 0) >= SEVERITY.get(b, 0) else b


class FlavorAssignment:
    """One resource of one pod set: the flavor, its mode, how far it borrows, and where the scan stopped (-1: at the last flavor)."""

    __slots__ = ("borrow", "flavor", "mode", "tried")

    def __init__(self, flavor: str, mode: Mode, borrow: int = 0, tried: int = 0) -> None:
        self.flavor = flavor
        self.mode = mode
        self.borrow = borrow
        self.tried = tried


class Attempt:
    """What came of one flavor. `possibility` is None, NoCandidates, Preempt or Reclaim."""

    __slots__ = ("borrow", "flavor", "mode", "no_fit_reason", "possibility", "reasons")

    def __init__(
        self,
        flavor: str,
        mode: Mode,
        borrow: int = 0,
        possibility: str | None = None,
        reasons: list[str] | None = None,
        no_fit_reason: str = "",
    ) -> None:
        self.flavor = flavor
        self.mode = mode
        self.borrow = borrow
        self.possibility = possibility
        self.reasons = sorted(reasons or ())
        self.no_fit_reason = no_fit_reason


POSSIBILITY_ORDER = {"NoCandidates": 0, "Preempt": 1, "Reclaim": 2}


class PodSetAssignment:
    """What one pod set would get. No `reasons` and no `error`: it fits."""

    __slots__ = ("attempts", "count", "delayed", "error", "flavors", "name", "reasons", "requests", "topology")

    def __init__(self, name: str, count: int, requests: dict[str, int]) -> None:
        self.name = name
        self.count = count
        self.requests = requests
        self.flavors: dict[str, FlavorAssignment] = {}
        self.reasons: list[str] = []
        self.error = ""
        self.attempts: list[Attempt] = []
        self.topology: TopologyAssignment | None = None
        self.delayed = ""
        """Pending: places are found once the admission checks are ready. Ready: they were."""

    @property
    def fits(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons and not self.error

    def mode(self) -> Mode:
        """The worst over its resources."""
        if self.fits:
            return Mode.FIT
        if self.error or not self.flavors:
            return Mode.NO_FIT
        return min(given.mode for given in self.flavors.values())


class Assignment:
    """What a workload would get, for all its pod sets."""

    __slots__ = ("borrowing", "by_hostname_prefix", "fixed_mode", "no_fit_reason", "pod_sets", "replaced", "scan", "usage", "uses")

    def __init__(self, scan: FlavorScan, replaced: WorkloadInfo | None = None) -> None:
        self.pod_sets: list[PodSetAssignment] = []
        self.borrowing = 0
        """How far up the cohorts it has to borrow; 0: not at all."""
        self.usage: Amounts = {}
        self.uses: list[DomainUse] = []
        """What it takes of the topology beyond what the workload holds already."""
        self.by_hostname_prefix = True
        """How topology assignments are written: by runs of host names with a common prefix."""
        self.scan = scan
        self.fixed_mode: Mode | None = None
        self.no_fit_reason = ""
        self.replaced = replaced

    def mode(self) -> Mode:
        """The worst over the pod sets."""
        if not self.pod_sets:
            return Mode.NO_FIT
        if self.fixed_mode is not None:
            return self.fixed_mode
        return min(pod_set.mode() for pod_set in self.pod_sets)

    def fix_mode(self, mode: Mode) -> None:
        """Declares the mode for everything in it."""
        self.fixed_mode = mode
        for pod_set in self.pod_sets:
            for given in pod_set.flavors.values():
                given.mode = mode

    def message(self) -> str:
        """Why it cannot be had at once; empty when it can."""
        parts = []
        for pod_set in self.pod_sets:
            if pod_set.fits:
                continue
            if pod_set.error:
                return f"failed to assign flavors to pod set {pod_set.name}: {pod_set.error}"
            parts.append(f"couldn't assign flavors to pod set {pod_set.name}: {', '.join(sorted(pod_set.reasons))}")
        return "; ".join(parts)

    def needing_preemption(self) -> set[tuple[str, str]]:
        """Flavors and resources that are not free yet."""
        return {
            (given.flavor, resource)
            for pod_set in self.pod_sets
            for resource, given in pod_set.flavors.items()
            if given.mode is Mode.PREEMPT
        }

    def total_requests(self) -> Amounts:
        """All that the workload needs under this assignment (with a slice that it replaces: the difference)."""
        total: Amounts = {}
        for at, given in enumerate(self.pod_sets):
            before = self.replaced.pod_sets[at].requests if self.replaced is not None and at < len(self.replaced.pod_sets) else {}
            for resource, amount in given.requests.items():
                if amount and resource in given.flavors:
                    key = given.flavors[resource].flavor, resource
                    total[key] = total.get(key, 0) + amount - before.get(resource, 0)
        return total

    def to_admission(self, cluster_queue: str) -> dict[str, Any]:
        """status.admission as the API stores it."""
        assigned = []
        for pod_set in self.pod_sets:
            given: dict[str, Any] = {
                "name": pod_set.name,
                "flavors": {resource: chosen.flavor for resource, chosen in sorted(pod_set.flavors.items())},
                "resourceUsage": {resource: quantity(resource, pod_set.requests.get(resource, 0)) for resource in sorted(pod_set.flavors)},
                "count": pod_set.count,
            }
            if pod_set.topology is not None:
                given["topologyAssignment"] = pod_set.topology.to_api(by_hostname_prefix=self.by_hostname_prefix)
            if pod_set.delayed:
                given["delayedTopologyRequest"] = pod_set.delayed
            assigned.append(given)
        return {"clusterQueue": cluster_queue, "podSetAssignments": assigned}

    def resolve_no_fit_reason(self, queue: ClusterQueue) -> None:
        """One reason for all: the best alternative within a resource group, the worst over groups and pod sets."""
        if self.mode() is not Mode.NO_FIT:
            return
        overall = ""
        for pod_set in self.pod_sets:
            if pod_set.mode() is not Mode.NO_FIT:
                continue
            if not pod_set.attempts:
                overall = most_severe(overall, NoFit.NO_MATCHING_FLAVOR)
                continue
            least: dict[int, str] = {}
            for at, attempt in enumerate(pod_set.attempts):
                if attempt.mode is not Mode.NO_FIT:
                    continue
                groups = [index for index, group in enumerate(queue.groups) if attempt.flavor in group.flavors] or [-1 - at]
                for index in groups:
                    if index not in least or SEVERITY.get(attempt.no_fit_reason, 0) < SEVERITY.get(least[index], 0):
                        least[index] = attempt.no_fit_reason
            for reason in least.values():
                overall = most_severe(overall, reason)
        self.no_fit_reason = overall

    def considered(self) -> str:
        """The tail of the event QuotaReserved: flavors that were not a plain fit."""
        texts = []
        for pod_set in self.pod_sets:
            tried = []
            for attempt in pod_set.attempts:
                if attempt.mode is Mode.FIT and not attempt.borrow:
                    continue
                parts = [f"preemptionMode={attempt.possibility}" if attempt.possibility else attempt.mode.text]
                if attempt.borrow:
                    parts.append(f"borrow={attempt.borrow}")
                tried.append(f"{attempt.flavor}({';'.join(parts + attempt.reasons)})")
            if tried:
                texts.append(f"{pod_set.name}: {', '.join(tried)}")
        return " | ".join(texts)


def quantity(resource: str, amount: int) -> str:
    """An amount as status shows it."""
    return format_amount(resource, amount)


def amount_text(resource: str, amount: int) -> str:
    """An amount of quota as messages show it; quota may be without limit."""
    return "<unlimited>" if amount >= UNLIMITED else format_amount(resource, amount)
