"""Statuses as JSON, and the smallest JSON merge patch from one object to another (RFC 7386): objects are compared member by member, lists as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from raysail.api.meta import View


def wire(status: View) -> dict[str, Any]:
    """A status as it is stored. Views leave out what is empty; a condition's message must be there even so."""
    plain: dict[str, Any] = msgspec.to_builtins(status)
    _complete_conditions(plain)
    return plain


def _complete_conditions(holder: dict[str, Any]) -> None:
    for key, value in holder.items():
        if key == "conditions":
            for condition in value:
                condition.setdefault("message", "")
                condition.setdefault("reason", "")
        elif isinstance(value, dict):
            _complete_conditions(value)


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What turns `old` into `new`; empty where they are equal. What is gone becomes null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch
