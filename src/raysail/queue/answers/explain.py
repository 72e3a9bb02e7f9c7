"""Why a job waits, in words: what was tried, what is missing, who holds it, what is ahead, what would help. Pure.

Every suggestion was tried on the same world with the planner's own functions before it is made.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from raysail.api.kueue import Workload
from raysail.queue.answers.answer import Ahead, Help, Holder, Job, Missing, Tried, Why, job_of
from raysail.queue.answers.snapshot import Snapshot
from raysail.queue.model.cluster_queue import NEVER, ClusterQueue
from raysail.queue.model.quota import FlavorResource
from raysail.queue.model.slices import replaced_slice
from raysail.queue.model.workload import (
    WorkloadInfo,
    admission_gates,
    backoff_expired,
    find_condition,
    has_reservation,
    is_active,
    is_admitted,
    is_finished,
    is_on_hold,
    seconds,
)
from raysail.queue.model.world import tree_members
from raysail.queue.planner.admissibility import NAMESPACE_MISMATCH, inadmissible
from raysail.queue.planner.assignment import Assignment, Mode, amount_text
from raysail.queue.planner.cycle import Round
from raysail.queue.planner.decisions import Plan
from raysail.queue.planner.flavors import FlavorAssigner
from raysail.queue.planner.preemption import Preemptor
from raysail.queue.planner.preemption.candidates import order_of
from raysail.queue.topology.advice import flavors_of, reason_of, relaxed

MAX_LISTED = 20


def why(snapshot: Snapshot, key: str, now: float) -> Why | None:
    """Why the Workload `namespace/name` is where it is; None where there is no such Workload."""
    workload = snapshot.workloads.get(key)
    if workload is None:
        return None
    local = snapshot.local_queues.get(f"{workload.metadata.namespace}/{workload.spec.queue_name}")
    answer = Why(
        key,
        job_of(workload),
        "pending",
        "",
        local_queue=workload.spec.queue_name,
        cluster_queue=local.spec.cluster_queue if local is not None else "",
        since=seconds(workload.metadata.creation_timestamp),
    )
    told = find_condition(workload, "QuotaReserved")
    answer.reason = told.reason if told is not None and told.status == "False" else ""
    if not _settled(answer, workload) and not _blocked(answer, workload, snapshot, now):
        _waiting(answer, snapshot, now)
    return answer


def _settled(answer: Why, workload: Workload) -> bool:
    """It ended, runs, or holds its quota already."""
    finished = find_condition(workload, "Finished")
    if is_finished(workload) and finished is not None:
        answer.state, answer.since = "finished", seconds(finished.last_transition_time)
        answer.summary = f"ended: {finished.message or finished.reason}"
        return True
    evicted = find_condition(workload, "Evicted")
    if has_reservation(workload) and evicted is not None and evicted.status == "True":
        answer.state, answer.since = "preempting", seconds(evicted.last_transition_time)
        answer.summary = f"is being stopped: {evicted.message}"
        return True
    if is_admitted(workload):
        admitted = find_condition(workload, "Admitted")
        answer.state = "running"
        answer.since = seconds(admitted.last_transition_time) if admitted is not None else 0.0
        answer.summary = "admitted: its quota is reserved and its job may run"
        return True
    if has_reservation(workload):
        waiting = [check for check in workload.status.admission_checks or () if check.state != "Ready"]
        answer.state = "checking"
        listed = ", ".join(f"{check.name} ({check.state}{': ' + check.message if check.message else ''})" for check in waiting)
        answer.summary = f"holds its quota and waits for admission checks: {listed or 'they are about to be set up'}"
        return True
    return False


def _blocked(answer: Why, workload: Workload, snapshot: Snapshot, now: float) -> bool:
    """Something other than quota keeps it out of the queue."""
    name = workload.spec.queue_name
    key = f"{workload.metadata.namespace}/{name}"
    local = snapshot.local_queues.get(key)
    activity = snapshot.activities.get(answer.cluster_queue)
    if not is_active(workload):
        evicted = find_condition(workload, "Evicted")
        cause = f" ({evicted.message})" if evicted is not None and evicted.message else ""
        _block(answer, "inactive", f"is deactivated{cause}", "set spec.active of its Workload to true")
    elif is_on_hold(workload):
        _block(answer, "blocked", "is on hold: its job waits for its user", "")
    elif gates := admission_gates(workload):
        _block(answer, "blocked", f"is gated by {gates}", "remove the annotation kueue.x-k8s.io/admission-gated-by when it may start")
    elif local is None:
        _block(answer, "blocked", f"its LocalQueue {key} does not exist", f"make the LocalQueue {name} or name another one")
    elif (local.spec.stop_policy or "None") != "None":
        _block(answer, "blocked", f"its LocalQueue {key} is stopped", f"set spec.stopPolicy of LocalQueue {name} to None")
    elif activity is None:
        text = f"its LocalQueue leads to ClusterQueue {answer.cluster_queue}, which does not exist"
        _block(answer, "blocked", text, f"make the ClusterQueue {answer.cluster_queue}")
    elif not activity.active:
        _block(answer, "blocked", f"ClusterQueue {answer.cluster_queue}: {activity.message}", _fix_of(activity.reason))
    elif not backoff_expired(workload, now):
        state = workload.status.requeue_state
        until = f" until {state.requeue_at}" if state is not None and state.requeue_at else ""
        requeued = find_condition(workload, "Requeued")
        _block(answer, "blocked", f"waits{until} after an eviction ({requeued.reason if requeued is not None else 'back-off'})", "")
    else:
        return False
    return True


def _fix_of(reason: str) -> str:
    return {
        "Stopped": "set its spec.stopPolicy to None",
        "FlavorNotFound": "make the missing ResourceFlavor",
        "AdmissionCheckNotFound": "make the missing AdmissionCheck",
        "AdmissionCheckInactive": "see why the AdmissionCheck is not Active",
        "TopologyNotFound": "make the missing Topology",
    }.get(reason, "")


def _block(answer: Why, state: str, text: str, fix: str) -> None:
    answer.state, answer.summary = state, text
    if fix:
        answer.helps.append(Help("fix", fix))


def _waiting(answer: Why, snapshot: Snapshot, now: float) -> None:
    info = snapshot.infos.get(answer.workload)
    queue = snapshot.world.cluster_queues.get(answer.cluster_queue)
    if info is None or queue is None:
        answer.state, answer.summary = "blocked", "waits for replacement Pods of its group"
        return
    _place(answer, snapshot, info)
    refused = inadmissible(snapshot.world, queue, info)
    if refused is not None:
        answer.state, answer.never, answer.summary = "blocked", True, refused
        if refused == NAMESPACE_MISMATCH:
            answer.helps.append(
                Help("fix", f"label namespace {info.namespace} as spec.namespaceSelector of ClusterQueue {queue.name} asks")
            )
        return
    old = replaced_slice(info.obj, queue.workloads)  # what an elastic job holds already is no obstacle to its growth
    if old is not None:
        snapshot.world.remove_workload(old.key)
    _lacks_quota(answer, snapshot, info, queue, now)
    if old is not None:
        snapshot.world.add_workload(old)


def _lacks_quota(answer: Why, snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, now: float) -> None:
    assignment, victims = _try(snapshot, info, queue, now)
    answer.tried = [
        Tried(pod_set.name, attempt.flavor, attempt.mode.text, tuple(attempt.reasons))
        for pod_set in assignment.pod_sets
        for attempt in pod_set.attempts
    ]
    if assignment.mode() is Mode.FIT:
        first = answer.ahead[0] if answer.ahead else None
        blocked = f"; {first.job} is looked at first" if first is not None else ""
        answer.summary = (
            f"there is room for it now{blocked}: it is number {answer.position} of {answer.waiting} in ClusterQueue {queue.name}"
        )
        return
    keys = _lacking(snapshot, info, queue, assignment, answer)
    scattered = "" if keys else reason_of(assignment)
    if scattered:  # quota is there, but not in one place
        flavors = flavors_of(assignment, snapshot.world.topologies)
        keys = [key for key in assignment.total_requests() if key[0] in flavors]
    answer.holders = _holders(snapshot, queue, keys, now, everywhere=bool(scattered))
    if victims:
        answer.state = "preempting"
        leaving = ", ".join(str(job_of(victim.obj)) for victim in victims[:3])
        answer.summary = f"waits until {leaving} {'has' if len(victims) == 1 else 'have'} stopped to make room for it"
    elif assignment.no_fit_reason in ("ExceedsMaxQuota", "NoMatchingFlavor"):
        answer.never = True
        answer.summary = f"can never start as things are: {assignment.message()}"
    elif scattered:
        answer.never = assignment.mode() is Mode.NO_FIT
        answer.summary = f"{'can never start as things are' if answer.never else 'waits for room in one place'}: {scattered}"
    else:
        lacking = ", ".join(f"{each.resource} in flavor {each.flavor} (needs {each.needed}, {each.free} free)" for each in answer.missing)
        answer.summary = f"waits for quota: {lacking or assignment.message()}"
    _advise(answer, snapshot, info, queue, keys, now)


def _place(answer: Why, snapshot: Snapshot, info: WorkloadInfo) -> None:
    ordered = snapshot.pending.queue(answer.cluster_queue).in_order()
    answer.waiting = len(ordered)
    for at, other in enumerate(ordered):
        if other.key == info.key:
            answer.position = at + 1
            break
        if len(answer.ahead) < MAX_LISTED:
            answer.ahead.append(Ahead(job_of(other.obj), other.key, other.priority, other.created))


def _try(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, now: float) -> tuple[Assignment, list[WorkloadInfo]]:
    round_ = Round(snapshot.world, snapshot.pending, now, snapshot.options, Plan())
    probe = copy.copy(info)
    probe.cluster_queue, probe.last_scan = queue.name, None
    assignment, victims = round_.find_assignment(probe, queue)
    return assignment, [victim.info for victim in victims]


def _lacking(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, assignment: Assignment, answer: Why) -> list[FlavorResource]:
    """Flavors and resources in which more is needed than is free, of all flavors that could serve."""
    keys: list[FlavorResource] = []
    needed: dict[str, int] = {}
    for pod_set in assignment.pod_sets or ():
        for resource, amount in pod_set.requests.items():
            needed[resource] = needed.get(resource, 0) + amount
    for asked in info.pod_sets if not needed else ():
        for resource, amount in asked.requests.items():
            needed[resource] = needed.get(resource, 0) + amount
    unfit = {
        attempt.flavor for pod_set in assignment.pod_sets for attempt in pod_set.attempts if attempt.no_fit_reason == "NoMatchingFlavor"
    }
    for group in queue.groups:
        for flavor in group.flavors:
            for resource in group.resources:
                amount = needed.get(resource, 0)
                free = max(0, queue.available((flavor, resource)))
                if flavor in unfit or not amount or amount <= free:
                    continue
                keys.append((flavor, resource))
                most = queue.potential_available((flavor, resource))
                answer.missing.append(
                    Missing(flavor, resource, amount_text(resource, amount), amount_text(resource, free), amount_text(resource, most))
                )
    return keys


def _holders(snapshot: Snapshot, queue: ClusterQueue, keys: list[FlavorResource], now: float, *, everywhere: bool) -> list[Holder]:
    """Whoever holds the missing quota: the own queue's jobs, and those of the tree (or of all queues) that use it, largest first."""
    found: list[tuple[int, Holder]] = []
    wanted = set(keys)
    for member in snapshot.world.cluster_queues.values() if everywhere else tree_members(queue.root()):
        borrows = {key for key in wanted if member.borrowing(key)} if member.parent is not None else set()
        for info in member.workloads.values():
            held = {key: amount for key, amount in info.usage().items() if key in wanted and amount}
            if not held:
                continue
            holder = Holder(
                job_of(info.obj),
                info.key,
                member.name,
                info.local_queue,
                info.priority,
                info.reserved_since(now),
                {f"{resource} in {flavor}": amount_text(resource, amount) for (flavor, resource), amount in held.items()},
                bool(borrows & held.keys()),
                info.is_evicted(),
            )
            found.append((sum(held.values()), holder))
    found.sort(key=lambda entry: (-entry[0], entry[1].workload))
    return [holder for _, holder in found[:MAX_LISTED]]


