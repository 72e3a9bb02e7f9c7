"""What time does to an admitted Workload: Pods that do not become ready, and the maximum execution time. Pure.

Source: Kueue pkg/controller/core/workload_controller.go (reconcileNotReadyTimeout, admittedNotReadyWorkload, reconcileMaxExecutionTime).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from raysail.api import conditions
from raysail.api.kueue import Workload
from raysail.api.meta import parse_time
from raysail.queue.checks.states import wait_seconds
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.status import Status
from raysail.queue.model.workload import is_active, is_admitted
from raysail.queue.settings import RequeuingStrategy, WaitForPodsReady

START = "WaitForStart"
RECOVERY = "WaitForRecovery"


def since(workload: Workload, type_: str) -> datetime | None:
    """When that condition changed last."""
    found = conditions.find(workload.status.conditions, type_)
    return parse_time(found.last_transition_time) if found is not None and found.last_transition_time else None


def not_ready(workload: Workload, waiting: WaitForPodsReady | None, now: datetime) -> tuple[str, float]:
    """(cause, seconds left) of an admitted workload whose Pods are not all ready; an empty cause where nothing runs against it."""
    if waiting is None or not is_admitted(workload):
        return "", 0
    ready = conditions.find(workload.status.conditions, "PodsReady")
    if ready is not None and ready.status == "True":
        return "", 0
    if ready is None or ready.reason in (START, "PodsReady"):
        left = (since(workload, "Admitted") or now) + timedelta(seconds=waiting.timeout_seconds) - now
        return START, max(0.0, left.total_seconds())
    if ready.reason == RECOVERY and waiting.recovery_timeout_seconds is not None:
        left = (since(workload, "PodsReady") or now) + timedelta(seconds=waiting.recovery_timeout_seconds) - now
        return RECOVERY, max(0.0, left.total_seconds())
    return "", 0


def late_cause(workload: Workload, waiting: WaitForPodsReady | None, now: datetime) -> tuple[str, float]:
    """As `not_ready`, for those that may be evicted for it: active, and not on their way out."""
    if not is_active(workload) or conditions.is_true(workload.status.conditions, "Evicted"):
        return "", 0
    return not_ready(workload, waiting, now)


def tried_too_often(workload: Workload, rules: RequeuingStrategy) -> bool:
    """Whether one more requeue would be more than the limit."""
    return rules.backoff_limit_count is not None and _requeues(workload) + 1 > rules.backoff_limit_count


def back_off(workload: Workload, status: Status, rules: RequeuingStrategy, now: datetime) -> None:
    """Counts one more requeue and says when."""
    attempt = _requeues(workload) + 1
    transitions.set_requeue_at(status, now + timedelta(seconds=backoff_seconds(rules, attempt, workload.metadata.uid)), count=True)


def _requeues(workload: Workload) -> int:
    return (workload.status.requeue_state.count or 0) if workload.status.requeue_state is not None else 0


def backoff_seconds(rules: RequeuingStrategy, attempt: int, seed: str) -> float:
    """How long before the attempt-th requeue."""
    return wait_seconds(rules.backoff_base_seconds, rules.backoff_max_seconds, attempt, seed)


def execution_left(workload: Workload, now: datetime) -> float | None:
    """Seconds of spec.maximumExecutionTimeSeconds that are left, earlier admissions counted; None where nothing limits it or nothing runs."""
    limit = workload.spec.maximum_execution_time_seconds
    admitted = since(workload, "Admitted") if is_admitted(workload) else None
    if limit is None or admitted is None:
        return None
    return limit - (workload.status.accumulated_past_execution_time_seconds or 0) - (now - admitted).total_seconds()
