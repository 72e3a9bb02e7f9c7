"""Changes of one object's status meet in the writer: together they are one patch, and none is lost or made on what it did not see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raysail.api.errors import StatusError
from raysail.api.kueue import Workload
from raysail.api.resources import WORKLOADS
from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient
from raysail.kube.informer import Informer
from raysail.queue.writes import StatusWriter
from tests.support.embedded import embedded_api


class CountingClient(HttpClient):
    """The real client; counts its patches."""

    patches = 0

    async def patch(self, *args: Any, **options: Any) -> dict[str, Any]:
        self.patches += 1
        return await super().patch(*args, **options)


class Place:
    """One Workload in the embedded API, its informer (fed by absorbing only: nothing else writes), and a writer."""

    def __init__(self, client: CountingClient) -> None:
        self.client = client
        self.informer = Informer(client, WORKLOADS, Workload)
        self.writer = StatusWriter(client, WORKLOADS, self.informer)

    async def workload(self) -> Workload:
        containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
        template = {"spec": {"restartPolicy": "Never", "containers": containers}}
        body = {
            "apiVersion": WORKLOADS.api_version,
            "kind": WORKLOADS.kind,
            "metadata": {"name": "w"},
            "spec": {"queueName": "lq", "podSets": [{"name": "main", "count": 1, "template": template}]},
        }
        made = self.informer.absorb(await self.client.create(WORKLOADS, body, "default"))
        assert made is not None
        return made


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with embedded_api() as api, CountingClient(unix_socket(api.socket)) as client:
        yield Place(client)


def told(name: str, seen: list[list[str]] | None = None) -> Any:
    """A change that adds the condition `name`; notes the conditions that it found in `seen`."""

    def change(current: Workload, status: dict[str, Any]) -> bool:
        if seen is not None:
            seen.append([c.type for c in current.status.conditions or ()])
        now = "2026-01-01T00:00:00Z"
        condition = {"type": name, "status": "True", "reason": name, "message": "m", "lastTransitionTime": now}
        status.setdefault("conditions", []).append(condition)
        return True

    return change


def conditions(workload: Workload | None) -> list[str]:
    assert workload is not None
    return [c.type for c in workload.status.conditions or ()]


async def test_changes_that_come_together_are_one_patch_and_each_sees_those_before_it(place: Place) -> None:
    workload = await place.workload()
    seen: list[list[str]] = []
    written = await asyncio.gather(*(place.writer.change(workload, told(name, seen)) for name in ("A", "B", "C")))
    assert place.client.patches == 1
    assert seen == [[], ["A"], ["A", "B"]]
    assert [conditions(each) for each in written] == [["A", "B", "C"]] * 3


async def test_a_change_that_comes_during_a_write_goes_after_it_without_a_conflict(place: Place) -> None:
    workload = await place.workload()
    first = asyncio.create_task(place.writer.change(workload, told("A")))
    while not place.client.patches:
        await asyncio.sleep(0)
    assert conditions(await place.writer.change(workload, told("B"))) == ["A", "B"]
    assert conditions(await first) == ["A"]
    assert place.client.patches == 2


async def test_a_change_with_nothing_to_write_changes_nothing_for_the_others(place: Place) -> None:
    workload = await place.workload()

    def nothing(_: Workload, status: dict[str, Any]) -> bool:
        status["conditions"] = []
        return False

    results = await asyncio.gather(*(place.writer.change(workload, each) for each in (told("A"), nothing, told("B"))))
    assert results[1] is None
    assert conditions(results[2]) == ["A", "B"]


async def test_a_change_decided_on_one_version_is_not_put_on_top_of_others(place: Place) -> None:
    workload = await place.workload()

    def decided(current: Workload, status: dict[str, Any]) -> bool:
        return current.metadata.resource_version == workload.metadata.resource_version

    written, refused = await asyncio.gather(place.writer.change(workload, told("A")), place.writer.change(workload, decided, alone=True))
    assert conditions(written) == ["A"]
    assert refused is None


async def test_what_fails_in_one_change_is_told_to_its_asker_only(place: Place) -> None:
    workload = await place.workload()

    def broken(_: Workload, status: dict[str, Any]) -> bool:
        raise LookupError("broken")

    def invalid(_: Workload, status: dict[str, Any]) -> bool:
        status["conditions"] = [*status.get("conditions", []), {"type": "!", "status": "Perhaps"}]
        return True

    changes = (told("A"), broken, invalid, told("B"))
    results = await asyncio.gather(*(place.writer.change(workload, each) for each in changes), return_exceptions=True)
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], StatusError)
    assert conditions(place.informer.get("default", "w")) == ["A", "B"]


async def test_a_sender_that_is_cancelled_leaves_the_others_in_line(place: Place) -> None:
    workload = await place.workload()
    sender = asyncio.create_task(place.writer.change(workload, told("A")))
    other = asyncio.create_task(place.writer.change(workload, told("B")))
    await asyncio.sleep(0)
    sender.cancel()
    assert "B" in conditions(await other)
    with pytest.raises(asyncio.CancelledError):
        await sender


async def test_another_process_wrote_in_between(place: Place) -> None:
    workload = await place.workload()
    status = {
        "status": {
            "conditions": [{"type": "Z", "status": "True", "reason": "Z", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        }
    }
    await place.client.patch(WORKLOADS, "w", status, "default", subresource="status")
    assert conditions(await place.writer.change(workload, told("A"))) == ["Z", "A"]
