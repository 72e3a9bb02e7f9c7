"""Balanced placement (alpha in Kueue): a preferred level is filled in equal shares instead of one domain after the other.

The threshold is the largest number of slices that every chosen domain can get at least. For each group of sibling domains on the requested level
the domains below the threshold are left out; of the groups that still fit the one with the highest threshold wins, then the one with the fewest
domains. Source: Kueue pkg/cache/scheduler/tas_balanced_placement.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysail.queue.topology.counts import Counts, add_up_below
from raysail.queue.topology.order import Order
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.request import Needs
from raysail.queue.topology.tree import Tree

Greedy = tuple[int, int, int]
"""Number of domains taken; the last one with a leader and the last one without (-1: none)."""


class BalancedPlacement:
    """One attempt; leaves the counts that it was given as they are."""

    def __init__(self, tree: Tree, counts: Counts, needs: Needs, profile: Profile) -> None:
        self.tree = tree
        self.counts = counts
        self.needs = needs
        self.profile = profile

    def place(self) -> tuple[int, list[int], Counts] | None:
        """The level dealt out on, its domains, and counts in which these hold what they get. None: not possible; best fit it is."""
        domains, threshold, counts = self.best_group()
        if threshold <= 0:
            return None
        needs = self.needs
        level = needs.level
        if level < needs.slice_level:
            chosen = optimal_set(self._order(counts), domains, needs.slices, needs.leaders, needs.slice_size, by_entropy=True)
            if chosen is None:
                return None
            domains = [child for domain in chosen for child in self.tree.children[domain]]
            level += 1
        placed = deal_out_evenly(self._order(counts), domains, needs.slices, needs.leaders, needs.slice_size, threshold)
        return None if placed is None else (level, placed, counts)

    def best_group(self) -> tuple[list[int], int, Counts]:
        """The siblings that allow the highest threshold, that threshold (0: none), and the counts without what is below it."""
        needs, tree = self.needs, self.tree
        groups = (
            [tree.by_level[0]]
            if needs.level == 0
            else [tree.children[d] for d in sorted(tree.by_level[needs.level - 1], key=tree.rank.__getitem__)]
        )
        best: tuple[list[int], int, Counts] = ([], 0, self.counts)
        fewest = 0
        for group in groups:
            lower = [child for domain in group for child in tree.children[domain]] if needs.level < needs.slice_level else group
            found = greedy(self._order(self.counts), lower, needs.slices, needs.leaders)
            if found is None:
                continue
            threshold = self._threshold(found)
            with_leader = threshold
            if needs.leaders and found[2] >= 0:
                with_leader = min(threshold, self.counts.slices_with_leader[found[2]])
            if threshold < best[1]:
                continue
            counts, after = self._pruned(group, threshold)
            if after is None and with_leader < threshold:  # once more with room kept for the leader
                if with_leader <= 0 or with_leader < best[1]:
                    continue
                threshold = with_leader
                counts, after = self._pruned(group, threshold)
            if after is None:
                continue
            if threshold > best[1] or (threshold == best[1] and after[0] < fewest):
                best, fewest = (list(group), threshold, counts), after[0]
        return best

    def _threshold(self, found: Greedy) -> int:
        taken, last_with_leader, last = found
        threshold = self.needs.slices // taken if taken else 0
        if last_with_leader >= 0:
            threshold = min(threshold, self.counts.slices_with_leader[last_with_leader])
        if last >= 0:
            threshold = min(threshold, self.counts.slices[last])
        return threshold

    def _pruned(self, group: Sequence[int], threshold: int) -> tuple[Counts, Greedy | None]:
        counts = self.counts.copy()
        prune(self.tree, counts, group, threshold, self.needs)
        return counts, greedy(self._order(counts), group, self.needs.slices, self.needs.leaders)

    def _order(self, counts: Counts) -> Order:
        return Order(self.tree, counts, self.profile, unconstrained=False)


def greedy(order: Order, domains: Sequence[int], slices: int, leaders: int) -> Greedy | None:
    """What taking the roomiest first would use. None: it does not fit."""
    counts = order.counts
    taken, last_with_leader, last = 0, -1, -1
    rest: Sequence[int] = domains
    if leaders:
        ordered = order.by_room_with_leader(domains)
        at = 0
        while leaders > 0 and at < len(ordered) and counts.leaders[ordered[at]] > 0:
            last_with_leader = ordered[at]
            leaders -= counts.leaders[last_with_leader]
            slices -= counts.slices_with_leader[last_with_leader]
            taken += 1
            at += 1
        rest = ordered[at:]
    if leaders > 0:
        return None
    for domain in order.by_room(rest):
        if slices <= 0 or counts.slices[domain] <= 0:
            break
        last = domain
        slices -= counts.slices[domain]
        taken += 1
    return None if slices > 0 else (taken, last_with_leader, last)


def optimal_set(order: Order, domains: Sequence[int], slices: int, leaders: int, size: int, *, by_entropy: bool) -> list[int] | None:
    """As few domains as greedy takes that fit, with the least room left over. None: nothing fits."""
    found = greedy(order, domains, slices, leaders)
    if found is None:
        return None
    counts = order.counts
    number = found[0]
    ordered = sorted(domains, key=lambda d: _by_room_and_entropy(order, d) if by_entropy else (order.tree.rank[d],))
    # ways[n]: (leaders, Pods) left to place after n domains -> the domains; the first way found is kept
    ways: list[dict[tuple[int, int], list[int]]] = [{} for _ in range(number + 1)]
    ways[0][leaders, slices * size] = []
    for domain in ordered:
        for n in range(number, 0, -1):
            for (leaders_left, pods_left), before in sorted(ways[n - 1].items()):
                if leaders_left <= 0 and pods_left <= 0:
                    continue
                way = [*before, domain]
                if leaders_left > 0 and counts.leaders[domain] > 0:
                    ways[n].setdefault((leaders_left - counts.leaders[domain], pods_left - counts.pods_with_leader[domain]), way)
                if counts.slices[domain] > 0:
                    ways[n].setdefault((leaders_left, pods_left - counts.pods[domain]), way)
    complete = {pods_left: way for (leaders_left, pods_left), way in ways[number].items() if leaders_left == 0 and pods_left <= 0}
    return complete[max(complete)] if complete else None


def _by_room_and_entropy(order: Order, domain: int) -> tuple[float, ...]:
    counts = order.counts
    spread = _entropy([counts.pods[child] for child in order.tree.children[domain]])
    return -counts.leaders[domain], -counts.slices_with_leader[domain], -spread, order.tree.rank[domain]


def _entropy(pods: Sequence[int]) -> float:
    total = sum(pods)
    return sum(-(each / total) * math.log2(each / total) for each in pods if each > 0) if total else 0.0


def deal_out_evenly(order: Order, domains: Sequence[int], slices: int, leaders: int, size: int, threshold: int) -> list[int] | None:
    """Gives each of the best domains the threshold, and what is left over to the first ones. None: it does not work out."""
    chosen = optimal_set(order, domains, slices, leaders, size, by_entropy=False)
    if chosen is None or slices < len(chosen) * threshold:
        return None
    counts = order.counts
    chosen = order.by_room_with_leader(chosen)
    extra = slices - len(chosen) * threshold
    for domain in chosen:
        if leaders > 0:
            more = min(counts.slices_with_leader[domain] - threshold, extra)
            counts.leaders[domain] = 1
            leaders -= 1
        else:
            more = min(counts.slices[domain] - threshold, extra) if extra > 0 else 0
            counts.leaders[domain] = 0
        given = threshold + more
        counts.slices[domain] = counts.slices_with_leader[domain] = given
        counts.pods[domain] = given * size
        counts.pods_with_leader[domain] = given * size - counts.leaders[domain]
        extra -= more
    return None if extra > 0 or leaders > 0 else chosen


def prune(tree: Tree, counts: Counts, domains: Sequence[int], threshold: int, needs: Needs) -> None:
    """Takes out what cannot hold the threshold: first among the children of these domains, then among the domains themselves."""
    for domain in domains:
        for child in tree.children[domain]:
            _prune_one(tree, counts, child, threshold, needs)
    for domain in domains:
        add_up_below(tree, counts, domain, needs.level, needs)
        _prune_one(tree, counts, domain, threshold, needs)


def _prune_one(tree: Tree, counts: Counts, domain: int, threshold: int, needs: Needs) -> None:
    if counts.slices[domain] < threshold:
        _clear(tree, counts, domain, pods=True)
    elif needs.leaders and counts.leaders[domain] > 0 and counts.slices_with_leader[domain] < threshold:
        _clear(tree, counts, domain, pods=False)  # workers may still go there, the leader not


def _clear(tree: Tree, counts: Counts, domain: int, *, pods: bool) -> None:
    if pods:
        counts.pods[domain] = counts.slices[domain] = 0
    counts.pods_with_leader[domain] = counts.slices_with_leader[domain] = counts.leaders[domain] = 0
    for child in tree.children[domain]:
        _clear(tree, counts, child, pods=pods)
