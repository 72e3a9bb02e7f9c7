"""What one pod set asks of a topology: how many Pods, how near to each other, in which slices.

Source: Kueue pkg/cache/scheduler/tas_flavor_snapshot.go (findTopologyAssignment, buildSliceSizeAtLevel), pkg/util/tas/tas.go.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from raysail.queue.topology.assignment import PODS, TopologyAssignment
from raysail.queue.topology.hosts import HostRules
from raysail.queue.topology.tree import Tree

TopologyRequest = Mapping[str, Any]
"""spec.podSets[].topologyRequest in wire form."""

_EXPLICIT = (
    "required",
    "preferred",
    "unconstrained",
    "podSetSliceRequiredTopology",
    "podSetSliceSize",
)


class TopologyError(Exception):
    """The request cannot be met as it is written, whatever is free."""


def is_explicit(request: TopologyRequest | None) -> bool:
    """Whether the pod set asks for a topology itself (a queue with topology flavors only asks for it on its behalf)."""
    if request is None:
        return False
    return any(request.get(field) is not None for field in _EXPLICIT) or bool(request.get("podsetSliceRequiredTopologyConstraints"))


def slice_layers(request: TopologyRequest | None) -> list[tuple[str, int]]:
    """(node label, Pods) of the slices, the widest first; a size of 0 was not given."""
    if request is None:
        return []
    if layers := request.get("podsetSliceRequiredTopologyConstraints"):
        return [(layer.get("topology", ""), layer.get("size", 0)) for layer in layers]
    level = request.get("podSetSliceRequiredTopology")
    return [] if level is None else [(level, request.get("podSetSliceSize") or 0)]


def slice_size(request: TopologyRequest | None) -> int:
    """Pods in a slice; 1 where none are asked for. Raises TopologyError where slices have no size."""
    layers = slice_layers(request)
    if not layers:
        return 1
    if layers[0][1] <= 0:
        raise TopologyError("slice topology requested, but slice size not provided")
    return layers[0][1]


def is_required(request: TopologyRequest | None) -> bool:
    """Whether all Pods must be in one domain."""
    return request is not None and request.get("required") is not None


def only_slices(request: TopologyRequest | None) -> bool:
    """Whether nothing but slices is asked for: they may then be anywhere."""
    return request is not None and request.get("required") is None and request.get("preferred") is None and bool(slice_layers(request))


def level_label(tree: Tree, request: TopologyRequest | None) -> str | None:
    """Node label of the level that is asked for; None: none is."""
    if request is None:
        return None
    if request.get("required") is not None:
        return str(request["required"])
    if request.get("preferred") is not None:
        return str(request["preferred"])
    if only_slices(request):
        return tree.highest_level
    return tree.lowest_level if request.get("unconstrained") else None


def has_levels(tree: Tree, request: TopologyRequest | None) -> bool:
    """Whether the topology has all levels that the request names."""
    label = level_label(tree, request)
    return label in tree.levels and all(level in tree.levels for level, _ in slice_layers(request))


class PlacementRequest:
    """One pod set to be placed. `requests` is what one Pod asks for (cpu in milli, the rest in units), without itself as one of `pods`."""

    __slots__ = ("count", "fault", "flavor", "group", "implied", "name", "previous", "requests", "rules", "topology")

    def __init__(
        self,
        name: str,
        count: int,
        requests: Mapping[str, int],
        topology: TopologyRequest | None,
        rules: HostRules | None = None,
        *,
        flavor: str = "",
        previous: TopologyAssignment | None = None,
    ) -> None:
        self.name = name
        self.count = count
        self.requests = requests
        self.topology = topology
        self.rules = rules or HostRules()
        self.flavor = flavor
        self.implied = not is_explicit(topology)
        """The pod set says nothing; its queue has topology flavors only."""
        self.group = str((topology or {}).get("podSetGroupName") or "")
        self.previous = previous
        """Where the Pods of the slice are that this one replaces."""
        self.fault = ""
        """What is wrong with the request itself; then there is no place for it."""

    def changed(self, *, count: int | None = None, topology: TopologyRequest | None = None) -> PlacementRequest:
        """The same with another number of Pods or another topology request."""
        other = copy.copy(self)
        if count is not None:
            other.count = count
        if topology is not None:
            other.topology = topology
        return other

    def level(self, tree: Tree) -> str | None:
        """Node label of the level to look at first: the lowest where the request is implied."""
        label = level_label(tree, self.topology)
        return tree.lowest_level if label is None and self.implied else label

    @property
    def unconstrained(self) -> bool:
        """Whether the Pods may be anywhere."""
        return self.implied or bool((self.topology or {}).get("unconstrained")) or only_slices(self.topology)


class Needs:
    """A placement request resolved against a tree: levels as numbers. Equal `key`, equal counts."""

    __slots__ = (
        "count",
        "inner",
        "key",
        "layers",
        "leader",
        "leaders",
        "level",
        "requests",
        "required",
        "slice_level",
        "slice_size",
        "unconstrained",
    )

    def __init__(self, tree: Tree, workers: PlacementRequest, leader: PlacementRequest | None) -> None:
        """Raises TopologyError."""
        request = workers.topology
        self.count = workers.count
        self.leaders = 0 if leader is None else 1
        self.requests = _per_pod(workers.requests)
        self.leader = () if leader is None else _per_pod(leader.requests)
        self.slice_size = slice_size(request)
        self.required = is_required(request)
        self.unconstrained = workers.unconstrained
        label = workers.level(tree)
        if label is None:
            raise TopologyError("topology level not specified")
        self.level = tree.level_of(label)
        if self.level < 0:
            raise TopologyError(f"no requested topology level: {label}")
        layers = slice_layers(request)
        slice_label = layers[0][0] if layers else tree.lowest_level
        self.slice_level = tree.level_of(slice_label)
        if self.slice_level < 0:
            raise TopologyError(f"no requested topology level for slices: {slice_label}")
        if self.level > self.slice_level:
            raise TopologyError(f"podset slice topology {slice_label} is above the podset topology {label}")
        self.inner = self._inner(tree, layers)
        """Level to the size of the slices within slices there."""
        self.layers = layers if self.inner else []
        """All layers of slices, where there is more than one."""
        self.key = (
            self.requests,
            self.leader,
            self.leaders,
            self.slice_size,
            self.slice_level,
            tuple(self.inner.items()),
            workers.rules.key,
        )

    @property
    def slices(self) -> int:
        """How many slices are to be placed."""
        return self.count // self.slice_size

    def _inner(self, tree: Tree, layers: Sequence[tuple[str, int]]) -> dict[int, int]:
        """Levels between two layers deal out Pods in multiples of the lower layer's size too."""
        sizes: dict[int, int] = {}
        before, above = self.slice_size, self.slice_level
        for label, size in layers[1:]:
            level = tree.level_of(label)
            if level < 0:
                raise TopologyError(f"no requested topology level for additional slice layer: {label}")
            if level <= above:
                raise TopologyError(f"additional slice layer topology {label} must be at a lower level than {tree.levels[above]}")
            if size <= 0 or before % size:
                raise TopologyError(f"additional slice layer size {size} must evenly divide parent layer size {before}")
            for between in range(above + 1, level + 1):
                sizes[between] = size
            before, above = size, level
        return sizes


def _per_pod(requests: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """What one Pod takes, itself included, by resource in the order of names."""
    total = dict(requests)
    total[PODS] = total.get(PODS, 0) + 1
    return tuple(sorted(total.items()))
