"""policy/v1 as read views: PodDisruptionBudget."""

from __future__ import annotations

from typing import Any

from raysail.api.meta import Condition, Object, View


class PodDisruptionBudgetSpec(View, frozen=True):
    """How many of the selected Pods must stay, as a number or a percentage."""

    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    selector: dict[str, Any] | None = None


class PodDisruptionBudgetStatus(View, frozen=True):
    """How many may be evicted now. `disrupted_pods`: name of a Pod whose eviction was granted, and when."""

    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    disrupted_pods: dict[str, str] | None = None
    conditions: list[Condition] | None = None


class PodDisruptionBudget(Object, frozen=True):
    """A limit on evictions."""

    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
