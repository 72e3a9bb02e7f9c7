"""All topologies: nodes and what uses them, and from these one `FlavorTopology` per flavor, built when it is first asked for.

What admitted workloads take is counted per leaf, so that a tree can be built anew at any time. Flavors whose leaves are hosts share them: what is
taken on a host through one flavor is taken for the others (Kueue: TASHandleOverlappingFlavors). Attempts are taken back through the journal.
Source: Kueue pkg/cache/scheduler/tas_cache.go, snapshot.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from raysail.api.core.node import HOSTNAME_LABEL, Node
from raysail.queue.model.quota import Journal
from raysail.queue.topology.assignment import TopologyAssignment, scaled
from raysail.queue.topology.flavor import FlavorTopology
from raysail.queue.topology.nodes import Nodes, OtherPods
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.tree import domain_id


class DomainUse(NamedTuple):
    """So many Pods of one pod set in one domain, each asking for `requests`."""

    flavor: str
    domain: str
    requests: Mapping[str, int]
    pods: int


def uses_of(flavors: Iterable[str], assignment: TopologyAssignment, requests: Mapping[str, int]) -> list[DomainUse]:
    """What a pod set takes where, for each flavor it was given (those without topology are passed over when it is counted)."""
    return [
        DomainUse(flavor, domain_id(domain.values), requests, domain.count)
        for flavor in sorted(set(flavors))
        for domain in assignment.domains
    ]


class _Spec(NamedTuple):
    topology: str
    node_labels: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]


class Topologies:
    """Nodes, Topologies and the flavors on them."""

    def __init__(self, journal: Journal, profile: Profile | None = None) -> None:
        self.journal = journal
        self.profile = profile or Profile()
        self.nodes = Nodes()
        self.others = OtherPods()
        self.levels: dict[str, tuple[str, ...]] = {}
        """Topology to the node labels of its levels."""
        self._specs: dict[str, _Spec] = {}
        self._built: dict[str, tuple[int, FlavorTopology]] = {}
        self._used: dict[str, dict[str, dict[str, int]]] = {}
        """Flavor to what its workloads take in each domain."""
        self._used_on_hosts: dict[str, dict[str, int]] = {}
        """The same over all flavors whose leaves are hosts."""

    # what there is

    def set_topology(self, name: str, levels: Iterable[str]) -> bool:
        """Adds or changes a Topology; whether that changed anything."""
        new = tuple(levels)
        if self.levels.get(name) == new:
            return False
        self.levels[name] = new
        self._rebuild(flavor for flavor, spec in self._specs.items() if spec.topology == name)
        return True

    def drop_topology(self, name: str) -> None:
        """The Topology is gone; flavors on it have none until it comes back."""
        self.levels.pop(name, None)
        self._rebuild(flavor for flavor, spec in self._specs.items() if spec.topology == name)

    def set_flavor(self, name: str, topology: str, node_labels: Mapping[str, str], tolerations: Iterable[Mapping[str, Any]] = ()) -> None:
        """Adds or changes a flavor; one without a topology is forgotten."""
        if not topology:
            self.drop_flavor(name)
            return
        spec = _Spec(topology, dict(node_labels), tuple(tolerations))
        if self._specs.get(name) != spec:
            self._specs[name] = spec
            self._rebuild((name,))

    def drop_flavor(self, name: str) -> None:
        """The flavor is gone. What its workloads take stays counted until they leave."""
        self._specs.pop(name, None)
        self._rebuild((name,))

    def _rebuild(self, flavors: Iterable[str]) -> None:
        for flavor in list(flavors):
            self._built.pop(flavor, None)
        self._used_on_hosts = {}
        for flavor, domains in self._used.items():
            if self._on_hosts(flavor):
                for domain, amounts in domains.items():
                    _add(self._used_on_hosts, domain, amounts, 1)

    def set_node(self, node: Node) -> bool:
        """Takes over a node; whether placement may turn out differently."""
        return self.nodes.set(node)

    def drop_node(self, name: str) -> bool:
        """The node is gone; whether placement may turn out differently."""
        return self.nodes.drop(name)

    def set_pod(self, key: str, node: str, amounts: dict[str, int]) -> bool:
        """A Pod that no topology assignment placed runs on that node; whether that freed something (it moved or asks for less)."""
        changes = list(self.others.set(key, node, amounts))
        self._tell(changes)
        return any(sign < 0 for _, _, sign in changes)

    def drop_pod(self, key: str) -> bool:
        """Such a Pod ended; whether it was counted."""
        changes = list(self.others.drop(key))
        self._tell(changes)
        return bool(changes)

    def _tell(self, changes: Iterable[tuple[str, dict[str, int], int]]) -> None:
        for node, amounts, sign in changes:
            for _, built in self._built.values():
                built.use_beside(node, amounts, sign)

    # what planning asks

    def has(self, flavor: str) -> bool:
        """Whether the flavor has a topology that is known."""
        spec = self._specs.get(flavor)
        return spec is not None and spec.topology in self.levels

    def flavor(self, name: str) -> FlavorTopology | None:
        """The flavor's topology as it is now; None: it has none that is known."""
        known = self._built.get(name)
        if known is not None and known[0] == self.nodes.generation:
            return known[1]
        spec = self._specs.get(name)
        levels = self.levels.get(spec.topology) if spec is not None else None
        if spec is None or levels is None:
            return None
        found = FlavorTopology(
            spec.topology,
            levels,
            self.nodes.of_flavor(spec.node_labels, levels),
            spec.tolerations,
            preferred_affinity=self.profile.preferred_affinity,
        )
        for node, amounts in self.others.by_node.items():
            found.use_beside(node, amounts, 1)
        used = self._used_on_hosts if self._shares(name) else self._used.get(name, {})
        for domain, amounts in used.items():
            found.use(domain, amounts, 1)
        self._built[name] = self.nodes.generation, found
        return found

    def _on_hosts(self, flavor: str) -> bool:
        spec = self._specs.get(flavor)
        levels = self.levels.get(spec.topology) if spec is not None else None
        return bool(levels) and levels is not None and levels[-1] == HOSTNAME_LABEL

    def _shares(self, flavor: str) -> bool:
        return self.profile.overlapping and self._on_hosts(flavor)

    def count(self, uses: Iterable[DomainUse], sign: int) -> None:
        """Workloads take (1) or give back (-1). Taken back with the journal while an attempt is under way."""
        for use in uses:
            self._count(use.flavor, use.domain, scaled(use.requests, use.pods), sign)

    def _count(self, flavor: str, domain: str, amounts: Mapping[str, int], sign: int) -> None:
        self._move(flavor, domain, amounts, sign)
        self.journal.on_undo(lambda: self._move(flavor, domain, amounts, -sign))

    def _move(self, flavor: str, domain: str, amounts: Mapping[str, int], sign: int) -> None:
        _add(self._used.setdefault(flavor, {}), domain, amounts, sign)
        if self._on_hosts(flavor):
            _add(self._used_on_hosts, domain, amounts, sign)
        shares = self._shares(flavor)
        for name, (_, built) in self._built.items():
            if name == flavor or (shares and self._shares(name)):
                built.use(domain, amounts, sign)

    def fits(self, uses: Iterable[DomainUse]) -> bool:
        """Whether all of it is free now."""
        wanted: dict[tuple[str, str], dict[str, int]] = {}
        for use in uses:
            total = wanted.setdefault((use.flavor, use.domain), {})
            for resource, amount in scaled(use.requests, use.pods).items():
                total[resource] = total.get(resource, 0) + amount
        return all(
            (topology := self.flavor(flavor)) is not None and topology.fits(domain, amounts, 1)
            for (flavor, domain), amounts in wanted.items()
        )


def _add(total: dict[str, dict[str, int]], domain: str, amounts: Mapping[str, int], sign: int) -> None:
    known = total.setdefault(domain, {})
    for resource, amount in amounts.items():
        left = known.get(resource, 0) + sign * amount
        if left:
            known[resource] = left
        else:
            known.pop(resource, None)
    if not known:
        del total[domain]
