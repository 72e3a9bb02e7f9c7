"""Which old value a new one belongs to, and whether a part is as it was.

Transition rules and ratcheting compare a value with what was there before. Fields and map entries correlate by name, items of a list of type map by
their keys, items of other lists not at all. Source: k8s.io/apiserver pkg/cel/common/{equality,maplist}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysail.api.openapi import SchemaNode

ItemKey = tuple[tuple[type, Any], ...]


def equal(new: Any, old: Any) -> bool:
    """Deep equality of JSON values; 1, 1.0 and true are three values."""
    if type(new) is not type(old):
        return False
    if isinstance(new, dict):
        return len(new) == len(old) and all(key in old and equal(value, old[key]) for key, value in new.items())
    if isinstance(new, list):
        return len(new) == len(old) and all(map(equal, new, old))
    return bool(new == old)


def unchanged(node: SchemaNode, new: Any, old: Any) -> bool:
    """Whether a part is as it was, as far as its schema can tell.

    A field that the schema does not describe counts as changed: upstream ratchets nothing it has no schema for.
    """
    if isinstance(new, dict):
        if not isinstance(old, dict) or len(new) != len(old):
            return False
        return all(key in old and _unchanged_field(node, key, value, old[key]) for key, value in new.items())
    if isinstance(new, list) and _is_map_list(node):
        if not isinstance(old, list) or len(new) != len(old):
            return False
        before = OldItems(node, old)
        return all((was := before.find(item)) is not None and unchanged(node.items, item, was) for item in new) if node.items else not new
    return equal(new, old)


def _unchanged_field(node: SchemaNode, key: str, new: Any, old: Any) -> bool:
    child = node.properties.get(key) or node.values
    return child is not None and unchanged(child, new, old)


def _is_map_list(node: SchemaNode) -> bool:
    return node.list_type == "map"


class OldItems:
    """The items a list had, found by the keys of new items. Items without keys, and lists of other types, have no old ones."""

    def __init__(self, node: SchemaNode, items: Any) -> None:
        self._names: Sequence[str] = node.list_map_keys if _is_map_list(node) and isinstance(items, list) else ()
        self._items: list[Any] = items if self._names else []
        self._by_key: dict[ItemKey, Any] | None = None

    def find(self, item: Any) -> Any:
        """The first old item with the same keys, or None."""
        key = self._key(item) if self._items else None
        if key is None:
            return None
        if self._by_key is None:
            self._by_key = {}
            for old in self._items:
                known = self._key(old)
                if known is not None:
                    self._by_key.setdefault(known, old)
        return self._by_key.get(key)

    def _key(self, item: Any) -> ItemKey | None:
        if not isinstance(item, Mapping):
            return None
        values = [item.get(name) for name in self._names]
        if any(not isinstance(value, bool | int | float | str) for value in values):
            return None
        return tuple((type(value), value) for value in values)
