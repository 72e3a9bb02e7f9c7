"""The RayJob's states, one function each: what is seen → what to do and what to write (KubeRay rayjob_controller.go Reconcile).

Pure. Actions come before the status that tells of them: a crash between repeats the action, whose name was chosen beforehand and which therefore
collides with itself. A status is only written on the version of the object that it was computed from.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from raysail.api.core.service import Service
from raysail.api.meta import format_time, parse_time
from raysail.api.ray import RayCluster, RayClusterStatus, RayJob, RayJobStatus, names
from raysail.api.ray import RayJobInfo as RayJobTimes
from raysail.api.ray import cluster as cluster_states
from raysail.api.ray import job as states
from raysail.ray import naming
from raysail.ray.cluster.actions import Event
from raysail.ray.job import submitter
from raysail.ray.job.deletion import after_end
from raysail.ray.job.steps import (
    AddFinalizer,
    Ask,
    CreateCluster,
    CreateSubmitter,
    DeleteCluster,
    DeleteSubmitter,
    EnsureService,
    NotFound,
    RayJobInfo,
    Seen,
    Step,
    Submit,
    Unreachable,
)
from raysail.ray.settings import RaySettings

_RETRY_SECONDS: Final = 3
_SUBMITTER_GRACE_SECONDS: Final = 30
_NOT_RETRIED: Final = (states.DEADLINE_EXCEEDED, states.JOB_STATUS_CHECK_TIMEOUT_EXCEEDED)


def step(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """The next step of a job that is valid and is not being deleted."""
    state = _STATES.get(job.status.job_deployment_status)
    return _finish(job, state(job, seen, now, settings), now) if state else Step()


def new(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """Chooses the names of what will be made, and writes them down before anything is made."""
    del settings
    if names.RAY_JOB_FINALIZER not in (job.metadata.finalizers or ()):
        return Step(actions=(AddFinalizer(),))
    job_id, cluster = job.status.job_id, job.status.ray_cluster_name
    if job.spec.submission_mode != states.INTERACTIVE_MODE and not job_id:
        job_id = job.spec.job_id or f"{job.metadata.name}-{seen.names[0]}"
    if not cluster:
        cluster = (job.spec.cluster_selector or {}).get(names.CLUSTER_LABEL) or f"{job.metadata.name}-{seen.names[1]}"
    return _to(job, states.DEPLOYMENT_INITIALIZING, job_id=job_id, ray_cluster_name=cluster, start_time=format_time(now))


def initializing(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """The cluster comes up. Leaves when it is ready (or, where the settings say so, when its head answers), for suspension or a deadline."""
    early = _suspended(job) or _past_active_deadline(job, now) or _past_pre_running_deadline(job, now)
    if early is not None:
        return early
    cluster = seen.cluster
    if cluster is None:
        return _without_cluster(job)
    url = job.status.dashboard_url
    if not url:
        url = dashboard_url(seen.head_service, settings)
        ready = cluster.status.state == cluster_states.READY
        if not ready and settings.submit_when_head_answers and url and seen.head_pod is not None and seen.head_pod.status.pod_ip:
            if seen.answer is None or isinstance(seen.answer, Unreachable):
                return _stay(job, _with_cluster_status(job, cluster), actions=(Ask(url, job.status.job_id or "-"),))
            ready = True
        if not ready:
            return _stay(job, _with_cluster_status(job, cluster))
        if not url:
            return Step(wake_seconds=_RETRY_SECONDS)
    if job.spec.submission_mode == states.INTERACTIVE_MODE:
        return _to(job, states.DEPLOYMENT_WAITING, dashboard_url=url)
    running = _to(job, states.DEPLOYMENT_RUNNING, dashboard_url=url)
    if job.spec.submission_mode == states.K8S_JOB_MODE and seen.submitter is None and running.status is not None:
        return Step(running.status, actions=(CreateSubmitter(running.status),))
    return running


def waiting(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """The cluster is there; somebody submits to it and writes the id into spec.jobId."""
    del seen, settings
    if early := _past_pre_running_deadline(job, now):
        return early
    if not job.spec.job_id:
        return Step()
    return _to(job, states.DEPLOYMENT_RUNNING, job_id=job.spec.job_id)


def running(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """The program runs, or is about to. Leaves when Ray says that it ended (and its submitter too), for suspension, deadlines, a lost submitter."""
    early = (
        _suspended(job)
        or _past_active_deadline(job, now)
        or _past_transition_grace(job, now, settings)
        or _past_check_timeout(job, now, settings)
    )
    if early is not None:
        return early
    cluster = seen.cluster
    if cluster is None:
        return _without_cluster(job)
    actions: tuple[Any, ...] = _own_service(job, cluster, seen)
    finished = submitter.Outcome()
    if job.spec.submission_mode in (states.K8S_JOB_MODE, states.SIDECAR_MODE):
        finished = submitter.outcome(job, seen, settings)
        if finished.ended_at is not None and now >= finished.ended_at + timedelta(seconds=_SUBMITTER_GRACE_SECONDS):
            text = (
                f"The RayJob submitter finished at {finished.ended_at:%Y-%m-%d %H:%M:%S} but the ray job did not reach terminal state "
                f"within {_SUBMITTER_GRACE_SECONDS}s"
            )
            return _fail(job, states.TRANSITION_GRACE_PERIOD_EXCEEDED, text, job_status=states.FAILED)
        if finished.lost:
            return _fail(job, finished.reason, finished.message or job.status.message)
    ask = Ask(job.status.dashboard_url, job.status.job_id)
    step_ = _judge(job, cluster, seen, finished, now)
    return Step(step_.status, (*actions, ask, *step_.actions), step_.events, step_.wake_seconds)


def suspending(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """Everything goes, whatever the spec says meanwhile; only when it is gone the state moves on."""
    del now, settings
    actions: list[Any] = []
    waits = False
    if seen.cluster is not None and not job.spec.cluster_selector:
        waits = True
        if seen.cluster.metadata.deletion_timestamp is None:
            actions.append(DeleteCluster(seen.cluster.metadata.name, seen.cluster.metadata.uid))
    if seen.submitter is not None and job.spec.submission_mode not in (states.HTTP_MODE, states.SIDECAR_MODE):
        waits = True
        if seen.submitter.metadata.deletion_timestamp is None:
            actions.append(DeleteSubmitter(seen.submitter.metadata.name, seen.submitter.metadata.uid))
    if waits:
        return Step(actions=tuple(actions), wake_seconds=_RETRY_SECONDS)
    then = states.DEPLOYMENT_SUSPENDED if job.status.job_deployment_status == states.DEPLOYMENT_SUSPENDING else states.DEPLOYMENT_NEW
    return _to(
        job,
        then,
        ray_cluster_status=RayClusterStatus(),
        ray_cluster_name="",
        dashboard_url="",
        job_id="",
        job_status="",
        message="",
        reason="",
        ray_job_info=RayJobTimes(),
        job_status_check_failure_start_time=None,
    )


def suspended(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """Nothing is there. Leaves when somebody (a queue) clears spec.suspend."""
    del seen, now, settings
    return Step() if job.spec.suspend else _to(job, states.DEPLOYMENT_NEW, job_status="")


_STATES: Final[dict[str, Callable[[RayJob, Seen, datetime, RaySettings], Step]]] = {
    states.DEPLOYMENT_NEW: new,
    states.DEPLOYMENT_INITIALIZING: initializing,
    states.DEPLOYMENT_WAITING: waiting,
    states.DEPLOYMENT_RUNNING: running,
    states.DEPLOYMENT_SUSPENDING: suspending,
    states.DEPLOYMENT_RETRYING: suspending,
    states.DEPLOYMENT_SUSPENDED: suspended,
    states.DEPLOYMENT_COMPLETE: after_end,
    states.DEPLOYMENT_FAILED: after_end,
}


def dashboard_url(service: Service | None, settings: RaySettings) -> str:
    """host:port of the dashboard behind a head Service; empty where there is none."""
    port = next((port.port for port in (service.spec.ports if service else None) or () if port.name == names.DASHBOARD_PORT_NAME), None)
    if service is None or port is None:
        return ""
    return f"{naming.qualified(service.metadata.name, service.metadata.namespace, settings.cluster_domain)}:{port}"


def _judge(job: RayJob, cluster: RayCluster, seen: Seen, finished: submitter.Outcome, now: datetime) -> Step:
    """What Ray's answer means."""
    answer = seen.answer
    if isinstance(answer, RayJobInfo):
        return _follow(job, cluster, answer, finished)
    if isinstance(answer, NotFound):
        if job.spec.submission_mode == states.HTTP_MODE:
            return Step(actions=(Submit(job.status.dashboard_url, job.status.job_id),))
        if finished.ended_at is not None:
            return _fail(job, states.APP_FAILED, "Submitter completed but Ray job not found in RayCluster.")
        return Step()
    if isinstance(answer, Unreachable):
        if job.status.job_status_check_failure_start_time is None:
            return Step(msgspec.structs.replace(job.status, job_status_check_failure_start_time=format_time(now)))
        return Step()
    if answer is not None and job.status.job_status_check_failure_start_time is not None:
        return Step(msgspec.structs.replace(job.status, job_status_check_failure_start_time=None))
    return Step()


