"""Kueue's job: quotas, pending queues, flavors, preemption and fairness, and the controllers around them.

Pure: quota, world, workload, requests, pending, flavors, preemption, fairness, cycle, explain. Shell: cache, scheduler, writes, controllers, jobs.
`register` puts the shell into a controllers process.
"""

from __future__ import annotations

from raysail.kube.manager import Manager
from raysail.queue.settings import QueueSettings

__all__ = ["QueueSettings", "register"]


def register(manager: Manager, settings: QueueSettings) -> None:
    """The scheduler, the controllers of Kueue's kinds, and one reconciler for each kind of job that is switched on."""
    from raysail.api.kueue import visibility
    from raysail.queue.cache import QueueCache
    from raysail.queue.checks.controller import ProvisioningCheckController, ProvisioningController
    from raysail.queue.concurrent.controller import VariantController
    from raysail.queue.controllers.priority import PriorityClassController
    from raysail.queue.controllers.queues import ClusterQueueController, CohortController, LocalQueueController
    from raysail.queue.controllers.references import register_references
    from raysail.queue.controllers.workload import WorkloadController
    from raysail.queue.jobs import KINDS, reconciler_of
    from raysail.queue.jobs.elastic_ungater import ElasticJobUngater
    from raysail.queue.jobs.shared import Jobs
    from raysail.queue.metrics.recorder import Recorder
    from raysail.queue.multikueue import register as register_multikueue
    from raysail.queue.pending.visibility import Visibility
    from raysail.queue.scheduler import Scheduler
    from raysail.queue.topology.controllers.register import register_topology

    cache = QueueCache(manager, settings)
    scheduler = Scheduler(manager, cache, settings)
    manager.add_service("scheduler", scheduler.run)
    register_topology(manager, cache, settings, scheduler)
    WorkloadController(manager, cache, settings)
    ClusterQueueController(manager, cache, settings)
    LocalQueueController(manager, cache, settings)
    CohortController(manager, cache, settings)
    register_references(manager, cache, settings)
    PriorityClassController(manager, cache)
    ProvisioningCheckController(manager, cache)
    ProvisioningController(manager, cache, settings)
    if settings.gate("ConcurrentAdmission", False):
        VariantController(manager, cache, settings)
    if settings.gate("MultiKueue", True):
        register_multikueue(manager, cache, settings)
    jobs = Jobs(manager, cache, settings, KINDS.values())
    manager.extension_apis[visibility.GROUP] = Visibility(cache.pending, cache.leads_to).get
    scheduler.on_cycle.append(Recorder(manager, cache, settings, jobs.informers).cycle_ended)
    for framework, kind in KINDS.items():
        if framework in settings.frameworks or any(each in settings.frameworks for each in kind.implied_by):
            reconciler_of(kind)(jobs, kind)
    if settings.gate("ElasticJobsViaWorkloadSlices", True):
        ElasticJobUngater(manager, cache, settings)
