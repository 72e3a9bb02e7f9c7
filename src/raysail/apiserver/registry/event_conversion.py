"""events.k8s.io/v1 Events are stored as core/v1 Events: the same facts under other names (pkg/apis/events/v1/conversion.go)."""

from __future__ import annotations

from typing import Any, Final

_RENAMED: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_BACK: Final = {new: old for old, new in _RENAMED.items()}


class EventConversion:
    """Renames the fields that differ."""

    def from_storage(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A core/v1 Event as events.k8s.io/v1."""
        event = {**{_RENAMED.get(key, key): value for key, value in obj.items()}, "apiVersion": "events.k8s.io/v1"}
        for key in ("reportingController", "reportingInstance"):
            if not event.get(key, "-"):
                del event[key]  # written empty in core/v1, left out here
        return event

    def to_storage(self, obj: dict[str, Any]) -> dict[str, Any]:
        """An events.k8s.io/v1 Event as core/v1."""
        return {**{_BACK.get(key, key): value for key, value in obj.items()}, "apiVersion": "v1"}
