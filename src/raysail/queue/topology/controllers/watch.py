"""Nodes, Pods and Topologies from the API into the planner's topologies; freed capacity wakes what is parked.

Pods are only watched once there is a Topology, and a Topology only counts once the Pods are known: nothing is placed on capacity that others use.
Source: Kueue pkg/controller/tas/pod_usage_controller.go, node_controller.go, resource_flavor.go, topology_controller.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from raysail.api.core.node import Node
from raysail.api.kueue import Topology
from raysail.api.resources import NODES, PODS
from raysail.kube.controller import Controller
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.topology.nodes import placement_changed, pod_amounts
from raysail.queue.topology.pods import Pod, counts_beside, usage_changed
from raysail.queue.writes import StatusWriter

WAKE_AFTER_SECONDS: Final = 0.1
"""Changes of nodes and Pods come in swarms; what waits is woken once for all of them."""
_CAPACITY: Final[Key] = ("", "capacity")


def by_chain(pod: Pod) -> Iterable[Key]:
    """Pods by the name they share with all Pods of their Workload's chain."""
    return ((pod.metadata.namespace, pod.chain),) if pod.chain else ()


def by_selected_host(pod: Pod) -> Iterable[str]:
    """Placed Pods by the host that they select."""
    return (pod.selected_host,) if pod.placed and pod.selected_host else ()


class TopologyWatch:
    """Keeps `cache.world.topologies` current. `pods` is there once `start_pods` was called."""

    def __init__(self, manager: Manager, cache: QueueCache) -> None:
        self.manager = manager
        self.cache = cache
        self.topologies = cache.world.topologies
        self.on_pod: list[Callable[[Pod | None, Pod | None], None]] = []
        """Told (old, new) of each Pod that changes."""
        self._pods: Informer[Pod] | None = None
        self._pod_writer: StatusWriter | None = None
        self._wanted = asyncio.Event()
        self.nodes = manager.informer(NODES, Node)
        self.nodes.on_change(self._node_changed)
        cache.topologies.on_change(self._topology_changed)
        self.controller = manager.add(Controller("topology_capacity", self._wake))
        manager.add_service("topology_watch", self.run)
        cache.before_planning.append(self.wait_ready)

    # Topologies

    def _topology_changed(self, old: Topology | None, new: Topology | None) -> None:
        if new is None:
            assert old is not None  # noqa: S101 - a change has a side
            self.topologies.drop_topology(old.metadata.name)
        elif self._pods is not None and self._pods.synced:
            self._take(new)
        else:
            self.start_pods()

    def _take(self, topology: Topology) -> None:
        if self.topologies.set_topology(topology.metadata.name, [level.node_label for level in topology.spec.levels]):
            self.controller.enqueue(_CAPACITY)

    async def run(self) -> None:
        """Waits for the first Topology and for the Pods; from then on changes come by themselves."""
        await self._wanted.wait()
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Returns when all Topologies that there are count."""
        if self._pods is None:
            return
        await self._pods.wait_synced()
        for topology in self.cache.topologies.list():
            self._take(topology)

    # Pods

    def start_pods(self) -> Informer[Pod]:
        """The Pods of the cluster, watched from now on."""
        if self._pods is None:
            self._pods = self.manager.informer(PODS, Pod, {"chain": by_chain, "host": by_selected_host})
            self._pod_writer = StatusWriter(self.manager.client, PODS, self._pods)
            self._pods.on_change(self._pod_changed)
            self._wanted.set()
        return self._pods

    @property
    def pods(self) -> Informer[Pod] | None:
        """The Pods; None while there was no Topology yet."""
        return self._pods

    @property
    def pod_writer(self) -> StatusWriter:
        """Writes Pods."""
        self.start_pods()
        assert self._pod_writer is not None  # noqa: S101 - made with the informer
        return self._pod_writer

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new if new is not None else old
        assert pod is not None  # noqa: S101 - a change has a side
        key = f"{pod.metadata.namespace}/{pod.metadata.name}"
        if not counts_beside(new):
            freed = self.topologies.drop_pod(key)
        elif usage_changed(old, pod):
            freed = self.topologies.set_pod(key, pod.node, pod_amounts(pod.spec))
        else:
            freed = False
        if freed:
            self.controller.enqueue_after(_CAPACITY, WAKE_AFTER_SECONDS)
        for each in self.on_pod:
            each(old, new)

    # nodes

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None  # noqa: S101 - a change has a side
            changed = self.topologies.drop_node(old.metadata.name)
        else:
            changed = self.topologies.set_node(new) or old is None or placement_changed(old, new)
        if changed:
            self.controller.enqueue_after(_CAPACITY, WAKE_AFTER_SECONDS)

    async def _wake(self, _: Key) -> float | None:
        """What is parked in queues with a topology gets another chance."""
        for queue in list(self.cache.world.cluster_queues.values()):
            if any(self.topologies.has(flavor) for flavor in queue.all_flavors()):
                self.cache.wake(queue.name)
        return None
