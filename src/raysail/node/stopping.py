"""Ending a container: preStop hook, TERM (or the signal it asks for), and KILL when the grace is over."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

import aiohttp

from raysail.api.core.containers import Container, LifecycleHandler
from raysail.kube.clock import Clock
from raysail.node.execution import run_command
from raysail.node.probes import http_get, port_number, ports_of
from raysail.node.sandbox import SandboxError, Supervisor


class HookFailedError(Exception):
    """A lifecycle hook has failed; the text is for the event."""


async def run_hook(handler: LifecycleHandler, container: Container, supervisor: Supervisor, address: str) -> None:
    """Runs a hook to its end. Raises HookFailedError."""
    if handler.exec is not None:
        argv = list(handler.exec.command or ())
        code, output = await run_command(supervisor, container.name, argv)
        if code != 0:
            raise HookFailedError(
                f"Exec lifecycle hook ({argv}) for Container {container.name!r} failed - exit code {code}, message: {output!r}"
            )
    elif handler.http_get is not None:
        get = handler.http_get
        try:
            port = port_number(get.port or 80, ports_of(container))
            success, found = await http_get(
                get.scheme, get.host or address, port, get.path, {h.name: h.value for h in get.http_headers or ()}
            )
        except (OSError, aiohttp.ClientError, ValueError) as error:
            success, found = False, str(error)
        if not success:
            raise HookFailedError(f"Http lifecycle hook ({get.path}) for Container {container.name!r} failed: {found}")
    elif handler.sleep is not None:
        await asyncio.sleep(handler.sleep.seconds)


class Stopping:
    """One container on its way out. `hasten` shortens the grace; `run` ends when the container has."""

    def __init__(self, container: Container, number: int, supervisor: Supervisor, address: str, clock: Clock, ended: asyncio.Event) -> None:
        self._container = container
        self._number = number
        self._supervisor = supervisor
        self._address = address
        self._clock = clock
        self._ended = ended
        self._deadline = float("inf")
        self._hastened = asyncio.Event()

    def hasten(self, grace_seconds: float) -> None:
        """Not later than that from now."""
        deadline = self._now() + grace_seconds
        if deadline < self._deadline:
            self._deadline = deadline
            self._hastened.set()

    async def run(self, grace_seconds: float, hook_failed: Callable[[str], None]) -> None:
        """preStop, TERM, KILL. The hook's time is part of the grace, as in the kubelet."""
        self._deadline = self._now() + grace_seconds
        lifecycle = self._container.lifecycle
        if lifecycle is not None and lifecycle.pre_stop is not None and grace_seconds > 0:
            hook = asyncio.create_task(run_hook(lifecycle.pre_stop, self._container, self._supervisor, self._address))
            await self._until_deadline(hook)
            if hook.done() and isinstance(error := hook.exception(), HookFailedError):
                hook_failed(str(error))
            hook.cancel()
        number = _stop_signal(lifecycle.stop_signal if lifecycle is not None else None)
        with contextlib.suppress(SandboxError):  # it has ended meanwhile: what follows sees that
            if grace_seconds > 0:
                await self._supervisor.signal(self._container.name, self._number, number)
                ended = asyncio.create_task(self._ended.wait())
                await self._until_deadline(ended)
                ended.cancel()
            if not self._ended.is_set():
                await self._supervisor.signal(self._container.name, self._number, signal.SIGKILL)
                await self._ended.wait()

    async def _until_deadline(self, task: asyncio.Task[object]) -> None:
        """Waits for the task, the container's end, or the deadline, wherever that may move to."""
        ended = asyncio.create_task(self._ended.wait())
        try:
            while not task.done() and not self._ended.is_set() and self._now() < self._deadline:
                self._hastened.clear()
                hastened = asyncio.create_task(self._hastened.wait())
                timer = asyncio.create_task(self._clock.sleep(self._deadline - self._now()))
                await asyncio.wait((task, hastened, timer, ended), return_when=asyncio.FIRST_COMPLETED)
                hastened.cancel()
                timer.cancel()
        finally:
            ended.cancel()

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _stop_signal(name: str | None) -> int:
    try:
        return int(signal.Signals[name]) if name else int(signal.SIGTERM)
    except KeyError:
        return int(signal.SIGTERM)  # a real-time signal's name: Python knows the range only
