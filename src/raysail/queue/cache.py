"""From the API's objects to the planner's world: informers feed it, and say which trees of queues have to be planned again.

A reservation that was decided but is not in the API yet is *assumed*: the world counts it, and older versions of the Workload do not undo it.
After a restart everything is rebuilt from the objects; nothing of it is written down elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from raysail.api import conditions
from raysail.api.core import LimitRange, Namespace
from raysail.api.kueue import AdmissionCheck, ClusterQueue, Cohort, LocalQueue, ResourceFlavor, Topology, Workload
from raysail.api.meta import Object
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    COHORTS,
    LIMIT_RANGES,
    LOCAL_QUEUES,
    NAMESPACES,
    RESOURCE_FLAVORS,
    RUNTIME_CLASSES,
    TOPOLOGIES,
    WORKLOADS,
)
from raysail.kube.manager import Manager
from raysail.queue.model.activity import Activity, Check, Surroundings, activity_of
from raysail.queue.model.cluster_queue import ClusterQueue as QueueNode
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.requests import summarize_limits
from raysail.queue.model.usage_ledger import UsageLedger
from raysail.queue.model.workload import (
    WorkloadInfo,
    counts_as_usage,
    has_reservation,
    is_active,
    is_finished,
    may_be_queued,
    priority_changed,
)
from raysail.queue.model.world import World, tree_members
from raysail.queue.pending.queues import Pending, local_key
from raysail.queue.pending.waking import wake_tree
from raysail.queue.settings import QueueSettings
from raysail.queue.topology.profile import Profile
from raysail.queue.usage_tracking import UsageTracking
from raysail.queue.writes import StatusWriter


class RuntimeClass(Object, frozen=True):
    """node.k8s.io/v1 RuntimeClass: what its Pods cost on top."""

    overhead: dict[str, Any] | None = None


def _by_queue(workload: Workload) -> Iterable[tuple[str, str]]:
    return ((workload.metadata.namespace, workload.spec.queue_name),)


def _by_holder(workload: Workload) -> Iterable[str]:
    return (workload.status.admission.cluster_queue,) if workload.status.admission is not None else ()


def _by_owner(workload: Workload) -> Iterable[tuple[str, str, str]]:
    return tuple((workload.metadata.namespace, owner.kind, owner.name) for owner in workload.metadata.owner_references or ())


def _by_cluster_queue(queue: LocalQueue) -> Iterable[str]:
    return (queue.spec.cluster_queue,)


class QueueCache:
    """World and pending queues, kept current. `changed` is set when trees are to be planned; `take_dirty` says which queues."""

    def __init__(self, manager: Manager, settings: QueueSettings) -> None:
        self.settings = settings
        self.clock = manager.clock
        self.world = World()
        self.pending = Pending(
            keep_scan=settings.gate("FlavorFungibilityPreserveScanProgress", True),
            concurrent_admission=settings.gate("ConcurrentAdmission", False),
        )
        rules = settings.admission_fair_sharing if settings.gate("AdmissionFairSharing", True) else None
        self.usage: UsageTracking | None = None
        """What LocalQueues used, where admission fair sharing is on."""
        if rules is not None:
            self.world.ledger = UsageLedger(rules)
            self.usage = UsageTracking(self.world, self.pending, self.world.ledger, manager.clock)
        self.changed = asyncio.Event()
        self.activities: dict[str, Activity] = {}
        self.assumed: dict[str, str] = {}
        """Key to uid of workloads whose reservation is being written."""
        self.workloads = manager.informer(WORKLOADS, Workload, {"queue": _by_queue, "holder": _by_holder, "owner": _by_owner})
        self.workload_writer = StatusWriter(manager.client, WORKLOADS, self.workloads)
        """The one through which all parts change Workloads: their changes meet in it."""
        self.cluster_queues = manager.informer(CLUSTER_QUEUES, ClusterQueue)
        self.local_queues = manager.informer(LOCAL_QUEUES, LocalQueue, {"cluster_queue": _by_cluster_queue})
        self.cohorts = manager.informer(COHORTS, Cohort)
        self.flavors = manager.informer(RESOURCE_FLAVORS, ResourceFlavor)
        self.checks = manager.informer(ADMISSION_CHECKS, AdmissionCheck)
        self.topologies = manager.informer(TOPOLOGIES, Topology, optional=True)
        self.namespaces = manager.informer(NAMESPACES, Namespace)
        self.limit_ranges = manager.informer(LIMIT_RANGES, LimitRange, optional=True)
        self.runtime_classes = manager.informer(RUNTIME_CLASSES, RuntimeClass, optional=True)
        self.world.topologies.profile = Profile.from_gates(settings.feature_gates)
        self.before_planning: list[Callable[[], Awaitable[None]]] = []
        """What the scheduler waits for before its first plan."""
        self.on_activity: list[Callable[[str], None]] = []
        """Told the name of each ClusterQueue whose activity changed."""
        self.on_pending: list[Callable[[str, str, str], None]] = []
        """Told (namespace, LocalQueue, ClusterQueue) when counts there may have changed."""
        self._dirty: set[str] = set()
        self._overheads: dict[str, Any] = {}
        self._known_checks: dict[str, Check] = {}
        self.flavors.on_change(self._flavor_changed)
        self.checks.on_change(self._check_changed)
        self.topologies.on_change(lambda old, new: self._references_changed())
        self.namespaces.on_change(self._namespace_changed)
        self.limit_ranges.on_change(self._limit_range_changed)
        self.runtime_classes.on_change(self._runtime_class_changed)
        self.cohorts.on_change(self._cohort_changed)
        self.cluster_queues.on_change(self._cluster_queue_changed)
        self.local_queues.on_change(self._local_queue_changed)
        self.workloads.on_change(self._workload_changed)
        if self.usage is not None:  # after the others: it looks at a world that is current
            self.local_queues.on_change(self.usage.local_queue_changed)
            self.workloads.on_change(self.usage.workload_changed)

    # what is to be planned

    def touch(self, name: str) -> None:
        """The tree of this ClusterQueue has to be planned again."""
        queue = self.world.cluster_queues.get(name)
        self._dirty.add(queue.root().name if queue is not None and queue.parent is not None else f"={name}")
        self.changed.set()

    def take_dirty(self) -> list[str]:
        """Names of the ClusterQueues to plan for, each tree complete; then nothing is dirty."""
        roots, self._dirty = self._dirty, set()
        self.changed.clear()
        found: set[str] = set()
        for root in roots:
            if root.startswith("="):
                found.add(root[1:])
            elif root in self.world.cohorts:
                found.update(member.name for member in tree_members(self.world.cohorts[root]))
        return sorted(found)

    def wake(self, name: str) -> None:
        """Quota was freed or rules changed around this ClusterQueue: what is parked in its tree gets another chance."""
        queue = self.world.cluster_queues.get(name)
        if queue is None:
            return
        wake_tree(self.world, self.pending, queue, self.clock.now().timestamp())
        self.touch(name)

    # workloads

    def info(self, obj: Workload) -> WorkloadInfo:
        """The planner's view of a Workload, completed by LimitRanges and RuntimeClasses."""
        waiting = self.settings.wait_for_pods_ready
        return WorkloadInfo(
            obj,
            self.settings.resources,
            self.world.limits.get(obj.metadata.namespace),
            self._overheads,
            order_by_eviction=waiting is None or waiting.requeuing.timestamp == "Eviction",
            by_priority=self.settings.gate("PrioritySortingWithinCohort", True),
            priority_boost=self.settings.gate("PriorityBoost", False),
        )

    def leads_to(self, namespace: str, name: str) -> str | None:
        """The ClusterQueue that a LocalQueue names; None where there is no such LocalQueue."""
        queue = self.local_queues.get(namespace, name)
        return queue.spec.cluster_queue if queue is not None else None

    def forget(self, key: str) -> None:
        """A reservation could not be written: it counts no more, and the workload is looked at again."""
        self.assumed.pop(key, None)
        removed = self.world.remove_workload(key)
        if removed is not None:
            if self.world.ledger is not None:
                self.world.ledger.forgive(local_key(removed), key)
            self.wake(removed.cluster_queue)
        namespace, _, name = key.partition("/")
        current = self.workloads.get(namespace, name)
        if current is not None:
            self._workload_changed(current, current)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        key = f"{obj.metadata.namespace}/{obj.metadata.name}"
        before = self.world.workload(key)
        if new is None or is_finished(new):
            self.assumed.pop(key, None)
            self._leave(key)
        elif counts_as_usage(new):
            self._hold(key, new, before)
        elif self.assumed.get(key) != new.metadata.uid or not is_active(new):
            self._wait(key, new)
        self._tell(obj, before)
        if old is not None and new is not None and old.spec.queue_name != new.spec.queue_name:
            self._tell(old, before)

    def _leave(self, key: str) -> None:
        self.pending.discard(key)
        self._release(key)

    def _release(self, key: str) -> None:
        removed = self.world.remove_workload(key)
        if removed is not None:
            self.wake(removed.cluster_queue)
            self._nobody_blocks()

    def _nobody_blocks(self) -> None:
        """With blockAdmission one workload that is not ready holds up all queues; they go on when the last one is."""
        waiting = self.settings.wait_for_pods_ready
        if waiting is not None and waiting.block_admission and not any(queue.not_ready for queue in self.world.cluster_queues.values()):
            for name in self.world.cluster_queues:
                self.touch(name)

    def _hold(self, key: str, new: Workload, before: WorkloadInfo | None) -> None:
        self.assumed.pop(key, None)
        self.pending.discard(key)
        info = self.info(new)
        if before is not None and before.evicting and before.uid == info.uid:
            info.evicting = not info.is_evicted()
        added = self.world.add_workload(info)
        queue = self.world.cluster_queues.get(info.cluster_queue)
        if queue is not None and added:
            self._track_readiness(queue, new)
        if before is not None and (before.usage() != info.usage() or priority_changed(before, info)):
            self.wake(before.cluster_queue)

    def _track_readiness(self, queue: QueueNode, workload: Workload) -> None:
        key = f"{workload.metadata.namespace}/{workload.metadata.name}"
        if conditions.is_true(workload.status.conditions, "PodsReady"):
            queue.not_ready.discard(key)
            self._nobody_blocks()
        else:
            queue.not_ready.add(key)

    def _wait(self, key: str, new: Workload) -> None:
        self.assumed.pop(key, None)
        self._release(key)
        if may_be_queued(new):
            info = self.info(new)
            if self.pending.push(info, self.clock.now().timestamp()):
                self.touch(info.cluster_queue)
        else:
            self.pending.discard(key)

    def _tell(self, obj: Workload, before: WorkloadInfo | None) -> None:
        local = f"{obj.metadata.namespace}/{obj.spec.queue_name}"
        name = self.pending.local_queues.get(local, "")
        for each in self.on_pending:
            each(obj.metadata.namespace, obj.spec.queue_name, name)
            if before is not None and before.cluster_queue != name:
                each(obj.metadata.namespace, obj.spec.queue_name, before.cluster_queue)

    def _renew(self, workloads: Iterable[Workload]) -> None:
        """What the workloads ask for may count differently now."""
        for workload in workloads:
            if not has_reservation(workload):
                self._workload_changed(workload, workload)

    # queues and what they refer to

    def _cluster_queue_changed(self, old: ClusterQueue | None, new: ClusterQueue | None) -> None:
        if new is None:
            assert old is not None  # noqa: S101 - a change has a side
            name = old.metadata.name
            neighbours = self.world.cluster_queues.get(name)
            parent = neighbours.parent.name if neighbours is not None and neighbours.parent is not None else ""
            self.world.drop_cluster_queue(name)
            self.pending.drop(name)
            self.activities.pop(name, None)
            self._wake_cohort(parent)
            return
        if old is not None and old.spec == new.spec and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp:
            return
        queue = self.world.set_cluster_queue(new)
        self.pending.queue(queue.name, queue.strategy)
        self.pending.by_variants.discard(queue.name)
        if new.spec.concurrent_admission_policy is not None:
            self.pending.by_variants.add(queue.name)
        if self.usage is not None:
            self.usage.queue_changed(queue)
        self._judge(queue.name)
        for workload in self.workloads.by_index("holder", queue.name):
            key = f"{workload.metadata.namespace}/{workload.metadata.name}"
            if counts_as_usage(workload) and not self.world.holds(key):
                self._hold(key, workload, None)
        for local in self.local_queues.by_index("cluster_queue", queue.name):
            self._renew(self.workloads.by_index("queue", (local.metadata.namespace, local.metadata.name)))
        self.wake(queue.name)

    def _judge(self, name: str) -> None:
        queue = self.world.cluster_queues[name]
        obj = self.cluster_queues.get("", name)
        around = Surroundings(self.world.flavors, self._known_checks, {topology.metadata.name for topology in self.topologies.list()})
        activity = activity_of(queue, around, terminating=obj is not None and obj.metadata.deletion_timestamp is not None)
        if self.activities.get(name) != activity:
            self.activities[name] = activity
            queue.active = activity.active
            if activity.active:
                self.wake(name)
            for each in self.on_activity:
                each(name)

    def _references_changed(self) -> None:
        for name in list(self.world.cluster_queues):
            self._judge(name)

    def _local_queue_changed(self, old: LocalQueue | None, new: LocalQueue | None) -> None:
        obj = new if new is not None else old
        assert obj is not None  # noqa: S101 - a change has a side
        key = f"{obj.metadata.namespace}/{obj.metadata.name}"
        open_ = new is not None and new.metadata.deletion_timestamp is None and (new.spec.stop_policy or "None") == "None"
        target = obj.spec.cluster_queue if open_ else ""
        if self.pending.local_queues.get(key, "") == target:
            return
        if target:
            self.pending.local_queues[key] = target
        else:
            self.pending.local_queues.pop(key, None)
        now = self.clock.now().timestamp()
        for workload in self.workloads.by_index("queue", (obj.metadata.namespace, obj.metadata.name)):
            if has_reservation(workload):
                continue
            waits = f"{workload.metadata.namespace}/{workload.metadata.name}"
            if not target:
                self.pending.discard(waits)
            elif may_be_queued(workload) and waits not in self.assumed:
                self.pending.enlist(self.info(workload), now)
            self._tell(workload, None)
        if target:
            self.touch(target)

    def _cohort_changed(self, old: Cohort | None, new: Cohort | None) -> None:
        if new is None:
            assert old is not None  # noqa: S101 - a change has a side
            self.world.drop_cohort(old.metadata.name)
            self._wake_cohort(old.metadata.name)
            self._wake_cohort(old.spec.parent_name)
            return
        if old is not None and old.spec == new.spec:
            return
        self.world.set_cohort(new)
        self._wake_cohort(new.metadata.name)
        if old is not None and old.spec.parent_name != new.spec.parent_name:
            self._wake_cohort(old.spec.parent_name)

    def _wake_cohort(self, name: str) -> None:
        cohort = self.world.cohorts.get(name)
        if cohort is not None:
            for member in tree_members(cohort.root()):
                self.wake(member.name)
                return  # one member wakes the whole tree

    def _flavor_changed(self, old: ResourceFlavor | None, new: ResourceFlavor | None) -> None:
        if new is None:
            assert old is not None  # noqa: S101 - a change has a side
            self.world.drop_flavor(old.metadata.name)
        elif old is None or old.spec != new.spec:
            self.world.set_flavor(Flavor.from_object(new))
        else:
            return
        name = (new or old).metadata.name  # type: ignore[union-attr]
        for queue in list(self.world.cluster_queues.values()):
            if name in queue.all_flavors():
                self._judge(queue.name)
                self.wake(queue.name)

    def _check_changed(self, old: AdmissionCheck | None, new: AdmissionCheck | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        if new is None:
            self._known_checks.pop(name, None)
            self.world.check_controllers.pop(name, None)
        else:
            active = conditions.is_true(new.status.conditions, "Active")
            self._known_checks[name] = Check(new.spec.controller_name, active)
            self.world.check_controllers[name] = new.spec.controller_name
        for queue in list(self.world.cluster_queues.values()):
            if name in queue.checks:
                self._judge(queue.name)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        if new is None:
            self.world.namespaces.pop(name, None)
            return
        labels = new.metadata.labels or {}
        if self.world.namespaces.get(name) == labels:
            return
        self.world.namespaces[name] = labels
        for local in self.local_queues.list(name):
            self.wake(local.spec.cluster_queue)

    def _limit_range_changed(self, old: LimitRange | None, new: LimitRange | None) -> None:
        namespace = (new or old).metadata.namespace  # type: ignore[union-attr]
        specs: list[dict[str, Any]] = [msgspec.to_builtins(found.spec) for found in self.limit_ranges.list(namespace)]
        self.world.limits[namespace] = summarize_limits(specs)
        self._renew(self.workloads.list(namespace))

    def _runtime_class_changed(self, old: RuntimeClass | None, new: RuntimeClass | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        if new is None:
            self._overheads.pop(name, None)
        else:
            self._overheads[name] = (new.overhead or {}).get("podFixed") or {}
        self._renew(
            workload
            for workload in self.workloads.list()
            if any((p.template.get("spec") or {}).get("runtimeClassName") == name for p in workload.spec.pod_sets)
        )
