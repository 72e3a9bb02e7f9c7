"""The scheduling cycle: from the heads of the queues to decisions. Pure: the same world, queues and time give the same plan.

One round is Kueue's cycle (pkg/scheduler/scheduler.go, schedule): take a head of each queue, nominate (find flavors and victims), put the
nominees in order, process one after the other against the same quota, give back those that were not admitted. `plan` repeats rounds in
memory until one changes nothing more; with `Options.one_round` it stops after the first, as Kueue does. The order of admissions is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.fairness import Tournament
from raysail.queue.model.quota import Amounts, CohortNode
from raysail.queue.model.slices import replaced_slice
from raysail.queue.model.usage_ledger import requests_of
from raysail.queue.model.variants import admitted_sibling, is_variant, may_migrate
from raysail.queue.model.workload import (
    PodSetRequests,
    WorkloadInfo,
    check_states,
    has_closed_preemption_gate,
    has_reservation,
)
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending, PendingQueue, Requeue
from raysail.queue.planner.admissibility import NAMESPACE_MISMATCH, inadmissible
from raysail.queue.planner.assignment import Assignment, Mode
from raysail.queue.planner.decisions import Admit, EvictUnhealthy, Migrate, Plan, Preempt, SecondPassFailed, Trace, Wait, WaitForPodsReady
from raysail.queue.planner.entry import (
    ADMISSION_GATED,
    MISCONFIGURED,
    PENDING_EVALUATION,
    SUSPENDED,
    WAITING_FOR_PREEMPTED,
    WAITING_FOR_QUOTA,
    Entry,
    classical_order,
    to_reserve,
)
from raysail.queue.planner.flavors import FlavorAssigner
from raysail.queue.planner.options import DEFAULT, Options
from raysail.queue.planner.partial import largest_fitting
from raysail.queue.planner.preemption import Preemptor, Victim
from raysail.queue.planner.second_pass import needs_second_pass, on_unhealthy_node


def plan(world: World, pending: Pending, now: float, options: Options = DEFAULT, queues: Iterable[str] | None = None) -> Plan:
    """Decides for these ClusterQueues (default: all). Changes world and queues to what holds once the decisions are written."""
    result = Plan()
    names = list(queues) if queues is not None else sorted(pending.queues)
    again = pending.second_pass.take_ready(now)
    looked_at = 0
    while (names or again) and result.rounds < options.max_rounds and not 0 < options.max_heads <= looked_at:
        heads = again + [head for name in names if (head := _take_head(world, pending, name)) is not None]
        again = []
        if not heads:
            return result  # nothing waits: with names in `unfinished` the scheduler would plan for ever
        looked_at += len(heads)
        result.rounds += 1
        round_ = Round(world, pending, now, options, result)
        changed = round_.run(heads)
        if options.one_round or round_.blocked:
            return result
        # a queue is looked at again when its own tree moved: elsewhere nothing has changed for it
        names = [name for name in names if name in pending.queues and pending.queues[name].active and _tree(world, name) in changed]
    result.unfinished = names
    return result


def _take_head(world: World, pending: Pending, name: str) -> WorkloadInfo | None:
    queue = world.cluster_queues.get(name)
    if queue is not None and not queue.active:
        return None
    waiting = pending.queues.get(name)
    return waiting.pop() if waiting is not None else None


def _tree(world: World, name: str) -> str:
    queue = world.cluster_queues.get(name)
    return queue.root().name if queue is not None else name


class Round:
    """One pass over one head of each queue. `blocked` tells that admission waits for Pods to be ready."""

    def __init__(self, world: World, pending: Pending, now: float, options: Options, result: Plan) -> None:
        self.world = world
        self.pending = pending
        self.now = now
        self.options = options
        self.result = result
        world.cycles += 1
        self.number = world.cycles
        self.blocked = False
        self.preemptor = Preemptor(
            world, now, fair_strategies=options.fair_strategies, admission_fair_sharing=options.admission_fair_sharing
        )
        self._leaving: dict[str, WorkloadInfo] = {}
        """Victims of this round."""
        self._leaving_of: dict[str, dict[str, WorkloadInfo]] = {}
        """The same by the root of their tree."""
        self._evicting: list[WorkloadInfo] = []
        self._admitted: list[tuple[Entry, Admit]] = []
        self._changed: set[str] = set()

    def run(self, heads: list[WorkloadInfo]) -> set[str]:
        """Decides about the heads. Returns the roots of the trees in which another round could decide more."""
        # 1. find flavors and victims for each head
        nominated, refused = self.nominate(heads)
        # 2. one after the other, each against what those before left; all of it is tried on the tree and taken back
        mark = self.world.journal.mark()
        for entry in self.in_order(nominated):
            if self.blocked:
                entry.status = "blocked"
            else:
                self.process(entry)
        self.world.journal.undo(mark)
        for info in self._evicting:
            info.evicting = True
        # 3. what was admitted now counts
        for entry, decision in self._admitted:
            self._assume(entry, decision)
        # 4. the others go back into their queues
        for entry in (*nominated, *refused):
            if entry.status not in ("assumed", "evicted"):
                self.give_back(entry)
        return self._changed

    # phase 1

    def nominate(self, heads: list[WorkloadInfo]) -> tuple[list[Entry], list[Entry]]:
        """Entries that can be processed, and those that cannot even be tried."""
        nominated: list[Entry] = []
        refused: list[Entry] = []
        for info in heads:
            queue = self.world.cluster_queues.get(info.cluster_queue)
            if self.world.holds(info.key) and not needs_second_pass(info.obj):
                self.pending.discard(info.key)
                continue
            waiting = self.pending.queues.get(info.cluster_queue)
            entry = Entry(
                info,
                queue if queue is not None else ClusterQueue(info.cluster_queue, self.world.journal),
                is_preemptor=waiting is not None and waiting.is_preemptor(info),
            )
            self._refuse(entry, known=queue is not None)
            if entry.reason:
                refused.append(entry)
                continue
            assignment, victims = self.find_assignment(info, entry.queue)
            entry.record(assignment, victims)
            nominated.append(entry)
        return nominated, refused

    def _refuse(self, entry: Entry, *, known: bool) -> None:
        states = check_states(entry.info.obj).values()
        if "Retry" in states or "Rejected" in states:
            entry.reason, entry.message = PENDING_EVALUATION, "The workload has failed admission checks"
        elif not known:
            entry.reason, entry.message = MISCONFIGURED, f"ClusterQueue {entry.info.cluster_queue} not found"
        elif not self.world.usable(entry.queue):
            entry.reason, entry.message = SUSPENDED, f"ClusterQueue {entry.info.cluster_queue} is inactive"
        elif (message := inadmissible(self.world, entry.queue, entry.info)) is not None:
            entry.reason, entry.message = MISCONFIGURED, message
            if message == NAMESPACE_MISMATCH:
                entry.requeue = Requeue.NAMESPACE_MISMATCH

    def find_assignment(self, info: WorkloadInfo, queue: ClusterQueue) -> tuple[Assignment, list[Victim]]:
        """The best flavors for all its Pods, else for as many as possible, with the victims that this needs."""
        scan = info.last_scan
        if scan is not None and scan.outdated(queue.generation, self.number, info.shape_hash, keep_scan=self.options.keep_scan):
            info.last_scan = None
        old = replaced_slice(info.obj, queue.workloads)
        slices = [Victim(old, "WorkloadSliceReplaced")] if old is not None else []
        assigner = FlavorAssigner(
            info,
            queue,
            self.world.flavors,
            self.preemptor,
            fair_sharing=self.options.fair_sharing,
            ignore_undeclared=self.options.ignore_undeclared,
            replaced=old,
            cycle=self.number,
            concurrent_admission=self.options.concurrent_admission,
            topologies=self.world.topologies,
            check_controllers=self.world.check_controllers,
        )
        assignment, victims = self._best_assignment(info, assigner)
        if victims or assignment.mode() is Mode.FIT:
            victims = slices + victims
        step = assigner.topology
        if step.wanted:
            mark = self.world.removed(victim.info for victim in victims)
            step.reserve(assignment, victims=bool(victims))
            self.world.journal.undo(mark)
            assignment.uses = step.net_uses(assignment)
        return assignment, victims

    def _best_assignment(self, info: WorkloadInfo, assigner: FlavorAssigner) -> tuple[Assignment, list[Victim]]:
        full = assigner.assign()
        if full.mode() is Mode.FIT:
            return full, []
        if full.mode() is Mode.PREEMPT and (victims := self.preemptor.victims(info, full)):
            return full, victims
        if self.options.partial_admission and info.can_shrink():

            def attempt(counts: list[int]) -> tuple[Assignment, list[Victim]] | None:
                smaller = assigner.assign(counts)
                if smaller.mode() is Mode.FIT:
                    return smaller, []
                if smaller.mode() is Mode.PREEMPT and (fewer := self.preemptor.victims(info, smaller)):
                    return smaller, fewer
                return None

            partial = largest_fitting([(shape.count, shape.min_count) for shape in info.shapes], attempt)
            if partial is not None:
                return partial
        return full, []

    # phase 2

    def in_order(self, entries: list[Entry]) -> Iterator[Entry]:
        """Second passes first, then: not borrowing before borrowing, priority, age. With fair sharing: by a tournament in each tree."""
        options = self.options
        if not options.fair_sharing:
            yield from sorted(
                entries,
                key=lambda entry: classical_order(entry, preemptors_first=options.preemptors_first, by_priority=options.by_priority),
            )
            return
        trees: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            if has_reservation(entry.info.obj):
                yield entry
            else:
                trees.setdefault(entry.queue.root().name, {})[entry.queue.name] = entry
        for contenders in trees.values():
            root = next(iter(contenders.values())).queue.root()
            if not isinstance(root, CohortNode):
                yield from contenders.values()
                continue
            tournament = Tournament(root, contenders, by_priority=options.by_priority, preemptors_first=options.preemptors_first)
            while (winner := tournament.pop()) is not None:
                assert isinstance(winner, Entry)  # noqa: S101 - those are the contenders
                yield winner

    def process(self, entry: Entry) -> None:
        """Admits, preempts for, or passes over one nominee."""
        variant = self.options.concurrent_admission and is_variant(entry.info.obj)
        if variant and admitted_sibling(entry.info, entry.queue, better=True) is not None:
            entry.skip("A more favorable variant is already admitted", PENDING_EVALUATION, keep_scan=self.options.keep_scan)
            return
        fits = self._refresh(entry)
        mode = entry.mode
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        if mode is not Mode.FIT and self.world.topologies.profile.fail_fast and on_unhealthy_node(entry.info.obj):
            entry.status = "evicted"
            self.result.decisions.append(EvictUnhealthy(entry.info, entry.message))
        elif mode is Mode.NO_FIT:
            entry.requeue, entry.reason = Requeue.NO_FIT, entry.assignment.no_fit_reason
        elif mode is Mode.PREEMPT and not entry.victims:
            entry.requeue, entry.reason = Requeue.PREEMPTION_NO_CANDIDATES, WAITING_FOR_QUOTA
            if not entry.queue.can_always_reclaim() or (self.options.preemptors_first and entry.is_preemptor):
                self._keep(entry, to_reserve(entry))  # for this round: what it waits for is not given to others behind its back
        elif mode is Mode.PREEMPT and self.options.preemption_gates and has_closed_preemption_gate(entry.info.obj):
            entry.status, entry.requeue, entry.reason = "gated", Requeue.PREEMPTION_GATED, ADMISSION_GATED
            entry.message, entry.gated, entry.info.last_scan = "Workload requires preemption, but it's gated", True, None
        elif mode is Mode.DEFERRED_FIT:
            entry.message = (
                "Workload has overlapping preemption targets with another workload, but will fit after these preemptions complete"
            )
            entry.requeue, entry.reason, entry.info.last_scan = Requeue.PENDING_PREEMPTION, WAITING_FOR_PREEMPTED, None
            self._keep(entry, entry.net_usage())
        elif any(victim.info.key in self._leaving for victim in entry.victims):
            entry.skip("Workload has overlapping preemption targets with another workload", keep_scan=self.options.keep_scan)
            self._count_skip(entry)
        elif not fits:
            entry.skip("Workload no longer fits after processing another workload", keep_scan=self.options.keep_scan)
            if mode is Mode.PREEMPT:
                self._count_skip(entry)
        else:
            self._take(entry, mode, variant=variant)

    def _leave(self, infos: Iterable[WorkloadInfo]) -> None:
        """These go: others of this round can count on it."""
        for info in infos:
            self._leaving[info.key] = info
            root = self.world.cluster_queues[info.cluster_queue].root().name
            self._leaving_of.setdefault(root, {})[info.key] = info

    def _keep(self, entry: Entry, usage: Amounts) -> None:
        """Takes this quota and the places of the assignment from those after it in this round."""
        entry.queue.add_all(usage)
        if entry.assignment is not None:
            self.world.topologies.count(entry.assignment.uses, 1)

    def _take(self, entry: Entry, mode: Mode, *, variant: bool) -> None:
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        self._leave(victim.info for victim in entry.victims)
        self._keep(entry, entry.net_usage())
        victims = [victim for victim in entry.victims if victim.reason != "WorkloadSliceReplaced"]
        if mode is Mode.PREEMPT:
            self._preempt(entry, victims)
            return
        second = needs_second_pass(entry.info.obj)
        if self.options.block_until_pods_ready and not second and any(queue.not_ready for queue in self.world.cluster_queues.values()):
            self.blocked = True
            entry.status = "blocked"
            self.result.decisions.append(WaitForPodsReady(entry.info))
            return
        if variant and (worse := admitted_sibling(entry.info, entry.queue, better=False)) is not None:
            self._migrate(entry, worse)
            return
        replaced = next((victim.info for victim in entry.victims if victim.reason == "WorkloadSliceReplaced"), None)
        held = entry.info.holding(entry.queue.name, _held_by(entry.assignment))
        decision = Admit(held, entry.queue.name, entry.assignment, entry.assignment.considered(), replaced)
        entry.status = "assumed"
        self._admitted.append((entry, decision))
        self.result.decisions.append(decision)
        if self.options.block_until_pods_ready and not second:
            entry.queue.not_ready.add(entry.info.key)

    def _migrate(self, entry: Entry, worse: WorkloadInfo) -> None:
        """A variant with a better flavor fits: the running one makes way, if the queue allows the move."""
        if not may_migrate(entry.info, entry.queue):
            entry.message, entry.reason = "Target flavor is below LastAcceptableFlavorName", PENDING_EVALUATION
            return
        entry.reason, entry.requeue, entry.info.last_scan = WAITING_FOR_PREEMPTED, Requeue.PENDING_MIGRATION, None
        entry.message += ". Pending the migration of 1 workload(s)"
        if not worse.is_evicted():
            self.result.decisions.append(Migrate(entry.info, worse))
            self._evicting.append(worse)

    def _preempt(self, entry: Entry, victims: list[Victim]) -> None:
        entry.reason = WAITING_FOR_PREEMPTED
        entry.issued(len(victims))
        fresh = [victim for victim in victims if not victim.info.is_evicted()]
        if not fresh:
            return
        paths = tuple(self.world.cluster_queues[victim.info.cluster_queue].path() for victim in fresh)
        self.result.decisions.append(Preempt(entry.info, tuple(fresh), entry.queue.path(), paths))
        self._evicting += [victim.info for victim in fresh]
        self._changed.add(entry.queue.root().name)

    def _refresh(self, entry: Entry) -> bool:
        """Whether the nominee still fits; finds a new assignment where another took its victims, or its places, in this round."""
        quota, places = self._fits(entry)
        overlapping = self.options.recompute_overlapping and any(victim.info.key in self._leaving for victim in entry.victims)
        displaced = quota and not places and self.world.topologies.profile.recompute
        if not overlapping and not displaced:
            return quota and places
        entry.info.last_scan = None
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        entry.info.nomination = {
            pod_set.name: {resource: given.flavor for resource, given in pod_set.flavors.items()} for pod_set in entry.assignment.pod_sets
        }
        leaving = self._leaving.values() if overlapping else ()
        mark = self.world.removed(leaving)
        gone = self._hide(leaving)
        assignment, victims = self.find_assignment(entry.info, entry.queue)
        for queue, info in gone:
            queue.workloads[info.key] = info
        self.world.journal.undo(mark)
        entry.record(assignment, victims)
        if overlapping and assignment.mode() is Mode.FIT:
            assignment.fix_mode(Mode.DEFERRED_FIT)
        quota, places = self._fits(entry)
        entry.info.nomination = None
        if overlapping:
            self._count_recomputation(entry, fits=quota and places)
        return quota and places

    def _hide(self, infos: Iterable[WorkloadInfo]) -> list[tuple[ClusterQueue, WorkloadInfo]]:
        """Takes workloads out of their queues' lists, so that nobody chooses them as victims again."""
        hidden = []
        for info in infos:
            queue = self.world.cluster_queues[info.cluster_queue]
            if queue.workloads.pop(info.key, None) is not None:
                hidden.append((queue, info))
        return hidden

    def _fits(self, entry: Entry) -> tuple[bool, bool]:
        """Whether its quota, and whether its places are free once everybody who goes is gone."""
        uses = entry.assignment.uses if entry.assignment is not None else ()
        usage = entry.net_usage()
        if self.world.fits(entry.queue, usage) and self.world.topologies.fits(uses):
            return True, True  # it does even while they are still there
        going = {victim.info.key: victim.info for victim in entry.victims}
        for root, leaving in self._leaving_of.items():
            if root == entry.queue.root().name:
                going.update(leaving)
            elif uses:  # trees share nodes
                going.update((key, info) for key, info in leaving.items() if info.topology_uses())
        mark = self.world.removed(going.values())
        quota = self.world.fits(entry.queue, usage)
        places = self.world.topologies.fits(uses)
        self.world.journal.undo(mark)
        return quota, places

    def _count_skip(self, entry: Entry) -> None:
        self.result.skipped_preemptions[entry.queue.name] = self.result.skipped_preemptions.get(entry.queue.name, 0) + 1

    def _count_recomputation(self, entry: Entry, *, fits: bool) -> None:
        if entry.mode is Mode.DEFERRED_FIT:
            outcome = "deferred_fit"
        elif entry.victims and fits and not any(victim.info.key in self._leaving for victim in entry.victims):
            outcome = "new_targets"
        else:
            outcome = "skipped"
        counts = self.result.recomputed_targets.setdefault(entry.queue.name, {})
        counts[outcome] = counts.get(outcome, 0) + 1

    # phases 3 and 4

    def _assume(self, entry: Entry, decision: Admit) -> None:
        self.pending.discard(entry.info.key)
        if decision.replaced is not None:
            self.world.remove_workload(decision.replaced.key)
        ready_pending = entry.info.key in entry.queue.not_ready
        self.world.add_workload(decision.info)
        if ready_pending:
            entry.queue.not_ready.add(entry.info.key)
        ledger = self.world.ledger
        if ledger is not None and self.world.counts_at_once(entry.queue, entry.info):
            covered = entry.queue.covered_resources() if self.options.ignore_undeclared else None
            local = f"{entry.info.namespace}/{entry.info.local_queue}"
            ledger.penalize(local, entry.info.key, requests_of(entry.info.pod_sets, covered), self.now)
        self._changed.add(entry.queue.root().name)
        self._trace(entry, "Admitted")

    def give_back(self, entry: Entry) -> None:
        """Requeues what was not admitted, and says why."""
        info = entry.info
        if entry.status and entry.requeue is Requeue.GENERIC:
            entry.requeue = Requeue.FAILED_AFTER_NOMINATION
        if needs_second_pass(info.obj):
            self.pending.second_pass.put(info, self.now)
            self.result.decisions.append(SecondPassFailed(info, entry.message))
            return
        waiting = self.pending.queue(info.cluster_queue)
        scan_goes_on = info.last_scan is not None and info.last_scan.flavors_left()
        if entry.status == "blocked":
            _put_back(waiting, info)
            return
        waiting.requeue(info, entry.requeue, self.now, entry.reason)
        if info.key in waiting.inadmissible or scan_goes_on:
            self._changed.add(entry.queue.root().name)  # another head has its turn, or the rest of the flavors
        if entry.status not in ("", "skipped", "gated"):
            return  # its admission was under way: there is nothing to say about waiting
        self.result.decisions.append(Wait(info, entry.reason, entry.message, entry.gated))
        self._trace(entry, entry.status or "Waiting")

    def _trace(self, entry: Entry, outcome: str) -> None:
        self.result.traces[entry.info.key] = Trace(
            entry.info.key, self.now, outcome, entry.reason, entry.message, entry.assignment, tuple(entry.victims)
        )


def _put_back(waiting: PendingQueue, info: WorkloadInfo) -> None:
    waiting.in_flight.pop(info.key, None)
    waiting.add(info)


def _held_by(assignment: Assignment) -> list[PodSetRequests]:
    held = []
    for pod_set in assignment.pod_sets:
        requests = {resource: pod_set.requests.get(resource, 0) for resource in pod_set.flavors}
        one = PodSetRequests(pod_set.name, pod_set.count, requests, {resource: given.flavor for resource, given in pod_set.flavors.items()})
        one.topology, one.delayed = pod_set.topology, pod_set.delayed
        held.append(one)
    return held
