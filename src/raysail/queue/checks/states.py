"""The checks in a Workload's status: which belong there, what a state Retry or Rejected does, when it may be tried again. Pure.

Source: Kueue pkg/workload/admissionchecks.go, pkg/controller/core/workload_controller.go (syncAdmissionCheckConditions, buildAdmissionChecksMessage).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from raysail.api.kueue import Workload
from raysail.api.kueue.workload import AdmissionCheckState
from raysail.api.meta import parse_time
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.status import Status

JITTER: Final = 0.0001


def checks_for(workload: Workload, checks: Mapping[str, frozenset[str]], all_flavors: set[str]) -> tuple[str, ...]:
    """Names of a queue's checks (with the flavors each is for; none: all) that this Workload needs, sorted.

    Before flavors are assigned only those that every flavor needs.
    """
    admission = workload.status.admission
    if admission is None:
        return tuple(sorted(name for name, only in checks.items() if not only or only >= all_flavors))
    assigned = {flavor for given in admission.pod_set_assignments or () for flavor in (given.flavors or {}).values()}
    return tuple(sorted(name for name, only in checks.items() if (only or all_flavors) & assigned))


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


def in_state(workload: Workload, state: str) -> list[AdmissionCheckState]:
    """Its checks in that state."""
    return [check for check in workload.status.admission_checks or () if check.state == state]


def checks_message(checks: Iterable[AdmissionCheckState], state: str) -> str:
    """`AdmissionChecks in Retry state: "a" (text); "b"`."""
    ordered = sorted(checks, key=lambda check: str(check.name))
    parts = [f'"{check.name}" ({check.message})' if check.message else f'"{check.name}"' for check in ordered]
    return f"AdmissionCheck{'s' if len(parts) > 1 else ''} in {state} state: {'; '.join(parts)}"


def retry_time(workload: Workload, now: datetime) -> datetime | None:
    """A later requeueAt that a check in state Retry asks for; None where there is none, or it is there already."""
    latest: datetime | None = None
    for check in in_state(workload, transitions.RETRY):
        if check.requeue_after_seconds is None or not check.last_transition_time:
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


def wait_seconds(base_seconds: float, max_seconds: float, attempt: int, seed: str) -> float:
    """Base, doubled with each attempt up to the maximum, and a ten-thousandth of jitter that depends on the seed only.

    Source: Kueue pkg/util/wait/backoff.go (60 s * 2^(n-1) + jitter).
    """
    exact = min(base_seconds * 2.0 ** min(attempt - 1, 64), float(max_seconds))
    return exact * (1 + JITTER * random.Random(f"{seed}/{attempt}").random())  # noqa: S311 - spreads load, guards nothing
