"""Takes the gate off the Pods of admitted Workloads and writes their place into their node selector; `ungating` says which."""

from __future__ import annotations

import asyncio
from typing import Any

from raysail.api.kueue import Workload, names
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.model.slices import chain_name
from raysail.queue.model.variants import is_variant
from raysail.queue.settings import QueueSettings
from raysail.queue.topology.controllers.watch import TopologyWatch
from raysail.queue.topology.pods import Pod
from raysail.queue.topology.ungating import Ungated, is_placed_workload, to_ungate


class TopologyUngater:
    """Reconciles Workloads that topology placed. Its own writes are in the informer's copy at once, so no Pod is let go twice."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings, watch: TopologyWatch) -> None:
        self.cache = cache
        self.watch = watch
        self.skip_variants = settings.gate("ConcurrentAdmission", False)
        self.controller = manager.add(Controller("topology_ungater", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 5)))
        cache.workloads.on_change(self._workload_changed)
        watch.on_pod.append(self._pod_changed)

    def _workload_changed(self, _: Workload | None, new: Workload | None) -> None:
        if new is not None and is_placed_workload(new) and not (self.skip_variants and is_variant(new)):
            self.controller.enqueue(new.metadata.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            if pod is not None and pod.placed and pod.workload:
                self.controller.enqueue((pod.metadata.namespace, pod.workload))

    async def reconcile(self, key: Key) -> float | None:
        """Lets go the Pods that have places and wait. Raises UngatingError."""
        workload = self.cache.workloads.get(*key)
        if workload is None or not is_placed_workload(workload):
            return None
        pods = self.watch.start_pods().by_index("chain", (workload.metadata.namespace, chain_name(workload)))
        await asyncio.gather(*(self._let_go(each) for each in to_ungate(workload, pods)))
        return None

    async def _let_go(self, ungated: Ungated) -> None:
        spec = ungated.pod.spec
        patch: dict[str, Any] = {
            "schedulingGates": [gate for gate in spec.get("schedulingGates") or () if gate.get("name") != names.TOPOLOGY_GATE] or None,
            "nodeSelector": ungated.node_labels,
        }
        await self.watch.pod_writer.patch(ungated.pod, {"spec": patch})
