"""The agent's side of a Pod's supervisor: starts it, talks to it, finds it again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raysail.node.supervisor.server import SOCKET

MARK: Final = "RAYSAIL_POD_UID"
"""The variable by which a Pod's processes are found where there is no PID namespace."""

_PROGRAM: Final = str(Path(__file__).parent / "supervisor" / "__main__.py")
_START_SECONDS: Final = 20.0


class SandboxError(Exception):
    """The supervisor cannot be started, or has refused; `reason` is for the container's status."""

    def __init__(self, message: str, reason: str = "SandboxError") -> None:
        super().__init__(message)
        self.reason = reason


class SupervisorGoneError(SandboxError):
    """Nobody answers: the supervisor has ended, and with it all containers of the Pod."""


@dataclass(slots=True)
class Running:
    """A program started by `Supervisor.execute`. `wait` gives its exit code; closing it before kills the program."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def wait(self) -> int:
        """The exit code; 137 when the supervisor ended meanwhile."""
        line = await self._reader.readline()
        return int(json.loads(line)["exit"]) if line else 137

    def close(self) -> None:
        """Kills the program if it still runs."""
        self._writer.close()


class Supervisor:
    """The supervisor of the Pod whose folder is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def launch(self, settings: dict[str, Any], python: str = sys.executable) -> None:
        """Starts it, in a session of its own so that it outlives the agent. Raises SandboxError."""
        _write_private(self.folder / "sandbox.json", json.dumps(settings))
        with contextlib.suppress(FileNotFoundError):
            (self.folder / SOCKET).unlink()
        log = os.open(self.folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        environment = {"PATH": os.environ.get("PATH", os.defpath), MARK: self.folder.name, "RAYSAIL_SUPERVISOR": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                python,
                "-I",
                "-S",
                _PROGRAM,
                str(self.folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(log)
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await process.stdout.readline() if process.stdout is not None else b""
        except TimeoutError as error:
            process.kill()
            raise SandboxError(f"the Pod's supervisor did not start within {_START_SECONDS:g} s") from error
        answer = json.loads(line) if line else {"error": f"see {self.folder / 'supervisor.log'}"}
        if "error" in answer:
            raise SandboxError(f"the Pod's supervisor did not start: {answer['error']}")

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """First `{"containers": ...}`, then each change, until the supervisor ends. Raises SupervisorGoneError when nobody answers."""
        reader, writer = await self._ask({"op": "watch"})
        try:
            while line := await reader.readline():
                yield json.loads(line)
        finally:
            writer.close()

    async def start(self, container: str, number: int, spec: Path) -> None:
        """Starts a container. Raises SandboxError with the reason."""
        await self._call({"op": "start", "name": container, "attempt": number, "spec": str(spec)})

    async def signal(self, container: str, number: int, signal_number: int) -> None:
        """A signal for the container's first program; SIGKILL ends all of the container."""
        await self._call({"op": "signal", "name": container, "attempt": number, "number": signal_number})

    async def execute(self, container: str, argv: Sequence[str], fds: tuple[int, int, int], **spec: Any) -> Running:
        """Runs a program inside a running container, on the given stdin, stdout and stderr. Raises SandboxError."""
        reader, writer = await self._ask({"op": "exec", "name": container, "spec": {"argv": list(argv), **spec}}, fds)
        line = await reader.readline()
        answer = json.loads(line) if line else {"error": "the Pod has ended", "reason": "NotRunning"}
        if "error" in answer:
            writer.close()
            raise SandboxError(answer["error"], answer.get("reason", ""))
        return Running(reader, writer)

    async def input_of(self, container: str) -> int:
        """A descriptor that writes to the container's stdin (with a terminal: its master side). The caller closes it. Raises SandboxError."""
        return await asyncio.to_thread(self._input_of, container)

    def _input_of(self, container: str) -> int:
        with self._connect() as link:
            link.sendall(json.dumps({"op": "input", "name": container}).encode() + b"\n")
            data, fds, _, _ = socket.recv_fds(link, 65536, 1)
        if not fds:
            raise SandboxError(json.loads(data).get("error", "no stdin") if data else "the Pod has ended")
        os.set_inheritable(fds[0], False)
        return fds[0]

    async def shutdown(self) -> None:
        """Ends everything. Returns when it is done, or nobody answers."""
        try:
            reader, writer = await self._ask({"op": "shutdown"})
        except SupervisorGoneError:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await reader.read()
        writer.close()

    async def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await self._ask(message)
        try:
            line = await reader.readline()
        finally:
            writer.close()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the supervisor has ended", "reason": "SandboxError"}
        if "error" in answer:
            raise SandboxError(answer["error"], answer.get("reason", ""))
        return answer

    async def _ask(self, message: dict[str, Any], fds: Sequence[int] = ()) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        link = self._connect()
        data = json.dumps(message).encode() + b"\n"
        sent = socket.send_fds(link, [data], list(fds)) if fds else 0
        if sent < len(data):
            link.sendall(data[sent:])
        return await asyncio.open_unix_connection(sock=link, limit=1 << 22)

    def _connect(self) -> socket.socket:
        """By way of the folder's descriptor: its path may be longer than a socket's address can be."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                link.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            finally:
                os.close(folder)
        except OSError as error:
            link.close()
            raise SupervisorGoneError(f"the Pod's supervisor does not answer: {error.strerror}") from error
        return link


def end_marked(uid: str) -> int:
    """Kills every process that carries the Pod's mark and is not ours; how many there were. The safety net where there is no PID namespace."""
    mark = f"{MARK}={uid}".encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            found = mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # another user's, or gone
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += 1
    return killed


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