def _advise(answer: Why, snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, keys: list[FlavorResource], now: float) -> None:
    if answer.state == "preempting":
        return
    if not answer.never and (leavers := _enough(snapshot, info, queue, keys, now)):
        names = ", ".join(str(job_of(each.obj)) for each in leavers[:3]) + (f" and {len(leavers) - 3} more" if len(leavers) > 3 else "")
        answer.helps.append(Help("wait", f"it starts when {names} {'ends' if len(leavers) == 1 else 'end'}"))
    if fewer := _fewer(snapshot, info, queue, now):
        answer.helps.append(Help("fewer", f"with {fewer} it would start now"))
    if (priority := _priority(snapshot, info, queue, now)) is not None:
        text = f"with priority {priority[0]} or more it would preempt {', '.join(str(job_of(v.obj)) for v in priority[1][:3])}"
        answer.helps.append(Help("priority", text))
    flavors = {flavor for flavor, _ in keys}
    for text, probe in relaxed(info, snapshot.world.topologies, flavors) if reason_of(_assign(snapshot, info, queue, now)) else ():
        if _assign(snapshot, probe, queue, now).mode() is Mode.FIT:
            answer.helps.append(Help("topology", f"with {text} it would start now"))
            break
    for each in answer.missing if answer.never else ():
        text = f"raise the quota of {each.resource} in flavor {each.flavor} (at most {each.most} can be had, {each.needed} are needed)"
        answer.helps.append(Help("quota", text))


