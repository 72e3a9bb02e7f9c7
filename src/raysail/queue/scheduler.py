"""The scheduler's shell: waits for changes, plans, and writes the decisions; everything that can fail or race is here.

Decisions count in the world before they are written, so the next plan builds on them. Writes go out together, each with a precondition; one that is
refused takes its decision back and has the workload looked at again. Nothing polls: a change of the world starts the next cycle at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any, Final

from raysail.api.kueue import Workload
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import (
    Said,
    cut,
    event_of_eviction,
    event_of_waiting,
    events_of_admission,
    events_of_preemption,
    evict_for_migration,
    evict_unhealthy,
    evict_victim,
    migration_message,
    reserve_quota,
    tell_waiting,
)
from raysail.queue.model.workload import has_reservation, is_active, is_finished, may_be_queued
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import (
    Admit,
    Decision,
    EvictUnhealthy,
    Migrate,
    Plan,
    Preempt,
    SecondPassFailed,
    Trace,
    Wait,
    WaitForPodsReady,
)
from raysail.queue.settings import QueueSettings

logger = logging.getLogger(__name__)

WRITES_IN_FLIGHT: Final = 64
MAX_TRACES: Final = 20_000
RETRY_SECONDS: Final = 1.0


class Scheduler:
    """Runs cycles until cancelled. `traces` keeps why each workload fared as it did the last time, the oldest dropped first."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.clock = manager.clock
        self.events = manager.events
        self.options = settings.cycle_options()
        self.writer = cache.workload_writer
        self.traces: OrderedDict[str, Trace] = OrderedDict()
        self.cycles = 0
        self.on_cycle: list[Callable[[Plan, float], None]] = []
        """Told each plan and the seconds that it took."""
        self._slots = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self._writing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Plans whenever something changed."""
        for wait in self.cache.before_planning:
            await wait()
        async with asyncio.TaskGroup() as group:
            while True:
                await self.cache.changed.wait()
                result = self.cycle()
                for decision in result.decisions:
                    await self._slots.acquire()
                    task = group.create_task(self._released(self._write(decision)))
                    self._writing.add(task)
                    task.add_done_callback(self._writing.discard)
                await asyncio.sleep(0)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be planned or written."""
        return not self.cache.changed.is_set() and not self._writing

    def cycle(self) -> Plan:
        """One plan over all trees that changed; its decisions count from now on."""
        now, started = self.clock.now().timestamp(), perf_counter()
        result = plan(self.cache.world, self.cache.pending, now, self.options, self.cache.take_dirty())
        self.cycles += 1
        for each in self.on_cycle:
            each(result, perf_counter() - started)
        for decision in result.decisions:
            if isinstance(decision, Admit):
                self.cache.assumed[decision.info.key] = decision.info.uid
        for key, trace in result.traces.items():
            self.traces[key] = trace
            self.traces.move_to_end(key)
        while len(self.traces) > MAX_TRACES:
            self.traces.popitem(last=False)
        for name in result.unfinished:  # what is decided so far is written meanwhile
            self.cache.touch(name)
        if self.options.one_round and any(isinstance(decision, Admit) for decision in result.decisions):
            for decision in result.decisions:
                if isinstance(decision, Admit):
                    self.cache.touch(decision.cluster_queue)
        return result

    async def _released(self, write: Coroutine[Any, Any, None]) -> None:
        try:
            await write
        finally:
            self._slots.release()

    async def _write(self, decision: Decision) -> None:
        match decision:
            case Admit():
                await self._admit(decision)
            case Preempt():
                await asyncio.gather(*(self._evict(decision, at) for at in range(len(decision.victims))))
            case Wait():
                await self._tell_waiting(decision)
            case WaitForPodsReady():
                await self._hold_back(decision)
            case SecondPassFailed():
                self._say(decision.info.obj, [Said(decision.info.key, "Warning", "SecondPassFailed", cut(decision.message))])
            case EvictUnhealthy():
                await self._evict_unhealthy(decision)
            case Migrate():
                await self._migrate(decision)

    async def _admit(self, decision: Admit) -> None:
        key = decision.info.key
        written: dict[str, Any] = {}
        held_before = has_reservation(decision.info.obj)

        def change(current: Workload, status: dict[str, Any]) -> bool:
            stale = current.spec != decision.info.obj.spec or is_finished(current) or not is_active(current)
            if stale or (not held_before and not may_be_queued(current)):
                return False  # it is not the workload that was decided on any more
            queue = self.cache.world.cluster_queues.get(decision.cluster_queue)
            if queue is None:
                return False
            if held_before and current.status.unhealthy_nodes != decision.info.obj.status.unhealthy_nodes:
                return False  # another node failed meanwhile
            flavors = {given.flavor for pod_set in decision.assignment.pod_sets for given in pod_set.flavors.values()}
            reserve_quota(status, decision, queue.checks_for(flavors), self.clock.now(), current.metadata.generation)
            written.update(status)
            return True

        try:
            done = await self.writer.change(decision.info.obj, change)
        except Exception as error:
            logger.warning("cannot write the admission of %s, trying again: %s", key, error)
            await self.clock.sleep(RETRY_SECONDS)
            done = None
        if done is None:
            self.cache.forget(key)
            return
        self._say(done, events_of_admission(decision, written, self.clock.now(), held_before=held_before))
        if decision.replaced is not None:
            await self._replace(decision)

    async def _replace(self, decision: Admit) -> None:
        old = decision.replaced
        if old is None:
            return
        message = f"Replaced to accommodate a workload (UID: {decision.info.uid}, JobUID: {decision.info.job_uid}) due to workload slice aggregation"

        def finish(current: Workload, status: dict[str, Any]) -> bool:
            if is_finished(current):
                return False  # its job's controller was first
            return transitions.finish(status, "WorkloadSliceReplaced", message, self.clock.now(), current.metadata.generation)

        done = await self.writer.change(old.obj, finish)
        if done is not None:
            self._say(done, [Said(old.key, "Normal", "WorkloadSliceReplaced", message)])

    async def _evict(self, decision: Preempt, at: int) -> None:
        victim = decision.victims[at].info
        said: list[Said] = []

        def change(current: Workload, status: dict[str, Any]) -> bool:
            if transitions.holds(status, "Evicted") or is_finished(current) or not has_reservation(current):
                return False
            message = evict_victim(status, decision, at, self.clock.now(), current.metadata.generation)
            said[:] = events_of_preemption(decision, at, message)
            return True

        try:
            done = await self.writer.change(victim.obj, change)
        except Exception as error:
            logger.warning("cannot preempt %s, trying again: %s", victim.key, error)
            await self.clock.sleep(RETRY_SECONDS)
            current = self.cache.world.workload(victim.key)
            if current is not None:
                current.evicting = False
            self.cache.touch(decision.preemptor.cluster_queue)
            return
        if done is not None:
            self._say(done, [each for each in said if each.key == victim.key])
            self._say(decision.preemptor.obj, [each for each in said if each.key == decision.preemptor.key])

    async def _evict_unhealthy(self, decision: EvictUnhealthy) -> None:
        said: list[str] = []

        def change(current: Workload, status: dict[str, Any]) -> bool:
            if transitions.holds(status, "Evicted") or is_finished(current) or not has_reservation(current):
                return False
            said[:] = [evict_unhealthy(status, decision, self.clock.now(), current.metadata.generation)]
            return True

        try:
            done = await self.writer.change(decision.info.obj, change)
        except Exception as error:
            logger.warning("cannot evict %s, trying again: %s", decision.info.key, error)
            self.cache.pending.second_pass.put(decision.info, self.clock.now().timestamp())
            self._say(decision.info.obj, [Said(decision.info.key, "Warning", "SecondPassFailed", cut(decision.message))])
            return
        if done is not None:
            self._say(done, [event_of_eviction(decision, message) for message in said])

    async def _migrate(self, decision: Migrate) -> None:
        """The running variant makes way for the one with the better flavor."""
        victim = decision.victim

        def change(current: Workload, status: dict[str, Any]) -> bool:
            if transitions.holds(status, "Evicted") or is_finished(current) or not has_reservation(current):
                return False
            evict_for_migration(status, decision, self.clock.now(), current.metadata.generation)
            return True

        try:
            done = await self.writer.change(victim.obj, change)
        except Exception as error:
            logger.warning("cannot evict %s for a better flavor, trying again: %s", victim.key, error)
            await self.clock.sleep(RETRY_SECONDS)
            victim.evicting = False
            self.cache.touch(victim.cluster_queue)
            return
        if done is not None:
            message = migration_message(decision)
            self._say(done, [Said(victim.key, "Normal", "EvictedDueToFlavorMigration", cut(message))])

    async def _tell_waiting(self, decision: Wait) -> None:
        key = decision.info.key

        def change(current: Workload, status: dict[str, Any]) -> bool:
            if not may_be_queued(current) or key in self.cache.assumed:
                return False
            return tell_waiting(status, decision, self.clock.now(), current.metadata.generation)

        try:
            done = await self.writer.change(decision.info.obj, change)
        except Exception as error:
            logger.warning("cannot say why %s waits: %s", key, error)
            return
        if done is not None:
            self._say(done, [event_of_waiting(decision)])

    async def _hold_back(self, decision: WaitForPodsReady) -> None:
        def change(current: Workload, status: dict[str, Any]) -> bool:
            if not may_be_queued(current):
                return False
            message = "waiting for all admitted workloads to be in PodsReady condition"
            return transitions.release(status, "WaitingForPodsReady", message, self.clock.now(), current.metadata.generation)

        try:
            await self.writer.change(decision.info.obj, change)
        except Exception as error:
            logger.warning("cannot say that %s waits for others: %s", decision.info.key, error)

    def _say(self, about: Workload, said: list[Said]) -> None:
        for each in said:
            self.events.event(about, each.type, each.reason, each.message, each.reason)
