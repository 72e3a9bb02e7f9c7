"""Which Pod goes where, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from raysail.api.core import Node, Pod
from raysail.builtin.binder.plan import Bind, plan
from raysail.builtin.binder.requests import pod_requests
from tests.builtin.builders import node, pod


@dataclass(frozen=True)
class Case:
    rule: str
    nodes: list[Node]
    pending: list[Pod]
    bound: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    placed: dict[str, list[Pod]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.rule


def small(name: str = "n", **fields: object) -> Node:
    return node(name, cpu="4", memory="8Gi", **fields)  # type: ignore[arg-type]


GPU_ONLY = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]
            }
        }
    }
}
LIKES_GPU = {
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 10, "preference": {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}}
            ]
        }
    }
}
APART = {
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "x"}}}]
        }
    }
}
NEAR = {
    "affinity": {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "x"}}}]
        }
    }
}
NO_GPU_TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}

CASES = [
    Case("no nodes", [], [pod("p", "Pending")], waits={"p": "no nodes available to schedule pods"}),
    Case("fits", [small()], [pod("p", "Pending", requests={"cpu": "4"})], {"p": "n"}),
    Case("does not fit", [small("a"), small("b")], [pod("p", "Pending", requests={"cpu": "5"})], waits={"p": "0/2 nodes are available: 2 Insufficient cpu."}),
    Case("lacks two things", [small()], [pod("p", "Pending", requests={"cpu": "5", "memory": "9Gi"})], waits={"p": "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."}),
    Case("a resource that the node does not have", [small()], [pod("p", "Pending", requests={"nvidia.com/gpu": "1"})], waits={"p": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}),
    Case("what runs takes room", [small()], [pod("p", "Pending", requests={"cpu": "2"})], placed={"n": [pod("r", requests={"cpu": "3"})]}, waits={"p": "0/1 nodes are available: 1 Insufficient cpu."}),
    Case("two that fit only one by one", [small()], [pod("a", "Pending", requests={"cpu": "3"}), pod("b", "Pending", requests={"cpu": "3"})], {"a": "n"}, {"b": "0/1 nodes are available: 1 Insufficient cpu."}),
    Case("the more important first", [small()], [pod("a", "Pending", requests={"cpu": "3"}), pod("b", "Pending", requests={"cpu": "3"}, priority=10)], {"b": "n"}, {"a": "0/1 nodes are available: 1 Insufficient cpu."}),
    Case("among equals the older first", [small()], [pod("a", "Pending", requests={"cpu": "3"}, created="2026-01-02T00:00:00Z"), pod("b", "Pending", requests={"cpu": "3"})], {"b": "n"}, {"a": "0/1 nodes are available: 1 Insufficient cpu."}),
    Case("spreads over nodes", [small("a"), small("b")], [pod(f"p{i}", "Pending", requests={"cpu": "1"}) for i in range(4)], {"p0": "a", "p1": "b", "p2": "a", "p3": "b"}),
    Case("spreads what asks for nothing too", [small("a"), small("b")], [pod(f"p{i}", "Pending") for i in range(2)], {"p0": "a", "p1": "b"}),
    Case("goes where it is emptiest", [small("a"), small("b")], [pod("p", "Pending", requests={"cpu": "1"})], {"p": "b"}, placed={"a": [pod("r", requests={"cpu": "2"})]}),
    Case("too many pods", [node("n", cpu="4", memory="8Gi", pods="1")], [pod("p", "Pending")], placed={"n": [pod("r")]}, waits={"p": "0/1 nodes are available: 1 Too many pods."}),
    Case("node selector", [small("a"), small("b", labels={"pool": "x"})], [pod("p", "Pending", nodeSelector={"pool": "x"})], {"p": "b"}),
    Case("node selector that nobody has", [small("a")], [pod("p", "Pending", nodeSelector={"pool": "x"})], waits={"p": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}),
    Case("required node affinity", [small("a"), small("b", labels={"gpu": "1"})], [pod("p", "Pending", **GPU_ONLY)], {"p": "b"}),
    Case("preferred node affinity beats emptiness", [small("a"), small("b", labels={"gpu": "1"})], [pod("p", "Pending", **LIKES_GPU)], {"p": "b"}, placed={"b": [pod("r", requests={"cpu": "3"})]}),
    Case("taint", [small("a", taints=[NO_GPU_TAINT])], [pod("p", "Pending")], waits={"p": "0/1 nodes are available: 1 node(s) had untolerated taint(s)."}),
    Case("toleration", [small("a", taints=[NO_GPU_TAINT])], [pod("p", "Pending", tolerations=[{"key": "gpu", "operator": "Exists"}])], {"p": "a"}),
    Case("toleration of another value", [small("a", taints=[NO_GPU_TAINT])], [pod("p", "Pending", tolerations=[{"key": "gpu", "value": "no"}])], waits={"p": "0/1 nodes are available: 1 node(s) had untolerated taint(s)."}),
    Case("avoids a node that would rather not", [small("a", taints=[{**NO_GPU_TAINT, "effect": "PreferNoSchedule"}]), small("b")], [pod("p", "Pending")], {"p": "b"}),
    Case("different faults are counted by their words", [small("a"), small("b", taints=[NO_GPU_TAINT]), small("c")], [pod("p", "Pending", requests={"cpu": "9"})], waits={"p": "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."}),
    Case("anti-affinity keeps apart", [small("a", labels={"host": "a"}), small("b", labels={"host": "b"})], [pod("p", "Pending", **APART)], {"p": "b"}, placed={"a": [pod("r", labels={"app": "x"})]}),
    Case("anti-affinity without room", [small("a", labels={"host": "a"})], [pod("p", "Pending", **APART)], placed={"a": [pod("r", labels={"app": "x"})]}, waits={"p": "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."}),
    Case("those that run may keep others away", [small("a", labels={"host": "a"})], [pod("p", "Pending", labels={"app": "x"})], placed={"a": [pod("r", **APART)]}, waits={"p": "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."}),
    Case("affinity goes near", [small("a", labels={"host": "a"}), small("b", labels={"host": "b"})], [pod("p", "Pending", **NEAR)], {"p": "b"}, placed={"b": [pod("r", labels={"app": "x"})]}),
    Case("the first of a group may go anywhere", [small("a", labels={"host": "a"})], [pod("p", "Pending", labels={"app": "x"}, **NEAR)], {"p": "a"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plan(case: Case) -> None:
    decisions = plan(case.nodes, case.placed, case.pending)
    assert {d.pod.metadata.name: d.node for d in decisions if isinstance(d, Bind)} == case.bound
    assert {d.pod.metadata.name: d.message for d in decisions if not isinstance(d, Bind)} == case.waits


def test_claims_keep_a_pod_from_every_node() -> None:
    decisions = plan([small()], {}, [pod("p", "Pending")], lambda p: 'persistentvolumeclaim "x" not found')
    assert [d.message for d in decisions if not isinstance(d, Bind)] == ['0/1 nodes are available: persistentvolumeclaim "x" not found.']


def test_requests_of_init_and_sidecar_containers() -> None:
    def container(cpu: str, policy: str | None = None) -> dict[str, object]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **({"restartPolicy": policy} if policy else {})}

    spec = pod("p", initContainers=[container("100m", "Always"), container("2")], requests={"cpu": "1"}, overhead={"cpu": "50m"}).spec
    assert pod_requests(spec) == {"cpu": 2150}, "init step 2 + sidecar 0.1 is more than 1.1; overhead comes on top"
    assert pod_requests(pod("p", initContainers=[container("100m", "Always")], requests={"cpu": "1"}).spec) == {"cpu": 1100}
    assert pod_requests(pod("p", resources={"requests": {"cpu": "3"}}, requests={"cpu": "1"}).spec) == {"cpu": 3000}
