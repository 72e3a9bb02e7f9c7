"""What holds in every world, whatever happens: found by hypothesis, in virtual time.

A small world lives for some steps: jobs arrive, end, are deleted, quotas change, victims leave. After each plan the invariants are checked.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysail.api.kueue import Workload
from raysail.queue.answers.snapshot import Snapshot
from raysail.queue.model.quota import CohortNode, QuotaNode
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import Admit, Plan, Preempt
from raysail.queue.planner.options import Options
from raysail.queue.planner.preemption.candidates import satisfies_policy
from tests.queue.builders import START, cohort, cq, scene, wl
from tests.queue.properties.examples import examples

POLICIES = st.sampled_from(["Never", "LowerPriority", "LowerOrNewerEqualPriority"])
RECLAIM = st.sampled_from(["Never", "LowerPriority", "Any"])
LIMIT = st.one_of(st.none(), st.integers(0, 4))


@st.composite
def queues(draw: st.DrawFn) -> list[Any]:
    """One to four ClusterQueues in at most two cohorts, one of them maybe below the other."""
    made: list[Any] = []
    names = draw(st.lists(st.sampled_from(["", "x", "y"]), min_size=1, max_size=4))
    if "y" in names and draw(st.booleans()):
        made.append(cohort("y", draw(st.integers(0, 3)), parent="x", borrow=draw(LIMIT), lend=draw(LIMIT)))
    for at, name in enumerate(names):
        nominal = draw(st.integers(0, 6))
        lend = draw(LIMIT) if name else None
        made.append(
            cq(
                f"q{at}",
                cohort=name,
                flavors={"one": nominal, "two": draw(st.integers(0, 4))},
                borrow=draw(LIMIT) if name else None,
                lend=min(lend, 0) if lend is not None else None,
                within=draw(POLICIES),
                reclaim=draw(RECLAIM) if name else "Never",
                strategy=draw(st.sampled_from(["BestEffortFIFO", "StrictFIFO"])),
            )
        )
    return made


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    """(what, which queue or workload, cpu, priority)."""
    kinds = st.sampled_from(["submit", "submit", "submit", "end", "delete", "leave"])
    return draw(st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=25))


@dataclass
class Life:
    """A world that goes on: plans, applies what they decide, and lets time pass."""

    snapshot: Snapshot
    options: Options
    tick: int = 0
    serial: int = 0
    waiting: dict[str, Workload] = field(default_factory=dict)
    evicted: dict[str, WorkloadInfo] = field(default_factory=dict)

    def step(self, what: str, which: int, cpu: int, priority: int) -> None:
        self.tick += 1
        world = self.snapshot.world
        names = sorted(world.cluster_queues)
        if what == "submit":
            self.serial += 1
            workload = wl(f"w{self.serial:03}", names[which % len(names)], cpu, priority=priority, created=self.tick)
            self.push(workload)
        elif what in ("end", "delete") and world.holders:
            self.release(sorted(world.holders)[which % len(world.holders)])
        elif what == "leave":
            for key, info in list(self.evicted.items()):
                del self.evicted[key]
                if world.holds(key):
                    self.release(key)
                    self.push(info.obj)

    def push(self, workload: Workload) -> None:
        info = WorkloadInfo(workload)
        self.waiting[info.key] = workload
        self.snapshot.pending.push(info, self.now)

    def release(self, key: str) -> None:
        self.snapshot.world.remove_workload(key)
        self.evicted.pop(key, None)
        for queue in self.snapshot.pending.queues.values():
            queue.retry(self.now, lambda _: True)

    @property
    def now(self) -> float:
        return (START + timedelta(seconds=self.tick)).timestamp()

    def plan(self) -> Plan:
        before = {name: dict(queue.workloads) for name, queue in self.snapshot.world.cluster_queues.items()}
        result = plan(self.snapshot.world, self.snapshot.pending, self.now, self.options)
        for decision in result.decisions:
            if isinstance(decision, Admit):
                self.waiting.pop(decision.info.key, None)
                before[decision.cluster_queue][decision.info.key] = decision.info  # a later round of the plan may want its place
            elif isinstance(decision, Preempt):
                check_policy(self.snapshot, decision, before)
                self.evicted.update((victim.info.key, victim.info) for victim in decision.victims)
        return result


def check_policy(snapshot: Snapshot, decision: Preempt, before: dict[str, dict[str, WorkloadInfo]]) -> None:
    """Nobody is preempted whom the policy protects."""
    queue = snapshot.world.cluster_queues[decision.preemptor.cluster_queue]
    for victim in decision.victims:
        own = victim.info.cluster_queue == queue.name
        policy = queue.preemption.within_cluster_queue if own else queue.preemption.reclaim_within_cohort
        assert satisfies_policy(decision.preemptor, victim.info, policy)
        assert victim.info.key in before[victim.info.cluster_queue]


def check_quota(snapshot: Snapshot) -> None:
    """Nowhere more in use than is there, may be borrowed, or is lent."""
    world = snapshot.world
    for name, queue in world.cluster_queues.items():
        expected: dict[Any, int] = {}
        for info in queue.workloads.values():
            for key, amount in info.usage().items():
                expected[key] = expected.get(key, 0) + amount
        assert {k: v for k, v in queue.usage.items() if v} == {k: v for k, v in expected.items() if v}, name
        for key in queue.usage:
            assert queue.available(key) >= 0, f"{name} is over its quota of {key}"
            assert queue.usage[key] <= queue.potential_available(key)


def tree_state(snapshot: Snapshot) -> dict[str, Any]:
    nodes: list[QuotaNode] = [*snapshot.world.cluster_queues.values(), *snapshot.world.cohorts.values()]
    return {node.name: {key: value for key, value in node.usage.items() if value} for node in nodes}


def check_sums(snapshot: Snapshot) -> None:
    """The tree's sums are what a recount from the leaves gives."""
    before = tree_state(snapshot)
    recounted = copy.deepcopy(snapshot.world)
    for node in recounted.cohorts.values():
        if node.parent is None and isinstance(node, CohortNode):
            node.recount()
    assert {
        n.name: {k: v for k, v in n.usage.items() if v} for n in (*recounted.cluster_queues.values(), *recounted.cohorts.values())
    } == before


