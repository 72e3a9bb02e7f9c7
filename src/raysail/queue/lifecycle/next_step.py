"""What becomes of a Workload beside being scheduled: checks, stops, time-outs, back-off, deactivation, retention. One step at a time, pure.

`next_step` looks at a Workload as it is and says the next thing to write. It may be asked at any time; where nothing is to be done it says when to
look again. Source: Kueue pkg/controller/core/workload_controller.go (Reconcile); order and texts as there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from raysail.api import conditions
from raysail.api.kueue import Workload
from raysail.api.kueue.workload import WorkloadStatus
from raysail.api.meta import format_time, parse_time
from raysail.queue.checks.states import checks_message, in_state, retry_time, sync_checks
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.lifecycle.status import Status
from raysail.queue.lifecycle.surroundings import Seen
from raysail.queue.lifecycle.timeouts import back_off, execution_left, late_cause, since, tried_too_often
from raysail.queue.lifecycle.unadmitted import why_pending
from raysail.queue.model.variants import PARENT_LABEL, is_parent, is_variant
from raysail.queue.model.workload import JOB_UID_LABEL, admission_gates, has_reservation, is_active, is_admitted, is_finished
from raysail.queue.settings import QueueSettings

FINALIZER: Final = "kueue.x-k8s.io/resource-in-use"


@dataclass(slots=True)
class Step:
    """The next write: a new status, or spec.active=false, labels, or deletion; with events (type, reason, message). `again`: seconds to look again."""

    status: Status | None = None
    deactivate: bool = False
    delete: bool = False
    drop_finalizer: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to write."""
        return self.status is None and not (self.deactivate or self.delete or self.drop_finalizer or self.labels)


def next_step(workload: Workload, seen: Seen, settings: QueueSettings, now: datetime) -> Step:
    """The next thing to do for this Workload."""
    if is_orphan(workload, settings):
        return _orphaned(workload, settings, now)
    step = Step()
    if settings.gate("MultiKueueOrchestratedPreemption", False):
        status = _status(workload)
        if sync_preemption_gates(workload, status, now):
            step.status, workload = status, _with(workload, status)
    return _then(step, _alive(workload, seen, settings, now))


def _alive(workload: Workload, seen: Seen, settings: QueueSettings, now: datetime) -> Step:
    if seen.concurrent_admission and not is_parent(workload) and not is_variant(workload):
        return Step(labels={PARENT_LABEL: "true"})
    if is_finished(workload):
        return _retain(workload, settings, now)
    if (later := retry_time(workload, now)) is not None:
        status = _status(workload)
        transitions.set_requeue_at(status, later, count=False)
        return Step(status)
    if not has_reservation(workload) and not settings.gate("KueueDRAIntegration", True):
        refused = _without_devices(workload, settings, now)
        if refused is not None:
            return refused
    if not is_active(workload):
        step = _deactivated(workload, now)
        if not step.nothing:
            return step
    else:
        first = _active(workload, now)
        if first is not None:
            return first
    return _in_queue(workload, seen, settings, now)


def _then(first: Step, second: Step) -> Step:
    """Both in one write; `second` was decided on what `first` leaves."""
    if first.status is not None and second.status is None:
        second.status = first.status
    second.drop_finalizer |= first.drop_finalizer
    second.events = first.events + second.events
    return second


def is_orphan(workload: Workload, settings: QueueSettings) -> bool:
    """Whether the job that it stood for is gone: no owner, and either going away or once made for a job."""
    if workload.metadata.owner_references:
        return False
    if workload.metadata.deletion_timestamp is not None:
        return True
    return settings.gate("FinishOrphanedWorkloads", True) and JOB_UID_LABEL in (workload.metadata.labels or {})


def _orphaned(workload: Workload, settings: QueueSettings, now: datetime) -> Step:
    step = Step(drop_finalizer=FINALIZER in (workload.metadata.finalizers or ()))
    if workload.metadata.deletion_timestamp is not None:
        return step
    if not is_finished(workload):
        status = _status(workload)
        transitions.finish(status, "OwnerNotFound", "The workload's owner no longer exists", now, workload.metadata.generation)
        step.status, workload = status, _with(workload, status)
    return _then(step, _retain(workload, settings, now))


def evicted_for(workload: Workload) -> str:
    """The reason for which it is on its way out, or was sent there last and is not back; empty for none."""
    found = conditions.find(workload.status.conditions, "Evicted")
    return found.reason if found is not None and found.status == "True" else ""


def is_deactivated_by_queue(workload: Workload, *, by_anybody: bool = False) -> bool:
    """Whether it was evicted by deactivation for a cause of the queue's own (`by_anybody`: or by its user)."""
    return evicted_for(workload).startswith("Deactivated" if by_anybody else "DeactivatedDueTo")


def sync_preemption_gates(workload: Workload, status: Status, now: datetime) -> bool:
    """status.preemptionGates shows each gate of the spec: new ones Closed; those of no gate go."""
    wanted = [gate.name for gate in workload.spec.preemption_gates or ()]
    present = status.get("preemptionGates") or []
    kept = [gate for gate in present if gate["name"] in wanted]
    known = {gate["name"] for gate in kept}
    kept += [{"name": name, "position": "Closed", "lastTransitionTime": format_time(now)} for name in wanted if name not in known]
    if kept == present:
        return False
    if kept:
        status["preemptionGates"] = kept
    else:
        status.pop("preemptionGates", None)
    return True


