"""What can be set about the Ray controllers: KubeRay's feature gates, environment variables and configuration file, and a few of our own.

KubeRay reads them in main.go, pkg/features/features.go and apis/config/v1alpha1; names and defaults are the same here. Our own are off
unless `raysail up` turns them on, so that an operator on Kubernetes behaves as KubeRay does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

VERSION: Final = "raysail-1"
"""Value of the annotation ray.io/kuberay-version: changes when an unchanged spec would hash differently, so that an upgrade of raysail,
or a change from KubeRay to raysail, is not taken for an edit of the spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGates:
    """KubeRay's feature gates, off or on as there (v1.7)."""

    ray_cluster_status_conditions: bool = True
    ray_job_deletion_policy: bool = True
    ray_multi_host_indexing: bool = True
    ray_service_incremental_upgrade: bool = True
    ray_cron_job: bool = False
    sidecar_submitter_restart: bool = False
    ray_cluster_network_policy: bool = False
    gcs_fault_tolerance_embedded_storage: bool = False
    ray_cluster_mtls: bool = False
    ray_cluster_history_server: bool = False
    kubernetes_was: bool = False

    def with_text(self, text: str) -> FeatureGates:
        """These gates changed as `--feature-gates=A=true,B=false` says. Raises ValueError for a gate that does not exist."""
        changes: dict[str, bool] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, value = part.partition("=")
            attribute = _GATES.get(name.strip())
            if attribute is None:
                raise ValueError(f"--feature-gates: unrecognized feature gate: {name.strip()}; known: {', '.join(sorted(_GATES))}")
            if value.strip().lower() not in _BOOLEANS:
                raise ValueError(f"--feature-gates: invalid value of {name.strip()}={value.strip()}; expected true or false")
            changes[attribute] = _BOOLEANS[value.strip().lower()]
        return replace(self, **changes)


