"""Checks of a cluster's optional parts: embedded store, history server, token authentication, network policy (validation.go)."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.ray import CollectorOptions, GcsFaultToleranceOptions, NetworkPolicyRules, RayClusterSpec, names
from raysail.ray.pods import authentication, fault_tolerance
from raysail.ray.pods.container import has_env
from raysail.ray.settings import FeatureGates
from raysail.ray.validation.errors import InvalidError, is_dns_1123_label
from raysail.ray.versions import at_least, parse

_COLLECTOR_OWN: Final = (
    "POD_IP",
    "FQ_RAY_IP",
    "RAY_CLUSTER_NAME",
    "RAY_CLUSTER_NAMESPACE",
    "RAY_ROLE",
    "OWNER_KIND",
    "OWNER_NAME",
    "EVENTS_PORT",
)
_COLLECTOR_NEEDS: Final = {"GCS": ("GCS_BUCKET",), "S3": ("S3_REGION",), "ALIYUNOSS": ("OSS_BUCKET", "OSS_ENDPOINT", "OSS_REGION")}
_AZURE_CONNECTION, _AZURE_ACCOUNT = "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_URL"


def check_storage(options: GcsFaultToleranceOptions, container: dict[str, Any], volumes: list[dict[str, Any]], gates: FeatureGates) -> None:
    """Redis and the embedded store exclude each other's settings."""
    storage = options.storage
    if not fault_tolerance.is_embedded(options):
        if storage is not None:
            raise InvalidError(
                "cannot set GcsFaultToleranceOptions.Storage when backend is 'redis' - it only applies to the 'rocksdb' backend"
            )
        return
    if not gates.gcs_fault_tolerance_embedded_storage:
        raise InvalidError(
            "the embedded RocksDB GCS fault tolerance backend (GcsFaultToleranceOptions.Backend: 'rocksdb') requires the "
            "GCSFaultToleranceEmbeddedStorage feature gate to be enabled"
        )
    for field, value in (
        ("RedisAddress", options.redis_address),
        ("RedisUsername", options.redis_username),
        ("RedisPassword", options.redis_password),
        ("ExternalStorageNamespace", options.external_storage_namespace),
    ):
        if value not in (None, ""):
            raise InvalidError(f"cannot set GcsFaultToleranceOptions.{field} when backend is 'rocksdb'")
    if (
        storage is not None
        and storage.claim_name
        and (storage.size is not None or storage.storage_class_name is not None or storage.access_modes)
    ):
        raise InvalidError("GcsFaultToleranceOptions.Storage.ClaimName is mutually exclusive with size, storageClassName, and accessModes")
    if has_env(container, "RAY_gcs_storage") or has_env(container, "RAY_gcs_storage_path"):
        raise InvalidError(
            "cannot set `RAY_gcs_storage` or `RAY_gcs_storage_path` env var in head Pod when the embedded GCS FT backend is used "
            "- these are managed by KubeRay"
        )
    name, path = names.GCS_STORAGE_VOLUME, names.GCS_STORAGE_MOUNT_PATH
    if any(m.get("mountPath") == path or m.get("name") == name for m in container.get("volumeMounts") or ()):
        raise InvalidError(
            f'cannot set a volume mount named "{name}" or mounted at {path} in the head container when the embedded GCS FT backend is used '
            "- it is managed by KubeRay"
        )
    if any(volume.get("name") == name for volume in volumes):
        raise InvalidError(
            f'cannot set a volume named "{name}" in the head Pod when the embedded GCS FT backend is used - it is managed by KubeRay'
        )


def check_history_server(spec: RayClusterSpec, gates: FeatureGates) -> None:
    """The collector must know where to put what it collects, and be the only one of its name."""
    if spec.history_server_options is None:
        return
    if not gates.ray_cluster_history_server:
        raise InvalidError("RayClusterHistoryServer feature gate is not enabled")
    if spec.history_server_options.collector_options is None:
        raise InvalidError("historyServerOptions.collectorOptions must be set")
    _check_collector(spec.history_server_options.collector_options)
    own = f"must not define a container with name '{names.COLLECTOR_CONTAINER}' when history server collector options are enabled"
    templates = [("head pod template", spec.head_group_spec.template)]
    templates += [(f"worker group {group.group_name} pod template", group.template) for group in spec.worker_group_specs or ()]
    for what, template in templates:
        if any(c.get("name") == names.COLLECTOR_CONTAINER for c in (template.get("spec") or {}).get("containers") or ()):
            raise InvalidError(f"{what} {own}")


