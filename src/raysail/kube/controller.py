"""Reconciling: one function that looks at one object as it is now and does the next step towards what is wanted.

Level triggered: a reconcile may run at any time, any number of times, for a key that may not exist any more. It is told only the key, never what
changed. It returns the seconds after which it wants to look again, or None.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from raysail.api.errors import StatusError, is_already_exists, is_conflict
from raysail.api.meta import Object
from raysail.kube.clock import Clock
from raysail.kube.informer import Informer, Key
from raysail.kube.workqueue import WorkQueue

__all__ = ["Controller", "Key", "Reconcile"]

logger = logging.getLogger(__name__)

V = TypeVar("V", bound=Object)
Reconcile = Callable[[Key], Awaitable[float | None]]


class Controller:
    """Runs `reconcile` for keys that were enqueued: one key never twice at the same time, up to `concurrency` keys side by side.

    What reconcile raises is logged with the key, which then backs off (5 ms, doubling to a minute); other keys are not held up.
    """

    def __init__(self, name: str, reconcile: Reconcile, concurrency: int = 1) -> None:
        self.name = name
        self.concurrency = concurrency
        self._reconcile = reconcile
        self._queue: WorkQueue[Key] = WorkQueue()
        self._draining = asyncio.Event()
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def use_clock(self, clock: Clock) -> None:
        """Which clock delays are measured by (set by the manager)."""
        self._queue.clock = clock

    def enqueue(self, key: Key) -> None:
        """Wants a reconcile of (namespace, name) soon."""
        self._queue.add(key)

    def enqueue_after(self, key: Key, seconds: float) -> None:
        """Wants a reconcile in that time."""
        self._queue.add_after(key, seconds)

    def watches(self, informer: Informer[V], keys: Callable[[V], Iterable[Key]] = lambda obj: (obj.metadata.key,)) -> None:
        """Enqueues `keys(object)` for the old and the new version of each changed object."""

        def changed(old: V | None, new: V | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for key in keys(obj):
                        self._queue.add(key)

        informer.on_change(changed)

    @property
    def backlog(self) -> int:
        """How many keys wait."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs (delayed keys aside)."""
        return self._queue.idle

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run_timers(), name=f"{self.name} timers")
            for number in range(self.concurrency):
                group.create_task(self._work(), name=f"{self.name} worker {number}")

    async def drain(self) -> None:
        """Takes no further key and returns when the reconciles in hand have ended."""
        self._draining.set()
        await self._quiet.wait()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            if self._draining.is_set():
                return
            self._busy += 1
            self._quiet.clear()
            try:
                again = await self._reconcile(key)
            except Exception as error:  # the one place where what nobody expected ends: logged with its key, tried again
                self._failed(key, error)
            else:
                self._queue.forget(key)
                if again is not None:
                    self._queue.add_after(key, again)
            finally:
                self._queue.done(key)
                self._busy -= 1
                if not self._busy:
                    self._quiet.set()

    def _failed(self, key: Key, error: Exception) -> None:
        wait = self._queue.retry(key)
        name = "/".join(filter(None, key))
        if is_conflict(error) or is_already_exists(error):
            # Somebody else was quicker, or our copy is behind; the next look settles it.
            logger.debug("%s %s: %s (again in %g s)", self.name, name, error, wait)
        elif isinstance(error, StatusError | ConnectionError):
            logger.warning("%s %s: %s (again in %g s)", self.name, name, error, wait)
        else:
            logger.error("%s %s failed (again in %g s)", self.name, name, wait, exc_info=error)
