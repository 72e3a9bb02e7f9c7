"""The transitions of a Workload's status: reserve, give back, admit, evict, requeue, finish; with Kueue's reasons and messages.

Pure functions on the wire form (a dict that is ours, changed in place). They return whether anything changed, so that nothing is written for nothing.
Source: Kueue pkg/workload/workload.go, admissionchecks.go, evict/evict.go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from raysail.api.conditions import set_condition
from raysail.api.meta import format_time, parse_time
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.planner.assignment import quantity

Status = dict[str, Any]

MAX_CONDITION_MESSAGE: Final = 32 * 1024

PENDING: Final = "Pending"
READY: Final = "Ready"
RETRY: Final = "Retry"
REJECTED: Final = "Rejected"


_REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "conditions": {"message": ""},
    "admissionChecks": {"message": ""},
    "evictions": {"underlyingCause": "", "count": 0},
    "reclaimablePods": {"count": 0},
}
"""Members of list items that the API wants to see though they are empty; read views leave them out."""


def complete(patch: Status) -> Status:
    """A patch of a status with what the API requires in the items of its lists (changed in place)."""
    for name, defaults in _REQUIRED.items():
        owner = patch.get("schedulingStats") if name == "evictions" else patch
        items = owner.get(name) if isinstance(owner, dict) else None
        for item in items or ():
            for key, value in defaults.items():
                item.setdefault(key, value)
    return patch


def condition(status: Status, type_: str) -> dict[str, Any] | None:
    """The condition of that type, in wire form."""
    return next((found for found in status.get("conditions") or () if found.get("type") == type_), None)


def holds(status: Status, type_: str) -> bool:
    """Whether that condition is True."""
    found = condition(status, type_)
    return found is not None and found.get("status") == "True"


def put(status: Status, type_: str, value: bool, reason: str, message: str, now: datetime, generation: int) -> bool:
    """Sets a condition; messages are cut at Kueue's limit."""
    if len(message) > MAX_CONDITION_MESSAGE:
        message = message[: MAX_CONDITION_MESSAGE - 3] + "..."
    return set_condition(status.setdefault("conditions", []), type_, value, reason, message, now, generation)


def reserve(status: Status, admission: dict[str, Any], now: datetime, generation: int) -> bool:
    """Quota is reserved: the admission is written, and what was said about an earlier eviction is over."""
    changed = status.get("admission") != admission
    status["admission"] = admission
    changed |= status.pop("resourceRequests", None) is not None
    message = f"Quota reserved in ClusterQueue {admission['clusterQueue']}"
    changed |= put(status, "QuotaReserved", True, "QuotaReserved", message, now, generation)
    for type_ in ("Evicted", "Preempted", "BlockedOnPreemptionGates"):
        old = condition(status, type_)
        if old is not None and old.get("status") == "True":
            changed |= put(status, type_, False, "QuotaReserved", f"Previously: {old.get('message', '')}", now, generation)
    return changed


def release(status: Status, reason: str, message: str, now: datetime, generation: int) -> bool:
    """No quota (any more): QuotaReserved=False with that reason, no admission, Admitted follows."""
    changed = put(status, "QuotaReserved", False, reason, message, now, generation)
    changed |= status.pop("admission", None) is not None
    changed |= sync_admitted(status, now, generation)
    return changed


def checks_ready(status: Status) -> bool:
    """Whether all admission checks are Ready (none: yes)."""
    return all(check.get("state") == READY for check in status.get("admissionChecks") or ())


def topology_pending(status: Status) -> bool:
    """Whether some pod set's topology is still to be found."""
    return any(
        given.get("topologyAssignment") is None and given.get("delayedTopologyRequest") == PENDING
        for given in (status.get("admission") or {}).get("podSetAssignments") or ()
    )


def sync_admitted(status: Status, now: datetime, generation: int) -> bool:
    """Admitted follows from reservation, checks and topology. Time spent admitted is added up when it ends."""
    before = condition(status, "Admitted")
    if before is None and condition(status, "QuotaReserved") is None:
        return False
    if not holds(status, "QuotaReserved"):
        value, reason, message = False, "NoReservation", "The workload has no reservation"
    elif not checks_ready(status):
        value, reason, message = False, "UnsatisfiedAdmissionChecks", "The workload has not all checks ready"
    elif topology_pending(status):
        value, reason, message = False, "PendingDelayedTopologyRequests", "There are pending delayed topology requests"
    else:
        value, reason, message = True, "Admitted", "The workload is admitted"
    if before is not None and before.get("status") == "True" and not value and before.get("lastTransitionTime"):
        elapsed = int((now - parse_time(before["lastTransitionTime"])).total_seconds())
        status["accumulatedPastExecutionTimeSeconds"] = (status.get("accumulatedPastExecutionTimeSeconds") or 0) + elapsed
    return put(status, "Admitted", value, reason, message, now, generation)


