"""WorkloadPriorityClasses: a changed value reaches the Workloads that name the class, also running ones."""

from __future__ import annotations

from collections.abc import Iterable

from raysail.api.kueue import Workload, WorkloadPriorityClass
from raysail.api.resources import WORKLOAD_PRIORITY_CLASSES
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache


def _by_class(workload: Workload) -> Iterable[str]:
    reference = workload.spec.priority_class_ref
    return (reference.name,) if reference is not None and reference.kind == "WorkloadPriorityClass" else ()


def value_changed(old: WorkloadPriorityClass | None, new: WorkloadPriorityClass | None) -> bool:
    """Whether Workloads have to follow. Of a class that is deleted they keep the value."""
    return new is not None and (old is None or old.value != new.value)


class PriorityClassController:
    """Writes spec.priority where it differs from the class."""

    def __init__(self, manager: Manager, cache: QueueCache) -> None:
        self.workloads = cache.workloads
        self.workloads.add_indexes({"priority_class": _by_class})
        self.classes = manager.informer(WORKLOAD_PRIORITY_CLASSES, WorkloadPriorityClass)
        self.writer = cache.workload_writer
        self.controller = Controller("workloadpriorityclass", self.reconcile)
        self.classes.on_change(self._changed)
        manager.add(self.controller)

    def _changed(self, old: WorkloadPriorityClass | None, new: WorkloadPriorityClass | None) -> None:
        if new is not None and value_changed(old, new):
            self.controller.enqueue(new.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """All Workloads of the class."""
        found = self.classes.get(*key)
        for workload in self.workloads.by_index("priority_class", key[1]) if found is not None else ():
            if found is not None and workload.spec.priority != found.value:
                await self.writer.patch(workload, {"spec": {"priority": found.value}})
        return None
