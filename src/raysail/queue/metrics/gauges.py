"""What is the case now, read from the planner's world and the pending queues. Pure; asked at each scrape, so nothing can be out of date."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from raysail.api.prometheus import Family
from raysail.queue.metrics import families
from raysail.queue.model.cluster_queue import ClusterQueue, Cohort, Tally
from raysail.queue.model.fairness import share_of
from raysail.queue.model.quota import QuotaNode
from raysail.queue.model.world import World, tree_members
from raysail.queue.pending.queues import Pending, PendingQueue

Samples = dict[Family, list[tuple[tuple[str, ...], float]]]
ACTIVE, INADMISSIBLE = "active", "inadmissible"


class LocalQueueState(NamedTuple):
    """A LocalQueue that has metrics: where it leads, and its condition Active."""

    namespace: str
    name: str
    cluster_queue: str
    active: str


class QueueState(NamedTuple):
    """A ClusterQueue's state: can it admit, is it on its way out."""

    active: bool
    terminating: bool


@dataclass(slots=True)
class Waiting:
    """What waits in one ClusterQueue, counted. Per LocalQueue (namespace/name) too."""

    active: int = 0
    inadmissible: int = 0
    active_shapes: set[str] = field(default_factory=set)
    inadmissible_shapes: set[str] = field(default_factory=set)
    local_active: Counter[str] = field(default_factory=Counter)
    local_inadmissible: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)


def waiting_in(queue: PendingQueue | None, *, usable: bool) -> Waiting:
    """Counts a queue. What waits in a queue that cannot admit is inadmissible."""
    found = Waiting()
    if queue is None:
        return found
    for info in queue.all():
        local = f"{info.namespace}/{info.local_queue}"
        if usable and info.key not in queue.inadmissible:
            found.active += 1
            found.active_shapes.update((info.shape_hash,) if info.shape_hash else ())
            found.local_active[local] += 1
        else:
            found.inadmissible += 1
            found.inadmissible_shapes.update((info.shape_hash,) if info.shape_hash else ())
            found.local_inadmissible[local] += 1
        for pod_set in info.pod_sets:
            for resource, amount in pod_set.requests.items():
                found.requests[resource] += amount
    return found


def whole(resource: str, amount: int) -> float:
    """An amount as it is told: cpu in cores, everything else in its units."""
    return amount / 1000 if resource == "cpu" else float(amount)


def queue_samples(
    world: World, pending: Pending, states: Mapping[str, QueueState], *, resources: bool, fair_sharing: bool, role: str
) -> tuple[Samples, dict[str, Waiting]]:
    """Of all ClusterQueues and Cohorts; and what waits in each ClusterQueue."""
    samples: Samples = {}
    waiting: dict[str, Waiting] = {}

    def tell(family: Family, labels: Iterable[str], value: float) -> None:
        samples.setdefault(family, []).append(((*labels, role), value))

    for name, queue in world.cluster_queues.items():
        state = states.get(name, QueueState(queue.active, False))
        counted = waiting[name] = waiting_in(pending.queues.get(name), usable=state.active)
        tell(families.PENDING, (name, ACTIVE), counted.active)
        tell(families.PENDING, (name, INADMISSIBLE), counted.inadmissible)
        tell(families.PENDING_HASHES, (name, ACTIVE), len(counted.active_shapes))
        tell(families.PENDING_HASHES, (name, INADMISSIBLE), len(counted.inadmissible_shapes))
        tell(families.RESERVING, (name,), queue.tally.reserving)
        tell(families.ADMITTED_ACTIVE, (name,), queue.tally.admitted)
        current = "terminating" if state.terminating else "active" if state.active else "pending"
        for status in ("pending", "active", "terminating"):
            tell(families.QUEUE_STATUS, (name, status), float(status == current))
        parent = queue.parent.name if queue.parent is not None else ""
        tell(families.QUEUE_INFO, (name, parent, queue.root().name if queue.parent is not None else ""), 1)
        if fair_sharing:
            tell(families.WEIGHTED_SHARE, (name, parent), _share(queue))
        if resources:
            for resource in sorted({resource for group in queue.groups for resource in group.resources} | counted.requests.keys()):
                tell(families.RESOURCE_PENDING, (name, resource), whole(resource, counted.requests[resource]))
            for family, key, value in _amounts(queue):
                tell(family, (parent, name, *key), value)
    for name, cohort in world.cohorts.items():
        for family, labels, value in _cohort(cohort, fair_sharing=fair_sharing):
            tell(family, (name, *labels), value)
    return samples, waiting


