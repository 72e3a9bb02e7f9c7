"""Binding on the embedded API."""

from __future__ import annotations

from raysail.api import conditions
from raysail.api.resources import EVENTS, NODES, PODS
from tests.builtin.conftest import cluster


async def test_binds_and_says_so() -> None:
    async with cluster("binder", "node") as c:
        await c.node("n1")
        await c.pod("p", {"cpu": "1"})
        pods = await c.pods_until(lambda pods: pods and pods[0].spec.node_name)
        assert pods[0].spec.node_name == "n1"
        assert conditions.is_true(pods[0].status.conditions, "PodScheduled")
        await c.manager.events.flush()
        events = await c.listed(EVENTS)
        assert [(e["reason"], e["note"], e["reportingController"]) for e in events] == [
            ("Scheduled", "Successfully assigned ns/p to n1", "default-scheduler")
        ]


async def test_waits_until_there_is_room_and_says_why() -> None:
    async with cluster("binder", "node") as c:
        await c.node("n1", cpu="1")
        await c.pod("first", {"cpu": "1"})
        await c.pods_until(lambda pods: pods and pods[0].spec.node_name)
        await c.pod("second", {"cpu": "1"})
        pods = await c.pods_until(lambda pods: len(pods) == 2 and conditions.is_false(pods[1].status.conditions, "PodScheduled"))
        said = conditions.find(pods[1].status.conditions, "PodScheduled")
        assert said is not None
        assert (said.reason, said.message) == ("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
        await c.set_pod("first", "Succeeded", ready=False)
        await c.pods_until(lambda pods: pods[1].spec.node_name == "n1")


async def test_a_node_that_is_not_ready_takes_nothing() -> None:
    async with cluster("binder", "node") as c:
        await c.create(NODES, "n1")
        await c.client.patch(NODES, "n1", {"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}}}, subresource="status")
        await c.pod("p")
        pods = await c.pods_until(lambda pods: pods and conditions.is_false(pods[0].status.conditions, "PodScheduled"))
        assert "untolerated taint" in str(pods[0].status.conditions)
        await c.client.patch(NODES, "n1", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")
        await c.pods_until(lambda pods: pods[0].spec.node_name)


async def test_gates_hold() -> None:
    async with cluster("binder", "node") as c:
        await c.node("n1")
        await c.pod("gated", spec={"schedulingGates": [{"name": "x.io/gate"}]})
        await c.pod("free")
        await c.pods_until(lambda pods: len(pods) == 2 and pods[0].spec.node_name)
        gated = await c.get(PODS, "gated")
        assert gated is not None
        assert "nodeName" not in gated["spec"]
        await c.client.patch(PODS, "gated", {"spec": {"schedulingGates": None}}, "ns")
        await c.pods_until(lambda pods: all(p.spec.node_name for p in pods))


async def test_a_burst_never_overfills_a_node() -> None:
    async with cluster("binder", "node") as c:
        for number in range(3):
            await c.node(f"n{number}", cpu="4")
        for number in range(20):
            await c.pod(f"p{number:02}", {"cpu": "1"})
        pods = await c.pods_until(
            lambda pods: len(pods) == 20 and all(p.status.conditions for p in pods) and sum(bool(p.spec.node_name) for p in pods) == 12
        )
        per_node = [sum(p.spec.node_name == f"n{number}" for p in pods) for number in range(3)]
        assert per_node == [4, 4, 4]
