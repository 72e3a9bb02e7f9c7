"""Environment variables that KubeRay gives to Ray containers and init containers (pod.go setContainerEnvVars), in its order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raysail.api.ray import names
from raysail.ray.pods.container import Container, add_env, add_env_of_field, default_env, has_env

COLLECTED_EVENTS: Final = (
    "TASK_DEFINITION_EVENT,TASK_LIFECYCLE_EVENT,ACTOR_TASK_DEFINITION_EVENT,TASK_PROFILE_EVENT,DRIVER_JOB_DEFINITION_EVENT,"
    "DRIVER_JOB_LIFECYCLE_EVENT,ACTOR_DEFINITION_EVENT,ACTOR_LIFECYCLE_EVENT,NODE_DEFINITION_EVENT,NODE_LIFECYCLE_EVENT"
)
_AGGREGATOR: Final = "RAY_DASHBOARD_AGGREGATOR_AGENT"


def add_head_address(container: Container, head_name: str) -> None:
    """FQ_RAY_IP and the deprecated RAY_IP, which is its first label."""
    add_env(container, "FQ_RAY_IP", head_name)
    add_env(container, "RAY_IP", head_name.split(".")[0])


def add_identity(container: Container) -> None:
    """Which cluster, Pod and group this is, read from the Pod itself: Ray's autoscaler lives by these."""
    add_env_of_field(container, "RAY_CLUSTER_NAME", f"metadata.labels['{names.CLUSTER_LABEL}']")
    add_env_of_field(container, "RAY_CLUSTER_NAMESPACE", "metadata.namespace")
    add_env_of_field(container, "RAY_CLOUD_INSTANCE_ID", "metadata.name")
    add_env_of_field(container, "RAY_NODE_TYPE_NAME", f"metadata.labels['{names.GROUP_LABEL}']")


def add_ray_environment(
    container: Container,
    node_type: str,
    *,
    head_name: str,
    gcs_port: str,
    start_command: str,
    creator_kind: str,
    operator_version: str,
    defaults: Iterable[dict[str, Any]] = (),
) -> None:
    """Everything for the Ray container. `head_name` is the head Service's full name, `creator_kind` whose cluster this is."""
    for entry in defaults:
        if not has_env(container, entry["name"]):
            container.setdefault("env", []).append(dict(entry))
    if node_type == names.WORKER:
        add_head_address(container, head_name)
    add_identity(container)
    add_env(container, "KUBERAY_GEN_RAY_START_CMD", start_command)
    default_env(container, "RAY_PORT", gcs_port)
    if creator_kind == "RayService":
        default_env(container, "RAY_timeout_ms_task_wait_for_death_info", "0")
        default_env(container, "RAY_gcs_server_request_timeout_seconds", "5")
        default_env(container, "RAY_SERVE_KV_TIMEOUT_S", "5")
    default_env(container, "RAY_ADDRESS", f"{head_name if node_type == names.WORKER else '127.0.0.1'}:{gcs_port}")
    default_env(container, "RAY_USAGE_STATS_KUBERAY_IN_USE", "1")
    if node_type == names.HEAD:
        add_env(container, "RAY_USAGE_STATS_EXTRA_TAGS", f"kuberay_version={operator_version};kuberay_crd={creator_kind}")
    default_env(container, "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE", "1")


def add_collector_environment(container: Container) -> None:
    """Makes Ray send its events to the history collector beside it."""
    default_env(container, "RAY_enable_ray_event", "true")
    default_env(container, "RAY_enable_core_worker_ray_event_to_aggregator", "true")
    default_env(container, f"{_AGGREGATOR}_EVENTS_EXPORT_ADDR", "http://localhost:8084/v1/events")
    default_env(container, f"{_AGGREGATOR}_EXPOSABLE_EVENT_TYPES", COLLECTED_EVENTS)
    default_env(container, f"{_AGGREGATOR}_PUBLISHER_HTTP_ENDPOINT_EXPOSABLE_EVENT_TYPES", COLLECTED_EVENTS)
