"""RayCluster: one head, groups of workers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import field

from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity
from raysail.api.ray.options import (
    AuthOptions,
    AutoscalerOptions,
    GcsFaultToleranceOptions,
    HistoryServerOptions,
    IngressOptions,
    NetworkPolicyConfig,
    TlsOptions,
)
from raysail.api.structural import Field, Int64, PodTemplate, Rule, Time

V1: Final = ("v1",)

# status.state
READY: Final = "ready"
SUSPENDED: Final = "suspended"
FAILED: Final = "failed"

# Types of conditions
RAY_CLUSTER_PROVISIONED: Final = "RayClusterProvisioned"
HEAD_POD_READY: Final = "HeadPodReady"
REPLICA_FAILURE: Final = "ReplicaFailure"
RAY_CLUSTER_SUSPENDING: Final = "RayClusterSuspending"
RAY_CLUSTER_SUSPENDED: Final = "RayClusterSuspended"

# Reasons of conditions
ALL_POD_RUNNING_AND_READY_FIRST_TIME: Final = "AllPodRunningAndReadyFirstTime"
RAY_CLUSTER_PODS_PROVISIONING: Final = "RayClusterPodsProvisioning"
HEAD_POD_NOT_FOUND: Final = "HeadPodNotFound"
HEAD_POD_RUNNING_AND_READY: Final = "HeadPodRunningAndReady"
UNKNOWN_REASON: Final = "Unknown"
FAILED_DELETE_ALL_PODS: Final = "FailedDeleteAllPods"
FAILED_DELETE_HEAD_POD: Final = "FailedDeleteHeadPod"
FAILED_CREATE_HEAD_POD: Final = "FailedCreateHeadPod"
FAILED_DELETE_WORKER_POD: Final = "FailedDeleteWorkerPod"
FAILED_CREATE_WORKER_POD: Final = "FailedCreateWorkerPod"

MANAGED_BY: Final = Field(
    "Who acts on this object: ray.io/kuberay-operator (also when absent) or kueue.x-k8s.io/multikueue. Cannot be changed.",
    versions=V1,
    rules=(
        Rule("self == oldSelf", "the managedBy field is immutable"),
        Rule(
            "self in ['ray.io/kuberay-operator', 'kueue.x-k8s.io/multikueue']",
            "the managedBy field value must be either 'ray.io/kuberay-operator' or 'kueue.x-k8s.io/multikueue'",
        ),
    ),
)
MAX_INT32: Final = 2147483647


class ScaleStrategy(View, frozen=True):
    """Which workers go first when a group shrinks."""

    workers_to_delete: Annotated[list[str] | None, Field("Names of Pods that go when the group shrinks; the autoscaler writes this.")] = (
        None
    )


class HeadGroupSpec(View, frozen=True):
    """The head of a cluster."""

    template: Annotated[PodTemplate, Field("The head's Pod. Its first container runs Ray.", required=True)] = field(default_factory=dict)
    head_service: Annotated[
        dict[str, Any] | None,
        Field("A Service to use as a model for the head's; selector and Ray's ports are added.", builtin="io.k8s.api.core.v1.Service"),
    ] = None
    enable_ingress: Annotated[bool | None, Field("Whether to make an Ingress for the dashboard.")] = None
    ingress_options: Annotated[IngressOptions | None, Field("Host, path and TLS of that Ingress.", versions=V1)] = None
    resources: Annotated[
        dict[str, str] | None,
        Field("Ray's logical resources of the head (CPU, GPU, memory, own names); wins over what the container asks for.", versions=V1),
    ] = None
    labels: Annotated[dict[str, str] | None, Field("Labels of the Ray node, also set on the Pod.", versions=V1)] = None
    ray_start_params: Annotated[
        dict[str, str] | None,
        Field("Options of `ray start --head` without the dashes, e.g. dashboard-host: 0.0.0.0.", required=("v1alpha1",)),
    ] = None
    service_type: Annotated[str | None, Field("Type of the head's Service: ClusterIP, NodePort or LoadBalancer.")] = None


class WorkerGroupSpec(View, frozen=True):
    """Workers that look alike."""

    suspend: Annotated[bool | None, Field("Used by RayJob's deletion rules; not for users.", versions=V1)] = None
    group_name: Annotated[str, Field("Name of the group, unique in the cluster.", required=True)] = ""
    replicas: Annotated[
        int | None, Field("How many workers (times numOfHosts Pods). With the autoscaler on, Ray changes this.", default=0)
    ] = None
    min_replicas: Annotated[int | None, Field("The autoscaler keeps at least so many.", required=True, default=0)] = None
    max_replicas: Annotated[int | None, Field("The autoscaler makes at most so many.", required=True, default=MAX_INT32)] = None
    idle_timeout_seconds: Annotated[
        int | None, Field("The autoscaler (v2) removes a worker that was idle for so many seconds.", versions=V1)
    ] = None
    priority: Annotated[
        int | None,
        Field("The autoscaler (v2, Ray 2.56 and later) grows groups of higher priority first.", default=0, versions=V1),
    ] = None
    resources: Annotated[
        dict[str, str] | None,
        Field("Ray's logical resources of each worker (CPU, GPU, memory, own names); wins over what the container asks for.", versions=V1),
    ] = None
    labels: Annotated[dict[str, str] | None, Field("Labels of the Ray nodes, also set on the Pods.", versions=V1)] = None
    ray_start_params: Annotated[
        dict[str, str] | None,
        Field("Options of `ray start` without the dashes, e.g. num-cpus: '2'.", required=("v1alpha1",)),
    ] = None
    template: Annotated[PodTemplate, Field("The workers' Pod. Its first container runs Ray.", required=True)] = field(default_factory=dict)
    scale_strategy: Annotated[ScaleStrategy, Field("Which workers go when the group shrinks.")] = ScaleStrategy()
    num_of_hosts: Annotated[int | None, Field("Pods per worker (several for TPU slices).", default=1, versions=V1)] = None


class RayClusterUpgradeStrategy(View, frozen=True):
    """What happens to running Pods when the spec changes."""

    type: Annotated[
        str | None,
        Field("Recreate deletes all Pods and makes them anew; None keeps the running ones.", enum=("Recreate", "None")),
    ] = None


class RayClusterSpec(View, frozen=True):
    """What a Ray cluster looks like."""

    upgrade_strategy: Annotated[
        RayClusterUpgradeStrategy | None, Field("What happens to running Pods when the spec changes.", versions=V1)
    ] = None
    auth_options: Annotated[AuthOptions | None, Field("Ray's token authentication.", versions=V1)] = None
    suspend: Annotated[bool | None, Field("true removes all Pods of the cluster and keeps the object; false brings them back.")] = None
    managed_by: Annotated[str | None, MANAGED_BY] = None
    autoscaler_options: Annotated[AutoscalerOptions | None, Field("Settings of Ray's autoscaler.")] = None
    head_service_annotations: Annotated[dict[str, str] | None, Field("Annotations of the head's Service.")] = None
    enable_in_tree_autoscaling: Annotated[
        bool | None, Field("Whether Ray's autoscaler runs beside the head and changes the groups' replicas.")
    ] = None
    gcs_fault_tolerance_options: Annotated[
        GcsFaultToleranceOptions | None,
        Field("Where the head keeps its state so that a new head can take over.", versions=V1),
    ] = None
    history_server_options: Annotated[HistoryServerOptions | None, Field("Settings for KubeRay's history server.", versions=V1)] = None
    network_policy: Annotated[NetworkPolicyConfig | None, Field("Isolates the cluster's network with NetworkPolicies.", versions=V1)] = None
    tls_options: Annotated[TlsOptions | None, Field("Mutual TLS between Ray's processes, with cert-manager.", versions=V1)] = None
    head_group_spec: Annotated[HeadGroupSpec, Field("The head: Ray's control processes, dashboard and job server.", required=True)] = (
        HeadGroupSpec()
    )
    ray_version: Annotated[str, Field("Version of Ray in the image, e.g. 2.52.0. Decides what may be asked of it.")] = ""
    worker_group_specs: Annotated[list[WorkerGroupSpec] | None, Field("Groups of workers.")] = None


class HeadInfo(View, frozen=True):
    """Where the head is."""

    pod_ip: Annotated[str, Field("Address of the head's Pod.")] = field(default="", name="podIP")
    service_ip: Annotated[str, Field("Address of the head's Service, or of its Pod where the Service has none.")] = field(
        default="", name="serviceIP"
    )
    pod_name: Annotated[str, Field("Name of the head's Pod.", versions=V1)] = ""
    service_name: Annotated[str, Field("Name of the head's Service.", versions=V1)] = ""


class RayClusterStatus(View, frozen=True):
    """What was observed of a Ray cluster."""

    state: Annotated[str, Field("ready, suspended or empty. Older than the conditions, which say more.")] = ""
    desired_cpu: Annotated[Quantity | None, Field("CPUs that all Pods ask for.")] = field(default=None, name="desiredCPU")
    desired_memory: Annotated[Quantity | None, Field("Memory that all Pods ask for.")] = None
    desired_gpu: Annotated[Quantity | None, Field("GPUs that all Pods ask for.")] = field(default=None, name="desiredGPU")
    desired_tpu: Annotated[Quantity | None, Field("TPUs that all Pods ask for.")] = field(default=None, name="desiredTPU")
    last_update_time: Annotated[Time | None, Field("When this status was last written.", nullable=True)] = None
    state_transition_times: Annotated[dict[str, Time] | None, Field("When each state was last entered.", versions=V1)] = None
    endpoints: Annotated[dict[str, str] | None, Field("Ports of the head's Service by name.")] = None
    head: Annotated[HeadInfo, Field("Where the head is.")] = HeadInfo()
    reason: Annotated[str, Field("More about the state.")] = ""
    conditions: Annotated[
        list[Condition] | None,
        Field("What is true of the cluster now.", list_type="map", list_map_keys=("type",), versions=V1),
    ] = None
    ready_worker_replicas: Annotated[int, Field("Worker Pods that are Ready.")] = 0
    available_worker_replicas: Annotated[int, Field("Worker Pods that run.")] = 0
    desired_worker_replicas: Annotated[int, Field("Worker Pods that there should be.")] = 0
    min_worker_replicas: Annotated[int, Field("Fewest worker Pods over all groups.")] = 0
    max_worker_replicas: Annotated[int, Field("Most worker Pods over all groups.")] = 0
    observed_generation: Annotated[Int64, Field("Generation of the object that this status is about.")] = 0


class RayCluster(Object, frozen=True):
    """A Ray cluster: one head Pod and groups of worker Pods."""

    spec: Annotated[RayClusterSpec, Field("What the cluster should look like.")] = RayClusterSpec()
    status: Annotated[RayClusterStatus, Field("What was observed.")] = RayClusterStatus()