def _enough(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, keys: list[FlavorResource], now: float) -> list[WorkloadInfo]:
    """Holders whose end would suffice: as few as a simple search finds."""
    wanted = set(keys)
    tree = {member.name for member in tree_members(queue.root())}
    holding = [each for member in snapshot.world.cluster_queues.values() for each in member.workloads.values() if each.uses(wanted)]
    if any(each.cluster_queue not in tree for each in holding):  # those of other trees only matter where they share nodes
        holding = [each for each in holding if each.cluster_queue in tree or each.topology_uses()]
    holding.sort(key=lambda each: (not each.is_evicted(), *order_of(each, queue.name, now, by_usage=False)))
    for single in holding[:MAX_LISTED]:
        if _fits_without(snapshot, info, queue, [single], now):
            return [single]
    gone: list[WorkloadInfo] = []
    for each in holding:
        gone.append(each)
        if len(gone) > 1 and _fits_without(snapshot, info, queue, gone, now):
            for candidate in list(gone):
                fewer = [other for other in gone if other is not candidate]
                if _fits_without(snapshot, info, queue, fewer, now):
                    gone = fewer
            return gone
        if len(gone) >= 200:
            break
    return []


def _fits_without(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, gone: Iterable[WorkloadInfo], now: float) -> bool:
    mark = snapshot.world.removed(gone)
    fits = _assign(snapshot, info, queue, now).mode() is Mode.FIT
    snapshot.world.journal.undo(mark)
    return fits


