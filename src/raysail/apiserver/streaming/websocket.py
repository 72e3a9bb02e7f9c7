"""Bridges between a client's WebSocket (ASGI) and the agent's: exec and attach pass through unchanged, port-forward is taken out of its tunnel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from raysail.api.errors import StatusError
from raysail.apiserver.streaming import spdy
from raysail.apiserver.streaming.log import agent_away
from raysail.apiserver.streaming.target import Target

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CHANNEL_PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"
_CONNECT_SECONDS: Final = 5.0
_LIMIT_BYTES: Final = 64 << 20


async def bridge_channels(target: Target, query: Sequence[tuple[str, str]], scope: Scope, receive: Receive, send: Send) -> None:
    """For exec and attach: the same subprotocol on both sides, messages as they come. Raises StatusError before the WebSocket is accepted."""
    offered = [p for p in CHANNEL_PROTOCOLS if p in scope.get("subprotocols", ())]
    if not offered:
        raise StatusError("BadRequest", f"no WebSocket subprotocol in common: this server speaks {', '.join(CHANNEL_PROTOCOLS)}")
    async with _session(target) as session:
        try:
            agent = await session.ws_connect(f"http://node{target.path}", params=list(query), protocols=offered, max_msg_size=_LIMIT_BYTES)
        except aiohttp.WSServerHandshakeError as error:
            raise StatusError("InternalError", f"the node agent refused: {error.message}", error.status) from error
        except aiohttp.ClientConnectorError as error:
            raise agent_away(error) from error
        async with agent:
            await receive()  # websocket.connect
            await send({"type": "websocket.accept", "subprotocol": agent.protocol or offered[0]})
            await _first_of(_upwards(agent, receive), _downwards(agent, send))


async def _upwards(agent: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("bytes") is not None:
            await agent.send_bytes(message["bytes"])
        else:
            await agent.send_str(message.get("text") or "")


async def _downwards(agent: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    async for message in agent:
        if message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        elif message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
    await send({"type": "websocket.close", "code": 1000})


async def bridge_port_forward(target: Target, scope: Scope, receive: Receive, send: Send) -> None:
    """Port-forward as kubectl does it: a SPDY connection inside the WebSocket, two streams (error, data) for every forwarded connection."""
    if TUNNEL not in scope.get("subprotocols", ()):
        raise StatusError("BadRequest", f"unable to upgrade: this server forwards ports over WebSockets with the subprotocol {TUNNEL} only")
    await receive()  # websocket.connect
    await send({"type": "websocket.accept", "subprotocol": TUNNEL})
    async with _session(target) as session, asyncio.TaskGroup() as group:
        tunnel = _Tunnel(target, session, group, send)
        while (message := await receive())["type"] == "websocket.receive":
            await tunnel.received(message.get("bytes") or b"")
        tunnel.close()


@dataclass(slots=True)
class _Forward:
    """One forwarded connection: its two streams and what goes to the Pod."""

    error: int
    port: str
    data: int = 0
    # Bounded: a Pod that does not read makes the client wait, not us buffer.
    to_pod: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(64))
    task: asyncio.Task[None] | None = None


class _Tunnel:
    def __init__(self, target: Target, session: aiohttp.ClientSession, group: asyncio.TaskGroup, send: Send) -> None:
        self._target, self._session, self._group, self._send = target, session, group, send
        self._connection = spdy.Connection()
        self._by_request: dict[str, _Forward] = {}
        self._by_stream: dict[int, _Forward] = {}

    async def received(self, data: bytes) -> None:
        for event in self._connection.receive(data):
            match event:
                case spdy.StreamOpened(stream, headers):
                    await self._opened(stream, headers)
                case spdy.DataReceived(stream, payload, finished) if stream in self._by_stream:
                    forward = self._by_stream[stream]
                    if payload:
                        await forward.to_pod.put(payload)
                    if finished:
                        await forward.to_pod.put(None)
                case spdy.StreamReset(stream) if stream in self._by_stream:
                    if (task := self._by_stream.pop(stream).task) is not None:
                        task.cancel()
                case spdy.PingReceived(number):
                    await self._write(self._connection.ping(number))

    def close(self) -> None:
        for forward in self._by_request.values():
            if forward.task is not None:
                forward.task.cancel()

    async def _opened(self, stream: int, headers: Any) -> None:
        await self._write(self._connection.reply(stream))
        request = headers.get("requestid", "")
        if headers.get("streamtype") == "error":
            self._by_request[request] = _Forward(stream, headers.get("port", ""))
            return
        forward = self._by_request.get(request)
        if forward is None or headers.get("streamtype") != "data":
            await self._write(self._connection.reset(stream))
            return
        forward.data = stream
        self._by_stream[stream] = forward
        forward.task = self._group.create_task(self._forward(request, forward))

    async def _forward(self, request: str, forward: _Forward) -> None:
        fault = b""
        try:
            async with self._session.ws_connect(f"http://node{self._target.path}/{forward.port}", max_msg_size=_LIMIT_BYTES) as pod:
                await _first_of(self._to_pod(pod, forward), self._from_pod(pod, forward))
        except (aiohttp.ClientError, OSError) as error:
            fault = f"error forwarding port {forward.port} to pod {self._target.path.rpartition('/')[2]}: {error}".encode()
        finally:
            self._by_request.pop(request, None)
            self._by_stream.pop(forward.data, None)
        await self._write(self._connection.data(forward.error, fault, finished=True))
        await self._write(self._connection.data(forward.data, b"", finished=True))

    async def _to_pod(self, pod: aiohttp.ClientWebSocketResponse, forward: _Forward) -> None:
        while (data := await forward.to_pod.get()) is not None:
            await pod.send_bytes(data)
        await asyncio.Event().wait()  # the client has no more to say; the Pod's answer may still come

    async def _from_pod(self, pod: aiohttp.ClientWebSocketResponse, forward: _Forward) -> None:
        while (message := await pod.receive()).type is aiohttp.WSMsgType.BINARY:
            await self._write(self._connection.data(forward.data, message.data))
        if message.type is aiohttp.WSMsgType.CLOSE and message.data == aiohttp.WSCloseCode.INTERNAL_ERROR:
            raise ConnectionRefusedError(message.extra)

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": data})


def _session(target: Target) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(target.socket), timeout=timeout)


async def _first_of(*sides: Awaitable[None]) -> None:
    """Runs both directions until one ends; the other is then cancelled."""
    tasks = [asyncio.ensure_future(side) for side in sides]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, aiohttp.ClientError):
                await task
