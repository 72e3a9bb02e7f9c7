"""When a Pod's scheduling gate went, and how long after its Workload's admission (pkg/util/pod.Ungate). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from raysail.api.kueue import Workload, names
from raysail.api.meta import parse_time
from raysail.queue.jobs.kind import Job
from raysail.queue.model.workload import find_condition

TIMED: Final = frozenset((names.ADMISSION_GATE, names.TOPOLOGY_GATE, names.ELASTIC_JOB_GATE))


def gates_of(pod: Job) -> set[str]:
    """Names of its scheduling gates."""
    return {gate.get("name", "") for gate in pod.spec.get("schedulingGates") or ()}


def gates_gone(old: Job, new: Job) -> Iterator[str]:
    """Those of ours that the change took off."""
    yield from sorted((gates_of(old) - gates_of(new)) & TIMED)


def is_group(pod: Job) -> str:
    """Whether the Pod belongs to a group, as the label says it."""
    return "true" if pod.labels.get(names.POD_GROUP_NAME) else "false"


def seconds_since_admission(workload: Workload, now: datetime) -> float | None:
    """None for a Workload that is not admitted."""
    admitted = find_condition(workload, "Admitted")
    if admitted is None or admitted.status != "True" or not admitted.last_transition_time:
        return None
    return max(0.0, (now - parse_time(admitted.last_transition_time)).total_seconds())