def _assign(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, now: float, counts: list[int] | None = None) -> Assignment:
    probe = copy.copy(info)
    probe.cluster_queue, probe.last_scan = queue.name, None
    preemptor = Preemptor(snapshot.world, now, fair_strategies=snapshot.options.fair_strategies)
    assigner = FlavorAssigner(
        probe,
        queue,
        snapshot.world.flavors,
        preemptor,
        fair_sharing=snapshot.options.fair_sharing,
        ignore_undeclared=snapshot.options.ignore_undeclared,
        topologies=snapshot.world.topologies,
        check_controllers=snapshot.world.check_controllers,
    )
    return assigner.assign(counts)


def _fewer(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, now: float) -> str:
    """The largest number of Pods of one pod set (the largest one that has several) with which all of it fits; empty where none helps."""
    several = [at for at, pod_set in enumerate(info.pod_sets) if pod_set.count > 1]
    for at in sorted(several, key=lambda index: -info.pod_sets[index].count):
        low, high = 0, info.pod_sets[at].count - 1
        while low < high:
            middle = (low + high + 1) // 2
            counts = [pod_set.count for pod_set in info.pod_sets]
            counts[at] = middle
            if _assign(snapshot, info, queue, now, counts).mode() is Mode.FIT:
                low = middle
            else:
                high = middle - 1
        if low:
            name = info.pod_sets[at].name
            return f"{low} instead of {info.pod_sets[at].count} Pods of {'its pod set' if name == 'main' else name}"
    return ""


