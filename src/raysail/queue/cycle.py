"""The scheduling cycle: from the heads of the queues to decisions. Pure: the same world, queues and time give the same plan.

One round is Kueue's cycle (pkg/scheduler/scheduler.go, schedule): take a head of each queue, nominate (find flavors and victims), put the
nominees in order, process one after the other against the same quota, give back those that were not admitted. `plan` repeats rounds in
memory until one changes nothing more; with `Options.one_round` it stops after the first, as Kueue does. The order of admissions is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raysail.queue.assignment import Assignment, Mode
from raysail.queue.decisions import Admit, Plan, Preempt, Trace, Wait, WaitForPodsReady
from raysail.queue.fairness import Tournament
from raysail.queue.flavors import FlavorAssigner
from raysail.queue.partial import largest_fitting
from raysail.queue.pending import Pending, PendingQueue, Requeue
from raysail.queue.preemption import Preemptor, Victim
from raysail.queue.quota import Amounts, CohortNode, plus
from raysail.queue.requests import limit_range_errors, resource_errors
from raysail.queue.workload import (
    SLICE_REPLACEMENT_FOR,
    PodSetRequests,
    WorkloadInfo,
    check_states,
    has_closed_preemption_gate,
    has_reservation,
)
from raysail.queue.world import ClusterQueue, World

PENDING_EVALUATION = "PendingEvaluation"
WAITING_FOR_QUOTA = "WaitingForQuota"
WAITING_FOR_PREEMPTED = "WaitingForPreemptedWorkloads"
MISCONFIGURED = "Misconfigured"
SUSPENDED = "Suspended"
ADMISSION_GATED = "AdmissionGated"


@dataclass(frozen=True, slots=True)
class Options:
    """The switches of a cycle. `fair_strategies` None: fair sharing is off; empty: on with the default strategies."""

    fair_strategies: tuple[str, ...] | None = None
    admission_fair_sharing: bool = False
    ignore_undeclared: bool = False
    block_until_pods_ready: bool = False
    one_round: bool = False
    max_rounds: int = 10_000
    preemption_gates: bool = False
    """Whether closed preemption gates are honoured (Kueue: only with its alpha gates on)."""
    partial_admission: bool = True
    recompute_overlapping: bool = True
    """Whether a nominee whose victims were taken by another in the same round gets a second look."""

    @property
    def fair_sharing(self) -> bool:
        """Whether shares decide whose turn it is."""
        return self.fair_strategies is not None


class Entry:
    """One head on its way through a round."""

    __slots__ = ("assignment", "gated", "info", "message", "queue", "reason", "requeue", "status", "victims")

    def __init__(self, info: WorkloadInfo, queue: ClusterQueue) -> None:
        self.info = info
        self.queue = queue
        self.assignment: Assignment | None = None
        self.victims: list[Victim] = []
        self.status = ""
        """Empty (looked at, not admitted), skipped, gated, assumed, or blocked."""
        self.reason = ""
        self.message = ""
        self.requeue = Requeue.GENERIC
        self.gated = False

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

    def skip(self, message: str) -> None:
        """Passes for this round, because of what others did in it."""
        self.status = "skipped"
        self.message = message
        self.reason = WAITING_FOR_QUOTA


def plan(world: World, pending: Pending, now: float, options: Options = Options(), queues: Iterable[str] | None = None) -> Plan:
    """Decides for these ClusterQueues (default: all). Changes world and queues to what holds once the decisions are written."""
    result = Plan()
    names = list(queues) if queues is not None else sorted(pending.queues)
    while names and result.rounds < options.max_rounds:
        heads = [head for name in names if (head := _take_head(world, pending, name)) is not None]
        if not heads:
            break
        result.rounds += 1
        round_ = Round(world, pending, now, options, result)
        changed = round_.run(heads)
        if options.one_round or round_.blocked:
            break
        # a queue is looked at again when its own tree moved: elsewhere nothing has changed for it
        names = [name for name in names if name in pending.queues and pending.queues[name].active and _tree(world, name) in changed]
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
            if entry.status != "assumed":
                self.give_back(entry)
        return self._changed

    # phase 1

    def nominate(self, heads: list[WorkloadInfo]) -> tuple[list[Entry], list[Entry]]:
        """Entries that can be processed, and those that cannot even be tried."""
        nominated: list[Entry] = []
        refused: list[Entry] = []
        for info in heads:
            queue = self.world.cluster_queues.get(info.cluster_queue)
            if self.world.holds(info.key) and not has_reservation(info.obj):
                self.pending.discard(info.key)
                continue
            entry = Entry(info, queue if queue is not None else ClusterQueue(info.cluster_queue, self.world.journal))
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
        if scan is not None and scan.outdated(queue.generation, self.number, info.shape_hash):
            info.last_scan = None
        old = self._replaced_slice(info, queue)
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
        )
        full = assigner.assign()
        if full.mode() is Mode.FIT:
            return full, slices
        if full.mode() is Mode.PREEMPT and (victims := self.preemptor.victims(info, full)):
            return full, slices + victims
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
                return partial[0], slices + partial[1]
        return full, []

    def _replaced_slice(self, info: WorkloadInfo, queue: ClusterQueue) -> WorkloadInfo | None:
        key = (info.obj.metadata.annotations or {}).get(SLICE_REPLACEMENT_FOR, "")
        return queue.workloads.get(key) if key else None

    # phase 2

    def in_order(self, entries: list[Entry]) -> Iterator[Entry]:
        """Second passes first, then: not borrowing before borrowing, priority, age. With fair sharing: by a tournament in each tree."""
        if not self.options.fair_sharing:
            yield from sorted(entries, key=_classical_order)
            return
        trees: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            trees.setdefault(entry.queue.root().name, {})[entry.queue.name] = entry
        for contenders in trees.values():
            while contenders:
                root = next(iter(contenders.values())).queue.root()
                if isinstance(root, CohortNode):
                    winner = Tournament(root, contenders).winner()
                    assert isinstance(winner, Entry)  # noqa: S101 - there are contenders, so one wins
                else:
                    winner = next(iter(contenders.values()))
                del contenders[winner.queue.name]
                yield winner

    def process(self, entry: Entry) -> None:
        """Admits, preempts for, or passes over one nominee."""
        fits = self._refresh(entry)
        mode = entry.mode
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        if mode is Mode.NO_FIT:
            entry.requeue, entry.reason = Requeue.NO_FIT, entry.assignment.no_fit_reason
        elif mode is Mode.PREEMPT and not entry.victims:
            entry.requeue, entry.reason = Requeue.PREEMPTION_NO_CANDIDATES, WAITING_FOR_QUOTA
            if not entry.queue.can_always_reclaim():
                entry.queue.add_all(to_reserve(entry))  # for this round: what it waits for is not given to others behind its back
        elif mode is Mode.PREEMPT and self.options.preemption_gates and has_closed_preemption_gate(entry.info.obj):
            entry.status, entry.requeue, entry.reason = "gated", Requeue.PREEMPTION_GATED, ADMISSION_GATED
            entry.message, entry.gated, entry.info.last_scan = "Workload requires preemption, but it's gated", True, None
        elif mode is Mode.DEFERRED_FIT:
            entry.message = (
                "Workload has overlapping preemption targets with another workload, but will fit after these preemptions complete"
            )
            entry.requeue, entry.reason, entry.info.last_scan = Requeue.PENDING_PREEMPTION, WAITING_FOR_PREEMPTED, None
            entry.queue.add_all(entry.net_usage())
        elif any(victim.info.key in self._leaving for victim in entry.victims):
            entry.skip("Workload has overlapping preemption targets with another workload")
            self._count_skip(entry)
        elif not fits:
            entry.skip("Workload no longer fits after processing another workload")
            if mode is Mode.PREEMPT:
                self._count_skip(entry)
        else:
            self._take(entry, mode)

    def _take(self, entry: Entry, mode: Mode) -> None:
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        self._leaving.update((victim.info.key, victim.info) for victim in entry.victims)
        entry.queue.add_all(entry.net_usage())
        victims = [victim for victim in entry.victims if victim.reason != "WorkloadSliceReplaced"]
        if mode is Mode.PREEMPT:
            self._preempt(entry, victims)
            return
        if self.options.block_until_pods_ready and any(queue.not_ready for queue in self.world.cluster_queues.values()):
            self.blocked = True
            entry.status = "blocked"
            self.result.decisions.append(WaitForPodsReady(entry.info))
            return
        replaced = next((victim.info for victim in entry.victims if victim.reason == "WorkloadSliceReplaced"), None)
        held = entry.info.holding(entry.queue.name, _held_by(entry.assignment))
        decision = Admit(held, entry.queue.name, entry.assignment, entry.assignment.considered(), replaced)
        entry.status = "assumed"
        self._admitted.append((entry, decision))
        self.result.decisions.append(decision)
        if self.options.block_until_pods_ready:
            entry.queue.not_ready.add(entry.info.key)

    def _preempt(self, entry: Entry, victims: list[Victim]) -> None:
        entry.reason = WAITING_FOR_PREEMPTED
        entry.requeue = Requeue.PENDING_PREEMPTION
        entry.message += f". Pending the preemption of {len(victims)} workload(s)"
        entry.info.last_scan = None
        fresh = [victim for victim in victims if not victim.info.is_evicted()]
        if not fresh:
            return
        paths = tuple(self.world.cluster_queues[victim.info.cluster_queue].path() for victim in fresh)
        self.result.decisions.append(Preempt(entry.info, tuple(fresh), entry.queue.path(), paths))
        self._evicting += [victim.info for victim in fresh]
        self._changed.add(entry.queue.root().name)

    def _refresh(self, entry: Entry) -> bool:
        """Whether the nominee still fits; finds a new assignment where its victims were taken by another in this round."""
        fits = self._fits(entry)
        overlapping = any(victim.info.key in self._leaving for victim in entry.victims)
        if not overlapping or not self.options.recompute_overlapping:
            return fits
        entry.info.last_scan = None
        assert entry.assignment is not None  # noqa: S101 - nominated entries have one
        entry.info.nomination = {
            pod_set.name: {resource: given.flavor for resource, given in pod_set.flavors.items()} for pod_set in entry.assignment.pod_sets
        }
        mark = self.world.removed(self._leaving.values())
        gone = self._hide(self._leaving.values())
        assignment, victims = self.find_assignment(entry.info, entry.queue)
        for queue, info in gone:
            queue.workloads[info.key] = info
        self.world.journal.undo(mark)
        entry.record(assignment, victims)
        if assignment.mode() is Mode.FIT:
            assignment.fix_mode(Mode.DEFERRED_FIT)
        fits = self._fits(entry)
        entry.info.nomination = None
        self._count_recomputation(entry, fits=fits)
        return fits

    def _hide(self, infos: Iterable[WorkloadInfo]) -> list[tuple[ClusterQueue, WorkloadInfo]]:
        """Takes workloads out of their queues' lists, so that nobody chooses them as victims again."""
        hidden = []
        for info in infos:
            queue = self.world.cluster_queues[info.cluster_queue]
            if queue.workloads.pop(info.key, None) is not None:
                hidden.append((queue, info))
        return hidden

    def _fits(self, entry: Entry) -> bool:
        leaving = {**self._leaving, **{victim.info.key: victim.info for victim in entry.victims}}
        mark = self.world.removed(leaving.values())
        fits = self.world.fits(entry.queue, entry.net_usage())
        self.world.journal.undo(mark)
        return fits

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
        self._changed.add(entry.queue.root().name)
        self._trace(entry, "Admitted")

    def give_back(self, entry: Entry) -> None:
        """Requeues what was not admitted, and says why."""
        info = entry.info
        if entry.status == "skipped" and entry.requeue is Requeue.GENERIC:
            entry.requeue = Requeue.FAILED_AFTER_NOMINATION
        waiting = self.pending.queue(info.cluster_queue)
        scan_goes_on = info.last_scan is not None and info.last_scan.flavors_left()
        if entry.status == "blocked":
            _put_back(waiting, info)
            return
        waiting.requeue(info, entry.requeue, self.now, entry.reason)
        if info.key in waiting.inadmissible or scan_goes_on:
            self._changed.add(entry.queue.root().name)  # another head has its turn, or the rest of the flavors
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
    return [
        PodSetRequests(
            pod_set.name,
            pod_set.count,
            {resource: pod_set.requests.get(resource, 0) for resource in pod_set.flavors},
            {resource: given.flavor for resource, given in pod_set.flavors.items()},
        )
        for pod_set in assignment.pod_sets
    ]


