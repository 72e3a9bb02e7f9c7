"""Setting and reading `status.conditions` (apimachinery pkg/api/meta/conditions.go): a transition time moves only when the status does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from raysail.api.meta import Condition, format_time


def find(conditions: Sequence[Condition] | None, type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((c for c in conditions or () if c.type == type_), None)


def is_true(conditions: Sequence[Condition] | None, type_: str) -> bool:
    """Whether the condition is there with status True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"


def is_false(conditions: Sequence[Condition] | None, type_: str) -> bool:
    """Whether the condition is there with status False."""
    found = find(conditions, type_)
    return found is not None and found.status == "False"


def set_condition(
    conditions: list[dict[str, Any]], type_: str, status: bool | str, reason: str, message: str, now: datetime, observed_generation: int = 0
) -> bool:
    """Puts the condition into the list (wire form, changed in place); True if anything but the same was there."""
    text = status if isinstance(status, str) else "True" if status else "False"
    wanted: dict[str, Any] = {"type": type_, "status": text, "reason": reason, "message": message}
    if observed_generation:
        wanted["observedGeneration"] = observed_generation
    for at, present in enumerate(conditions):
        if present.get("type") == type_:
            moved = present.get("status") != text
            wanted["lastTransitionTime"] = format_time(now) if moved else present.get("lastTransitionTime") or format_time(now)
            changed = wanted != present
            conditions[at] = wanted
            return changed
    wanted["lastTransitionTime"] = format_time(now)
    conditions.append(wanted)
    return True