def _priority(snapshot: Snapshot, info: WorkloadInfo, queue: ClusterQueue, now: float) -> tuple[int, list[WorkloadInfo]] | None:
    """The lowest priority that would let it preempt, and whom."""
    rules = queue.preemption
    if rules.within_cluster_queue in (NEVER, "") and rules.reclaim_within_cohort in (NEVER, ""):
        return None
    priorities = {each.priority for member in tree_members(queue.root()) for each in member.workloads.values()}
    for level in sorted(priority + 1 for priority in priorities if priority + 1 > info.priority)[:MAX_LISTED]:
        probe = copy.copy(info)
        probe.priority = level
        assignment, victims = _try(snapshot, probe, queue, now)
        if assignment.mode() is Mode.PREEMPT and victims:
            return level, victims
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a queue's listing. `state` is running, checking, stopping, pending or parked; `why` a word on it; `position` 0 where it holds quota."""

    cluster_queue: str
    local_queue: str
    namespace: str
    job: Job
    workload: str
    state: str
    position: int
    priority: int
    since: float
    requests: dict[str, str]
    why: str


def queue_listing(snapshot: Snapshot, now: float) -> list[Row]:
    """All that hold quota and all that wait, queue by queue, in order: holders by age, then the waiting ones as they are taken."""
    rows: list[Row] = []
    for name in sorted(snapshot.world.cluster_queues):
        queue = snapshot.world.cluster_queues[name]
        holding = sorted(queue.workloads.values(), key=lambda info: (info.reserved_since(now), info.key))
        rows += [_row(info, name, _holding_state(info), 0, info.reserved_since(now), "") for info in holding]
        waiting = snapshot.pending.queues.get(name)
        for at, info in enumerate(waiting.in_order() if waiting is not None else ()):
            told = find_condition(info.obj, "QuotaReserved")
            reason = told.reason if told is not None and told.status == "False" else ""
            parked = waiting is not None and info.key in waiting.inadmissible
            rows.append(_row(info, name, "parked" if parked else "pending", at + 1, info.created, reason))
    return rows


def _holding_state(info: WorkloadInfo) -> str:
    if info.is_evicted():
        return "stopping"
    return "running" if is_admitted(info.obj) else "checking"


def _row(info: WorkloadInfo, queue: str, state: str, position: int, since: float, reason: str) -> Row:
    requests: dict[str, int] = {}
    for pod_set in info.pod_sets:
        for resource, amount in pod_set.requests.items():
            requests[resource] = requests.get(resource, 0) + amount
    texts = {resource: amount_text(resource, amount) for resource, amount in sorted(requests.items())}
    return Row(queue, info.local_queue, info.namespace, job_of(info.obj), info.key, state, position, info.priority, since, texts, reason)
