"""Probing a running container until it ends: one task for each probe, results counted in `Health`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

from raysail.api.core.containers import Container, Probe
from raysail.kube.clock import Clock
from raysail.node.execution import run_command
from raysail.node.probes import Health, check, ports_of
from raysail.node.sandbox import Supervisor

Report = Callable[[str, str], None]
"""(kind, message) of a failed probe, for an event."""

_KINDS: Final = ("startup", "liveness", "readiness")
_QUICK_FIRST_SECONDS: Final = 0.2


class Monitor:
    """The probes of one run of a container. `changed` is called whenever what they say has changed."""

    def __init__(
        self,
        container: Container,
        supervisor: Supervisor,
        address: str,
        clock: Clock,
        started_at: datetime,
        changed: Callable[[], None],
        failed: Report,
    ) -> None:
        self.health = Health()
        self._container = container
        self._supervisor = supervisor
        self._address = address
        self._clock = clock
        self._started_at = started_at
        self._changed = changed
        self._failed = failed
        self._startup_passed = asyncio.Event()
        if container.startup_probe is None:
            self._startup_passed.set()

    async def run(self) -> None:
        """Probes until cancelled."""
        probes = {kind: getattr(self._container, f"{kind}_probe") for kind in _KINDS}
        async with asyncio.TaskGroup() as group:
            for kind, probe in probes.items():
                if probe is not None:
                    group.create_task(self._repeat(kind, probe), name=f"{kind} probe of {self._container.name}")

    async def _repeat(self, kind: str, probe: Probe) -> None:
        if kind != "startup":
            await self._startup_passed.wait()
        age = (self._clock.now() - self._started_at).total_seconds()
        await self._clock.sleep(max(_QUICK_FIRST_SECONDS * random.random(), probe.initial_delay_seconds - age))  # noqa: S311 - spreads load
        while True:
            await self._once(kind, probe)
            if kind == "startup" and self.health.startup.verdict is True:
                self._startup_passed.set()
                return
            await self._clock.sleep(probe.period_seconds or 10)

    async def _once(self, kind: str, probe: Probe) -> None:
        def execute(argv: list[str]):  # type: ignore[no-untyped-def]
            return run_command(self._supervisor, self._container.name, argv)

        success, found = await check(probe, self._address, ports_of(self._container), execute, self._container)
        before = self.health
        self.health = before.count(kind, probe, success)
        if not success:
            self._failed(kind, found)
        if _verdicts(before) != _verdicts(self.health):
            self._changed()


def _verdicts(health: Health) -> tuple[bool | None, ...]:
    return health.startup.verdict, health.liveness.verdict, health.readiness.verdict
