"""Which RayJob a RayCronJob has to make now, and when to look again. Pure.

As in KubeRay every missed tick is made up for, one after the other. A tick's RayJob is named after the tick, so that it is made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from raysail.api import schedule
from raysail.api.meta import format_time, parse_time
from raysail.api.ray import RayCronJob, names
from raysail.ray.pods.build import controller_reference
from raysail.ray.settings import FeatureGates
from raysail.ray.validation import InvalidError
from raysail.ray.validation import job as job_validation


@dataclass(frozen=True, slots=True)
class Tick:
    """`at`: the tick that is due, None while none is; `wait_seconds`: until the next one, None where none comes."""

    at: datetime | None
    wait_seconds: float | None


def check(cron: RayCronJob, gates: FeatureGates) -> None:
    """Raises InvalidError in KubeRay's words."""
    spec = cron.spec
    if len(cron.metadata.name) > names.MAX_RAY_CRON_JOB_NAME:
        raise InvalidError(f"RayCronJob name should be no more than {names.MAX_RAY_CRON_JOB_NAME} characters")
    if "TZ" in spec.schedule:
        raise InvalidError("cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    try:
        schedule.parse(spec.schedule)
    except schedule.ScheduleError as error:
        raise InvalidError(f"invalid cron schedule: {error}") from error
    if spec.time_zone == "":
        raise InvalidError("timeZone must not be empty string, omit the field to use the local time zone of the KubeRay operator")
    try:
        schedule.parse(spec.schedule, spec.time_zone)
    except schedule.ScheduleError as error:
        raise InvalidError(f"invalid time zone: {error}") from error
    try:
        job_validation.check_spec(spec.job_template, None, gates)
    except InvalidError as error:
        raise InvalidError(f"invalid RayJob template: {error}") from error


def due(cron: RayCronJob, now: datetime) -> Tick:
    """The first tick after the last one that was made."""
    plan = schedule.parse(cron.spec.schedule, cron.spec.time_zone)
    since = cron.status.last_schedule_time or cron.metadata.creation_timestamp
    at = plan.next(parse_time(since) if since else now)
    if at is None:
        return Tick(None, None)
    if at > now:
        return Tick(None, (at - now).total_seconds())
    following = plan.next(at)
    return Tick(at, max(0.0, (following - now).total_seconds()) if following else None)


def job_of(cron: RayCronJob, at: datetime) -> dict[str, Any]:
    """The RayJob of a tick."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {
            "name": f"{cron.metadata.name}-{int(at.timestamp()) // 60}",
            "namespace": cron.metadata.namespace,
            "labels": {names.CRONJOB_NAME_LABEL: cron.metadata.name},
            "annotations": {names.CRONJOB_SCHEDULED_TIMESTAMP_ANNOTATION: format_time(at.astimezone(UTC))},
            "ownerReferences": [controller_reference("RayCronJob", cron.metadata.name, cron.metadata.uid)],
        },
        "spec": msgspec.to_builtins(cron.spec.job_template),
    }
