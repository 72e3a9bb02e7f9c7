"""ResourceFlavors and AdmissionChecks: kept while a ClusterQueue refers to them."""

from __future__ import annotations

from collections.abc import Callable

from raysail.api.meta import Object
from raysail.api.resources import ADMISSION_CHECKS, RESOURCE_FLAVORS, Resource
from raysail.kube.controller import Controller
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.finalizer import hold, release
from raysail.queue.settings import QueueSettings
from raysail.queue.world import ClusterQueue
from raysail.queue.writes import StatusWriter


class ReferenceController:
    """Holds the finalizer of one kind of object that ClusterQueues name."""

    def __init__(
        self, manager: Manager, cache: QueueCache, resource: Resource, informer: Informer[Object], names: Callable[[ClusterQueue], set[str]]
    ) -> None:
        self.cache = cache
        self.informer = informer
        self.names = names
        self.writer = StatusWriter(manager.client, resource, informer)
        self.controller = Controller(resource.kind.lower(), self.reconcile)
        self.controller.watches(informer)
        cache.cluster_queues.on_change(lambda old, new: self._look_again())
        manager.add(self.controller)

    def _look_again(self) -> None:
        for obj in self.informer.list():
            if obj.metadata.deletion_timestamp is not None:
                self.controller.enqueue(obj.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Adds the finalizer; removes it from what is going away and no queue uses."""
        obj = self.informer.get(*key)
        if obj is None:
            return None
        if obj.metadata.deletion_timestamp is None:
            await hold(self.writer, obj)
        elif not any(key[1] in self.names(queue) for queue in self.cache.world.cluster_queues.values()):
            await release(self.writer, obj)
        return None


def register_references(manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
    """Both kinds."""
    ReferenceController(manager, cache, RESOURCE_FLAVORS, cache.flavors, lambda queue: queue.all_flavors())  # type: ignore[arg-type]
    ReferenceController(manager, cache, ADMISSION_CHECKS, cache.checks, lambda queue: set(queue.checks))  # type: ignore[arg-type]
