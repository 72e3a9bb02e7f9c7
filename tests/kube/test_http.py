"""The client against a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from aiohttp import web

from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.resources import CONFIG_MAPS, PODS
from raysail.kube.client import PatchType, Propagation
from raysail.kube.connection import Connection, unix_socket
from raysail.kube.credentials import TokenFile
from raysail.kube.http import HttpClient, Timeouts
from tests.kube.fault_server import FaultServer

Seen = list[web.Request]


def answering(server: FaultServer, *responses: web.Response) -> Seen:
    """The server gives these answers, the last one for ever; what it was asked is collected."""
    seen: Seen = []
    left = list(responses)

    def before(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        response = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(
            status=response.status,
            body=response.body,
            headers={k: v for k, v in response.headers.items() if k == "Retry-After"},
            content_type="application/json",
        )

    server.before = before
    return seen


def status(code: int, reason: str, **fields: object) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": f"{reason}!", **fields}
    return web.json_response(body, status=code)


async def test_refusals_are_status_errors(server: FaultServer, client: HttpClient) -> None:
    details = {"name": "x", "kind": "configmaps", "causes": [{"reason": "FieldValueInvalid", "message": "m", "field": "data"}]}
    answering(server, status(422, "Invalid", details=details), status(404, "NotFound"), status(409, "Conflict"))
    with pytest.raises(StatusError) as refused:
        await client.create(CONFIG_MAPS, {"metadata": {"name": "x"}}, "ns")
    assert (refused.value.code, refused.value.reason, refused.value.causes[0].field) == (422, "Invalid", "data")
    with pytest.raises(StatusError) as missing:
        await client.get(CONFIG_MAPS, "x", "ns")
    assert is_not_found(missing.value)
    with pytest.raises(StatusError) as stale:
        await client.update(CONFIG_MAPS, {"metadata": {"name": "x"}}, "ns")
    assert is_conflict(stale.value)


async def test_a_refusal_that_is_no_status(server: FaultServer, client: HttpClient) -> None:
    answering(server, web.Response(status=502, body=b"<html>bad gateway</html>"), web.Response(status=403, body=b""))
    with pytest.raises(StatusError, match="bad gateway") as refused:
        await client.get(CONFIG_MAPS, "x", "ns")
    assert refused.value.code == 502
    with pytest.raises(StatusError) as forbidden:
        await client.get(CONFIG_MAPS, "x", "ns")
    assert forbidden.value.reason == "Forbidden"


async def test_an_answer_that_is_no_object(server: FaultServer, client: HttpClient) -> None:
    answering(server, web.Response(body=b"hello"), web.Response(body=b"[1]"), web.Response(body=b'{"items": 5}'))
    for _ in range(2):
        with pytest.raises(ConnectionError, match="something that is not"):
            await client.get(CONFIG_MAPS, "x", "ns")
    with pytest.raises(ConnectionError, match="something else"):
        await client.list(CONFIG_MAPS)


async def test_comes_again_when_told_to(server: FaultServer, client: HttpClient) -> None:
    busy = status(429, "TooManyRequests")
    busy.headers["Retry-After"] = "0"
    seen = answering(server, busy, busy, web.json_response({"kind": "ConfigMap"}))
    assert await client.get(CONFIG_MAPS, "x", "ns") == {"kind": "ConfigMap"}
    assert len(seen) == 3


async def test_gives_up_after_some_times(server: FaultServer, client: HttpClient) -> None:
    busy = status(429, "TooManyRequests")
    busy.headers["Retry-After"] = "0"
    seen = answering(server, busy)
    with pytest.raises(StatusError) as refused:
        await client.get(CONFIG_MAPS, "x", "ns")
    assert refused.value.code == 429
    assert len(seen) == 11


async def test_an_overloaded_server_without_a_time_is_told_at_once(server: FaultServer, client: HttpClient) -> None:
    seen = answering(server, status(503, "ServiceUnavailable"))
    with pytest.raises(StatusError):
        await client.get(CONFIG_MAPS, "x", "ns")
    assert len(seen) == 1


async def test_nobody_there() -> None:
    async with HttpClient(unix_socket("/nonexistent/api.sock")) as client:
        with pytest.raises(ConnectionError, match=r"cannot talk to the API server at unix:///nonexistent/api\.sock"):
            await client.get(PODS, "x", "ns")


async def test_a_server_that_never_answers(server: FaultServer) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    socket = server.socket.with_suffix(".slow")
    await web.UnixSite(runner, str(socket)).start()
    try:
        async with HttpClient(unix_socket(socket), timeouts=Timeouts(request=0.2)) as client:
            with pytest.raises(ConnectionError, match="did not answer"):
                await client.get(PODS, "x", "ns")
    finally:
        await runner.cleanup()


async def test_what_is_asked(server: FaultServer, client: HttpClient) -> None:
    seen = answering(server, web.json_response({"metadata": {}}))
    await client.get(PODS, "p", "ns", subresource="status")
    await client.create(PODS, {"a": 1}, "ns", name="p", subresource="binding", dry_run=True)
    await client.patch(PODS, "p", {"a": None}, "ns", type=PatchType.APPLY, field_manager="me", force=True)
    await client.delete(PODS, "p", "ns", propagation=Propagation.FOREGROUND, grace_seconds=0, uid="u", resource_version="7")
    await client.list(PODS, label_selector="a=b,c in (d)", field_selector="spec.nodeName=n", limit=5, continue_token="t=")
    paths = [request.path_qs for request in seen]
    assert paths == [
        "/api/v1/namespaces/ns/pods/p/status",
        "/api/v1/namespaces/ns/pods/p/binding?dryRun=All",
        "/api/v1/namespaces/ns/pods/p?fieldManager=me&force=true",
        "/api/v1/namespaces/ns/pods/p",
        "/api/v1/pods?labelSelector=a%3Db%2Cc+in+%28d%29&fieldSelector=spec.nodeName%3Dn&limit=5&continue=t%3D",
    ]
    assert seen[2].headers["Content-Type"] == "application/apply-patch+yaml"
    assert [request.method for request in seen] == ["GET", "POST", "PATCH", "DELETE", "GET"]


async def test_metadata_only(server: FaultServer, client: HttpClient) -> None:
    seen = answering(
        server, web.json_response({"metadata": {"resourceVersion": "5", "continue": "c"}, "items": [{"metadata": {"name": "a"}}]})
    )
    page = await client.list(PODS, metadata_only=True)
    assert (page.resource_version, page.continue_token) == ("5", "c")
    assert [json.loads(item) for item in page.items] == [{"metadata": {"name": "a"}}]
    assert seen[0].headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def test_watch_lines_of_any_cut(server: FaultServer) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        text = b"".join(json.dumps({"type": "ADDED", "object": {"n": n, "é": "x" * n}}).encode() + b"\n" for n in range(200))
        for start in range(0, len(text), 97):
            await response.write(text[start : start + 97])
            if start % 970 == 0:
                await asyncio.sleep(0)
        await response.write(b'{"type":"ADDED","object":{"cut":')
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", trickle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    socket = server.socket.with_suffix(".trickle")
    await web.UnixSite(runner, str(socket)).start()
    try:
        async with HttpClient(unix_socket(socket)) as client:
            found = [json.loads(event.object)["n"] async for event in client.watch(PODS, resource_version="0")]
    finally:
        await runner.cleanup()
    assert found == list(range(200)), "a last line that is not whole is dropped"


async def test_an_error_event_is_raised(server: FaultServer, client: HttpClient) -> None:
    server.oldest = 10
    with pytest.raises(StatusError) as gone:
        await anext(client.watch(CONFIG_MAPS, resource_version="5"))
    assert gone.value.code == 410


async def test_a_broken_watch_is_a_connection_error(server: FaultServer, client: HttpClient) -> None:
    async def follow() -> None:
        async for _ in client.watch(CONFIG_MAPS, resource_version="0", on_open=server.cut):
            pass

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(10):
            await follow()


async def test_leaving_a_watch_ends_it_at_the_server(server: FaultServer, client: HttpClient) -> None:
    await server.put("a")
    async with contextlib.aclosing(client.watch(CONFIG_MAPS, resource_version="0")) as events:
        async for _ in events:
            break
    async with asyncio.timeout(10):
        while server.watching:
            await server.put("a")
            await asyncio.sleep(0)


async def test_a_refused_token_is_read_again(server: FaultServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")

    def before(request: web.Request) -> web.StreamResponse | None:
        if request.headers["Authorization"] == "Bearer old":
            token.write_text("new")
            return status(401, "Unauthorized")
        return web.json_response({"kind": "ConfigMap"})

    server.before = before
    connection = Connection(f"unix://{server.socket}", credentials=TokenFile(token))
    async with HttpClient(connection) as client:
        assert await client.get(CONFIG_MAPS, "x", "ns") == {"kind": "ConfigMap"}


async def test_impersonation(server: FaultServer) -> None:
    seen = answering(server, web.json_response({}))
    connection = Connection(f"unix://{server.socket}", impersonate="alice", impersonate_groups=("a", "b"))
    async with HttpClient(connection) as client:
        await client.get(CONFIG_MAPS, "x", "ns")
    assert seen[0].headers["Impersonate-User"] == "alice"
    assert seen[0].headers.getall("Impersonate-Group") == ["a", "b"]
