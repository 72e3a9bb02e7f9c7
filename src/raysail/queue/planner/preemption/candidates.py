"""Who may be preempted, in which order. Source: Kueue pkg/scheduler/preemption/common and classical/candidate_generator.go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raysail.queue.model.cluster_queue import NEVER, ClusterQueue
from raysail.queue.model.quota import Amounts, CohortNode, FlavorResource
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World

IN_CLUSTER_QUEUE = "InClusterQueue"
IN_COHORT_RECLAMATION = "InCohortReclamation"
IN_COHORT_FAIR_SHARING = "InCohortFairSharing"
IN_COHORT_RECLAIM_WHILE_BORROWING = "InCohortReclaimWhileBorrowing"

REASON_TEXTS = {
    IN_CLUSTER_QUEUE: "prioritization in the ClusterQueue",
    IN_COHORT_RECLAMATION: "reclamation within the cohort",
    IN_COHORT_FAIR_SHARING: "Fair Sharing within the cohort",
    IN_COHORT_RECLAIM_WHILE_BORROWING: "reclamation within the cohort while borrowing",
}


def allows_anybody(policy: str) -> bool:
    """Whether the policy lets anybody be preempted; one that is not set does not."""
    return policy not in (NEVER, "")


def satisfies_policy(preemptor: WorkloadInfo, candidate: WorkloadInfo, policy: str) -> bool:
    """Whether the policy lets the one preempt the other."""
    if policy == "Any":
        return True
    if policy not in ("LowerPriority", "LowerOrNewerEqualPriority"):
        return False
    if preemptor.priority > candidate.priority:
        return True
    newer = preemptor.priority == candidate.priority and preemptor.ordered_since < candidate.ordered_since
    return policy == "LowerOrNewerEqualPriority" and newer


def order_of(candidate: WorkloadInfo, queue: str, now: float, *, by_usage: bool) -> tuple[Any, ...]:
    """Sort key: evicted ones first, other queues' first, (heavier LocalQueues first), lower priority first, latest reservation first, UID."""
    usage = candidate.local_queue_usage if by_usage else None
    return (
        not candidate.is_evicted(),
        candidate.cluster_queue == queue,
        -usage if usage is not None else 0.0,
        candidate.priority,
        -candidate.reserved_since(now),
        candidate.uid,
    )


class Candidate:
    """A workload that may be preempted, why, and (for another queue's) the cohort in which preemptor and victim meet."""

    __slots__ = ("info", "meeting", "only_without_borrowing", "reason")

    def __init__(self, info: WorkloadInfo, reason: str, meeting: CohortNode | None = None, *, only_without_borrowing: bool = False) -> None:
        self.info = info
        self.reason = reason
        self.meeting = meeting
        self.only_without_borrowing = only_without_borrowing


