"""Kubernetes' own kinds, as the API serves them: names, scope, verbs, subresources.

From kubernetes' api/discovery (v1.36.3), for the group versions whose schemas `raysail.api.openapi` has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raysail.api.resources import Resource

_ALL: Final = "create delete deletecollection get list patch update watch"


@dataclass(frozen=True, slots=True)
class _Row:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short: str = ""
    categories: str = ""
    subresources: str = ""
    verbs: str = _ALL

    @property
    def resource(self) -> Resource:
        """The kind's place in the API."""
        return Resource(self.group, self.version, self.kind, self.plural, self.namespaced)


BUILTIN_KINDS: Final[tuple[_Row, ...]] = (
    # v1
    _Row("", "v1", "Binding", "bindings", verbs="create"),
    _Row("", "v1", "ComponentStatus", "componentstatuses", namespaced=False, short="cs", verbs="get list"),
    _Row("", "v1", "ConfigMap", "configmaps", short="cm"),
    _Row("", "v1", "Endpoints", "endpoints", short="ep"),
    _Row("", "v1", "Event", "events", short="ev"),
    _Row("", "v1", "LimitRange", "limitranges", short="limits"),
    _Row(
        "",
        "v1",
        "Namespace",
        "namespaces",
        namespaced=False,
        short="ns",
        subresources="finalize status",
        verbs="create delete get list patch update watch",
    ),
    _Row("", "v1", "Node", "nodes", namespaced=False, short="no", subresources="status"),
    _Row("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short="pvc", subresources="status"),
    _Row("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False, short="pv", subresources="status"),
    _Row(
        "",
        "v1",
        "Pod",
        "pods",
        short="po",
        categories="all",
        subresources="attach binding ephemeralcontainers eviction exec log portforward proxy resize status",
    ),
    _Row("", "v1", "PodTemplate", "podtemplates"),
    _Row("", "v1", "ReplicationController", "replicationcontrollers", short="rc", categories="all", subresources="scale status"),
    _Row("", "v1", "ResourceQuota", "resourcequotas", short="quota", subresources="status"),
    _Row("", "v1", "Secret", "secrets"),
    _Row("", "v1", "ServiceAccount", "serviceaccounts", short="sa", subresources="token"),
    _Row("", "v1", "Service", "services", short="svc", categories="all", subresources="proxy status"),
    # admissionregistration.k8s.io/v1
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        namespaced=False,
        categories="api-extensions",
    ),
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        namespaced=False,
        categories="api-extensions",
    ),
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        namespaced=False,
        categories="api-extensions",
    ),
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        namespaced=False,
        categories="api-extensions",
        subresources="status",
    ),
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        namespaced=False,
        categories="api-extensions",
    ),
    _Row(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        namespaced=False,
        categories="api-extensions",
    ),
    # apiextensions.k8s.io/v1
    _Row(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        short="crd crds",
        categories="api-extensions",
        subresources="status",
    ),
    # apiregistration.k8s.io/v1
    _Row("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False, categories="api-extensions", subresources="status"),
    # apps/v1
    _Row("apps", "v1", "ControllerRevision", "controllerrevisions"),
    _Row("apps", "v1", "DaemonSet", "daemonsets", short="ds", categories="all", subresources="status"),
    _Row("apps", "v1", "Deployment", "deployments", short="deploy", categories="all", subresources="scale status"),
    _Row("apps", "v1", "ReplicaSet", "replicasets", short="rs", categories="all", subresources="scale status"),
    _Row("apps", "v1", "StatefulSet", "statefulsets", short="sts", categories="all", subresources="scale status"),
    # authentication.k8s.io/v1
    _Row("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False, verbs="create"),
    _Row("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False, verbs="create"),
    # authorization.k8s.io/v1
    _Row("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", verbs="create"),
    _Row("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False, verbs="create"),
    _Row("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False, verbs="create"),
    _Row("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False, verbs="create"),
    # autoscaling/v1
    _Row("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", short="hpa", categories="all", subresources="status"),
    # batch/v1
    _Row("batch", "v1", "CronJob", "cronjobs", short="cj", categories="all", subresources="status"),
    _Row("batch", "v1", "Job", "jobs", categories="all", subresources="status"),
    # coordination.k8s.io/v1
    _Row("coordination.k8s.io", "v1", "Lease", "leases"),
    # discovery.k8s.io/v1
    _Row("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    # events.k8s.io/v1
    _Row("events.k8s.io", "v1", "Event", "events", short="ev"),
    # networking.k8s.io/v1
    _Row("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False),
    _Row("networking.k8s.io", "v1", "Ingress", "ingresses", short="ing", subresources="status"),
    _Row("networking.k8s.io", "v1", "IPAddress", "ipaddresses", namespaced=False, short="ip"),
    _Row("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short="netpol"),
    _Row("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", namespaced=False, subresources="status"),
    # node.k8s.io/v1
    _Row("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False),
    # policy/v1
    _Row("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", short="pdb", subresources="status"),
    # rbac.authorization.k8s.io/v1
    _Row("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _Row("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False),
    _Row("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    _Row("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    # scheduling.k8s.io/v1
    _Row("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False, short="pc"),
    # storage.k8s.io/v1
    _Row("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False),
    _Row("storage.k8s.io", "v1", "CSINode", "csinodes", namespaced=False),
    _Row("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities"),
    _Row("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False, short="sc"),
    _Row("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", namespaced=False, subresources="status"),
    _Row("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", namespaced=False, short="vac"),
)

SELECTABLE_FIELDS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "Pod"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    ("", "Event"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("", "Namespace"): ("status.phase",),
    ("", "Node"): ("spec.unschedulable",),
    ("", "ReplicationController"): ("status.replicas",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP", "spec.type"),
    ("apps", "ReplicaSet"): ("status.replicas",),
    ("batch", "Job"): ("status.successful",),
    ("events.k8s.io", "Event"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reportingController",
        "type",
    ),
}
"""Field selectors that a kind has beside metadata.name and metadata.namespace (pkg/registry/*/strategy.go, *ToSelectableFields)."""