def _classical_order(entry: Entry) -> tuple[object, ...]:
    assert entry.assignment is not None  # noqa: S101 - nominated entries have one
    info = entry.info
    return not has_reservation(info.obj), entry.assignment.borrowing, -info.priority, info.ordered_since, info.uid


def to_reserve(entry: Entry) -> Amounts:
    """What a workload that waits for quota without victims keeps from others in this round: up to its nominal quota or borrowing limit."""
    assert entry.assignment is not None  # noqa: S101 - nominated entries have one
    if has_reservation(entry.info.obj):
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


NAMESPACE_MISMATCH = "workload namespace doesn't match ClusterQueue selector"


def inadmissible(world: World, queue: ClusterQueue, info: WorkloadInfo) -> str | None:
    """Why the queue must not take the workload at all: its namespace, requests above limits, LimitRanges. None: it may."""
    labels = world.namespaces.get(info.namespace)
    if labels is None:
        return f'workload namespace "{info.namespace}" does not exist: namespaces "{info.namespace}" not found'
    if not queue.namespace_selector.matches(labels):
        return NAMESPACE_MISMATCH
    errors: list[str] = []
    for at, shape in enumerate(info.shapes):
        errors += resource_errors(shape.spec, f"spec.podSets[{at}].template.spec")
    if errors:
        return f"resources validation failed: {_aggregate(errors)}"
    limits = world.limits.get(info.namespace)
    if limits:
        for at, shape in enumerate(info.shapes):
            errors += limit_range_errors(shape.spec, limits, f"spec.podSets[{at}].template.spec")
        if errors:
            return f"resources didn't satisfy LimitRange constraints: {_aggregate(errors)}"
    return None


def _aggregate(errors: list[str]) -> str:
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
