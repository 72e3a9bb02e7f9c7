"""Addresses of Services: cluster IPs and node ports, handed out from what no other Service has.

k8s.io/kubernetes pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from raysail.api.errors import Cause, StatusError, invalid
from raysail.apiserver.admission.chain import OfKinds, Operation
from raysail.apiserver.store import Store

NONE: Final = "None"
_WITH_NODE_PORTS: Final = ("NodePort", "LoadBalancer")


class ServiceAddresses(OfKinds):
    """Knows which addresses are taken by looking at the store; `cidr` may lie in 127.0.0.0/8."""

    kinds = frozenset({("", "Service")})

    def __init__(self, store: Store, cidr: str, node_ports: tuple[int, int]) -> None:
        self._store = store
        self._network = ipaddress.ip_network(cidr)
        self._node_ports = node_ports
        self._specs: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._last = int(self._network.network_address)

    def admit(self, operation: Operation) -> None:
        """Fills in addresses and ports, or takes them back where the type no longer has them. Raises StatusError (422, 500)."""
        if not operation.concerns("", "Service") or operation.object is None or operation.verb not in ("create", "update"):
            return
        spec = operation.object.setdefault("spec", {})
        old = ((operation.old or {}).get("spec")) or {}
        others = self._others(f"{operation.namespace}/{operation.name}")
        if spec.get("type") == "ExternalName":
            for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if spec.get(key) == old.get(key):
                    spec.pop(key, None)
            self._drop_node_ports(spec, old)
            return
        self._cluster_ip(operation, spec, old, others)
        if spec.get("type") in _WITH_NODE_PORTS and not (
            spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False
        ):
            self._allocate_node_ports(operation, spec, old, others)
        elif spec.get("type") not in _WITH_NODE_PORTS:
            self._drop_node_ports(spec, old)

    def _others(self, own: str) -> list[Mapping[str, Any]]:
        """The specs of all other Services. Each is decoded once a change, not once a write of any Service."""
        present: dict[str, tuple[int, Mapping[str, Any]]] = {}
        for record in self._store.latest_scan("services"):
            known = self._specs.get(record.key)
            if known is None or known[0] != record.revision:
                known = (record.revision, record.object().get("spec") or {})
            present[record.key] = known
        self._specs = present
        return [spec for key, (_, spec) in present.items() if key != own]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""

    def _cluster_ip(self, operation: Operation, spec: dict[str, Any], old: Mapping[str, Any], others: list[Mapping[str, Any]]) -> None:
        if operation.verb == "update" and not spec.get("clusterIP") and old.get("clusterIP"):
            spec["clusterIP"] = old["clusterIP"]
            spec.setdefault("clusterIPs", old.get("clusterIPs") or [old["clusterIP"]])
        given = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if given == NONE:
            spec["clusterIP"] = NONE
            spec["clusterIPs"] = [NONE]
        elif given:
            self._check(operation, given, old, others)
            spec["clusterIP"] = given
            if not spec.get("clusterIPs"):
                spec["clusterIPs"] = [given]
        else:
            address = self._free_address(others)
            spec["clusterIP"] = address
            spec["clusterIPs"] = [address]
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv6" if self._network.version == 6 else "IPv4"]
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if not spec.get("ipFamilyPolicy"):
            spec["ipFamilyPolicy"] = "SingleStack"

    def _check(self, operation: Operation, address: str, old: Mapping[str, Any], others: list[Mapping[str, Any]]) -> None:
        if address == old.get("clusterIP"):
            return
        try:
            inside = ipaddress.ip_address(address) in self._network
        except ValueError:
            return  # not an address at all: validation says so
        text = ""
        if not inside:
            text = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is {self._network}"
        elif any(other.get("clusterIP") == address for other in others):
            text = f"failed to allocate IP {address}: provided IP is already allocated"
        if text:
            name = ((operation.object or {}).get("metadata") or {}).get("name", "")
            cause = Cause("FieldValueInvalid", f'Invalid value: ["{address}"]: {text}', "spec.clusterIPs")
            raise invalid("", "Service", name, [cause])

    def _free_address(self, others: list[Mapping[str, Any]]) -> str:
        """The next address after the one given last: an address is not given again at once, since peers may still remember it."""
        taken = {other.get("clusterIP") for other in others}
        first, last = int(self._network.network_address) + 1, int(self._network.broadcast_address) - 1
        # The first address is the API's own Service.
        first += 1
        span = last - first + 1
        start = max(self._last + 1, first)
        for offset in range(span):
            candidate = first + (start - first + offset) % span
            text = str(ipaddress.ip_address(candidate))
            if text not in taken:
                self._last = candidate
                return text
        raise StatusError("InternalError", f"failed to allocate a serviceIP: range {self._network} is full", 500)

    def _allocate_node_ports(
        self, operation: Operation, spec: dict[str, Any], old: Mapping[str, Any], others: list[Mapping[str, Any]]
    ) -> None:
        taken = {port["nodePort"] for other in others for port in other.get("ports") or () if port.get("nodePort")}
        before = {
            (port.get("name", ""), port.get("port"), port.get("protocol", "TCP")): port.get("nodePort") for port in old.get("ports") or ()
        }
        kept = set(before.values()) - {None}
        for index, port in enumerate(spec.get("ports") or ()):
            known = before.get((port.get("name", ""), port.get("port"), port.get("protocol", "TCP")))
            if not port.get("nodePort"):
                port["nodePort"] = known or next(p for p in self._free_ports(taken | kept))
            elif port["nodePort"] in taken and port["nodePort"] not in kept:
                cause = Cause(
                    "FieldValueInvalid",
                    f"Invalid value: {port['nodePort']}: provided port is already allocated",
                    f"spec.ports[{index}].nodePort",
                )
                raise invalid("", "Service", ((operation.object or {}).get("metadata") or {}).get("name", ""), [cause])
            elif not self._node_ports[0] <= port["nodePort"] <= self._node_ports[1] and port["nodePort"] not in kept:
                low, high = self._node_ports
                text = (
                    f"Invalid value: {port['nodePort']}: provided port is not in the valid range. The range of valid ports is {low}-{high}"
                )
                cause = Cause("FieldValueInvalid", text, f"spec.ports[{index}].nodePort")
                raise invalid("", "Service", ((operation.object or {}).get("metadata") or {}).get("name", ""), [cause])
            taken.add(port["nodePort"])

    def _free_ports(self, taken: set[Any]) -> Iterator[int]:
        low, high = self._node_ports
        free = [port for port in range(low, high + 1) if port not in taken]
        if not free:
            raise StatusError("InternalError", f"failed to allocate a nodePort: range {low}-{high} is full", 500)
        yield from free

    @staticmethod
    def _drop_node_ports(spec: dict[str, Any], old: Mapping[str, Any]) -> None:
        """A type without node ports loses those it had; one that a client sets anew is for validation to refuse."""
        had = {port.get("nodePort") for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in had:
                port.pop("nodePort", None)
