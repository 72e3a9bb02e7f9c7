"""Pods without a Node to run on, and Events that are old, go."""

from __future__ import annotations

from datetime import timedelta

from raysail.api.resources import EVENTS, NODES, PODS
from raysail.builtin.eventttl.controller import EventExpiry
from raysail.builtin.podgc.controller import QUARANTINE_SECONDS, PodGarbage
from raysail.kube.clock import VirtualClock
from raysail.kube.manager import Manager
from tests.builtin.conftest import cluster


async def test_pods_on_a_node_that_is_gone() -> None:
    async with cluster("binder", "node") as c:
        await c.node("n1")
        await c.pod("p")
        await c.pods_until(lambda pods: pods and pods[0].spec.node_name)
        await c.set_pod("p")
        clock = VirtualClock()
        manager = Manager(c.client, clock=clock)
        garbage = PodGarbage(manager)
        async with manager:
            await c.client.delete(NODES, "n1")
            await garbage._nodes.until(lambda: garbage._nodes.get("", "n1") is None)
            assert await garbage.reconcile(("ns", "p")) == QUARANTINE_SECONDS, "an agent may only be starting anew"
            await clock.advance(QUARANTINE_SECONDS + 1)
            await garbage.reconcile(("ns", "p"))
            await c.gone(PODS, "p")


async def test_a_node_that_came_back_keeps_its_pods() -> None:
    async with cluster("binder", "node", "podgc") as c:
        await c.node("n1")
        await c.pod("p")
        await c.pods_until(lambda pods: pods and pods[0].spec.node_name)
        await c.client.delete(NODES, "n1")
        await c.node("n1")
        assert (await c.get(PODS, "p")) is not None


async def test_old_events() -> None:
    async with cluster() as c:
        recorder = c.manager.events
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}}
        recorder.event(pod, "Normal", "A", "m", "Doing")
        recorder.event(pod, "Normal", "B", "m", "Doing")
        await recorder.flush()
        clock = VirtualClock(c.manager.clock.now() + timedelta(minutes=59))
        expiry = EventExpiry(Manager(c.client, clock=clock), 3600)
        assert await expiry.sweep() == 0
        await clock.advance(120)
        assert await expiry.sweep() == 2
        assert await c.listed(EVENTS) == []
