"""From a Service and its Pods to EndpointSlices and Endpoints, in wire form.

Rules: k8s.io/endpointslice (reconciler.go, utils.go) and pkg/controller/endpoint. Slices get names that follow from their content's place, so that
writing them twice is harmless. Loopback addresses are allowed, since Pods on one machine have no others (a difference on purpose).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from raysail.api import conditions
from raysail.api.core import Pod, Service
from raysail.api.core.service import ServicePort
from raysail.api.discovery import MANAGED_BY_LABEL, SERVICE_NAME_LABEL
from raysail.api.resources import ENDPOINT_SLICES, ENDPOINTS

MANAGER: Final = "endpointslice-controller.k8s.io"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
ENDPOINTS_MANAGED_BY_LABEL: Final = "endpoints.kubernetes.io/managed-by"
ENDPOINTS_MANAGER: Final = "endpoint-controller"
MAX_ENDPOINTS: Final = 100

JsonObject = dict[str, Any]
Ports = tuple[tuple[str, int, str, str], ...]
"""(name, number, protocol, application protocol) of each port that a Pod has of a Service."""


def has_endpoints(service: Service) -> bool:
    """Whether the addresses are ours to keep."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def belongs(pod: Pod) -> bool:
    """Whether the Pod has an address to offer at all, be it ready or not."""
    return bool(_address(pod)) and bool(pod.spec.node_name) and pod.status.phase not in ("Succeeded", "Failed")


def endpoint_slices(service: Service, pods: Iterable[Pod]) -> list[JsonObject]:
    """All slices of the Service. One without endpoints stands for "nobody"."""
    groups: dict[Ports, list[JsonObject]] = {}
    for pod in sorted(pods, key=lambda p: p.metadata.name):
        ports = pod_ports(service, pod)
        if belongs(pod) and (ports or not service.spec.ports):
            groups.setdefault(ports, []).append(_endpoint(service, pod))
    slices = [
        _slice(service, ports, listed[start : start + MAX_ENDPOINTS], start)
        for ports, listed in groups.items()
        for start in range(0, len(listed), MAX_ENDPOINTS)
    ]
    return slices or [_slice(service, (), [], 0)]


def endpoints(service: Service, pods: Iterable[Pod]) -> JsonObject:
    """The older form: subsets of addresses that share their ports."""
    subsets: dict[Ports, tuple[list[JsonObject], list[JsonObject]]] = {}
    for pod in sorted(pods, key=lambda p: p.metadata.name):
        ports = pod_ports(service, pod)
        if not belongs(pod) or (service.spec.ports and not ports):
            continue
        terminating = pod.metadata.deletion_timestamp is not None
        if terminating and not service.spec.publish_not_ready_addresses:
            continue
        ready, not_ready = subsets.setdefault(ports, ([], []))
        (ready if service.spec.publish_not_ready_addresses or _is_ready(pod) else not_ready).append(_old_address(service, pod))
    wire: JsonObject = {
        "apiVersion": ENDPOINTS.api_version,
        "kind": ENDPOINTS.kind,
        "metadata": {
            "name": service.metadata.name,
            "namespace": service.metadata.namespace,
            "labels": {**_labels(service), ENDPOINTS_MANAGED_BY_LABEL: ENDPOINTS_MANAGER},
        },
    }
    if subsets:
        wire["subsets"] = [_subset(ports, ready, not_ready) for ports, (ready, not_ready) in sorted(subsets.items())]
    return wire


def pod_ports(service: Service, pod: Pod) -> Ports:
    """Where the Pod takes each of the Service's ports; ports that it does not name are left out."""
    found = []
    for port in service.spec.ports or ():
        number = target_port(port, pod)
        if number:
            found.append((port.name, number, port.protocol or "TCP", port.app_protocol or ""))
    return tuple(found)


def target_port(port: ServicePort, pod: Pod) -> int:
    """The number behind a Service's port in this Pod, 0 when it has no container port of that name."""
    wanted = port.target_port
    if isinstance(wanted, int) and wanted:
        return wanted
    if not isinstance(wanted, str) or not wanted:
        return port.port
    if wanted.isdigit():
        return int(wanted)
    sidecars = [c for c in pod.spec.init_containers or () if c.restart_policy == "Always"]
    for container in (*pod.spec.containers, *sidecars):
        for offered in container.ports or ():
            if offered.name == wanted and (offered.protocol or "TCP") == (port.protocol or "TCP"):
                return offered.container_port
    return 0


def _endpoint(service: Service, pod: Pod) -> JsonObject:
    serving, terminating = _is_ready(pod), pod.metadata.deletion_timestamp is not None
    wire: JsonObject = {
        "addresses": [_address(pod)],
        "conditions": {
            "ready": service.spec.publish_not_ready_addresses or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": pod.spec.node_name,
        "targetRef": _target(pod),
    }
    if _has_own_name(service, pod):
        wire["hostname"] = pod.spec.hostname
    return wire


def _slice(service: Service, ports: Ports, listed: Sequence[JsonObject], start: int) -> JsonObject:
    place = hashlib.sha256(json.dumps([service.metadata.uid, ports, start]).encode()).hexdigest()[:8]
    wire_ports = [
        {"name": name, "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
        for name, number, protocol, app in ports
    ]
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {
            "name": f"{service.metadata.name[:240]}-{place}",
            "namespace": service.metadata.namespace,
            "labels": {**_labels(service), SERVICE_NAME_LABEL: service.metadata.name, MANAGED_BY_LABEL: MANAGER},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": service.metadata.name,
                    "uid": service.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv6" if listed and ":" in listed[0]["addresses"][0] else "IPv4",
        "endpoints": list(listed),
        "ports": wire_ports,
    }


def _subset(ports: Ports, ready: list[JsonObject], not_ready: list[JsonObject]) -> JsonObject:
    subset: JsonObject = {}
    if ready:
        subset["addresses"] = ready
    if not_ready:
        subset["notReadyAddresses"] = not_ready
    if ports:
        subset["ports"] = [
            {**({"name": name} if name else {}), "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
            for name, number, protocol, app in ports
        ]
    return subset


def _old_address(service: Service, pod: Pod) -> JsonObject:
    wire: JsonObject = {"ip": _address(pod), "nodeName": pod.spec.node_name, "targetRef": _target(pod)}
    if _has_own_name(service, pod):
        wire["hostname"] = pod.spec.hostname
    return wire


def _labels(service: Service) -> dict[str, str]:
    labels = dict(service.metadata.labels or {})
    labels.pop(HEADLESS_LABEL, None)
    if service.spec.headless:
        labels[HEADLESS_LABEL] = ""
    return labels


def _target(pod: Pod) -> JsonObject:
    meta = pod.metadata
    return {"kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid}


def _address(pod: Pod) -> str:
    return pod.status.pod_ip or next((entry.ip for entry in pod.status.pod_ips or ()), "")


def _is_ready(pod: Pod) -> bool:
    return conditions.is_true(pod.status.conditions, "Ready")


def _has_own_name(service: Service, pod: Pod) -> bool:
    return bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
