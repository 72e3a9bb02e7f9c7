"""What a schema's `default`s fill in.

A closure for each place that has a default at or below it, and none for the others: most of a Pod template is skipped without a look.
Defaults appear only in objects that are there; a null that may not be null becomes the default. Rules: apiextensions pkg/apiserver/schema/defaulting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raysail.api.openapi import SchemaNode

Default = Callable[[Any], None]


def copied(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def compile_defaulting(node: SchemaNode) -> Default | None:
    """The closure for this schema, or None where nothing below it has a default."""
    filled: list[tuple[str, Any, bool]] = []
    below: list[tuple[str, Default]] = []
    for name, child in node.properties.items():
        if child.default is not None:
            filled.append((name, child.default, child.nullable))
        inner = compile_defaulting(child)
        if inner is not None:
            below.append((name, inner))
    values = _of_elements(node.values)
    items = _of_elements(node.items)
    if not filled and not below and values is None and items is None:
        return None
    named = frozenset(node.properties)

    def default(value: Any) -> None:
        if type(value) is dict:
            for name, fallback, nullable in filled:
                if name not in value or (not nullable and value[name] is None):
                    value[name] = copied(fallback)
            for name, inner in below:
                found = value.get(name)
                if found is not None:
                    inner(found)
            if values is not None:
                fallback, nullable, element = values
                for key, item in value.items():
                    if key not in named:
                        if item is None and not nullable and fallback is not None:
                            value[key] = copied(fallback)
                        if element is not None:
                            element(value[key])
        elif type(value) is list and items is not None:
            fallback, nullable, element = items
            for index, item in enumerate(value):
                if item is None and not nullable and fallback is not None:
                    value[index] = copied(fallback)
                if element is not None:
                    element(value[index])

    return default


def _of_elements(node: SchemaNode | None) -> tuple[Any, bool, Default | None] | None:
    """What the elements of a list or map may get: their own default, whether null is one of their values, and what is filled in inside."""
    if node is None:
        return None
    inner = compile_defaulting(node)
    return None if inner is None and node.default is None else (node.default, node.nullable, inner)
