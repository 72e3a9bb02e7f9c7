"""A queue's life as a state machine: jobs come, end, are withdrawn; quotas, priorities and stops change; the controllers are killed and start anew.

After every step the planner decides, and what must always hold is looked at. Time is virtual.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raysail.api.kueue import ClusterQueue, Workload
from raysail.queue.answers.snapshot import Snapshot
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.pending.waking import wake_tree
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import Admit, Plan, Preempt
from raysail.queue.planner.options import Options
from raysail.queue.planner.preemption.candidates import satisfies_policy
from tests.queue.builders import START, at, scene, wl
from tests.queue.properties.examples import examples
from tests.queue.properties.test_invariants import check_sums, queues

STEPS = 30


class QueueLife(RuleBasedStateMachine):
    """The API's objects beside the planner's world, as the controllers keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = 0
        self.objects: list[Any] = []
        self.workloads: dict[str, dict[str, Any]] = {}
        self.snapshot: Snapshot | None = None
        self.options = Options()

    # helpers

    @property
    def now(self) -> float:
        return (START + timedelta(seconds=self.tick)).timestamp()

    @property
    def live(self) -> Snapshot:
        assert self.snapshot is not None
        return self.snapshot

    def object_of(self, name: str) -> Workload:
        facts = self.workloads[name]
        conditions = []
        if facts["evicted"]:
            conditions.append({"type": "Evicted", "status": "True", "reason": "Preempted", "lastTransitionTime": at(facts["evicted"])})
        return wl(
            name,
            facts["queue"],
            facts["cpu"],
            priority=facts["priority"],
            created=facts["created"],
            holds=facts["flavor"],
            since=facts["since"],
            conditions=conditions,
        )

    def build(self) -> Snapshot:
        return scene(*self.objects, *(self.object_of(name) for name in self.workloads), options=self.options)

    def pick(self, which: int, *, holding: bool) -> str | None:
        found = sorted(name for name, facts in self.workloads.items() if bool(facts["flavor"]) == holding)
        return found[which % len(found)] if found else None

    def wake(self, queue: str) -> None:
        node = self.live.world.cluster_queues[queue]
        wake_tree(self.live.world, self.live.pending, node, self.now)

    def decide(self) -> Plan:
        """One plan, applied to the objects as its writes would."""
        live = self.live
        result = plan(live.world, live.pending, self.now, self.options)
        for decision in result.decisions:
            if isinstance(decision, Admit):
                facts = self.workloads[decision.info.name]
                assert not facts["flavor"], "admitted twice"
                facts["flavor"] = decision.assignment.pod_sets[0].flavors["cpu"].flavor
                facts["since"], facts["evicted"] = self.tick, 0
            elif isinstance(decision, Preempt):
                self.check_policy(decision)
                for victim in decision.victims:
                    self.workloads[victim.info.name]["evicted"] = self.tick
        return result

    def check_policy(self, decision: Preempt) -> None:
        queue = self.live.world.cluster_queues[decision.preemptor.cluster_queue]
        for victim in decision.victims:
            own = victim.info.cluster_queue == queue.name
            policy = queue.preemption.within_cluster_queue if own else queue.preemption.reclaim_within_cohort
            assert satisfies_policy(decision.preemptor, victim.info, policy)
            assert self.workloads[victim.info.name]["flavor"], "only what holds quota is preempted"

    def leave(self, name: str) -> None:
        """A victim's job has stopped: its quota is free, and it waits again."""
        facts = self.workloads[name]
        queue = facts["queue"]
        facts["flavor"] = ""
        self.live.world.remove_workload(f"ns/{name}")
        self.live.pending.push(WorkloadInfo(self.object_of(name)), self.now)
        self.wake(queue)

    # what happens

    @initialize(objects=queues(), fair=st.booleans())
    def start(self, objects: list[Any], fair: bool) -> None:
        self.objects = objects
        self.options = Options(fair_strategies=() if fair else None)
        self.snapshot = self.build()

    @rule(which=st.integers(0, 9), cpu=st.integers(1, 5), priority=st.integers(0, 3))
    def submit(self, which: int, cpu: int, priority: int) -> None:
        self.tick += 1
        names = sorted(self.live.world.cluster_queues)
        name = f"w{len(self.workloads) + self.tick:04}"
        facts = {"queue": names[which % len(names)], "cpu": cpu, "priority": priority, "created": self.tick}
        self.workloads[name] = {**facts, "flavor": "", "since": 0, "evicted": 0}
        self.live.pending.push(WorkloadInfo(self.object_of(name)), self.now)
        self.decide()

    @rule(which=st.integers(0, 9))
    def end(self, which: int) -> None:
        self.tick += 1
        name = self.pick(which, holding=True)
        if name is not None:
            queue = self.workloads.pop(name)["queue"]
            self.live.world.remove_workload(f"ns/{name}")
            self.wake(queue)
        self.decide()

    @rule(which=st.integers(0, 9))
    def withdraw(self, which: int) -> None:
        self.tick += 1
        name = self.pick(which, holding=False)
        if name is not None:
            del self.workloads[name]
            self.live.pending.discard(f"ns/{name}")
        self.decide()

    @rule(which=st.integers(0, 9), priority=st.integers(0, 3))
    def change_priority(self, which: int, priority: int) -> None:
        self.tick += 1
        name = self.pick(which, holding=False)
        if name is not None:
            self.workloads[name]["priority"] = priority
            self.live.pending.push(WorkloadInfo(self.object_of(name)), self.now)
        self.decide()

    @rule(which=st.integers(0, 9), nominal=st.integers(0, 6))
    def raise_quota(self, which: int, nominal: int) -> None:
        """Quotas only grow here: lowering leaves use above quota on purpose."""
        self.tick += 1
        at_ = [index for index, each in enumerate(self.objects) if isinstance(each, ClusterQueue)]
        index = at_[which % len(at_)]
        body = msgspec.to_builtins(self.objects[index])
        resource = body["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
        resource["nominalQuota"] = str(max(int(resource["nominalQuota"]), nominal))
        changed = self.objects[index] = msgspec.convert(body, ClusterQueue)
        queue = self.live.world.set_cluster_queue(changed)
        self.wake(queue.name)
        self.decide()

    @rule()
    def victims_leave(self) -> None:
        self.tick += 1
        for name, facts in sorted(self.workloads.items()):
            if facts["evicted"] and facts["flavor"]:
                self.leave(name)
        self.decide()

    @rule()
    def kill(self) -> None:
        """The controllers start anew: what the API knows gives the same use, and the same workloads wait."""
        before, after = self.live, self.build()
        assert _use(before) == _use(after)
        for name, queue in before.pending.queues.items():
            assert sorted(info.key for info in queue.all()) == sorted(info.key for info in after.pending.queues[name].all())
        self.snapshot = after
        self.decide()

    @precondition(lambda self: self.snapshot is not None and not self.options.fair_sharing)
    @rule()
    def grow_quiet(self) -> None:
        """Nothing more happens: preemption comes to an end."""
        for _ in range(4 * len(self.workloads) + 10):
            self.tick += 1
            leaving = [name for name, facts in sorted(self.workloads.items()) if facts["evicted"] and facts["flavor"]]
            for name in leaving:
                self.leave(name)
            result = self.decide()
            if not leaving and not any(isinstance(each, Admit | Preempt) for each in result.decisions):
                return
        raise AssertionError("preemption goes on and on")

    # what always holds

    @invariant()
    def never_over_quota(self) -> None:
        if self.snapshot is None:
            return
        for name, queue in self.live.world.cluster_queues.items():
            expected: dict[str, int] = {}
            for facts in self.workloads.values():
                if facts["queue"] == name and facts["flavor"]:
                    expected[facts["flavor"]] = expected.get(facts["flavor"], 0) + 1000 * facts["cpu"]
            used = {flavor: value for (flavor, _), value in queue.usage.items() if value}
            assert used == expected, f"{name}: the world and the API differ"
            for key in queue.usage:
                assert queue.available(key) >= 0, f"{name} is over its quota of {key}"

    @invariant()
    def sums_are_right(self) -> None:
        if self.snapshot is not None:
            check_sums(self.live)


def _use(snapshot: Snapshot) -> dict[str, Any]:
    nodes = {**snapshot.world.cluster_queues, **snapshot.world.cohorts}
    return {name: {key: value for key, value in node.usage.items() if value} for name, node in nodes.items()}


TestQueueLife = QueueLife.TestCase
TestQueueLife.settings = settings(
    max_examples=examples(25), stateful_step_count=STEPS, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
