"""Which Job a CronJob starts now, which it deletes, and its status (k8s.io/kubernetes pkg/controller/cronjob).

Of several moments that were missed only the last one is made up for. A Job is named after its moment, so that it is made once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from raysail.api import conditions, schedule
from raysail.api.batch import JOB_COMPLETE, JOB_FAILED, CronJob, Job
from raysail.api.meta import format_time, parse_time
from raysail.api.resources import JOBS
from raysail.builtin.ownedpods import controller_reference

SCHEDULED: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY: Final = 100
_WINDOWS: Final = tuple(timedelta(minutes=minutes) for minutes in (2, 120, 3 * 24 * 60, 93 * 24 * 60))

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """An event for the CronJob."""

    type: str
    reason: str
    message: str


@dataclass(slots=True)
class Step:
    """`delete` before `create`; `status` is what differs, written after both."""

    create: JsonObject | None = None
    delete: list[Job] = field(default_factory=list)
    status: JsonObject | None = None
    events: list[Told] = field(default_factory=list)
    wake_seconds: float | None = None


def decide(cron: CronJob, jobs: Sequence[Job], now: datetime) -> Step:
    """The next step. `jobs` are those that it controls."""
    step = Step()
    running = [job for job in jobs if outcome(job) == ""]
    _tell_ends(cron, jobs, step)
    _forget_old(cron, jobs, step)
    started = None
    if cron.metadata.deletion_timestamp is None and not cron.spec.suspend:
        started = _start(cron, jobs, running, now, step)
    replaced = {job.metadata.uid for job in step.delete}
    active = [_reference(job) for job in sorted(running, key=lambda j: j.metadata.name) if job.metadata.uid not in replaced]
    _set_status(cron, jobs, active, started, step)
    return step


def outcome(job: Job) -> str:
    """Complete, Failed, or empty while it has not ended."""
    return next((type_ for type_ in (JOB_COMPLETE, JOB_FAILED) if conditions.is_true(job.status.conditions, type_)), "")


def last_due(plan: schedule.Schedule, since: datetime, now: datetime) -> tuple[datetime | None, int]:
    """The last moment after `since` that has come, and about how many have; (None, 0) when none has."""
    first = plan.next(since)
    if first is None or first > now:
        return None, 0
    second = plan.next(first)
    missed = 1 if second is None or second > now else 1 + int((now - first) / (second - first))
    for window in _WINDOWS:
        # Moments lie close together or few are in a window: either way only some are looked at.
        start = now - window
        moment = plan.next(start) if start > since else None
        if moment is not None and moment <= now:
            return _walk(plan, moment, now), missed
    return _walk(plan, first, now), missed


def _walk(plan: schedule.Schedule, moment: datetime, now: datetime) -> datetime:
    while (following := plan.next(moment)) is not None and following <= now:
        moment = following
    return moment


def _start(cron: CronJob, jobs: Sequence[Job], running: Sequence[Job], now: datetime, step: Step) -> datetime | None:
    try:
        plan = schedule.parse(cron.spec.schedule, cron.spec.time_zone)
    except schedule.ScheduleError as error:
        step.events.append(Told("Warning", "UnparseableSchedule", f"unparseable schedule: {cron.spec.schedule} : {error}"))
        return None
    following = plan.next(now)
    step.wake_seconds = (following - now).total_seconds() if following else None
    since = parse_time(cron.status.last_schedule_time or cron.metadata.creation_timestamp or format_time(now))
    deadline = cron.spec.starting_deadline_seconds
    if deadline is not None:
        since = max(since, now - timedelta(seconds=deadline))
    at, missed = last_due(plan, since, now)
    if at is None:
        return None
    if missed > TOO_MANY and deadline is None:
        text = f"too many missed start times: {missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        step.events.append(Told("Warning", "TooManyMissedTimes", text))
    name = job_name(cron, at)
    if any(job.metadata.name == name for job in jobs):
        return at  # made before, and its status was not written
    if running and cron.spec.concurrency_policy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        step.events.append(Told("Normal", "JobAlreadyActive", text))
        return None
    if cron.spec.concurrency_policy == "Replace":
        step.delete += [job for job in running if job not in step.delete]
    step.create = build_job(cron, at)
    return at


def job_name(cron: CronJob, at: datetime) -> str:
    """The name of the Job of that moment."""
    return f"{cron.metadata.name}-{int(at.timestamp()) // 60}"


def build_job(cron: CronJob, at: datetime) -> JsonObject:
    """The Job of that moment, in wire form."""
    meta = cron.spec.job_template.metadata or {}
    zone = schedule.zone_of(cron.spec.time_zone) if cron.spec.time_zone else None
    stamp = at.astimezone(zone).isoformat() if zone else format_time(at)
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": job_name(cron, at),
            "namespace": cron.metadata.namespace,
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED: stamp},
            "ownerReferences": [controller_reference(cron)],
        },
        "spec": copy.deepcopy(cron.spec.job_template.spec or {}),
    }


def _tell_ends(cron: CronJob, jobs: Sequence[Job], step: Step) -> None:
    present = {job.metadata.uid: job for job in jobs}
    for reference in cron.status.active or ():
        job = present.get(reference.get("uid", ""))
        name = reference.get("name", "")
        if job is None:
            step.events.append(Told("Normal", "MissingJob", f"Active job went missing: {name}"))
        elif ended := outcome(job):
            step.events.append(Told("Normal", "SawCompletedJob", f"Saw completed job: {name}, condition: {ended}"))


def _forget_old(cron: CronJob, jobs: Sequence[Job], step: Step) -> None:
    for ended, limit in (
        (JOB_COMPLETE, 3 if cron.spec.successful_jobs_history_limit is None else cron.spec.successful_jobs_history_limit),
        (JOB_FAILED, 1 if cron.spec.failed_jobs_history_limit is None else cron.spec.failed_jobs_history_limit),
    ):
        done = [job for job in jobs if outcome(job) == ended and job.metadata.deletion_timestamp is None]
        done.sort(key=lambda job: (job.status.start_time or "", job.metadata.name))
        step.delete += done[: max(0, len(done) - limit)]


def _set_status(cron: CronJob, jobs: Sequence[Job], active: list[JsonObject], started: datetime | None, step: Step) -> None:
    status: JsonObject = {}
    if [entry.get("uid") for entry in active] != [entry.get("uid") for entry in cron.status.active or ()]:
        status["active"] = active or None
    if started is not None and (text := format_time(started)) != cron.status.last_schedule_time:
        status["lastScheduleTime"] = text
    ends = [job.status.completion_time for job in jobs if outcome(job) == JOB_COMPLETE and job.status.completion_time]
    if ends and (last := max(ends)) > (cron.status.last_successful_time or ""):
        status["lastSuccessfulTime"] = last
    step.status = status or None


def _reference(job: Job) -> JsonObject:
    meta = job.metadata
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "namespace": meta.namespace,
        "name": meta.name,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
    }
