"""One head of a queue on its way through a round, and the rules about it: order, and what it keeps from others while it waits.

Source: Kueue pkg/scheduler/scheduler.go (entry, makeClassicalIterator, resourcesToReserve).
"""

from __future__ import annotations

from typing import Final

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.quota import Amounts, plus
from raysail.queue.model.workload import WorkloadInfo, has_reservation
from raysail.queue.pending.queues import Requeue
from raysail.queue.planner.assignment import Assignment, Mode
from raysail.queue.planner.preemption import Victim

PENDING_EVALUATION: Final = "PendingEvaluation"
WAITING_FOR_QUOTA: Final = "WaitingForQuota"
WAITING_FOR_PREEMPTED: Final = "WaitingForPreemptedWorkloads"
MISCONFIGURED: Final = "Misconfigured"
SUSPENDED: Final = "Suspended"
ADMISSION_GATED: Final = "AdmissionGated"


class Entry:
    """One head on its way through a round."""

    __slots__ = ("assignment", "gated", "info", "is_preemptor", "message", "queue", "reason", "requeue", "status", "victims")

    def __init__(self, info: WorkloadInfo, queue: ClusterQueue, *, is_preemptor: bool = False) -> None:
        self.info = info
        self.queue = queue
        self.assignment: Assignment | None = None
        self.victims: list[Victim] = []
        self.status = ""
        """Empty (looked at, not admitted), skipped, gated, assumed, evicted or blocked."""
        self.reason = ""
        self.message = ""
        self.requeue = Requeue.GENERIC
        self.gated = False
        self.is_preemptor = is_preemptor
        """Whether others are being preempted for it."""

    def record(self, assignment: Assignment, victims: list[Victim]) -> None:
        """Keeps what nomination found; the flavor scan goes on from there the next time."""
        self.assignment = assignment
        self.victims = victims
        self.message = assignment.message()
        self.info.last_scan = assignment.scan

    @property
    def mode(self) -> Mode:
        """The mode of the assignment."""
        return self.assignment.mode() if self.assignment is not None else Mode.NO_FIT

    def net_usage(self) -> Amounts:
        """What admission would add: nothing for a workload that holds its quota already."""
        return {} if self.assignment is None or has_reservation(self.info.obj) else self.assignment.usage

    def skip(self, message: str, reason: str = WAITING_FOR_QUOTA, *, keep_scan: bool = True) -> None:
        """Passes for this round, because of what others did in it."""
        self.status = "skipped"
        self.message = message
        self.reason = reason
        if not keep_scan:
            self.info.last_scan = None

    def issued(self, preempted: int, failed: int = 0) -> None:
        """Victims were told to go, or could not be told. All flavors are looked at anew next time."""
        self.info.last_scan = None
        if preempted:
            self.message += f". Pending the preemption of {preempted} workload(s)"
            self.requeue = Requeue.PENDING_PREEMPTION
        elif failed:
            self.message += f". Preempting {failed} workload(s) failed, will retry."
            self.requeue = Requeue.PREEMPTION_FAILED


def classical_order(entry: Entry, *, preemptors_first: bool = False, by_priority: bool = True) -> tuple[object, ...]:
    """Sort key: second passes first, (then those others are preempted for,) then not borrowing before borrowing, priority, age."""
    info = entry.info
    return (
        not has_reservation(info.obj),
        preemptors_first and not entry.is_preemptor,
        entry.assignment.borrowing if entry.assignment is not None else 0,
        -info.priority if by_priority else 0,
        info.ordered_since,
        info.uid,
    )


def to_reserve(entry: Entry) -> Amounts:
    """What a workload that waits for quota without victims keeps from others in this round: up to its nominal quota or borrowing limit."""
    if entry.assignment is None or has_reservation(entry.info.obj):
        return {}
    usage = entry.assignment.usage
    if entry.mode is not Mode.PREEMPT:
        return usage
    reserved: Amounts = {}
    for key, amount in usage.items():
        quota = entry.queue.quota(key)
        used = entry.queue.usage.get(key, 0)
        if entry.assignment.borrowing > 0:
            limit = quota.borrowing_limit
            reserved[key] = amount if limit is None else min(amount, plus(quota.nominal, limit) - used)
        else:
            reserved[key] = max(0, min(amount, quota.nominal - used))
    return reserved
