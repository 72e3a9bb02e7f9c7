"""batch/v1 as read views: Job and CronJob."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.meta import Condition, Object, View

JOB_COMPLETE: Final = "Complete"
JOB_FAILED: Final = "Failed"
JOB_SUSPENDED: Final = "Suspended"
JOB_FAILURE_TARGET: Final = "FailureTarget"
JOB_SUCCESS_CRITERIA_MET: Final = "SuccessCriteriaMet"

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
LEGACY_JOB_NAME_LABEL: Final = "job-name"
CONTROLLER_UID_LABEL: Final = "batch.kubernetes.io/controller-uid"
LEGACY_CONTROLLER_UID_LABEL: Final = "controller-uid"
JOB_COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Label, annotation and name of the index of an indexed Job's Pod."""
JOB_TRACKING_FINALIZER: Final = "batch.kubernetes.io/job-tracking"
JOB_CONTROLLER_NAME: Final = "kubernetes.io/job-controller"


class PodFailureOnExitCodes(View, frozen=True):
    """A rule about exit codes; `operator` is In or NotIn."""

    container_name: str | None = None
    operator: str = ""
    values: list[int] | None = None


class PodFailureOnCondition(View, frozen=True):
    """A rule about a Pod's condition."""

    type: str = ""
    status: str = ""


class PodFailureRule(View, frozen=True):
    """`action` is FailJob, FailIndex, Ignore or Count."""

    action: str = ""
    on_exit_codes: PodFailureOnExitCodes | None = None
    on_pod_conditions: list[PodFailureOnCondition] | None = None


class PodFailurePolicy(View, frozen=True):
    """What failed Pods mean; the first rule that matches decides."""

    rules: list[PodFailureRule] | None = None


class SuccessPolicyRule(View, frozen=True):
    """Which indexes must succeed."""

    succeeded_indexes: str | None = None
    succeeded_count: int | None = None


class SuccessPolicy(View, frozen=True):
    """When an indexed Job counts as successful before all its Pods do."""

    rules: list[SuccessPolicyRule] | None = None


class JobSpec(View, frozen=True):
    """What a Job runs, and how often."""

    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    managed_by: str | None = None
    manual_selector: bool | None = None
    selector: dict[str, Any] | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    pod_replacement_policy: str | None = None
    success_policy: SuccessPolicy | None = None
    template: dict[str, Any] | None = None


class UncountedPods(View, frozen=True):
    """UIDs of ended Pods that are not in the counters yet."""

    succeeded: list[str] | None = None
    failed: list[str] | None = None


class JobStatus(View, frozen=True):
    """What was observed of a Job."""

    conditions: list[Condition] | None = None
    start_time: str | None = None
    completion_time: str | None = None
    active: int = 0
    ready: int | None = None
    terminating: int | None = None
    succeeded: int = 0
    failed: int = 0
    completed_indexes: str = ""
    failed_indexes: str | None = None
    uncounted_terminated_pods: UncountedPods | None = None


class Job(Object, frozen=True):
    """Pods that run to completion."""

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobTemplateSpec(View, frozen=True):
    """The Job that a CronJob makes; kept plain."""

    metadata: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None


class CronJobSpec(View, frozen=True):
    """When to make Jobs."""

    schedule: str = ""
    time_zone: str | None = None
    suspend: bool | None = None
    concurrency_policy: str = ""
    starting_deadline_seconds: int | None = None
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None
    job_template: JobTemplateSpec = JobTemplateSpec()


class CronJobStatus(View, frozen=True):
    """What was made."""

    active: list[dict[str, Any]] | None = None
    last_schedule_time: str | None = None
    last_successful_time: str | None = None


class CronJob(Object, frozen=True):
    """Jobs on a schedule."""

    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
