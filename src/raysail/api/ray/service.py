"""RayService: Ray Serve applications on a cluster that is replaced without downtime."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import field

from raysail.api.meta import Condition, Object, View
from raysail.api.ray.cluster import MANAGED_BY, V1, RayClusterSpec, RayClusterStatus
from raysail.api.structural import Field, Int64, Time

RUNNING: Final = "Running"
"""status.serviceStatus of a service that takes requests."""

# spec.upgradeStrategy.type
NEW_CLUSTER: Final = "NewCluster"
NEW_CLUSTER_WITH_INCREMENTAL_UPGRADE: Final = "NewClusterWithIncrementalUpgrade"
UPGRADE_NONE: Final = "None"

# Types of conditions
READY: Final = "Ready"
UPGRADE_IN_PROGRESS: Final = "UpgradeInProgress"
ROLLBACK_IN_PROGRESS: Final = "RollbackInProgress"
SUSPENDING: Final = "Suspending"
SUSPENDED: Final = "Suspended"

# Reasons of conditions
INITIALIZING: Final = "Initializing"
INITIALIZING_TIMEOUT: Final = "InitializingTimeout"
ZERO_SERVE_ENDPOINTS: Final = "ZeroServeEndpoints"
NON_ZERO_SERVE_ENDPOINTS: Final = "NonZeroServeEndpoints"
BOTH_ACTIVE_PENDING_CLUSTERS_EXIST: Final = "BothActivePendingClustersExist"
NO_PENDING_CLUSTER: Final = "NoPendingCluster"
NO_ACTIVE_CLUSTER: Final = "NoActiveCluster"
VALIDATION_FAILED: Final = "ValidationFailed"
DESIRED_CLUSTER_SPEC_CHANGED: Final = "DesiredClusterSpecChanged"
SUSPEND_REQUESTED: Final = "SuspendRequested"
SUSPEND_IN_PROGRESS: Final = "SuspendInProgress"
SUSPEND_COMPLETE: Final = "SuspendComplete"
RAY_SERVICE_RESUMED: Final = "RayServiceResumed"

# Statuses of Serve's applications and deployments
APP_NOT_STARTED: Final = "NOT_STARTED"
APP_DEPLOYING: Final = "DEPLOYING"
APP_RUNNING: Final = "RUNNING"
APP_DEPLOY_FAILED: Final = "DEPLOY_FAILED"
APP_DELETING: Final = "DELETING"
APP_UNHEALTHY: Final = "UNHEALTHY"
DEPLOYMENT_UPDATING: Final = "UPDATING"
DEPLOYMENT_HEALTHY: Final = "HEALTHY"
DEPLOYMENT_UNHEALTHY: Final = "UNHEALTHY"


class ClusterUpgradeOptions(View, frozen=True):
    """How traffic moves to a new cluster step by step."""

    max_surge_percent: Annotated[int | None, Field("Capacity that the new cluster gains per step, in percent.", default=100)] = None
    step_size_percent: Annotated[int | None, Field("Traffic that moves per step, in percent; at most maxSurgePercent.", required=True)] = (
        None
    )
    interval_seconds: Annotated[int | None, Field("Seconds between steps.", required=True)] = None
    gateway_class_name: Annotated[str, Field("The GatewayClass that routes.", required=True)] = ""


class RayServiceUpgradeStrategy(View, frozen=True):
    """How a changed cluster spec takes effect."""

    type: Annotated[
        str | None,
        Field("NewCluster switches when the new cluster is ready, NewClusterWithIncrementalUpgrade step by step, None never."),
    ] = None
    cluster_upgrade_options: Annotated[ClusterUpgradeOptions | None, Field("The steps.")] = None


class RayServiceSpec(View, frozen=True):
    """Which applications run, and on which cluster."""

    ray_cluster_deletion_delay_seconds: Annotated[
        int | None, Field("Seconds that a replaced cluster lives on; 60 by default.", minimum=0, versions=V1)
    ] = None
    service_unhealthy_second_threshold: Annotated[int | None, Field("Deprecated, without effect.")] = None
    deployment_unhealthy_second_threshold: Annotated[int | None, Field("Deprecated, without effect.")] = None
    serve_service: Annotated[
        dict[str, Any] | None,
        Field("A Service to use as a model for the one that takes requests.", builtin="io.k8s.api.core.v1.Service"),
    ] = None
    upgrade_strategy: Annotated[RayServiceUpgradeStrategy | None, Field("How a changed cluster spec takes effect.", versions=V1)] = None
    managed_by: Annotated[str | None, MANAGED_BY] = None
    serve_config_v2: Annotated[str, Field("Ray Serve's configuration as YAML text: applications and their deployments.")] = field(
        default="", name="serveConfigV2"
    )
    ray_cluster_config: Annotated[RayClusterSpec, Field("The cluster.", required=V1)] = RayClusterSpec()
    exclude_head_pod_from_serve_svc: Annotated[bool, Field("Whether the head takes no requests.", versions=V1)] = False
    suspend: Annotated[bool, Field("true removes everything that the service made; false brings it back.", versions=V1)] = False


class ServeDeploymentStatus(View, frozen=True):
    """One deployment of an application."""

    status: Annotated[str, Field("UPDATING, HEALTHY or UNHEALTHY.")] = ""
    message: Annotated[str, Field("More about it.")] = ""
    health_last_update_time: Annotated[Time | None, Field("Older clients wrote this.", versions=("v1alpha1",))] = None


class AppStatus(View, frozen=True):
    """One application."""

    deployments: Annotated[dict[str, ServeDeploymentStatus] | None, Field("Its deployments by name.")] = field(
        default=None, name="serveDeploymentStatuses"
    )
    status: Annotated[str, Field("Ray Serve's word for it, e.g. RUNNING.")] = ""
    message: Annotated[str, Field("More about it.")] = ""
    health_last_update_time: Annotated[Time | None, Field("Older clients wrote this.", versions=("v1alpha1",))] = None


class RayServiceStatus(View, frozen=True):
    """One of the clusters behind the service."""

    applications: Annotated[dict[str, AppStatus] | None, Field("Applications by name.")] = field(default=None, name="applicationStatuses")
    target_capacity: Annotated[int | None, Field("Share of the replicas that run here, in percent.", versions=V1)] = None
    traffic_routed_percent: Annotated[int | None, Field("Share of the requests that come here, in percent.", versions=V1)] = None
    last_traffic_migrated_time: Annotated[Time | None, Field("When that share last changed.", versions=V1)] = None
    ray_cluster_name: Annotated[str, Field("The cluster.")] = ""
    ray_cluster_status: Annotated[RayClusterStatus, Field("Status of the cluster.")] = RayClusterStatus()


class RayServiceStatuses(View, frozen=True):
    """What was observed of a service."""

    conditions: Annotated[
        list[Condition] | None,
        Field("What is true of the service now.", list_type="map", list_map_keys=("type",), versions=V1),
    ] = None
    last_update_time: Annotated[Time | None, Field("When this status was last written.")] = None
    service_status: Annotated[str, Field("Running when it takes requests. Older than the conditions.")] = ""
    active_service_status: Annotated[RayServiceStatus, Field("The cluster that takes requests.")] = RayServiceStatus()
    pending_service_status: Annotated[RayServiceStatus, Field("The cluster that will replace it.")] = RayServiceStatus()
    num_serve_endpoints: Annotated[int, Field("Pods that take requests.", versions=V1)] = 0
    observed_generation: Annotated[Int64, Field("Generation of the object that this status is about.")] = 0


class RayService(Object, frozen=True):
    """Ray Serve applications on a cluster that is replaced without downtime."""

    spec: Annotated[RayServiceSpec, Field("Which applications run, and on which cluster.")] = RayServiceSpec()
    status: Annotated[RayServiceStatuses, Field("What was observed.")] = RayServiceStatuses()
