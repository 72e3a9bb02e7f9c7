"""MultiKueue: Workloads that run on another cluster. The manager keeps the quota and the job, a worker runs a copy of it.

Pure: `clusters`, `dispatch`, `group`, `jobs`. Shell: `remote`, `cluster_controller`, `workload_controller`. On a worker nothing special runs: the copies of
the job and of its Workload are held and let go by its own queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raysail.kube.manager import Manager
    from raysail.queue.cache import QueueCache
    from raysail.queue.settings import QueueSettings


def register(manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
    """The manager's side."""
    from raysail.queue.multikueue.cluster_controller import ClusterController, MultiKueueCheckController
    from raysail.queue.multikueue.remote import Workers
    from raysail.queue.multikueue.workload_controller import DispatchedWorkloads, IncrementalDispatcher

    workers = Workers()
    dispatched = DispatchedWorkloads(manager, cache, settings, workers)
    ClusterController(manager, settings, workers, dispatched.changed, dispatched.returned)
    MultiKueueCheckController(manager, cache)
    if settings.multi_kueue.incremental:
        IncrementalDispatcher(manager, cache, settings)
