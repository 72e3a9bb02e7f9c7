"""What makes a RayService unusable (ValidateRayServiceMetadata, ValidateRayServiceSpec)."""

from __future__ import annotations

from typing import Final

from raysail.api.ray import RayService, RayServiceSpec, names
from raysail.api.ray import service as states
from raysail.ray.pods import authentication, autoscaler
from raysail.ray.service.clusters import is_incremental
from raysail.ray.service.status import initializing_timeout_seconds
from raysail.ray.settings import RaySettings
from raysail.ray.validation import cluster
from raysail.ray.validation.errors import InvalidError, check_name

_METADATA: Final = "The RayService metadata is invalid: "
_SPEC: Final = "The RayService spec is invalid: "
_TYPES: Final = (states.NEW_CLUSTER_WITH_INCREMENTAL_UPGRADE, states.NEW_CLUSTER, states.UPGRADE_NONE)


def check_metadata(service: RayService) -> None:
    """The name, and the time to initialize."""
    check_name("RayService", service.metadata.name, names.MAX_RAY_SERVICE_NAME, prefix=_METADATA)
    text = (service.metadata.annotations or {}).get(names.INITIALIZING_TIMEOUT_ANNOTATION, "")
    try:
        seconds = initializing_timeout_seconds(service.metadata.annotations)
    except ValueError as error:
        raise InvalidError(f"{_METADATA}RayService annotations is invalid: {error}") from error
    if seconds is not None and seconds <= 0:
        kind = "integer (seconds)" if text.lstrip("+-").isdigit() and text != "0" else "duration"
        raise InvalidError(
            f"{_METADATA}RayService annotations is invalid: annotation {names.INITIALIZING_TIMEOUT_ANNOTATION} must be a positive {kind}, got: {text}"
        )


def check_spec(service: RayService, settings: RaySettings) -> None:
    """The whole spec, in KubeRay's order: the first fault is the one that is told."""
    spec = service.spec
    if authentication.uses_kubernetes_tokens(spec.ray_cluster_config.auth_options):
        raise InvalidError(f"{_SPEC}K8s token auth mode is currently not supported for RayService")
    try:
        cluster.check_spec(spec.ray_cluster_config, service.metadata.annotations, settings.gates)
    except InvalidError as error:
        raise InvalidError(f"{_SPEC}{error}") from error
    model = spec.ray_cluster_config.head_group_spec.head_service or {}
    if (model.get("metadata") or {}).get("name"):
        raise InvalidError(f"{_SPEC}spec.rayClusterConfig.headGroupSpec.headService.metadata.name should not be set")
    strategy = spec.upgrade_strategy.type if spec.upgrade_strategy else None
    if strategy is not None and strategy not in _TYPES:
        raise InvalidError(
            f"{_SPEC}Spec.UpgradeStrategy.Type value {strategy} is invalid, valid options are {_TYPES[0]}, {_TYPES[1]}, or {_TYPES[2]}"
        )
    delay = spec.ray_cluster_deletion_delay_seconds
    if delay is not None and delay < 0:
        raise InvalidError(f"{_SPEC}Spec.RayClusterDeletionDelaySeconds should be a non-negative integer, got {delay}")
    if is_incremental(spec, settings):
        _check_steps(spec)


def _check_steps(spec: RayServiceSpec) -> None:
    def refuse(text: str) -> None:
        raise InvalidError(f"{_SPEC}{text}")

    options = spec.upgrade_strategy.cluster_upgrade_options if spec.upgrade_strategy else None
    if not autoscaler.is_enabled(spec.ray_cluster_config):
        refuse("Ray Autoscaler is required for NewClusterWithIncrementalUpgrade")
    if options is None:
        raise InvalidError(f"{_SPEC}ClusterUpgradeOptions are required for NewClusterWithIncrementalUpgrade")
    surge = 100 if options.max_surge_percent is None else options.max_surge_percent
    step = options.step_size_percent
    if not 0 <= surge <= 100:
        refuse("maxSurgePercent must be between 0 and 100")
    if step is None or not 0 <= step <= 100:
        refuse("stepSizePercent must be between 0 and 100")
    elif step > surge:
        refuse("stepSizePercent must be less than or equal to maxSurgePercent")
    if options.interval_seconds is None or options.interval_seconds <= 0:
        refuse("intervalSeconds must be greater than 0")
    if not options.gateway_class_name:
        refuse("gatewayClassName is required for NewClusterWithIncrementalUpgrade")