def evict(status: Status, reason: str, message: str, now: datetime, generation: int, cause: str = "") -> None:
    """It has to go. Checks start over, counters of evictions go up; quota is given back only once its job has stopped."""
    with_cause = f"{reason}DueTo{cause}" if reason == "Deactivated" and cause else reason
    put(status, "Evicted", True, with_cause, message, now, generation)
    status.pop("clusterName", None)
    status.pop("nominatedClusterNames", None)
    _reset_checks(status, now)
    status.pop("unhealthyNodes", None)
    if holds(status, "BlockedOnPreemptionGates"):
        put(status, "BlockedOnPreemptionGates", False, with_cause, message, now, generation)
    for gate in status.get("preemptionGates") or ():
        gate["position"], gate["lastTransitionTime"] = "Closed", format_time(now)
    evictions = status.setdefault("schedulingStats", {}).setdefault("evictions", [])
    for counted in evictions:
        if counted.get("reason") == reason and counted.get("underlyingCause", "") == cause:
            counted["count"] = counted.get("count", 0) + 1
            return
    evictions.append({"reason": reason, "underlyingCause": cause, "count": 1})


def preempted(status: Status, reason: str, message: str, now: datetime) -> None:
    """Preempted=True, beside Evicted."""
    put(status, "Preempted", True, reason, message, now, 0)


def _reset_checks(status: Status, now: datetime) -> None:
    for check in status.get("admissionChecks") or ():
        state = check.get("state")
        if state == PENDING:
            continue
        kept = {key: check[key] for key in ("name", "requeueAfterSeconds", "retryCount", "podSetUpdates") if key in check}
        retries = (check.get("retryCount") or 0) + 1 if state == RETRY else None
        check.clear()
        check.update(kept)
        check["state"] = PENDING
        check["message"] = f"Reset to Pending after eviction. Previously: {state}"
        check["lastTransitionTime"] = format_time(now)
        if retries is not None:
            check["retryCount"] = retries


def requeued(status: Status, value: bool, reason: str, message: str, now: datetime, generation: int) -> bool:
    """Whether it may be tried again (True) or is held back (False)."""
    return put(status, "Requeued", value, reason, message, now, generation)


def set_requeue_at(status: Status, at: datetime, *, count: bool) -> bool:
    """Not before that time; an earlier time never replaces a later one. `count` adds to the number of requeues."""
    state = status.setdefault("requeueState", {})
    changed = False
    present = state.get("requeueAt")
    if present is None or parse_time(present) < at.replace(microsecond=0):
        state["requeueAt"] = format_time(at)
        changed = True
    if count:
        state["count"] = (state.get("count") or 0) + 1
        changed = True
    return changed


def finish(status: Status, reason: str, message: str, now: datetime, generation: int) -> bool:
    """It ended. The first end counts."""
    if holds(status, "Finished"):
        return False
    return put(status, "Finished", True, reason, message, now, generation)


def tell_requests(status: Status, info: WorkloadInfo) -> bool:
    """status.resourceRequests: what it would need, while it holds nothing."""
    wanted = [
        {"name": pod_set.name, "resources": {name: quantity(name, amount) for name, amount in sorted(pod_set.requests.items())}}
        for pod_set in info.pod_sets
    ]
    for entry in wanted:
        if not entry["resources"]:
            del entry["resources"]
    if status.get("resourceRequests") == wanted:
        return False
    status["resourceRequests"] = wanted
    return True


def set_check(status: Status, name: str, state: str, message: str, now: datetime, **more: Any) -> bool:
    """Inserts or updates one admission check; its time moves only when the state does."""
    wanted = {"name": name, "state": state, "message": message, **{key: value for key, value in more.items() if value}}
    checks = status.setdefault("admissionChecks", [])
    for at, check in enumerate(checks):
        if check.get("name") == name:
            moved = check.get("state") != state
            wanted["lastTransitionTime"] = format_time(now) if moved or "lastTransitionTime" not in check else check["lastTransitionTime"]
            checks[at] = wanted
            return bool(wanted != check)
    checks.append({**wanted, "lastTransitionTime": format_time(now)})
    return True
