"""Event, in core/v1 and in events.k8s.io/v1, which names the same fields differently (pkg/apis/core/validation/events.go)."""

from __future__ import annotations

from typing import Final

from raysail.api.causes import invalid, required
from raysail.apiserver.kinds.fields import Faults, JsonMap, check_immutable, check_qualified_name, check_subdomain
from raysail.apiserver.kinds.rules import Rules

_MISMATCH: Final = "does not match event.namespace"
# core/v1 names first, as messages use them.
_NEW_NAMES: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}


def _check_as_core(obj: JsonMap, faults: Faults, *, new_style: bool) -> None:
    def value(name: str) -> JsonMap | str:
        found: JsonMap | str = obj.get(_NEW_NAMES.get(name, name) if new_style else name) or ""
        return found

    about = value("involvedObject") or {}
    namespace, own = (about.get("namespace", "") if not isinstance(about, str) else ""), obj["metadata"].get("namespace", "")
    if not obj.get("eventTime"):
        if (namespace and namespace != own) or (not namespace and own not in ("", "default")):
            faults.append(invalid("involvedObject.namespace", namespace, _MISMATCH))
    else:
        if not namespace and own not in ("default", "kube-system"):
            faults.append(invalid("involvedObject.namespace", namespace, _MISMATCH))
        controller = str(value("reportingComponent"))
        at = "reportingController" if new_style else "reportingComponent"
        if not controller:
            faults.append(required(at))
        check_qualified_name(controller, at, faults)
        for name, limit, needed in (
            ("reportingInstance", 128, True),
            ("action", 128, True),
            ("reason", 128, True),
            ("message", 1024, False),
        ):
            text = str(value(name))
            if needed and not text:
                faults.append(required(name))
            if len(text.encode()) > limit:
                faults.append(invalid(name, "", f"can have at most {limit} characters"))
    check_subdomain(own, "namespace", faults)


def _check_core(obj: JsonMap, faults: Faults) -> None:
    _check_as_core(obj, faults, new_style=False)


def _check_new(obj: JsonMap, faults: Faults) -> None:
    _check_as_core(obj, faults, new_style=True)


def _check_series(obj: JsonMap, faults: Faults) -> None:
    series = obj.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        faults.append(invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        faults.append(required("series.lastObservedTime"))


def _check_new_create(obj: JsonMap, faults: Faults) -> None:
    _check_series(obj, faults)
    if not obj.get("eventTime"):
        faults.append(required("eventTime"))
    if obj.get("type") not in ("Normal", "Warning"):
        faults.append(invalid("type", "", f"has invalid value: {obj.get('type', '')}"))
    for name in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if obj.get(_NEW_NAMES[name]):
            faults.append(invalid(name, "", "needs to be unset"))


def _check_new_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    if obj.get("series") != old.get("series"):
        _check_series(obj, faults)
    names = (
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingInstance",
    )
    for name in names:
        field = _NEW_NAMES.get(name, name)
        check_immutable(obj.get(field), old.get(field), name, faults)
    check_immutable(obj.get("reportingController"), old.get("reportingController"), "reportingController", faults)


CORE_EVENT: Final = Rules(check=_check_core)
NEW_EVENT: Final = Rules(check=_check_new, check_create=_check_new_create, check_update=_check_new_update)