def _without_devices(workload: Workload, settings: QueueSettings, now: datetime) -> Step | None:
    """Claims of devices are not counted: what asks for them is refused rather than let in for nothing."""
    if not settings.gate("KueueDRARejectWorkloadsWhenDRADisabled", True):
        return None
    if not any((pod_set.template.get("spec") or {}).get("resourceClaims") for pod_set in workload.spec.pod_sets):
        return None
    status, generation = _status(workload), workload.metadata.generation
    message = "Workload uses DRA resources but the KueueDRAIntegration feature gate is not enabled"
    changed = transitions.release(status, "Misconfigured", message, now, generation)
    changed |= transitions.requeued(status, False, "Inadmissible", message, now, generation)
    return Step(status) if changed else Step()


def _status(workload: Workload) -> Status:
    found: Status = msgspec.to_builtins(workload.status)
    return found


def _with(workload: Workload, status: Status) -> Workload:
    """The Workload as it will be with that status."""
    return msgspec.structs.replace(workload, status=msgspec.convert(status, WorkloadStatus))


def _retain(workload: Workload, settings: QueueSettings, now: datetime) -> Step:
    keep = settings.retention_after_finished_seconds
    finished = since(workload, "Finished")
    if keep is None or finished is None:
        return Step()
    left = (finished + timedelta(seconds=keep) - now).total_seconds()
    if left > 0:
        return Step(again=left)
    held = FINALIZER in (workload.metadata.finalizers or ())
    if workload.metadata.deletion_timestamp is not None:
        return Step(drop_finalizer=held)
    return Step(delete=True, drop_finalizer=held, events=[("Normal", "Deleted", "Deleted finished workload due to elapsed retention")])


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
    parent = seen.concurrent_admission and is_parent(workload)
    if seen.cluster_queue and seen.cluster_queue_exists:
        if _held_back_by(workload, "ClusterQueueStopped") and seen.cluster_queue_stop == "None":
            transitions.requeued(
                status, True, "ClusterQueueRestarted", "The ClusterQueue was restarted after being stopped", now, generation
            )
            return Step(status)
        if not parent and sync_checks(status, seen.checks, now):
            return Step(status)
    step = Step()
    if not is_admitted(workload):
        changed = False
        if not has_reservation(workload):
            changed = _pending_reason(workload, status, seen, settings, now)
        changed |= transitions.sync_admitted(status, now, generation)
        if transitions.holds(status, "Admitted"):
            reserved = since(workload, "QuotaReserved") or now
            queue = (status.get("admission") or {}).get("clusterQueue", "")
            waited = max(0.0, (now - reserved).total_seconds())
            message = f"Admitted by ClusterQueue {queue}, wait time since reservation was {waited:.0f}s"
            step.events.append(("Normal", "Admitted", message))
        if changed:
            step.status = status
            workload, status = _with(workload, status), msgspec.to_builtins(status)
    if has_reservation(workload):
        step = _then(step, _reserved(workload, status, seen, settings, now))
    return step


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


def _pending_reason(workload: Workload, status: Status, seen: Seen, settings: QueueSettings, now: datetime) -> bool:
    """QuotaReserved=False with what stands against it, where the scheduler has not said more."""
    told = transitions.condition(status, "QuotaReserved")
    reason, message = why_pending(workload, told, seen, from_creation=settings.gate("UnadmittedWorkloadsExplicitStatus", False))
    return bool(reason) and transitions.put(status, "QuotaReserved", False, reason, message, now, workload.metadata.generation)


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


def _failed_checks(workload: Workload, status: Status, seen: Seen, now: datetime) -> Step | None:
    if conditions.is_true(workload.status.conditions, "Evicted") or (seen.concurrent_admission and is_parent(workload)):
        return None
    if rejected := in_state(workload, transitions.REJECTED):
        message = checks_message(rejected, transitions.REJECTED)
        transitions.put(status, "DeactivationTarget", True, "AdmissionCheck", message, now, workload.metadata.generation)
        return Step(status, events=[("Warning", "AdmissionCheckRejected", cut(f"Deactivated due to {message}"))])
    if retry := in_state(workload, transitions.RETRY):
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
    if settings.gate("ConcurrentAdmission", False) and is_variant(workload):
        return Step()  # its parent has the condition PodsReady
    cause, left = late_cause(workload, waiting, now)
    if waiting is None or not cause:
        return Step()
    if left > 0:
        return Step(again=left)
    if tried_too_often(workload, waiting.requeuing):
        message = "exceeding the maximum number of re-queuing retries"
        transitions.put(status, "DeactivationTarget", True, "RequeuingLimitExceeded", message, now, workload.metadata.generation)
        return Step(status)
    back_off(workload, status, waiting.requeuing, now)
    message = f"Exceeded the PodsReady timeout {workload.metadata.namespace}/{workload.metadata.name}"
    return Step(status, events=_evict(workload, status, "PodsReadyTimeout", message, now, cause))


def _maximum_execution_time(workload: Workload, status: Status, now: datetime) -> Step:
    left = execution_left(workload, now)
    if left is None:
        return Step()
    if left > 0:
        return Step(again=left)
    if transitions.holds(status, "DeactivationTarget"):
        return Step()
    message = "exceeding the maximum execution time"
    transitions.put(status, "DeactivationTarget", True, "MaximumExecutionTimeExceeded", message, now, workload.metadata.generation)
    status.pop("accumulatedPastExecutionTimeSeconds", None)
    limit = workload.spec.maximum_execution_time_seconds
    return Step(status, events=[("Warning", "MaximumExecutionTimeExceeded", f"The maximum execution time ({limit}s) exceeded")])
