"""Places for all pod sets of a workload that got one flavor: group by group, each against what those before it took.

A workload with failed nodes keeps its places and only gets others for what was on those; a slice of an elastic job keeps the places of the slice
that it replaces. Source: Kueue pkg/cache/scheduler/tas_flavor_snapshot.go (FindTopologyAssignmentsForFlavor, findReplacementAssignment),
tas_elastic_workloads.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysail.queue.topology.assignment import TopologyAssignment, add_usage, merged, stale_domain
from raysail.queue.topology.flavor import FlavorTopology
from raysail.queue.topology.place import Placement
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.request import Needs, PlacementRequest, TopologyError, is_required, slice_layers, slice_size

Usage = dict[str, dict[str, int]]
"""Domain to what is taken there."""


@dataclass(slots=True)
class Placed:
    """Places by pod set; `failed` is the pod set (and flavor) for which there are none, `reason` why."""

    assignments: dict[str, TopologyAssignment | None] = field(default_factory=dict)
    failed: str = ""
    reason: str = ""
    flavor: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What the workload has already: its unhealthy nodes, its places by pod set; `one_pod`: it is a single Pod, which cannot move."""

    unhealthy: Sequence[str] = ()
    assignments: Mapping[str, TopologyAssignment] = field(default_factory=dict)
    one_pod: bool = False


NOTHING_HELD = Held()


