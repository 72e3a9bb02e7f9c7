"""The kinds that raysail names in code, and where each is found in the API.

A `Resource` is what others call a GroupVersionResource, with its kind and scope. Kinds that arrive at run time (CRDs) get one too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version. `group` is empty for core/v1."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As it stands in an object: `v1`, `ray.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The REST path. Without a namespace, a namespaced kind's path spans all namespaces."""
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NAMESPACES: Final = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NODES: Final = Resource("", "v1", "Node", "nodes", namespaced=False)
PODS: Final = Resource("", "v1", "Pod", "pods")
POD_TEMPLATES: Final = Resource("", "v1", "PodTemplate", "podtemplates")
SERVICES: Final = Resource("", "v1", "Service", "services")
ENDPOINTS: Final = Resource("", "v1", "Endpoints", "endpoints")
CONFIG_MAPS: Final = Resource("", "v1", "ConfigMap", "configmaps")
SECRETS: Final = Resource("", "v1", "Secret", "secrets")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "ServiceAccount", "serviceaccounts")
CORE_EVENTS: Final = Resource("", "v1", "Event", "events")
LIMIT_RANGES: Final = Resource("", "v1", "LimitRange", "limitranges")
RESOURCE_QUOTAS: Final = Resource("", "v1", "ResourceQuota", "resourcequotas")
PERSISTENT_VOLUME_CLAIMS: Final = Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
PERSISTENT_VOLUMES: Final = Resource("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
EVENTS: Final = Resource("events.k8s.io", "v1", "Event", "events")
JOBS: Final = Resource("batch", "v1", "Job", "jobs")
CRON_JOBS: Final = Resource("batch", "v1", "CronJob", "cronjobs")
DEPLOYMENTS: Final = Resource("apps", "v1", "Deployment", "deployments")
REPLICA_SETS: Final = Resource("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SETS: Final = Resource("apps", "v1", "StatefulSet", "statefulsets")
DAEMON_SETS: Final = Resource("apps", "v1", "DaemonSet", "daemonsets")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASES: Final = Resource("coordination.k8s.io", "v1", "Lease", "leases")
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
PRIORITY_CLASSES: Final = Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False)
POD_DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
INGRESSES: Final = Resource("networking.k8s.io", "v1", "Ingress", "ingresses")
INGRESS_CLASSES: Final = Resource("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False)
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)

RAY_CLUSTERS: Final = Resource("ray.io", "v1", "RayCluster", "rayclusters")
RAY_JOBS: Final = Resource("ray.io", "v1", "RayJob", "rayjobs")
RAY_SERVICES: Final = Resource("ray.io", "v1", "RayService", "rayservices")
RAY_CRON_JOBS: Final = Resource("ray.io", "v1", "RayCronJob", "raycronjobs")

CLUSTER_QUEUES: Final = Resource("kueue.x-k8s.io", "v1beta2", "ClusterQueue", "clusterqueues", namespaced=False)
LOCAL_QUEUES: Final = Resource("kueue.x-k8s.io", "v1beta2", "LocalQueue", "localqueues")
WORKLOADS: Final = Resource("kueue.x-k8s.io", "v1beta2", "Workload", "workloads")
RESOURCE_FLAVORS: Final = Resource("kueue.x-k8s.io", "v1beta2", "ResourceFlavor", "resourceflavors", namespaced=False)
COHORTS: Final = Resource("kueue.x-k8s.io", "v1beta2", "Cohort", "cohorts", namespaced=False)
WORKLOAD_PRIORITY_CLASSES: Final = Resource(
    "kueue.x-k8s.io", "v1beta2", "WorkloadPriorityClass", "workloadpriorityclasses", namespaced=False
)
ADMISSION_CHECKS: Final = Resource("kueue.x-k8s.io", "v1beta2", "AdmissionCheck", "admissionchecks", namespaced=False)
PROVISIONING_REQUEST_CONFIGS: Final = Resource(
    "kueue.x-k8s.io", "v1beta2", "ProvisioningRequestConfig", "provisioningrequestconfigs", namespaced=False
)
TOPOLOGIES: Final = Resource("kueue.x-k8s.io", "v1beta2", "Topology", "topologies", namespaced=False)
MULTI_KUEUE_CONFIGS: Final = Resource("kueue.x-k8s.io", "v1beta2", "MultiKueueConfig", "multikueueconfigs", namespaced=False)
MULTI_KUEUE_CLUSTERS: Final = Resource("kueue.x-k8s.io", "v1beta2", "MultiKueueCluster", "multikueueclusters", namespaced=False)
