"""GCS fault tolerance in Pods: Redis or the embedded store (KubeRay pod.go configureGCSFaultTolerance).

On where `gcsFaultToleranceOptions` is given or the older annotation ray.io/ft-enabled is true.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.ray import GcsFaultToleranceOptions, RayCluster, RedisCredential, names
from raysail.ray import naming
from raysail.ray.pods.container import add_env, append, default_env, has_env, mount
from raysail.ray.pods.start_command import StartParams

_WORKER_RECONNECT_SECONDS: Final = "600"
"""A new head needs about two minutes; Ray's own 60 s would end the workers before."""
_STORAGE_VOLUME: Final = "gcs-storage"
_STORAGE_PATH: Final = "/data/gcs"


def is_enabled(options: GcsFaultToleranceOptions | None, annotations: Mapping[str, str] | None) -> bool:
    """Whether the cluster survives its head."""
    return options is not None or (annotations or {}).get(names.FT_ENABLED_ANNOTATION, "").lower() == "true"


def is_embedded(options: GcsFaultToleranceOptions | None) -> bool:
    """Whether the state is in a volume of the head, not in Redis."""
    return options is not None and options.backend == "rocksdb"


def configure(template: dict[str, Any], cluster: RayCluster, node_type: str, start_params: StartParams) -> None:
    """Annotations, variables, volume and, for Redis credentials, flags of `ray start`; `template` and `start_params` are changed."""
    options, annotations = cluster.spec.gcs_fault_tolerance_options, cluster.metadata.annotations
    enabled = is_enabled(options, annotations)
    if node_type == names.HEAD:
        template["metadata"]["annotations"][names.FT_ENABLED_ANNOTATION] = "true" if enabled else "false"
    if not enabled:
        return
    container = template["spec"]["containers"][0]
    if node_type == names.WORKER:
        default_env(container, "RAY_gcs_rpc_server_reconnect_timeout_s", _WORKER_RECONNECT_SECONDS)
    elif options is not None and is_embedded(options):
        _configure_embedded(template, cluster, options)
    else:
        _configure_redis(template, cluster, start_params)


def _configure_redis(template: dict[str, Any], cluster: RayCluster, start_params: StartParams) -> None:
    options, container = cluster.spec.gcs_fault_tolerance_options, template["spec"]["containers"][0]
    annotated = (cluster.metadata.annotations or {}).get(names.EXTERNAL_STORAGE_NAMESPACE_ANNOTATION)
    namespace = cluster.metadata.uid if annotated is None else annotated
    if options is not None and options.external_storage_namespace:
        namespace = options.external_storage_namespace
    template["metadata"]["annotations"][names.EXTERNAL_STORAGE_NAMESPACE_ANNOTATION] = namespace
    default_env(container, "RAY_external_storage_namespace", namespace)
    if options is None:
        # the cleanup Job reads the password from the environment, even where the user gave it as a flag
        if not has_env(container, "REDIS_PASSWORD") and "redis-password" in start_params:
            add_env(container, "REDIS_PASSWORD", start_params["redis-password"])
        return
    add_env(container, "RAY_REDIS_ADDRESS", options.redis_address or "")
    _add_credential(container, start_params, "redis-username", "REDIS_USERNAME", options.redis_username)
    _add_credential(container, start_params, "redis-password", "REDIS_PASSWORD", options.redis_password)


def _add_credential(
    container: dict[str, Any], start_params: StartParams, flag: str, variable: str, credential: RedisCredential | None
) -> None:
    if credential is not None:
        start_params[flag] = f"${variable}"
        add_env(container, variable, credential.value or "", value_from=copy.deepcopy(credential.value_from))


def _configure_embedded(template: dict[str, Any], cluster: RayCluster, options: GcsFaultToleranceOptions) -> None:
    container, storage = template["spec"]["containers"][0], options.storage
    default_env(container, "RAY_gcs_storage", "rocksdb")
    default_env(container, "RAY_gcs_storage_path", _STORAGE_PATH)
    mount(container, _STORAGE_VOLUME, _STORAGE_PATH, sub_path=(storage.sub_path or "") if storage else "")
    claim = naming.storage_claim(cluster.metadata.name, (storage.claim_name or "") if storage else "")
    append(template["spec"], "volumes", {"name": _STORAGE_VOLUME, "persistentVolumeClaim": {"claimName": claim}})
