"""Ingress, IngressClass, NetworkPolicy, Endpoints, EndpointSlice (pkg/apis/{networking,discovery,core}/validation)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required, too_long, too_many
from raysail.api.names import label_value_faults
from raysail.apiserver.kinds.fields import (
    PROTOCOLS,
    Faults,
    JsonMap,
    check_choice,
    check_cidr,
    check_endpoint_ip,
    check_immutable,
    check_ip,
    check_label,
    check_labels,
    check_port_number,
    check_qualified_name,
    check_selector,
    check_subdomain,
    each,
    ip_faults,
    port_name_faults,
)
from raysail.apiserver.kinds.rules import Rules, spec_differs
from raysail.apiserver.rest.names import subdomain_faults

_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS: Final = ("/..", "/.")
_WILDCARD: Final = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_WILDCARD_RULE: Final = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric"
    " characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is"
    " '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"


def _check_host(host: str, at: str, faults: Faults) -> None:
    if "*" in host:
        if not _WILDCARD.fullmatch(host):
            faults.append(invalid(at, host, _WILDCARD_RULE))
    else:
        each(faults, at, host, subdomain_faults(host))


def _check_ingress(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        faults.append(invalid("spec", rules or None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        _check_backend(backend, "spec.defaultBackend", faults)
    for index, rule in enumerate(rules):
        at, host = f"spec.rules[{index}]", rule.get("host", "")
        if host:
            if not ip_faults(host):
                faults.append(invalid(f"{at}.host", host, "must be a DNS name, not an IP address"))
            _check_host(host, f"{at}.host", faults)
        if rule.get("http") is not None:
            paths = rule["http"].get("paths") or []
            if not paths:
                faults.append(required(f"{at}.http.paths"))
            for place, path in enumerate(paths):
                _check_path(path, f"{at}.http.paths[{place}]", faults)
    for index, secured in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(secured.get("hosts") or ()):
            _check_host(host, f"spec.tls[{index}].hosts[{place}]", faults)
        if secured.get("secretName"):
            check_subdomain(secured["secretName"], f"spec.tls[{index}].secretName", faults)
    if spec.get("ingressClassName") is not None:
        check_subdomain(spec["ingressClassName"], "spec.ingressClassName", faults)


def _check_ingress_create(obj: JsonMap, faults: Faults) -> None:
    annotation = (obj["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
    name = (obj.get("spec") or {}).get("ingressClassName")
    if annotation is not None and name is not None and annotation != name:
        text = "must match `ingressClassName` when both are specified"
        faults.append(invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, text))


def _check_path(path: JsonMap, at: str, faults: Faults) -> None:
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        faults.append(required(f"{at}.pathType", "pathType must be specified"))
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            faults.append(invalid(f"{at}.path", text, "must be an absolute path"))
        faults.extend(invalid(f"{at}.path", text, f"must not contain '{part}'") for part in _BAD_SEQUENCES if part in text)
        faults.extend(invalid(f"{at}.path", text, f"cannot end with '{part}'") for part in _BAD_ENDINGS if text.endswith(part))
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            faults.append(invalid(f"{at}.path", text, "must be an absolute path"))
    else:
        faults.append(not_supported(f"{at}.pathType", kind, _PATH_TYPES))
    _check_backend(path.get("backend") or {}, f"{at}.backend", faults)


def _check_backend(backend: JsonMap, at: str, faults: Faults) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        faults.append(invalid(at, "", "cannot set both resource and service backends"))
    elif resource is not None:
        faults.extend(required(f"{at}.resource.{name}") for name in ("kind", "name") if not resource.get(name))
    elif service is not None:
        if not service.get("name"):
            faults.append(required(f"{at}.service.name"))
        else:
            check_label(service["name"], f"{at}.service.name", faults)
        port = service.get("port") or {}
        if port.get("name") and port.get("number"):
            faults.append(invalid(at, "", "cannot set both port name & port number"))
        elif port.get("name"):
            each(faults, f"{at}.service.port.name", port["name"], port_name_faults(port["name"]))
        elif port.get("number"):
            check_port_number(port["number"], f"{at}.service.port.number", faults)
        else:
            faults.append(required(at, "port name or number is required"))
    else:
        faults.append(invalid(at, "", "resource or service backend is required"))


def _check_ingress_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for index, entry in enumerate(((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()):
        at = f"status.loadBalancer.ingress[{index}]"
        if entry.get("ip"):
            check_ip(entry["ip"], f"{at}.ip", faults)
        if entry.get("hostname"):
            check_subdomain(entry["hostname"], f"{at}.hostname", faults)


def _ingress_warnings(obj: JsonMap) -> list[str]:
    if _CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
        return [f"annotation \"{_CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _check_ingress_class(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller) > 250:
        faults.append(too_long("spec.controller", 250))
    if not controller:
        faults.append(required("spec.controller"))
    else:
        domain, slash, path = controller.partition("/")
        if not slash or not path:
            faults.append(invalid("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        else:
            check_subdomain(domain, "spec.controller", faults)
    parameters = spec.get("parameters")
    if parameters is None:
        return
    at = "spec.parameters"
    faults.extend(required(f"{at}.{name}") for name in ("kind", "name") if not parameters.get(name))
    scope = parameters.get("scope")
    if scope not in ("Cluster", "Namespace"):
        faults.append(not_supported(f"{at}.scope", scope or "", ("Cluster", "Namespace")))
    elif scope == "Namespace" and not parameters.get("namespace"):
        faults.append(required(f"{at}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Cluster" and parameters.get("namespace") is not None:
        faults.append(forbidden(f"{at}.namespace", "`parameters.scope` is set to 'Cluster'"))


def _check_ingress_class_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    controller = [(o.get("spec") or {}).get("controller") for o in (obj, old)]
    check_immutable(controller[0], controller[1], "spec.controller", faults)


# NetworkPolicy.


def _check_network_policy(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    check_selector(spec.get("podSelector"), "spec.podSelector", faults)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            at = f"spec.{direction}[{index}]"
            for place, port in enumerate(rule.get("ports") or ()):
                _check_policy_port(port, f"{at}.ports[{place}]", faults)
            for place, peer in enumerate(rule.get(peers) or ()):
                _check_peer(peer, f"{at}.{peers}[{place}]", faults)
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        faults.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return
    for index, kind in enumerate(types):
        if kind not in ("Ingress", "Egress"):
            faults.append(not_supported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress")))


def _check_policy_port(rule: JsonMap, at: str, faults: Faults) -> None:
    port, end, protocol = rule.get("port"), rule.get("endPort"), rule.get("protocol")
    if protocol is not None and protocol not in PROTOCOLS:
        faults.append(not_supported(f"{at}.protocol", protocol, ("TCP", "UDP", "SCTP")))
    if isinstance(port, int):
        check_port_number(port, f"{at}.port", faults)
        if end is not None:
            if end < port:
                faults.append(invalid(f"{at}.endPort", port, "must be greater than or equal to `port`"))
            check_port_number(end, f"{at}.endPort", faults)
    elif port is not None:
        if end is not None:
            faults.append(invalid(f"{at}.endPort", end, "may not be specified when `port` is non-numeric"))
        each(faults, f"{at}.port", port, port_name_faults(port))
    elif end is not None:
        faults.append(invalid(f"{at}.endPort", end, "may not be specified when `port` is not specified"))


def _check_peer(peer: JsonMap, at: str, faults: Faults) -> None:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given:
        if name == "ipBlock":
            _check_block(peer[name], f"{at}.{name}", faults)
        else:
            check_selector(peer[name], f"{at}.{name}", faults)
    if not given:
        faults.append(required(at, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        faults.append(forbidden(at, "may not specify both ipBlock and another peer"))


def _check_block(block: JsonMap, at: str, faults: Faults) -> None:
    text = block.get("cidr", "")
    if not text:
        faults.append(required(f"{at}.cidr"))
        return
    if not check_cidr(text, f"{at}.cidr", faults):
        return
    network = ipaddress.ip_network(text, strict=False)
    for index, excepted in enumerate(block.get("except") or ()):
        here = f"{at}.except[{index}]"
        if not check_cidr(excepted, here, faults):
            continue
        inner = ipaddress.ip_network(excepted, strict=False)
        if inner.version != network.version or inner.network_address not in network or network.prefixlen >= inner.prefixlen:
            faults.append(invalid(here, excepted, "must be a strict subset of `cidr`"))


# Endpoints and EndpointSlices.


def _check_endpoints(obj: JsonMap, faults: Faults) -> None:
    for index, subset in enumerate(obj.get("subsets") or ()):
        at = f"subsets[{index}]"
        ready, waiting, ports = (subset.get(name) or [] for name in ("addresses", "notReadyAddresses", "ports"))
        if not ready and not waiting:
            faults.append(required(at, "must specify `addresses` or `notReadyAddresses`"))
        for name, addresses in (("addresses", ready), ("notReadyAddresses", waiting)):
            for place, address in enumerate(addresses):
                _check_address(address, f"{at}.{name}[{place}]", faults)
        for place, port in enumerate(ports):
            here = f"{at}.ports[{place}]"
            if port.get("name"):
                check_label(port["name"], f"{here}.name", faults)
            elif len(ports) > 1:
                faults.append(required(f"{here}.name"))
            check_port_number(port.get("port", 0), f"{here}.port", faults)
            check_choice(port.get("protocol"), PROTOCOLS, f"{here}.protocol", faults)
            if port.get("appProtocol") is not None:
                check_qualified_name(port["appProtocol"], f"{here}.appProtocol", faults)


def _check_address(address: JsonMap, at: str, faults: Faults) -> None:
    # Pods of this machine have addresses in 127.0.0.0/8, which Kubernetes refuses.
    check_endpoint_ip(address.get("ip", ""), f"{at}.ip", faults, loopback=True)
    if address.get("hostname"):
        check_label(address["hostname"], f"{at}.hostname", faults)
    if address.get("nodeName") is not None:
        check_subdomain(address["nodeName"], f"{at}.nodeName", faults)


def _check_slice(obj: JsonMap, faults: Faults) -> None:
    check_choice(obj.get("addressType"), ("FQDN", "IPv4", "IPv6"), "addressType", faults)
    ports = obj.get("ports") or []
    if len(ports) > 20000:
        faults.append(too_many("ports", len(ports), 20000))
        ports = []
    names: list[str] = []
    for index, port in enumerate(ports):
        at, name = f"ports[{index}]", port.get("name") or ""
        if name:
            check_label(name, f"{at}.name", faults)
        if name in names:
            faults.append(duplicate(f"{at}.name", name))
        names.append(name)
        check_choice(port.get("protocol"), PROTOCOLS, f"{at}.protocol", faults)
        if port.get("appProtocol") is not None:
            check_qualified_name(port["appProtocol"], f"{at}.appProtocol", faults)
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > 1000:
        faults.append(too_many("endpoints", len(endpoints), 1000))
        return
    for index, endpoint in enumerate(endpoints):
        _check_endpoint(endpoint, obj.get("addressType", ""), f"endpoints[{index}]", faults)


def _check_endpoint(endpoint: JsonMap, kind: str, at: str, faults: Faults) -> None:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        faults.append(required(f"{at}.addresses", "must contain at least 1 address"))
    elif len(addresses) > 100:
        faults.append(too_many(f"{at}.addresses", len(addresses), 100))
    for index, address in enumerate(addresses):
        here = f"{at}.addresses[{index}]"
        if kind in ("IPv4", "IPv6"):
            if not ip_faults(address) and f"IPv{ipaddress.ip_address(address).version}" != kind:
                faults.append(invalid(f"{at}.addresses", address, f"must be an {kind} address"))
            check_endpoint_ip(address, here, faults, loopback=True)
        elif kind == "FQDN":
            check_subdomain(address, here, faults)
            if "." not in address:
                faults.append(invalid(here, address, "should be a domain with at least two segments separated by dots"))
    if endpoint.get("nodeName") is not None:
        check_subdomain(endpoint["nodeName"], f"{at}.nodeName", faults)
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > 16:
        faults.append(too_many(f"{at}.deprecatedTopology", len(topology), 16))
    check_labels(topology, f"{at}.deprecatedTopology", faults)
    if endpoint.get("hostname") is not None:
        check_label(endpoint["hostname"], f"{at}.hostname", faults)
    _check_hints(endpoint.get("hints") or {}, f"{at}.hints", faults)


def _check_hints(hints: JsonMap, at: str, faults: Faults) -> None:
    for field in ("forZones", "forNodes"):
        entries = hints.get(field) or []
        if len(entries) > 8:
            faults.append(too_many(f"{at}.{field}", len(entries), 8))
            continue
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            here, name = f"{at}.{field}[{index}].name", entry.get("name", "")
            if name in seen:
                faults.append(duplicate(here, name))
            seen.add(name)
            each(faults, here, name, label_value_faults(name) if field == "forZones" else subdomain_faults(name))


def _check_slice_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable(obj.get("addressType"), old.get("addressType"), "addressType", faults)


def _slice_differs(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    names = ("addressType", "endpoints", "ports")
    labels = [o["metadata"].get("labels") or {} for o in (obj, old)]
    return any(obj.get(name) != old.get(name) for name in names) or labels[0] != labels[1]


INGRESS: Final = Rules(
    has_status=True,
    check=_check_ingress,
    check_create=_check_ingress_create,
    check_status=_check_ingress_status,
    changed=spec_differs,
    warnings=_ingress_warnings,
)
INGRESS_CLASS: Final = Rules(check=_check_ingress_class, check_update=_check_ingress_class_update, changed=spec_differs)
NETWORK_POLICY: Final = Rules(check=_check_network_policy, changed=spec_differs)
ENDPOINTS: Final = Rules(check=_check_endpoints)
ENDPOINT_SLICE: Final = Rules(check=_check_slice, check_update=_check_slice_update, changed=_slice_differs)
