"""Preemption by fair sharing: take from those with the highest share, as long as that makes shares more equal.

Source: Kueue pkg/scheduler/preemption/preemption.go (fairPreemptions) and fairsharing/ordering.go, strategy.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.fairness import Share, nobody, share_of
from raysail.queue.model.quota import CohortNode, QuotaNode
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World
from raysail.queue.planner.preemption.candidates import order_of

FINAL_SHARE = "LessThanOrEqualToFinalShare"
INITIAL_SHARE = "LessThanInitialShare"
DEFAULT_STRATEGIES = (FINAL_SHARE, INITIAL_SHARE)


def strategy_allows(strategy: str, preemptor_new: Share, target_old: Share, target_new: Share) -> bool:
    """Whether taking the workload is fair under that strategy."""
    if strategy == FINAL_SHARE:
        return preemptor_new.compare(target_new) <= 0
    return preemptor_new.compare(target_old) < 0


class TargetQueues:
    """Yields the queue to take from next: from the root down always the child with the highest share.

    Between two steps the caller pops a workload of the yielded queue (and may take it out of the world) or drops the queue; nothing else moves.
    """

    def __init__(self, world: World, preemptor_queue: ClusterQueue, candidates: Sequence[WorkloadInfo], now: float) -> None:
        self._world = world
        self._queue = preemptor_queue
        self._now = now
        self._path = {id(cohort) for cohort in preemptor_queue.ancestors()}
        self._left: dict[str, list[WorkloadInfo]] = {}
        for candidate in candidates:
            self._left.setdefault(candidate.cluster_queue, []).append(candidate)
        self._pruned_queues: set[str] = set()
        self._pruned_cohorts: set[int] = set()
        self._members: dict[int, list[ClusterQueue]] = {}
        """Of each cohort, by identity: the queues directly below that have candidates."""
        self._shares: dict[str, Share] = {}
        """Shares of queues from which nothing was taken since they were read."""

    def __iter__(self) -> Iterator[ClusterQueue]:
        root = self._queue.root()
        if not isinstance(root, CohortNode):
            while self._queue.name not in self._pruned_queues and self.has_workload(self._queue):
                yield self._queue
            return
        while id(root) not in self._pruned_cohorts:
            target = self._next(root)
            if target is not None:
                yield target

    def has_workload(self, queue: ClusterQueue) -> bool:
        """Whether candidates of it are left."""
        return bool(self._left.get(queue.name))

    def pop(self, queue: ClusterQueue) -> WorkloadInfo:
        """Its next candidate."""
        self._shares.pop(queue.name, None)
        return self._left[queue.name].pop(0)

    def drop(self, queue: ClusterQueue) -> None:
        """No more of this queue."""
        self._pruned_queues.add(queue.name)

    def shares(self, target: ClusterQueue) -> tuple[Share, Share]:
        """Of preemptor and target, just below where their paths to the root meet."""
        meeting = next(cohort for cohort in target.ancestors() if id(cohort) in self._path)
        return share_of(_below(self._queue, meeting)), share_of(_below(target, meeting))

    def share_without(self, target: ClusterQueue, info: WorkloadInfo) -> Share:
        """The target's share there once that workload is gone."""
        meeting = next(cohort for cohort in target.ancestors() if id(cohort) in self._path)
        mark = self._world.removed([info])
        share = share_of(_below(target, meeting))
        self._world.journal.undo(mark)
        return share

    def _next(self, cohort: CohortNode) -> ClusterQueue | None:
        best_queue, queue_share = self._highest_queue(cohort)
        best_cohort: CohortNode | None = None
        cohort_share = nobody()
        for child in cohort.child_cohorts.values():
            if id(child) in self._pruned_cohorts:
                continue
            share = share_of(child)
            if not share.borrowing and id(child) not in self._path:
                self._pruned_cohorts.add(id(child))
            elif share.compare(cohort_share) >= 0:
                best_cohort, cohort_share = child, share
        if best_queue is None and best_cohort is None:
            self._pruned_cohorts.add(id(cohort))
            return None
        if best_cohort is not None and cohort_share.compare(queue_share) >= 0:
            return self._next(best_cohort)
        return best_queue

    def _highest_queue(self, cohort: CohortNode) -> tuple[ClusterQueue | None, Share]:
        best: ClusterQueue | None = None
        highest = nobody()
        members = self._members.get(id(cohort))
        if members is None:
            members = self._members[id(cohort)] = [
                each for each in cohort.member_nodes.values() if isinstance(each, ClusterQueue) and each.name in self._left
            ]
        for member in members:
            name = member.name
            if name in self._pruned_queues:
                continue
            if not self._left[name]:
                self._pruned_queues.add(name)
                continue
            share = self._shares.get(name)
            if share is None:
                share = self._shares[name] = share_of(member)
            if not share.borrowed and member is not self._queue:
                self._pruned_queues.add(name)
                continue
            order = share.compare(highest)
            if order > 0 or (order == 0 and best is not None and self._order(member) < self._order(best)):
                best, highest = member, share
        return best, highest

    def _order(self, queue: ClusterQueue) -> tuple[object, ...]:
        return order_of(self._left[queue.name][0], self._queue.name, self._now, by_usage=False)


def _below(queue: ClusterQueue, meeting: CohortNode) -> QuotaNode:
    node: QuotaNode = queue
    for ancestor in queue.ancestors():
        if ancestor is meeting:
            break
        node = ancestor
    return node


def hopeless(preemptor_new: Share, target_old: Share) -> bool:
    """Whether no strategy can pass: a preemptor of weight zero that borrows, against a target that is none such."""
    return math.isinf(preemptor_new.weighted) and not math.isinf(target_old.weighted)
