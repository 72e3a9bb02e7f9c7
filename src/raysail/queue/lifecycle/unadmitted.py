"""Why a Workload holds no quota, as long as the scheduler has not said more: the condition QuotaReserved=False. Pure.

Source: Kueue pkg/controller/core/workload_controller.go (syncQuotaReservedFalseCondition and what it calls).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.kueue import Workload
from raysail.queue.lifecycle.surroundings import Seen
from raysail.queue.model.workload import admission_gates, is_active, is_on_hold

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
"""What the scheduler said stays until it says something else."""

_ASK_EQUALS = frozenset(("", "Deactivated", "PendingEvaluation", "Suspended", "Pending"))
"""Reasons that say nothing about whether it fits: then an equal workload's fate tells more."""


def why_pending(workload: Workload, told: Mapping[str, Any] | None, seen: Seen, *, from_creation: bool = False) -> tuple[str, str]:
    """(reason, message) of QuotaReserved=False; an empty reason where nothing is to be said.

    `from_creation`: also of a Workload of which nothing was said yet (gate UnadmittedWorkloadsExplicitStatus).
    """
    if not is_active(workload):
        return "Deactivated", "The workload is deactivated"
    if is_on_hold(workload) and told is not None:
        return told["reason"], told.get("message", "")
    blocked = _blocker(workload, seen)
    if blocked is not None:
        return blocked
    if seen.inadmissible is not None:
        return "Misconfigured", seen.inadmissible
    if gates := admission_gates(workload):
        return "AdmissionGated", f"Admission is gated by: {gates}"
    asks = from_creation if told is None else told.get("reason", "") in _ASK_EQUALS
    if asks and seen.unfit_reason:
        return seen.unfit_reason, "Bypassed scheduling evaluation because an equivalent workload recently failed"
    if told is not None and told.get("reason") in SCHEDULER_REASONS:
        return told["reason"], told.get("message", "")
    if told is None and not from_creation:
        return "", ""
    return "PendingEvaluation", "Workload is pending evaluation in the scheduling queue"


def _blocker(workload: Workload, seen: Seen) -> tuple[str, str] | None:
    if seen.local_queue is None:
        return "Misconfigured", f"LocalQueue {workload.spec.queue_name} doesn't exist"
    if seen.local_stop != "None":
        return "Suspended", f"LocalQueue {workload.spec.queue_name} is inactive"
    if not seen.cluster_queue_exists:
        return "Misconfigured", f"ClusterQueue {seen.cluster_queue} doesn't exist"
    if not seen.cluster_queue_active:
        return "Suspended", f"ClusterQueue {seen.cluster_queue} is inactive"
    return None
