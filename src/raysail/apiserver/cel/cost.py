"""How much work a rule can be at most, from its text and the limits in the schema: a CRD with a rule that could run away is refused.

The estimate follows cel-go's checker/cost.go and k8s.io/apiserver pkg/cel/library/cost.go, so that a CRD accepted here is accepted by Kubernetes: the unit is
about one operation, texts count a tenth for each byte, a loop its body times the most elements that the list can have. Where the schema sets no limit, it is
what fits into a request of 3 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel.syntax import (
    Bind,
    Call,
    Comprehension,
    Expression,
    Identifier,
    ListLiteral,
    Literal,
    MapLiteral,
    Select,
    chain_of,
)
from raysail.apiserver.cel.types import field_schema

PER_RULE_LIMIT: Final = 10_000_000
PER_SCHEMA_LIMIT: Final = 100_000_000
REQUEST_BYTES: Final = 3 * 1024 * 1024
UNKNOWN: Final = 2**64 - 1
"""Stands for a size or cost without a bound; sums and products stop here."""

_TRAVERSAL: Final = 0.1
_REGEX: Final = 0.25
_SCALARS: Final = frozenset({"bool", "int", "uint", "double", "null", "duration", "timestamp", "type"})
_CONSTANT_TIME: Final = frozenset({"quantity", "semver_version", "ip_address", "cidr_range"})
_LIST_COST: Final = 10
_MAP_COST: Final = 30


def _bounded(value: float) -> int:
    return UNKNOWN if value >= UNKNOWN else int(value)


def _scaled(size: int, factor: float) -> int:
    return UNKNOWN if size >= UNKNOWN else math.ceil(size * factor)


@dataclass(frozen=True, slots=True)
class Measure:
    """One expression: the most it costs, the most elements its value has (None: nobody can say), and the schema its value stands for."""

    cost: int
    size: int | None = None
    place: SchemaNode | None = None
    element: int | None = None
    """The most that one element of a list made in the expression has."""

    @property
    def most(self) -> int:
        """The size, or everything."""
        return UNKNOWN if self.size is None else self.size


def smallest_bytes(node: SchemaNode | None) -> int | None:
    """The shortest JSON of a value; None where CEL does not see the schema."""
    if node is None:
        return None
    schema = node.schema
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    kind = node.type
    if kind == "string":
        return {"duration": 3, "date": 12, "date-time": 21}.get(schema.get("format", ""), 2)
    if kind == "object" and node.values is None:
        total = 2
        for name, child in node.properties.items():
            if name in (schema.get("required") or ()) and not child.has_default and (inner := smallest_bytes(child)) is not None:
                total += len(name) + inner + 4
        return total
    return {"array": 2, "object": 2, "boolean": 4, "number": 1, "integer": 1}.get(kind)


def most_elements(node: SchemaNode) -> int:
    """The most elements, entries or bytes that a value of this schema can have; 0 for what has none."""
    schema = node.schema
    kind = node.type
    if schema.get("x-kubernetes-int-or-string"):
        return 4 * schema["maxLength"] if "maxLength" in schema else REQUEST_BYTES - 2
    if kind == "array":
        return int(schema["maxItems"]) if "maxItems" in schema else (REQUEST_BYTES - 2) // ((smallest_bytes(node.items) or 0) + 1)
    if kind == "object" and node.values is not None:
        return (
            int(schema["maxProperties"]) if "maxProperties" in schema else (REQUEST_BYTES - 2) // ((smallest_bytes(node.values) or 0) + 6)
        )
    if kind != "string":
        return 0
    named = {"duration": 32, "date": 12, "date-time": 37}.get(schema.get("format", ""))
    if named is not None:
        return named
    if "maxLength" in schema:
        return int(schema["maxLength"]) * (1 if schema.get("format") == "byte" else 4)
    if schema.get("enum"):
        return max((len(str(v).encode()) for v in schema["enum"]), default=0)
    return REQUEST_BYTES - 2


def limits_repetition(node: SchemaNode) -> int | None:
    """How often what is inside a list or map can be there; None without a limit."""
    found = node.schema.get("maxItems" if node.type == "array" else "maxProperties")
    return None if found is None else int(found)


def most_repetitions(node: SchemaNode) -> int:
    """How often a value of this schema fits into one request."""
    return REQUEST_BYTES // ((smallest_bytes(node) or 0) + 1)


def estimate(expression: Expression, place: SchemaNode) -> int:
    """The most that one evaluation costs; `self` and `oldSelf` stand for `place`."""
    return _Estimator().measure(expression, {name: Measure(0, most_elements(place), place) for name in ("self", "oldSelf")}).cost


Scope = Mapping[str, Measure]


class _Estimator:
    def measure(self, expression: Expression, scope: Scope) -> Measure:
        if isinstance(expression, Literal):
            return Measure(0, len(expression.value) if isinstance(expression.value, str | bytes) else 1)
        if isinstance(expression, Identifier):
            found = scope.get(expression.name)
            if found is None:
                return Measure(1, 1)
            return Measure(1, self.sized(expression, found.place, found.size), found.place, found.element)
        if isinstance(expression, Select):
            return self.select(expression, scope)
        if isinstance(expression, Call):
            return self.call(expression, scope)
        if isinstance(expression, ListLiteral):
            inside = [self.measure(e, scope) for e in expression.elements]
            return Measure(_bounded(sum(m.cost for m in inside) + _LIST_COST), len(inside), None, max((m.most for m in inside), default=0))
        if isinstance(expression, MapLiteral):
            inside = [self.measure(part, scope) for entry in expression.entries for part in entry]
            return Measure(_bounded(sum(m.cost for m in inside) + _MAP_COST), len(expression.entries))
        if isinstance(expression, Comprehension):
            return self.comprehension(expression, scope)
        assert isinstance(expression, Bind)  # noqa: S101 - the last kind of node
        value = self.measure(expression.value, scope)
        body = self.measure(expression.body, {**scope, expression.name: value})
        return Measure(_bounded(_LIST_COST + value.cost + body.cost), body.size, body.place, body.element)

    @staticmethod
    def sized(expression: Expression, place: SchemaNode | None, known: int | None = None) -> int | None:
        if place is not None:
            return most_elements(place)
        kind = expression.type
        if kind.name == "optional" and kind.parameters:
            kind = kind.parameters[0]
        return 1 if kind.name in _SCALARS else known

    def select(self, expression: Select, scope: Scope) -> Measure:
        operand = self.measure(expression.operand, scope)
        place = self.below(operand.place, expression)
        if expression.test:
            return Measure(operand.cost, 1)
        kind = expression.operand.type.name
        return Measure(_bounded(operand.cost + (1 if kind in ("map", "object") else 0)), self.sized(expression, place), place)

    @staticmethod
    def below(place: SchemaNode | None, expression: Select) -> SchemaNode | None:
        if place is None:
            return None
        # A key of a map, written as a field, is a place that upstream does not find either.
        kind = expression.operand.type
        return field_schema(kind, expression.name) if kind.name == "object" else None

    def call(self, expression: Call, scope: Scope) -> Measure:
        name = expression.name
        if name in ("_&&_", "_||_"):
            return Measure(_bounded(sum(self.measure(operand, scope).cost for operand in chain_of(expression))), 1)
        inside = [self.measure(operand, scope) for operand in expression.operands()]
        total = _bounded(sum(m.cost for m in inside))
        if name == "_?_:_":
            condition, first, second = inside
            size = None if first.size is None or second.size is None else max(first.size, second.size)
            return Measure(_bounded(condition.cost + max(first.cost, second.cost)), size)
        if name == "_[_]":
            operand = inside[0]
            place = (operand.place.items or operand.place.values) if operand.place is not None else None
            return Measure(_bounded(total + 1), self.sized(expression, place, operand.element), place)
        if name == "dyn":
            return Measure(_bounded(total + 1), inside[0].size, inside[0].place, inside[0].element)
        if name == "lists.range":
            counted = expression.arguments[0]
            return Measure(_bounded(total + 1), counted.value if isinstance(counted, Literal) else None, None, 1)
        cost, size = self.function(expression, inside)
        return Measure(_bounded(total + cost), size if size is not None else self.sized(expression, None))

    def function(self, expression: Call, inside: list[Measure]) -> tuple[int, int | None]:
        """What the call itself costs beside its operands, and the size of its result where that is known."""
        name, member = expression.name, expression.target is not None
        kinds = [operand.type.name for operand in expression.operands()]
        first = inside[0].most if inside else 0
        second = inside[1].most if len(inside) > 1 else 0
        if name == "_+_" and kinds[0] in ("string", "bytes", "list"):
            size = _bounded(first + second)
            return (1 if kinds[0] == "list" else _scaled(size, _TRAVERSAL)), size
        if name == "_==_" and kinds[0] in _CONSTANT_TIME:
            return 1, 1
        if name in ("_==_", "_!=_") or (name in ("_<_", "_<=_", "_>_", "_>=_") and kinds[0] in ("string", "bytes")):
            return _scaled(min(first, second), _TRAVERSAL), 1
        if name == "@in" and kinds[1] == "list":
            return second, 1
        if name in ("startsWith", "endsWith"):
            return _scaled(second, _TRAVERSAL), 1
        if name == "contains":
            return _bounded(_scaled(first, _TRAVERSAL) * _scaled(second, _TRAVERSAL)), 1
        if name in ("matches", "find", "findAll"):
            cost = _bounded(_scaled(_bounded(first + 1), _TRAVERSAL) * _scaled(second, _REGEX))
            return cost, 1 if name == "matches" else first
        if name in ("isSorted", "sum", "max", "min") or (name in ("indexOf", "lastIndexOf") and kinds[0] == "list"):
            return _bounded(first * self.per_element(expression, inside[0])), 1
        if name in ("indexOf", "lastIndexOf"):
            return _scaled(first, _TRAVERSAL), 1
        if name in ("bytes", "string") and kinds[0] in ("string", "bytes") and kinds[0] != name:
            return _scaled(first, _TRAVERSAL), _bounded(first * 4) if name == "bytes" else first
        if name in ("lowerAscii", "upperAscii", "substring", "trim", "url"):
            return _scaled(first, _TRAVERSAL), first
        if name == "replace":
            return _scaled(first, 2 * _TRAVERSAL), self.replaced(first, inside)
        if name == "split":
            return _scaled(first, 2 * _TRAVERSAL), first
        if name == "join":
            size = _bounded(first * self.element_size(expression, inside[0]) + second * max(first - 1, 0))
            return _scaled(size, _TRAVERSAL), size
        if name in ("quantity", "isQuantity", "semver", "isSemver", "cidr", "isIP", "isCIDR", "ip", "isURL", "format") and not (
            member and name == "ip"
        ):
            return _scaled(first, _TRAVERSAL), None
        return 1, None

    @staticmethod
    def replaced(first: int, inside: list[Measure]) -> int:
        old, new = inside[1], inside[2].most
        shortest = old.most if old.place is None and old.size is not None else 0
        if shortest == 0:
            return _bounded((first + 1) * new + first)
        return first if new <= shortest else _bounded(math.ceil(first / shortest) * new)

    def per_element(self, expression: Call, source: Measure) -> int:
        item = expression.operands()[0].type.parameters
        if item and item[0].name in ("string", "bytes"):
            return _bounded(1 + _scaled(self.element_size(expression, source), _TRAVERSAL))
        return 1

    @staticmethod
    def element_size(expression: Call, source: Measure) -> int:
        if source.place is not None and source.place.items is not None:
            return most_elements(source.place.items)
        return UNKNOWN if source.element is None else source.element

    def comprehension(self, expression: Comprehension, scope: Scope) -> Measure:
        source = self.measure(expression.source, scope)
        inner = {**scope, **self.variables(expression, source)}
        body = self.measure(expression.body, inner) if expression.body is not None else Measure(1)
        condition = self.measure(expression.condition, inner).cost if expression.condition is not None else 0
        # What cel-go's macros expand to: the loop's condition, the step that adds to the accumulator, the result.
        before, step, after = {
            "all": (0, 3 + body.cost, 1),
            "exists": (0, 4 + body.cost, 1),
            "exists_one": (0, body.cost + 2, 2),
            "transformMap": (_MAP_COST, condition + 3 + body.cost, 1),
            "transformMapEntry": (_MAP_COST, condition + 2 + body.cost, 1),
        }.get(expression.kind, (_LIST_COST, condition + 12 + body.cost, 1))
        total = _bounded(source.cost + before + source.most * _bounded(step) + after)
        if expression.kind in ("all", "exists", "exists_one"):
            return Measure(total, 1)
        return Measure(total, source.most, None, body.most if expression.body is not None else source.element)

    @staticmethod
    def variables(expression: Comprehension, source: Measure) -> dict[str, Any]:
        place = source.place
        is_list = expression.source.type.name != "map"
        item = place.items if place is not None else None
        value = Measure(1, most_elements(item) if item is not None else source.element, item)
        if not is_list:
            under = place.values if place is not None else None
            value = Measure(1, most_elements(under) if under is not None else None, under)
        key = Measure(1, 1 if is_list else 0)
        if len(expression.variables) == 2:
            return {expression.variables[0]: key, expression.variables[1]: value}
        return {expression.variables[0]: value if is_list else key}
