"""What Kubernetes fills in, type by type: pkg/apis/*/v1/defaults.go and what conversion to the internal types adds.

Each rule changes one struct in place; `form.settle` calls it wherever that type stands in an object, outer types first.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api.quantity import canonical, format_nano, parse_nano
from raysail.apiserver.kinds.images import image_tag
from raysail.apiserver.kinds.pod_resources import default_pod_level_resources

JsonObject = dict[str, Any]
Rule = Callable[[JsonObject], None]

_CORE: Final = "io.k8s.api.core.v1."
_MILLI: Final = 1_000_000


def _defaults(**values: Any) -> Rule:
    """Fills in fields that are absent."""

    def rule(obj: JsonObject) -> None:
        for name, value in values.items():
            if obj.get(name) is None:
                obj[name] = value.copy() if isinstance(value, dict) else value

    return rule


def _defaults_of_empty(**values: Any) -> Rule:
    """Fills in fields that are absent or empty (0, empty text)."""

    def rule(obj: JsonObject) -> None:
        for name, value in values.items():
            if not obj.get(name):
                obj[name] = value.copy() if isinstance(value, dict) else value

    return rule


def _all(*rules: Rule) -> Rule:
    def rule(obj: JsonObject) -> None:
        for one in rules:
            one(obj)

    return rule


# Pods.


def _pull_policy(image: str) -> str:
    return "Always" if image_tag(image) == "latest" else "IfNotPresent"


def _container(obj: JsonObject) -> None:
    if not obj.get("imagePullPolicy"):
        obj["imagePullPolicy"] = _pull_policy(obj.get("image") or "")
    if not obj.get("terminationMessagePath"):
        obj["terminationMessagePath"] = "/dev/termination-log"
    if not obj.get("terminationMessagePolicy"):
        obj["terminationMessagePolicy"] = "File"


def _volume(obj: JsonObject) -> None:
    if all(value is None for name, value in obj.items() if name != "name"):
        obj["emptyDir"] = {}
    image = obj.get("image")
    if image is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = _pull_policy(image.get("reference") or "")


def _pod(obj: JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for container in containers:
        resources = container.get("resources") or {}
        limits = resources.get("limits")
        if limits:
            requests = resources.setdefault("requests", {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)
    default_pod_level_resources(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in containers:
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)


def _pod_spec(obj: JsonObject) -> None:
    _pod_spec_defaults(obj)
    # `serviceAccount` is the old name of the field; both are always written.
    account = obj.get("serviceAccountName") or obj.get("serviceAccount")
    if account:
        obj["serviceAccountName"] = obj["serviceAccount"] = account


_pod_spec_defaults: Final = _all(
    _defaults_of_empty(dnsPolicy="ClusterFirst", restartPolicy="Always", schedulerName="default-scheduler"),
    _defaults(securityContext={}, terminationGracePeriodSeconds=30),
)


def _resources(obj: JsonObject) -> None:
    for name in ("limits", "requests"):
        if obj.get(name):
            obj[name] = rounded(obj[name])


def rounded(amounts: JsonObject) -> JsonObject:
    """A resource list without fractions of a thousandth: they are rounded up."""
    return {name: _whole_milli(amount) for name, amount in amounts.items()}


def _whole_milli(amount: Any) -> Any:
    nano = parse_nano(amount)
    if nano % _MILLI == 0:
        return canonical(amount)
    return format_nano(-(-nano // _MILLI) * _MILLI)


# Services.


def _service(obj: JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    kind = spec["type"]
    for port in spec.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    if external and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec["internalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip") and ingress.get("ipMode") is None:
                ingress["ipMode"] = "VIP"


# Configuration.


def _secret(obj: JsonObject) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    texts = obj.pop("stringData", None)
    if texts:
        data = obj.get("data")
        if data is None:
            data = obj["data"] = {}
        for name, text in texts.items():
            data[name] = base64.b64encode(text.encode()).decode()


def _namespace(obj: JsonObject) -> None:
    metadata = obj.setdefault("metadata", {})
    if metadata.get("name"):
        labels = metadata.get("labels")
        if labels is None:
            labels = metadata["labels"] = {}
        labels["kubernetes.io/metadata.name"] = metadata["name"]
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def _node_status(obj: JsonObject) -> None:
    if obj.get("allocatable") is None and obj.get("capacity") is not None:
        obj["allocatable"] = dict(obj["capacity"])


def _limit_range_item(obj: JsonObject) -> None:
    if obj.get("type") != "Container":
        return
    limits, requests = obj.get("default") or {}, obj.get("defaultRequest") or {}
    limits = {**(obj.get("max") or {}), **limits}
    requests = {**(obj.get("min") or {}), **limits, **requests}
    obj["default"], obj["defaultRequest"] = limits, requests
    for name in ("default", "defaultRequest", "max", "min", "maxLimitRequestRatio"):
        if obj.get(name):
            obj[name] = rounded(obj[name])


def _volume_with_phase(phase: str) -> Rule:
    def rule(obj: JsonObject) -> None:
        status = obj.setdefault("status", {})
        if not status.get("phase"):
            status["phase"] = phase

    return rule


# Workloads.


def _replication_controller(obj: JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("labels"):
            metadata["labels"] = dict(labels)
    if spec.get("replicas") is None:
        spec["replicas"] = 1


def _deployment_spec(obj: JsonObject) -> None:
    _defaults(replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)(obj)
    strategy = obj.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        _defaults(maxUnavailable="25%", maxSurge="25%")(_opened(strategy, "rollingUpdate"))


def _daemon_set_spec(obj: JsonObject) -> None:
    _defaults(revisionHistoryLimit=10)(obj)
    strategy = obj.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        _defaults(maxUnavailable=1, maxSurge=0)(_opened(strategy, "rollingUpdate"))


def _stateful_set_spec(obj: JsonObject) -> None:
    _defaults(replicas=1, revisionHistoryLimit=10)(obj)
    _defaults_of_empty(podManagementPolicy="OrderedReady")(obj)
    strategy = obj.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        _opened(strategy, "rollingUpdate")
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        _defaults(partition=0)(strategy["rollingUpdate"])
    retention = _opened(obj, "persistentVolumeClaimRetentionPolicy")
    _defaults_of_empty(whenDeleted="Retain", whenScaled="Retain")(retention)
    for claim in obj.get("volumeClaimTemplates") or ():
        # Embedded claims are whole objects and are written with their type.
        claim["kind"], claim["apiVersion"] = "PersistentVolumeClaim", "v1"


def _job(obj: JsonObject) -> None:
    labels = (((obj.get("spec") or {}).get("template") or {}).get("metadata") or {}).get("labels")
    metadata = obj.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        # The very same object, as in Go: labels that are generated for the template later become the Job's too.
        metadata["labels"] = labels
    _job_spec(_opened(obj, "spec"))


def _job_spec(obj: JsonObject) -> None:
    # Of Jobs alone: a CronJob's template is filled in when a Job is made from it.
    if obj.get("completions") is None and obj.get("parallelism") is None:
        obj["completions"] = 1
    failed = obj.get("podFailurePolicy") is not None
    per_index = obj.get("backoffLimitPerIndex") is not None
    _defaults(
        parallelism=1,
        backoffLimit=2**31 - 1 if per_index else 6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="Failed" if failed else "TerminatingOrFailed",
        manualSelector=False,
    )(obj)


def _opened(obj: JsonObject, name: str) -> JsonObject:
    found = obj.get(name)
    if found is None:
        found = obj[name] = {}
    return found


# Networking.


def _network_policy_spec(obj: JsonObject) -> None:
    if not obj.get("policyTypes"):
        obj["policyTypes"] = ["Ingress", "Egress"] if obj.get("egress") else ["Ingress"]


def _endpoint_port(obj: JsonObject) -> None:
    _defaults(name="", protocol="TCP")(obj)


# RBAC.

_RBAC_GROUP: Final = "rbac.authorization.k8s.io"


def _binding(obj: JsonObject) -> None:
    reference = obj.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = _RBAC_GROUP


def _subject(obj: JsonObject) -> None:
    if not obj.get("apiGroup") and obj.get("kind") in ("User", "Group"):
        obj["apiGroup"] = _RBAC_GROUP


_webhook: Final = _defaults(failurePolicy="Fail", matchPolicy="Equivalent", namespaceSelector={}, objectSelector={}, timeoutSeconds=10)
_default_mode: Final = _defaults(defaultMode=0o644)
_ADMISSION: Final = "io.k8s.api.admissionregistration.v1."

RULES: Final[Mapping[str, Rule]] = {
    _CORE + "Container": _container,
    _CORE + "EphemeralContainer": _container,
    _CORE + "Volume": _volume,
    _CORE + "Pod": _pod,
    _CORE + "PodSpec": _pod_spec,
    _CORE + "ResourceRequirements": _resources,
    _CORE + "VolumeResourceRequirements": _resources,
    _CORE + "Probe": _defaults_of_empty(timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3),
    _CORE + "HTTPGetAction": _defaults_of_empty(path="/", scheme="HTTP"),
    _CORE + "SecretVolumeSource": _default_mode,
    _CORE + "ConfigMapVolumeSource": _default_mode,
    _CORE + "DownwardAPIVolumeSource": _default_mode,
    _CORE + "ProjectedVolumeSource": _default_mode,
    _CORE + "ServiceAccountTokenProjection": _defaults(expirationSeconds=3600),
    _CORE + "ObjectFieldSelector": _defaults_of_empty(apiVersion="v1"),
    _CORE + "HostPathVolumeSource": _defaults(type=""),
    _CORE + "Service": _service,
    _CORE + "Secret": _secret,
    _CORE + "Namespace": _namespace,
    _CORE + "NodeStatus": _node_status,
    _CORE + "LimitRangeItem": _limit_range_item,
    _CORE + "PersistentVolume": _volume_with_phase("Pending"),
    _CORE + "PersistentVolumeSpec": _all(_defaults_of_empty(persistentVolumeReclaimPolicy="Retain"), _defaults(volumeMode="Filesystem")),
    _CORE + "PersistentVolumeClaim": _volume_with_phase("Pending"),
    _CORE + "PersistentVolumeClaimSpec": _defaults(volumeMode="Filesystem"),
    _CORE + "EndpointPort": _defaults_of_empty(protocol="TCP"),
    _CORE + "ReplicationController": _replication_controller,
    "io.k8s.api.apps.v1.DeploymentSpec": _deployment_spec,
    "io.k8s.api.apps.v1.DaemonSetSpec": _daemon_set_spec,
    "io.k8s.api.apps.v1.StatefulSetSpec": _stateful_set_spec,
    "io.k8s.api.apps.v1.ReplicaSetSpec": _defaults(replicas=1),
    "io.k8s.api.batch.v1.Job": _job,
    "io.k8s.api.batch.v1.CronJobSpec": _all(
        _defaults_of_empty(concurrencyPolicy="Allow"), _defaults(suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    ),
    "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern": _defaults_of_empty(status="True"),
    "io.k8s.api.discovery.v1.EndpointPort": _endpoint_port,
    "io.k8s.api.networking.v1.NetworkPolicyPort": _defaults(protocol="TCP"),
    "io.k8s.api.networking.v1.NetworkPolicySpec": _network_policy_spec,
    "io.k8s.api.networking.v1.IngressClassParametersReference": _defaults(scope="Cluster"),
    "io.k8s.api.rbac.v1.ClusterRoleBinding": _binding,
    "io.k8s.api.rbac.v1.RoleBinding": _binding,
    "io.k8s.api.rbac.v1.Subject": _subject,
    "io.k8s.api.scheduling.v1.PriorityClass": _defaults(preemptionPolicy="PreemptLowerPriority"),
    "io.k8s.api.storage.v1.StorageClass": _defaults(reclaimPolicy="Delete", volumeBindingMode="Immediate"),
    "io.k8s.api.storage.v1.CSIDriverSpec": _all(
        _defaults(
            attachRequired=True,
            podInfoOnMount=False,
            storageCapacity=False,
            fsGroupPolicy="ReadWriteOnceWithFSType",
            requiresRepublish=False,
            seLinuxMount=False,
        ),
        lambda obj: obj.update(volumeLifecycleModes=obj.get("volumeLifecycleModes") or ["Persistent"]),
    ),
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec": _defaults(minReplicas=1),
    "io.k8s.api.authentication.v1.TokenRequestSpec": _defaults(expirationSeconds=3600),
    _ADMISSION + "ValidatingWebhook": _webhook,
    _ADMISSION + "MutatingWebhook": _all(_webhook, _defaults(reinvocationPolicy="Never")),
    _ADMISSION + "RuleWithOperations": _defaults(scope="*"),
    _ADMISSION + "NamedRuleWithOperations": _defaults(scope="*"),
    _ADMISSION + "ServiceReference": _defaults(port=443),
    _ADMISSION + "ValidatingAdmissionPolicySpec": _defaults(failurePolicy="Fail"),
    _ADMISSION + "MutatingAdmissionPolicySpec": _defaults(failurePolicy="Fail"),
    _ADMISSION + "MatchResources": _defaults(matchPolicy="Equivalent", namespaceSelector={}, objectSelector={}),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference": _defaults(port=443),
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference": _defaults(port=443),
}
"""The rule of each type that has one."""
