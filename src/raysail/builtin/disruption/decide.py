"""What a PodDisruptionBudget allows (k8s.io/kubernetes pkg/controller/disruption/disruption.go). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.core import Pod
from raysail.api.meta import parse_time
from raysail.api.policy import PodDisruptionBudget
from raysail.builtin.amounts import amount_of
from raysail.builtin.podstate import is_ready

DELETION_LIMIT: Final = timedelta(minutes=2)
"""How long a granted eviction counts although the Pod is still there."""


def needs_scale(budget: PodDisruptionBudget) -> bool:
    """Whether the rule is about the size of what owns the Pods, and not only about a number of them."""
    return budget.spec.max_unavailable is not None or isinstance(budget.spec.min_available, str)


def status_of(budget: PodDisruptionBudget, pods: Sequence[Pod], scale: int, now: datetime) -> dict[str, Any]:
    """The whole new status. `scale`: the replicas that the owners of the Pods want together; read only where `needs_scale`."""
    expected, desired = _wanted(budget, len(pods), scale)
    disrupted = _still_disrupted(budget, pods, now)
    healthy = sum(1 for pod in pods if pod.metadata.deletion_timestamp is None and pod.metadata.name not in disrupted and is_ready(pod))
    allowed = max(0, healthy - desired) if expected > 0 else 0
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return {
        "observedGeneration": budget.metadata.generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptedPods": disrupted,
        "conditions": _conditions(budget, bool(allowed), reason, "", now),
    }


def failed_status(budget: PodDisruptionBudget, message: str, now: datetime) -> dict[str, Any]:
    """What is said when the Pods cannot be counted: nothing may be evicted."""
    return {"disruptionsAllowed": 0, "conditions": _conditions(budget, False, "SyncFailed", message, now)}


def seconds_to_forget(status: dict[str, Any], now: datetime) -> float | None:
    """When the first granted eviction stops to count; None where none was granted."""
    granted = [parse_time(since) for since in status["disruptedPods"].values()]
    return (min(granted) + DELETION_LIMIT - now).total_seconds() if granted else None


def _conditions(budget: PodDisruptionBudget, allowed: bool, reason: str, message: str, now: datetime) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.to_builtins(budget.status.conditions or [])
    conditions.set_condition(found, "DisruptionAllowed", allowed, reason, message, now, budget.metadata.generation)
    return found


def _wanted(budget: PodDisruptionBudget, count: int, scale: int) -> tuple[int, int]:
    """The Pods that there should be, and how many of them must be healthy."""
    spec = budget.spec
    if spec.max_unavailable is not None:
        return scale, max(0, scale - amount_of(spec.max_unavailable, scale, up=True))
    if isinstance(spec.min_available, str):
        return scale, amount_of(spec.min_available, scale, up=True)
    return count, spec.min_available or 0


def _still_disrupted(budget: PodDisruptionBudget, pods: Sequence[Pod], now: datetime) -> dict[str, str]:
    """Evictions that were granted and have not shown in the Pods yet."""
    granted = budget.status.disrupted_pods or {}
    waiting = {pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is None}
    return {name: since for name, since in granted.items() if name in waiting and parse_time(since) + DELETION_LIMIT > now}
