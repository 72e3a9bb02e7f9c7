"""Placing one pod set (or a leader with its workers): from how much fits where to how many go where.

First the level: the lowest on which one domain takes all, from the requested one upwards (a required level must do; unconstrained Pods are spread
at once). Then down the tree, at each level with as few domains as possible. Above the level of slices whole slices are dealt out among all chosen
domains together; from there down each domain deals out what it was given among its own children.
Source: Kueue pkg/cache/scheduler/tas_flavor_snapshot.go (findTopologyAssignment, findLevelWithFitDomains, updateCountsToMinimumGeneric).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raysail.api.kueue.topologycoding import Domain
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.balanced import BalancedPlacement
from raysail.queue.topology.counts import Counts
from raysail.queue.topology.order import Order
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.request import Needs, TopologyError
from raysail.queue.topology.tree import Tree


class Placement:
    """One attempt. Uses up `counts`. `exclusions` is the tail of the message that says why it does not fit."""

    def __init__(
        self, tree: Tree, name: str, counts: Counts, needs: Needs, profile: Profile, exclusions: Callable[[], str] = lambda: ""
    ) -> None:
        self.tree = tree
        self.name = name
        self.counts = counts
        self.needs = needs
        self.profile = profile
        self.exclusions = exclusions
        self.order = Order(tree, counts, profile, unconstrained=needs.unconstrained)

    def place(self) -> tuple[TopologyAssignment, TopologyAssignment | None]:
        """Where the workers go, and the leader where there is one. Raises TopologyError with the reason."""
        needs = self.needs
        lowest = len(self.tree.levels) - 1
        balanced = self._balanced() if self.profile.balanced and not needs.required and not needs.unconstrained else None
        level, domains = balanced if balanced is not None else self.find_level(needs.level)
        domains = self.deal_out(domains, needs.count, needs.leaders, needs.slice_size, slices=True)
        if balanced is None:
            while level < min(lowest, needs.slice_level):
                below = self.order.by_room(self._children(domains))
                domains = self.deal_out(below, needs.count, needs.leaders, needs.slice_size, slices=True)
                level += 1
        while level < lowest:
            domains = self._descend(domains, level)
            level += 1
        counts = self.counts
        if not needs.leaders:
            return self._assignment(domains, counts.pods), None
        leaders = self._assignment([domain for domain in domains if counts.leaders[domain]], counts.leaders)
        return self._assignment(domains, counts.pods), leaders

    def _balanced(self) -> tuple[int, list[int]] | None:
        found = BalancedPlacement(self.tree, self.counts, self.needs, self.profile).place()
        if found is None:
            return None
        level, domains, self.counts = found
        self.order = Order(self.tree, self.counts, self.profile, unconstrained=self.needs.unconstrained)
        return level, domains

    def _descend(self, domains: list[int], level: int) -> list[int]:
        """Each domain deals out its Pods among its children."""
        needs, counts = self.needs, self.counts
        size = needs.slice_size if level < needs.slice_level else needs.inner.get(level + 1, 1)
        below: list[int] = []
        for domain in domains:
            children = self.order.by_room(self.tree.children[domain])
            if size > 1:
                for child in children:
                    counts.slices[child] = counts.pods[child] // size
                    counts.slices_with_leader[child] = counts.pods_with_leader[child] // size
            below += self.deal_out(children, counts.pods[domain], counts.leaders[domain], size, slices=size > 1)
        return below

    def _children(self, domains: Iterable[int]) -> list[int]:
        return [child for domain in domains for child in self.tree.children[domain]]

    def _assignment(self, domains: list[int], pods: list[int]) -> TopologyAssignment:
        first = len(self.tree.levels) - 1 if self.tree.lowest_is_host else 0
        ordered = sorted((domain for domain in domains if pods[domain]), key=self.tree.rank.__getitem__)
        return TopologyAssignment(self.tree.levels[first:], [Domain(self.tree.values[domain][first:], pods[domain]) for domain in ordered])

    # the level

    def find_level(self, level: int) -> tuple[int, list[int]]:
        """The level on which Pods are dealt out first, and the domains there that take them. Raises TopologyError."""
        needs, counts, order = self.needs, self.counts, self.order
        if not self.tree.by_level[level]:
            raise TopologyError(f"no topology domains at level: {self.tree.levels[level]}")
        ordered = order.by_room_with_leader(self.tree.by_level[level])
        slices, leaders = needs.slices, needs.leaders
        top = ordered[0]
        if order.best_fit:
            if self._takes_all(top):
                return level, [order.best(ordered, slices, leaders, slices=True)]
        else:
            for domain in ordered:
                if counts.leaders[domain] >= leaders and (counts.slices_with_leader if leaders else counts.slices)[domain] >= slices:
                    return level, [domain]
            if needs.required:
                raise self._no_fit(level, counts.pods[ordered[-1]])
            if self._takes_all(top):
                return level, [top]
        if needs.required:
            for at in range(1, len(ordered)) if self.profile.preferred_affinity else ():
                if self._takes_all(ordered[at]):  # the one of the highest affinity is too small
                    return level, [order.best(ordered[at:], slices, leaders, slices=True)]
            raise self._no_fit(level, counts.slices[top])
        if level > 0 and not needs.unconstrained:
            return self.find_level(level - 1)
        return level, self._spread(ordered, level)

    def _takes_all(self, domain: int) -> bool:
        return self.counts.slices_with_leader[domain] >= self.needs.slices and self.counts.leaders[domain] >= self.needs.leaders

    def _spread(self, ordered: list[int], level: int) -> list[int]:
        """Several domains of one level: first those of the leader, then by room."""
        needs, counts, order = self.needs, self.counts, self.order
        left, leaders_left = needs.slices, needs.leaders
        ordered = order.leader_first(ordered, needs.count, needs.leaders, needs.slice_size, slices=True)
        chosen: list[int] = []
        at = 0
        while leaders_left > 0 and at < len(ordered) and counts.leaders[ordered[at]] > 0:
            domain = ordered[at]
            if order.best_fit and counts.slices_with_leader[domain] >= left:
                domain = order.best(ordered[at:], left, leaders_left, slices=True)
            chosen.append(domain)
            leaders_left -= counts.leaders[domain]
            left -= counts.slices_with_leader[domain]
            at += 1
        if leaders_left > 0:
            raise self._no_fit(level, needs.leaders - leaders_left)
        rest = order.by_room(ordered[at:])
        for at, domain in enumerate(rest):
            if left <= 0:
                break
            if order.best_fit and counts.slices[domain] >= left:
                domain = order.best(rest[at:], left, 0, slices=True)
            chosen.append(domain)
            left -= counts.slices[domain]
        if left > 0:
            raise self._no_fit(level, needs.slices - left)
        return chosen

    # dealing out

    def deal_out(self, domains: list[int], count: int, leaders: int, size: int, *, slices: bool) -> list[int]:
        """Gives `count` Pods (in whole slices of `size`) and the leaders to as few of these domains as it takes, in order; returns those."""
        counts, order = self.counts, self.order
        room, with_leader = (counts.slices, counts.slices_with_leader) if slices else (counts.pods, counts.pods_with_leader)
        if not slices:
            size = 1
        domains = order.leader_first(domains, count, leaders, size, slices=slices)
        left, leaders_left = count // size, leaders
        chosen: list[int] = []
        for at, domain in enumerate(domains):
            if leaders_left > 0:
                if order.best_fit and with_leader[domain] >= left and counts.leaders[domain] >= leaders_left:
                    domain = order.best(domains[at:], left, leaders_left, slices=slices)
                chosen.append(domain)
                if with_leader[domain] >= left and counts.leaders[domain] >= leaders_left:
                    room[domain], counts.leaders[domain], counts.pods[domain] = left, leaders_left, left * size
                    return chosen
                given = min(with_leader[domain], left)
                room[domain] = with_leader[domain] = given
                counts.pods[domain] = given * size
                counts.leaders[domain] = min(counts.leaders[domain], leaders_left)
                left -= given
                leaders_left -= counts.leaders[domain]
                continue
            if order.best_fit and room[domain] >= left:
                domain = order.best(domains[at:], left, 0, slices=slices)
            counts.leaders[domain] = 0
            chosen.append(domain)
            if room[domain] >= left:
                room[domain], counts.pods[domain] = left, left * size
                return chosen
            counts.pods[domain] = room[domain] * size
            left -= room[domain]
        # what was counted for the wider domain cannot be had below it: slices or a leader leave gaps there
        raise self._no_fit(self.needs.level, (count // size - left) * size // self.needs.slice_size)

    # why not

    def _no_fit(self, level: int, fit: int) -> TopologyError:
        if self.needs.layers:
            return TopologyError(self._layers_message(level))
        unit = "pod" if self.needs.slice_size == 1 else "slice"
        wanted = self.needs.slices
        if fit:
            text = f'topology "{self.name}" allows to fit only {fit} out of {wanted} {unit}(s)'
        else:
            text = f'topology "{self.name}" doesn\'t allow to fit any of {wanted} {unit}(s)'
        return TopologyError(text + self.exclusions())

    def _layers_message(self, level: int) -> str:
        counts = self.counts
        text = f'topology "{self.name}" doesn\'t allow to fit'
        best = min(self.tree.by_level[level], key=lambda domain: (-counts.slices[domain], self.tree.ids[domain]))
        for label, size in self.needs.layers:
            fit = self._slices_below(best, level, self.tree.level_of(label), size)
            text += f"; {fit}/{self.needs.count // size} slice(s) fit on level {label}"
        return text + self.exclusions()

    def _slices_below(self, domain: int, level: int, target: int, size: int) -> int:
        if level == target:
            return self.counts.pods[domain] // size
        return sum(self._slices_below(child, level + 1, target, size) for child in self.tree.children[domain])
