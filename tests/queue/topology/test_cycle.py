"""Whole plans with topology: who is placed where, who waits and why, who goes."""

from __future__ import annotations

from raysail.api.kueue import Workload
from raysail.queue.answers.explain import why
from raysail.queue.answers.snapshot import Snapshot
from raysail.queue.planner.decisions import EvictUnhealthy, SecondPassFailed, Wait
from tests.queue.builders import NOW, cq, preempted, run, scene
from tests.queue.topology.builders import asks, free_on, node, places, pod, tas_flavor, topology

RACKS = [node("b1/r1/a", 2), node("b1/r1/b", 2), node("b1/r2/c", 2), node("b1/r2/d", 2)]


def world(*more: object, cpu: float = 100, within: str = "Never") -> Snapshot:
    return scene(topology(), tas_flavor(), cq("q", cpu, within=within), *RACKS, *more)  # type: ignore[arg-type]


def lined_up(snapshot: Snapshot, workload: Workload) -> None:
    info = snapshot.infos[f"ns/{workload.metadata.name}"]
    snapshot.pending.second_pass.put(info, NOW.timestamp() - 10)


def test_a_required_rack_gets_all_pods() -> None:
    assert places(run(world(asks("w", "q", count=4, topology_required="rack")))) == {"w": {"a": 2, "b": 2}}


def test_what_a_required_rack_cannot_hold_waits_with_kueues_words() -> None:
    result = run(world(asks("w", "q", count=5, topology_required="rack")))
    (told,) = [each for each in result.decisions if isinstance(each, Wait)]
    assert told.reason == "TopologyPlacementFailed"
    assert told.message == """couldn't assign flavors to pod set main: topology "default" allows to fit only 4 out of 5 pod(s)"""


def test_a_preferred_rack_spreads_where_it_must() -> None:
    assert sum(places(run(world(asks("w", "q", count=6, topology_preferred="rack"))))["w"].values()) == 6


def test_a_queue_of_topology_flavors_places_what_asks_for_nothing() -> None:
    assert places(run(world(asks("w", "q", count=3)))) == {"w": {"a": 2, "b": 1}}


def test_other_pods_take_room() -> None:
    snapshot = world(pod("daemon", "a", 1), pod("more", "c", 1), asks("w", "q", count=4, topology_required="rack"))
    assert free_on(snapshot, "a") == {"cpu": 1000, "pods": 109}
    assert places(run(snapshot)) == {}


def test_two_of_one_plan_do_not_get_the_same_place() -> None:
    placed = places(
        run(world(asks("v", "q", 2, topology_required="rack", count=2), asks("w", "q", 2, topology_required="rack", count=2, created=1)))
    )
    assert sorted([*placed["v"], *placed["w"]]) == ["a", "b", "c", "d"]


def test_what_ends_gives_its_place_back() -> None:
    snapshot = world(asks("old", "q", 2, count=2, at={"a": 1, "b": 1}))
    assert free_on(snapshot, "a")["cpu"] == 0
    snapshot.world.remove_workload("ns/old")
    assert free_on(snapshot, "a") == {"cpu": 2000, "pods": 110}


def test_quota_that_lies_in_pieces_costs_victims() -> None:
    low = [asks(f"low{at}", "q", 1, at={host: 1}, since=at) for at, host in enumerate("abcd")]
    result = run(world(*low, asks("high", "q", 2, priority=5, count=2, topology_required="rack"), within="LowerPriority"))
    assert len(preempted(result)) == 2
    assert set(preempted(result)) in ({"low0", "low1"}, {"low2", "low3"})


def test_a_failed_node_is_replaced_within_the_required_rack() -> None:
    hurt = asks("w", "q", 2, count=1, at={"gone": 1}, unhealthy="gone", topology_required="rack")
    snapshot = world(hurt)
    lined_up(snapshot, hurt)
    assert places(run(snapshot)) == {"w": {"a": 1}}


def test_without_a_replacement_it_is_evicted() -> None:
    hurt = asks("w", "q", 3, count=2, at={"a": 1, "gone": 1}, unhealthy="gone", topology_required="rack")
    snapshot = world(hurt)
    lined_up(snapshot, hurt)
    assert [type(each) for each in run(snapshot).decisions] == [EvictUnhealthy]


def test_without_fail_fast_it_is_tried_again() -> None:
    hurt = asks("w", "q", 3, count=2, at={"a": 1, "gone": 1}, unhealthy="gone", topology_required="rack")
    snapshot = world(hurt)
    snapshot.world.topologies.profile = type(snapshot.world.topologies.profile)(fail_fast=False)
    lined_up(snapshot, hurt)
    assert [type(each) for each in run(snapshot).decisions] == [SecondPassFailed]
    assert len(snapshot.pending.second_pass) == 1


def test_why_names_the_topology_and_what_would_help() -> None:
    snapshot = world(
        *(asks(f"low{at}", "q", 1, at={host: 1}, since=at) for at, host in enumerate("abcd")),
        asks("w", "q", 2, count=1, topology_required="rack"),
    )
    answer = why(snapshot, "ns/w", NOW.timestamp())
    assert answer is not None
    assert answer.summary.startswith(
        'waits for room in one place: topology "default" doesn\'t allow to fit any of 1 pod(s). Total nodes: 4'
    )
    assert len(answer.holders) == 4
    assert answer.helps[0].text == "it starts when Workload ns/low3 ends"
    snapshot.world.remove_workload("ns/low3")
    assert "w" in places(run(snapshot))


def test_why_offers_a_wider_level_that_then_works() -> None:
    given = asks("w", "q", count=6, topology_required="rack")
    answer = why(world(given), "ns/w", NOW.timestamp())
    assert answer is not None
    assert answer.never
    assert [each.text for each in answer.helps if each.kind == "topology"] == [
        "with block as the required level instead of rack it would start now"
    ]
    assert "w" in places(run(world(asks("w", "q", count=6, topology_required="block"))))
