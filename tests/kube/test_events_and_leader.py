"""Events gather into series; a lease has one holder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from raysail.api.core import Pod
from raysail.api.resources import EVENTS, LEASES
from raysail.kube.clock import VirtualClock
from raysail.kube.events import Recorder
from raysail.kube.http import HttpClient
from raysail.kube.leader import LeaderElection, LeadershipLostError
from tests.support.embedded import embedded_api

POD = msgspec.convert({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "u"}}, Pod)


async def stored(client: HttpClient) -> list[dict[str, Any]]:
    return [msgspec.json.decode(item) for item in (await client.list(EVENTS, "default")).items]


@contextlib.asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    try:
        yield
        await recorder.flush()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_events_become_a_series() -> None:
    clock = VirtualClock()
    async with embedded_api(port=None) as api:
        recorder = Recorder(api.client, clock, "raycluster-controller", "host-1")
        async with recording(recorder):
            recorder.event(POD, "Normal", "Started", "first", "Starting")
            await recorder.flush()
            (first,) = await stored(api.client)
            assert first["regarding"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "p", "uid": "u"}
            assert (first["reportingController"], first["reportingInstance"]) == ("raycluster-controller", "host-1")
            assert (first["type"], first["reason"], first["action"], first["note"]) == ("Normal", "Started", "Starting", "first")
            assert "series" not in first
            recorder.event(POD, "Normal", "Started", "second, its text is not kept", "Starting")
            await recorder.flush()
            (second,) = await stored(api.client)
            assert (second["series"]["count"], second["note"]) == (2, "first")
            for _ in range(3):
                recorder.event(POD, "Normal", "Started", "more", "Starting")
            await recorder.flush()
            assert (await stored(api.client))[0]["series"]["count"] == 2, "counted, not written each time"
            for _ in range(8):
                await clock.advance(60)
                await asyncio.sleep(0)
            await recorder.flush()
            assert (await stored(api.client))[0]["series"]["count"] == 5, "written when it has been quiet"
            recorder.event(POD, "Normal", "Started", "again", "Starting")
            await recorder.flush()
            assert len(await stored(api.client)) == 2, "after a quiet time it is news again"
            recorder.event(POD, "Warning", "Started", "other type", "Starting")
            recorder.event(POD, "Normal", "Stopped", "other reason", "Stopping")
            await recorder.flush()
            assert len(await stored(api.client)) == 4


async def test_long_texts_are_cut() -> None:
    async with embedded_api(port=None) as api:
        recorder = Recorder(api.client)
        async with recording(recorder):
            recorder.event(POD, "Normal", "Long", "x" * 5000, "Doing")
        (event,) = await stored(api.client)
        assert len(event["note"]) == 1024


async def test_recording_never_waits(client: HttpClient) -> None:
    recorder = Recorder(client)
    for number in range(5000):
        recorder.event({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}", "namespace": "n"}}, "Normal", "R", "m", "A")


class Contest:
    def __init__(self, client: HttpClient, clock: VirtualClock, name: str) -> None:
        self.election = LeaderElection(client, "default", "lock", identity=name, clock=clock)
        self.working = asyncio.Event()
        self.task = asyncio.create_task(self.election.run(self._work))

    async def _work(self) -> None:
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working.clear()

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LeadershipLostError):
            await self.task


async def pass_time(clock: VirtualClock, seconds: int) -> None:
    """Time passes in steps, and what is awake talks to the API between them."""
    for _ in range(seconds):
        await clock.advance(1)
        await asyncio.sleep(0.02)


async def test_one_leads_and_hands_over() -> None:
    clock = VirtualClock()
    async with embedded_api(port=None) as api, asyncio.timeout(30):
        first = Contest(api.client, clock, "first")
        await first.working.wait()
        second = Contest(api.client, clock, "second")
        await pass_time(clock, 40)
        assert first.working.is_set()
        assert not second.working.is_set(), "a lease that is renewed is not taken"
        await first.end()
        lease = await api.client.get(LEASES, "lock", "default")
        assert not lease["spec"].get("holderIdentity"), "given back at the end"
        await pass_time(clock, 5)
        assert second.working.is_set()
        lease = await api.client.get(LEASES, "lock", "default")
        assert lease["spec"]["holderIdentity"] == "second"
        assert lease["spec"]["leaseTransitions"] >= 1
        await second.end()


async def test_a_dead_leader_is_followed_after_its_lease() -> None:
    clock = VirtualClock()
    async with embedded_api(port=None) as api, asyncio.timeout(30):
        spec = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
        await api.client.create(LEASES, {"metadata": {"name": "lock"}, "spec": spec}, "default")
        heir = Contest(api.client, clock, "heir")
        await pass_time(clock, 13)
        assert not heir.working.is_set()
        await pass_time(clock, 6)
        assert heir.working.is_set()
        await heir.end()


async def test_a_leader_that_cannot_renew_stops() -> None:
    clock = VirtualClock()
    async with embedded_api(port=None) as api, asyncio.timeout(30):
        leader = Contest(api.client, clock, "leader")
        await leader.working.wait()
        lease = await api.client.get(LEASES, "lock", "default")
        lease["spec"]["holderIdentity"] = "usurper"
        await api.client.update(LEASES, lease, "default")
        await pass_time(clock, 14)
        with pytest.raises(LeadershipLostError):
            await leader.task
        assert not leader.working.is_set()