OPTIONS = [Options(), Options(fair_strategies=())]


@pytest.mark.parametrize("options", OPTIONS, ids=["classical", "fair sharing"])
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues(), steps())
def test_never_over_quota_and_never_against_policy(options: Options, objects: list[Any], life: list[tuple[str, int, int, int]]) -> None:
    world = Life(scene(*objects, options=options), options)
    for step in life:
        world.step(*step)
        world.plan()
        check_quota(world.snapshot)
        check_sums(world.snapshot)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues(), steps())
def test_work_conserving_when_quiet(objects: list[Any], life: list[tuple[str, int, int, int]]) -> None:
    """With BestEffortFIFO nothing that would fit stays pending once nothing more happens."""
    objects = [_best_effort(each) for each in objects]
    world = Life(scene(*objects), Options())
    for step in life:
        world.step(*step)
    for _ in range(30):
        world.plan()
        if not world.evicted:
            break
        world.step("leave", 0, 0, 0)
    if world.evicted:
        return  # preemption still in progress
    for queue in world.snapshot.pending.queues.values():
        node = world.snapshot.world.cluster_queues[queue.name]
        for info in queue.all():
            asked = info.pod_sets[0].requests["cpu"]
            fits = any(max(0, node.available((flavor, "cpu"))) >= asked for flavor in ("one", "two"))
            assert not fits, f"{info.name} would fit in {queue.name}"


def _best_effort(obj: Any) -> Any:
    if not hasattr(obj.spec, "queueing_strategy"):
        return obj
    body = msgspec.to_builtins(obj)
    body["spec"]["queueingStrategy"] = "BestEffortFIFO"
    body["spec"]["preemption"] = {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"}
    return msgspec.convert(body, type(obj))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues(), steps())
def test_strict_fifo_is_never_overtaken(objects: list[Any], life: list[tuple[str, int, int, int]]) -> None:
    world = Life(scene(*objects), Options())
    for step in life:
        world.step(*step)
        before = {name: queue.in_order() for name, queue in world.snapshot.pending.queues.items()}
        result = world.plan()
        for name, queue in world.snapshot.pending.queues.items():
            if queue.strategy != "StrictFIFO":
                continue
            taken = {d.info.key for d in result.decisions if isinstance(d, Admit) and d.cluster_queue == name}
            passed = [info.key for info in before[name]]
            assert set(passed[: len(taken)]) == taken, "admitted are the first in line"


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues(), steps())
def test_the_same_life_gives_the_same_decisions(objects: list[Any], life: list[tuple[str, int, int, int]]) -> None:
    def live() -> list[Any]:
        world = Life(scene(*objects), Options())
        told = []
        for step in life:
            world.step(*step)
            told.append([(type(d).__name__, getattr(d, "message", "")) for d in world.plan().decisions])
        return told

    assert live() == live()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues(), steps())
def test_planning_again_changes_nothing(objects: list[Any], life: list[tuple[str, int, int, int]]) -> None:
    """A plan is complete: a second one without an event in between admits and preempts nobody."""
    world = Life(scene(*objects), Options())
    for step in life:
        world.step(*step)
        world.plan()
        again = world.plan()
        assert not [d for d in again.decisions if isinstance(d, Admit | Preempt)]
