"""Workloads: everything about them but scheduling. The decisions are `raysail.queue.lifecycle.next_step`'s."""

from __future__ import annotations

from typing import Any

from raysail.api.errors import is_not_found
from raysail.api.kueue import ClusterQueue, LocalQueue, Workload
from raysail.api.resources import WORKLOADS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.checks.states import checks_for
from raysail.queue.controllers.queues import only_status_changed
from raysail.queue.lifecycle.next_step import FINALIZER, Step, next_step
from raysail.queue.lifecycle.surroundings import Seen
from raysail.queue.model.workload import has_reservation
from raysail.queue.planner.admissibility import inadmissible
from raysail.queue.settings import QueueSettings


class WorkloadController:
    """Takes each Workload one step further."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.settings = settings
        self.clock = manager.clock
        self.client = manager.client
        self.events = manager.events
        self.writer = cache.workload_writer
        self.controller = Controller("workload", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 10))
        self.controller.watches(cache.workloads)
        cache.local_queues.on_change(self._local_queue_changed)
        cache.on_activity.append(self._cluster_queue_changed)
        cache.cluster_queues.on_change(self._cluster_queue_replaced)
        manager.add(self.controller)

    def _local_queue_changed(self, old: LocalQueue | None, new: LocalQueue | None) -> None:
        if only_status_changed(old, new):
            return
        obj = new if new is not None else old
        if obj is not None:
            self._enqueue_queue(obj.metadata.namespace, obj.metadata.name)

    def _cluster_queue_replaced(self, old: ClusterQueue | None, new: ClusterQueue | None) -> None:
        obj = new if new is not None else old
        if obj is not None and not only_status_changed(old, new):
            self._cluster_queue_changed(obj.metadata.name)

    def _cluster_queue_changed(self, name: str) -> None:
        for local in self.cache.local_queues.by_index("cluster_queue", name):
            self._enqueue_queue(local.metadata.namespace, local.metadata.name)

    def _enqueue_queue(self, namespace: str, name: str) -> None:
        for workload in self.cache.workloads.by_index("queue", (namespace, name)):
            self.controller.enqueue(workload.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """One step."""
        workload = self.cache.workloads.get(*key)
        if workload is None:
            return None
        step = next_step(workload, self.seen(workload), self.settings, self.clock.now())
        if not step.nothing:
            await self._do(workload, step)
        return step.again

    def seen(self, workload: Workload) -> Seen:
        """What surrounds it now."""
        cache = self.cache
        local = cache.local_queues.get(workload.metadata.namespace, workload.spec.queue_name)
        name = local.spec.cluster_queue if local is not None else ""
        reserved = has_reservation(workload) and workload.status.admission is not None
        if reserved and workload.status.admission is not None:
            name = workload.status.admission.cluster_queue or name
        obj = cache.cluster_queues.get("", name) if name else None
        queue = cache.world.cluster_queues.get(name)
        refused: str | None = None
        checks: tuple[str, ...] = ()
        if queue is not None:
            if not reserved:
                refused = inadmissible(cache.world, queue, cache.info(workload))
            checks = checks_for(workload, queue.checks, queue.all_flavors())
        waiting = cache.pending.queues.get(name)
        return Seen(
            local,
            name,
            obj is not None,
            obj is not None and obj.metadata.deletion_timestamp is not None,
            (obj.spec.stop_policy or "None") if obj is not None else "None",
            queue is not None and queue.active,
            checks,
            refused,
            waiting.unfit_reason(f"{key[0]}/{key[1]}") if waiting is not None and (key := workload.metadata.key) else "",
            obj is not None and obj.spec.concurrent_admission_policy is not None and self.settings.gate("ConcurrentAdmission", False),
        )

    async def _do(self, workload: Workload, step: Step) -> None:
        written: Workload | None = workload
        if step.status is not None:
            status = step.status
            version = workload.metadata.resource_version

            def change(current: Workload, present: dict[str, Any]) -> bool:
                if current.metadata.resource_version != version:
                    return False  # decided on another version: the change enqueues it again
                present.clear()
                present.update(status)
                return True

            written = await self.writer.change(workload, change, alone=True)
        if step.labels and written is not None:
            written = await self.writer.patch(written, {"metadata": {"labels": step.labels}})
        if step.deactivate and written is not None:
            written = await self.writer.patch(written, {"spec": {"active": False}})
        if step.drop_finalizer and written is not None:
            kept = [each for each in written.metadata.finalizers or () if each != FINALIZER]
            await self.writer.patch(written, {"metadata": {"finalizers": kept or None}})
        if step.delete and written is not None:
            try:
                await self.client.delete(WORKLOADS, workload.metadata.name, workload.metadata.namespace, uid=workload.metadata.uid)
            except Exception as error:
                if not is_not_found(error):
                    raise
        if written is not None:
            for type_, reason, message in step.events:
                self.events.event(workload, type_, reason, message, reason)