class CandidateSearch:
    """Candidates of classical preemption for one workload: same queue, by advantage in the hierarchy, by priority in the cohort."""

    def __init__(self, world: World, preemptor: WorkloadInfo, queue: ClusterQueue, wanted: set[FlavorResource], usage: Amounts) -> None:
        self.world = world
        self.preemptor = preemptor
        self.queue = queue
        self.wanted = wanted
        self.same_queue: list[Candidate] = []
        self.hierarchical: list[Candidate] = []
        self.by_priority: list[Candidate] = []
        if allows_anybody(queue.preemption.within_cluster_queue):
            self._collect(queue, None, advantage=False, into=self.same_queue)
        if queue.parent is not None and allows_anybody(queue.preemption.reclaim_within_cohort):
            self._search_cohorts(usage)

    def ordered(self, now: float, *, by_usage: bool) -> list[Candidate]:
        """All of them: first those already on their way out; each time the hierarchy's, then the cohort's, then the queue's own."""
        parts = [
            sorted(found, key=lambda candidate: order_of(candidate.info, self.queue.name, now, by_usage=by_usage))
            for found in (self.hierarchical, self.by_priority, self.same_queue)
        ]
        leaving = [candidate for part in parts for candidate in part if candidate.info.is_evicted()]
        staying = [candidate for part in parts for candidate in part if not candidate.info.is_evicted()]
        return leaving + staying

    def _search_cohorts(self, usage: Amounts) -> None:
        advantage, remaining = self.queue.fits_in_quota(usage)
        before: CohortNode | None = None
        for cohort in self.queue.ancestors():
            self._search_subtree(cohort, cohort, before, advantage=advantage)
            fits, remaining = cohort.fits_in_quota(remaining)
            advantage = advantage or fits
            before = cohort

    def _search_subtree(self, cohort: CohortNode, meeting: CohortNode, skip: CohortNode | None, *, advantage: bool) -> None:
        for child in cohort.child_cohorts.values():
            if child is not skip and not child.within_nominal(self.wanted):
                self._search_subtree(child, meeting, skip, advantage=advantage)
        for member in cohort.member_nodes.values():
            if member is self.queue or not isinstance(member, ClusterQueue) or not self.world.usable(member):
                continue
            if not member.within_nominal(self.wanted):
                self._collect(member, meeting, advantage=advantage, into=self.hierarchical if advantage else self.by_priority)

    def _collect(self, queue: ClusterQueue, meeting: CohortNode | None, *, advantage: bool, into: list[Candidate]) -> None:
        rules = self.queue.preemption
        own = queue is self.queue
        policy = rules.within_cluster_queue if own else rules.reclaim_within_cohort
        for info in queue.workloads.values():
            if not info.uses(self.wanted) or not satisfies_policy(self.preemptor, info, policy):
                continue
            if own:
                into.append(Candidate(info, IN_CLUSTER_QUEUE))
            elif advantage:
                into.append(Candidate(info, IN_COHORT_RECLAMATION, meeting))
            elif rules.borrow_within_cohort == NEVER or self._above_threshold(info):
                into.append(Candidate(info, IN_COHORT_RECLAMATION, meeting, only_without_borrowing=True))
            else:
                into.append(Candidate(info, IN_COHORT_RECLAIM_WHILE_BORROWING, meeting))

    def _above_threshold(self, info: WorkloadInfo) -> bool:
        threshold = self.queue.preemption.max_priority_threshold
        return info.priority >= self.preemptor.priority or (threshold is not None and info.priority > threshold)

    def still_valid(self, candidate: Candidate, *, borrowing: bool) -> bool:
        """Whether it may (still) be preempted: others gone before may have brought its queue back within its quota."""
        queue = self.world.cluster_queues[candidate.info.cluster_queue]
        if queue is self.queue:
            return True
        if borrowing and candidate.only_without_borrowing:
            return False
        if queue.within_nominal(self.wanted):
            return False
        for cohort in queue.ancestors():
            if cohort is candidate.meeting:
                return True
            if cohort.within_nominal(self.wanted):
                return False
        return True


def candidates_by_policy(world: World, preemptor: WorkloadInfo, queue: ClusterQueue, wanted: set[FlavorResource]) -> list[WorkloadInfo]:
    """Candidates of fair sharing: of the own queue and of all borrowing queues of the tree, as the policies allow."""
    found: list[WorkloadInfo] = []
    rules = queue.preemption

    def collect(workloads: Iterable[WorkloadInfo], policy: str) -> None:
        found.extend(info for info in workloads if satisfies_policy(preemptor, info, policy) and info.uses(wanted))

    if allows_anybody(rules.within_cluster_queue):
        collect(queue.workloads.values(), rules.within_cluster_queue)
    root = queue.root()
    if isinstance(root, CohortNode) and allows_anybody(rules.reclaim_within_cohort):
        for member in root.subtree_members():
            if member is queue or not isinstance(member, ClusterQueue) or not member.workloads or not world.usable(member):
                continue
            if any(member.borrowing(key) for key in wanted):
                collect(member.workloads.values(), rules.reclaim_within_cohort)
    return found
