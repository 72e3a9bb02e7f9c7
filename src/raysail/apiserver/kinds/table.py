"""Which rules hold for which built-in kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysail.api.openapi import schema_name
from raysail.api.resources import Resource
from raysail.apiserver.kinds import (
    cluster,
    configuration,
    events,
    extensions,
    jobs,
    networking,
    quotas,
    rbac,
    services,
    storage,
    volume_claims,
    workloads,
)
from raysail.apiserver.kinds.pods import kind as pods
from raysail.apiserver.kinds.rules import KindStrategy, Rules

_ADMISSION: Final = "admissionregistration.k8s.io"
_NETWORKING: Final = "networking.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
_STORAGE: Final = "storage.k8s.io"

RULES: Final[Mapping[tuple[str, str], Rules]] = {
    ("", "ConfigMap"): configuration.CONFIG_MAP,
    ("", "Endpoints"): networking.ENDPOINTS,
    ("", "Event"): events.CORE_EVENT,
    ("", "LimitRange"): quotas.LIMIT_RANGE,
    ("", "Namespace"): cluster.NAMESPACE,
    ("", "Node"): cluster.NODE,
    ("", "PersistentVolume"): storage.PERSISTENT_VOLUME,
    ("", "PersistentVolumeClaim"): volume_claims.PERSISTENT_VOLUME_CLAIM,
    ("", "Pod"): pods.POD,
    ("", "PodTemplate"): pods.POD_TEMPLATE,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "ResourceQuota"): quotas.RESOURCE_QUOTA,
    ("", "Secret"): configuration.SECRET,
    ("", "Service"): services.SERVICE,
    ("", "ServiceAccount"): configuration.SERVICE_ACCOUNT,
    (_ADMISSION, "MutatingAdmissionPolicy"): extensions.MUTATING_POLICY,
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): extensions.POLICY_BINDING,
    (_ADMISSION, "MutatingWebhookConfiguration"): extensions.MUTATING_WEBHOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): extensions.VALIDATING_POLICY,
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): extensions.POLICY_BINDING,
    (_ADMISSION, "ValidatingWebhookConfiguration"): extensions.VALIDATING_WEBHOOKS,
    ("apiregistration.k8s.io", "APIService"): extensions.API_SERVICE,
    ("apps", "ControllerRevision"): workloads.CONTROLLER_REVISION,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("autoscaling", "HorizontalPodAutoscaler"): cluster.HORIZONTAL_POD_AUTOSCALER,
    ("batch", "CronJob"): jobs.CRON_JOB,
    ("batch", "Job"): jobs.JOB,
    ("coordination.k8s.io", "Lease"): cluster.LEASE,
    ("discovery.k8s.io", "EndpointSlice"): networking.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): events.NEW_EVENT,
    (_NETWORKING, "IPAddress"): extensions.IP_ADDRESS,
    (_NETWORKING, "Ingress"): networking.INGRESS,
    (_NETWORKING, "IngressClass"): networking.INGRESS_CLASS,
    (_NETWORKING, "NetworkPolicy"): networking.NETWORK_POLICY,
    (_NETWORKING, "ServiceCIDR"): extensions.SERVICE_CIDR,
    ("node.k8s.io", "RuntimeClass"): cluster.RUNTIME_CLASS,
    ("policy", "PodDisruptionBudget"): quotas.POD_DISRUPTION_BUDGET,
    (_RBAC, "ClusterRole"): rbac.CLUSTER_ROLE,
    (_RBAC, "ClusterRoleBinding"): rbac.CLUSTER_ROLE_BINDING,
    (_RBAC, "Role"): rbac.ROLE,
    (_RBAC, "RoleBinding"): rbac.ROLE_BINDING,
    ("scheduling.k8s.io", "PriorityClass"): quotas.PRIORITY_CLASS,
    (_STORAGE, "CSIDriver"): storage.CSI_DRIVER,
    (_STORAGE, "CSINode"): storage.CSI_NODE,
    (_STORAGE, "CSIStorageCapacity"): storage.CSI_STORAGE_CAPACITY,
    (_STORAGE, "StorageClass"): storage.STORAGE_CLASS,
    (_STORAGE, "VolumeAttachment"): storage.VOLUME_ATTACHMENT,
    (_STORAGE, "VolumeAttributesClass"): storage.VOLUME_ATTRIBUTES_CLASS,
}
_ONLY_SPOKEN: Final = Rules()


def strategy_of(resource: Resource) -> KindStrategy:
    """The strategy of a built-in kind; one that is only spoken (a review, a binding) follows its schema alone. Raises KeyError."""
    name = schema_name(resource.group, resource.version, resource.kind)
    if name is None:
        raise KeyError(resource)
    return KindStrategy(resource, name, RULES.get((resource.group, resource.kind), _ONLY_SPOKEN))
