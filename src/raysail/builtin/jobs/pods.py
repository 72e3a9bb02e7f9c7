"""What a Job's Pods tell: which have failed, how often, since when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from raysail.api import conditions
from raysail.api.batch import JOB_COMPLETION_INDEX, JOB_TRACKING_FINALIZER, Job
from raysail.api.core import Pod
from raysail.api.core.pod import ContainerStatus
from raysail.api.meta import parse_time

INDEXED: Final = "Indexed"
FAILURE_COUNT: Final = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURE_COUNT: Final = "batch.kubernetes.io/job-index-ignored-failure-count"


def is_indexed(job: Job) -> bool:
    """Whether each Pod stands for one index."""
    return job.spec.completion_mode == INDEXED


def replaces_only_failed(job: Job) -> bool:
    """Whether a Pod is replaced only when it has really ended, not already when it is being deleted."""
    policy = job.spec.pod_replacement_policy
    return policy == "Failed" or (policy is None and job.spec.pod_failure_policy is not None)


def is_tracked(pod: Pod) -> bool:
    """Whether the Pod is not yet in the Job's counters."""
    return JOB_TRACKING_FINALIZER in (pod.metadata.finalizers or ())


def is_failed(pod: Pod, job: Job) -> bool:
    """Whether it counts as failed. One that is deleted does, unless only ended Pods are replaced: nobody else would ever count it."""
    if pod.status.phase == "Failed":
        return True
    if replaces_only_failed(job):
        return False
    return pod.metadata.deletion_timestamp is not None and pod.status.phase != "Succeeded"


def index_of(pod: Pod) -> int | None:
    """Its completion index."""
    text = (pod.metadata.annotations or {}).get(JOB_COMPLETION_INDEX, "")
    return int(text) if text.isdigit() else None


def failure_counts(pod: Pod) -> tuple[int, int]:
    """How often its index had failed before: (counted, ignored)."""
    annotations = pod.metadata.annotations or {}
    counted, ignored = annotations.get(FAILURE_COUNT, ""), annotations.get(IGNORED_FAILURE_COUNT, "")
    return int(counted) if counted.isdigit() else 0, int(ignored) if ignored.isdigit() else 0


def restarts(pods: list[Pod]) -> int:
    """Container restarts of the Pods that have not ended, together."""
    alive = [pod for pod in pods if pod.status.phase in ("Running", "Pending")]
    return sum(
        status.restart_count
        for pod in alive
        for status in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ()))
    )


def finished_at(pod: Pod) -> datetime:
    """When it ended, as well as can be known (backoff_utils.go, getFinishedTime)."""
    sidecars = {c.name for c in pod.spec.init_containers or () if c.restart_policy == "Always"}
    statuses: list[ContainerStatus] = [
        *(pod.status.container_statuses or ()),
        *(status for status in pod.status.init_container_statuses or () if status.name in sidecars),
    ]
    ends = [status.state.terminated.finished_at if status.state.terminated else None for status in statuses]
    if ends and all(ends):
        return max(parse_time(end) for end in ends if end)
    ready = conditions.find(pod.status.conditions, "Ready")
    if ready is not None and ready.status == "False" and ready.last_transition_time:
        return parse_time(ready.last_transition_time)
    meta = pod.metadata
    if meta.deletion_timestamp:
        return parse_time(meta.deletion_timestamp) - timedelta(seconds=meta.deletion_grace_period_seconds or 0)
    return parse_time(meta.creation_timestamp) if meta.creation_timestamp else datetime.min
