"""Which kind has which columns."""

from __future__ import annotations

from typing import Final

from raysail.apiserver.tables import cluster, network, workloads
from raysail.apiserver.tables.columns import AGE, NAME, PLAIN, Column, Columns, field_
from raysail.apiserver.tables.pods import PODS

_BY_KIND: Final[dict[tuple[str, str], Columns]] = {
    ("", "Pod"): PODS,
    ("", "PodTemplate"): workloads.POD_TEMPLATES,
    ("", "Service"): network.SERVICES,
    ("", "Endpoints"): network.ENDPOINTS,
    ("", "Node"): cluster.NODES,
    ("", "Namespace"): cluster.NAMESPACES,
    ("", "ConfigMap"): cluster.CONFIG_MAPS,
    ("", "Secret"): cluster.SECRETS,
    ("", "ServiceAccount"): cluster.SERVICE_ACCOUNTS,
    ("", "Event"): cluster.EVENTS,
    ("", "PersistentVolume"): cluster.PERSISTENT_VOLUMES,
    ("", "PersistentVolumeClaim"): cluster.PERSISTENT_VOLUME_CLAIMS,
    ("", "ResourceQuota"): cluster.RESOURCE_QUOTAS,
    ("events.k8s.io", "Event"): cluster.EVENTS,
    ("batch", "Job"): workloads.JOBS,
    ("batch", "CronJob"): workloads.CRON_JOBS,
    ("apps", "Deployment"): workloads.DEPLOYMENTS,
    ("apps", "ReplicaSet"): workloads.REPLICA_SETS,
    ("apps", "StatefulSet"): workloads.STATEFUL_SETS,
    ("apps", "DaemonSet"): workloads.DAEMON_SETS,
    ("autoscaling", "Scale"): cluster.SCALES,
    ("discovery.k8s.io", "EndpointSlice"): network.ENDPOINT_SLICES,
    ("networking.k8s.io", "Ingress"): network.INGRESSES,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASSES,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICIES,
    ("storage.k8s.io", "StorageClass"): network.STORAGE_CLASSES,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.ROLE_BINDINGS,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.CLUSTER_ROLE_BINDINGS,
    ("scheduling.k8s.io", "PriorityClass"): cluster.PRIORITY_CLASSES,
    ("coordination.k8s.io", "Lease"): cluster.LEASES,
    ("node.k8s.io", "RuntimeClass"): cluster.RUNTIME_CLASSES,
    ("policy", "PodDisruptionBudget"): cluster.POD_DISRUPTION_BUDGETS,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): cluster.WEBHOOK_CONFIGURATIONS,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): cluster.WEBHOOK_CONFIGURATIONS,
    ("apps", "ControllerRevision"): Columns(
        (NAME, Column("Revision", "apps.v1.ControllerRevision.revision", field_("revision", 0)), AGE),
    ),
}


def columns_of(group: str, kind: str) -> Columns:
    """The columns of a built-in kind; name and creation time where it has none of its own (as Role, ClusterRole, LimitRange, CRDs)."""
    return _BY_KIND.get((group, kind), PLAIN)
