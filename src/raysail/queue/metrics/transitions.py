"""What happened between two versions of a Workload, as counts and observations. Pure.

Conditions that were written with each other are counted with each other, as Kueue does at the places that write them (pkg/scheduler, pkg/workload/evict,
pkg/controller/core, pkg/controller/jobframework).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from raysail.api.conditions import is_true
from raysail.api.kueue import Workload
from raysail.api.meta import parse_time
from raysail.api.prometheus import Family, Labels
from raysail.queue.metrics import families
from raysail.queue.model.workload import find_condition, is_admitted, is_finished

REPLACED = "WorkloadSliceReplaced"
STARTED = "Started"


class Seen(NamedTuple):
    """One count (`value` None) or observation, in seconds. `local` tells whether the labels name a LocalQueue."""

    family: Family
    labels: Labels
    value: float | None = None
    local: bool = False


def observe(old: Workload, new: Workload, now: datetime) -> Iterator[Seen]:
    """Everything that the change tells."""
    if is_finished(new):
        if not is_finished(old):
            yield from _finished(new)
        return
    yield from _evicted(old, new)
    yield from _released(old, new, now)
    gained = not is_true(old.status.conditions, "QuotaReserved") and is_true(new.status.conditions, "QuotaReserved")
    waited = _queued_seconds(new, now)
    if gained:
        yield from _both(new, families.QUOTA_RESERVED, families.LOCAL_QUOTA_RESERVED)
        yield from _both(new, families.QUOTA_RESERVED_WAIT, families.LOCAL_QUOTA_RESERVED_WAIT, waited)
    if not is_admitted(old) and is_admitted(new):
        yield from _both(new, families.ADMITTED, families.LOCAL_ADMITTED)
        yield from _both(new, families.ADMISSION_WAIT, families.LOCAL_ADMISSION_WAIT, waited)
        if new.status.admission_checks:
            since_quota = 0.0 if gained else _since(new, "QuotaReserved", now)
            yield from _both(new, families.CHECKS_WAIT, families.LOCAL_CHECKS_WAIT, since_quota)
    yield from _ready(old, new, waited)
    yield from _dispatched(old, new)


def unadmitted(workload: Workload) -> tuple[str, str] | None:
    """Why it is not admitted: (reason of Admitted, reason of QuotaReserved); None where it is, or is over."""
    if is_admitted(workload) or is_finished(workload) or workload.metadata.deletion_timestamp is not None:
        return None
    admitted, reserved = find_condition(workload, "Admitted"), find_condition(workload, "QuotaReserved")
    cause = "PendingEvaluation" if reserved is None else "" if reserved.status == "True" else reserved.reason
    return admitted.reason if admitted is not None else "NoReservation", cause


def queue_of(workload: Workload) -> str:
    """The ClusterQueue whose quota it holds or held; empty if none."""
    return workload.status.admission.cluster_queue if workload.status.admission is not None else ""


def class_of(workload: Workload) -> str:
    """Name of the class its priority is from; empty for none."""
    return workload.spec.priority_class_ref.name if workload.spec.priority_class_ref is not None else ""


def _both(workload: Workload, family: Family, local: Family, value: float | None = None, *more: str) -> Iterator[Seen]:
    """For its ClusterQueue and for its LocalQueue; `more` are label values before the priority class."""
    tail = (*more, class_of(workload))
    yield Seen(family, (queue_of(workload), *tail), value)
    yield Seen(local, (workload.spec.queue_name, workload.metadata.namespace, *tail), value, local=True)


def _finished(workload: Workload) -> Iterator[Seen]:
    finished = find_condition(workload, "Finished")
    if finished is not None and finished.reason == REPLACED:
        yield Seen(families.REPLACED_SLICES, (queue_of(workload),))
    yield from _both(workload, families.FINISHED_TOTAL, families.LOCAL_FINISHED_TOTAL)
    admitted = find_condition(workload, "Admitted")
    past = workload.status.accumulated_past_execution_time_seconds
    if finished is None or not finished.last_transition_time or (admitted is None and past is None):
        return
    seconds = float(past or 0)
    if admitted is not None and admitted.status == "True" and admitted.last_transition_time:
        seconds += (parse_time(finished.last_transition_time) - parse_time(admitted.last_transition_time)).total_seconds()
    elif past is None:
        return
    yield from _both(workload, families.EXECUTION, families.LOCAL_EXECUTION, max(0.0, seconds))


def _evicted(old: Workload, new: Workload) -> Iterator[Seen]:
    """Each eviction is counted in the status, by reason and cause: what went up happened."""
    stats, before = new.status.scheduling_stats, old.status.scheduling_stats
    if stats is None or old.status.admission is None:
        return
    counted = {(each.reason, each.underlying_cause): each.count for each in (before.evictions if before is not None else None) or ()}
    queue, name = queue_of(old), class_of(new)
    for each in stats.evictions or ():
        if each.count <= counted.get((each.reason, each.underlying_cause), 0):
            continue
        yield Seen(families.EVICTED, (queue, each.reason, each.underlying_cause, name))
        if each.count == 1:
            yield Seen(families.EVICTED_ONCE, (queue, each.reason, each.underlying_cause, name))
        local = (new.spec.queue_name, new.metadata.namespace, each.reason, each.underlying_cause, name)
        yield Seen(families.LOCAL_EVICTED, local, local=True)
        evicted, ready = find_condition(new, "Evicted"), find_condition(old, "PodsReady")
        if (
            ready is not None
            and ready.status == "True"
            and ready.last_transition_time
            and evicted is not None
            and evicted.last_transition_time
        ):
            seconds = (parse_time(evicted.last_transition_time) - parse_time(ready.last_transition_time)).total_seconds()
            yield Seen(families.READY_TO_EVICTED, (queue, each.reason, each.underlying_cause), max(0.0, seconds))


def _released(old: Workload, new: Workload, now: datetime) -> Iterator[Seen]:
    """Quota came back after an eviction: how long its Pods took to go."""
    evicted = find_condition(new, "Evicted")
    lost = _holds(old) and not _holds(new)
    if lost and evicted is not None and evicted.status == "True" and evicted.last_transition_time and queue_of(old):
        yield Seen(families.EVICTION_LATENCY, (queue_of(old), evicted.reason), _since(new, "Evicted", now))


def _holds(workload: Workload) -> bool:
    held = is_true(workload.status.conditions, "QuotaReserved") or is_admitted(workload)
    return held and not is_finished(workload)


def _ready(old: Workload, new: Workload, waited: float) -> Iterator[Seen]:
    """All Pods ready for the first time since admission; not after a recovery."""
    ready, admitted = find_condition(new, "PodsReady"), find_condition(new, "Admitted")
    if ready is None or ready.status != "True" or ready.reason != STARTED or is_true(old.status.conditions, "PodsReady"):
        return
    if admitted is None or new.status.admission is None:
        return
    yield from _both(new, families.READY_WAIT, families.LOCAL_READY_WAIT, waited)
    if ready.last_transition_time and admitted.last_transition_time:
        seconds = (parse_time(ready.last_transition_time) - parse_time(admitted.last_transition_time)).total_seconds()
        yield from _both(new, families.ADMITTED_UNTIL_READY, families.LOCAL_ADMITTED_UNTIL_READY, max(0.0, seconds))


def _dispatched(old: Workload, new: Workload) -> Iterator[Seen]:
    """MultiKueue: worker clusters that were given the Workload, and the one that took it."""
    queue = queue_of(new) or queue_of(old)
    for cluster in sorted({*(new.status.nominated_cluster_names or ())} - {*(old.status.nominated_cluster_names or ())}):
        yield Seen(families.DISPATCHED, (queue, cluster))
    if new.status.cluster_name and new.status.cluster_name != old.status.cluster_name:
        yield Seen(families.DISPATCHED_ADMITTED, (queue, new.status.cluster_name))


def _queued_seconds(workload: Workload, now: datetime) -> float:
    """Since it was put into the queue, the last time."""
    requeued = find_condition(workload, "Requeued")
    text = (requeued.last_transition_time if requeued is not None else None) or workload.metadata.creation_timestamp
    return max(0.0, (now - parse_time(text)).total_seconds()) if text else 0.0


def _since(workload: Workload, type_: str, now: datetime) -> float:
    found = find_condition(workload, type_)
    return (
        max(0.0, (now - parse_time(found.last_transition_time)).total_seconds())
        if found is not None and found.last_transition_time
        else 0.0
    )
