"""Admission fair sharing: what each LocalQueue used lately, so that among those of one ClusterQueue the one that used least goes first.

Use fades with a half-life. Between two samples an admission counts at once as a penalty, so that nobody can be admitted many times before his use
shows; when the workload is admitted its penalty becomes use. Amounts are exact (billionths). Pure: times are given in seconds.
Source: Kueue pkg/util/admissionfairsharing, pkg/cache/queue/afs, pkg/controller/core (localqueue_controller.go, workload_controller.go).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from raysail.api.quantity import NANO
from raysail.queue.model.quota import Amounts
from raysail.queue.model.workload import PodSetRequests

Nanos = dict[str, int]
"""Resource name to billionths of its unit."""

USAGE_BASED: Final = "UsageBasedAdmissionFairSharing"


@dataclass(frozen=True, slots=True)
class AdmissionFairSharing:
    """Order between LocalQueues of one ClusterQueue by what they used. Weights per resource; 1 where none is given."""

    usage_half_life_seconds: float = 0
    usage_sampling_interval_seconds: float = 300
    resource_weights: Mapping[str, float] = field(default_factory=dict)


def faded(elapsed_seconds: float, half_life_seconds: float) -> float:
    """How much of old use is gone after that time: 0 to 1. Without a half-life nothing fades (and nothing is kept)."""
    return 0.0 if half_life_seconds == 0 else 1.0 - math.pow(0.5, elapsed_seconds / half_life_seconds)


def scaled(amounts: Mapping[str, int], factor: float) -> Nanos:
    """Each amount times the factor, as its shortest decimal, rounded towards zero."""
    exact = Fraction(repr(factor))
    return {name: _truncated(value * exact.numerator, exact.denominator) for name, value in amounts.items()}


def _truncated(numerator: int, denominator: int) -> int:
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def summed(a: Mapping[str, int], b: Mapping[str, int]) -> Nanos:
    """The sum by resource."""
    total = dict(a)
    for name, value in b.items():
        total[name] = total.get(name, 0) + value
    return total


def decayed(before: Mapping[str, int], now_used: Mapping[str, int], elapsed_seconds: float, half_life_seconds: float) -> Nanos:
    """The moving average: what was used before fades, what is used now comes in."""
    alpha = faded(elapsed_seconds, half_life_seconds)
    return summed(scaled(before, 1 - alpha), scaled(now_used, alpha))


def requests_of(pod_sets: Iterable[PodSetRequests], covered: Set[str] | None = None) -> Nanos:
    """All that pod sets ask for, by resource; only of these resources, where they are given."""
    total: Nanos = {}
    for pod_set in pod_sets:
        for name, amount in pod_set.requests.items():
            if covered is None or name in covered:
                total[name] = total.get(name, 0) + nanos(name, amount)
    return total


def nanos(resource: str, amount: int) -> int:
    """The planner's amount (cpu in milli, the rest in units) in billionths."""
    return amount * (NANO // 1000 if resource == "cpu" else NANO)


def used_by(amounts: Amounts) -> Nanos:
    """Amounts per flavor and resource, by resource."""
    total: Nanos = {}
    for (_, resource), amount in amounts.items():
        total[resource] = total.get(resource, 0) + nanos(resource, amount)
    return total


def weighted_usage(
    consumed: Mapping[str, int], penalty: Mapping[str, int], queue_weight: float, resource_weights: Mapping[str, float]
) -> float:
    """One number for the use of a LocalQueue. Infinite for a weight of zero or less: such a queue comes last."""
    if queue_weight <= 0:
        return math.inf
    total = summed(consumed, penalty)
    usage = sum(resource_weights.get(name, 1.0) * (total[name] / NANO) for name in sorted(total))
    return usage / queue_weight


class UsageEntry:
    """What is known of one LocalQueue."""

    __slots__ = ("consumed", "last_update", "penalties", "seeded")

    def __init__(self, consumed: Nanos, last_update: float, *, seeded: bool) -> None:
        self.consumed = consumed
        self.last_update = last_update
        self.penalties: dict[str, Nanos] = {}
        """By workload, so that counting twice changes nothing and taking back is exact."""
        self.seeded = seeded
        """Whether the status of the LocalQueue, from before a restart, is counted in."""

    def pending(self) -> Nanos:
        """All penalties that are not use yet, without zeros."""
        total: Nanos = {}
        for penalty in self.penalties.values():
            total = summed(total, penalty)
        return {name: value for name, value in total.items() if value}


class UsageLedger:
    """The use of all LocalQueues (namespace/name). `weights` are their fair-sharing weights; 1 where none is known."""

    def __init__(self, rules: AdmissionFairSharing) -> None:
        self.rules = rules
        self.entries: dict[str, UsageEntry] = {}
        self.weights: dict[str, float] = {}

    def usage(self, local: str) -> float:
        """By what its workloads are ordered: smaller goes first."""
        entry = self.entries.get(local)
        consumed, penalty = (entry.consumed, entry.pending()) if entry is not None else ({}, {})
        return weighted_usage(consumed, penalty, self.weights.get(local, 1.0), self.rules.resource_weights)

    def penalize(self, local: str, workload: str, requests: Mapping[str, int], now: float) -> None:
        """The workload reserved quota: it counts until it is admitted. Again for the same workload replaces the first."""
        entry = self.entries.get(local)
        if entry is None:
            entry = self.entries[local] = UsageEntry({}, now, seeded=False)
        alpha = faded(self.rules.usage_sampling_interval_seconds, self.rules.usage_half_life_seconds)
        entry.penalties[workload] = scaled(requests, alpha)

    def forgive(self, local: str, workload: str) -> None:
        """The workload will never be admitted under this reservation."""
        entry = self.entries.get(local)
        if entry is not None:
            entry.penalties.pop(workload, None)

    def settle(self, local: str, workload: str, used: Mapping[str, int], now: float) -> None:
        """The workload is admitted: its penalty becomes use. `used` is what the LocalQueue's admitted workloads use now."""
        entry = self.entries.get(local)
        if entry is None:
            entry = self.entries[local] = UsageEntry({}, now, seeded=False)
        self._advance(entry, used, now)
        entry.consumed = summed(entry.consumed, entry.penalties.pop(workload, {}))

    def sample(self, local: str, used: Mapping[str, int], now: float) -> None:
        """A sampling interval is over (or there are penalties to show)."""
        entry = self.entries[local]
        if self.rules.usage_half_life_seconds == 0:
            entry.consumed, entry.last_update = {}, now
        else:
            self._advance(entry, used, now)

    def due_in(self, local: str, now: float) -> float:
        """Seconds until the next sample; 0 or less: now."""
        entry = self.entries.get(local)
        if entry is None or entry.pending():
            return 0.0
        return self.rules.usage_sampling_interval_seconds - (now - entry.last_update)

    def seed(self, local: str, recorded: Nanos, now: float) -> bool:
        """Counts in, once, what the status of the LocalQueue says. True where it was known before."""
        entry = self.entries.get(local)
        if entry is None:
            self.entries[local] = UsageEntry(dict(recorded), now, seeded=True)
            return False
        if not entry.seeded:
            entry.consumed, entry.seeded = summed(entry.consumed, recorded), True
        return True

    def drop(self, local: str) -> None:
        """The LocalQueue is gone, and its history with it."""
        self.entries.pop(local, None)
        self.weights.pop(local, None)

    def _advance(self, entry: UsageEntry, used: Mapping[str, int], now: float) -> None:
        # a clock that goes back must not turn the average inside out
        elapsed = max(0.0, now - entry.last_update)
        entry.consumed = decayed(entry.consumed, used, elapsed, self.rules.usage_half_life_seconds)
        entry.last_update = max(now, entry.last_update)