def _follow(job: RayJob, cluster: RayCluster, info: RayJobInfo, finished: submitter.Outcome) -> Step:
    ended = info.status in states.TERMINAL_JOB_STATUSES and (not finished.expected or finished.ended_at is not None)
    deployment, reason = states.DEPLOYMENT_RUNNING, ""
    if ended:
        failed = info.status == states.FAILED
        deployment, reason = (states.DEPLOYMENT_FAILED, states.APP_FAILED) if failed else (states.DEPLOYMENT_COMPLETE, "")
    times = RayJobTimes(
        start_time=_from_ms(info.start_ms) or job.status.ray_job_info.start_time,
        end_time=_from_ms(info.end_ms) or job.status.ray_job_info.end_time,
    )
    status = msgspec.structs.replace(
        job.status,
        ray_cluster_status=cluster.status,
        job_status=info.status,
        job_deployment_status=deployment,
        reason=reason,
        message=info.message,
        ray_job_info=times,
        job_status_check_failure_start_time=None,
    )
    return Step(status)


def _finish(job: RayJob, made: Step, now: datetime) -> Step:
    """Counts attempts, decides about another one, and leaves a status that says nothing new unwritten."""
    status = made.status
    if status is None:
        return made
    failed, succeeded = status.failed or 0, status.succeeded or 0
    if status.job_deployment_status == states.DEPLOYMENT_FAILED:
        failed += 1
    if status.job_status == states.SUCCEEDED and status.job_deployment_status == states.DEPLOYMENT_COMPLETE:
        succeeded += 1
    deployment = status.job_deployment_status
    if deployment == states.DEPLOYMENT_FAILED and failed < (job.spec.backoff_limit or 0) + 1 and status.reason not in _NOT_RETRIED:
        deployment = states.DEPLOYMENT_RETRYING
    status = msgspec.structs.replace(status, failed=failed, succeeded=succeeded, job_deployment_status=deployment)
    if not says_anything_new(job.status, status):
        return Step(None, made.actions, made.events, made.wake_seconds)
    if deployment in states.TERMINAL_DEPLOYMENT_STATUSES:
        status = msgspec.structs.replace(status, end_time=format_time(now))
    return Step(status, made.actions, made.events, made.wake_seconds)


