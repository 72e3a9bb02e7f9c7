"""Kueue's Configuration file (config.kueue.x-k8s.io): defaults of v1beta1 and v1beta2, and the way from one version to the other.

Pure and in wire form; durations are Go texts such as `5m0s`, where `0s` counts as not given. Sources: apis/config/{v1beta1,v1beta2}/defaults.go and
v1beta1/configuration_conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Json = Mapping[str, Any]
Part = dict[str, Any]
GROUP: Final = "config.kueue.x-k8s.io"
V1BETA1: Final = f"{GROUP}/v1beta1"
V1BETA2: Final = f"{GROUP}/v1beta2"
NAMESPACE: Final = "kueue-system"
ALL_AT_ONCE_DISPATCHER: Final = "kueue.x-k8s.io/multikueue-dispatcher-all-at-once"
INCREMENTAL_DISPATCHER: Final = "kueue.x-k8s.io/multikueue-dispatcher-incremental"
FAIR_SHARING_STRATEGIES: Final = ("LessThanOrEqualToFinalShare", "LessThanInitialShare")

_UNSET: Final = (None, "", "0s", 0)
_PODS_READY_TIMEOUT: Final = {V1BETA1: "5m0s", V1BETA2: "30m0s"}
_REQUEUING: Final[Part] = {"timestamp": "Eviction", "backoffBaseSeconds": 60, "backoffMaxSeconds": 3600}
_PLAIN: Final[Mapping[str, Part]] = {
    "webhook": {"port": 9443, "certDir": "/tmp/k8s-webhook-server/serving-certs"},  # noqa: S108 - Kueue's default
    "metrics": {"bindAddress": ":8443"},
    "health": {"healthProbeBindAddress": ":8081"},
    "clientConnection": {"qps": 300, "burst": 500},
    "leaderElection": {
        "resourceName": "c1f6bfd2.kueue.x-k8s.io",
        "resourceLock": "leases",
        "leaseDuration": "15s",
        "renewDeadline": "10s",
        "retryPeriod": "2s",
    },
    "multiKueue": {
        "gcInterval": "1m0s",
        "origin": "multikueue",
        "workerLostTimeout": "15m0s",
        "dispatcherName": ALL_AT_ONCE_DISPATCHER,
    },
}
"""Sections that are always there, and what is in them where nothing else is said."""


def with_defaults(config: Json, api_version: str = V1BETA2) -> Part:
    """The configuration with everything that is not said filled in. The input is left as it is."""
    made = dict(config)
    made["namespace"] = made.get("namespace") or NAMESPACE
    for section, defaults in _PLAIN.items():
        made[section] = _filled(made.get(section), defaults, given=("gcInterval", "workerLostTimeout", "qps", "burst", "port"))
    if made["metrics"].get("localQueueMetrics") is None:
        made["metrics"]["localQueueMetrics"] = {"enable": True}
    if made["leaderElection"].get("leaderElect") is None:
        made["leaderElection"]["leaderElect"] = True
    made["internalCertManagement"] = _certificates(made.get("internalCertManagement"))
    made["waitForPodsReady"] = _pods_ready(made.get("waitForPodsReady"), api_version)
    integrations = dict(made.get("integrations") or {})
    integrations["frameworks"] = integrations.get("frameworks") or ["batch/job"]
    made["integrations"] = integrations
    if made.get("managedJobsNamespaceSelector") is None:
        expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", made["namespace"]]}
        made["managedJobsNamespaceSelector"] = {"matchExpressions": [expression]}
    if made.get("admissionFairSharing") is not None:
        made["admissionFairSharing"] = _filled(made["admissionFairSharing"], {"usageSamplingInterval": "5m0s"})
    resources = made.get("resources")
    if resources and resources.get("transformations"):
        filled = [_filled(transformation, {"strategy": "Retain"}) for transformation in resources["transformations"]]
        made["resources"] = {**resources, "transformations": filled}
    if api_version == V1BETA1:
        fair_sharing = made.get("fairSharing")
        if fair_sharing and fair_sharing.get("enable") and not fair_sharing.get("preemptionStrategies"):
            made["fairSharing"] = {**fair_sharing, "preemptionStrategies": list(FAIR_SHARING_STRATEGIES)}
    else:
        made["visibilityServer"] = _filled(made.get("visibilityServer"), {"bindPort": 8082}, given=("bindPort",))
        if made["multiKueue"]["dispatcherName"] == INCREMENTAL_DISPATCHER:
            stepping = _filled(made["multiKueue"].get("incrementalDispatcherConfig"), {"stepSize": 3}, given=("stepSize",))
            made["multiKueue"]["incrementalDispatcherConfig"] = stepping
    return made


def to_v1beta2(config: Json) -> Part:
    """A v1beta1 configuration in v1beta2; one in v1beta2 comes back as it is. What is only switched off in v1beta1 is absent in v1beta2."""
    made = dict(config)
    if made.get("apiVersion", V1BETA1) != V1BETA1:
        return made
    if "apiVersion" in made:
        made["apiVersion"] = V1BETA2
    made.pop("queueVisibility", None)
    if made.get("integrations") is not None:
        made["integrations"] = {key: value for key, value in made["integrations"].items() if key != "podOptions"}
    fair_sharing = dict(made.pop("fairSharing", None) or {})
    if fair_sharing.pop("enable", False):
        fair_sharing["preemptionStrategies"] = fair_sharing.get("preemptionStrategies") or list(FAIR_SHARING_STRATEGIES)
        made["fairSharing"] = fair_sharing
    pods_ready = dict(made.pop("waitForPodsReady", None) or {})
    if pods_ready.pop("enable", False):
        pods_ready["timeout"] = pods_ready.get("timeout") or _PODS_READY_TIMEOUT[V1BETA1]
        if pods_ready.get("blockAdmission") is None:
            pods_ready["blockAdmission"] = True
        made["waitForPodsReady"] = pods_ready
    return made


def to_v1beta1(config: Json) -> Part:
    """A v1beta2 configuration in v1beta1; one in v1beta1 comes back as it is. What only v1beta2 can say is lost."""
    made = dict(config)
    if made.get("apiVersion", V1BETA2) != V1BETA2:
        return made
    if "apiVersion" in made:
        made["apiVersion"] = V1BETA1
    made.pop("visibilityServer", None)
    if made.get("fairSharing") is not None:
        made["fairSharing"] = {"enable": True, **made["fairSharing"]}
    if made.get("waitForPodsReady") is not None:
        made["waitForPodsReady"] = {"enable": True, "blockAdmission": False, **made["waitForPodsReady"]}
    for section, lost in (("multiKueue", ("clusterProfile", "incrementalDispatcherConfig")), ("resources", ("quotaCheckStrategy",))):
        if made.get(section) is not None:
            made[section] = {key: value for key, value in made[section].items() if key not in lost}
    return made


def _filled(section: Json | None, defaults: Json, given: tuple[str, ...] = ()) -> Part:
    """The section with defaults for what is unset; members in `given` are pointers, where also zero counts as said."""
    made = dict(section or {})
    for name, value in defaults.items():
        unset = made.get(name) is None if name in given else made.get(name) in _UNSET
        if unset:
            made[name] = value
    return made


def _certificates(section: Json | None) -> Part:
    made = dict(section or {})
    if made.get("enable") is None:
        made["enable"] = True
    if made["enable"]:
        made.setdefault("webhookServiceName", "kueue-webhook-service")
        made.setdefault("webhookSecretName", "kueue-webhook-server-cert")
    return made


def _pods_ready(section: Json | None, api_version: str) -> Part:
    """In v1beta1 waiting must be switched on and then blocks admission; in v1beta2 it is on and does not."""
    made = dict(section or {})
    if api_version == V1BETA1 and not made.get("enable"):
        return made
    if made.get("timeout") is None or (api_version == V1BETA2 and made["timeout"] in _UNSET):
        made["timeout"] = _PODS_READY_TIMEOUT[api_version]
    if made.get("blockAdmission") is None:
        made["blockAdmission"] = api_version == V1BETA1
    if made.get("recoveryTimeout") is None:
        made["recoveryTimeout"] = made["timeout"]
    made["requeuingStrategy"] = _filled(made.get("requeuingStrategy"), _REQUEUING, given=("backoffBaseSeconds", "backoffMaxSeconds"))
    return made
