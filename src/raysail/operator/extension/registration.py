"""APIServices: which groups the API server passes on, and to where. Pure objects; `webhooks.registration.put` writes them."""

from __future__ import annotations

import base64
from typing import Any, Final

from raysail.api.kueue.visibility import GROUP, VERSIONS
from raysail.api.resources import Resource
from raysail.operator.settings import ServiceReference

API_SERVICES: Final = Resource("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False)
SOCKET_ANNOTATION: Final = "raysail.io/extension-socket"
"""On an APIService of the embedded API: the Unix socket on which the group is answered."""
_PRIORITY: Final = 100


def api_services(service: ServiceReference, authority: bytes) -> list[dict[str, Any]]:
    """Every version of the group, answered behind that Service; without an authority the certificate is not checked."""
    trust: dict[str, Any] = {"caBundle": base64.b64encode(authority).decode()} if authority else {"insecureSkipTLSVerify": True}
    reference = {"namespace": service.namespace, "name": service.name, "port": service.port}
    return [_api_service(version, {"service": reference, **trust}) for version in VERSIONS]


def embedded_api_services(socket: str) -> list[dict[str, Any]]:
    """The same for the embedded API."""
    return [_api_service(version, {}, {SOCKET_ANNOTATION: socket}) for version in VERSIONS]


def external_service(service: ServiceReference, host: str) -> dict[str, Any]:
    """A Service that is only a name for a host outside of the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"type": "ExternalName", "externalName": host, "ports": [{"port": service.port}]},
    }


def _api_service(version: str, more: dict[str, Any], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"{version}.{GROUP}"}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "version": version,
            "groupPriorityMinimum": _PRIORITY,
            "versionPriority": _PRIORITY - VERSIONS.index(version),
            **more,
        },
    }
