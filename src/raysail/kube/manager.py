"""What a process of controllers is made of: one client, shared informers, controllers, an event recorder, a clock.

Order: informers list first; controllers start when all that were asked for before the start are complete (what they would decide on half a world could
be wrong); on stop controllers finish the reconcile in hand, events are written, then everything is cancelled. Whatever task dies is logged and started
again; nothing that one of them does ends the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from raysail.api.meta import Object
from raysail.api.resources import Resource
from raysail.kube.backoff import Backoff
from raysail.kube.client import Client
from raysail.kube.clock import Clock, SystemClock
from raysail.kube.controller import Controller
from raysail.kube.events import Recorder
from raysail.kube.informer import Index, Informer
from raysail.kube.reachability import Reachability

logger = logging.getLogger(__name__)

V = TypeVar("V", bound=Object)
Service = Callable[[], Awaitable[None]]
Metrics = Callable[[], Iterable[str]]
"""Gives lines of Prometheus' text format, `# HELP` and `# TYPE` included."""
ExtensionApi = Callable[[str, Mapping[str, Sequence[str]]], dict[str, Any]]
"""Answers a GET: (path, query) -> body. Raises StatusError."""

STOP_SECONDS: Final = 5.0
"""How long reconciles in hand and unwritten events are waited for at a stop."""


class Manager:
    """Holds what controllers share. `component` is the reporting controller of events; `namespaces` limits all namespaced informers (empty: all)."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        component: str = "raysail",
        namespaces: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        self.client = client
        self.clock: Clock = clock or SystemClock()
        self.events = Recorder(client, self.clock, component)
        self.namespaces = tuple(namespaces)
        self.role = "standalone"
        """What metrics say of this process; `leader` where one of several is elected."""
        self.reachability = Reachability()
        self._seed = seed
        self._informers: dict[tuple[Any, ...], Informer[Any]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._controllers: list[Controller] = []
        self._services: list[tuple[str, Service]] = []
        self._metrics: list[Metrics] = []
        self.extension_apis: dict[str, ExtensionApi] = {}
        """API groups that this process answers for, beside what the API server keeps; who serves them asks here."""
        self._group: asyncio.TaskGroup | None = None
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    def informer(
        self,
        resource: Resource,
        view: type[V],
        indexes: Mapping[str, Index[V]] | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        optional: bool = False,
    ) -> Informer[V]:
        """The informer of that kind and view, shared by all who ask for the same; asked for while running it starts at once.

        `optional`: a kind that the API may not serve; it counts as complete and empty until it is served.
        """
        key = (resource, view, label_selector, field_selector, metadata_only)
        found: Informer[V] | None = self._informers.get(key)
        if found is None:
            found = self._informers[key] = Informer(
                self.client,
                resource,
                view,
                namespaces=self.namespaces,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                optional=optional,
                clock=self.clock,
                reachability=self.reachability,
                seed=self._seed,
            )
            if self._group is not None:
                self._start_informer(found)
        found.optional = found.optional and optional
        found.add_indexes(indexes or {})
        return found

    def release(self, informer: Informer[Any]) -> None:
        """Stops an informer that nobody uses any more (a kind that is gone)."""
        self._informers = {key: present for key, present in self._informers.items() if present is not informer}
        task = self._running.pop(id(informer), None)
        if task is not None:
            task.cancel()

    def add(self, controller: Controller) -> Controller:
        """A controller to run. Before the start only."""
        self._before_start(controller.name)
        controller.use_clock(self.clock)
        self._controllers.append(controller)
        return controller

    def add_service(self, name: str, service: Service) -> None:
        """Something else to keep running beside the controllers (a poller, a server); started again if it fails. Before the start only."""
        self._before_start(name)
        self._services.append((name, service))

    def add_metrics(self, metrics: Metrics) -> None:
        """More of what /metrics of the process tells; asked at each scrape."""
        self._metrics.append(metrics)

    def metrics(self) -> list[str]:
        """The lines of everything that was added; a part that fails is left out and logged."""
        lines: list[str] = []
        for part in self._metrics:
            try:
                lines += part()
            except Exception:  # one part's fault must not blind whoever watches the others
                logger.exception("metrics of one part failed")
        return lines

    @property
    def ready(self) -> bool:
        """Whether all informers are complete and the controllers run."""
        return self._started.is_set()

    @property
    def idle(self) -> bool:
        """Whether no controller has anything to do now (delayed keys aside)."""
        return all(controller.idle for controller in self._controllers)

    def backlogs(self) -> dict[str, int]:
        """How many keys wait, by controller."""
        return {controller.name: controller.backlog for controller in self._controllers}

    def missing(self) -> list[str]:
        """The kinds that the start still waits for."""
        return sorted({informer.resource.plural for informer in self._informers.values() if not informer.synced})

    async def wait_ready(self) -> None:
        """Returns when all informers are complete and the controllers run."""
        await self._started.wait()

    def stop(self) -> None:
        """Asks `run` to end in good order."""
        self._stop.set()

    async def run(self) -> None:
        """Works until `stop` or cancellation."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._run(group)
            finally:
                self._group = None
                self._started.clear()
            for task in self._running.values():
                task.cancel()

    async def _run(self, group: asyncio.TaskGroup) -> None:
        recording = group.create_task(self.events.run(), name="event recorder")
        for informer in list(self._informers.values()):
            self._start_informer(informer)
        stopping = group.create_task(self._stop.wait(), name="stop")
        syncing = group.create_task(self._wait_synced(), name="informers complete")
        await asyncio.wait((stopping, syncing), return_when=asyncio.FIRST_COMPLETED)
        work: list[asyncio.Task[None]] = []
        if not self._stop.is_set():
            parts: list[tuple[str, Service]] = [(c.name, c.run) for c in self._controllers]
            work = [group.create_task(self._supervise(name, run), name=name) for name, run in (*parts, *self._services)]
            self._started.set()
            await self._stop.wait()
        await self._finish()
        for task in (*work, recording, syncing, stopping):
            task.cancel()

    async def _wait_synced(self) -> None:
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(controller.drain() for controller in self._controllers))
                await self.events.flush()
        except TimeoutError:
            busy = [controller.name for controller in self._controllers if not controller.idle]
            logger.warning("stopped after waiting %g s for %s", STOP_SECONDS, ", ".join(busy) or "events")

    def _start_informer(self, informer: Informer[Any]) -> None:
        if self._group is None:
            raise RuntimeError("informers run only while the manager does")
        name = f"informer {informer.resource.plural}"
        self._running[id(informer)] = self._group.create_task(self._supervise(name, informer.run), name=name)

    async def _supervise(self, name: str, run: Service) -> None:
        backoff = Backoff()
        while True:
            try:
                await run()
            except Exception:  # one part's fault ends that part for a moment, not the process
                logger.exception("%s failed, starting it again", name)
                await self.clock.sleep(backoff.next())
            else:
                return

    def _before_start(self, name: str) -> None:
        if self._group is not None:
            raise RuntimeError(f"{name} must be added before the manager starts")

    async def __aenter__(self) -> Self:
        """Starts in the background and waits until ready: for tests and for programs that host controllers beside other things."""
        self._main = asyncio.create_task(self.run(), name="manager")
        ready = asyncio.create_task(self.wait_ready())
        await asyncio.wait((self._main, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._main.done():
            self._main.result()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._main is not None:
            await self._main
