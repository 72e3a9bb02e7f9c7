"""Whether a CRD gets the names it asks for, and when it is established.

Pure: from a CRD and those already there to its status. Rules: apiextensions pkg/controller/{status,establish}.
kube-apiserver takes two steps (names, then established once the endpoint answers); here the endpoint is there at once, so both conditions come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from raysail.api.meta import format_time

CLEANUP_FINALIZER: Final = "customresourcecleanup.apiextensions.k8s.io"
"""Keeps a deleted CRD until its objects are gone."""

JsonObject = dict[str, Any]


def accepted_status(crd: Mapping[str, Any], others: Iterable[Mapping[str, Any]], now: datetime) -> JsonObject:
    """The status a CRD should have, given the other CRDs. Equal to the present one when there is nothing to do."""
    status = dict(crd.get("status") or {})
    conditions = [dict(c) for c in status.get("conditions") or ()]
    accepted, fault = _accepted_names(crd, [o for o in others if o["spec"]["group"] == crd["spec"]["group"]])
    reason, message = fault or ("NoConflicts", "no conflicts found")
    _set(conditions, "NamesAccepted", "False" if fault else "True", reason, message, now)
    established = next((c for c in conditions if c["type"] == "Established"), None)
    if established is None or established["status"] != "True":
        if fault:
            _set(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
        else:
            _set(conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
    status["conditions"] = conditions
    status["acceptedNames"] = accepted
    status["storedVersions"] = stored_versions(crd)
    return status


def stored_versions(crd: Mapping[str, Any]) -> list[str]:
    """The versions in which objects may be kept: those so far and today's storage version."""
    known = list((crd.get("status") or {}).get("storedVersions") or ())
    storage = next((v["name"] for v in crd["spec"].get("versions") or () if v.get("storage")), None)
    return known if storage is None or storage in known else [*known, storage]


def is_established(crd: Mapping[str, Any]) -> bool:
    """Whether the API serves its objects."""
    return any(c["type"] == "Established" and c["status"] == "True" for c in (crd.get("status") or {}).get("conditions") or ())


def terminating_status(crd: Mapping[str, Any], now: datetime) -> JsonObject:
    """The status of a CRD that is being deleted and whose objects go first."""
    status = dict(crd.get("status") or {})
    conditions = [dict(c) for c in status.get("conditions") or ()]
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    _set(conditions, "Terminating", "True", "InstanceDeletionPending", message, now)
    status["conditions"] = conditions
    return status


def _accepted_names(crd: Mapping[str, Any], others: list[Mapping[str, Any]]) -> tuple[JsonObject, tuple[str, str] | None]:
    wanted = crd["spec"]["names"]
    mine: JsonObject = dict((crd.get("status") or {}).get("acceptedNames") or {})
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["metadata"]["name"] == crd["metadata"]["name"]:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    fault: tuple[str, str] | None = None
    for field, used, reason in (
        ("plural", resources, "PluralConflict"),
        ("singular", resources, "SingularConflict"),
        ("shortNames", resources, "ShortNamesConflict"),
        ("kind", kinds, "KindConflict"),
        ("listKind", kinds, "ListKindConflict"),
    ):
        value = wanted.get(field)
        asked = list(value or ()) if field == "shortNames" else [value]
        held = list(mine.get(field) or ()) if field == "shortNames" else [mine.get(field)]
        taken = [name for name in asked if name not in held and name in used]
        if taken:
            texts = [f'"{name}" is already in use' for name in taken]
            fault = reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        elif value is not None:
            mine[field] = value
        else:
            mine.pop(field, None)
    if wanted.get("categories"):
        mine["categories"] = wanted["categories"]
    else:
        mine.pop("categories", None)
    mine.setdefault("plural", "")
    mine.setdefault("kind", "")
    return mine, fault


def _set(conditions: list[JsonObject], kind: str, status: str, reason: str, message: str, now: datetime) -> None:
    found = next((c for c in conditions if c["type"] == kind), None)
    if found is None:
        conditions.append({"type": kind, "status": status, "lastTransitionTime": format_time(now), "reason": reason, "message": message})
        return
    if found["status"] != status:
        found["lastTransitionTime"] = format_time(now)
    found.update(status=status, reason=reason, message=message)