def _check_collector(options: CollectorOptions) -> None:
    where = "historyServerOptions.collectorOptions"
    if not options.image:
        raise InvalidError(f"{where}.image must be set")
    given = {entry["name"]: entry for entry in options.env or ()}
    for name in _COLLECTOR_OWN:
        if name in given:
            raise InvalidError(
                f"{where}.env must not contain {name}: it is managed by KubeRay and injected automatically into the collector container"
            )
    backend = given.get("STORAGE_BACKEND", {}).get("value") or ""
    if not backend:
        raise InvalidError(f"STORAGE_BACKEND environment variable must be set with a literal string value in {where}.env")

    def has(name: str) -> bool:
        return bool(given.get(name, {}).get("value") or given.get(name, {}).get("valueFrom"))

    for name in _COLLECTOR_NEEDS.get(backend.upper(), ()):
        if not has(name):
            raise InvalidError(f"{name} environment variable must be set when STORAGE_BACKEND is {backend.upper()}")
    if backend.upper() == "AZUREBLOB":
        mode = (given.get("AZURE_STORAGE_AUTH_MODE", {}).get("value") or "").strip().lower()
        if mode == "connection_string" and not has(_AZURE_CONNECTION):
            raise InvalidError(
                f"{_AZURE_CONNECTION} environment variable must be set when STORAGE_BACKEND is AZUREBLOB and AZURE_STORAGE_AUTH_MODE is {mode}"
            )
        if mode in ("workload_identity", "default") and not has(_AZURE_ACCOUNT):
            raise InvalidError(
                f"{_AZURE_ACCOUNT} environment variable must be set when STORAGE_BACKEND is AZUREBLOB and AZURE_STORAGE_AUTH_MODE is {mode}"
            )
        if not has(_AZURE_CONNECTION) and not has(_AZURE_ACCOUNT):
            raise InvalidError(
                f"either {_AZURE_CONNECTION} or {_AZURE_ACCOUNT} environment variable must be set when STORAGE_BACKEND is AZUREBLOB"
            )


def check_authentication(spec: RayClusterSpec) -> None:
    """Token authentication needs a Ray that knows it."""
    options = spec.auth_options
    if not authentication.is_enabled(options):
        if authentication.uses_kubernetes_tokens(options):
            raise InvalidError("authOptions.enableK8sTokenAuth is enabled but authOptions.mode not set to 'token'")
        return
    version = spec.ray_version
    if not version:
        raise InvalidError("authOptions.mode is 'token' but RayVersion was not specified. Ray version 2.52.0 or later is required")
    if parse(version) is None:
        raise InvalidError(
            f"authOptions.mode is 'token' but RayVersion format is invalid: {version}, could not parse \"{version}\" as version"
        )
    if not at_least(version, "2.52.0"):
        raise InvalidError(f"authOptions.mode is 'token' but minimum Ray version is 2.52.0, got {version}")
    if options is not None and authentication.uses_kubernetes_tokens(options):
        if not at_least(version, "2.55.0"):
            raise InvalidError(f"authOptions.enableK8sTokenAuth is enabled but minimum Ray version is 2.55.0, got {version}")
        if options.secret_name:
            raise InvalidError("authOptions.enableK8sTokenAuth is enabled and authOptions.secretName is also set")


def check_network_policy(spec: RayClusterSpec, gates: FeatureGates) -> None:
    """Rules only for what is denied, and only for groups that exist."""
    policy = spec.network_policy
    if policy is None:
        return
    if not gates.ray_cluster_network_policy:
        raise InvalidError("spec.networkPolicy requires the RayClusterNetworkPolicy feature gate to be enabled")
    mode = policy.mode or "DenyAll"
    _check_rules("head", policy.head, mode)
    _check_rules("worker", policy.worker, mode)
    group_names = [group.group_name for group in spec.worker_group_specs or ()]
    for name in group_names:
        if not is_dns_1123_label(name):
            raise InvalidError(
                f'worker group name "{name}" must be a valid DNS1123 label when networkPolicy is enabled (it is embedded in the NetworkPolicy name)'
            )
    for entry in policy.worker_groups or ():
        _check_rules(f'workerGroups["{entry.group_name}"]', entry, mode)
        if entry.group_name not in group_names:
            raise InvalidError(f'networkPolicy.workerGroups["{entry.group_name}"] does not match any group name in workerGroupSpecs')


def _check_rules(where: str, rules: NetworkPolicyRules | None, mode: str) -> None:
    if rules is None:
        return
    if mode == "DenyAllEgress" and rules.ingress_rules:
        raise InvalidError(f'networkPolicy.{where}.ingressRules cannot be set when mode is "{mode}" (ingress is not restricted)')
    if mode == "DenyAllIngress" and rules.egress_rules:
        raise InvalidError(f'networkPolicy.{where}.egressRules cannot be set when mode is "{mode}" (egress is not restricted)')
