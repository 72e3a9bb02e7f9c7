"""Takes the gate off Pods of elastic jobs when the slice that they belong to is admitted; `elastic_pods` says which."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from raysail.api.kueue import Workload, names
from raysail.api.resources import PODS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.jobs.elastic_pods import active_slice, gated, may_ungate, pods_to_ungate
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import Job
from raysail.queue.jobs.shared import group_of
from raysail.queue.model.slices import chain_name, is_evicted
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter


class ElasticJobUngater:
    """Reconciles slices: each stands for its whole chain, since the active one is looked up anew."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.gates = JobGates.of(settings)
        self.pods = manager.informer(PODS, Job, {"chain": _chain_of_pod}, label_selector=names.POD_SET_LABEL)
        self.writer = StatusWriter(manager.client, PODS, self.pods)
        cache.workloads.add_indexes({"chain": _chain_of_workload})
        self.controller = Controller("elastic_job_ungater", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 5))
        cache.workloads.on_change(self._workload_changed)
        self.pods.on_change(self._pod_changed)
        manager.add(self.controller)

    def _workload_changed(self, _: Workload | None, new: Workload | None) -> None:
        if new is not None and may_ungate(new, self.gates):
            self.controller.enqueue(new.metadata.key)

    def _pod_changed(self, old: Job | None, new: Job | None) -> None:
        """A Pod that is new and waits, and one that has gone or ended and made room."""
        for pod in (old, new):
            if pod is not None:
                for chain in _chain_of_pod(pod):
                    for workload in self.cache.workloads.by_index("chain", chain):
                        if may_ungate(workload, self.gates):
                            self.controller.enqueue(workload.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Lets go what the active slice of that chain was granted."""
        active = self.cache.workloads.get(*key)
        if active is None:
            return None
        if not may_ungate(active, self.gates) or is_evicted(active):
            other = self._active(active)
            if other is None or other.metadata.name == active.metadata.name:
                return None
            active = other
        pods = self.pods.by_index("chain", (active.metadata.namespace, chain_name(active)))
        if any(gated(pod) for pod in pods):
            await asyncio.gather(*(self.writer.patch(pod, patch) for pod, patch in pods_to_ungate(active, pods)))
        return None

    def _active(self, workload: Workload) -> Workload | None:
        owner = workload.metadata.controller_owner()
        if owner is None:
            return None
        found = self.cache.workloads.by_index("owner", (workload.metadata.namespace, owner.kind, owner.name))
        group = group_of(owner.api_version)
        mine = [
            o for o in found if any(r.name == owner.name and group_of(r.api_version) == group for r in o.metadata.owner_references or ())
        ]
        return active_slice(mine)


def _chain_of_pod(pod: Job) -> Iterable[Key]:
    name = pod.annotations.get(names.WORKLOAD_SLICE_NAME_ANNOTATION)
    return ((pod.metadata.namespace, name),) if name else ()


def _chain_of_workload(workload: Workload) -> Iterable[Key]:
    return ((workload.metadata.namespace, chain_name(workload)),)
