"""ClusterQueues, LocalQueues and Cohorts: their status, and the finalizer that keeps a ClusterQueue while jobs hold its quota."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.kueue import ClusterQueue, Cohort, LocalQueue
from raysail.api.resources import CLUSTER_QUEUES, COHORTS, LOCAL_QUEUES
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.finalizer import hold, release
from raysail.queue.lifecycle.queue_status import cluster_queue_status, cohort_status, local_queue_activity, local_queue_status
from raysail.queue.model.cluster_queue import Tally
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter

COUNTS_SECONDS: Final = 0.1
"""Changes of counts and use within this time are one write: with each workload two of them change, several times (Kueue gathers for a second)."""


def only_status_changed(old: ClusterQueue | LocalQueue | None, new: ClusterQueue | LocalQueue | None) -> bool:
    """Whether a change of a queue is nothing but its counts and conditions, which are made from the workloads and must not wake them all."""
    return (
        old is not None and new is not None and old.spec == new.spec and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
    )


class ClusterQueueController:
    """Status and finalizer of ClusterQueues."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.clock = manager.clock
        self.fair_sharing = settings.fair_sharing_strategies is not None
        self.writer = StatusWriter(manager.client, CLUSTER_QUEUES, cache.cluster_queues)
        self.controller = Controller("clusterqueue", self.reconcile, settings.parallel("ClusterQueue.kueue.x-k8s.io", 5))
        self.controller.watches(cache.cluster_queues)
        cache.on_activity.append(lambda name: self.controller.enqueue(("", name)))
        cache.on_pending.append(self._counts_changed)
        manager.add(self.controller)

    def _counts_changed(self, namespace: str, local_queue: str, cluster_queue: str) -> None:
        if cluster_queue:
            self.controller.enqueue_after(("", cluster_queue), COUNTS_SECONDS)

    async def reconcile(self, key: Key) -> float | None:
        """Status first of what counts, then whether it may go."""
        obj = self.cache.cluster_queues.get(*key)
        queue = self.cache.world.cluster_queues.get(key[1])
        if obj is None or queue is None:
            return None
        if obj.metadata.deletion_timestamp is None:
            if await hold(self.writer, obj):
                return None
        elif not queue.workloads and await release(self.writer, obj):
            return None
        activity = self.cache.activities[queue.name]
        waiting = self.cache.pending.queues.get(queue.name)
        pending = len(waiting) if waiting is not None else 0

        def change(current: ClusterQueue, status: dict[str, Any]) -> bool:
            generation = current.metadata.generation
            cluster_queue_status(status, queue, pending, activity, self.clock.now(), generation, fair_sharing=self.fair_sharing)
            return True

        await self.writer.change(obj, change)
        return None


class LocalQueueController:
    """Status of LocalQueues."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.clock = manager.clock
        self.writer = StatusWriter(manager.client, LOCAL_QUEUES, cache.local_queues)
        self.controller = Controller("localqueue", self.reconcile, settings.parallel("LocalQueue.kueue.x-k8s.io", 5))
        self.controller.watches(cache.local_queues)
        cache.on_activity.append(self._cluster_queue_changed)
        cache.cluster_queues.on_change(self._cluster_queue_replaced)
        cache.on_pending.append(lambda namespace, local_queue, _: self.controller.enqueue_after((namespace, local_queue), COUNTS_SECONDS))
        manager.add(self.controller)

    def _cluster_queue_replaced(self, old: ClusterQueue | None, new: ClusterQueue | None) -> None:
        obj = new if new is not None else old
        if obj is not None and not only_status_changed(old, new):
            self._cluster_queue_changed(obj.metadata.name)

    def _cluster_queue_changed(self, name: str) -> None:
        for local in self.cache.local_queues.by_index("cluster_queue", name):
            self.controller.enqueue(local.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Counts, use and Active."""
        obj = self.cache.local_queues.get(*key)
        if obj is None:
            return None
        name = obj.spec.cluster_queue
        queue = self.cache.world.cluster_queues.get(name)
        stopped = (obj.spec.stop_policy or "None") != "None"
        activity = local_queue_activity(
            stopped=stopped, cluster_queue_exists=queue is not None, cluster_queue_active=queue is not None and queue.active
        )
        local = f"{key[0]}/{key[1]}"
        pending = self.cache.pending.counts.get(local, 0)
        tally = self.cache.world.local_tallies.get(local, Tally())

        usage = self.cache.usage if activity.active else None
        sampled, next_sample = usage.sample(obj) if usage is not None else (False, None)

        def change(current: LocalQueue, status: dict[str, Any]) -> bool:
            local_queue_status(status, tally, queue, pending, activity, self.clock.now(), current.metadata.generation)
            if usage is not None and sampled:
                usage.write(current, status)
            return True

        await self.writer.change(obj, change)
        return next_sample


def spec_changed(old: Cohort | None, new: Cohort | None) -> bool:
    """Whether more than its status is different, which only this controller writes."""
    return old is None or new is None or old.spec != new.spec


class CohortController:
    """Status of Cohorts: their share, where fair sharing is on."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.fair_sharing = settings.fair_sharing_strategies is not None
        self.writer = StatusWriter(manager.client, COHORTS, cache.cohorts)
        self.controller = Controller("cohort", self.reconcile, settings.parallel("Cohort.kueue.x-k8s.io", 1))
        cache.cohorts.on_change(self._cohort_changed)
        if self.fair_sharing:
            cache.on_pending.append(self._usage_changed)
        manager.add(self.controller)

    def _cohort_changed(self, old: Cohort | None, new: Cohort | None) -> None:
        if new is not None and spec_changed(old, new):
            self.controller.enqueue(new.metadata.key)

    def _usage_changed(self, namespace: str, local_queue: str, cluster_queue: str) -> None:
        queue = self.cache.world.cluster_queues.get(cluster_queue)
        for cohort in queue.ancestors() if queue is not None else ():
            self.controller.enqueue(("", cohort.name))

    async def reconcile(self, key: Key) -> float | None:
        """Its share."""
        obj = self.cache.cohorts.get(*key)
        cohort = self.cache.world.cohorts.get(key[1])
        if obj is None or cohort is None:
            return None

        def change(_: Cohort, status: dict[str, Any]) -> bool:
            cohort_status(status, cohort, fair_sharing=self.fair_sharing)
            return True

        await self.writer.change(obj, change)
        return None