def _amounts(queue: ClusterQueue) -> Iterator[tuple[Family, tuple[str, str], float]]:
    for key, quota in queue.quotas.items():
        resource = key[1]
        yield families.NOMINAL, key, whole(resource, quota.nominal)
        for family, limit in ((families.BORROWING_LIMIT, quota.borrowing_limit), (families.LENDING_LIMIT, quota.lending_limit)):
            yield family, key, math.inf if limit is None else whole(resource, limit)
        yield families.RESERVATION, key, whole(resource, queue.tally.reserved.get(key, 0))
        yield families.USAGE, key, whole(resource, queue.tally.used.get(key, 0))


def _share(node: QuotaNode) -> float:
    share = share_of(node)
    return math.nan if share.outcast else share.weighted


def _cohort(cohort: Cohort, *, fair_sharing: bool) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    yield families.COHORT_INFO, (cohort.parent.name if cohort.parent is not None else "", cohort.root().name), 1
    for key, amount in cohort.subtree_quota.items():
        if amount > 0:
            yield families.SUBTREE_QUOTA, key, whole(key[1], amount)
    held: Counter[tuple[str, str]] = Counter()
    admitted = 0
    for queue in tree_members(cohort):
        held.update(queue.tally.reserved)
        admitted += queue.tally.admitted
    for key, amount in held.items():
        if amount > 0:
            yield families.SUBTREE_RESERVATION, key, whole(key[1], amount)
    yield families.SUBTREE_ADMITTED_ACTIVE, (), admitted
    if fair_sharing:
        yield families.COHORT_WEIGHTED_SHARE, (), _share(cohort)


def local_queue_samples(world: World, waiting: Mapping[str, Waiting], queues: Iterable[LocalQueueState], role: str) -> Samples:
    """Of LocalQueues."""
    samples: Samples = {}
    for local in queues:
        key = f"{local.namespace}/{local.name}"
        labels = (local.name, local.namespace)

        def tell(family: Family, more: Iterable[str], value: float, labels: tuple[str, str] = labels) -> None:
            samples.setdefault(family, []).append(((*labels, *more, role), value))

        counted = waiting.get(local.cluster_queue) or Waiting()
        tell(families.LOCAL_PENDING, (ACTIVE,), counted.local_active[key])
        tell(families.LOCAL_PENDING, (INADMISSIBLE,), counted.local_inadmissible[key])
        tally = world.local_tallies.get(key) or Tally()
        tell(families.LOCAL_RESERVING, (), tally.reserving)
        tell(families.LOCAL_ADMITTED_ACTIVE, (), tally.admitted)
        if local.active:
            for status in ("True", "False", "Unknown"):
                tell(families.LOCAL_STATUS, (status,), float(status == local.active))
        queue = world.cluster_queues.get(local.cluster_queue)
        if world.ledger is not None:
            tell(families.LOCAL_FAIR_USAGE, (local.cluster_queue,), world.ledger.usage(key))
        for amount in queue.quotas if queue is not None else ():
            tell(families.LOCAL_RESERVATION, amount, whole(amount[1], tally.reserved.get(amount, 0)))
            tell(families.LOCAL_USAGE, amount, whole(amount[1], tally.used.get(amount, 0)))
    return samples
