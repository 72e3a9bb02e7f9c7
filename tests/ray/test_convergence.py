"""Whatever the world looks like, the planner brings it to what is wanted, and being interrupted anywhere makes nothing twice."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from raysail.api.core.pod import Pod
from raysail.api.ray import RayCluster
from raysail.ray.cluster import replicas
from raysail.ray.cluster.actions import Create, Plan
from raysail.ray.cluster.planner import World, plan
from raysail.ray.settings import RaySettings
from tests.ray.builders import cluster, group, head, pod

SETTINGS = RaySettings()


class Api:
    """Pods as an API server keeps them: names are unique, what is deleted goes at once or lingers."""

    def __init__(self, pods: list[Pod]) -> None:
        self.pods = {p.metadata.name: p for p in pods}
        self.created: Counter[str] = Counter()

    def create(self, create: Create) -> None:
        if create.name in self.pods:
            return  # AlreadyExists
        self.created[create.name] += 1
        marks = {"ray.io/worker-group-replica-name": create.replica.name} if create.replica.name else {}
        if create.worker is None:
            self.pods[create.name] = head(create.name)
        else:
            self.pods[create.name] = pod(create.name, group_name=create.group, index=create.replica.index, labels=marks)

    def delete(self, name: str) -> None:
        self.pods.pop(name, None)

    def settle(self) -> None:
        """What lingered is gone."""
        self.pods = {name: p for name, p in self.pods.items() if p.metadata.deletion_timestamp is None}


def planned(made: RayCluster, pods: list[Pod], used: set[str]) -> Plan:
    return plan(World(made, pods, used | {p.metadata.name for p in pods}, "H", SETTINGS))


def any_pods(hosts: int) -> st.SearchStrategy[list[Pod]]:
    phases = st.sampled_from(["Pending", "Running", "Failed", "Succeeded"])

    def worker(data: tuple[int, str, int, bool]) -> Pod:
        number, phase, index, terminating = data
        marks = {"ray.io/worker-group-replica-name": f"r{index}"} if hosts > 1 else {}
        return pod(f"w{number}", phase=phase, index=index, terminating=terminating, labels=marks)

    workers = st.lists(st.tuples(st.integers(0, 30), phases, st.integers(0, 4), st.booleans()), max_size=8, unique_by=lambda d: d[0])
    heads = st.lists(st.tuples(phases, st.booleans()), max_size=1)
    return st.builds(
        lambda w, h: [worker(d) for d in w] + [head(phase=phase, terminating=terminating) for phase, terminating in h], workers, heads
    )


worlds = st.integers(1, 3).flatmap(lambda hosts: st.tuples(st.just(hosts), any_pods(hosts), st.integers(0, 4)))


def converge(api: Api, made: RayCluster, rng: random.Random, *, interrupted: bool) -> None:
    """Reconciles until nothing is left to do. Interrupted: any step may stop anywhere, be forgotten and be planned anew by a process that knows nothing."""
    used: set[str] = set()
    for _ in range(60):
        steps = planned(made, list(api.pods.values()), used)
        if not steps.creates and not steps.deletes and not any(p.metadata.deletion_timestamp for p in api.pods.values()):
            return
        actions: list[Any] = [*steps.deletes, *steps.creates]
        rng.shuffle(actions)
        if interrupted and rng.random() < 0.4:
            actions = actions[: rng.randint(0, len(actions))]
            used = set()
        for action in actions:
            if isinstance(action, Create):
                api.create(action)
            else:
                api.delete(action.name)
        if not interrupted:
            used |= set(api.pods)
        api.settle()
    raise AssertionError("it never comes to rest")


@given(world=worlds, seed=st.integers(0, 2**16), interrupted=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_world_comes_to_what_is_wanted(world: tuple[int, list[Pod], int], seed: int, interrupted: bool) -> None:
    hosts, pods, wanted = world
    made = cluster(group(replicas=wanted, numOfHosts=hosts))
    api = Api(pods)
    converge(api, made, random.Random(seed), interrupted=interrupted)
    found = Counter(p.metadata.labels["ray.io/node-type"] for p in api.pods.values() if p.metadata.labels)
    assert found["head"] == 1
    assert found["worker"] == replicas.desired_total(made)
    assert all(p.status.phase in ("Running", "Pending") for p in api.pods.values())


@given(wanted=st.integers(0, 5), hosts=st.integers(1, 3), seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_a_plan_carried_out_by_two_processes_makes_nothing_twice(wanted: int, hosts: int, seed: int) -> None:
    made = cluster(group(replicas=wanted, numOfHosts=hosts))
    api, rng = Api([]), random.Random(seed)
    first, second = planned(made, [], set()), planned(made, [], set())
    actions = [*first.creates[: rng.randint(0, len(first.creates))], *second.creates]
    rng.shuffle(actions)
    for action in actions:
        api.create(action)
    assert len(api.pods) == 1 + replicas.desired_total(made)
    assert all(count == 1 for count in api.created.values())
    again = planned(made, list(api.pods.values()), set())
    assert (again.creates, again.deletes) == ((), ())
