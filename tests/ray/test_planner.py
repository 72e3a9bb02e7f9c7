"""Which Pods a cluster makes and deletes: a case a rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from raysail.api.core.pod import Pod
from raysail.api.ray import RayCluster
from raysail.ray.cluster.actions import Plan
from raysail.ray.cluster.planner import World, plan
from raysail.ray.settings import FeatureGates, RaySettings
from tests.ray.builders import cluster, group, head, pod

PROVISIONED = {"conditions": [{"type": "RayClusterProvisioned", "status": "True"}]}
SUSPENDING = {"conditions": [{"type": "RayClusterSuspending", "status": "True"}]}
SUSPENDED = {"conditions": [{"type": "RayClusterSuspended", "status": "True"}]}
HASH = "H"


def planned(made: RayCluster, pods: list[Pod], settings: RaySettings | None = None, used: set[str] | None = None) -> Plan:
    names = {p.metadata.name for p in pods} | (used or set())
    return plan(World(made, pods, names, HASH, settings or RaySettings()))


def multi(name: str, *names: str, index: int = 0, **fields: Any) -> list[Pod]:
    """The Pods of one replica of a multi-host group."""
    marks = {"ray.io/worker-group-replica-name": name, "ray.io/worker-group-replica-index": str(index)}
    return [pod(one, labels=marks, **fields) for one in names]


@dataclass
class Case:
    rule: str
    cluster: RayCluster
    pods: list[Pod] = field(default_factory=list)
    creates: dict[str, int] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    indices: list[int] | None = None
    obstacle: bool = False
    events: tuple[str, ...] = ()
    settings: RaySettings = field(default_factory=RaySettings)

    def __str__(self) -> str:
        return self.rule


AUTOSCALED: dict[str, Any] = {"enableInTreeAutoscaling": True}

CASES = [
    Case("an empty world gets head and workers", cluster(group(replicas=2)), creates={"headgroup": 1, "small": 2}, indices=[0, 0, 1]),
    Case("what is there is left alone", cluster(group(replicas=1)), [head(), pod("a", index=0)]),
    Case("replicas keep within their bounds", cluster(group(replicas=9, maxReplicas=2)), [head()], creates={"small": 2}),
    Case("fewer replicas than minReplicas do not count", cluster(group(replicas=0, minReplicas=1)), [head()], creates={"small": 1}),
    Case(
        "new workers take the free indices", cluster(group(replicas=3)), [head(), pod("a", index=1)], creates={"small": 2}, indices=[0, 2]
    ),
    Case("groups of one name share their Pods", cluster(group("g", 2), group("g", 2)), [head()], creates={"g": 2}),
    Case("a failed head goes first, workers wait", cluster(group()), [head(phase="Failed")], deletes={"rc-head-abcde"}, obstacle=True),
    Case("a head that is going holds its place", cluster(), [head(phase="Failed", terminating=True)], obstacle=True),
    Case(
        "a head whose Ray container ended and may not restart",
        cluster(),
        [head(restart_policy="Never", ended=True)],
        deletes={"rc-head-abcde"},
        obstacle=True,
    ),
    Case("a head that the kubelet restarts is left alone", cluster(), [head(restart_policy="Always", ended=True)]),
    Case("two heads stop everything", cluster(group()), [head("h1"), head("h2")], obstacle=True),
    Case(
        "no second head after the first was up, where an annotation says so",
        cluster(group(), status=PROVISIONED, metadata={"annotations": {"ray.io/disable-provisioned-head-restart": "true"}}),
    ),
    Case(
        "lost workers go, nothing new in the same step",
        cluster(group(replicas=3)),
        [head(), pod("a", phase="Failed", index=0), pod("b", phase="Succeeded", index=1)],
        deletes={"a", "b"},
        obstacle=True,
    ),
    Case(
        "a lost worker on its way out holds its place",
        cluster(group(replicas=1)),
        [head(), pod("a", phase="Failed", index=0, terminating=True)],
        obstacle=True,
    ),
    Case("a worker on its way out is not replaced yet", cluster(group(replicas=1)), [head(), pod("a", index=0, terminating=True)]),
    Case(
        "shrinking: what does not run goes first, then what is not ready, then the newest",
        cluster(group(replicas=1)),
        [head(), pod("a", index=0), pod("b", index=1), pod("c", index=2, ready=False), pod("d", index=3, phase="Pending", ready=None)],
        deletes={"d", "c", "b"},
    ),
    Case(
        "shrinking: what is going counts",
        cluster(group(replicas=1)),
        [head(), pod("a", index=0), pod("b", index=1, terminating=True)],
    ),
    Case("with the autoscaler nothing is chosen for it", cluster(group(replicas=0), **AUTOSCALED), [head(), pod("a", index=0)]),
    Case(
        "unless it may be",
        cluster(group(replicas=0), **AUTOSCALED),
        [head(), pod("a", index=0)],
        deletes={"a"},
        settings=RaySettings(random_pod_delete=True),
    ),
    Case(
        "named workers go whatever the replicas, and come back",
        cluster(group(replicas=2, scaleStrategy={"workersToDelete": ["a", "unknown"]}), **AUTOSCALED),
        [head(), pod("a", index=0), pod("b", index=1)],
        creates={"small": 1},
        deletes={"a"},
        indices=[0],
    ),
    Case(
        "a suspended group has no Pods",
        cluster(group(replicas=2, suspend=True), group("other")),
        [head(), pod("a"), pod("o", group_name="other", index=0)],
        deletes={"a"},
        events=("DeletedWorkerPod",),
    ),
    Case(
        "suspending deletes all",
        cluster(group(), status=SUSPENDING),
        [head(), pod("a")],
        deletes={"rc-head-abcde", "a"},
        events=("DeletedPod",),
    ),
    Case(
        "suspension does not turn back half way",
        cluster(group(), suspend=False, status=SUSPENDING),
        [head()],
        deletes={"rc-head-abcde"},
        events=("DeletedPod",),
    ),
    Case("before suspending is written nothing goes", cluster(group(), suspend=True), [head(), pod("a")]),
    Case("a suspended cluster makes nothing", cluster(group(), suspend=True, status=SUSPENDED)),
    Case(
        "without conditions suspend acts at once",
        cluster(group(), suspend=True),
        [head()],
        deletes={"rc-head-abcde"},
        events=("DeletedPod",),
        settings=RaySettings(gates=FeatureGates(ray_cluster_status_conditions=False)),
    ),
    Case(
        "hosts of a replica are made together",
        cluster(group(replicas=2, numOfHosts=2)),
        [head()],
        creates={"small": 4},
        indices=[0, 0, 1, 1],
    ),
    Case(
        "a replica that misses a host goes as a whole",
        cluster(group(replicas=2, numOfHosts=2)),
        [head(), *multi("r0", "a"), *multi("r1", "b", "c", index=1)],
        deletes={"a"},
        obstacle=True,
    ),
    Case(
        "a lost host takes its replica along",
        cluster(group(replicas=1, numOfHosts=2)),
        [head(), *multi("r0", "a"), *multi("r0", "b", phase="Failed")],
        deletes={"a", "b"},
        obstacle=True,
    ),
    Case(
        "a named host takes its replica along",
        cluster(group(replicas=1, numOfHosts=2, scaleStrategy={"workersToDelete": ["b"]}), **AUTOSCALED),
        [head(), *multi("r0", "a", "b")],
        deletes={"a", "b"},
        obstacle=True,
    ),
    Case(
        "replicas of several hosts shrink as a whole",
        cluster(group(replicas=1, numOfHosts=2)),
        [head(), *multi("r0", "a", "b"), *multi("r1", "c", "d", index=1)],
        deletes={"c", "d"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plan(case: Case) -> None:
    made = planned(case.cluster, case.pods, case.settings)
    groups = [create.group for create in made.creates]
    assert {name: groups.count(name) for name in groups} == case.creates
    assert {delete.name for delete in made.deletes} == case.deletes
    assert bool(made.obstacle) is case.obstacle
    assert tuple(event.reason for event in made.events) == case.events
    if case.indices is not None:
        assert [create.replica.index for create in made.creates] == case.indices


class TestRecreate:
    MADE = cluster(group(), upgradeStrategy={"type": "Recreate"})

    @staticmethod
    def marked(version: str, written: str) -> Pod:
        return head(annotations={"ray.io/kuberay-version": version, "ray.io/upgrade-strategy-recreate-hash": written})

    def test_another_spec_deletes_all_pods(self) -> None:
        made = planned(self.MADE, [self.marked("raysail-1", "OLD"), pod("a", index=0)])
        assert {delete.name for delete in made.deletes} == {"rc-head-abcde", "a"}

    def test_the_same_spec_does_not(self) -> None:
        assert planned(self.MADE, [self.marked("raysail-1", HASH), pod("a", index=0)]) == Plan()

    def test_without_the_strategy_edits_reach_no_pod(self) -> None:
        assert planned(cluster(group()), [self.marked("raysail-1", "OLD"), pod("a", index=0)]) == Plan()

    def test_pods_of_another_operator_are_taken_over(self) -> None:
        made = planned(self.MADE, [self.marked("v1.6.0", "OLD"), pod("a", index=0)])
        assert made.deletes == ()
        assert made.rewrite is not None
        assert made.rewrite.annotations["ray.io/upgrade-strategy-recreate-hash"] == HASH


class TestNames:
    def test_the_same_world_gives_the_same_names(self) -> None:
        made = cluster(group(replicas=3), group("big", replicas=2, numOfHosts=2))
        first, second = planned(made, []), planned(made, [])
        assert first == second
        assert len({create.name for create in first.creates}) == 8

    def test_another_cluster_of_the_name_has_others(self) -> None:
        first, second = planned(cluster(), []), planned(cluster(metadata={"uid": "other"}), [])
        assert first.creates[0].name != second.creates[0].name

    def test_a_replacement_has_a_name_of_its_own(self) -> None:
        made = cluster(group(replicas=1))
        first = planned(made, [head()]).creates[0].name
        again = planned(made, [head()], used={first}).creates[0]
        assert again.name != first
        assert again.replica.index == 0

    def test_they_begin_as_kuberays_do(self) -> None:
        made = planned(cluster(group()), [])
        assert [create.name[:-5] for create in made.creates] == ["rc-head-", "rc-small-worker-"]

    def test_a_fixed_head_name(self) -> None:
        assert planned(cluster(), [], RaySettings(deterministic_head_pod_name=True)).creates[0].name == "rc-head"
