"""The nodes and the Pods beside topology assignments: what flavors' trees are built from, and what of their capacity others use.

Nodes that are not ready or cordoned are none. Source: Kueue pkg/cache/scheduler/tas_nodes_cache.go, tas_non_tas_pod_cache.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from raysail.api.core.node import NODE_READY, Node
from raysail.api.kueue import names
from raysail.queue.model.requests import pod_requests, quantities, to_amount
from raysail.queue.topology.assignment import PODS
from raysail.queue.topology.tree import Host


def host_of(node: Node) -> Host | None:
    """The node as placement sees it; None where nothing may be placed there."""
    ready = any(each.type == NODE_READY and each.status == "True" for each in node.status.conditions or ())
    if node.spec.unschedulable or not ready:
        return None
    allocatable = {name: to_amount(name, nanos) for name, nanos in quantities(node.status.allocatable).items()}
    return Host(node.metadata.name, node.metadata.labels or {}, msgspec.to_builtins(node.spec.taints or []), allocatable)


class Nodes:
    """Nodes that Pods can be placed on. `generation` goes up whenever something changes that placement looks at."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.generation = 0

    def set(self, node: Node) -> bool:
        """Takes over a node; whether anything changed for placement."""
        host = host_of(node)
        if host is None:
            return self.drop(node.metadata.name)
        if self.hosts.get(host.name) == host:
            return False
        self.hosts[host.name] = host
        self.generation += 1
        return True

    def drop(self, name: str) -> bool:
        """The node is gone, not ready or cordoned; whether that changed anything."""
        if self.hosts.pop(name, None) is None:
            return False
        self.generation += 1
        return True

    def of_flavor(self, labels: Mapping[str, str], levels: Sequence[str]) -> list[Host]:
        """The nodes with these labels and a value on every level."""
        return [host for host in self.hosts.values() if host.belongs(labels, levels)]


_PLACED: Final = (
    names.POD_SET_PREFERRED_TOPOLOGY_ANNOTATION,
    names.POD_SET_REQUIRED_TOPOLOGY_ANNOTATION,
    names.POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION,
    names.POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION,
)


def asks_for_topology(annotations: Mapping[str, str] | None) -> bool:
    """Whether a Pod (or template) with these annotations asks for a topology itself."""
    return bool(annotations) and any(key in (annotations or {}) for key in _PLACED)


def is_placed(annotations: Mapping[str, str] | None) -> bool:
    """Whether a Pod with these annotations is placed by topology: by its own wish, or by that of its queue."""
    return asks_for_topology(annotations) or names.POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION in (annotations or {})


def pod_amounts(spec: Mapping[str, Any]) -> dict[str, int]:
    """What one Pod takes on its node, itself included."""
    amounts = {name: to_amount(name, nanos) for name, nanos in pod_requests(spec).items()}
    amounts[PODS] = amounts.get(PODS, 0) + 1
    return amounts


class OtherPods:
    """What Pods that no topology assignment placed use, node by node."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[str, dict[str, int]]] = {}
        self.by_node: dict[str, dict[str, int]] = {}

    def set(self, key: str, node: str, amounts: dict[str, int]) -> Iterable[tuple[str, dict[str, int], int]]:
        """That Pod runs there and takes this; yields (node, amounts, 1 or -1) of what changed."""
        if self._pods.get(key) == (node, amounts):
            return ()
        changes = [*self.drop(key), (node, amounts, 1)]
        self._pods[key] = (node, amounts)
        self._count(node, amounts, 1)
        return changes

    def drop(self, key: str) -> Iterable[tuple[str, dict[str, int], int]]:
        """That Pod ended or is gone."""
        known = self._pods.pop(key, None)
        if known is None:
            return ()
        self._count(*known, -1)
        return ((*known, -1),)

    def _count(self, node: str, amounts: Mapping[str, int], sign: int) -> None:
        total = self.by_node.setdefault(node, {})
        for resource, amount in amounts.items():
            total[resource] = total.get(resource, 0) + sign * amount
        if total.get(PODS, 0) <= 0:
            del self.by_node[node]


def placement_changed(old: Node, new: Node) -> bool:
    """Whether a node's change can change what is placed where (or, by an annotation, what somebody tells with it): then what waits is woken."""
    return (
        host_of(old) != host_of(new)
        or old.spec != new.spec
        or (old.metadata.labels or {}) != (new.metadata.labels or {})
        or (old.metadata.annotations or {}) != (new.metadata.annotations or {})
        or quantities(old.status.allocatable) != quantities(new.status.allocatable)
        or _statuses(old) != _statuses(new)
    )


def _statuses(node: Node) -> dict[str, str]:
    """Conditions without their heartbeats."""
    return {each.type: each.status for each in node.status.conditions or ()}
