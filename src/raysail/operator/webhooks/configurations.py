"""What is registered at the API server so that it asks us: webhook configurations, and the conversion of the CRDs. Pure.

Names, kinds and operations are those of Kueue (config/components/webhook/manifests.yaml) and KubeRay: a refusal carries the webhook's name.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.crds import KUEUE_KINDS
from raysail.api.kueue.admission import AdmissionSettings
from raysail.api.kueue.admission.jobkinds import JOB_KINDS
from raysail.api.kueue.admission.serving import SERVING_KINDS
from raysail.api.kueue.names import GROUP
from raysail.api.ray.admission import WEBHOOK_KINDS
from raysail.api.resources import RAY_CLUSTERS, RAY_JOBS, RAY_SERVICES
from raysail.operator.settings import ServiceReference

MUTATE: Final = "/mutate"
VALIDATE: Final = "/validate"
VALIDATE_RAY: Final = "/validate-ray"
CONVERT: Final = "/convert"
NAME: Final = "raysail"
"""Names of the configurations begin with it."""

_VERSION: Final = "v1beta2"
_MUTATED: Final = ("clusterqueues", "resourceflavors", "workloads")
_VALIDATED: Final = ("clusterqueues", "cohorts", "resourceflavors", "workloads")
_SYSTEM_NAMESPACES: Final = ("kube-system", "kueue-system")
_RAY: Final = {resource.kind: resource for resource in (RAY_CLUSTERS, RAY_JOBS, RAY_SERVICES)}
CONVERTED: Final = frozenset(kind.crd_name for kind in KUEUE_KINDS if len(kind.versions) > 1)
"""CRDs whose versions differ and are turned into each other by us."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the API server reaches us: a base URL or a Service; and the authority (PEM) of our certificate, empty where others put it in."""

    url: str = ""
    service: ServiceReference | None = None
    authority: bytes = b""

    def client_config(self, path: str) -> dict[str, Any]:
        """As it stands in a webhook or a CRD."""
        made: dict[str, Any] = {}
        if self.service is not None:
            made["service"] = {"namespace": self.service.namespace, "name": self.service.name, "port": self.service.port, "path": path}
        else:
            made["url"] = self.url + path
        if self.authority:
            made["caBundle"] = base64.b64encode(self.authority).decode()
        return made


def mutating(endpoint: Endpoint, settings: AdmissionSettings) -> dict[str, Any]:
    """The MutatingWebhookConfiguration of the queue."""
    hooks = [_hook(f"m{plural[:-1]}.kb.io", endpoint, MUTATE, _rule(GROUP, _VERSION, ["CREATE"], plural)) for plural in _MUTATED]
    for kind in JOB_KINDS:
        if kind.framework in settings.frameworks:
            operations = ["CREATE", "UPDATE"] if kind in SERVING_KINDS else ["CREATE"]
            rule = _rule(kind.resource.group, kind.resource.version, operations, kind.resource.plural)
            hooks.append(_hook(f"m{kind.name}.kb.io", endpoint, MUTATE, rule, system=False))
    return _configuration("MutatingWebhookConfiguration", f"{NAME}-mutating-webhook-configuration", hooks)


def validating(endpoint: Endpoint, settings: AdmissionSettings) -> dict[str, Any]:
    """The ValidatingWebhookConfiguration of the queue."""
    both, hooks = ["CREATE", "UPDATE"], []
    for plural in _VALIDATED:
        resources = (plural, f"{plural}/status") if plural == "workloads" else (plural,)
        hooks.append(_hook(f"v{plural[:-1]}.kb.io", endpoint, VALIDATE, _rule(GROUP, _VERSION, both, *resources)))
    for kind in JOB_KINDS:
        if kind.framework in settings.frameworks:
            rule = _rule(kind.resource.group, kind.resource.version, both, kind.resource.plural)
            hooks.append(_hook(f"v{kind.name}.kb.io", endpoint, VALIDATE, rule, system=False))
    return _configuration("ValidatingWebhookConfiguration", f"{NAME}-validating-webhook-configuration", hooks)


def validating_ray(endpoint: Endpoint) -> dict[str, Any]:
    """The ValidatingWebhookConfiguration of KubeRay's operator. One of its own: the queue's webhooks have the same names."""
    hooks = []
    for name in WEBHOOK_KINDS:
        rule = _rule(_RAY[name].group, _RAY[name].version, ["CREATE", "UPDATE"], _RAY[name].plural)
        hooks.append(_hook(f"v{name.lower()}.kb.io", endpoint, VALIDATE_RAY, rule))
    return _configuration("ValidatingWebhookConfiguration", f"{NAME}-ray-validating-webhook-configuration", hooks)


def conversion(endpoint: Endpoint) -> dict[str, Any]:
    """spec.conversion of a CRD whose versions we turn into each other."""
    return {
        "strategy": "Webhook",
        "webhook": {"clientConfig": endpoint.client_config(CONVERT), "conversionReviewVersions": ["v1"]},
    }


def _rule(group: str, version: str, operations: list[str], *resources: str) -> dict[str, Any]:
    return {"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": list(resources), "scope": "*"}


def _hook(name: str, endpoint: Endpoint, path: str, rule: Mapping[str, Any], *, system: bool = True) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "clientConfig": endpoint.client_config(path),
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "timeoutSeconds": 10,
    }
    if not system:
        # A cluster whose own Pods needed us to start could not start us.
        expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(_SYSTEM_NAMESPACES)}
        made["namespaceSelector"] = {"matchExpressions": [expression]}
    return made


def _configuration(kind: str, name: str, hooks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": NAME}},
        "webhooks": hooks,
    }
