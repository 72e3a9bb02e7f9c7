"""The form in which a kube-apiserver keeps and shows a built-in object: defaults filled in, empty values written or left out as Go does.

One walk over the object: each struct gets the defaults of its type (`defaults.RULES`), then those that the schema declares, then what its json tags
say about empty values (shapes.json.gz, made by tools/go_shapes.py), then the same for what is inside. Doing it twice changes nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from typing import Any, Final

import msgspec

from raysail.api.openapi import SchemaNode, builtin_schemas
from raysail.apiserver.kinds.defaults import RULES

JsonObject = dict[str, Any]

# Declared defaults that are empty texts or false, which the schema also says of required fields without meaning it.
_EMPTY_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "io.k8s.api.core.v1.GRPCAction": {"service": ""},
    "io.k8s.api.core.v1.FileKeySelector": {"optional": False},
    "io.k8s.api.core.v1.AzureDiskVolumeSource": {"readOnly": False},
}
_ZERO: Final[Mapping[str, Any]] = {"s": "", "i": 0, "b": False, "q": "0"}


@cache
def _letters() -> Mapping[str, Mapping[str, str]]:
    data = resources.files(__package__).joinpath("shapes.json.gz").read_bytes()
    found: Mapping[str, Mapping[str, str]] = msgspec.json.decode(gzip.decompress(data))
    return found


def root(definition: str) -> SchemaNode:
    """The schema of a built-in kind that knows its own name."""
    return SchemaNode({"$ref": f"#/components/schemas/{definition}"}, builtin_schemas())


def settle(schema: SchemaNode, obj: JsonObject) -> None:
    """Brings an object of that kind into its form, in place. The schema must know its definition (`root`)."""
    _struct(schema).settle(obj)


class _Struct:
    """One Go struct: what happens to its fields, and which of them hold structs in turn."""

    __slots__ = ("_absent", "_below", "_declared", "_empty", "_node", "_optional", "_rule")

    def __init__(self, node: SchemaNode) -> None:
        self._node = node
        self._rule: Callable[[JsonObject], None] | None = RULES.get(node.definition)
        letters = _letters().get(node.definition, {})
        # Fields that are written even if absent: as a struct, or as their zero.
        self._absent = tuple((name, letter == "o", _ZERO.get(letter)) for name, letter in letters.items() if letter in "osibqnl")
        # Fields that are not written empty; of lists and maps with the letter l null is.
        self._empty = {name: letter == "l" for name, letter in letters.items() if letter in "zel"}
        self._optional = tuple(name for name, letter in letters.items() if letter == "O")
        declared = {name: child.default for name, child in node.properties.items() if child.has_default and child.default}
        self._declared = tuple({**declared, **_EMPTY_DEFAULTS.get(node.definition, {})}.items())
        self._below: dict[str, Callable[[Any], None] | None] = {}

    def settle(self, value: JsonObject) -> None:
        if self._rule is not None:
            self._rule(value)
        for name, default in self._declared:
            if not value.get(name):
                value.setdefault(name, default) if default in ("", False) else value.update({name: default})
        for name, opened, zero in self._absent:
            if value.get(name) is None:
                value[name] = {} if opened else zero
        below, empty = self._below, self._empty
        gone: list[str] | None = None
        for name, member in value.items():
            if not member and member is not None and name in empty:
                if empty[name]:
                    value[name] = None
                elif gone is None:
                    gone = [name]
                else:
                    gone.append(name)
            elif member.__class__ is dict or member.__class__ is list:
                further = below[name] if name in below else self._find_below(name)
                if further is not None:
                    further(member)
        if gone is not None:
            for name in gone:
                del value[name]
        for name in self._optional:
            if name in value and value[name] == {}:
                del value[name]

    def settle_each(self, values: list[JsonObject]) -> None:
        for value in values:
            self.settle(value)

    def _find_below(self, name: str) -> Callable[[Any], None] | None:
        """What to do with the field, None where there are no structs in it."""
        node = self._node.properties.get(name)
        inner = node
        while inner is not None and not inner.properties:
            inner = inner.items or inner.values
        further: Callable[[Any], None] | None = None
        if node is not None and inner is not None:
            if node.properties:
                further = _struct(node).settle
            elif node.items is not None and node.items.properties:
                further = _struct(node.items).settle_each
            else:
                further = partial(_settle_value, node)
        self._below[name] = further
        return further


def _settle_value(node: SchemaNode, value: Any) -> None:
    if isinstance(value, dict):
        if node.properties:
            _struct(node).settle(value)
        elif node.values is not None:
            for member in value.values():
                _settle_value(node.values, member)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            _settle_value(node.items, item)


_STRUCTS: Final[dict[str, _Struct]] = {}


def _struct(node: SchemaNode) -> _Struct:
    found = _STRUCTS.get(node.definition)
    if found is None:
        found = _STRUCTS[node.definition] = _Struct(node)
    return found
