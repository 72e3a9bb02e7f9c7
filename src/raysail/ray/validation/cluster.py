"""What makes a RayCluster, or the cluster spec inside a RayJob or RayService, unusable (ValidateRayClusterSpec and its like)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.conditions import is_true
from raysail.api.ray import RayCluster, RayClusterSpec, WorkerGroupSpec, names
from raysail.api.ray import cluster as states
from raysail.ray.pods import autoscaler, fault_tolerance
from raysail.ray.pods.build import creator_kind
from raysail.ray.pods.container import env_value, has_env
from raysail.ray.settings import FeatureGates
from raysail.ray.validation import options
from raysail.ray.validation.errors import InvalidError, check_name, is_label_key, is_label_value
from raysail.ray.versions import at_least, parse

_RESOURCE_FLAGS: Final = ("num-cpus", "num-gpus", "memory", "resources")
_AUTOSCALER_V2: Final = "RAY_enable_autoscaler_v2"
_UPGRADE_TYPES: Final = ("Recreate", "None")


def check_metadata(cluster: RayCluster) -> None:
    """The name."""
    check_name("RayCluster", cluster.metadata.name, names.MAX_RAY_CLUSTER_NAME)


def check_upgrade_strategy(cluster: RayCluster) -> None:
    """Only for clusters that nobody else replaces."""
    strategy = cluster.spec.upgrade_strategy.type if cluster.spec.upgrade_strategy else None
    if strategy is None:
        return
    if strategy not in _UPGRADE_TYPES:
        raise InvalidError(
            f"The RayCluster spec is invalid: Spec.UpgradeStrategy.Type value {strategy} is invalid, valid options are Recreate or None"
        )
    if (kind := creator_kind(cluster)) != "RayCluster":
        raise InvalidError(f"upgradeStrategy cannot be set when RayCluster is created by {kind}")


def check_status(cluster: RayCluster) -> None:
    """Two conditions that exclude each other."""
    conditions = cluster.status.conditions
    if is_true(conditions, states.RAY_CLUSTER_SUSPENDING) and is_true(conditions, states.RAY_CLUSTER_SUSPENDED):
        raise InvalidError(
            "invalid RayCluster State: rayv1.RayClusterSuspending and rayv1.RayClusterSuspended conditions should not be both true"
        )


def check_spec(spec: RayClusterSpec, annotations: Mapping[str, str] | None, gates: FeatureGates) -> None:
    """The whole spec, in KubeRay's order: the first fault is the one that is told."""
    annotations = annotations or {}
    head, groups = spec.head_group_spec, spec.worker_group_specs or []
    containers = _containers(head.template)
    if not containers:
        raise InvalidError("headGroupSpec should have at least one container")
    _check_resources("Head", head.ray_start_params, head.resources)
    _check_labels("Head", head.ray_start_params, head.labels)
    for group in groups:
        _check_group(group, spec)
    _check_fault_tolerance(spec, annotations, gates)
    if not gates.ray_job_deletion_policy:
        for group in (g for g in groups if g.suspend):
            raise InvalidError(
                f"worker group {group.group_name} can be suspended only when the RayJobDeletionPolicy feature gate is enabled"
            )
    _check_autoscaler(spec)
    options.check_history_server(spec, gates)
    options.check_authentication(spec)
    options.check_network_policy(spec, gates)
    if spec.tls_options is not None and not gates.ray_cluster_mtls:
        raise InvalidError("spec.tlsOptions requires the RayClusterMTLS feature gate to be enabled")


def restart_policy_warning(spec: RayClusterSpec) -> str:
    """What the older autoscaler does not get on with; empty where nothing is. Not a refusal."""
    if not autoscaler.is_enabled(spec) or autoscaler.version(spec) != "v1":
        return ""
    faulty = [g.group_name for g in spec.worker_group_specs or () if _restart_policy(g.template) not in ("", "Never")]
    return f"restartPolicy for worker groups [{', '.join(faulty)}] should be Never or unset when using autoscaler V1" if faulty else ""


