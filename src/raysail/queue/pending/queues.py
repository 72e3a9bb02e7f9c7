"""What waits: for each ClusterQueue the workloads to be tried, in order, and those parked until something changes.

A pending workload is in exactly one place: active (will be tried), inadmissible (parked), or in flight (a cycle looks at it).
Source: Kueue pkg/cache/queue/cluster_queue.go.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from raysail.queue.model.variants import is_parent, is_variant
from raysail.queue.model.workload import WorkloadInfo, backoff_expired, find_condition, has_closed_preemption_gate
from raysail.queue.planner.second_pass import SecondPass


class Requeue(StrEnum):
    """Why a workload that was tried comes back."""

    GENERIC = ""
    FAILED_AFTER_NOMINATION = "FailedAfterNomination"
    NAMESPACE_MISMATCH = "NamespaceMismatch"
    PREEMPTION_GATED = "PreemptionGated"
    PENDING_PREEMPTION = "PendingPreemption"
    PENDING_MIGRATION = "PendingMigration"
    PREEMPTION_FAILED = "PreemptionFailed"
    NO_FIT = "NoFit"
    PREEMPTION_NO_CANDIDATES = "PreemptionNoCandidates"


_AT_ONCE = (Requeue.FAILED_AFTER_NOMINATION, Requeue.PENDING_PREEMPTION, Requeue.PENDING_MIGRATION, Requeue.PREEMPTION_FAILED)


class PreemptorMark(NamedTuple):
    """The workload for which others are being preempted. Sticky (BestEffortFIFO): it stays at the head meanwhile."""

    key: str
    generation: int
    sticky: bool


class PendingQueue:
    """The pending workloads of one ClusterQueue."""

    __slots__ = (
        "_by_shape",
        "_count",
        "_heaps",
        "_usage_of",
        "active",
        "in_flight",
        "inadmissible",
        "keep_scan",
        "name",
        "pop_cycle",
        "preemptor",
        "retried_at_cycle",
        "strategy",
        "unfit_shapes",
    )

    def __init__(self, name: str, strategy: str = "BestEffortFIFO", *, keep_scan: bool = True) -> None:
        self.name = name
        self.strategy = strategy
        self.keep_scan = keep_scan
        """Whether a new version of the same shape goes on with the flavor scan of the one before."""
        self.active: dict[str, WorkloadInfo] = {}
        self.inadmissible: dict[str, WorkloadInfo] = {}
        self.in_flight: dict[str, WorkloadInfo] = {}
        self.unfit_shapes: dict[str, str] = {}
        """Shape hash to the reason why workloads of that shape were parked together."""
        self.pop_cycle = 0
        self.retried_at_cycle = -1
        self.preemptor: PreemptorMark | None = None
        self._usage_of: Callable[[str], float] | None = None
        self._heaps: dict[str, list[HeapEntry]] = {}
        """The active ones in order; with turns by usage a heap for each LocalQueue (namespace/name), else one. May hold entries of workloads
        that are active no more; those are passed over."""
        self._count = 0
        self._by_shape: dict[str, set[str]] = {}

    def take_turns(self, usage_of: Callable[[str], float] | None) -> None:
        """Admission fair sharing: LocalQueues take turns, the one of the lowest usage first. None: no turns, as without it."""
        if usage_of != self._usage_of:
            self._usage_of = usage_of
            self._rebuild()

    # looking

    def __contains__(self, key: str) -> bool:
        return key in self.active or key in self.inadmissible or key in self.in_flight

    def __len__(self) -> int:
        return len(self.active) + len(self.inadmissible) + len(self.in_flight)

    def get(self, key: str) -> WorkloadInfo | None:
        """The pending workload of that key."""
        return self.active.get(key) or self.inadmissible.get(key) or self.in_flight.get(key)

    def all(self) -> Iterator[WorkloadInfo]:
        """Every pending workload, in no order."""
        yield from self.active.values()
        yield from self.inadmissible.values()
        yield from self.in_flight.values()

    def in_order(self) -> list[WorkloadInfo]:
        """Every pending workload, in the order in which the queue would take them."""
        return sorted(self.all(), key=self.order)

    def order(self, info: WorkloadInfo) -> tuple[object, ...]:
        """The full sort key: (usage of its LocalQueue,) sticky preemptor, priority, time, UID."""
        sticky = self.preemptor is not None and self.preemptor.sticky and self.preemptor.key == info.key
        usage = self._usage_of(local_key(info)) if self._usage_of is not None else 0.0
        return usage, not sticky, -info.priority, info.ordered_since, info.uid

    def is_preemptor(self, info: WorkloadInfo) -> bool:
        """Whether others are being preempted for this very version of it."""
        mark = self.preemptor
        return mark is not None and mark.key == info.key and mark.generation == info.obj.metadata.generation

    # changing

    def push(self, info: WorkloadInfo, now: float) -> bool:
        """A workload was added or changed. True if it is (now) to be tried."""
        key = info.key
        tracked = self.get(key)
        if tracked is not None and self.keep_scan and tracked.last_scan is not None and tracked.last_scan.is_of(info.shape_hash):
            info.last_scan = tracked.last_scan
        if key in self.in_flight:
            self.in_flight[key] = info
            return False
        parked = self.inadmissible.get(key)
        if parked is not None:
            if not _may_have_become_admissible(parked, info):
                info.evaluated_generation = parked.evaluated_generation
                self.inadmissible[key] = info
                return False
            del self.inadmissible[key]
        known = self.active.get(key)
        if known is None and (
            not backoff_expired(info.obj, now)
            or (self.strategy == "BestEffortFIFO" and info.shape_hash and info.shape_hash in self.unfit_shapes)
        ):
            self.inadmissible[key] = info
            return False
        if known is not None:
            info.evaluated_generation = known.evaluated_generation
        self._activate(info)
        return True

    def add(self, info: WorkloadInfo) -> bool:
        """Makes a workload active unless it is pending already (its LocalQueue came up)."""
        if info.key in self:
            return False
        self._activate(info)
        return True

    def pop(self) -> WorkloadInfo | None:
        """Takes the head into flight."""
        self.pop_cycle += 1
        info = self._take_head()
        if info is not None:
            info.evaluated_generation = info.obj.metadata.generation
            self.in_flight[info.key] = info
        return info

    def requeue(self, info: WorkloadInfo, reason: Requeue, now: float, quota_reason: str = "") -> bool:
        """A workload that was tried comes back, to the active ones or parked. False if nobody waits for it: it is there, or gone."""
        key = info.key
        if reason in (Requeue.PENDING_PREEMPTION, Requeue.PENDING_MIGRATION):
            self.preemptor = PreemptorMark(key, info.evaluated_generation, self.strategy == "BestEffortFIFO")
        newest = self.in_flight.pop(key, None)
        if newest is None:
            return False
        if newest is not info:
            newest.last_scan, newest.evaluated_generation, newest.cluster_queue = (
                info.last_scan,
                info.evaluated_generation,
                info.cluster_queue,
            )
            info = newest
        at_once = reason is not Requeue.NAMESPACE_MISMATCH if self.strategy == "StrictFIFO" else reason in _AT_ONCE
        flavors_left = info.last_scan is not None and info.last_scan.flavors_left()
        if backoff_expired(info.obj, now) and (at_once or self.retried_at_cycle >= self.pop_cycle or flavors_left):
            if self.inadmissible.pop(key, None) is None and key in self.active:
                return False
            self._activate(info)
            return True
        if key in self.inadmissible or key in self.active:
            return False
        self.inadmissible[key] = info
        if info.shape_hash and reason in (Requeue.NO_FIT, Requeue.PREEMPTION_NO_CANDIDATES):
            self.park_shape(info.shape_hash, quota_reason or "PendingEvaluation")
        return True

    def park_shape(self, shape: str, reason: str) -> int:
        """Workloads of that shape would fare the same: they are parked too. Not in StrictFIFO, where order is sacred. Returns how many."""
        if self.strategy != "BestEffortFIFO":
            return 0
        self.unfit_shapes[shape] = reason
        keys = self._by_shape.pop(shape, set())
        for key in keys:
            self.inadmissible[key] = self.active.pop(key)
        self._compact()
        return len(keys)

    def unfit_reason(self, key: str) -> str:
        """Why a parked workload was parked without being looked at; empty if it was looked at."""
        parked = self.inadmissible.get(key)
        return self.unfit_shapes.get(parked.shape_hash, "") if parked is not None else ""

    def retry(self, now: float, namespaces: Callable[[str], bool]) -> int:
        """Something changed: the parked ones get another chance, if their namespace is allowed and their back-off is over. How many do."""
        self.unfit_shapes.clear()
        self.retried_at_cycle = self.pop_cycle
        ready = [info for info in self.inadmissible.values() if namespaces(info.namespace) and backoff_expired(info.obj, now)]
        for info in ready:
            del self.inadmissible[info.key]
            self._activate(info)
        return len(ready)

    def discard(self, key: str) -> WorkloadInfo | None:
        """It is pending no more: admitted, deleted, deactivated. Returns it if it was."""
        if self.preemptor is not None and self.preemptor.key == key:
            self.preemptor = None
        flying = self.in_flight.pop(key, None)
        if key in self.active:
            return self._deactivate(key)
        return self.inadmissible.pop(key, None) or flying

    def _activate(self, info: WorkloadInfo) -> None:
        key = info.key
        if key in self.active:
            self._deactivate(key)
        self.active[key] = info
        self._enter(info)
        self._by_shape.setdefault(info.shape_hash, set()).add(key)

    def _enter(self, info: WorkloadInfo) -> None:
        heap = self._heaps.setdefault(local_key(info) if self._usage_of is not None else "", [])
        self._count += 1
        heapq.heappush(heap, (-info.priority, info.ordered_since, info.uid, self._count, info))

    def _rebuild(self) -> None:
        """Only the active ones, each once."""
        self._heaps = {}
        for info in self.active.values():
            self._enter(info)

    def _deactivate(self, key: str) -> WorkloadInfo:
        info = self.active.pop(key)
        same = self._by_shape[info.shape_hash]
        same.discard(key)
        if not same:
            del self._by_shape[info.shape_hash]
        self._compact()
        return info

    def _compact(self) -> None:
        """Drops the entries of those that are active no more, once they are many."""
        entries = sum(map(len, self._heaps.values()))
        if entries > 64 and entries > 4 * len(self.active):
            self._rebuild()

    def _take_head(self) -> WorkloadInfo | None:
        if not self.active:
            return None
        heads = [heap[0] for name in list(self._heaps) if (heap := self._trimmed(name))]
        mark = self.preemptor
        sticky = self.active.get(mark.key) if mark is not None and mark.sticky else None
        if self._usage_of is None:
            head = sticky if sticky is not None else heads[0][4]
        else:
            candidates = [entry[4] for entry in heads] + ([sticky] if sticky is not None else [])
            head = min(candidates, key=self.order)
        return self._deactivate(head.key)

    def _trimmed(self, name: str) -> list[HeapEntry]:
        """That heap, with an active workload on top; dropped where there is none."""
        heap = self._heaps[name]
        while heap and self.active.get(heap[0][4].key) is not heap[0][4]:
            heapq.heappop(heap)
        if not heap:
            del self._heaps[name]
        return heap


HeapEntry = tuple[int, float, str, int, WorkloadInfo]
"""Priority negated, time, UID, a number that keeps entries apart, and the workload."""


def local_key(info: WorkloadInfo) -> str:
    """Its LocalQueue, as namespace/name."""
    return f"{info.namespace}/{info.local_queue}"


def _may_have_become_admissible(old: WorkloadInfo, new: WorkloadInfo) -> bool:
    """Whether a parked workload changed in something that decides."""
    if old.evaluated_generation and new.obj.metadata.generation != old.evaluated_generation:
        return True
    return (
        old.obj.spec != new.obj.spec
        or old.obj.status.reclaimable_pods != new.obj.status.reclaimable_pods
        or old.obj.status.requeue_state != new.obj.status.requeue_state
        or find_condition(old.obj, "Evicted") != find_condition(new.obj, "Evicted")
        or find_condition(old.obj, "Requeued") != find_condition(new.obj, "Requeued")
        or has_closed_preemption_gate(old.obj) != has_closed_preemption_gate(new.obj)
    )


class Pending:
    """The pending queues of all ClusterQueues, and which LocalQueue leads where."""

    def __init__(self, *, keep_scan: bool = True, concurrent_admission: bool = False) -> None:
        self.keep_scan = keep_scan
        self.concurrent_admission = concurrent_admission
        self.by_variants: set[str] = set()
        """ClusterQueues that admit through variants: what is none, and has none yet, never waits itself."""
        self.second_pass = SecondPass()
        """Workloads that hold quota and are to be planned once more."""
        self.queues: dict[str, PendingQueue] = {}
        self.local_queues: dict[str, str] = {}
        """namespace/name of each LocalQueue to its ClusterQueue."""
        self.where: dict[str, str] = {}
        """Key of each pending workload to the ClusterQueue it waits in."""
        self.counts: dict[str, int] = {}
        """Pending workloads per LocalQueue (namespace/name)."""
        self._locals: dict[str, str] = {}

    def _enter(self, info: WorkloadInfo, queue: str) -> None:
        self._exit(info.key)
        local = self._locals[info.key] = local_key(info)
        self.counts[local] = self.counts.get(local, 0) + 1
        self.where[info.key] = queue

    def _exit(self, key: str) -> None:
        local = self._locals.pop(key, None)
        if local is not None:
            self.counts[local] -= 1
            if not self.counts[local]:
                del self.counts[local]
        self.where.pop(key, None)

    def drop(self, name: str) -> None:
        """The ClusterQueue is gone. What waited in it still counts for its LocalQueue."""
        self.queues.pop(name, None)

    def queue(self, name: str, strategy: str = "") -> PendingQueue:
        """The queue of that ClusterQueue, made where missing; `strategy` changes it."""
        found = self.queues.get(name)
        if found is None:
            found = self.queues[name] = PendingQueue(name, strategy or "BestEffortFIFO", keep_scan=self.keep_scan)
        elif strategy:
            found.strategy = strategy
        return found

    def cluster_queue_of(self, info: WorkloadInfo) -> str:
        """The ClusterQueue that its LocalQueue leads to; empty where there is none."""
        return self.local_queues.get(local_key(info), "")

    def push(self, info: WorkloadInfo, now: float) -> bool:
        """Adds or updates a pending workload. False where no queue takes it, or it is parked."""
        name = self.cluster_queue_of(info)
        if self.concurrent_admission and (is_parent(info.obj) or (name in self.by_variants and not is_variant(info.obj))):
            return False  # its variants wait for it
        queue = self.queues.get(name)
        before = self.where.get(info.key)
        if before is not None and (before != name or self._locals.get(info.key) != local_key(info)):
            self.discard(info.key)
        if queue is None:
            if local_key(info) in self.local_queues:
                self._enter(info, name)  # it counts for its LocalQueue, and waits for the ClusterQueue to come
            return False
        info.cluster_queue = name
        self._enter(info, name)
        return queue.push(info, now)

    def enlist(self, info: WorkloadInfo, now: float) -> None:
        """Its LocalQueue came up: it is looked at even if its equals were parked, unless its back-off is not over."""
        queue = self.queues.get(self.cluster_queue_of(info))
        if queue is None or info.key in queue or not backoff_expired(info.obj, now):
            self.push(info, now)
            return
        info.cluster_queue = queue.name
        self._enter(info, queue.name)
        queue.add(info)

    def discard(self, key: str) -> WorkloadInfo | None:
        """The workload is pending no more."""
        queue = self.queues.get(self.where.get(key, ""))
        self._exit(key)
        return queue.discard(key) if queue is not None else None

    def get(self, key: str) -> WorkloadInfo | None:
        """The pending workload of that key."""
        queue = self.queues.get(self.where.get(key, ""))
        return queue.get(key) if queue is not None else None
