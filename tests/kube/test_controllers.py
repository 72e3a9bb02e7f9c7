"""Queues, controllers, the manager: at least once, never twice at a time, and nothing that one does ends another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raysail.api.core import ConfigMap
from raysail.api.errors import StatusError
from raysail.api.resources import CONFIG_MAPS, RAY_CLUSTERS
from raysail.kube.clock import VirtualClock
from raysail.kube.controller import Controller, Key
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from raysail.kube.workqueue import WorkQueue
from tests.kube.fault_server import FaultServer

KEY: Key = ("ns", "a")


@contextlib.asynccontextmanager
async def background(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_key_is_in_the_queue_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_in_hand_comes_again_when_it_is_done() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "nobody else gets it meanwhile"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_delays() -> None:
    clock = VirtualClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    async with background(queue.run_timers()):
        await settle()
        queue.add_after("late", 10)
        queue.add_after("soon", 5)
        queue.add_after("late", 3)  # the earliest counts
        queue.add_after("late", 20)
        await settle()
        await clock.advance(2.9)
        await settle()
        assert len(queue) == 0
        await clock.advance(0.2)
        await settle()
        assert await queue.get() == "late"
        await clock.advance(2)
        await settle()
        assert await queue.get() == "soon"
        queue.done("late")
        await clock.advance(60)
        await settle()
        assert len(queue) == 0, "a later wish for the same key is covered by the earlier one"


async def test_failures_wait_longer_each_time() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock(), first_retry=1, longest_retry=5)
    assert [queue.retry("a") for _ in range(5)] == [1, 2, 4, 5, 5]
    assert queue.retry("b") == 1
    queue.forget("a")
    assert queue.retry("a") == 1


async def test_one_key_is_never_reconciled_twice_at_a_time() -> None:
    running: set[Key] = set()
    overlaps = done = 0

    async def reconcile(key: Key) -> None:
        nonlocal overlaps, done
        overlaps += key in running
        running.add(key)
        await asyncio.sleep(0)
        running.discard(key)
        done += 1

    controller = Controller("test", reconcile, concurrency=4)
    async with background(controller.run()):
        for round_ in range(50):
            controller.enqueue(("ns", str(round_ % 5)))
            if round_ % 7 == 0:
                await asyncio.sleep(0)
        while not controller.idle:
            await asyncio.sleep(0)
    assert overlaps == 0
    assert done >= 5


@pytest.mark.parametrize(
    "error", [RuntimeError("bug"), StatusError("Conflict", "stale"), ConnectionError("away")], ids=lambda e: type(e).__name__
)
async def test_a_failure_is_tried_again_and_holds_up_nobody(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Key] = []
    finished = asyncio.Event()

    async def reconcile(key: Key) -> None:
        seen.append(key)
        if key == KEY and seen.count(KEY) < 4:
            raise error
        if seen.count(KEY) == 4 and ("ns", "b") in seen:
            finished.set()

    controller = Controller("test", reconcile)
    async with background(controller.run()):
        controller.enqueue(KEY)
        controller.enqueue(("ns", "b"))
        await finished.wait()
    assert seen.index(("ns", "b")) < 4
    if isinstance(error, RuntimeError):
        assert "test ns/a failed" in caplog.text
        assert "RuntimeError: bug" in caplog.text


async def test_wants_to_look_again() -> None:
    clock = VirtualClock()
    seen = 0

    async def reconcile(key: Key) -> float | None:
        nonlocal seen
        seen += 1
        return 30.0 if seen < 3 else None

    controller = Controller("test", reconcile)
    controller.use_clock(clock)
    async with background(controller.run()):
        controller.enqueue(KEY)
        await settle()
        assert seen == 1
        for expected in (2, 3, 3):
            await clock.advance(30)
            await settle()
            assert seen == expected


async def test_a_manager_starts_controllers_when_their_informers_are_complete(server: FaultServer, client: HttpClient) -> None:
    await server.put("a", "ns")
    manager = Manager(client)
    informer = manager.informer(CONFIG_MAPS, ConfigMap)
    seen: list[str] = []

    async def reconcile(key: Key) -> None:
        assert informer.synced
        found = informer.get(*key)
        seen.append(found.metadata.resource_version if found else "gone")

    controller = manager.add(Controller("test", reconcile))
    controller.watches(informer)
    controller.enqueue(("ns", "early"))
    assert manager.informer(CONFIG_MAPS, ConfigMap) is informer, "shared"
    async with manager:
        assert manager.ready
        while len(seen) < 2:
            await asyncio.sleep(0)
        await server.put("a", "ns", data={"x": "1"})
        await server.remove("a", "ns")
        while "gone" not in seen[1:]:
            await asyncio.sleep(0.01)
    assert not manager.ready
    async with asyncio.timeout(10):
        while server.watching:  # the server notices that nobody listens when it has something to say
            await server.put("x")
            await asyncio.sleep(0.01)


async def test_reconciles_go_on_when_the_api_was_away(server: FaultServer, client: HttpClient) -> None:
    """At least once: each object is reconciled in its last version, whatever was missed in between."""
    manager = Manager(client)
    informer = manager.informer(CONFIG_MAPS, ConfigMap)
    last: dict[str, str] = {}

    async def reconcile(key: Key) -> None:
        found = informer.get(*key)
        last[key[1]] = found.metadata.resource_version if found else "gone"

    manager.add(Controller("test", reconcile)).watches(informer)
    async with manager, asyncio.timeout(20):
        for name in ("a", "b", "c"):
            await server.put(name)
        while len(last) < 3:
            await asyncio.sleep(0.01)
        await server.stop()
        assert manager.ready, "the controllers wait, they do not fall over"
        await server.put("a", data={"x": "1"})
        await server.remove("b")
        await server.put("d")
        server.compact()
        await server.start()
        wanted = {"a": server.objects["default", "a"]["metadata"]["resourceVersion"], "b": "gone"}
        while last.get("d") is None or {k: last[k] for k in wanted} != wanted:
            await asyncio.sleep(0.01)
        assert manager.reachability.reachable


async def test_a_service_that_dies_is_started_again(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    manager = Manager(client)
    starts = 0
    twice = asyncio.Event()

    async def service() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise RuntimeError("once")
        twice.set()
        await asyncio.sleep(3600)

    manager.add_service("poller", service)
    async with manager, asyncio.timeout(10):
        await twice.wait()
    assert "poller failed" in caplog.text


async def test_a_stop_waits_for_the_reconcile_in_hand(client: HttpClient) -> None:
    manager = Manager(client)
    begun, ended = asyncio.Event(), False

    async def reconcile(key: Key) -> None:
        nonlocal ended
        begun.set()
        await asyncio.sleep(0.1)
        ended = True

    controller = manager.add(Controller("test", reconcile))
    async with manager:
        controller.enqueue(KEY)
        await begun.wait()
    assert ended


async def test_what_a_start_waits_for(server: FaultServer, client: HttpClient) -> None:
    from aiohttp import web

    server.before = lambda request: (
        web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404) if "ray.io" in request.path else None
    )
    manager = Manager(client)
    manager.informer(CONFIG_MAPS, ConfigMap)
    manager.informer(RAY_CLUSTERS, ConfigMap)
    running = asyncio.create_task(manager.run())
    while manager.missing() != ["rayclusters"]:
        await asyncio.sleep(0.01)
    assert not manager.ready
    with pytest.raises(RuntimeError, match="before the manager starts"):
        manager.add(Controller("late", lambda key: asyncio.sleep(0)))
    manager.stop()
    await running
