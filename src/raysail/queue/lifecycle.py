"""What becomes of a Workload beside being scheduled: checks, stops, time-outs, back-off, deactivation, retention. One step at a time, pure.

`next_step` looks at a Workload as it is and says the next thing to write. It may be asked at any time; where nothing is to be done it says when to
look again. Source: Kueue pkg/controller/core/workload_controller.go (Reconcile); order and texts as there.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from raysail.api import conditions
from raysail.api.kueue import LocalQueue, Workload
from raysail.api.meta import parse_time
from raysail.queue import status as transitions
from raysail.queue.outcomes import cut
from raysail.queue.settings import QueueSettings, RequeuingStrategy
from raysail.queue.status import Status
from raysail.queue.workload import JOB_UID_LABEL, admission_gates, has_reservation, is_active, is_admitted, is_finished, is_on_hold

SCHEDULER_REASONS = frozenset(
    (
        "NoMatchingFlavor",
        "ExceedsMaxQuota",
        "WaitingForQuota",
        "TopologyPlacementFailed",
        "WaitingForPreemptedWorkloads",
        "WaitingForPodsReady",
        "PendingEvaluation",
    )
)
_ASK_EQUALS = frozenset(("", "Deactivated", "PendingEvaluation", "Suspended", "Pending"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What surrounds a Workload. `cluster_queue` is the name its LocalQueue leads to (of an open or closed one), empty where there is none."""

    local_queue: LocalQueue | None = None
    cluster_queue: str = ""
    cluster_queue_exists: bool = False
    cluster_queue_terminating: bool = False
    cluster_queue_stop: str = "None"
    cluster_queue_active: bool = False
    checks: tuple[str, ...] = ()
    """Admission checks that apply: to its flavors once it holds quota, before that those for all flavors."""
    inadmissible: str | None = None
    """Why the queue must not take it at all."""
    unfit_reason: str = ""
    """Why it was parked without being looked at, together with its equals."""

    @property
    def local_stop(self) -> str:
        """The LocalQueue's stopPolicy."""
        return (self.local_queue.spec.stop_policy or "None") if self.local_queue is not None else "None"

    @property
    def local_terminating(self) -> bool:
        """Whether the LocalQueue is missing or on its way out."""
        return self.local_queue is None or self.local_queue.metadata.deletion_timestamp is not None


