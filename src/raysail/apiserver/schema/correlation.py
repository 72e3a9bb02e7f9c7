"""Which old value a new one belongs to.

Transition rules and ratcheting compare a value with what was there before. Fields and map entries correlate by name, items of a list of type map by
their keys, items of other lists not at all. Source: k8s.io/apiserver pkg/cel/common/equality.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysail.api.openapi import SchemaNode


def equal(new: Any, old: Any) -> bool:
    """Deep equality of JSON values; 1, 1.0 and true are three values."""
    if type(new) is not type(old):
        return False
    if isinstance(new, dict):
        return len(new) == len(old) and all(key in old and equal(value, old[key]) for key, value in new.items())
    if isinstance(new, list):
        return len(new) == len(old) and all(map(equal, new, old))
    return bool(new == old)


def old_item(node: SchemaNode, item: Any, old_items: Sequence[Any]) -> Any:
    """The old item with the same keys, or None."""
    if node.list_type != "map" or not isinstance(item, Mapping):
        return None
    keys = node.list_map_keys
    wanted = [_key(node, item, name) for name in keys]
    return next(
        (
            old
            for old in old_items
            if isinstance(old, Mapping) and all(equal(_key(node, old, n), w) for n, w in zip(keys, wanted, strict=True))
        ),
        None,
    )


def _key(node: SchemaNode, item: Mapping[str, Any], name: str) -> Any:
    """A key's value; one that is not given counts as its default."""
    if name in item:
        return item[name]
    child = node.items.properties.get(name) if node.items else None
    return child.default if child else None
