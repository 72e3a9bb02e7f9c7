"""RayCronJob: RayJobs on a schedule."""

from __future__ import annotations

from typing import Annotated

from raysail.api.meta import Object, View
from raysail.api.ray.job import RayJobSpec
from raysail.api.structural import Field, Time


class RayCronJobSpec(View, frozen=True):
    """What to run, and when."""

    job_template: Annotated[RayJobSpec, Field("Spec of the RayJobs.", required=True)] = RayJobSpec()
    schedule: Annotated[str, Field("Five cron fields, or @hourly, @daily, ...", required=True)] = ""
    time_zone: Annotated[
        str | None, Field("Time zone of the schedule, e.g. Europe/Berlin; that of the controller where absent.", min_length=1)
    ] = None
    suspend: Annotated[bool | None, Field("true makes no more RayJobs; those that run go on.")] = None


class RayCronJobStatus(View, frozen=True):
    """What was made."""

    last_schedule_time: Annotated[Time | None, Field("When a RayJob was last made.")] = None


class RayCronJob(Object, frozen=True):
    """RayJobs on a schedule."""

    spec: Annotated[RayCronJobSpec, Field("What to run, and when.")] = RayCronJobSpec()
    status: Annotated[RayCronJobStatus, Field("What was made.")] = RayCronJobStatus()