@dataclass(slots=True)
class Step:
    """The next write: a new status, or spec.active=false, or deletion; with events (type, reason, message). `again`: seconds to look again."""

    status: Status | None = None
    deactivate: bool = False
    delete: bool = False
    drop_finalizer: bool = False
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to write."""
        return self.status is None and not self.deactivate and not self.delete and not self.drop_finalizer


def next_step(workload: Workload, seen: Seen, settings: QueueSettings, now: datetime) -> Step:
    """The next thing to do for this Workload."""
    if is_orphan(workload):
        if workload.metadata.deletion_timestamp is not None:
            return Step(drop_finalizer=True)
        if not is_finished(workload):
            status = _status(workload)
            transitions.finish(status, "OwnerNotFound", "The workload's owner no longer exists", now, workload.metadata.generation)
            return Step(status)
    if is_finished(workload):
        return _retain(workload, settings, now)
    if (later := _retry_time(workload, now)) is not None:
        status = _status(workload)
        transitions.set_requeue_at(status, later, count=False)
        return Step(status)
    if not is_active(workload):
        step = _deactivated(workload, now)
        if not step.nothing:
            return step
    else:
        first = _active(workload, now)
        if first is not None:
            return first
    return _in_queue(workload, seen, settings, now)


def is_orphan(workload: Workload) -> bool:
    """Whether the job that it stood for is gone: no owner, and either going away or once made for a job."""
    if workload.metadata.owner_references:
        return False
    return workload.metadata.deletion_timestamp is not None or JOB_UID_LABEL in (workload.metadata.labels or {})


def _status(workload: Workload) -> Status:
    found: Status = msgspec.to_builtins(workload.status)
    return found


def _since(workload: Workload, type_: str) -> datetime | None:
    found = conditions.find(workload.status.conditions, type_)
    return parse_time(found.last_transition_time) if found is not None and found.last_transition_time else None


def _retain(workload: Workload, settings: QueueSettings, now: datetime) -> Step:
    keep = settings.retention_after_finished_seconds
    finished = _since(workload, "Finished")
    if keep is None or finished is None:
        return Step()
    left = (finished + timedelta(seconds=keep) - now).total_seconds()
    if left > 0:
        return Step(again=left)
    return Step(delete=True, drop_finalizer=True, events=[("Normal", "Deleted", "Deleted finished workload due to elapsed retention")])


def _retry_time(workload: Workload, now: datetime) -> datetime | None:
    """A later requeueAt that a check in state Retry asks for."""
    latest: datetime | None = None
    for check in workload.status.admission_checks or ():
        if check.state != transitions.RETRY or check.requeue_after_seconds is None or not check.last_transition_time:
            continue
        at = parse_time(check.last_transition_time) + timedelta(seconds=check.requeue_after_seconds)
        if latest is None or at > latest:
            latest = at
    if latest is None or latest <= now:
        return None
    state = workload.status.requeue_state
    if state is not None and state.requeue_at and parse_time(state.requeue_at) >= latest:
        return None
    return latest


def _active(workload: Workload, now: datetime) -> Step | None:
    """Deactivation that was decided, and back-off."""
    if conditions.is_true(workload.status.conditions, "DeactivationTarget"):
        return Step(deactivate=True)
    state = workload.status.requeue_state
    if state is not None and state.requeue_at:
        left = (parse_time(state.requeue_at) - now).total_seconds()
        if left > 0:
            return Step(again=left)
        if not has_reservation(workload):
            status = _status(workload)
            status.get("requeueState", {}).pop("requeueAt", None)
            return Step(status)
    requeued = conditions.find(workload.status.conditions, "Requeued")
    if requeued is None or requeued.status != "False":
        return None
    status = _status(workload)
    generation = workload.metadata.generation
    if requeued.reason == "Deactivated":
        transitions.requeued(status, True, "Reactivated", "The workload was reactivated", now, generation)
        return Step(status)
    if requeued.reason in ("PodsReadyTimeout", "AdmissionCheck"):
        status.get("requeueState", {}).pop("requeueAt", None)
        transitions.requeued(status, True, "BackoffFinished", "The workload backoff was finished", now, generation)
        return Step(status)
    return None


def _deactivated(workload: Workload, now: datetime) -> Step:
    evicted = conditions.is_true(workload.status.conditions, "Evicted")
    if evicted and workload.status.requeue_state is None:
        return Step()
    status = _status(workload)
    target = transitions.condition(status, "DeactivationTarget")
    if target is not None:
        status["conditions"].remove(target)
    status.pop("requeueState", None)
    if evicted:
        return Step(status)
    message, cause = "The workload is deactivated", ""
    if target is not None:
        cause = target.get("reason", "")
        message = f"{message} due to {target.get('message', '')}"
    return Step(status, events=_evict(workload, status, "Deactivated", message, now, cause))


def _evict(workload: Workload, status: Status, reason: str, message: str, now: datetime, cause: str = "") -> list[tuple[str, str, str]]:
    transitions.evict(status, reason, message, now, workload.metadata.generation, cause)
    if workload.status.admission is None:
        return []
    event = f"EvictedDueTo{reason}"
    if reason == "Deactivated" and cause:
        event = f"{event}DueTo{cause}"
    return [("Normal", event, cut(message))]


def _in_queue(workload: Workload, seen: Seen, settings: QueueSettings, now: datetime) -> Step:
    """Reactions to its queues, its checks, and time."""
    status = _status(workload)
    generation = workload.metadata.generation
    if _held_back_by(workload, "LocalQueueStopped") and seen.local_queue is not None and seen.local_stop == "None":
        transitions.requeued(status, True, "LocalQueueRestarted", "The LocalQueue was restarted after being stopped", now, generation)
        return Step(status)
    gate = _admission_gate(workload, status, now)
    if gate is not None:
        return gate
    if seen.cluster_queue and seen.cluster_queue_exists:
        if _held_back_by(workload, "ClusterQueueStopped") and seen.cluster_queue_stop == "None":
            transitions.requeued(
                status, True, "ClusterQueueRestarted", "The ClusterQueue was restarted after being stopped", now, generation
            )
            return Step(status)
        if sync_checks(status, seen.checks, now):
            return Step(status)
    events: list[tuple[str, str, str]] = []
    if not is_admitted(workload):
        changed = False
        if not has_reservation(workload):
            changed = _pending_reason(workload, status, seen, now)
        changed |= transitions.sync_admitted(status, now, generation)
        if transitions.holds(status, "Admitted"):
            reserved = _since(workload, "QuotaReserved") or now
            queue = (status.get("admission") or {}).get("clusterQueue", "")
            waited = max(0.0, (now - reserved).total_seconds())
            message = f"Admitted by ClusterQueue {queue}, wait time since reservation was {waited:.0f}s"
            events.append(("Normal", "Admitted", message))
        if changed:
            return Step(status, events=events)
    if has_reservation(workload):
        return _reserved(workload, status, seen, settings, now)
    return Step()


def _held_back_by(workload: Workload, reason: str) -> bool:
    requeued = conditions.find(workload.status.conditions, "Requeued")
    return requeued is not None and requeued.status == "False" and requeued.reason == reason


def _admission_gate(workload: Workload, status: Status, now: datetime) -> Step | None:
    gates = admission_gates(workload)
    told = transitions.condition(status, "QuotaReserved")
    said = told is not None and told.get("reason") == "AdmissionGated"
    if gates and not said:
        transitions.release(status, "AdmissionGated", f"Admission is gated by: {gates}", now, workload.metadata.generation)
        return Step(status, events=[("Normal", "AdmissionGated", f"Workload admission is gated by: {gates}")])
    if said and not gates:
        message = "AdmissionGatedBy cleared, waiting for quota reservation"
        transitions.release(status, "PendingEvaluation", message, now, workload.metadata.generation)
        return Step(status, events=[("Normal", "AdmissionGateCleared", "Admission gate cleared, workload is now admissible")])
    return None


def sync_checks(status: Status, wanted: tuple[str, ...], now: datetime) -> bool:
    """status.admissionChecks: what applies and is missing comes in as Pending, what does not apply any more goes, by name."""
    present = status.get("admissionChecks") or []
    if not wanted:
        status.pop("admissionChecks", None)
        return bool(present)
    changed = False
    for name in wanted:
        if not any(check.get("name") == name for check in present):
            changed = True
            transitions.set_check(status, name, transitions.PENDING, "", now)
    kept = sorted(
        (check for check in status.get("admissionChecks") or () if check.get("name") in wanted), key=lambda check: str(check["name"])
    )
    if len(kept) != len(status.get("admissionChecks") or ()):
        changed = True
    status["admissionChecks"] = kept
    return changed


def _pending_reason(workload: Workload, status: Status, seen: Seen, now: datetime) -> bool:
    """QuotaReserved=False with what stands against it, where the scheduler has not said more."""
    told = transitions.condition(status, "QuotaReserved")
    reason, message = _why_pending(workload, told, seen)
    return bool(reason) and transitions.put(status, "QuotaReserved", False, reason, message, now, workload.metadata.generation)


def _why_pending(workload: Workload, told: Mapping[str, Any] | None, seen: Seen) -> tuple[str, str]:
    if not is_active(workload):
        return "Deactivated", "The workload is deactivated"
    if is_on_hold(workload) and told is not None:
        return told["reason"], told.get("message", "")
    if seen.local_queue is None:
        return "Misconfigured", f"LocalQueue {workload.spec.queue_name} doesn't exist"
    if seen.local_stop != "None":
        return "Suspended", f"LocalQueue {workload.spec.queue_name} is inactive"
    if not seen.cluster_queue_exists:
        return "Misconfigured", f"ClusterQueue {seen.cluster_queue} doesn't exist"
    if not seen.cluster_queue_active:
        return "Suspended", f"ClusterQueue {seen.cluster_queue} is inactive"
    if seen.inadmissible is not None:
        return "Misconfigured", seen.inadmissible
    if gates := admission_gates(workload):
        return "AdmissionGated", f"Admission is gated by: {gates}"
    if told is not None and told.get("reason", "") in _ASK_EQUALS and seen.unfit_reason:
        return seen.unfit_reason, "Bypassed scheduling evaluation because an equivalent workload recently failed"
    if told is None:
        return "", ""
    if told.get("reason") in SCHEDULER_REASONS:
        return told["reason"], told.get("message", "")
    return "PendingEvaluation", "Workload is pending evaluation in the scheduling queue"


def _reserved(workload: Workload, status: Status, seen: Seen, settings: QueueSettings, now: datetime) -> Step:
    for react in (_failed_checks, _local_queue_state, _cluster_queue_state):
        step = react(workload, status, seen, now)
        if step is not None:
            return step
    unready = _not_ready_in_time(workload, status, settings, now)
    if not unready.nothing:
        return unready
    overrun = _maximum_execution_time(workload, status, now)
    if not overrun.nothing:
        return overrun
    waits = [step.again for step in (unready, overrun) if step.again is not None]
    return Step(again=min(waits) if waits else None)


def checks_message(checks: list[Any], state: str) -> str:
    """`AdmissionChecks in Retry state: "a" (text); "b"`."""
    ordered = sorted(checks, key=lambda check: str(check.name))
    parts = [f'"{check.name}" ({check.message})' if check.message else f'"{check.name}"' for check in ordered]
    return f"AdmissionCheck{'s' if len(parts) > 1 else ''} in {state} state: {'; '.join(parts)}"


def _failed_checks(workload: Workload, status: Status, seen: Seen, now: datetime) -> Step | None:
    if conditions.is_true(workload.status.conditions, "Evicted"):
        return None
    checks = workload.status.admission_checks or []
    rejected = [check for check in checks if check.state == transitions.REJECTED]
    if rejected:
        message = checks_message(rejected, transitions.REJECTED)
        transitions.put(status, "DeactivationTarget", True, "AdmissionCheck", message, now, workload.metadata.generation)
        return Step(status, events=[("Warning", "AdmissionCheckRejected", cut(f"Deactivated due to {message}"))])
    retry = [check for check in checks if check.state == transitions.RETRY]
    if retry:
        message = f"Evicted due to {checks_message(retry, transitions.RETRY)}"
        return Step(status, events=_evict(workload, status, "AdmissionCheck", message, now))
    return None


def _local_queue_state(workload: Workload, status: Status, seen: Seen, now: datetime) -> Step | None:
    if is_admitted(workload):
        if seen.local_stop != "HoldAndDrain" or transitions.holds(status, "Evicted"):
            return None
        return Step(status, events=_evict(workload, status, "LocalQueueStopped", "The LocalQueue is stopped", now))
    name = workload.spec.queue_name
    if seen.local_terminating:
        return _give_back(workload, status, "Misconfigured", f"LocalQueue {name} is terminating or missing", now)
    if seen.local_stop != "None":
        return _give_back(workload, status, "Suspended", f"LocalQueue {name} is stopped", now)
    return None


def _cluster_queue_state(workload: Workload, status: Status, seen: Seen, now: datetime) -> Step | None:
    if is_admitted(workload):
        if seen.cluster_queue_stop != "HoldAndDrain" or transitions.holds(status, "Evicted"):
            return None
        return Step(status, events=_evict(workload, status, "ClusterQueueStopped", "The ClusterQueue is stopped", now))
    if not seen.cluster_queue_exists or seen.cluster_queue_terminating:
        return _give_back(workload, status, "Misconfigured", f"ClusterQueue {seen.cluster_queue} is terminating or missing", now)
    if seen.cluster_queue_stop != "None":
        return _give_back(workload, status, "Suspended", f"ClusterQueue {seen.cluster_queue} is stopped", now)
    return None


def _give_back(workload: Workload, status: Status, reason: str, message: str, now: datetime) -> Step:
    transitions.release(status, reason, message, now, workload.metadata.generation)
    return Step(status)


def _not_ready_in_time(workload: Workload, status: Status, settings: QueueSettings, now: datetime) -> Step:
    waiting = settings.wait_for_pods_ready
    if waiting is None or not is_active(workload) or transitions.holds(status, "Evicted") or not is_admitted(workload):
        return Step()
    ready = conditions.find(workload.status.conditions, "PodsReady")
    if ready is not None and ready.status == "True":
        return Step()
    if ready is not None and ready.reason == "WaitForRecovery":
        if waiting.recovery_timeout_seconds is None:
            return Step()
        cause, since, limit = "WaitForRecovery", _since(workload, "PodsReady"), waiting.recovery_timeout_seconds
    else:
        cause, since, limit = "WaitForStart", _since(workload, "Admitted"), waiting.timeout_seconds
    left = ((since or now) + timedelta(seconds=limit) - now).total_seconds()
    if left > 0:
        return Step(again=left)
    requeues = workload.status.requeue_state.count if workload.status.requeue_state is not None else 0
    most = waiting.requeuing.backoff_limit_count
    if most is not None and (requeues or 0) + 1 > most:
        message = "exceeding the maximum number of re-queuing retries"
        transitions.put(status, "DeactivationTarget", True, "RequeuingLimitExceeded", message, now, workload.metadata.generation)
        return Step(status)
    again = backoff_seconds(waiting.requeuing, (requeues or 0) + 1, workload.metadata.uid)
    transitions.set_requeue_at(status, now + timedelta(seconds=again), count=True)
    message = f"Exceeded the PodsReady timeout {workload.metadata.namespace}/{workload.metadata.name}"
    return Step(status, events=_evict(workload, status, "PodsReadyTimeout", message, now, cause))


def backoff_seconds(rules: RequeuingStrategy, attempt: int, seed: str) -> float:
    """Base, doubled with each attempt up to the maximum, and a ten-thousandth of jitter that depends on the workload only."""
    exact = min(rules.backoff_base_seconds * 2.0 ** (attempt - 1), float(rules.backoff_max_seconds))
    return exact * (1 + 0.0001 * random.Random(f"{seed}/{attempt}").random())  # noqa: S311 - spreads load, guards nothing


def _maximum_execution_time(workload: Workload, status: Status, now: datetime) -> Step:
    limit = workload.spec.maximum_execution_time_seconds
    admitted = _since(workload, "Admitted") if is_admitted(workload) else None
    if limit is None or admitted is None:
        return Step()
    left = limit - (workload.status.accumulated_past_execution_time_seconds or 0) - (now - admitted).total_seconds()
    if left > 0:
        return Step(again=left)
    if transitions.holds(status, "DeactivationTarget"):
        return Step()
    message = "exceeding the maximum execution time"
    transitions.put(status, "DeactivationTarget", True, "MaximumExecutionTimeExceeded", message, now, workload.metadata.generation)
    status.pop("accumulatedPastExecutionTimeSeconds", None)
    return Step(status, events=[("Warning", "MaximumExecutionTimeExceeded", f"The maximum execution time ({limit}s) exceeded")])
