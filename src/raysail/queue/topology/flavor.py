"""One flavor's topology: its tree, what is free on each leaf, and how many Pods of a kind fit where, kept from one placement to the next.

Counting all leaves is what placement costs. Workloads come in few kinds, and between two placements few leaves change: counts are kept per kind
of request, and only leaves whose free capacity changed since are counted again. Nothing is copied or rebuilt per cycle; a new tree is only built
when nodes, labels or levels change.
Source of the rules: Kueue pkg/cache/scheduler/tas_flavor.go, tas_flavor_snapshot.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from raysail.queue.topology.counts import Counts, add_up_above, add_up_all, count_leaf, fitting, slice_leaves
from raysail.queue.topology.hosts import HostRules, Matches, match
from raysail.queue.topology.request import Needs
from raysail.queue.topology.tree import Host, Tree, domain_id, lies_in

KEPT = 64
"""Kinds of requests whose counts are kept."""

Amounts = Mapping[str, int]


class _Kept:
    """Counts of one kind of request, what keeps leaves from holding any Pod, and how far in the list of changes they go."""

    __slots__ = ("counts", "limiting", "seen")

    def __init__(self, counts: Counts, limiting: dict[int, str], seen: int) -> None:
        self.counts = counts
        self.limiting = limiting
        self.seen = seen


class FlavorTopology:
    """Leaves with their free capacity. `topology` is the Topology's name."""

    def __init__(
        self,
        topology: str,
        levels: Sequence[str],
        hosts: Iterable[Host] = (),
        tolerations: Iterable[Mapping[str, Any]] = (),
        *,
        preferred_affinity: bool = False,
    ) -> None:
        self.topology = topology
        self.tolerations = tuple(tolerations)
        self.preferred_affinity = preferred_affinity
        self.tree = Tree(levels, hosts)
        self.capacity = [dict(amounts) for amounts in self.tree.capacity]
        """What is there for workloads on each leaf: allocatable without what other Pods use."""
        self.free = [dict(amounts) for amounts in self.tree.capacity]
        """Of that, what admitted workloads leave."""
        self._changed: list[int] = []
        self._kept: dict[Any, _Kept] = {}
        self._matches: dict[bytes, Matches] = {}

    # what is used

    def use(self, domain: str, amounts: Amounts, sign: int) -> None:
        """An admitted workload takes (1) or gives back (-1) this much in a leaf. Nothing where the leaf is gone."""
        leaf = self.tree.leaf_of.get(domain)
        if leaf is None:
            return
        free = self.free[leaf]
        for resource, amount in amounts.items():
            free[resource] = free.get(resource, 0) - sign * amount
        self._changed.append(leaf)

    def use_beside(self, host: str, amounts: Amounts, sign: int) -> None:
        """A Pod that no topology assignment placed takes (1) or gives back (-1) this much on a node."""
        leaf = self.tree.leaf_of_host.get(host)
        if leaf is None:
            return
        for free in (self.capacity[leaf], self.free[leaf]):
            for resource, amount in amounts.items():
                free[resource] = free.get(resource, 0) - sign * amount
        self._changed.append(leaf)

    def fits(self, domain: str, requests: Amounts, count: int) -> bool:
        """Whether so many Pods of these requests fit into the leaf as it is."""
        leaf = self.tree.leaf_of.get(domain)
        return leaf is not None and fitting(requests.items(), self.free[leaf])[0] >= count

    # how much fits

    def counts(
        self, needs: Needs, rules: HostRules, assumed: Mapping[str, Amounts], *, within: str = "", empty: bool = False
    ) -> tuple[Counts, Callable[[], str]]:
        """How much of it fits where, to be used up by a placement, and the tail of the message if that fails.

        `assumed` is taken already, per leaf; `within` is the name of a domain outside of which nothing is counted; `empty`: as if no workload
        that topology placed were there.
        """
        matches = self._match(rules)
        if within:
            kept = self._count(needs, matches, empty=empty, within=within)
            counts, limiting = kept.counts, kept.limiting
        else:
            kept = self._up_to_date(needs, matches, empty=empty)
            counts, limiting = kept.counts.copy(), kept.limiting
        outside = sum(not lies_in(domain_id(self.tree.values[leaf]), within) for leaf in matches.leaves) if within else 0
        taken = [leaf for domain in assumed if (leaf := self.tree.leaf_of.get(domain, -1)) >= 0]
        if taken:
            limiting = dict(limiting)
            suitable = set(matches.leaves)
            taken = [leaf for leaf in taken if leaf in suitable and lies_in(domain_id(self.tree.values[leaf]), within)]
            for leaf in taken:
                free = dict((self.capacity if empty else self.free)[leaf])
                for resource, amount in assumed[self.tree.ids[leaf]].items():
                    free[resource] = free.get(resource, 0) - amount
                self._count_leaf(counts, limiting, leaf, needs, free)
            add_up_above(self.tree, counts, taken, needs)
        return counts, lambda: _exclusions(matches, limiting, outside)

    def _match(self, rules: HostRules) -> Matches:
        found = self._matches.get(rules.key)
        if found is None:
            if len(self._matches) >= KEPT:
                self._matches.clear()
            completed = HostRules((*rules.tolerations, *self.tolerations), rules.selector, rules.affinity) if self.tolerations else rules
            found = self._matches[rules.key] = match(self.tree, completed, preferred=self.preferred_affinity)
        return found

    def _up_to_date(self, needs: Needs, matches: Matches, *, empty: bool) -> _Kept:
        key = (empty, needs.key)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= KEPT:
                self._forget()
            kept = self._kept[key] = self._count(needs, matches, empty=empty)
            return kept
        if kept.seen == len(self._changed):
            return kept
        suitable = set(matches.leaves) if len(matches.leaves) < self.tree.leaf_count else None
        changed = {leaf for leaf in self._changed[kept.seen :] if suitable is None or leaf in suitable}
        for leaf in changed:
            self._count_leaf(kept.counts, kept.limiting, leaf, needs, (self.capacity if empty else self.free)[leaf])
        add_up_above(self.tree, kept.counts, changed, needs)
        kept.seen = len(self._changed)
        if kept.seen > 8 * self.tree.leaf_count + 1024:
            self._forget()
            kept.seen = 0
            self._kept[key] = kept
        return kept

    def _forget(self) -> None:
        self._kept.clear()
        self._changed.clear()

    def _count(self, needs: Needs, matches: Matches, *, empty: bool, within: str = "") -> _Kept:
        tree = self.tree
        kept = _Kept(Counts(len(tree.values)), {}, len(self._changed))
        free = self.capacity if empty else self.free
        for leaf in matches.leaves:
            if not within or lies_in(domain_id(tree.values[leaf]), within):
                self._count_leaf(kept.counts, kept.limiting, leaf, needs, free[leaf])
        for leaf, score in matches.affinity.items():
            kept.counts.affinity[leaf] = score
        add_up_all(tree, kept.counts, needs)
        return kept

    def _count_leaf(self, counts: Counts, limiting: dict[int, str], leaf: int, needs: Needs, free: Amounts) -> None:
        resource = count_leaf(counts, leaf, needs, free)
        if resource:
            limiting[leaf] = resource
        else:
            limiting.pop(leaf, None)
        if needs.slice_level == len(self.tree.levels) - 1:
            slice_leaves(counts, (leaf,), needs.slice_size)


def _exclusions(matches: Matches, limiting: Mapping[int, str], outside: int) -> str:
    """`. Total nodes: N; excluded: ...`: what rules nodes out; nothing where nothing does."""
    by_resource: dict[str, int] = {}
    for resource in limiting.values():
        by_resource[resource] = by_resource.get(resource, 0) + 1
    reasons = [f'taint "{taint}": {count}' for taint, count in matches.by_taint.items()]
    reasons += [f'resource "{resource}": {count}' for resource, count in by_resource.items()]
    for name, count in (("nodeSelector", matches.by_selector), ("affinity", matches.by_affinity), ("topologyDomain", outside)):
        if count:
            reasons.append(f"{name}: {count}")
    return f". Total nodes: {matches.total}; excluded: {', '.join(sorted(reasons))}" if reasons else ""