def says_anything_new(old: RayJobStatus, new: RayJobStatus) -> bool:
    """Whether KubeRay would write it: both states, the cluster's status, and since when the dashboard is silent count; messages alone do not."""
    return (
        (old.job_status, old.job_deployment_status) != (new.job_status, new.job_deployment_status)
        or old.job_status_check_failure_start_time != new.job_status_check_failure_start_time
        or _essence(old.ray_cluster_status) != _essence(new.ray_cluster_status)
    )


def _essence(status: RayClusterStatus) -> RayClusterStatus:
    return msgspec.structs.replace(
        status,
        desired_cpu=None,
        desired_memory=None,
        desired_gpu=None,
        desired_tpu=None,
        last_update_time=None,
        state_transition_times=None,
        observed_generation=0,
    )


def _to(job: RayJob, deployment_status: str, **changes: Any) -> Step:
    return Step(msgspec.structs.replace(job.status, job_deployment_status=deployment_status, **changes))


def _fail(job: RayJob, reason: str, message: str, **changes: Any) -> Step:
    return _to(job, states.DEPLOYMENT_FAILED, reason=reason, message=message, **changes)


def _stay(job: RayJob, status: RayJobStatus, *, actions: tuple[Any, ...] = ()) -> Step:
    del job
    return Step(status, actions)


def _with_cluster_status(job: RayJob, cluster: RayCluster) -> RayJobStatus:
    return msgspec.structs.replace(job.status, ray_cluster_status=cluster.status)


def _without_cluster(job: RayJob) -> Step:
    name = job.status.ray_cluster_name
    if not job.spec.cluster_selector:
        return Step(actions=(CreateCluster(name),))
    text = f"RayCluster {job.metadata.namespace}/{name} set in the clusterSelector is not found. It must be created manually"
    return Step(events=(Event("Warning", "RayClusterNotFound", text, "Validate"),), wake_seconds=_RETRY_SECONDS)


