"""In which order domains are taken, and which of several that fit is the best.

BestFit takes the domains with the most room first, and as the last one the smallest that holds the rest. LeastFreeCapacity takes the fullest
first. Preferred node affinity, where it counts, comes before room; the order of values decides between equals.
Source: Kueue pkg/cache/scheduler/tas_flavor_snapshot.go (sortedDomains, sortedDomainsWithLeader, findBestFitDomainBy).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raysail.queue.topology.counts import MOST, Counts
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.tree import Tree


class Order:
    """The order of domains under one profile."""

    __slots__ = ("best_fit", "counts", "direction", "profile", "tree")

    def __init__(self, tree: Tree, counts: Counts, profile: Profile, *, unconstrained: bool) -> None:
        self.tree = tree
        self.counts = counts
        self.profile = profile
        self.best_fit = not profile.fullest_first(unconstrained=unconstrained)
        self.direction = -1 if self.best_fit else 1

    def by_room(self, domains: Iterable[int]) -> list[int]:
        """For Pods without a leader."""
        counts, rank, direction = self.counts, self.tree.rank, self.direction
        slices, pods, affinity = counts.slices, counts.pods, counts.affinity
        if self.profile.preferred_affinity:
            return sorted(domains, key=lambda d: (-affinity[d], direction * slices[d], pods[d], rank[d]))
        return sorted(domains, key=lambda d: (direction * slices[d], pods[d], rank[d]))

    def by_room_with_leader(self, domains: Iterable[int]) -> list[int]:
        """For Pods with a leader: first where the leader fits."""
        counts, rank, direction = self.counts, self.tree.rank, self.direction
        leaders, slices, pods, affinity = counts.leaders, counts.slices_with_leader, counts.pods_with_leader, counts.affinity
        if self.profile.preferred_affinity:
            return sorted(domains, key=lambda d: (-leaders[d], -affinity[d], direction * slices[d], pods[d], rank[d]))
        return sorted(domains, key=lambda d: (-leaders[d], direction * slices[d], pods[d], rank[d]))

    def best(self, domains: Sequence[int], needed: int, leaders: int, *, slices: bool) -> int:
        """The first with the least room that is enough, among those of the highest affinity; the first of all where none is."""
        counts = self.counts
        if slices:
            room = counts.slices_with_leader if leaders else counts.slices
        else:
            room = counts.pods_with_leader if leaders else counts.pods
        candidates = self._of_highest_affinity(domains)
        best, least = candidates[0], MOST
        for domain in candidates:
            if counts.leaders[domain] >= leaders and needed <= room[domain] < least:
                best, least = domain, room[domain]
        return best

    def _of_highest_affinity(self, domains: Sequence[int]) -> Sequence[int]:
        if not self.profile.preferred_affinity:
            return domains
        affinity = self.counts.affinity
        highest = affinity[domains[0]]
        return domains[: next((at for at, domain in enumerate(domains) if affinity[domain] != highest), len(domains))]

    def leader_first(self, domains: list[int], count: int, leaders: int, size: int, *, slices: bool) -> list[int]:
        """With the domain in front that can take the leader without costing room that the Pods need."""
        if not leaders or len(domains) < 2:
            return domains
        counts = self.counts
        room, with_leader = (counts.slices, counts.slices_with_leader) if slices else (counts.pods, counts.pods_with_leader)
        spare = sum(room[domain] for domain in domains) - (count // size if slices else count)
        for at, domain in enumerate(domains):
            if counts.leaders[domain] >= leaders and spare >= room[domain] - with_leader[domain]:
                return [domain, *domains[:at], *domains[at + 1 :]]
        return domains
