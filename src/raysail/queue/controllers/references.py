"""ResourceFlavors and AdmissionChecks are kept while a ClusterQueue refers to them, Topologies while a ResourceFlavor does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raysail.api.meta import Object
from raysail.api.resources import ADMISSION_CHECKS, RESOURCE_FLAVORS, TOPOLOGIES, Resource
from raysail.kube.controller import Controller
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.finalizer import hold, release
from raysail.queue.settings import QueueSettings
from raysail.queue.world import ClusterQueue
from raysail.queue.writes import StatusWriter


class ReferenceController:
    """Holds the finalizer of one kind of object that others name. `in_use` says whether one is named; `users` are the informers of who names them."""

    def __init__(
        self, manager: Manager, resource: Resource, informer: Informer[Object], in_use: Callable[[str], bool], users: Informer[Any]
    ) -> None:
        self.informer = informer
        self.in_use = in_use
        self.writer = StatusWriter(manager.client, resource, informer)
        self.controller = Controller(resource.kind.lower(), self.reconcile)
        self.controller.watches(informer)
        users.on_change(lambda old, new: self._look_again())
        manager.add(self.controller)

    def _look_again(self) -> None:
        for obj in self.informer.list():
            if obj.metadata.deletion_timestamp is not None:
                self.controller.enqueue(obj.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Adds the finalizer; removes it from what is going away and nobody uses."""
        obj = self.informer.get(*key)
        if obj is None:
            return None
        if obj.metadata.deletion_timestamp is None:
            await hold(self.writer, obj)
        elif not self.in_use(key[1]):
            await release(self.writer, obj)
        return None


def register_references(manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
    """All three kinds."""

    def by_queue(names: Callable[[ClusterQueue], set[str]]) -> Callable[[str], bool]:
        return lambda name: any(name in names(queue) for queue in cache.world.cluster_queues.values())

    def by_flavor(name: str) -> bool:
        return any(flavor.spec.topology_name == name for flavor in cache.flavors.list())

    queues = cache.cluster_queues
    ReferenceController(manager, RESOURCE_FLAVORS, cache.flavors, by_queue(lambda queue: queue.all_flavors()), queues)  # type: ignore[arg-type]
    ReferenceController(manager, ADMISSION_CHECKS, cache.checks, by_queue(lambda queue: set(queue.checks)), queues)  # type: ignore[arg-type]
    if settings.gate("TopologyAwareScheduling", True):
        ReferenceController(manager, TOPOLOGIES, cache.topologies, by_flavor, cache.flavors)  # type: ignore[arg-type]
