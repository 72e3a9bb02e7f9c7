"""A load generator in a process of its own: many connections, prepared requests, no HTTP library.

    python -m bench.load get|create|watch ADDRESS TOKEN SECONDS CONNECTIONS [PATH]

ADDRESS is a Unix socket's path or `host:port` (TLS, not verified: it is our own server). Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import Callable
from itertools import count

import uvloop

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete. Answers are told apart by their length alone."""

    def __init__(self, requests: object, done: asyncio.Event, stop_at: float) -> None:
        self.requests = iter(requests)  # type: ignore[call-overload]
        self.finished = done
        self.stop_at = stop_at
        self.answers = 0
        self.failures = 0
        self.buffer = b""
        self.expected = 0
        self.sent_at = 0.0
        self.times: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if not self.expected:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            at = self.buffer.index(b"content-length: ") + 16
            self.expected = head + 4 + int(self.buffer[at : self.buffer.index(b"\r", at)])
        if len(self.buffer) < self.expected:
            return
        self.answers += 1
        self.failures += self.buffer[9:10] != b"2"
        self.buffer, self.expected = b"", 0
        now = time.perf_counter()
        self.times.append(now - self.sent_at)
        if now < self.stop_at:
            self._send()
        else:
            self.transport.close()
            self.finished.set()


async def connect(address: str, factory: object) -> None:
    loop = asyncio.get_running_loop()
    if address.startswith("/"):
        await loop.create_unix_connection(factory, address)  # type: ignore[arg-type]
    else:
        host, _, port = address.rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await loop.create_connection(factory, host, int(port), ssl=context)  # type: ignore[arg-type]


async def open_streams(address: str) -> Streams:
    if address.startswith("/"):
        return await asyncio.open_unix_connection(address, limit=1 << 20)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def head(method: str, path: str, token: str, length: int = 0) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: bench", f"authorization: Bearer {token}", "accept: application/json"]
    if length:
        lines += ["content-type: application/json", f"content-length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def gets(token: str, path: str):  # type: ignore[no-untyped-def]
    request = head("GET", path, token)
    while True:
        yield request


def creates(token: str, worker: int):  # type: ignore[no-untyped-def]
    path = "/api/v1/namespaces/default/configmaps?fieldValidation=Ignore"
    data = {"key": "v" * 800}
    for number in count():
        body = json.dumps({"metadata": {"name": f"b-{os.getpid()}-{worker}-{number}"}, "data": data}).encode()
        yield head("POST", path, token, len(body)) + body


async def flood(kind: str, address: str, token: str, seconds: float, connections: int, path: str) -> dict[str, float]:
    stop_at = time.perf_counter() + seconds
    made: list[Connection] = []
    events: list[asyncio.Event] = []
    start = time.perf_counter()
    for worker in range(connections):
        done = asyncio.Event()
        connection = Connection(gets(token, path) if kind == "get" else creates(token, worker), done, stop_at)
        made.append(connection)
        events.append(done)
        await connect(address, lambda connection=connection: connection)
    await asyncio.gather(*(event.wait() for event in events))
    took = time.perf_counter() - start
    times = sorted(t for c in made for t in c.times)
    return {
        "rate": sum(c.answers for c in made) / took,
        "failures": sum(c.failures for c in made),
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
    }


class Watcher(asyncio.Protocol):
    """Notes when each event begins to arrive, and does nothing else: a thousand of them share one processor."""

    MARK = b'"type":"'

    def __init__(self, request: bytes, arrived: Callable[[float], None], began: Callable[[], None]) -> None:
        self.request = request
        self.arrived = arrived
        self.began = began
        self.tail: bytes | None = None  # None until the head has come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self.tail is None:
            self.tail = b""
            self.began()
        data = self.tail + data
        for _ in range(data.count(self.MARK)):
            self.arrived(now)
        self.tail = data[-len(self.MARK) + 1 :]


async def watch(address: str, token: str, rounds: int, watchers: int) -> dict[str, float]:
    """How long after a write was sent each watcher has its event."""
    path = "/api/v1/namespaces/default/configmaps"
    request = head("GET", f"{path}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", token)
    arrivals: list[float] = []
    waiting, everybody = [watchers], asyncio.Event()

    def count_down() -> None:
        waiting[0] -= 1
        if waiting[0] == 0:
            everybody.set()

    def arrived(moment: float) -> None:
        arrivals.append(moment)
        count_down()

    for _ in range(watchers):
        await connect(address, lambda: Watcher(request, arrived, count_down))
    await asyncio.wait_for(everybody.wait(), 60)
    delays: list[float] = []
    last: list[float] = []
    reader, writer = await open_streams(address)
    for number in range(rounds):
        body = json.dumps({"metadata": {"name": f"w-{os.getpid()}-{number}"}, "data": {"key": "v" * 800}}).encode()
        waiting[0] = watchers
        everybody.clear()
        arrivals.clear()
        sent = time.perf_counter()
        writer.write(head("POST", path, token, len(body)) + body)
        await asyncio.wait_for(everybody.wait(), 30)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.split(b"content-length: ")[1].split(b"\r")[0])
        await reader.readexactly(length)
        delays += [moment - sent for moment in arrivals]
        last.append(max(arrivals) - sent)
    delays.sort()
    last.sort()
    return {
        "p50_ms": delays[len(delays) // 2] * 1000,
        "p99_ms": delays[int(len(delays) * 0.99)] * 1000,
        "last_ms": last[len(last) // 2] * 1000,
    }


async def main() -> None:
    kind, address, token, amount, connections = sys.argv[1:6]
    path = sys.argv[6] if len(sys.argv) > 6 else "/api/v1/namespaces/default/configmaps/bench"
    if kind == "watch":
        found = await watch(address, token, int(amount), int(connections))
    else:
        found = await flood(kind, address, token, float(amount), int(connections), path)
    found["cpu_seconds"] = time.process_time()
    print(json.dumps(found))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
