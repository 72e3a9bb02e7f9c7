"""Workloads that hold quota and are planned once more: their topology was to be chosen after the checks, or a node of theirs failed.

Each waits a little before its turn, longer each time (1, 2, 4, ... 30 seconds). Source: Kueue pkg/cache/queue/second_pass_queue.go, manager.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raysail.api import conditions
from raysail.api.kueue import TopologyAssignment, Workload
from raysail.queue.model.workload import WorkloadInfo, has_reservation, is_admitted, is_finished, is_on_hold

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 30.0
HOSTNAME: Final = "kubernetes.io/hostname"


def needs_second_pass(obj: Workload) -> bool:
    """Whether it holds quota but its topology is missing, or names a node that failed."""
    if is_finished(obj) or not has_reservation(obj) or obj.status.admission is None:
        return False
    if conditions.is_true(obj.status.conditions, "Evicted") or is_on_hold(obj):
        return False
    return _waits_for_topology(obj) or on_unhealthy_node(obj)


def topology_pending(obj: Workload) -> bool:
    """Whether some pod set gets its topology only after the checks."""
    admission = obj.status.admission
    return admission is not None and any(
        given.topology_assignment is None and given.delayed_topology_request == "Pending" for given in admission.pod_set_assignments
    )


def _waits_for_topology(obj: Workload) -> bool:
    checks = obj.status.admission_checks or ()
    return bool(checks) and all(check.state == "Ready" for check in checks) and topology_pending(obj) and not is_admitted(obj)


def on_unhealthy_node(obj: Workload) -> bool:
    """Whether it is admitted and its topology assignment contains a node that is known to have failed."""
    unhealthy = {node.name for node in obj.status.unhealthy_nodes or ()}
    admission = obj.status.admission
    if not unhealthy or admission is None or not is_admitted(obj):
        return False
    return any(
        not unhealthy.isdisjoint(lowest_values(given.topology_assignment))
        for given in admission.pod_set_assignments
        if given.topology_assignment is not None
    )


def assigned_nodes(obj: Workload) -> set[str]:
    """Names of the nodes on which an admitted workload's Pods are to run; none where the lowest level is not the host."""
    admission = obj.status.admission
    if admission is None or not is_admitted(obj):
        return set()
    return {
        value
        for given in admission.pod_set_assignments
        if given.topology_assignment is not None and given.topology_assignment.levels[-1:] == [HOSTNAME]
        for value in lowest_values(given.topology_assignment)
    }


def lowest_values(assignment: TopologyAssignment) -> Iterator[str]:
    """The lowest level's value of each domain that holds Pods."""
    for part in assignment.slices:
        counts = part.pod_counts
        values = part.values_per_level[-1]
        for at in range(part.domain_count):
            pods = counts.universal if counts.universal is not None else (counts.individual or [])[at]
            if not pods:
                continue
            if values.universal is not None:
                yield values.universal
            elif values.individual is not None:
                yield f"{values.individual.prefix or ''}{values.individual.roots[at]}{values.individual.suffix or ''}"


class SecondPass:
    """Those that wait for their second pass. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, WorkloadInfo]] = {}

    def put(self, info: WorkloadInfo, now: float) -> bool:
        """Lines it up if it needs a second pass. A workload that waits already keeps its turn, with its newest version."""
        known = self._waiting.get(info.key)
        if not needs_second_pass(info.obj):
            if info.second_pass:  # the first time is given time: the checks' states may come one after the other
                self.discard(info.key)
            return False
        if known is not None:
            info.second_pass = known[1].second_pass
            self._waiting[info.key] = known[0], info
            return False
        self._waiting[info.key] = now + delay_seconds(info.second_pass), info
        return True

    def take_ready(self, now: float) -> list[WorkloadInfo]:
        """Those whose time has come, first come first; each counts one attempt more."""
        ready = sorted((due, key) for key, (due, _) in self._waiting.items() if due <= now)
        taken = []
        for _, key in ready:
            info = self._waiting.pop(key)[1]
            if needs_second_pass(info.obj):
                info.second_pass += 1
                taken.append(info)
        return taken

    def discard(self, key: str) -> None:
        """It needs none any more."""
        self._waiting.pop(key, None)

    def next_due(self) -> float | None:
        """When the next one's time comes."""
        return min((due for due, _ in self._waiting.values()), default=None)

    def __len__(self) -> int:
        return len(self._waiting)


def delay_seconds(attempt: int) -> float:
    """How long the attempt of that number (from 0) waits."""
    return float(min(FIRST_DELAY_SECONDS * 2**attempt, LONGEST_DELAY_SECONDS))
