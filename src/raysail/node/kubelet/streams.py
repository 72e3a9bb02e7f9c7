"""exec, attach and port-forward over WebSockets, with Kubernetes' channels: 0 stdin, 1 stdout, 2 stderr, 3 the result, 4 resize; v5 adds 255, "close"."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from raysail.node.kubelet.logs import from_now
from raysail.node.sandbox import Running, SandboxError
from raysail.node.worker import PodWorker

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _RESULT, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK: Final = 1 << 15
_DRAIN_SECONDS: Final = 0.5
_CLOSE_CAUSE_BYTES: Final = 123
"""The longest text that a WebSocket's close frame carries (RFC 6455, 5.5)."""


class Channels:
    """A client's side of exec or attach. `input_fd` is where stdin goes, -1 for nowhere; `terminal_fd` what resizes act on."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._sending = asyncio.Lock()
        self.input_fd = -1
        self.terminal_fd = -1
        self._close_input_at_end = True

    async def send(self, channel: int, data: bytes) -> None:
        """To the client; one that has gone is noticed by `receive`."""
        async with self._sending:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_bytes(bytes([channel]) + data)

    async def receive(self) -> None:
        """Takes stdin, resizes and "close" until the client goes."""
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT) or not message.data:
                continue
            data = message.data if isinstance(message.data, bytes) else message.data.encode()
            channel, content = data[0], data[1:]
            if channel == _STDIN and self.input_fd >= 0 and content:
                await _write_all(self.input_fd, content)
            elif channel == _RESIZE and self.terminal_fd >= 0:
                resize(self.terminal_fd, content)
            elif channel == _CLOSE and content[:1] == bytes([_STDIN]):
                self.close_input()
        self.close_input()

    def close_input(self) -> None:
        """No more stdin. A terminal's side stays open: it is also the output."""
        if self.input_fd >= 0 and self.input_fd != self.terminal_fd:
            os.close(self.input_fd)
            self.input_fd = -1


def resize(fd: int, content: bytes) -> None:
    """`{"Width": columns, "Height": rows}` for a terminal."""
    with contextlib.suppress(ValueError, KeyError, OSError):  # a size that makes no sense changes nothing
        size = orjson.loads(content)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(size["Height"]), int(size["Width"]), 0, 0))