class Finder:
    """Finds places in one flavor. `assumed` is what the workload takes in other flavors; it grows by what is found here."""

    def __init__(
        self,
        topology: FlavorTopology,
        profile: Profile,
        *,
        held: Held = NOTHING_HELD,
        assumed: Usage | None = None,
        empty: bool = False,
    ) -> None:
        self.topology = topology
        self.tree = topology.tree
        self.profile = profile
        self.held = held
        self.assumed: Usage = {} if assumed is None else assumed
        self.empty = empty

    def find(self, requests: Sequence[PlacementRequest]) -> Placed:
        """Places for these, or the first that has none."""
        result = Placed()
        groups: dict[str, list[PlacementRequest]] = {}
        for at, request in enumerate(requests):
            groups.setdefault(request.group or f"\0{at}", []).append(request)
        for members in groups.values():
            names = [member.name for member in members]
            try:
                if self.held.unhealthy:
                    for member in members:
                        names = [member.name]
                        self._replace(member, result)
                else:
                    result.assignments.update(self._place_group(members))
            except TopologyError as error:
                result.assignments.update(dict.fromkeys(names))
                result.failed, result.reason, result.flavor = names[0], str(error), members[0].flavor
                return result
        return result

    def _place_group(self, members: list[PlacementRequest]) -> dict[str, TopologyAssignment | None]:
        leader, workers = leader_and_workers(members)
        if self.profile.elastic and (kept := self._elastic(workers, leader)) is not None:
            return kept
        found = self._place(workers, leader)
        for member in members:
            self._assume(found[member.name], member)
        return dict(found)

    def _place(self, workers: PlacementRequest, leader: PlacementRequest | None, *, within: str = "") -> dict[str, TopologyAssignment]:
        if workers.fault:
            raise TopologyError(workers.fault)
        needs = Needs(self.tree, workers, leader)
        if self.tree.lowest_is_host and (fault := workers.rules.fault):
            listed = " ".join(f"{key}:{value}" for key, value in sorted(workers.rules.selector.items()))
            raise TopologyError(f"invalid node selectors: map[{listed}], reason: {fault}")
        counts, exclusions = self.topology.counts(needs, workers.rules, self.assumed, within=within, empty=self.empty)
        placement = Placement(self.tree, self.topology.topology, counts, needs, self.profile, exclusions)
        of_workers, of_leader = placement.place()
        found = {workers.name: of_workers}
        if leader is not None and of_leader is not None:
            found[leader.name] = of_leader
        return found

    def _assume(self, assignment: TopologyAssignment | None, request: PlacementRequest) -> None:
        if assignment is not None:
            add_usage(self.assumed, assignment.usage(request.requests))

    # failed nodes

    def _replace(self, request: PlacementRequest, result: Placed) -> None:
        """New places for the Pods that were on the first unhealthy node; the others stay."""
        before = self.held.assignments.get(request.name)
        if before is None:
            return
        if self.profile.keep_single_pods and self.held.one_pod:
            result.assignments[request.name] = before
            return
        failed = self.held.unhealthy[0]
        rest = TopologyAssignment(before.levels, [domain for domain in before.domains if domain.values[-1] != failed])
        missing = next((domain.count for domain in reversed(before.domains) if domain.values[-1] == failed), 0)
        if (stale := stale_domain(self.tree, rest)) is not None:
            raise TopologyError(
                "Cannot replace the node, because the existing topologyAssignment is invalid, as it contains the stale domain " + stale
            )
        wanted = request.changed(count=missing)
        within = self._where_missing(wanted, rest)
        size = slice_size(request.topology)
        layers = slice_layers(request.topology)
        if layers and within and missing % size:
            # not whole slices are missing: the innermost layer that the missing Pods fill keeps its grouping
            level, inner_size = next(((level, inner) for level, inner in reversed(layers) if inner and missing % inner == 0), (None, 1))
            topology = {key: value for key, value in (request.topology or {}).items() if key != "podsetSliceRequiredTopologyConstraints"}
            topology.update({"podSetSliceRequiredTopology": level, "podSetSliceSize": inner_size})
            wanted = wanted.changed(topology=topology)
        found = self._place(wanted, None, within=within)[request.name]
        if not found.domains:
            raise TopologyError(f"cannot find replacement assignment for unhealthy node: {failed}")
        result.assignments[request.name] = merged(self.tree, found, rest)
        self._assume(found, request)

    def _where_missing(self, request: PlacementRequest, rest: TopologyAssignment) -> str:
        """The domain in which the replacement must be: where a slice lacks Pods, or where a required level has the others; else anywhere."""
        tree = self.tree
        label = request.level(tree)
        level = tree.level_of(label) if label is not None else -1
        if level < 0 or not rest.domains:
            return ""
        layers = slice_layers(request.topology)
        if layers and request.count % slice_size(request.topology):
            for name, size in reversed(layers) if len(layers) > 1 else layers:
                if request.count % size:
                    return self._incomplete(rest, request.count, tree.level_of(name), size)
            return ""
        if not is_required(request.topology):
            return ""
        leaf = tree.leaf(rest.domains[0].values)
        return "" if leaf < 0 else tree.ids[tree.above(leaf, len(tree.levels) - 1 - level)]

    def _incomplete(self, rest: TopologyAssignment, missing: int, level: int, size: int) -> str:
        """The domain of that level that has whole slices once the missing Pods are there."""
        tree = self.tree
        if level < 0:
            return ""
        pods: dict[int, int] = {}
        for domain in rest.domains:
            leaf = tree.leaf(domain.values)
            if leaf >= 0:
                above = tree.above(leaf, len(tree.levels) - 1 - level)
                pods[above] = pods.get(above, 0) + domain.count
        return next((tree.ids[domain] for domain, count in pods.items() if (count + missing) % size == 0), "")

    # elastic jobs

    def _elastic(self, workers: PlacementRequest, leader: PlacementRequest | None) -> dict[str, TopologyAssignment | None] | None:
        """The places of the slice before, for fewer or more Pods. None: all is to be placed anew."""
        before = workers.previous
        if before is None or stale_domain(self.tree, before) is not None:
            return None
        of_leader = leader.previous if leader is not None else None
        if of_leader is not None and stale_domain(self.tree, of_leader) is not None:
            return None
        found: dict[str, TopologyAssignment | None] = {}
        if workers.count <= before.pods:
            kept = before.truncated(workers.count)
            found[workers.name] = kept
            self._assume(kept, workers)
            if leader is not None:
                found[leader.name] = of_leader
                self._assume(of_leader, leader)
            return found
        self._assume(before, workers)
        if leader is not None and of_leader is not None:
            self._assume(of_leader, leader)
        more = self._place(workers.changed(count=workers.count - before.pods), leader if of_leader is None else None)
        found[workers.name] = merged(self.tree, more[workers.name], before)
        if leader is not None:
            found[leader.name] = of_leader if of_leader is not None else more[leader.name]
            if of_leader is None:
                self._assume(found[leader.name], leader)
        self._assume(more[workers.name], workers)
        return found


def leader_and_workers(members: Sequence[PlacementRequest]) -> tuple[PlacementRequest | None, PlacementRequest]:
    """Of a group of two the smaller leads (the second, where they are equal); one alone has no leader."""
    if len(members) == 1:
        return None, members[0]
    first, second = members[0], members[1]
    return (first, second) if second.count > first.count else (second, first)
