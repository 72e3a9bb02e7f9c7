"""Choosing the victims for one workload: as few as needed, in the order of the rules.

Classical: remove candidates in order until the workload fits, then put back, latest first, those that were not needed.
Source: Kueue pkg/scheduler/preemption/preemption.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from raysail.queue.model.cluster_queue import NEVER, ClusterQueue
from raysail.queue.model.fairness import Share, share_of
from raysail.queue.model.quota import Amounts, CohortNode, FlavorResource, height_of_lowest_fit
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World
from raysail.queue.pending.queues import local_key
from raysail.queue.planner.assignment import Assignment
from raysail.queue.planner.preemption.candidates import (
    IN_CLUSTER_QUEUE,
    IN_COHORT_FAIR_SHARING,
    IN_COHORT_RECLAMATION,
    CandidateSearch,
    allows_anybody,
    candidates_by_policy,
    order_of,
    satisfies_policy,
)
from raysail.queue.planner.preemption.fair import DEFAULT_STRATEGIES, INITIAL_SHARE, TargetQueues, hopeless, strategy_allows
from raysail.queue.topology.nominate import TopologyStep


class Victim(NamedTuple):
    """A workload that has to go, and why."""

    info: WorkloadInfo
    reason: str


class Preemptor:
    """Finds victims in a world. Leaves the world as it was."""

    def __init__(
        self, world: World, now: float, *, fair_strategies: tuple[str, ...] | None = None, admission_fair_sharing: bool = False
    ) -> None:
        self.world = world
        self.now = now
        self.fair_strategies = fair_strategies if fair_strategies is None else fair_strategies or DEFAULT_STRATEGIES
        """None: fair sharing is off."""
        self.admission_fair_sharing = admission_fair_sharing
        self._highest: dict[int, tuple[int, list[tuple[Share, str]]]] = {}

    def highest_shares(self, cohort: CohortNode) -> list[tuple[Share, str]]:
        """The two highest shares of ClusterQueues directly below, with their names; kept while no usage changes."""
        version, found = self._highest.get(id(cohort), (-1, []))
        if version != self.world.journal.version:
            found = []
            for name, member in cohort.member_nodes.items():
                share = share_of(member)
                if len(found) < 2 or share.compare(found[-1][0]) > 0:
                    found.append((share, name))
                    found.sort(key=lambda each: (each[0].outcast, each[0].ratio if each[0].outcast else each[0].weighted), reverse=True)
                    del found[2:]
            self._highest[id(cohort)] = self.world.journal.version, found
        return found

    def victims(self, info: WorkloadInfo, assignment: Assignment) -> list[Victim]:
        """Who has to go for this assignment; empty where nobody may or it would not help."""
        queue = self.world.cluster_queues[info.cluster_queue]
        step = TopologyStep(info, queue, self.world.topologies, self.world.flavors, self.world.check_controllers, assignment.replaced)
        requests = step.requests(assignment)
        placed = (lambda: not step.find(requests).failed) if requests else None
        return self._victims(info, assignment.needing_preemption(), assignment.total_requests(), placed)

    def simulate(self, info: WorkloadInfo, queue: ClusterQueue, key: FlavorResource, amount: int) -> tuple[str, int]:
        """What preemption could do for one flavor and resource: NoCandidates, Preempt or Reclaim; and how far it then borrows."""
        victims = self._victims(info, {key}, {key: amount})
        if not victims:
            return "NoCandidates", height_of_lowest_fit(queue, key, amount)[0]
        mark = self.world.removed([victim.info for victim in victims])
        borrow, _ = height_of_lowest_fit(queue, key, amount)
        self.world.journal.undo(mark)
        own = any(victim.info.cluster_queue == queue.name for victim in victims)
        return "Preempt" if own else "Reclaim", borrow

    def _victims(
        self, info: WorkloadInfo, wanted: set[FlavorResource], usage: Amounts, placed: Callable[[], bool] | None = None
    ) -> list[Victim]:
        search = _Search(self, info, self.world.cluster_queues[info.cluster_queue], wanted, usage, placed)
        mark = self.world.journal.mark()
        try:
            return search.classical() if self.fair_strategies is None else search.fair(self.fair_strategies)
        finally:
            self.world.journal.undo(mark)


class _Search:
    """One search. Works on the world; the caller undoes."""

    def __init__(
        self,
        owner: Preemptor,
        info: WorkloadInfo,
        queue: ClusterQueue,
        wanted: set[FlavorResource],
        usage: Amounts,
        placed: Callable[[], bool] | None,
    ) -> None:
        self.owner = owner
        self.world = owner.world
        self.now = owner.now
        ledger = owner.world.ledger
        self.by_usage = owner.admission_fair_sharing and ledger is not None and queue.usage_based
        if self.by_usage and ledger is not None:  # heavier LocalQueues of the own queue give way first
            usage_of = {local: ledger.usage(local) for local in {local_key(each) for each in queue.workloads.values()}}
            for each in queue.workloads.values():
                each.local_queue_usage = usage_of[local_key(each)]
        self.info = info
        self.queue = queue
        self.wanted = wanted
        self.usage = usage
        self.placed = placed
        """Whether topology has a place for it now; None: it needs none."""

    def classical(self) -> list[Victim]:
        search = CandidateSearch(self.world, self.info, self.queue, self.wanted, self.usage)
        candidates = search.ordered(self.now, by_usage=self.by_usage)
        borrowing_forbidden = self.queue.preemption.borrow_within_cohort == NEVER
        if not (search.hierarchical or search.by_priority) or (borrowing_forbidden and not self._under_nominal()):
            attempts = [True]
        elif borrowing_forbidden and not search.hierarchical:
            attempts = [False, True]
        else:
            attempts = [True, False]
        for borrowing in attempts:
            mark = self.world.journal.mark()
            victims: list[Victim] = []
            for candidate in candidates:
                if not search.still_valid(candidate, borrowing=borrowing):
                    continue
                self._remove(candidate.info)
                victims.append(Victim(candidate.info, candidate.reason))
                if self._fits(borrowing=borrowing):
                    victims = self._fill_back(victims, borrowing=borrowing)
                    self.world.journal.undo(mark)
                    return victims
            self.world.journal.undo(mark)
        return []

    def fair(self, strategies: tuple[str, ...]) -> list[Victim]:
        if self._all_are_poorer():
            return []
        candidates = candidates_by_policy(self.world, self.info, self.queue, self.wanted)
        if not candidates:
            return []
        candidates.sort(key=lambda candidate: order_of(candidate, self.queue.name, self.now, by_usage=self.by_usage))
        self.queue.add_all(self.usage)
        fits, victims, retry = self._first_strategy(candidates, strategies[0])
        if not fits and len(strategies) > 1:
            fits, victims = self._second_strategy(retry, victims)
        self.queue.remove_all(self.usage)
        return self._fill_back(victims, borrowing=True) if fits else []

    def _all_are_poorer(self) -> bool:
        """Whether no strategy can pass, seen without a search: all others of a flat cohort have a smaller share than it would have,
        it would borrow, and its own queue has nobody to take.
        """
        root = self.queue.parent
        if root is None or root.parent is not None or root.child_cohorts:
            return False
        policy = self.queue.preemption.within_cluster_queue
        if allows_anybody(policy) and any(satisfies_policy(self.info, each, policy) for each in self.queue.workloads.values()):
            return False
        highest = next((share for share, name in self.owner.highest_shares(root) if name != self.queue.name), None)
        mark = self.world.journal.mark()
        self.queue.add_all(self.usage)
        own = share_of(self.queue)
        borrows = any(self.queue.borrowing(key) for key in self.wanted)
        self.world.journal.undo(mark)
        return borrows and not own.outcast and (highest is None or own.compare(highest) > 0)

    def _first_strategy(self, candidates: list[WorkloadInfo], strategy: str) -> tuple[bool, list[Victim], list[WorkloadInfo]]:
        targets = TargetQueues(self.world, self.queue, candidates, self.now)
        victims: list[Victim] = []
        retry: list[WorkloadInfo] = []
        entitled = not any(self.queue.borrowing(key) for key in self.wanted)
        for target in targets:
            if target is self.queue or entitled:
                info = targets.pop(target)
                self._remove(info)
                victims.append(Victim(info, IN_CLUSTER_QUEUE if target is self.queue else IN_COHORT_RECLAMATION))
                if self._fits_beside_itself():
                    return True, victims, []
                continue
            preemptor_new, target_old = targets.shares(target)
            if hopeless(preemptor_new, target_old):
                while targets.has_workload(target):
                    retry.append(targets.pop(target))
                continue
            while targets.has_workload(target):
                info = targets.pop(target)
                if not strategy_allows(strategy, preemptor_new, target_old, targets.share_without(target, info)):
                    retry.append(info)
                    continue
                self._remove(info)
                victims.append(Victim(info, IN_COHORT_FAIR_SHARING))
                if self._fits_beside_itself():
                    return True, victims, []
                break  # shares have changed: another queue may be the next
        return False, victims, retry

    def _second_strategy(self, retry: list[WorkloadInfo], victims: list[Victim]) -> tuple[bool, list[Victim]]:
        targets = TargetQueues(self.world, self.queue, retry, self.now)
        for target in targets:
            if target is self.queue:
                targets.drop(target)
                continue
            preemptor_new, target_old = targets.shares(target)
            info = targets.pop(target)
            if strategy_allows(INITIAL_SHARE, preemptor_new, target_old, target_old):
                self._remove(info)
                victims.append(Victim(info, IN_COHORT_FAIR_SHARING))
                if self._fits_beside_itself():
                    return True, victims
            targets.drop(target)
        return False, victims

    def _fill_back(self, victims: list[Victim], *, borrowing: bool) -> list[Victim]:
        """Puts back, latest first, whom it does without. The last one stays: it made the workload fit."""
        for at in range(len(victims) - 2, -1, -1):
            self._put_back(victims[at].info)
            if self._fits(borrowing=borrowing):
                victims[at] = victims[-1]
                victims.pop()
            else:
                self._remove(victims[at].info)
        return victims

    def _fits(self, *, borrowing: bool) -> bool:
        for key, amount in self.usage.items():
            if not borrowing and self.queue.borrowing_with(key, amount):
                return False
            if amount > max(0, self.queue.available(key)):
                return False
        return self.placed is None or self.placed()

    def _fits_beside_itself(self) -> bool:
        """`_fits` while the incoming usage is counted, as it is during fair sharing."""
        mark = self.world.journal.mark()
        self.queue.remove_all(self.usage)
        fits = self._fits(borrowing=True)
        self.world.journal.undo(mark)
        return fits

    def _under_nominal(self) -> bool:
        return all(self.queue.quota(key).nominal > self.queue.usage.get(key, 0) for key in self.wanted)

    def _remove(self, info: WorkloadInfo) -> None:
        self.world.release(info)

    def _put_back(self, info: WorkloadInfo) -> None:
        self.world.take(info)
