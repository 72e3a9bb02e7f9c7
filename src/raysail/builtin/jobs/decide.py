"""What to do for a Job now: one pure function of the Job, its Pods and the time (pkg/controller/job/job_controller.go, syncJob).

Counting is exact although status and Pods are written one after the other: a Pod that ended keeps a finalizer until its UID (or index) stands in the
Job's status, and a UID is moved into the counters only when its Pod has lost the finalizer. Pod changes come before the status: as long as a Step
has some, its status is not to be written; do them and decide again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from raysail.api import conditions
from raysail.api.batch import (
    JOB_COMPLETE,
    JOB_FAILED,
    JOB_FAILURE_TARGET,
    JOB_SUCCESS_CRITERIA_MET,
    JOB_SUSPENDED,
    Job,
    UncountedPods,
)
from raysail.api.core import Pod
from raysail.api.meta import format_time, parse_time
from raysail.builtin import podstate
from raysail.builtin.jobs import pods as of
from raysail.builtin.jobs.indexes import first_pending, format_indexes, parse_indexes
from raysail.builtin.jobs.policies import Verdict, judge, success_rule
from raysail.builtin.jobs.template import JsonObject, build_pod

FIRST_BACKOFF_SECONDS: Final = 10.0
LONGEST_BACKOFF_SECONDS: Final = 600.0
MAX_POD_CHANGES: Final = 500
MAX_UNCOUNTED: Final = 500


@dataclass(frozen=True, slots=True)
class Told:
    """An event for the Job."""

    type: str
    reason: str
    message: str


@dataclass(slots=True)
class Step:
    """`create`, `delete` (as failed) and `discard` (not to be counted) are Pod changes; `release`: Pods that lose their finalizer once `status` is stored."""

    status: JsonObject
    create: list[JsonObject] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    discard: list[Pod] = field(default_factory=list)
    release: list[Pod] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    wake_seconds: float | None = None

    @property
    def changes_pods(self) -> bool:
        """Whether Pods are to be made or deleted before anything else."""
        return bool(self.create or self.delete or self.discard)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the Job ends: `interim` is SuccessCriteriaMet or FailureTarget, the condition that comes before Complete or Failed."""

    interim: str
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether it is a failure."""
        return self.interim == JOB_FAILURE_TARGET


@dataclass(slots=True)
class _World:
    """The Job with its Pods sorted out."""

    job: Job
    pods: Sequence[Pod]
    now: datetime
    active: list[Pod]
    terminating: int
    succeeded: int
    failed: int
    new_failed: list[tuple[Pod, Verdict]]
    succeeded_indexes: set[int]
    failed_indexes: set[int] | None
    delayed: dict[int, Pod]
    """By index: the failed Pod that must not be released before its successor has taken over its failure count."""


def decide(job: Job, pods: Sequence[Pod], now: datetime) -> Step:
    """The next step of an unfinished Job. `pods` are those that it controls."""
    world = _sort_out(job, pods, now)
    status = _present_status(job)
    step = Step(status)
    if not job.spec.suspend and not job.status.start_time:
        status["startTime"] = format_time(now)
    outcome = _stored_outcome(job) or _failure(world, status) or _policy_success(world)
    if outcome is not None:
        step.delete = world.active
    elif job.metadata.deletion_timestamp is None:
        _manage(world, step)
        outcome = _completion(world) if not step.changes_pods else None
        if outcome is None and not step.changes_pods:
            _tell_suspension(world, step)
    _set_deadline(world, step, outcome)
    if not step.changes_pods:
        _count(world, step, outcome)
    return step


def _sort_out(job: Job, pods: Sequence[Pod], now: datetime) -> _World:
    uncounted = job.status.uncounted_terminated_pods or UncountedPods()
    known_succeeded, known_failed = set(uncounted.succeeded or ()), set(uncounted.failed or ())
    completions = job.spec.completions or 0
    indexed = of.is_indexed(job)
    tracked = [pod for pod in pods if of.is_tracked(pod) and (not indexed or _valid_index(pod, completions) is not None)]
    new_failed = [
        (pod, judge(job.spec.pod_failure_policy, pod)) for pod in tracked if of.is_failed(pod, job) and pod.metadata.uid not in known_failed
    ]
    new_succeeded = [pod for pod in tracked if pod.status.phase == "Succeeded" and pod.metadata.uid not in known_succeeded]
    world = _World(
        job=job,
        pods=pods,
        now=now,
        active=[pod for pod in pods if podstate.is_active(pod)],
        terminating=sum(podstate.is_terminating(pod) for pod in pods),
        succeeded=job.status.succeeded + len(new_succeeded) + len(known_succeeded),
        failed=job.status.failed + sum(verdict.counts for _, verdict in new_failed) + len(known_failed),
        new_failed=new_failed,
        succeeded_indexes=set(),
        failed_indexes=None,
        delayed={},
    )
    if indexed:
        world.succeeded_indexes = parse_indexes(job.status.completed_indexes, completions)
        world.succeeded_indexes |= {index for pod in tracked if pod.status.phase == "Succeeded" and (index := of.index_of(pod)) is not None}
        world.succeeded = len(world.succeeded_indexes)
        if job.spec.backoff_limit_per_index is not None:
            _sort_out_indexes(world, tracked, job.spec.backoff_limit_per_index)
    return world


def _sort_out_indexes(world: _World, tracked: Sequence[Pod], limit: int) -> None:
    lost = parse_indexes(world.job.status.failed_indexes, world.job.spec.completions or 0)
    failed = [pod for pod in tracked if of.is_failed(pod, world.job)]
    for pod in failed:
        verdict, index = judge(world.job.spec.pod_failure_policy, pod), of.index_of(pod)
        if index is not None and (verdict.fails_index or (verdict.counts and of.failure_counts(pod)[0] >= limit)):
            lost.add(index)
    world.failed_indexes = lost
    settled = lost | world.succeeded_indexes | {of.index_of(pod) for pod in world.active}
    for pod in failed:
        index = of.index_of(pod)
        if index is None or index in settled:
            continue
        last = world.delayed.get(index)
        if last is None or (sum(of.failure_counts(last)), of.finished_at(last)) <= (sum(of.failure_counts(pod)), of.finished_at(pod)):
            world.delayed[index] = pod


def _valid_index(pod: Pod, completions: int) -> int | None:
    index = of.index_of(pod)
    return index if index is not None and index < completions else None


# How it ends.


def _stored_outcome(job: Job) -> Outcome | None:
    for interim in (JOB_SUCCESS_CRITERIA_MET, JOB_FAILURE_TARGET):
        found = conditions.find(job.status.conditions, interim)
        if found is not None and found.status == "True":
            return Outcome(interim, found.reason, found.message)
    return None


def _failure(world: _World, status: JsonObject) -> Outcome | None:
    job = world.job
    for pod in world.pods:
        if of.is_failed(pod, job):
            message = judge(job.spec.pod_failure_policy, pod).fails_job
            if message:
                return Outcome(JOB_FAILURE_TARGET, "PodFailurePolicy", message)
    limit = 6 if job.spec.backoff_limit is None else job.spec.backoff_limit
    if world.failed > limit or _restarts_exceed(world, limit):
        return Outcome(JOB_FAILURE_TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    deadline = _seconds_to_deadline(job, status, world.now)
    if deadline is not None and deadline <= 0:
        return Outcome(JOB_FAILURE_TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")
    lost = world.failed_indexes
    if lost:
        if job.spec.max_failed_indexes is not None and len(lost) > job.spec.max_failed_indexes:
            text = "Job has exceeded the specified maximal number of failed indexes"
            return Outcome(JOB_FAILURE_TARGET, "MaxFailedIndexesExceeded", text)
        if len(lost) + len(world.succeeded_indexes) >= (job.spec.completions or 0):
            return Outcome(JOB_FAILURE_TARGET, "FailedIndexes", "Job has failed indexes")
    return None


def _restarts_exceed(world: _World, limit: int) -> bool:
    if ((world.job.spec.template or {}).get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    count = of.restarts(list(world.pods))
    return count > 0 if limit == 0 else count >= limit


def _policy_success(world: _World) -> Outcome | None:
    if not of.is_indexed(world.job):
        return None
    message = success_rule(world.job.spec.success_policy, world.job.spec.completions or 0, world.succeeded_indexes)
    return Outcome(JOB_SUCCESS_CRITERIA_MET, "SuccessPolicy", message) if message else None


def _completion(world: _World) -> Outcome | None:
    wanted = world.job.spec.completions
    enough = world.succeeded > 0 if wanted is None else world.succeeded >= wanted
    if not enough or world.active:
        return None
    return Outcome(JOB_SUCCESS_CRITERIA_MET, "CompletionsReached", "Reached expected number of succeeded pods")


def _seconds_to_deadline(job: Job, status: JsonObject, now: datetime) -> float | None:
    start = status.get("startTime")
    if job.spec.active_deadline_seconds is None or not start or job.spec.suspend:
        return None
    return job.spec.active_deadline_seconds - (now - parse_time(start)).total_seconds()


def _set_deadline(world: _World, step: Step, outcome: Outcome | None) -> None:
    remaining = _seconds_to_deadline(world.job, step.status, world.now)
    if outcome is None and remaining is not None:
        step.wake_seconds = min(remaining, step.wake_seconds) if step.wake_seconds is not None else remaining


# Which Pods there should be.


def _manage(world: _World, step: Step) -> None:
    job = world.job
    if job.spec.suspend:
        step.discard = world.active[:MAX_POD_CHANGES]
        return
    parallelism = 1 if job.spec.parallelism is None else job.spec.parallelism
    terminating = world.terminating if of.replaces_only_failed(job) else 0
    active = len(world.active)
    if job.spec.completions is None:
        wanted = active if world.succeeded > 0 else parallelism
    else:
        wanted = max(0, min(job.spec.completions - world.succeeded, parallelism))
    step.discard = _superfluous(world, max(0, active + terminating - wanted))[:MAX_POD_CHANGES]
    missing = min(wanted - terminating - active, MAX_POD_CHANGES)
    if step.discard or missing <= 0:
        return
    if job.spec.backoff_limit_per_index is None:
        wait = _backoff_seconds(world)
        if wait > 0:
            step.wake_seconds = wait
            return
    _create(world, step, missing)


def _create(world: _World, step: Step, missing: int) -> None:
    job = world.job
    taken = {pod.metadata.name for pod in world.pods}
    if not of.is_indexed(job):
        start = job.status.succeeded + job.status.failed
        for _ in range(missing):
            pod = build_pod(job, taken, start)
            taken.add(pod["metadata"]["name"])
            step.create.append(pod)
        return
    busy = {of.index_of(pod) for pod in world.active}
    if of.replaces_only_failed(job):
        busy |= {of.index_of(pod) for pod in world.pods if podstate.is_terminating(pod)}
    settled = {index for index in busy if index is not None} | world.succeeded_indexes | (world.failed_indexes or set())
    waits: list[float] = []
    for index in first_pending(job.spec.completions or 0, missing, settled):
        failures = None
        if job.spec.backoff_limit_per_index is not None:
            last = world.delayed.get(index)
            wait = _index_backoff_seconds(last, world.now)
            if wait > 0:
                waits.append(wait)
                continue
            failures = _failures_after(job, last)
        pod = build_pod(job, taken, sum(failures) if failures else 0, index, failures)
        taken.add(pod["metadata"]["name"])
        step.create.append(pod)
    if waits:
        step.wake_seconds = min(waits)


def _superfluous(world: _World, at_least: int) -> list[Pod]:
    """Pods with a wrong or repeated index, and more until there are few enough."""
    if not of.is_indexed(world.job):
        return sorted(world.active, key=podstate.removal_order)[:at_least]
    kept: dict[int, Pod] = {}
    doomed: list[Pod] = []
    for pod in sorted(world.active, key=podstate.removal_order, reverse=True):
        index = _valid_index(pod, world.job.spec.completions or 0)
        if index is None or index in kept:
            doomed.append(pod)
        else:
            kept[index] = pod
    if len(doomed) < at_least:
        doomed += sorted(kept.values(), key=podstate.removal_order)[: at_least - len(doomed)]
    return doomed


def _backoff_seconds(world: _World) -> float:
    """How long to wait before a new Pod: 10 s after a failure, doubling with each further one since the last success, at most 10 minutes."""
    ended = [pod for pod in world.pods if pod.status.phase == "Succeeded"]
    last_success = max((of.finished_at(pod) for pod in ended), default=None)
    failures = [of.finished_at(pod) for pod in world.pods if of.is_failed(pod, world.job) and not _was_discarded(pod)]
    recent = [moment for moment in failures if last_success is None or moment > last_success]
    return _remaining(len(recent), max(recent), world.now) if recent else 0.0


def _was_discarded(pod: Pod) -> bool:
    """Whether we deleted it ourselves, for a suspension or because there were too many: such Pods lose their finalizer before they are deleted."""
    return pod.status.phase != "Failed" and not of.is_tracked(pod)


def _index_backoff_seconds(last: Pod | None, now: datetime) -> float:
    return 0.0 if last is None else _remaining(sum(of.failure_counts(last)) + 1, of.finished_at(last), now)


def _remaining(failures: int, last_failure: datetime, now: datetime) -> float:
    backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 1, 16))
    return max(0.0, (last_failure + timedelta(seconds=backoff) - now).total_seconds())


def _failures_after(job: Job, last: Pod | None) -> tuple[int, int]:
    if last is None:
        return 0, 0
    counted, ignored = of.failure_counts(last)
    return (counted + 1, ignored) if judge(job.spec.pod_failure_policy, last).counts else (counted, ignored + 1)


# What the status says.


def _tell_suspension(world: _World, step: Step) -> None:
    listed: list[dict[str, Any]] = step.status.setdefault("conditions", [])
    suspended = conditions.find(world.job.status.conditions, JOB_SUSPENDED)
    if world.job.spec.suspend:
        if suspended is None or suspended.status != "True":
            conditions.set_condition(listed, JOB_SUSPENDED, True, "JobSuspended", "Job suspended", world.now)
            step.status["startTime"] = None
            step.events.append(Told("Normal", "Suspended", "Job suspended"))
    elif suspended is not None and suspended.status != "False":
        conditions.set_condition(listed, JOB_SUSPENDED, False, "JobResumed", "Job resumed", world.now)
        # The deadline counts from the moment it runs again.
        step.status["startTime"] = format_time(world.now)
        step.events.append(Told("Normal", "Resumed", "Job resumed"))


def _count(world: _World, step: Step, outcome: Outcome | None) -> None:
    job, status = world.job, step.status
    uncounted = job.status.uncounted_terminated_pods or UncountedPods()
    tracked = {pod.metadata.uid for pod in world.pods if of.is_tracked(pod)}
    succeeded = [uid for uid in uncounted.succeeded or () if uid in tracked]
    failed = [uid for uid in uncounted.failed or () if uid in tracked]
    status["succeeded"] = job.status.succeeded + len(uncounted.succeeded or ()) - len(succeeded)
    status["failed"] = job.status.failed + len(uncounted.failed or ()) - len(failed)
    _release(world, step, outcome, succeeded, failed)
    if of.is_indexed(job):
        status["completedIndexes"] = format_indexes(world.succeeded_indexes)
        status["succeeded"] = len(world.succeeded_indexes)
        if world.failed_indexes is not None:
            status["failedIndexes"] = format_indexes(world.failed_indexes)
    status["uncountedTerminatedPods"] = {
        **({"succeeded": succeeded} if succeeded else {}),
        **({"failed": failed} if failed else {}),
    }
    status["active"] = len(world.active)
    status["ready"] = sum(podstate.is_ready(pod) for pod in world.active)
    status["terminating"] = world.terminating
    if outcome is not None:
        _tell_outcome(world, step, outcome, counted=not (succeeded or failed or step.release))


def _release(world: _World, step: Step, outcome: Outcome | None, succeeded: list[str], failed: list[str]) -> None:
    """Puts newly ended Pods down as uncounted and lets them go after that."""
    job = world.job
    indexed, completions = of.is_indexed(job), job.spec.completions or 0
    verdicts = {pod.metadata.uid: verdict for pod, verdict in world.new_failed}
    delayed = {pod.metadata.uid for pod in world.delayed.values()} if outcome is None and job.metadata.deletion_timestamp is None else set()
    for pod in sorted(world.pods, key=lambda p: (of.index_of(p) or 0, p.metadata.name)):
        uid = pod.metadata.uid
        ended = pod.status.phase == "Succeeded" or of.is_failed(pod, job)
        free = job.metadata.deletion_timestamp is not None or outcome is not None or ended
        if not of.is_tracked(pod) or not free or uid in delayed:
            continue
        if len(succeeded) + len(failed) >= MAX_UNCOUNTED:
            return  # the rest next time: the list must stay small
        step.release.append(pod)
        if indexed and _valid_index(pod, completions) is None:
            continue
        if pod.status.phase == "Succeeded":
            if not indexed and uid not in succeeded:
                succeeded.append(uid)
        elif (of.is_failed(pod, job) or (outcome is not None and outcome.failed)) and uid not in failed:
            verdict = verdicts.get(uid) or judge(job.spec.pod_failure_policy, pod)
            if verdict.counts:
                failed.append(uid)


def _tell_outcome(world: _World, step: Step, outcome: Outcome, *, counted: bool) -> None:
    listed: list[dict[str, Any]] = step.status.setdefault("conditions", [])
    stored = conditions.is_true(world.job.status.conditions, outcome.interim)
    conditions.set_condition(listed, outcome.interim, True, outcome.reason, outcome.message, world.now)
    if not stored or not counted or world.terminating:
        return
    final = JOB_FAILED if outcome.failed else JOB_COMPLETE
    conditions.set_condition(listed, final, True, outcome.reason, outcome.message, world.now)
    if outcome.failed:
        step.events.append(Told("Warning", outcome.reason, outcome.message))
        return
    step.status["completionTime"] = format_time(world.now)
    wanted = world.job.spec.completions
    if wanted is not None and step.status["succeeded"] > wanted:
        step.events.append(Told("Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached"))
    step.events.append(Told("Normal", "Completed", "Job completed"))


def _present_status(job: Job) -> JsonObject:
    listed = [
        {
            "type": c.type,
            "status": c.status,
            "reason": c.reason,
            "message": c.message,
            **({"lastTransitionTime": c.last_transition_time} if c.last_transition_time else {}),
        }
        for c in job.status.conditions or ()
    ]
    status: JsonObject = {"startTime": job.status.start_time}
    if listed:
        status["conditions"] = listed
    return status