def _own_service(job: RayJob, cluster: RayCluster, seen: Seen) -> tuple[EnsureService, ...]:
    if job.spec.cluster_selector:
        return ()
    if seen.own_service is None:
        return (EnsureService(update=False),)
    points_at = (seen.own_service.spec.selector or {}).get(names.CLUSTER_LABEL)
    return () if points_at == cluster.metadata.name else (EnsureService(update=True),)


def _suspended(job: RayJob) -> Step | None:
    return _to(job, states.DEPLOYMENT_SUSPENDING) if job.spec.suspend else None


def deadline(since: str | None, seconds: float | None) -> datetime | None:
    """The moment so many seconds after a time of the status; None where either is missing."""
    return parse_time(since) + timedelta(seconds=seconds) if since and seconds is not None else None


def _past_active_deadline(job: RayJob, now: datetime) -> Step | None:
    end = deadline(job.status.start_time, job.spec.active_deadline_seconds)
    if end is None or now < end:
        return None
    text = (
        f"The RayJob has passed the activeDeadlineSeconds. StartTime: {_shown(job.status.start_time)}. "
        f"ActiveDeadlineSeconds: {job.spec.active_deadline_seconds}"
    )
    return _fail(job, states.DEADLINE_EXCEEDED, text)


def _past_pre_running_deadline(job: RayJob, now: datetime) -> Step | None:
    end = deadline(job.status.start_time, job.spec.pre_running_deadline_seconds)
    if end is None or now < end:
        return None
    text = (
        f"The RayJob has passed the preRunningDeadlineSeconds. StartTime: {_shown(job.status.start_time)}. "
        f"PreRunningDeadlineSeconds: {job.spec.pre_running_deadline_seconds}"
    )
    return _fail(job, states.PRE_RUNNING_DEADLINE_EXCEEDED, text)


def _past_transition_grace(job: RayJob, now: datetime, settings: RaySettings) -> Step | None:
    """Ray says that it ended, and the submitter still does not: a fault of its own that must not hold the job for ever."""
    if job.status.job_status not in states.TERMINAL_JOB_STATUSES:
        return None
    end = deadline(job.status.ray_job_info.end_time, settings.transition_grace_period_seconds)
    if end is None or now < end:
        return None
    text = "JobDeploymentStatus does not transition to Complete or Failed within the grace period after JobStatus reaches a terminal state."
    to = states.DEPLOYMENT_FAILED if job.status.job_status == states.FAILED else states.DEPLOYMENT_COMPLETE
    return _to(job, to, reason=states.TRANSITION_GRACE_PERIOD_EXCEEDED, message=text)


def _past_check_timeout(job: RayJob, now: datetime, settings: RaySettings) -> Step | None:
    since = job.status.job_status_check_failure_start_time
    end = deadline(since, settings.status_check_timeout_seconds)
    if since is None or end is None or now < end:
        return None
    text = (
        f"Job status checks have been failing since {parse_time(since):%Y-%m-%d %H:%M:%S}; "
        f"exceeded timeout of {settings.status_check_timeout_seconds:.0f}s"
    )
    return _fail(job, states.JOB_STATUS_CHECK_TIMEOUT_EXCEEDED, text)


def next_deadline(job: RayJob, seen: Seen, settings: RaySettings) -> datetime | None:
    """The next moment at which time alone changes this job's state; None where none does."""
    status, ends = job.status, []
    if status.job_deployment_status in (states.DEPLOYMENT_INITIALIZING, states.DEPLOYMENT_RUNNING):
        ends.append(deadline(status.start_time, job.spec.active_deadline_seconds))
    if status.job_deployment_status in (states.DEPLOYMENT_INITIALIZING, states.DEPLOYMENT_WAITING):
        ends.append(deadline(status.start_time, job.spec.pre_running_deadline_seconds))
    if status.job_deployment_status == states.DEPLOYMENT_RUNNING:
        ends.append(deadline(status.job_status_check_failure_start_time, settings.status_check_timeout_seconds))
        if status.job_status in states.TERMINAL_JOB_STATUSES:
            ends.append(deadline(status.ray_job_info.end_time, settings.transition_grace_period_seconds))
        ended_at = submitter.outcome(job, seen, settings).ended_at
        ends.append(ended_at + timedelta(seconds=_SUBMITTER_GRACE_SECONDS) if ended_at else None)
    return min((end for end in ends if end is not None), default=None)


def _from_ms(milliseconds: int) -> str | None:
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC)) if milliseconds else None


def _shown(time: str | None) -> str:
    """As Go prints a time."""
    return f"{parse_time(time):%Y-%m-%d %H:%M:%S} +0000 UTC" if time else "<nil>"
