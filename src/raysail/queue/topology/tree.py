"""The domains that a flavor's nodes form: a tree by the levels of its Topology, from the widest down to the leaves.

A tree is built once for a set of nodes and never changed; whatever varies while Pods are placed lives in lists beside it that are indexed by a
domain's number. Where the lowest level is the host, a leaf is one node and known by its host name alone.
Source of the rules: Kueue pkg/cache/scheduler/tas_topology_tree.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raysail.api.core.node import HOSTNAME_LABEL

SEPARATOR = ","


class Host:
    """A node as placement sees it. Amounts: cpu in milli, the rest in units; never changed once built."""

    __slots__ = ("allocatable", "labels", "name", "taints")

    def __init__(
        self, name: str, labels: Mapping[str, str], taints: Sequence[Mapping[str, Any]] = (), allocatable: Mapping[str, int] | None = None
    ) -> None:
        self.name = name
        self.labels = labels
        self.taints = tuple(taints)
        self.allocatable: Mapping[str, int] = allocatable or {}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Host)
            and self.name == other.name
            and self.labels == other.labels
            and self.taints == other.taints
            and self.allocatable == other.allocatable
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def belongs(self, node_labels: Mapping[str, str], levels: Iterable[str]) -> bool:
        """Whether it is one of the nodes of a flavor with these labels, and has a value on every level."""
        return all(self.labels.get(key) == value for key, value in node_labels.items()) and all(level in self.labels for level in levels)


def domain_id(values: Iterable[str]) -> str:
    """The name of a domain: its values from the widest level down."""
    return SEPARATOR.join(values)


def lies_in(domain: str, wider: str) -> bool:
    """Whether the domain is the other one or lies in it; everything lies in the domain without a name."""
    return not wider or domain == wider or domain.startswith(wider + SEPARATOR)


class Tree:
    """Domains by number. Leaves come first (0 .. leaf_count - 1); `by_level[0]` are the widest."""

    __slots__ = (
        "by_level",
        "capacity",
        "children",
        "hosts",
        "ids",
        "inner",
        "leaf_count",
        "leaf_of",
        "leaf_of_host",
        "levels",
        "lowest_is_host",
        "parent",
        "rank",
        "values",
    )

    def __init__(self, levels: Sequence[str], hosts: Iterable[Host]) -> None:
        self.levels = tuple(levels)
        self.lowest_is_host = bool(levels) and levels[-1] == HOSTNAME_LABEL
        self.leaf_of: dict[str, int] = {}
        """Name of each leaf to its number: the host name, or all its values."""
        self.leaf_of_host: dict[str, int] = {}
        self.hosts: list[Host | None] = []
        """The node of each leaf; None where leaves are wider than nodes."""
        self.capacity: list[dict[str, int]] = []
        """What the nodes of each leaf can allocate together."""
        self.values: list[tuple[str, ...]] = []
        for host in sorted(hosts, key=lambda each: each.name):
            self._add(host)
        self.leaf_count = len(self.values)
        self.ids = list(self.leaf_of)
        self.parent = [-1] * self.leaf_count
        self.children: list[list[int]] = [[] for _ in self.values]
        self.by_level: list[list[int]] = [[] for _ in levels]
        if levels:
            self.by_level[-1] = list(range(self.leaf_count))
        self._grow()
        self.inner = [domain for level in range(len(levels) - 2, -1, -1) for domain in self.by_level[level]]
        """All that are no leaves, each after its children."""
        self.rank = [0] * len(self.values)
        """Place of each domain in the order of values."""
        for place, domain in enumerate(sorted(range(len(self.values)), key=self.values.__getitem__)):
            self.rank[domain] = place

    def _add(self, host: Host) -> None:
        values = tuple(host.labels.get(level, "") for level in self.levels)
        name = values[-1] if self.lowest_is_host else domain_id(values)
        leaf = self.leaf_of.get(name)
        if leaf is None:
            leaf = self.leaf_of[name] = len(self.values)
            self.values.append(values)
            self.hosts.append(host if self.lowest_is_host else None)
            self.capacity.append({})
        self.leaf_of_host[host.name] = leaf
        total = self.capacity[leaf]
        for resource, amount in host.allocatable.items():
            total[resource] = total.get(resource, 0) + amount

    def _grow(self) -> None:
        """Adds the wider domains, level by level."""
        known: dict[tuple[str, ...], int] = {}
        for level in range(len(self.levels) - 2, -1, -1):
            for child in self.by_level[level + 1]:
                values = self.values[child][: level + 1]
                parent = known.get(values)
                if parent is None:
                    parent = known[values] = len(self.values)
                    self.values.append(values)
                    self.ids.append(domain_id(values))
                    self.parent.append(-1)
                    self.children.append([])
                    self.by_level[level].append(parent)
                self.parent[child] = parent
                self.children[parent].append(child)

    @property
    def lowest_level(self) -> str:
        """Node label of the leaves."""
        return self.levels[-1]

    @property
    def highest_level(self) -> str:
        """Node label of the widest domains."""
        return self.levels[0]

    def level_of(self, label: str) -> int:
        """Which level that node label is; -1: none."""
        return self.levels.index(label) if label in self.levels else -1

    def leaf(self, values: Sequence[str]) -> int:
        """The leaf of an assignment's values (host name alone or all levels); -1: there is none now."""
        return self.leaf_of.get(domain_id(values), -1)

    def above(self, domain: int, levels: int) -> int:
        """The domain that many levels up."""
        for _ in range(levels):
            domain = self.parent[domain]
        return domain
