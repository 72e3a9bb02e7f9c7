"""JSON merge patch (RFC 7386) as kube-apiserver's library does it (gopkg.in/evanphx/json-patch.v4, merge.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.errors import bad_request
from raysail.apiserver.patch.faults import bad_patch


def apply_merge_patch(current: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object; unchanged subtrees are those of `current`. Raises StatusError (400) for a patch that is no object."""
    if patch is None:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise bad_patch(patch, "map[string]interface {}")
    return _merged(current, patch)


def _merged(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(current)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = _merged(old, value) if isinstance(old, dict) else without_nulls(value)
        else:
            # The library prunes nulls inside a new list, but not when the list takes an object's place.
            result[key] = value if isinstance(result.get(key), dict) else without_nulls(value)
    return result


def without_nulls(value: Any) -> Any:
    """Members that are null are left out of objects, at any depth; nulls in lists stay."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
