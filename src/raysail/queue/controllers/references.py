"""ResourceFlavors and AdmissionChecks are kept while a ClusterQueue refers to them, Topologies while a ResourceFlavor does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raysail.api.kueue import ClusterQueue, ResourceFlavor
from raysail.api.meta import Object
from raysail.api.resources import ADMISSION_CHECKS, RESOURCE_FLAVORS, TOPOLOGIES, Resource
from raysail.kube.controller import Controller
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.finalizer import hold, release
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter


def flavors_named(queue: ClusterQueue) -> set[str]:
    """ResourceFlavors that a ClusterQueue names."""
    return {flavor.name for group in queue.spec.resource_groups or () for flavor in group.flavors or ()}


def checks_named(queue: ClusterQueue) -> set[str]:
    """AdmissionChecks that a ClusterQueue names."""
    strategy = queue.spec.admission_checks_strategy
    return {check.name for check in (strategy.admission_checks if strategy is not None else None) or ()}


def topology_named(flavor: ResourceFlavor) -> set[str]:
    """The Topology that a ResourceFlavor names."""
    return {flavor.spec.topology_name} if flavor.spec.topology_name else set()


def let_go(old: set[str], new: set[str], in_use: Callable[[str], bool]) -> set[str]:
    """What one that names things named before, does not name any more, and nobody else names either."""
    return {name for name in old - new if not in_use(name)}


class ReferenceController:
    """Holds the finalizer of one kind of object that others name.

    `in_use` says whether one is named; `users` is the informer of who names them, `named` what one of these names.
    """

    def __init__(
        self,
        manager: Manager,
        resource: Resource,
        informer: Informer[Any],
        in_use: Callable[[str], bool],
        users: Informer[Any],
        named: Callable[[Any], set[str]],
    ) -> None:
        self.informer = informer
        self.in_use = in_use
        self.named = named
        self.writer = StatusWriter(manager.client, resource, informer)
        self.controller = Controller(resource.kind.lower(), self.reconcile)
        self.controller.watches(informer)
        users.on_change(self._user_changed)
        manager.add(self.controller)

    def _user_changed(self, old: Object | None, new: Object | None) -> None:
        before = self.named(old) if old is not None else set()
        for name in let_go(before, self.named(new) if new is not None else set(), self.in_use):
            self.controller.enqueue(("", name))

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
    queues, flavors = cache.cluster_queues, cache.flavors

    def flavor_used(name: str) -> bool:
        return any(name in flavors_named(queue) for queue in queues.list())

    def check_used(name: str) -> bool:
        return any(name in checks_named(queue) for queue in queues.list())

    def topology_used(name: str) -> bool:
        return any(name in topology_named(flavor) for flavor in flavors.list())

    ReferenceController(manager, RESOURCE_FLAVORS, flavors, flavor_used, queues, flavors_named)
    ReferenceController(manager, ADMISSION_CHECKS, cache.checks, check_used, queues, checks_named)
    if settings.gate("TopologyAwareScheduling", True):
        ReferenceController(manager, TOPOLOGIES, cache.topologies, topology_used, flavors, topology_named)
