"""From decisions to what is written: the change of each Workload's status, and the events. Pure; the shell only sends it.

Source: Kueue pkg/scheduler/scheduler.go (admit, requeueAndUpdate), pkg/scheduler/preemption/preemption.go (IssuePreemptions).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.status import Status
from raysail.queue.model.workload import WorkloadInfo, find_condition, is_admitted, seconds
from raysail.queue.planner.decisions import Admit, EvictUnhealthy, Migrate, Preempt, Wait
from raysail.queue.planner.preemption.candidates import REASON_TEXTS

MAX_EVENT_MESSAGE = 1024
LONGEST_DURATION_SECONDS = (2**63 - 1) / 1e9


class Said(NamedTuple):
    """An event about the workload of that key."""

    key: str
    type: str
    reason: str
    message: str


def cut(message: str) -> str:
    """A message as events can hold it."""
    return message if len(message) <= MAX_EVENT_MESSAGE else message[: MAX_EVENT_MESSAGE - 3] + "..."


def reserve_quota(status: Status, decision: Admit, required_checks: Sequence[str], now: datetime, generation: int) -> bool:
    """QuotaReserved; and Admitted with it, where every check that applies is there and Ready."""
    transitions.reserve(status, decision.assignment.to_admission(decision.cluster_queue), now, generation)
    status.pop("unhealthyNodes", None)  # what was on them has another place now
    present = {check.get("name") for check in status.get("admissionChecks") or ()}
    if all(name in present for name in required_checks):
        transitions.sync_admitted(status, now, generation)
    return True


def events_of_admission(decision: Admit, status: Status, now: datetime, *, held_before: bool) -> list[Said]:
    """QuotaReserved and, where it came at once, Admitted."""
    key = decision.info.key
    said = []
    if not held_before:
        since = queued_since(decision.info)
        waited = min(max(0.0, now.timestamp() - since), LONGEST_DURATION_SECONDS) if since else LONGEST_DURATION_SECONDS
        message = f"Quota reserved in ClusterQueue {decision.cluster_queue}, wait time since queued was {waited:.0f}s"
        if decision.considered:
            message += f"; Flavors considered: {decision.considered}"
        said.append(Said(key, "Normal", "QuotaReserved", cut(message)))
    if transitions.holds(status, "Admitted") and not is_admitted(decision.info.obj):
        message = f"Admitted by ClusterQueue {decision.cluster_queue}, wait time since reservation was 0s"
        said.append(Said(key, "Normal", "Admitted", message))
    return said


def queued_since(info: WorkloadInfo) -> float:
    """When it was (last) put into the queue."""
    requeued = find_condition(info.obj, "Requeued")
    return seconds(requeued.last_transition_time) if requeued is not None else info.created


def tell_waiting(status: Status, decision: Wait, now: datetime, generation: int) -> bool:
    """QuotaReserved=False with the reason, and what it would need."""
    changed = transitions.release(status, decision.reason, decision.message, now, generation)
    changed |= transitions.tell_requests(status, decision.info)
    if decision.gated:
        changed |= transitions.put(status, "BlockedOnPreemptionGates", True, "PreemptionGated", decision.message, now, generation)
    return changed


def event_of_waiting(decision: Wait) -> Said:
    """Why it waits, as a warning."""
    return Said(decision.info.key, "Warning", decision.reason, cut(decision.message))


def preemption_message(preemptor: WorkloadInfo, reason: str, preemptor_path: str, victim_path: str) -> str:
    """The text of Evicted and Preempted."""
    return (
        f"Preempted to accommodate a workload (UID: {preemptor.uid or 'UNKNOWN'}, JobUID: {preemptor.job_uid or 'UNKNOWN'}) "
        f"due to {REASON_TEXTS.get(reason, 'UNKNOWN')}; preemptor path: {preemptor_path or 'UNKNOWN'}; preemptee path: {victim_path or 'UNKNOWN'}"
    )


def evict_victim(status: Status, decision: Preempt, at: int, now: datetime, generation: int) -> str:
    """Victim number `at` has to go; returns the message."""
    victim = decision.victims[at]
    message = preemption_message(decision.preemptor, victim.reason, decision.preemptor_path, decision.victim_paths[at])
    transitions.preempted(status, victim.reason, message, now)
    transitions.evict(status, "Preempted", message, now, generation)
    return message


def evict_unhealthy(status: Status, decision: EvictUnhealthy, now: datetime, generation: int) -> str:
    """There is no place for what was on its failed nodes; returns the message."""
    nodes = ",".join(node.name for node in decision.info.obj.status.unhealthy_nodes or ())
    message = f"Workload was evicted as there was no replacement for unhealthy node(s): {nodes}"
    transitions.evict(status, "NodeFailures", message, now, generation)
    return message


def event_of_eviction(decision: EvictUnhealthy, message: str) -> Said:
    """That it goes because its nodes failed."""
    return Said(decision.info.key, "Normal", "EvictedDueToNodeFailures", cut(message))


def _priority_text(info: WorkloadInfo) -> str:
    base = info.obj.spec.priority or 0
    return f"{info.priority} (base: {base}, boost: {info.priority - base})"


def migration_message(decision: Migrate) -> str:
    """Why the variant with the lesser flavor goes."""
    uid = decision.info.uid
    return f"Evicted to accommodate a workload (UID: {uid}) due to migration to more favorable resource flavor"


def evict_for_migration(status: Status, decision: Migrate, now: datetime, generation: int) -> None:
    """The running variant has to go."""
    transitions.evict(status, "FlavorMigration", migration_message(decision), now, generation)


def events_of_preemption(decision: Preempt, at: int, message: str) -> list[Said]:
    """On the victim that it goes and for whom; on the preemptor whom it costs."""
    victim, preemptor = decision.victims[at].info, decision.preemptor
    priorities = f"preemptor effective priority: {_priority_text(preemptor)}; preemptee effective priority: {_priority_text(victim)}"
    return [
        Said(victim.key, "Normal", "EvictedDueToPreempted", cut(message)),
        Said(victim.key, "Normal", "Preempted", cut(f"{message}; {priorities}")),
        Said(
            preemptor.key,
            "Normal",
            "PreemptedWorkload",
            cut(f"Preempted workload {victim.key} (UID: {victim.uid}) in ClusterQueue {victim.cluster_queue}; {priorities}"),
        ),
    ]
