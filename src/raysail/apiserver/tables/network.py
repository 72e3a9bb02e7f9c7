"""Columns of Services and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from raysail.apiserver.tables.columns import AGE, NAME, NONE, Column, Columns, dig, field_, map_text, selector_text

Obj = Mapping[str, Any]
_SHOWN = 3


def _cluster_ip(service: Obj, _: datetime) -> str:
    addresses = service["spec"].get("clusterIPs") or ()
    return addresses[0] if addresses else NONE


def _external_ip(service: Obj, _: datetime) -> str:
    spec = service["spec"]
    external = ",".join(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return external or NONE
        case "LoadBalancer":
            balanced = ",".join(
                sorted({i.get("ip") or i.get("hostname", "") for i in dig(service, ["status", "loadBalancer", "ingress"], [])})
            )
            return ",".join(part for part in (balanced, external) if part) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def _service_ports(service: Obj, _: datetime) -> str:
    texts = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}" if p.get("nodePort") else f"{p['port']}/{p['protocol']}"
        for p in service["spec"].get("ports") or ()
    ]
    return ",".join(texts) or NONE


def _hosts(ingress: Obj, _: datetime) -> str:
    rules = ingress["spec"].get("rules") or ()
    hosts = [rule["host"] for rule in rules[:_SHOWN] if rule.get("host")]
    if not hosts:
        return "*"
    return ",".join(hosts) + (f" + {len(rules) - _SHOWN} more..." if len(rules) > _SHOWN else "")


def _ingress_address(ingress: Obj, _: datetime) -> str:
    return ",".join(sorted({i.get("ip") or i.get("hostname", "") for i in dig(ingress, ["status", "loadBalancer", "ingress"], [])}))


def _class_parameters(obj: Obj, _: datetime) -> str:
    parameters = obj["spec"].get("parameters")
    if not parameters:
        return NONE
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") is not None else ""
    return f"{parameters['kind']}{group}/{parameters['name']}"


def _subset_addresses(endpoints: Obj, _: datetime) -> str:
    found: list[str] = []
    for subset in endpoints.get("subsets") or ():
        addresses = [a["ip"] for a in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        found += [f"{ip}:{port['port']}" for port in ports for ip in addresses] if ports else addresses
    return _abridged(found)


def _abridged(found: list[str]) -> str:
    if not found:
        return NONE
    return ",".join(found[:_SHOWN]) + (f" + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else "")


def _slice_ports(obj: Obj, _: datetime) -> str:
    ports = obj.get("ports") or ()
    if not ports:
        return "<unset>"
    found = [str(p["port"]) if p.get("port") is not None else p.get("name") or "*" for p in ports]
    return ",".join(found[:_SHOWN]) + (f" + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else "")


def _slice_endpoints(obj: Obj, _: datetime) -> str:
    endpoints = obj.get("endpoints") or ()
    if not endpoints:
        return "<unset>"
    return _abridged([address for e in endpoints for address in e.get("addresses") or ()])


def _default_name(annotation: str) -> Column:
    def name(obj: Obj, _: datetime) -> str:
        marked = (obj["metadata"].get("annotations") or {}).get(annotation) == "true"
        return f"{obj['metadata']['name']} (default)" if marked else str(obj["metadata"]["name"])

    return Column("Name", "meta.v1.ObjectMeta.name", name, format="name")


SERVICES = Columns(
    (
        NAME,
        Column("Type", "core.v1.ServiceSpec.type", field_("spec.type")),
        Column("Cluster-IP", "core.v1.ServiceSpec.clusterIP", _cluster_ip),
        Column("External-IP", "core.v1.ServiceSpec.externalIPs", _external_ip),
        Column("Port(s)", "core.v1.ServiceSpec.ports", _service_ports),
        AGE,
        Column("Selector", "core.v1.ServiceSpec.selector", lambda obj, _: map_text(obj["spec"].get("selector")), wide=True),
    )
)
ENDPOINTS = Columns((NAME, Column("Endpoints", "core.v1.Endpoints.subsets", _subset_addresses), AGE))
ENDPOINT_SLICES = Columns(
    (
        NAME,
        Column("AddressType", "discovery.v1.EndpointSlice.addressType", field_("addressType")),
        Column("Ports", "discovery.v1.EndpointSlice.ports", _slice_ports),
        Column("Endpoints", "discovery.v1.EndpointSlice.endpoints", _slice_endpoints),
        AGE,
    )
)
INGRESSES = Columns(
    (
        NAME,
        Column(
            "Class",
            "The name of the IngressClass resource that should be used for additional configuration",
            field_("spec.ingressClassName", NONE),
        ),
        Column("Hosts", "Hosts that incoming requests are matched against before the ingress rule", _hosts),
        Column("Address", "Address is a list containing ingress points for the load-balancer", _ingress_address),
        Column("Ports", "Ports of TLS configurations that open", lambda obj, _: "80, 443" if obj["spec"].get("tls") else "80"),
        AGE,
    )
)
INGRESS_CLASSES = Columns(
    (
        _default_name("ingressclass.kubernetes.io/is-default-class"),
        Column("Controller", "Controller that is responsible for handling this class", field_("spec.controller")),
        Column("Parameters", "A reference to a resource with additional parameters", _class_parameters),
        AGE,
    )
)
NETWORK_POLICIES = Columns(
    (
        NAME,
        Column(
            "Pod-Selector",
            "networking.v1.NetworkPolicySpec.podSelector",
            lambda obj, _: selector_text(obj["spec"].get("podSelector") or {}),
        ),
        AGE,
    )
)
STORAGE_CLASSES = Columns(
    (
        _default_name("storageclass.kubernetes.io/is-default-class"),
        Column("Provisioner", "storage.v1.StorageClass.provisioner", field_("provisioner")),
        Column("ReclaimPolicy", "storage.v1.StorageClass.reclaimPolicy", field_("reclaimPolicy", "Delete")),
        Column("VolumeBindingMode", "storage.v1.StorageClass.volumeBindingMode", field_("volumeBindingMode", "Immediate")),
        Column("AllowVolumeExpansion", "storage.v1.StorageClass.allowVolumeExpansion", field_("allowVolumeExpansion", False)),
        AGE,
    )
)
