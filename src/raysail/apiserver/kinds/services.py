"""Service (ValidateService*, pkg/registry/core/service/strategy.go).

Addresses and node ports are given out by admission, which can see all Services; here is only what follows from the object itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.api.go_text import quote
from raysail.apiserver.kinds.fields import (
    PROTOCOLS,
    Faults,
    JsonMap,
    check_choice,
    check_cidr,
    check_endpoint_ip,
    check_ip,
    check_label,
    check_labels,
    check_port,
    check_port_number,
    check_qualified_name,
    check_subdomain,
    ip_faults,
)
from raysail.apiserver.kinds.rules import Rules
from raysail.apiserver.strategy import JsonObject, Request

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_ONLY_LOAD_BALANCER: Final = "may only be used when `type` is 'LoadBalancer'"
_HINTS: Final = "service.kubernetes.io/topology-aware-hints"
_MODE: Final = "service.kubernetes.io/topology-mode"
_SOURCE_RANGES: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"


def is_headless(spec: Mapping[str, Any]) -> bool:
    """Whether it has no address of its own on purpose."""
    return bool(spec.get("clusterIP") == "None")


def _externally_accessible(spec: Mapping[str, Any]) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _needs_health_check(spec: Mapping[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _in_step(spec: JsonObject, was: Mapping[str, Any] | None) -> None:
    """`clusterIP` and the first of `clusterIPs` say the same; who changes one changes both."""
    single, plural = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if was is None:
        if single and not plural:
            spec["clusterIPs"] = [single]
        return
    old_single, old_plural = was.get("clusterIP") or "", was.get("clusterIPs") or []
    if old_single and not single and plural == old_plural:
        spec.pop("clusterIPs", None)
    elif old_single != single and plural == old_plural:
        spec["clusterIPs"] = [single]


def _create(obj: JsonObject, request: Request) -> None:
    _in_step(obj["spec"], None)


def _update(obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
    spec, was = obj["spec"], old.get("spec") or {}
    _in_step(spec, was)
    _drop_of_other_type(obj, was)
    _take_over_allocated(spec, was)


def _drop_of_other_type(obj: JsonObject, was: Mapping[str, Any]) -> None:
    """What was filled in for the old type and means nothing to the new one goes, if the client did not touch it."""
    spec = obj["spec"]

    def drop(*names: str) -> None:
        for name in names:
            if spec.get(name) == was.get(name):
                spec.pop(name, None)

    if was.get("type") != "ExternalName" and spec.get("type") == "ExternalName":
        if spec.get("clusterIP") == was.get("clusterIP") and spec.get("clusterIPs") == was.get("clusterIPs"):
            drop("clusterIP", "clusterIPs")
        drop("ipFamilies", "ipFamilyPolicy")
    ports, old_ports = spec.get("ports") or [], was.get("ports") or []
    with_node_ports = ("NodePort", "LoadBalancer")
    lost = was.get("type") in with_node_ports and spec.get("type") not in with_node_ports
    if lost and [port.get("nodePort") for port in ports] == [port.get("nodePort") for port in old_ports]:
        for port in ports:
            port.pop("nodePort", None)
    if _needs_health_check(was) and not _needs_health_check(spec):
        drop("healthCheckNodePort")
    if was.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if _externally_accessible(was) and not _externally_accessible(spec):
        drop("externalTrafficPolicy")
    if spec.get("type") != "LoadBalancer":
        obj["status"] = {**(obj.get("status") or {}), "loadBalancer": {}}


def _take_over_allocated(spec: JsonObject, was: Mapping[str, Any]) -> None:
    """Addresses and ports that were given out stay, where an update leaves them out."""
    if spec.get("type") != "ExternalName" and was.get("type") != "ExternalName":
        for name in ("clusterIP", "clusterIPs"):
            if not spec.get(name) and was.get(name):
                spec[name] = was[name]
        for name in ("ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and was.get(name):
                spec[name] = was[name]
    kinds = ("NodePort", "LoadBalancer")
    if spec.get("type") in kinds and was.get("type") in kinds:
        old_ports, ports = was.get("ports") or [], spec.get("ports") or []
        kept = {p.get("nodePort") for p in old_ports} & {p.get("nodePort") for p in ports} - {None}
        known = {port.get("name", ""): port.get("nodePort") for port in old_ports}
        for port in ports:
            value = known.get(port.get("name", ""))
            if not port.get("nodePort") and value and value not in kept:
                port["nodePort"] = value
    if _needs_health_check(spec) and _needs_health_check(was) and not spec.get("healthCheckNodePort") and was.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = was["healthCheckNodePort"]


def _check(obj: JsonMap, faults: Faults) -> None:
    spec, annotations = obj.get("spec") or {}, obj["metadata"].get("annotations") or {}
    kind, ports = spec.get("type", ""), spec.get("ports") or []
    if _MODE in annotations and _HINTS in annotations and annotations[_MODE] != annotations[_HINTS]:
        text = f"must match annotations[{_HINTS}] when both are specified"
        faults.append(invalid(f"metadata.annotations[{_MODE}]", annotations[_MODE], text))
    if not ports and not is_headless(spec) and kind != "ExternalName":
        faults.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        faults.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        _check_external_name(spec, faults)
    _check_ports(spec, ports, faults)
    check_labels(spec.get("selector"), "spec.selector", faults)
    _check_affinity(spec, faults)
    if kind != "ExternalName":
        _check_addresses(spec, faults)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        check_endpoint_ip(address, f"spec.externalIPs[{index}]", faults)
    check_choice(kind, _TYPES, "spec.type", faults)
    _check_load_balancer(spec, annotations, faults)
    _check_traffic(spec, faults)


def _check_external_name(spec: JsonMap, faults: Faults) -> None:
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            faults.append(forbidden(f"spec.{name}", "may not be set for ExternalName services"))
    host = (spec.get("externalName") or "").removesuffix(".")
    if host:
        check_subdomain(host, "spec.externalName", faults)
    else:
        faults.append(required("spec.externalName"))


def _check_ports(spec: JsonMap, ports: list[Any], faults: Faults) -> None:
    names: set[str] = set()
    used: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        at, name, protocol = f"spec.ports[{index}]", port.get("name", ""), port.get("protocol", "")
        if name:
            check_label(name, f"{at}.name", faults)
            if name in names:
                faults.append(duplicate(f"{at}.name", name))
            names.add(name)
        elif len(ports) > 1:
            faults.append(required(f"{at}.name"))
        check_port_number(port.get("port", 0), f"{at}.port", faults)
        check_choice(protocol, PROTOCOLS, f"{at}.protocol", faults)
        check_port(port.get("targetPort", 0), f"{at}.targetPort", faults)
        if port.get("appProtocol") is not None:
            check_qualified_name(port["appProtocol"], f"{at}.appProtocol", faults)
        node_port = port.get("nodePort")
        if node_port:
            if spec.get("type") == "ClusterIP":
                faults.append(forbidden(f"{at}.nodePort", "may not be used when `type` is 'ClusterIP'"))
            if (protocol, node_port) in node_ports:
                faults.append(duplicate(f"{at}.nodePort", node_port))
            node_ports.add((protocol, node_port))
        key = (protocol, port.get("port", 0))
        if key in used:
            faults.append(duplicate(at, {"protocol": protocol, "port": port.get("port", 0)}))
        used.add(key)


def _check_affinity(spec: JsonMap, faults: Faults) -> None:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    check_choice(affinity, ("ClientIP", "None"), "spec.sessionAffinity", faults)
    at = "spec.sessionAffinityConfig"
    if affinity == "None" and config is not None:
        faults.append(forbidden(at, "must not be set when session affinity is None"))
    if affinity != "ClientIP":
        return
    client = (config or {}).get("clientIP")
    if client is None:
        faults.append(required(f"{at}.clientIP", "when session affinity type is ClientIP"))
    elif client.get("timeoutSeconds") is None:
        faults.append(required(f"{at}.clientIP.timeoutSeconds", "when session affinity type is ClientIP"))
    elif not 0 < client["timeoutSeconds"] <= 86400:
        faults.append(invalid(f"{at}.clientIP.timeoutSeconds", client["timeoutSeconds"], "must be greater than 0 and less than 86400"))


def _check_addresses(spec: JsonMap, faults: Faults) -> None:
    single, plural = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    at = "spec.clusterIPs"
    if single:
        if not plural:
            faults.append(required(at))
        elif plural[0] != single:
            faults.append(invalid(at, plural, "first value must match `clusterIP`"))
    elif plural:
        faults.append(invalid(at, plural, "must be empty when `clusterIP` is not specified"))
    families, seen = spec.get("ipFamilies") or [], set()
    for index, family in enumerate(families):
        if family not in ("IPv4", "IPv6"):
            faults.append(not_supported(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6")))
        if family in seen:
            faults.append(duplicate(f"spec.ipFamilies[{index}]", family))
        seen.add(family)
    policy = spec.get("ipFamilyPolicy")
    policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
    if policy is not None and policy not in policies:
        faults.append(not_supported("spec.ipFamilyPolicy", policy, policies))
    broken = False
    for index, address in enumerate(plural):
        if index == 0 and address == "None":
            if len(plural) > 1:
                broken = True
                faults.append(invalid(at, plural, "'None' must be the first and only value"))
            continue
        broken = broken or bool(ip_faults(address))
        check_ip(address, f"{at}[{index}]", faults)
    if len(plural) > 2:
        faults.append(invalid(at, plural, "may only hold up to 2 values"))
    if broken or is_headless(spec):
        return
    if len(plural) > 1 and len({ipaddress.ip_address(address).version for address in plural}) == 1:
        faults.append(invalid(at, plural, "may specify no more than one IP for each IP family"))
    for index, (address, family) in enumerate(zip(plural, families, strict=False)):
        if f"IPv{ipaddress.ip_address(address).version}" != family:
            text = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            faults.append(invalid(f"{at}[{index}]", address, text))


def _check_load_balancer(spec: JsonMap, annotations: JsonMap, faults: Faults) -> None:
    balanced = spec.get("type") == "LoadBalancer"
    ranges = spec.get("loadBalancerSourceRanges") or []
    if ranges:
        if not balanced:
            faults.append(forbidden("spec.LoadBalancerSourceRanges", _ONLY_LOAD_BALANCER))
        for index, value in enumerate(ranges):
            check_cidr(value.strip(), f"spec.LoadBalancerSourceRanges[{index}]", faults)
    elif _SOURCE_RANGES in annotations:
        at = f"metadata.annotations[{_SOURCE_RANGES}]"
        if not balanced:
            faults.append(forbidden(at, _ONLY_LOAD_BALANCER))
        for value in annotations[_SOURCE_RANGES].strip().split(",") if annotations[_SOURCE_RANGES].strip() else ():
            check_cidr(value.strip(), at, faults)
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        faults.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER))
    name = spec.get("loadBalancerClass")
    if name is not None:
        if balanced:
            check_qualified_name(name, "spec.loadBalancerClass", faults)
        else:
            faults.append(forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER))


def _check_traffic(spec: JsonMap, faults: Faults) -> None:
    external, at = spec.get("externalTrafficPolicy"), "spec.externalTrafficPolicy"
    if _externally_accessible(spec):
        check_choice(external, ("Cluster", "Local"), at, faults)
    elif external:
        faults.append(invalid(at, external, "may only be set for externally-accessible services"))
    port = spec.get("healthCheckNodePort")
    if port and not _needs_health_check(spec):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        faults.append(invalid("spec.healthCheckNodePort", port, text))
    internal = spec.get("internalTrafficPolicy")
    if internal is not None or spec.get("type") in ("NodePort", "LoadBalancer", "ClusterIP"):
        check_choice(internal, ("Cluster", "Local"), "spec.internalTrafficPolicy", faults)
    distribution = spec.get("trafficDistribution")
    choices = ("PreferClose", "PreferSameZone", "PreferSameNode")
    if distribution is not None and distribution not in choices:
        faults.append(not_supported("spec.trafficDistribution", distribution, choices))


def _check_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" not in (spec.get("type"), was.get("type")):
        _check_same_addresses(spec, was, faults)
    if spec.get("type") == was.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") != was.get("loadBalancerClass"):
        faults.append(invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set"))
    if _needs_health_check(spec) and _needs_health_check(was) and spec.get("healthCheckNodePort") != was.get("healthCheckNodePort"):
        faults.append(forbidden("spec.healthCheckNodePort", "field is immutable"))


def _check_same_addresses(spec: JsonMap, was: JsonMap, faults: Faults) -> None:
    if not (is_headless(spec) and is_headless(was)):
        new, old = spec.get("clusterIPs") or [], was.get("clusterIPs") or []
        if len(new) == len(old):
            for index, (address, before) in enumerate(zip(new, old, strict=True)):
                if address != before:
                    faults.append(invalid(f"spec.clusterIPs[{index}]", new, "may not change once set"))
        else:
            if old and not new:
                faults.append(invalid("spec.clusterIPs[0]", new, "primary clusterIP can not be unset"))
            if old and new and old[0] != new[0]:
                faults.append(invalid("spec.clusterIPs[0]", new, "may not change once set"))
            if len(old) > len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
                text = "must be set to 'SingleStack' when releasing the secondary clusterIP"
                faults.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), text))
    if is_headless(spec) or is_headless(was):
        return
    families, before_families = spec.get("ipFamilies") or [], was.get("ipFamilies") or []
    if families and before_families and families[0] != before_families[0]:
        faults.append(invalid("spec.ipFamilies[0]", families, "may not change once set"))


def _check_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    at = "status.loadBalancer.ingress"
    if ingress and (obj.get("spec") or {}).get("type") != "LoadBalancer":
        faults.append(forbidden(at, 'may only be used when `spec.type` is "LoadBalancer"'))
    for index, entry in enumerate(ingress):
        if entry.get("ip"):
            check_ip(entry["ip"], f"{at}[{index}].ip", faults)
        if entry.get("hostname"):
            check_subdomain(entry["hostname"], f"{at}[{index}].hostname", faults)


def _warnings(obj: JsonMap) -> list[str]:
    spec, annotations = obj.get("spec") or {}, obj["metadata"].get("annotations") or {}
    found = []
    if _HINTS in annotations:
        found.append(f"annotation {_HINTS} is deprecated, please use {_MODE} instead")
    external = bool(spec.get("externalIPs"))
    if is_headless(spec):
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if external:
            found.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    elif external and spec.get("type") != "ExternalName":
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("type") == "ExternalName" and external:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.get("type") != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append(f"spec.trafficDistribution: {quote('PreferClose')} is deprecated; use {quote('PreferSameZone')}")
    return found


SERVICE: Final = Rules(
    has_status=True,
    create=_create,
    update=_update,
    check=_check,
    check_update=_check_update,
    check_status=_check_status,
    warnings=_warnings,
)
