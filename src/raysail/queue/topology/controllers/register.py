"""Puts topology-aware scheduling into a controllers process."""

from __future__ import annotations

from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.scheduler import Scheduler
from raysail.queue.settings import QueueSettings
from raysail.queue.topology.controllers.failures import NodeFailureController
from raysail.queue.topology.controllers.second_pass import SecondPassTimer
from raysail.queue.topology.controllers.ungater import TopologyUngater
from raysail.queue.topology.controllers.watch import TopologyWatch


def register_topology(manager: Manager, cache: QueueCache, settings: QueueSettings, scheduler: Scheduler) -> None:
    """Watches nodes and Pods, lets placed Pods go, replaces failed nodes. Second passes are there without it too: checks may delay placement."""
    timer = SecondPassTimer(manager, cache)
    scheduler.on_cycle.append(lambda plan, seconds: timer.arm())
    if settings.gate("TopologyAwareScheduling", True):
        watch = TopologyWatch(manager, cache)
        TopologyUngater(manager, cache, settings, watch)
        NodeFailureController(manager, cache, settings, watch)
