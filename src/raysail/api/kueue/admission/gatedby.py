"""The annotation kueue.x-k8s.io/admission-gated-by: controllers that must let go of a job before it is admitted (pkg/util/webhook)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.kueue.names import ADMISSION_GATED_BY_ANNOTATION
from raysail.api.names import domain_prefixed_path_causes

Json = Mapping[str, Any]
_FIELD: Final = f"metadata.annotations[{ADMISSION_GATED_BY_ANNOTATION}]"
_LONGEST_GATE: Final = 63


def gates_of(obj: Json) -> list[str]:
    """The controllers named, blanks around names removed; an empty list where there are none."""
    value = _value(obj)
    return [part.strip() for part in value.split(",")] if value.strip() else []


def gated_by_create_causes(obj: Json) -> list[Cause]:
    """Each gate is a domain-prefixed path, named once, at most 63 characters long."""
    value = _value(obj)
    found: list[Cause] = []
    seen: set[str] = set()
    for gate in gates_of(obj):
        if not gate:
            found.append(causes.invalid(_FIELD, value, "cannot contain empty gate names"))
        elif gate in seen:
            found.append(causes.invalid(_FIELD, value, f"duplicate gate name: {gate}"))
        else:
            seen.add(gate)
            found += domain_prefixed_path_causes(gate, _FIELD)
            if len(gate) > _LONGEST_GATE:
                found.append(causes.too_long(_FIELD, _LONGEST_GATE))
    return found


def gated_by_update_causes(new: Json, old: Json) -> list[Cause]:
    """Gates may only go."""
    found = []
    if _value(new) and not _value(old):
        found.append(causes.forbidden(_FIELD, "cannot add admission gate after creation"))
    elif _value(new) and not set(gates_of(new)) <= set(gates_of(old)):
        found.append(causes.forbidden(_FIELD, "can only remove gates, not add new ones"))
    return found + gated_by_create_causes(new)


def _value(obj: Json) -> str:
    value: str = ((obj.get("metadata") or {}).get("annotations") or {}).get(ADMISSION_GATED_BY_ANNOTATION, "")
    return value