_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}
_GATES: Final = {
    "RayClusterStatusConditions": "ray_cluster_status_conditions",
    "RayJobDeletionPolicy": "ray_job_deletion_policy",
    "RayMultiHostIndexing": "ray_multi_host_indexing",
    "RayServiceIncrementalUpgrade": "ray_service_incremental_upgrade",
    "RayCronJob": "ray_cron_job",
    "SidecarSubmitterRestart": "sidecar_submitter_restart",
    "RayClusterNetworkPolicy": "ray_cluster_network_policy",
    "GCSFaultToleranceEmbeddedStorage": "gcs_fault_tolerance_embedded_storage",
    "RayClusterMTLS": "ray_cluster_mtls",
    "RayClusterHistoryServer": "ray_cluster_history_server",
    "KubernetesWAS": "kubernetes_was",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """Everything that the Ray controllers can be told. All durations in seconds."""

    gates: FeatureGates = field(default_factory=FeatureGates)
    concurrency: int = 1
    """How many objects of a kind are reconciled at the same time (--reconcile-concurrency)."""

    # KubeRay's environment variables
    cluster_domain: str = "cluster.local"
    inject_init_container: bool = True
    inject_probes: bool = True
    redis_cleanup: bool = True
    random_pod_delete: bool = False
    head_cluster_ip_service: bool = False
    deterministic_head_pod_name: bool = False
    login_shell: bool = False
    delete_ray_job_after_finish: bool = False
    zero_downtime: bool = True
    cluster_resync_seconds: float = 300
    transition_grace_period_seconds: float = 300
    status_check_timeout_seconds: float = 300

    # KubeRay's configuration file
    head_sidecar_containers: tuple[dict[str, Any], ...] = ()
    worker_sidecar_containers: tuple[dict[str, Any], ...] = ()
    default_container_envs: tuple[dict[str, Any], ...] = ()
    default_pod_annotations: Mapping[str, str] = field(default_factory=dict)
    default_pod_labels: Mapping[str, str] = field(default_factory=dict)
    use_kubernetes_proxy: bool = False

    # ours
    token_authentication: bool = False
    """A RayCluster that says nothing of authOptions gets token authentication (where its Ray version can)."""
    submit_when_head_answers: bool = False
    """A RayJob is submitted as soon as its head's dashboard answers, not when all probes of all Pods have passed."""
    resolve_services: bool = False
    """The dashboard client looks up Service -> Pod address itself (we run outside Pods)."""
    job_poll_seconds: float = 3
    """How often a Ray job's state is asked for."""
    eager_poll_seconds: float = 0.25
    """How often at most, while something has just changed and `submit_when_head_answers` is on: nobody wants to wait for a poll."""
    service_poll_seconds: float = 2
    """How often Ray Serve's state is asked for."""
    retry_seconds: float = 2
    """How soon a RayCluster is looked at again after something failed or changed."""
    dashboard_timeout_seconds: float = 2

    def with_environment(self, environment: Mapping[str, str]) -> RaySettings:
        """These settings changed by KubeRay's environment variables. What cannot be read counts as unset, as there."""
        changes: dict[str, Any] = {}
        for variable, (attribute, meaning) in _SWITCHES.items():
            if environment.get(variable, "").lower() == meaning:
                changes[attribute] = meaning == "true"
        for variable, attribute in _SECONDS.items():
            text = environment.get(variable, "")
            if text.isdigit() and (int(text) > 0 or attribute != "status_check_timeout_seconds"):
                changes[attribute] = int(text)
        if domain := environment.get("CLUSTER_DOMAIN"):
            changes["cluster_domain"] = domain
        return replace(self, **changes)

    def with_configuration(self, document: Mapping[str, Any]) -> RaySettings:
        """These settings changed by a document `config.ray.io/v1alpha1, kind Configuration` (the file of --config)."""
        if document.get("kind", "Configuration") != "Configuration" or not str(document.get("apiVersion", _CONFIG)).startswith(
            "config.ray.io/"
        ):
            raise ValueError(
                f"expected apiVersion {_CONFIG}, kind Configuration; found {document.get('apiVersion')}, {document.get('kind')}"
            )
        changes: dict[str, Any] = {
            attribute: tuple(document[key]) if isinstance(document[key], list) else document[key]
            for key, attribute in _CONFIGURATION.items()
            if document.get(key) is not None
        }
        return replace(self, **changes)


_CONFIG: Final = "config.ray.io/v1alpha1"
_SWITCHES: Final = {  # variable -> (attribute, the text that changes it from its default)
    "ENABLE_INIT_CONTAINER_INJECTION": ("inject_init_container", "false"),
    "ENABLE_PROBES_INJECTION": ("inject_probes", "false"),
    "ENABLE_GCS_FT_REDIS_CLEANUP": ("redis_cleanup", "false"),
    "ENABLE_RANDOM_POD_DELETE": ("random_pod_delete", "true"),
    "ENABLE_RAY_HEAD_CLUSTER_IP_SERVICE": ("head_cluster_ip_service", "true"),
    "ENABLE_DETERMINISTIC_HEAD_POD_NAME": ("deterministic_head_pod_name", "true"),
    "ENABLE_LOGIN_SHELL": ("login_shell", "true"),
    "DELETE_RAYJOB_CR_AFTER_JOB_FINISHES": ("delete_ray_job_after_finish", "true"),
    "ENABLE_ZERO_DOWNTIME": ("zero_downtime", "false"),
}
_SECONDS: Final = {
    "RAYCLUSTER_DEFAULT_REQUEUE_SECONDS_ENV": "cluster_resync_seconds",
    "RAYJOB_DEPLOYMENT_STATUS_TRANSITION_GRACE_PERIOD_SECONDS": "transition_grace_period_seconds",
    "RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS": "status_check_timeout_seconds",
}
_CONFIGURATION: Final = {
    "reconcileConcurrency": "concurrency",
    "headSidecarContainers": "head_sidecar_containers",
    "workerSidecarContainers": "worker_sidecar_containers",
    "defaultContainerEnvs": "default_container_envs",
    "defaultPodAnnotations": "default_pod_annotations",
    "defaultPodLabels": "default_pod_labels",
    "useKubernetesProxy": "use_kubernetes_proxy",
    "deleteRayJobAfterJobFinishes": "delete_ray_job_after_finish",
}
assert set(_GATES.values()) == {f.name for f in fields(FeatureGates)}  # noqa: S101 - a gate without a name could not be switched
