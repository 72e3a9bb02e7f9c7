"""RayJob: a program that is run on a Ray cluster, usually one made for it."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.meta import Object, View
from raysail.api.ray.cluster import MANAGED_BY, V1, RayClusterSpec, RayClusterStatus
from raysail.api.structural import Field, Int64, PodTemplate, Rule, Time

# status.jobStatus: Ray's own word for the program
PENDING: Final = "PENDING"
RUNNING: Final = "RUNNING"
STOPPED: Final = "STOPPED"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
TERMINAL_JOB_STATUSES: Final = frozenset({STOPPED, SUCCEEDED, FAILED})

# status.jobDeploymentStatus: how far the RayJob is
DEPLOYMENT_NEW: Final = ""
DEPLOYMENT_INITIALIZING: Final = "Initializing"
DEPLOYMENT_RUNNING: Final = "Running"
DEPLOYMENT_COMPLETE: Final = "Complete"
DEPLOYMENT_FAILED: Final = "Failed"
DEPLOYMENT_VALIDATION_FAILED: Final = "ValidationFailed"
DEPLOYMENT_SUSPENDING: Final = "Suspending"
DEPLOYMENT_SUSPENDED: Final = "Suspended"
DEPLOYMENT_RETRYING: Final = "Retrying"
DEPLOYMENT_WAITING: Final = "Waiting"
TERMINAL_DEPLOYMENT_STATUSES: Final = frozenset({DEPLOYMENT_COMPLETE, DEPLOYMENT_FAILED})

# status.reason
SUBMISSION_FAILED: Final = "SubmissionFailed"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
PRE_RUNNING_DEADLINE_EXCEEDED: Final = "PreRunningDeadlineExceeded"
APP_FAILED: Final = "AppFailed"
TRANSITION_GRACE_PERIOD_EXCEEDED: Final = "JobDeploymentStatusTransitionGracePeriodExceeded"
JOB_STATUS_CHECK_TIMEOUT_EXCEEDED: Final = "JobStatusCheckTimeoutExceeded"
VALIDATION_FAILED: Final = "ValidationFailed"

# spec.submissionMode
K8S_JOB_MODE: Final = "K8sJobMode"
HTTP_MODE: Final = "HTTPMode"
INTERACTIVE_MODE: Final = "InteractiveMode"
SIDECAR_MODE: Final = "SidecarMode"

# Deletion policies
DELETE_CLUSTER: Final = "DeleteCluster"
DELETE_WORKERS: Final = "DeleteWorkers"
DELETE_SELF: Final = "DeleteSelf"
DELETE_NONE: Final = "DeleteNone"
_POLICIES: Final = (DELETE_CLUSTER, DELETE_WORKERS, DELETE_SELF, DELETE_NONE)


class SubmitterConfig(View, frozen=True):
    """The Pod or container that submits the program."""

    backoff_limit: Annotated[int | None, Field("How often submitting is tried again; 2 by default.")] = None


class DeletionPolicy(View, frozen=True):
    """The older way to say what goes at the end."""

    policy: Annotated[str | None, Field("DeleteCluster, DeleteWorkers, DeleteSelf or DeleteNone.", enum=_POLICIES)] = None


class DeletionCondition(View, frozen=True):
    """When a deletion rule applies."""

    job_status: Annotated[str | None, Field("The program's end that the rule is for.", enum=(SUCCEEDED, FAILED))] = None
    job_deployment_status: Annotated[
        str | None, Field("The RayJob's own end that the rule is for, also when the program never ran.", enum=(DEPLOYMENT_FAILED,))
    ] = None
    ttl_seconds: Annotated[int, Field("Seconds from that end until the rule acts.", default=0, minimum=0)] = 0


class DeletionRule(View, frozen=True):
    """One thing to delete after the end, and when."""

    policy: Annotated[str, Field("What goes: the cluster, its workers, the RayJob itself, or nothing.", required=True, enum=_POLICIES)] = ""
    condition: Annotated[
        DeletionCondition,
        Field(
            "When.",
            required=True,
            rules=(
                Rule(
                    "!(has(self.jobStatus) && has(self.jobDeploymentStatus))",
                    "JobStatus and JobDeploymentStatus cannot be used together within the same deletion condition.",
                ),
                Rule(
                    "has(self.jobStatus) || has(self.jobDeploymentStatus)",
                    "the deletion condition requires either the JobStatus or the JobDeploymentStatus field.",
                ),
            ),
        ),
    ] = DeletionCondition()


class DeletionStrategy(View, frozen=True):
    """What is deleted after the end."""

    on_success: Annotated[DeletionPolicy | None, Field("Deprecated, use deletionRules: what goes after success.")] = None
    on_failure: Annotated[DeletionPolicy | None, Field("Deprecated, use deletionRules: what goes after failure.")] = None
    deletion_rules: Annotated[list[DeletionRule] | None, Field("What goes, and when.", list_type="atomic", min_items=1)] = None


class RayJobSpec(View, frozen=True):
    """What to run, and on which cluster."""

    active_deadline_seconds: Annotated[
        int | None, Field("The RayJob fails when an attempt has been active for so many seconds.", versions=V1)
    ] = None
    backoff_limit: Annotated[
        int | None, Field("How often to try again after a failure, each time on a new cluster.", default=0, versions=V1)
    ] = None
    ray_cluster_spec: Annotated[RayClusterSpec | None, Field("The cluster that is made for this job. Excludes clusterSelector.")] = None
    submitter_pod_template: Annotated[PodTemplate | None, Field("Pod that runs `ray job submit` in K8sJobMode.")] = None
    metadata: Annotated[dict[str, str] | None, Field("Kept by Ray with the job.")] = None
    cluster_selector: Annotated[
        dict[str, str] | None, Field("Run on an existing cluster: the label ray.io/cluster with its name. Excludes rayClusterSpec.")
    ] = None
    submitter_config: Annotated[SubmitterConfig | None, Field("How often submitting is tried.", versions=V1)] = None
    managed_by: Annotated[str | None, MANAGED_BY] = None
    deletion_strategy: Annotated[
        DeletionStrategy | None,
        Field(
            "What is deleted after the end, and when. Excludes shutdownAfterJobFinishes when deletionRules are given.",
            versions=V1,
            rules=(
                Rule(
                    "!((has(self.onSuccess) || has(self.onFailure)) && has(self.deletionRules))",
                    "legacy policies (onSuccess/onFailure) and deletionRules cannot be used together within the same deletionStrategy",
                ),
                Rule(
                    "((has(self.onSuccess) && has(self.onFailure)) || has(self.deletionRules))",
                    "deletionStrategy requires either BOTH onSuccess and onFailure, OR the deletionRules field (cannot be empty)",
                ),
            ),
        ),
    ] = None
    entrypoint: Annotated[str, Field("The command line to run, e.g. python train.py.", required=("v1alpha1",))] = ""
    runtime_env_yaml: Annotated[str, Field("Ray's runtime environment as YAML text: working_dir, pip, env_vars, ...")] = field(
        default="", name="runtimeEnvYAML"
    )
    job_id: Annotated[str, Field("Ray's submission id; made up where absent.")] = ""
    submission_mode: Annotated[
        str,
        Field(
            "Who submits: K8sJobMode a Pod of its own, HTTPMode the controller itself, SidecarMode a container beside the head, "
            "InteractiveMode the user.",
            default=K8S_JOB_MODE,
            versions=V1,
        ),
    ] = K8S_JOB_MODE
    entrypoint_resources: Annotated[str, Field("Own resources that the command reserves, as JSON text.")] = ""
    entrypoint_num_cpus: Annotated[float, Field("CPUs that the command reserves.")] = 0
    entrypoint_num_gpus: Annotated[float, Field("GPUs that the command reserves.")] = 0
    ttl_seconds_after_finished: Annotated[
        int, Field("Seconds after the end until the cluster goes; needs shutdownAfterJobFinishes.", default=0)
    ] = 0
    pre_running_deadline_seconds: Annotated[
        int | None, Field("The RayJob fails when the command does not run after so many seconds.", minimum=1, versions=V1)
    ] = None
    shutdown_after_job_finishes: Annotated[bool, Field("Whether the cluster goes after the end.")] = False
    suspend: Annotated[bool, Field("true keeps the job from running and removes its cluster; queues set and clear this.")] = False


class RayJobInfo(View, frozen=True):
    """What Ray says about the program."""

    start_time: Annotated[Time | None, Field("When the command started.")] = None
    end_time: Annotated[Time | None, Field("When it ended.")] = None


class RayJobStatus(View, frozen=True):
    """How far the job is."""

    ray_job_info: Annotated[RayJobInfo, Field("What Ray says about the command.", versions=V1)] = RayJobInfo()
    job_id: Annotated[str, Field("Ray's submission id.")] = ""
    ray_cluster_name: Annotated[str, Field("The cluster that it runs on.")] = ""
    dashboard_url: Annotated[str, Field("Address of Ray's dashboard, host:port.")] = field(default="", name="dashboardURL")
    job_status: Annotated[str, Field("Ray's word for the command: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.")] = ""
    job_deployment_status: Annotated[
        str,
        Field(
            "How far the RayJob is: Initializing, Waiting, Running, Suspending, Suspended, Retrying, Complete, Failed or ValidationFailed."
        ),
    ] = ""
    reason: Annotated[str, Field("Why it failed, in a word.", versions=V1)] = ""
    message: Annotated[str, Field("Why it failed, in a sentence.")] = ""
    start_time: Annotated[Time | None, Field("When the current attempt began.")] = None
    end_time: Annotated[Time | None, Field("When it ended.")] = None
    succeeded: Annotated[int | None, Field("How often the job succeeded.", default=0, versions=V1)] = None
    failed: Annotated[int | None, Field("How often it failed.", default=0, versions=V1)] = None
    ray_cluster_status: Annotated[RayClusterStatus, Field("Status of the cluster.")] = RayClusterStatus()
    job_status_check_failure_start_time: Annotated[Time | None, Field("Since when Ray's dashboard has not answered.", versions=V1)] = None
    observed_generation: Annotated[Int64, Field("Generation of the object that this status is about.")] = 0


class RayJob(Object, frozen=True):
    """A program run on a Ray cluster, usually one made for it."""

    spec: Annotated[RayJobSpec, Field("What to run, and on which cluster.")] = RayJobSpec()
    status: Annotated[RayJobStatus, Field("How far it is.")] = RayJobStatus()
