"""Watches and lists: where they start, what they show, how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.apiserver.conftest import Http
from tests.support.embedded import embedded_api

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = "application/merge-patch+json"
PATIENCE_SECONDS = 10


class Events:
    """A running watch."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def take(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [json.loads(await self.answer.content.readline()) for _ in range(count)]

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [json.loads(line) for line in (await self.answer.content.read()).splitlines()]


@asynccontextmanager
async def watch(http: Http, path: str, headers: dict[str, str] | None = None, **params: str) -> AsyncIterator[Events]:
    connector = aiohttp.UnixConnector(str(http.api.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://x{path}", params={"watch": "1", **params}, headers=headers) as answer,
    ):
        assert answer.status == 200
        yield Events(answer)


async def make(http: Http, name: str, **labels: str) -> dict[str, Any]:
    status, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": name, "labels": labels}})
    assert status == 201
    return made


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def test_without_a_version_a_watch_begins_with_what_is_there(http: Http) -> None:
    await make(http, "a")
    async with watch(http, f"{http.core}/configmaps") as events:
        assert seen(await events.take(1)) == [("ADDED", "a")]
        await make(http, "b")
        assert seen(await events.take(1)) == [("ADDED", "b")]


async def test_from_a_version_it_tells_what_came_after(http: Http) -> None:
    made = await make(http, "a")
    await make(http, "b")
    await http("DELETE", f"{http.core}/configmaps/a")
    async with watch(http, f"{http.core}/configmaps", resourceVersion=made["metadata"]["resourceVersion"]) as events:
        found = await events.take(2)
        assert seen(found) == [("ADDED", "b"), ("DELETED", "a")]
        assert int(found[1]["object"]["metadata"]["resourceVersion"]) > int(found[0]["object"]["metadata"]["resourceVersion"])


async def test_leaving_the_selection_is_a_deletion_of_what_was(http: Http) -> None:
    async with watch(http, f"{http.core}/configmaps", labelSelector="team=red") as events:
        await make(http, "a", team="red")
        _, left = await http("PATCH", f"{http.core}/configmaps/a", {"metadata": {"labels": {"team": "blue"}}}, media=MERGE)
        found = await events.take(2)
        assert seen(found) == [("ADDED", "a"), ("DELETED", "a")]
        assert found[1]["object"]["metadata"]["labels"] == {"team": "red"}
        assert found[1]["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_streamed_lists_end_with_a_bookmark(http: Http) -> None:
    await make(http, "a")
    await make(http, "b")
    params = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with watch(http, f"{http.core}/configmaps", **params) as events:
        found = await events.take(3)
        assert [event["type"] for event in found] == ["ADDED", "ADDED", "BOOKMARK"]
        assert found[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_when_its_time_is_up(http: Http) -> None:
    async with watch(http, f"{http.core}/configmaps", timeoutSeconds="1") as events:
        assert await events.rest() == []


async def test_tables_name_their_columns_once(http: Http) -> None:
    await make(http, "a")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with watch(http, f"{http.core}/configmaps", accept) as events:
        first = (await events.take(1))[0]["object"]
        await make(http, "b")
        second = (await events.take(1))[0]["object"]
    assert first["columnDefinitions"]
    assert not second["columnDefinitions"]
    assert second["rows"][0]["cells"][0] == "b"


async def test_a_hundred_watchers_see_each_change_once(http: Http) -> None:
    async with asyncio.TaskGroup() as group:
        ready = asyncio.Barrier(101)

        async def follow() -> None:
            async with watch(http, f"{http.core}/configmaps") as events:
                await ready.wait()
                assert seen(await events.take(5)) == [("ADDED", f"c{n}") for n in range(5)]

        for _ in range(100):
            group.create_task(follow())
        await ready.wait()
        for number in range(5):
            await make(http, f"c{number}")


async def test_pages_are_of_one_moment(http: Http) -> None:
    for name in "abcde":
        await make(http, name)
    _, first = await http("GET", f"{http.core}/configmaps", limit="2")
    await make(http, "bb")
    await http("DELETE", f"{http.core}/configmaps/d")
    token = first["metadata"]["continue"]
    _, second = await http("GET", f"{http.core}/configmaps", limit="2", **{"continue": token})
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["remainingItemCount"] == 1


async def test_a_version_from_the_future_is_waited_for_and_then_refused() -> None:
    async with embedded_api(port=None, install_crds=False) as api:
        # By hand: our client does as it is told and comes again after a second.
        reader, writer = await asyncio.open_unix_connection(str(api.socket))
        path = f"{Http(api, 'default').core}/configmaps?resourceVersion=999999999"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
    assert answer.startswith("HTTP/1.1 504")
    assert '"reason":"Timeout"' in answer
    assert '"retryAfterSeconds":1' in answer


async def test_history_that_is_gone_says_so() -> None:
    async with embedded_api(port=None, install_crds=False, history_changes=10) as api:
        http = Http(api, "default")
        old = (await make(http, "a"))["metadata"]["resourceVersion"]
        for number in range(30):
            await http("PATCH", f"{http.core}/configmaps/a", {"data": {"n": str(number)}}, media=MERGE)
        async with watch(http, f"{http.core}/configmaps", resourceVersion=old) as events:
            (gone,) = await events.rest()
        assert (gone["type"], gone["object"]["code"], gone["object"]["reason"]) == ("ERROR", 410, "Expired")
        status, refusal = await http("GET", f"{http.core}/configmaps", resourceVersion=old, resourceVersionMatch="Exact")
        assert (status, refusal["reason"]) == (410, "Expired")


async def test_a_watcher_that_does_not_read_is_cut_off_and_the_rest_go_on() -> None:
    async with embedded_api(port=None, install_crds=False, history_changes=50) as api:
        http = Http(api, "default")
        reader, writer = await asyncio.open_unix_connection(str(api.socket), limit=1024)
        writer.write(f"GET {http.core}/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
        for number in range(100):
            await http("PATCH", f"{http.core}/configmaps/a", {"data": {"x": str(number) * 20_000}}, media=MERGE)
        async with asyncio.timeout(PATIENCE_SECONDS):
            everything = b""
            while b'"type":"ERROR"' not in everything[-5000:]:
                chunk = await reader.read(1 << 20)
                assert chunk, "the stream ended without saying why"
                everything += chunk
        assert b'"reason":"Expired"' in everything[-5000:]
        assert everything.count(b'"type":"MODIFIED"') < 100
        writer.close()
