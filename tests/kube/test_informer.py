"""The copy is right whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raysail.api.core import ConfigMap
from raysail.api.meta import Object
from raysail.api.resources import CONFIG_MAPS, RAY_CLUSTERS
from raysail.kube.http import HttpClient
from raysail.kube.informer import Informer
from tests.kube.fault_server import FaultServer

pytestmark = pytest.mark.filterwarnings("error")


@contextlib.asynccontextmanager
async def running(informer: Informer[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(20):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def informer(client: HttpClient) -> Informer[ConfigMap]:
    return Informer(client, CONFIG_MAPS, ConfigMap, seed=1)


def told(informer: Informer[ConfigMap]) -> list[str]:
    changes: list[str] = []

    def note(old: ConfigMap | None, new: ConfigMap | None) -> None:
        obj = new or old
        assert obj is not None
        changes.append(("+" if old is None else "-" if new is None else "~") + obj.metadata.name)

    informer.on_change(note)
    return changes


async def test_lists_then_follows(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    await server.put("a", data={"x": "1"})
    changes = told(informer)
    async with running(informer):
        await informer.wait_synced()
        a = informer.get("default", "a")
        assert a is not None
        assert a.data == {"x": "1"}
        assert (a.kind, a.api_version) == ("ConfigMap", "v1"), "list items come without them"
        await server.put("b", "other")
        await server.put("a", data={"x": "2"})
        await server.remove("b", "other")
        await informer.until(lambda: len(changes) == 4)
    assert changes == ["+a", "+b", "~a", "-b"]
    assert [c.metadata.name for c in informer.list()] == ["a"]
    assert informer.list("other") == []


async def test_a_cut_watch_goes_on_where_it_stopped(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    await server.put("a")
    changes = told(informer)
    async with running(informer):
        await informer.wait_synced()
        await server.put("b")
        await informer.until(lambda: "+b" in changes)
        seen = server.version
        server.cut()
        await server.put("c")
        await informer.until(lambda: "+c" in changes)
    assert changes == ["+a", "+b", "+c"], "nothing is told twice"
    assert server.watch_versions[-1] == str(seen)
    assert sum("watch" not in path for _, path in server.requests) == 1, "one list was enough"


async def test_state_survives_the_server(server: FaultServer, informer: Informer[ConfigMap], caplog: pytest.LogCaptureFixture) -> None:
    await server.put("a")
    changes = told(informer)
    async with running(informer):
        await informer.wait_synced()
        await server.stop()
        await server.put("b")
        await asyncio.sleep(0)
        assert [c.metadata.name for c in informer.list()] == ["a"]
        await server.start()
        await informer.until(lambda: "+b" in changes)
    assert changes == ["+a", "+b"]
    said = [record.getMessage() for record in caplog.records if "API server" in record.getMessage()]
    assert "away" in said[0]
    assert "back" in said[-1]


async def test_lists_again_when_the_version_is_gone(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    for name in ("kept", "changed", "deleted"):
        await server.put(name)
    changes = told(informer)
    async with running(informer):
        await informer.wait_synced()
        await server.stop()
        await server.put("changed", data={"x": "1"})
        await server.remove("deleted")
        await server.put("new")
        server.compact()
        await server.start()
        await informer.until(lambda: informer.get("default", "new") is not None and informer.get("default", "deleted") is None)
    assert sorted(changes[:3]) == ["+changed", "+deleted", "+kept"]
    assert sorted(changes[3:]) == ["+new", "-deleted", "~changed"]
    lists = [path for _, path in server.requests if "watch" not in path]
    assert "resourceVersion=0" in lists[0]
    assert "resourceVersion" not in lists[-1], "after a 410 only the newest list will do"


async def test_bookmarks_move_the_version(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    await server.put("a")
    async with running(informer):
        await informer.wait_synced()
        server.version = 500
        await server.bookmark()
        server.compact()
        await server.put("b")
        await informer.until(lambda: informer.get("default", "b") is not None)
        server.cut()
        await server.put("c")
        await informer.until(lambda: informer.get("default", "c") is not None)
    assert server.watch_versions[-1] == "501"


async def test_an_unreadable_object_is_reported_and_keeps_its_last_version(
    server: FaultServer, informer: Informer[ConfigMap], caplog: pytest.LogCaptureFixture
) -> None:
    await server.put("a", data={"x": "1"})
    await server.put("bad", data="not a mapping")
    async with running(informer):
        await informer.wait_synced()
        assert informer.get("default", "bad") is None
        assert "Expected `object" in informer.undecodable["default", "bad"]
        await server.put("a", data=[1])
        await informer.until(lambda: ("default", "a") in informer.undecodable)
        a = informer.get("default", "a")
        assert a is not None
        assert a.data == {"x": "1"}
        await server.put("a", data={"x": "2"})
        await server.remove("bad")
        await informer.until(lambda: not informer.undecodable)
        a = informer.get("default", "a")
        assert a is not None
        assert a.data == {"x": "2"}
    assert any(r.levelno == logging.ERROR and "default/bad" in r.getMessage() for r in caplog.records)


async def test_indexes_follow(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    informer.add_indexes({"x": lambda c: [(c.data or {}).get("x")]})
    await server.put("a", data={"x": "1"})
    await server.put("b", data={"x": "1"})
    async with running(informer):
        await informer.wait_synced()
        assert {c.metadata.name for c in informer.by_index("x", "1")} == {"a", "b"}
        await server.put("a", data={"x": "2"})
        await server.remove("b")
        await informer.until(lambda: not informer.by_index("x", "1"))
        assert [c.metadata.name for c in informer.by_index("x", "2")] == ["a"]
        informer.add_indexes({"name": lambda c: [c.metadata.name]})
        assert len(informer.by_index("name", "a")) == 1
    with pytest.raises(ValueError, match="another index"):
        informer.add_indexes({"x": lambda c: ["y"]})


async def test_absorbed_writes_are_seen_at_once_and_never_resurrect(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    changes = told(informer)
    async with running(informer):
        await informer.wait_synced()
        answer = {"metadata": {"name": "a", "namespace": "default", "uid": "uid-101", "resourceVersion": "101"}}
        absorbed = informer.absorb(answer)
        assert absorbed is not None
        assert absorbed is informer.get("default", "a")
        await server.put("a", data={"x": "1"})  # the same version comes through the watch
        server.version = 200
        newer = {"metadata": {"name": "a", "namespace": "default", "uid": "uid-101", "resourceVersion": "250"}}
        assert informer.absorb(newer) is informer.get("default", "a")
        assert informer.absorb(answer) is informer.get("default", "a"), "an older answer changes nothing"
        await server.put("b")
        await informer.until(lambda: "+b" in changes)
        stale = {"metadata": {"name": "ghost", "namespace": "default", "uid": "g", "resourceVersion": "150"}}
        assert informer.absorb(stale) is None, "the watch is past 150 and knows no ghost"
    assert changes == ["+a", "~a", "+b"]


async def test_late_handlers_hear_of_what_is_there_and_faulty_ones_harm_nobody(server: FaultServer, informer: Informer[ConfigMap]) -> None:
    await server.put("a")

    def broken(old: ConfigMap | None, new: ConfigMap | None) -> None:
        raise RuntimeError("broken")

    informer.on_change(broken)
    async with running(informer):
        await informer.wait_synced()
        changes = told(informer)
        assert changes == ["+a"]
        await server.put("b")
        await informer.until(lambda: "+b" in changes)


async def test_a_kind_that_is_not_served(server: FaultServer, client: HttpClient) -> None:
    from aiohttp import web

    missing = web.json_response
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "the server could not find the requested resource"}
    server.before = lambda request: missing(status, status=404)
    optional = Informer(client, RAY_CLUSTERS, Object, optional=True)
    needed = Informer(client, RAY_CLUSTERS, Object)
    async with running(optional), running(needed):
        await optional.wait_synced()
        assert not needed.synced
        server.before = lambda request: None
        await server.put("a")
        await needed.wait_synced()
        await optional.until(lambda: optional.get("default", "a") is not None)


async def test_only_some_namespaces(server: FaultServer, client: HttpClient) -> None:
    informer = Informer(client, CONFIG_MAPS, ConfigMap, namespaces=("one", "two"))
    async with running(informer):
        await informer.wait_synced()
    paths = {path.partition("?")[0] for _, path in server.requests}
    assert paths == {"/api/v1/namespaces/one/configmaps", "/api/v1/namespaces/two/configmaps"}
