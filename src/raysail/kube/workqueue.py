"""Keys that want to be looked at: each at most once in the queue and in one hand at a time (k8s.io/client-go util/workqueue).

A key added while it is being worked on is handed out again afterwards. `add_after` delays, `retry` delays longer with each failure in a row.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from raysail.kube.clock import Clock, SystemClock

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A deduplicating queue of keys. `first_retry` and `longest_retry` are seconds."""

    def __init__(self, clock: Clock | None = None, *, first_retry: float = 0.005, longest_retry: float = 60.0) -> None:
        self.clock = clock or SystemClock()
        self._first_retry = first_retry
        self._longest_retry = longest_retry
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: list[tuple[datetime, int, K]] = []
        self._timed: dict[K, datetime] = {}
        self._order = itertools.count()
        self._available = asyncio.Event()
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Wants a look at the key as soon as possible."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._available.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Wants a look in that time. Of several for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self.clock.now() + timedelta(seconds=seconds)
        present = self._timed.get(key)
        if present is not None and present <= due:
            return
        self._timed[key] = due
        heapq.heappush(self._timers, (due, next(self._order), key))
        if self._timers[0][2] == key:
            self._sooner.set()

    def retry(self, key: K) -> float:
        """The key failed: wants a look after a wait that doubles with each failure in a row. Returns that wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds: float = min(self._longest_retry, self._first_retry * 2 ** min(failures, 32))
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """The key succeeded: its failures are forgotten."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; it is the caller's until `done`."""
        while not self._ready:
            self._available.clear()
            await self._available.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The caller has finished with the key."""
        self._working.discard(key)
        if key in self._waiting:
            self._ready.append(key)
            self._available.set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nobody works (delayed keys aside)."""
        return not self._ready and not self._working

    async def run_timers(self) -> None:
        """Moves delayed keys into the queue when they are due, until cancelled."""
        while True:
            self._sooner.clear()
            now = self.clock.now()
            while self._timers and self._timers[0][0] <= now:
                due, _, key = heapq.heappop(self._timers)
                if self._timed.get(key) == due:
                    del self._timed[key]
                    self.add(key)
            if not self._timers:
                await self._sooner.wait()
                continue
            await self._sleep_or_sooner((self._timers[0][0] - now).total_seconds())

    async def _sleep_or_sooner(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self.clock.sleep(seconds))
        sooner = asyncio.ensure_future(self._sooner.wait())
        try:
            await asyncio.wait((sleep, sooner), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            sooner.cancel()
