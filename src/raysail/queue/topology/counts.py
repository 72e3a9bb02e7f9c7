"""How many Pods and slices fit into each domain: counted on the leaves, added up towards the top.

Source: Kueue pkg/cache/scheduler/tas_flavor_snapshot.go (fillInCounts, fillLeafCounts, fillInCountsHelper).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysail.queue.topology.request import Needs
from raysail.queue.topology.tree import Tree

MOST = 2**31 - 1


class Counts:
    """Numbers per domain. Before placement: what fits; while Pods are dealt out: what goes there."""

    __slots__ = ("affinity", "leaders", "pods", "pods_with_leader", "slices", "slices_with_leader")

    def __init__(self, size: int) -> None:
        self.pods = [0] * size
        self.slices = [0] * size
        self.pods_with_leader = [0] * size
        self.slices_with_leader = [0] * size
        self.leaders = [0] * size
        self.affinity = [0] * size

    def copy(self) -> Counts:
        """An independent copy."""
        other = Counts(0)
        other.pods = self.pods.copy()
        other.slices = self.slices.copy()
        other.pods_with_leader = self.pods_with_leader.copy()
        other.slices_with_leader = self.slices_with_leader.copy()
        other.leaders = self.leaders.copy()
        other.affinity = self.affinity.copy()
        return other


def fitting(requests: Iterable[tuple[str, int]], free: Mapping[str, int]) -> tuple[int, str]:
    """How often the requests fit into what is free, and the resource that allows the fewest (the first by name)."""
    least, limiting = MOST, ""
    for resource, amount in requests:
        if amount:
            times = max(0, free.get(resource, 0) // amount)  # more may be used than there is, when a node lost devices
            if times < least:
                least, limiting = times, resource
    return least, limiting


def count_leaf(counts: Counts, leaf: int, needs: Needs, free: Mapping[str, int]) -> str:
    """Counts one leaf with this much free; returns the resource because of which not even one Pod fits, else nothing."""
    pods, limiting = fitting(needs.requests, free)
    counts.pods[leaf] = pods
    if needs.leaders:
        leader = fitting(needs.leader, free)[0] > 0
        counts.leaders[leaf] = 1 if leader else 0
        if leader:
            left = dict(free)
            for resource, amount in needs.leader:
                left[resource] = left.get(resource, 0) - amount
            counts.pods_with_leader[leaf] = fitting(needs.requests, left)[0]
        else:
            counts.pods_with_leader[leaf] = pods
    else:
        counts.pods_with_leader[leaf] = pods
    return "" if pods else limiting


def slice_leaves(counts: Counts, leaves: Iterable[int], size: int) -> None:
    """Slices on leaves, where the leaves are the level of slices."""
    for leaf in leaves:
        counts.slices[leaf] = counts.pods[leaf] // size
        counts.slices_with_leader[leaf] = counts.pods_with_leader[leaf] // size


def add_up(tree: Tree, counts: Counts, domain: int, level: int, needs: Needs, inner: Mapping[int, int]) -> None:
    """Counts a domain from its children. `inner` is the size of slices within slices by level: whole ones only go up."""
    size = inner.get(level + 1, 0)
    pods = slices = leaders = affinity = 0
    pods_lost = slices_lost = MOST
    contributes = False
    for child in tree.children[domain]:
        child_pods, with_leader = counts.pods[child], counts.pods_with_leader[child]
        if size:
            child_pods -= child_pods % size
            with_leader -= with_leader % size
        pods += child_pods
        slices += counts.slices[child]
        if not needs.leaders or counts.leaders[child] > 0:
            contributes = True
            pods_lost = min(pods_lost, child_pods - with_leader)
            slices_lost = min(slices_lost, counts.slices[child] - counts.slices_with_leader[child])
        leaders = max(leaders, counts.leaders[child])
        affinity += counts.affinity[child]
    counts.pods[domain] = pods
    counts.pods_with_leader[domain] = pods - pods_lost if contributes else 0
    counts.leaders[domain] = leaders
    counts.affinity[domain] = affinity
    if level == needs.slice_level:
        counts.slices[domain] = pods // needs.slice_size
        counts.slices_with_leader[domain] = counts.pods_with_leader[domain] // needs.slice_size
    else:
        counts.slices[domain] = slices
        counts.slices_with_leader[domain] = slices - slices_lost if contributes else 0


def add_up_all(tree: Tree, counts: Counts, needs: Needs) -> None:
    """Counts every wider domain."""
    for level in range(len(tree.levels) - 2, -1, -1):
        for domain in tree.by_level[level]:
            add_up(tree, counts, domain, level, needs, needs.inner)


def add_up_above(tree: Tree, counts: Counts, leaves: Iterable[int], needs: Needs) -> None:
    """Counts again the domains that hold these leaves."""
    domains = {tree.parent[leaf] for leaf in leaves}
    for level in range(len(tree.levels) - 2, -1, -1):
        for domain in domains:
            add_up(tree, counts, domain, level, needs, needs.inner)
        domains = {tree.parent[domain] for domain in domains}


def add_up_below(tree: Tree, counts: Counts, domain: int, level: int, needs: Needs) -> None:
    """Counts a whole subtree again from its leaves, without regard to slices within slices."""
    if level == len(tree.levels) - 1:
        if level == needs.slice_level:
            slice_leaves(counts, (domain,), needs.slice_size)
        return
    for child in tree.children[domain]:
        add_up_below(tree, counts, child, level + 1, needs)
    add_up(tree, counts, domain, level, needs, {})
