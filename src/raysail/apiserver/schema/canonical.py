"""Whether an object of a built-in kind is already as `decode` would leave it. Nearly all are, and then nothing need be rewritten or named.

A predicate for each place of the schema, made when first needed and shared by all kinds that use the type. `decode` stays the only judge of what is
wrong: a predicate that says no only means that `decode` has to look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raysail.api.openapi import SchemaNode
from raysail.apiserver.schema.decode import OPAQUE, SCHEMA_UNIONS, SPECIAL, DecodeError, decoded_text, hides_empty
from raysail.apiserver.schema.numbers import MAX_INT32, MAX_INT64, MIN_INT32, MIN_INT64

Accept = Callable[[Any], bool]
Check = Accept | type
"""A type where that is all there is to check."""


def compile_canonical(node: SchemaNode) -> Accept:
    """The predicate for objects of that kind."""
    check = _check(node)
    return check if not isinstance(check, type) else _of_type(check)


def _of_type(wanted: type) -> Accept:
    return lambda value: type(value) is wanted


def _check(node: SchemaNode) -> Check:
    if node.definition in OPAQUE:
        return _is_there
    if node.definition in SCHEMA_UNIONS:
        return _never
    special = SPECIAL.get(node.definition)
    if special is not None:
        return _unchanged_by(special)
    kind = node.type
    if kind == "object":
        return _object(node)
    if kind == "array":
        return _array(node)
    if kind == "string":
        return _unchanged_by(lambda value: decoded_text(node, value)) if node.schema.get("format") == "byte" else str
    if kind == "boolean":
        return bool
    if kind == "integer":
        low, high = (MIN_INT32, MAX_INT32) if node.schema.get("format") == "int32" else (MIN_INT64, MAX_INT64)
        return lambda value: type(value) is int and low <= value <= high
    if kind == "number":
        return lambda value: type(value) is int or type(value) is float
    return _is_there


def _is_there(value: Any) -> bool:
    return value is not None


def _never(value: Any) -> bool:
    return False


def _unchanged_by(convert: Callable[[Any], Any]) -> Accept:
    def accept(value: Any) -> bool:
        if type(value) is not str and type(value) is not int:
            return False
        try:
            found = convert(value)
        except DecodeError:
            return False
        return type(found) is type(value) and bool(found == value)

    return accept


def _array(node: SchemaNode) -> Check:
    items = node.items
    if items is None:
        return list
    item: Check | None = None

    def accept(value: Any) -> bool:
        nonlocal item
        if type(value) is not list:
            return False
        if item is None:
            item = _check(items)
        if isinstance(item, type):
            return all(type(element) is item for element in value)
        return all(map(item, value))

    return accept


def _object(node: SchemaNode) -> Check:
    if node.values is not None:
        return _map(node.values)
    if not node.properties:
        return dict
    if node.definition:
        found = _STRUCTS.get(node.definition)
        if found is None:
            found = _STRUCTS[node.definition] = _struct(node)
        return found
    return _struct(node)


def _map(values: SchemaNode) -> Check:
    member: Check | None = None

    def accept(value: Any) -> bool:
        nonlocal member
        if type(value) is not dict:
            return False
        if member is None:
            member = _check(values)
        if isinstance(member, type):
            return all(type(element) is member for element in value.values())
        return all(map(member, value.values()))

    return accept


_STRUCTS: Final[dict[str, Accept]] = {}


def _struct(node: SchemaNode) -> Accept:
    fields = _Fields(node)

    def accept(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name, member in value.items():
            check = fields[name]
            if check.__class__ is type:
                if type(member) is not check:
                    return False
            elif check is None or not check(member):
                return False
        return True

    return accept


class _Fields(dict[str, Check | None]):
    """What is to check about each field of a struct, made on first use; None where there is no such field."""

    def __init__(self, node: SchemaNode) -> None:
        super().__init__()
        self._node = node

    def __missing__(self, name: str) -> Check | None:
        child = self._node.properties.get(name)
        if child is None:
            return None
        check = _check(child)
        if hides_empty(self._node, child, name):
            check = _filled(check)
        self[name] = check
        return check


def _filled(check: Check) -> Accept:
    """Of a list or map that is not written when it is empty."""
    if isinstance(check, type):
        return lambda value: type(value) is check and bool(value)
    return lambda value: bool(value) and check(value)
