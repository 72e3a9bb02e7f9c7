"""What must not be twice in a list: items of a set, keys of a map, anything under `uniqueItems`.

Rules and causes: apiextensions pkg/apiserver/schema/listtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import json_text
from raysail.api.openapi import SchemaNode


def _identity(value: Any) -> Any:
    """Something hashable that is the same for equal JSON values only; 1, 1.0 and true all differ."""
    if isinstance(value, dict | list):
        return json_text(value)
    return type(value), value


def has_duplicates(values: Sequence[Any]) -> bool:
    """Whether two values are equal."""
    return len(values) > 1 and len({_identity(value) for value in values}) < len(values)


def has_duplicate_items(values: Sequence[Any], list_type: str, keys: Sequence[str]) -> bool:
    """Whether a list of type set or map has an item, or a key, twice (or, as a map, something that is no object)."""
    if list_type == "set":
        return has_duplicates(values)
    if list_type != "map":
        return False
    try:
        # Only a suspicion: 1 and true are one here. The slow look settles it.
        found = {tuple([value[name] for name in keys]) for value in values}
    except (KeyError, TypeError):
        return bool(_map_causes(values, keys, ""))
    return len(found) < len(values) and bool(_map_causes(values, keys, ""))


def _second_ones(values: Sequence[Any]) -> list[int]:
    """Indexes at which a value appears for the second time; a third time is not reported again."""
    seen: dict[Any, int] = {}
    found = []
    for index, value in enumerate(values):
        identity = _identity(value)
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] == 2:
            found.append(index)
    return found


def _map_causes(values: Sequence[Any], keys: Sequence[str], path: str) -> list[Cause]:
    for index, value in enumerate(values):
        if value is not None and not isinstance(value, dict):
            return [causes.invalid(f"{path}[{index}]", value, "must be an object for an array of list-type map")]
    identities = [{name: value[name] for name in keys if name in value} if value else {} for value in values]
    return [causes.duplicate(f"{path}[{index}]", identities[index]) for index in _second_ones(identities)]


def uniqueness_causes(value: Any, node: SchemaNode, path: str = "") -> list[Cause]:
    """Every duplicate in lists of type set and map, anywhere below."""
    found: list[Cause] = []
    if isinstance(value, dict):
        for key, field in value.items():
            child = node.properties.get(key)
            if child is not None:
                found += uniqueness_causes(field, child, f"{path}.{key}" if path else key)
            elif node.values is not None:
                found += uniqueness_causes(field, node.values, f"{path}[{key}]")
    elif isinstance(value, list):
        if node.list_type == "set":
            found += [causes.duplicate(f"{path}[{index}]", value[index]) for index in _second_ones(value)]
        elif node.list_type == "map":
            found += _map_causes(value, node.list_map_keys, path)
        if node.items is not None:
            for index, item in enumerate(value):
                found += uniqueness_causes(item, node.items, f"{path}[{index}]")
    return found