async def execute(request: web.Request, worker: PodWorker, container: str) -> web.WebSocketResponse:
    """Runs a command in the container with the client on its streams; the result goes out on channel 3."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=64 << 20)
    query = request.query
    terminal = _flag(query.get("tty"))
    wants_input = _flag(query.get("stdin") or query.get("input"))
    await socket.prepare(request)
    channels = Channels(socket)
    argv = query.getall("command", [])
    if not argv:
        await channels.send(_RESULT, failure("you must specify at least 1 command for the container", "BadRequest", 400))
        await socket.close()
        return socket
    try:
        if terminal:
            code = await _with_terminal(worker, container, argv, channels)
        else:
            code = await _with_pipes(worker, container, argv, channels, wants_input)
    except SandboxError as error:
        await channels.send(_RESULT, failure(f"error executing command in container: {error}", "InternalError", 500))
    else:
        await channels.send(_RESULT, result_of(code))
    await socket.close()
    return socket


async def _with_pipes(worker: PodWorker, container: str, argv: list[str], channels: Channels, wants_input: bool) -> int:
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    if wants_input:
        in_read, channels.input_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(channels.input_fd, False)
    else:
        in_read = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        program = await worker.supervisor.execute(container, argv, (in_read, out_write, err_write))
    except SandboxError:
        os.close(out_read)
        os.close(err_read)
        channels.close_input()
        raise
    finally:
        for fd in (in_read, out_write, err_write):
            os.close(fd)
    return await _until_end(program, channels, {out_read: _STDOUT, err_read: _STDERR})


async def _with_terminal(worker: PodWorker, container: str, argv: list[str], channels: Channels) -> int:
    master, slave = os.openpty()
    os.set_inheritable(master, False)
    os.set_blocking(master, False)
    channels.input_fd = channels.terminal_fd = master
    environment = {"TERM": "xterm"}
    try:
        env = {**environment, **worker.runs.spec(container, worker.runs.newest(container)).get("env", {})}
        program = await worker.supervisor.execute(container, argv, (slave, slave, slave), tty=True, env=env)
    except SandboxError:
        os.close(master)
        raise
    finally:
        os.close(slave)
    # Its own copy for reading: the transport closes what it reads from.
    code = await _until_end(program, channels, {os.dup(master): _STDOUT})
    channels.input_fd = channels.terminal_fd = -1
    os.close(master)
    return code


async def _until_end(program: Running, channels: Channels, outputs: dict[int, int]) -> int:
    """Pumps until the program ends; kills it when the client goes first."""
    pumps = [asyncio.create_task(_pump(fd, partial(channels.send, channel))) for fd, channel in outputs.items()]
    receiving = asyncio.create_task(channels.receive())
    waiting = asyncio.create_task(program.wait())
    try:
        await asyncio.wait((waiting, receiving), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            return 137
        # What is still in the pipes; a child that keeps them open does not keep us.
        await asyncio.wait(pumps, timeout=_DRAIN_SECONDS)
        return waiting.result()
    finally:
        program.close()
        for task in (*pumps, receiving, waiting):
            task.cancel()
        await asyncio.gather(*pumps, receiving, waiting, return_exceptions=True)
        channels.close_input()


async def attach(request: web.Request, worker: PodWorker, container: str) -> web.WebSocketResponse:
    """The container's own streams: what it writes from now on, and its stdin where it has one."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=64 << 20)
    await socket.prepare(request)
    channels = Channels(socket)
    number = worker.runs.newest(container)
    if number < 0 or not worker.runs.is_live(container, number):
        await channels.send(_RESULT, failure(f"unable to attach: container {container} is not running", "InternalError", 500))
        await socket.close()
        return socket
    # Before any input is taken: what it leads to must not be missed.
    lines = from_now(worker.runs.logs(container), number, lambda: worker.runs.is_live(container, number))
    if _flag(request.query.get("stdin") or request.query.get("input")):
        with contextlib.suppress(SandboxError):  # it has no stdin: what is typed goes nowhere, as in Kubernetes
            taken = await worker.supervisor.input_of(container)
            os.set_blocking(taken, False)
            channels.input_fd = taken
            if os.isatty(taken):
                channels.terminal_fd = taken
    receiving = asyncio.create_task(channels.receive())

    async def output() -> None:
        async for line in lines:
            await channels.send(_STDERR if line.stream == b"stderr" else _STDOUT, line.shown(timestamps=False))

    writing = asyncio.create_task(output())
    try:
        await asyncio.wait((receiving, writing), return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            await channels.send(_RESULT, result_of(0))
    finally:
        for task in (receiving, writing):
            task.cancel()
        await asyncio.gather(receiving, writing, return_exceptions=True)
        if channels.terminal_fd >= 0:
            os.close(channels.terminal_fd)
        else:
            channels.close_input()
    await socket.close()
    return socket


async def port_forward(request: web.Request, worker: PodWorker, port: int) -> web.StreamResponse:
    """One connection to a port of the Pod: binary messages both ways. A port that nothing listens on closes it with 1011 and the cause."""
    address = worker.address or "127.0.0.1"
    socket = web.WebSocketResponse(max_msg_size=64 << 20)
    await socket.prepare(request)
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        cause = f"failed to connect to {address}:{port}: {os.strerror(error.errno) if error.errno else error}"
        await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=cause.encode()[:_CLOSE_CAUSE_BYTES])
        return socket

    async def to_pod() -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data)
                await writer.drain()

    async def from_pod() -> None:
        while data := await reader.read(_CHUNK):
            await socket.send_bytes(data)

    tasks = [asyncio.create_task(to_pod()), asyncio.create_task(from_pod())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
    await socket.close()
    return socket


async def _pump(fd: int, send: Callable[[bytes], Any]) -> None:
    """From a descriptor (which it closes) until its end."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0))
    try:
        while True:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                return  # a terminal whose program has ended
            if not data:
                return
            await send(data)
    finally:
        transport.close()


async def _write_all(fd: int, data: bytes) -> None:
    """To a descriptor that does not block; a reader that has gone takes nothing."""
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            writable = loop.create_future()
            loop.add_writer(fd, lambda f=writable: f.done() or f.set_result(None))  # type: ignore[misc]
            try:
                await writable
            finally:
                loop.remove_writer(fd)
        except OSError:
            return


def result_of(code: int) -> bytes:
    """The Status of a command that has ended."""
    if code == 0:
        return orjson.dumps({"metadata": {}, "status": "Success"})
    return orjson.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: command terminated with exit code {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


def failure(message: str, reason: str, code: int) -> bytes:
    """The Status of a command that was not run."""
    return orjson.dumps({"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})


def _flag(value: str | None) -> bool:
    return (value or "").lower() in ("true", "1")
