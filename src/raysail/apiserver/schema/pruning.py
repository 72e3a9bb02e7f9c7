"""Fields that a schema does not know go, and nulls that mean nothing go with them.

One closure for each place in a schema, made when an object first reaches it: a Pod template has thousands of fields of which an object uses thirty.
A closure changes its value in place and returns the paths of what it dropped, relative to itself (None, the usual case, where nothing was).
Rules: apiextensions pkg/apiserver/schema/pruning and defaulting/prunenulls.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raysail.api.openapi import SchemaNode

Prune = Callable[[Any], list[str] | None]

_META: Final = frozenset({"apiVersion", "kind", "metadata"})


def compile_pruning(node: SchemaNode, *, root: bool = True) -> Prune:
    """The closure for objects of this schema. At the root, and in embedded resources, type and metadata are left alone."""
    schema = node.schema
    embedded = root or bool(schema.get("x-kubernetes-embedded-resource"))
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    fields = _Fields(node)
    items = _LazyItems(node)

    def prune(value: Any) -> list[str] | None:
        if type(value) is dict:
            return prune_object(value)
        if type(value) is list:
            return prune_list(value)
        return None

    def prune_object(value: dict[str, Any]) -> list[str] | None:
        dropped: list[str] | None = None
        gone: list[str] | None = None
        for key, field in value.items():
            if embedded and key in _META:
                continue
            found = fields[key]
            if found is None:
                if not preserve:
                    gone = gone or []
                    gone.append(key)
                    if not (root and key in _META):
                        dropped = dropped or []
                        dropped.append(key)
                continue
            child, keeps_null = found
            if field is None:
                if not keeps_null:
                    gone = gone or []
                    gone.append(key)
            elif type(field) is dict or type(field) is list:
                below = child(field)
                if below:
                    dropped = dropped or []
                    dropped += [f"{key}{path}" if path[0] == "[" else f"{key}.{path}" for path in below]
        for key in gone or ():
            del value[key]
        return dropped

    def prune_list(value: list[Any]) -> list[str] | None:
        dropped: list[str] | None = None
        child = items.get() if not preserve or node.items else None
        for index, item in enumerate(value):
            if type(item) is not dict and type(item) is not list:
                continue
            below = child(item) if child else _drop_all(item)
            if below:
                dropped = dropped or []
                dropped += [f"[{index}]{path}" if path[0] == "[" else f"[{index}].{path}" for path in below]
        return dropped

    if preserve and node.items is None:

        def prune_preserved(value: Any) -> list[str] | None:
            return prune_object(value) if type(value) is dict else None

        return prune_preserved
    return prune


def _drop_all(value: Any) -> list[str] | None:
    """Where the schema says nothing at all: every field of every object is unknown."""
    if type(value) is dict:
        gone = list(value)
        value.clear()
        return gone or None
    dropped: list[str] = []
    if type(value) is list:
        for index, item in enumerate(value):
            dropped += [f"[{index}]{path}" if path[0] == "[" else f"[{index}].{path}" for path in _drop_all(item) or ()]
    return dropped or None


class _Fields(dict[str, tuple[Prune, bool] | None]):
    """The closures of an object's fields, each with whether a null stays there (it is nullable, or waits for its default); made on first use."""

    def __init__(self, node: SchemaNode) -> None:
        super().__init__()
        self.node = node

    def __missing__(self, key: str) -> tuple[Prune, bool] | None:
        child = self.node.properties.get(key)
        if child is not None:
            entry = self[key] = (compile_pruning(child, root=False), child.nullable or child.default is not None)
            return entry
        values = self.node.values
        if values is not None:
            # Keys of maps come from users: one entry serves them all.
            if "" not in self:
                self[""] = (compile_pruning(values, root=False), values.nullable or values.default is not None)
            return self[""]
        if self.node.schema.get("additionalProperties") is True:
            return _drop_all, True
        return None


class _LazyItems:
    """The closure of a list's items, made on first use."""

    def __init__(self, node: SchemaNode) -> None:
        self.node = node
        self.made: Prune | None = None

    def get(self) -> Prune | None:
        if self.made is None and self.node.items is not None:
            self.made = compile_pruning(self.node.items, root=False)
        return self.made