def _containers(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (template.get("spec") or {}).get("containers") or []


def _restart_policy(template: Mapping[str, Any]) -> str:
    return (template.get("spec") or {}).get("restartPolicy") or ""


def _check_resources(group: str, params: Mapping[str, str] | None, resources: Mapping[str, str] | None) -> None:
    if resources and any((params or {}).get(flag) for flag in _RESOURCE_FLAGS):
        raise InvalidError(f"resource fields should not be set in both rayStartParams and Resources for {group} group; please use only one")


def _check_labels(group: str, params: Mapping[str, str] | None, labels: Mapping[str, str] | None) -> None:
    if "labels" in (params or {}):
        raise InvalidError(f"rayStartParams['labels'] is not supported for {group} group; please use the top-level Labels field instead")
    faults = []
    for key, value in (labels or {}).items():
        if not is_label_key(key):
            faults.append(f"invalid label key for {group} group: '{key}', error: not a qualified name")
        if not is_label_value(value):
            faults.append(f"invalid label value for key '{key}' in {group} group: '{value}', error: not a valid label value")
    if faults:
        raise InvalidError("; ".join(faults))


def _check_group(group: WorkerGroupSpec, spec: RayClusterSpec) -> None:
    name, least, most = group.group_name, group.min_replicas, group.max_replicas
    if not _containers(group.template):
        raise InvalidError("workerGroupSpec should have at least one container")
    if not autoscaler.is_enabled(spec) and (least is None or most is None):
        raise InvalidError(f"worker group {name} must set both minReplicas and maxReplicas when autoscaling is disabled")
    if least is not None and least < 0:
        raise InvalidError(f"worker group {name} has negative minReplicas {least}")
    if most is not None and most < 0:
        raise InvalidError(f"worker group {name} has negative maxReplicas {most}")
    if least is not None and most is not None and least > most:
        raise InvalidError(f"worker group {name} has minReplicas {least} greater than maxReplicas {most}")
    _check_resources(name, group.ray_start_params, group.resources)
    _check_labels(name, group.ray_start_params, group.labels)
    _check_idle_timeout(group, spec)
    _check_priority(group, spec)


def _uses_autoscaler_v2(spec: RayClusterSpec) -> bool:
    return autoscaler.version(spec) == "v2" or env_value(_containers(spec.head_group_spec.template)[0], _AUTOSCALER_V2) in ("1", "true")


def _check_idle_timeout(group: WorkerGroupSpec, spec: RayClusterSpec) -> None:
    seconds = group.idle_timeout_seconds
    if seconds is None:
        return
    if seconds < 0:
        raise InvalidError(f"worker group {group.group_name}: idleTimeoutSeconds must be non-negative, got {seconds}")
    if not _uses_autoscaler_v2(spec):
        raise InvalidError(
            f"worker group {group.group_name}: idleTimeoutSeconds is set, but autoscaler v2 is not enabled. Please set "
            f".spec.autoscalerOptions.version to 'v2' (or set {_AUTOSCALER_V2} environment variable to 'true' in the head pod if using KubeRay < 1.4.0)"
        )


def _check_priority(group: WorkerGroupSpec, spec: RayClusterSpec) -> None:
    if not group.priority:
        return
    name = group.group_name
    if not spec.ray_version:
        raise InvalidError(
            f"worker group {name}: priority is set, but RayVersion was not specified. Ray version 2.56.0 or later is required"
        )
    if parse(spec.ray_version) is None:
        raise InvalidError(f"worker group {name}: priority is set, but RayVersion format is invalid: {spec.ray_version}")
    if not at_least(spec.ray_version, "2.56.0"):
        raise InvalidError(f"worker group {name}: priority is set, but minimum Ray version is 2.56.0, got {spec.ray_version}")
    if not _uses_autoscaler_v2(spec):
        raise InvalidError(
            f"worker group {name}: priority is set to {group.priority}, but autoscaler v2 is not enabled. "
            "Priority is only supported with autoscaler v2 enabled"
        )


def _check_fault_tolerance(spec: RayClusterSpec, annotations: Mapping[str, str], gates: FeatureGates) -> None:
    ft, params, container = (
        spec.gcs_fault_tolerance_options,
        spec.head_group_spec.ray_start_params or {},
        _containers(spec.head_group_spec.template)[0],
    )
    if annotations.get(names.FT_ENABLED_ANNOTATION) and ft is not None:
        raise InvalidError(
            f"{names.FT_ENABLED_ANNOTATION} annotation and GcsFaultToleranceOptions are both set. "
            "Please use only GcsFaultToleranceOptions to configure GCS fault tolerance"
        )
    if not fault_tolerance.is_enabled(ft, annotations) and has_env(container, "RAY_REDIS_ADDRESS"):
        raise InvalidError(
            "RAY_REDIS_ADDRESS is set which implicitly enables GCS fault tolerance, but GcsFaultToleranceOptions is not set. "
            "Please set GcsFaultToleranceOptions to enable GCS fault tolerance"
        )
    if ft is not None:
        where = "when GcsFaultToleranceOptions is enabled - use GcsFaultToleranceOptions."
        if params.get("redis-password"):
            raise InvalidError(f"cannot set `redis-password` in rayStartParams {where}RedisPassword instead")
        for variable, field in (("REDIS_PASSWORD", "RedisPassword"), ("RAY_REDIS_ADDRESS", "RedisAddress")):
            if has_env(container, variable):
                raise InvalidError(f"cannot set `{variable}` env var in head Pod {where}{field} instead")
        if annotations.get(names.EXTERNAL_STORAGE_NAMESPACE_ANNOTATION):
            raise InvalidError(f"cannot set `ray.io/external-storage-namespace` annotation {where}ExternalStorageNamespace instead")
        options.check_storage(ft, container, (spec.head_group_spec.template.get("spec") or {}).get("volumes") or [], gates)
    if params.get("redis-username") or has_env(container, "REDIS_USERNAME"):
        raise InvalidError(
            "cannot set redis username in rayStartParams or environment variables - use GcsFaultToleranceOptions.RedisUsername instead"
        )


def _check_autoscaler(spec: RayClusterSpec) -> None:
    head, groups = spec.head_group_spec, spec.worker_group_specs or []
    flag = env_value(_containers(head.template)[0], _AUTOSCALER_V2)
    if autoscaler.is_enabled(spec):
        for group in (g for g in groups if g.suspend):
            raise InvalidError(f"worker group {group.group_name} cannot be suspended with Autoscaler enabled")
        if autoscaler.version(spec) and flag is not None:
            raise InvalidError(
                f"both .spec.autoscalerOptions.version and head Pod env var {_AUTOSCALER_V2} are set, please only use the former"
            )
        if autoscaler.version(spec) == "v2":
            if _restart_policy(head.template) not in ("", "Never"):
                raise InvalidError("restartPolicy for head Pod should be Never or unset when using autoscaler V2")
            for group in (g for g in groups if _restart_policy(g.template) not in ("", "Never")):
                raise InvalidError(f"restartPolicy for worker group {group.group_name} should be Never or unset when using autoscaler V2")
    elif flag in ("1", "true"):
        raise InvalidError(
            f"environment variable {_AUTOSCALER_V2} cannot be set to '{flag}' when enableInTreeAutoscaling is false. "
            "Please set enableInTreeAutoscaling: true to use autoscaler v2"
        )
    given = spec.autoscaler_options
    if given is None:
        return
    if given.idle_timeout_seconds is not None and given.idle_timeout_seconds < 0:
        raise InvalidError(f"autoscalerOptions.idleTimeoutSeconds must be non-negative, got {given.idle_timeout_seconds}")
    if any(entry.get("name") == "KUBERAY_GEN_AUTOSCALER_START_CMD" for entry in given.env or ()):
        raise InvalidError(
            "autoscalerOptions.env must not contain KUBERAY_GEN_AUTOSCALER_START_CMD: "
            "it is managed by KubeRay and injected automatically into the autoscaler container"
        )
