"""Placement on random trees: nobody gets more than there is, demands are met to the letter, and what is kept between placements is never wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from raysail.api.kueue.topologycoding import Domain
from raysail.queue.model.quota import Journal
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.find import Finder, Placed
from raysail.queue.topology.flavor import FlavorTopology
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.request import Needs, PlacementRequest
from raysail.queue.topology.tree import Host, domain_id
from raysail.queue.topology.world import Topologies, uses_of
from tests.queue.topology.builders import HOST, LEVELS, node

PROFILES = [Profile(), Profile(mixed=False), Profile(balanced=True)]


@st.composite
def trees(draw: st.DrawFn) -> FlavorTopology:
    hosts = []
    for block in range(draw(st.integers(1, 3))):
        for rack in range(draw(st.integers(1, 3))):
            for number in range(draw(st.integers(1, 4))):
                name = f"h{block}{rack}{number}"
                labels = {"block": f"b{block}", "rack": f"b{block}r{rack}", HOST: name}
                cpu, pods = draw(st.integers(0, 8)), draw(st.integers(1, 10))
                hosts.append(Host(name, labels, (), {"cpu": cpu * 1000, "pods": pods}))
    found = FlavorTopology("default", LEVELS, hosts)
    for host in draw(st.lists(st.sampled_from(hosts), max_size=4)):
        found.use(host.name, {"cpu": 1000 * draw(st.integers(0, 3)), "pods": 1}, 1)
    return found


@st.composite
def requests(draw: st.DrawFn) -> PlacementRequest:
    at = draw(st.integers(0, 2))
    kind = draw(st.sampled_from(["required", "preferred", "unconstrained"]))
    topology: dict[str, Any] = {kind: True if kind == "unconstrained" else LEVELS[at]}
    count = draw(st.integers(1, 16))
    if kind != "unconstrained" and draw(st.booleans()):
        size = draw(st.integers(1, 4))
        topology |= {"podSetSliceRequiredTopology": LEVELS[draw(st.integers(at, 2))], "podSetSliceSize": size}
        count = size * draw(st.integers(1, 5))
    return PlacementRequest("main", count, {"cpu": 1000 * draw(st.integers(1, 3))}, topology)


def place(topology: FlavorTopology, request: PlacementRequest, profile: Profile) -> TopologyAssignment:
    placed = Finder(topology, profile).find([request])
    assume(not placed.failed)
    found = placed.assignments["main"]
    assert found is not None
    return found


def by_level(topology: FlavorTopology, found: TopologyAssignment, level: str) -> dict[str, int]:
    """Pods in each domain of that level."""
    tree = topology.tree
    pods: dict[str, int] = {}
    for domain in found.domains:
        values = tree.values[tree.leaf(domain.values)][: tree.level_of(level) + 1]
        pods[domain_id(values)] = pods.get(domain_id(values), 0) + domain.count
    return pods


@given(trees(), requests(), st.sampled_from(PROFILES))
def test_never_more_on_a_host_than_fits(topology: FlavorTopology, request: PlacementRequest, profile: Profile) -> None:
    found = place(topology, request, profile)
    assert found.pods == request.count
    for host, taken in found.usage(request.requests).items():
        free = topology.free[topology.tree.leaf_of[host]]
        assert all(amount <= free.get(resource, 0) for resource, amount in taken.items())


@given(trees(), requests(), st.sampled_from(PROFILES))
def test_a_required_level_is_never_split_and_no_slice_is(topology: FlavorTopology, request: PlacementRequest, profile: Profile) -> None:
    found = place(topology, request, profile)
    asked = request.topology or {}
    if "required" in asked:
        assert len(by_level(topology, found, asked["required"])) == 1
    if "podSetSliceRequiredTopology" in asked:
        pods = by_level(topology, found, asked["podSetSliceRequiredTopology"])
        assert all(count % asked["podSetSliceSize"] == 0 for count in pods.values())


@given(trees(), requests(), st.integers(1, 2))
def test_a_leader_goes_with_its_workers(topology: FlavorTopology, request: PlacementRequest, leader_cpu: int) -> None:
    grouped = {**(request.topology or {}), "podSetGroupName": "g"}
    workers = PlacementRequest("main", request.count, request.requests, grouped)
    leader = PlacementRequest("leader", 1, {"cpu": 1000 * leader_cpu}, grouped)
    placed = Finder(topology, Profile()).find([leader, workers])
    assume(not placed.failed and request.count > 1)
    taken: dict[str, dict[str, int]] = {}
    for one in (leader, workers):
        found = placed.assignments[one.name]
        assert found is not None
        assert found.pods == one.count
        for host, amounts in found.usage(one.requests).items():
            for resource, amount in amounts.items():
                taken.setdefault(host, {})[resource] = taken.get(host, {}).get(resource, 0) + amount
    for host, amounts in taken.items():
        assert all(amount <= topology.free[topology.tree.leaf_of[host]].get(resource, 0) for resource, amount in amounts.items())
    if "required" in grouped:
        both = [*_domains(placed, "leader"), *_domains(placed, "main")]
        assert len(by_level(topology, TopologyAssignment((HOST,), both), grouped["required"])) == 1


def _domains(placed: Placed, name: str) -> list[Any]:
    found = placed.assignments[name]
    return found.domains if found is not None else []


@given(trees(), st.lists(requests(), min_size=2, max_size=4), st.lists(st.tuples(st.integers(0, 30), st.integers(-2, 2)), max_size=8))
def test_kept_counts_are_those_of_a_fresh_count(
    topology: FlavorTopology, asked: list[PlacementRequest], changes: list[tuple[int, int]]
) -> None:
    def counted(of: FlavorTopology) -> list[Any]:
        found: list[Any] = []
        for request in asked:
            counts, _ = of.counts(Needs(of.tree, request, None), request.rules, {})
            found.append((counts.pods, counts.slices, counts.pods_with_leader, counts.slices_with_leader))
        return found

    counted(topology)
    for at, cpu in changes:
        topology.use(topology.tree.ids[at % topology.tree.leaf_count], {"cpu": 1000 * cpu, "pods": cpu}, 1)
    fresh = FlavorTopology("default", LEVELS, [host for host in topology.tree.hosts if host is not None])
    fresh.free = [dict(each) for each in topology.free]
    assert counted(topology) == counted(fresh)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=6))
def test_an_attempt_leaves_no_trace(uses: list[tuple[str, int]]) -> None:
    journal = Journal()
    topologies = Topologies(journal)
    topologies.set_topology("default", LEVELS)
    topologies.set_flavor("one", "default", {"pool": "default"})
    topologies.set_flavor("two", "default", {"pool": "default"})
    for host in "abc":
        topologies.set_node(node(f"b/r/{host}", 4))

    def free() -> list[list[dict[str, int]]]:
        return [found.free for name in ("one", "two") if (found := topologies.flavor(name)) is not None]

    before = [[dict(each) for each in of] for of in free()]
    mark = journal.mark()
    for host, pods in uses:
        topologies.count(uses_of(["one"], TopologyAssignment((HOST,), [Domain((host,), pods)]), {"cpu": 500}), 1)
    assert [each["cpu"] for each in free()[0]] == [each["cpu"] for each in free()[1]]  # flavors on the same hosts see each other
    journal.undo(mark)
    assert free() == before
