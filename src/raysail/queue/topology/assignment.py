"""Where the Pods of one pod set go: domains with counts, and what can be done with such a list.

Source: Kueue pkg/util/tas/tas_assignment.go, pkg/cache/scheduler/tas_flavor_snapshot.go (mergeTopologyAssignments).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysail.api.core.node import HOSTNAME_LABEL
from raysail.api.kueue.topologycoding import Domain, decode, encode
from raysail.queue.topology.tree import Tree, domain_id

PODS = "pods"


class TopologyAssignment:
    """Domains in the order of their values, each with how many Pods go there. `levels` names the values; only the host where hosts are a level."""

    __slots__ = ("domains", "levels")

    def __init__(self, levels: Sequence[str], domains: Sequence[Domain]) -> None:
        self.levels = tuple(levels)
        self.domains = list(domains)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TopologyAssignment) and self.levels == other.levels and self.domains == other.domains

    def __hash__(self) -> int:
        return hash((self.levels, tuple(self.domains)))

    @classmethod
    def from_api(cls, encoded: Mapping[str, Any] | None) -> TopologyAssignment | None:
        """From the compressed form of v1beta2."""
        return None if encoded is None else cls(encoded.get("levels") or (), list(decode(encoded)))

    def to_api(self, *, by_hostname_prefix: bool = True) -> dict[str, Any]:
        """In the compressed form of v1beta2."""
        return encode(self.levels, self.domains, by_hostname_prefix=by_hostname_prefix)

    @property
    def pods(self) -> int:
        """All Pods."""
        return sum(domain.count for domain in self.domains)

    @property
    def on_hosts(self) -> bool:
        """Whether the last value of each domain is a host name."""
        return bool(self.levels) and self.levels[-1] == HOSTNAME_LABEL

    def pods_on_host(self, name: str) -> int:
        """How many Pods go to that node."""
        return sum(domain.count for domain in self.domains if domain.values[-1] == name) if self.on_hosts else 0

    def truncated(self, pods: int) -> TopologyAssignment:
        """The first so many Pods of it."""
        kept: list[Domain] = []
        left = pods
        for domain in self.domains:
            if left <= 0:
                break
            kept.append(domain if domain.count <= left else Domain(domain.values, left))
            left -= domain.count
        return TopologyAssignment(self.levels, kept)

    def usage(self, requests: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """What its Pods take in each domain (by name), each asking for `requests` and being one of `pods`."""
        return {domain_id(domain.values): scaled(requests, domain.count) for domain in self.domains}


def scaled(requests: Mapping[str, int], count: int) -> dict[str, int]:
    """What so many Pods take, themselves counted as `pods`."""
    total = {resource: amount * count for resource, amount in requests.items()}
    total[PODS] = total.get(PODS, 0) + count
    return total


def add_usage(total: dict[str, dict[str, int]], more: Mapping[str, Mapping[str, int]]) -> None:
    """Adds per domain and resource."""
    for domain, amounts in more.items():
        known = total.setdefault(domain, {})
        for resource, amount in amounts.items():
            known[resource] = known.get(resource, 0) + amount


def merged(tree: Tree, a: TopologyAssignment, b: TopologyAssignment) -> TopologyAssignment:
    """Both together, in the order of the tree; what goes to the same domain is added up."""
    counts: dict[tuple[str, ...], int] = {}
    for domain in (*a.domains, *b.domains):
        counts[domain.values] = counts.get(domain.values, 0) + domain.count
    ordered = sorted(counts, key=lambda values: tree.rank[tree.leaf(values)])
    return TopologyAssignment(a.levels, [Domain(values, counts[values]) for values in ordered])


def stale_domain(tree: Tree, assignment: TopologyAssignment) -> str | None:
    """The first value of a domain that the tree lacks by now: its nodes are gone or not ready. None: all are there."""
    return next((domain.values[0] for domain in assignment.domains if tree.leaf(domain.values) < 0), None)
