"""Lines up workloads for their second pass, and wakes the scheduler when the time of the next one has come."""

from __future__ import annotations

from typing import Final

from raysail.api.kueue import Workload
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.planner.second_pass import needs_second_pass

_NEXT: Final[Key] = ("", "second pass")


class SecondPassTimer:
    """Follows the Workloads that hold quota and still have to be placed, or placed anew."""

    def __init__(self, manager: Manager, cache: QueueCache) -> None:
        self.cache = cache
        self.clock = manager.clock
        self.waiting = cache.pending.second_pass
        self.controller = manager.add(Controller("second_pass", self._due))
        cache.workloads.on_change(self._workload_changed)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        if new is not None and needs_second_pass(new):
            key = f"{new.metadata.namespace}/{new.metadata.name}"
            if key not in self.cache.assumed:
                self.waiting.put(self.cache.info(new), self.clock.now().timestamp())
                self.arm()
        elif old is not None and needs_second_pass(old):
            self.waiting.discard(f"{old.metadata.namespace}/{old.metadata.name}")

    def arm(self) -> None:
        """Sets the timer to the next one; also after a plan that put some back."""
        due = self.waiting.next_due()
        if due is not None:
            self.controller.enqueue_after(_NEXT, max(0.0, due - self.clock.now().timestamp()))

    async def _due(self, _: Key) -> float | None:
        due = self.waiting.next_due()
        if due is None:
            return None
        wait = due - self.clock.now().timestamp()
        if wait > 0:
            return wait
        self.cache.changed.set()
        return None
