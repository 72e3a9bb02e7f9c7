"""The wire: how requests come and answers go, byte by byte. What they mean is tested elsewhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.apiserver.conftest import Http

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection over the Unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, http: Http) -> Wire:
        return cls(*await asyncio.open_unix_connection(str(http.api.socket)))

    def send(self, method: str, path: str, body: bytes = b"", *headers: str, version: str = "1.1") -> None:
        lines = [f"{method} {path} HTTP/{version}", "host: test", *headers]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def head(self) -> Answer:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        return Answer(int(first.split()[1]), dict(line.split(": ", 1) for line in lines), b"")

    async def answer(self, *, without_body: bool = False) -> Answer:
        found = await self.head()
        if not without_body:
            found.body = await self.reader.readexactly(int(found.headers["content-length"]))
        return found

    async def chunk(self) -> bytes:
        size = int((await asyncio.wait_for(self.reader.readline(), 10)).strip(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""


def config_map(name: str, size: int = 10) -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"key": "v" * size}}).encode()


async def test_many_requests_on_one_connection(http: Http) -> None:
    wire = await Wire.to(http)
    for number in range(3):
        wire.send("POST", f"{http.core}/configmaps", config_map(f"c{number}"))
        assert (await wire.answer()).status == 201
        wire.send("GET", f"{http.core}/configmaps/c{number}")
        found = await wire.answer()
        assert (found.status, found.json["metadata"]["name"]) == (200, f"c{number}")
    wire.send("GET", f"{http.core}/configmaps/none")
    assert (await wire.answer()).json["reason"] == "NotFound"


async def test_a_request_in_pieces(http: Http) -> None:
    wire = await Wire.to(http)
    body = config_map("pieces")
    text = (
        f"POST {http.core}/configmaps HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    for start in range(0, len(text), 7):
        wire.writer.write(text[start : start + 7])
        await wire.writer.drain()
        await asyncio.sleep(0)
    assert (await wire.answer()).status == 201


async def test_requests_sent_before_the_answers_come_back_in_order(http: Http) -> None:
    wire = await Wire.to(http)
    wire.send("POST", f"{http.core}/configmaps", config_map("first"))
    wire.send("GET", f"{http.core}/configmaps/nothing")
    wire.send("POST", f"{http.core}/configmaps", config_map("second"))
    wire.send("GET", f"{http.core}/configmaps/second")
    statuses = [(await wire.answer()).status for _ in range(4)]
    assert statuses == [201, 404, 201, 200]


async def test_a_large_body(http: Http) -> None:
    wire = await Wire.to(http)
    wire.send("POST", f"{http.core}/configmaps", config_map("large", 600_000))
    assert (await wire.answer()).status == 201
    wire.send("GET", f"{http.core}/configmaps/large")
    assert len((await wire.answer()).json["data"]["key"]) == 600_000


async def test_a_body_that_is_too_large_is_refused(http: Http) -> None:
    wire = await Wire.to(http)
    wire.send("POST", f"{http.core}/configmaps", config_map("huge", 3 * 1024 * 1024 + 1))
    assert (await wire.answer()).status == 413


async def test_a_body_in_chunks(http: Http) -> None:
    wire = await Wire.to(http)
    body = config_map("chunked")
    wire.send("POST", f"{http.core}/configmaps", b"", "content-type: application/json", "transfer-encoding: chunked")
    for part in (body[:10], body[10:], b""):
        wire.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
    assert (await wire.answer()).status == 201


async def test_a_client_that_asks_before_it_sends_its_body(http: Http) -> None:
    wire = await Wire.to(http)
    body = config_map("expected")
    head = ["content-type: application/json", f"content-length: {len(body)}", "expect: 100-continue"]
    wire.send("POST", f"{http.core}/configmaps", b"", *head)
    assert (await wire.head()).status == 100
    wire.writer.write(body)
    assert (await wire.answer()).status == 201


async def test_head_has_no_body(http: Http) -> None:
    wire = await Wire.to(http)
    wire.send("HEAD", f"{http.core}/configmaps/none")
    await wire.answer(without_body=True)
    wire.send("GET", "/version")
    assert (await wire.answer()).json["major"] == "1"


@pytest.mark.parametrize(("version", "header"), [("1.1", "connection: close"), ("1.0", "accept: */*")])
async def test_a_connection_that_ends_with_its_answer(http: Http, version: str, header: str) -> None:
    for path in ("/version", f"/api/v1/namespaces/{http.ns}"):
        wire = await Wire.to(http)
        wire.send("GET", path, b"", header, version=version)
        found = await wire.answer()
        assert (found.status, found.headers["connection"]) == (200, "close")
        assert await wire.ended()


async def test_no_http_at_all(http: Http) -> None:
    wire = await Wire.to(http)
    wire.writer.write(b"how do you do\r\n\r\n")
    assert (await wire.answer()).status == 400
    assert await wire.ended()


async def test_a_path_with_escapes(http: Http) -> None:
    wire = await Wire.to(http)
    wire.send("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", json.dumps({"metadata": {"name": f"a:{http.ns}"}}).encode())
    assert (await wire.answer()).status == 201
    wire.send("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3A{http.ns}")
    assert (await wire.answer()).json["metadata"]["name"] == f"a:{http.ns}"


async def test_a_warning_cannot_break_out_of_its_header(http: Http) -> None:
    wire = await Wire.to(http)
    body = json.dumps({"metadata": {"name": "warned"}, "a\r\nx-injected: yes": 1}).encode()
    wire.send("POST", f"{http.core}/configmaps", body)
    found = await wire.answer()
    assert found.status == 201
    assert "x-injected" not in found.headers
    assert "x-injected" in found.headers["warning"]


async def test_a_watch_follows_and_ends_with_its_time(http: Http) -> None:
    wire, writes = await Wire.to(http), await Wire.to(http)
    wire.send("GET", f"{http.core}/secrets?watch=1&resourceVersion=0&timeoutSeconds=1")
    assert (await wire.head()).headers["transfer-encoding"] == "chunked"
    for name in ("one", "two"):
        writes.send("POST", f"{http.core}/secrets", json.dumps({"metadata": {"name": name}}).encode())
        assert (await writes.answer()).status == 201
    seen = b""
    while seen.count(b"\n") < 2:
        seen += await wire.chunk()
    assert [json.loads(line)["object"]["metadata"]["name"] for line in seen.splitlines()] == ["one", "two"]
    assert await wire.chunk() == b""
    wire.send("GET", f"{http.core}/secrets/two")
    assert (await wire.answer()).status == 200
