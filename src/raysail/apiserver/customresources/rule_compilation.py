"""Rules of a CRD's schema that do not compile, or could never hold: found when the CRD is written, not when an object comes.

Rules and texts: apiextensions pkg/apis/apiextensions/validation/validation.go, pkg/apiserver/schema/cel/compilation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import json_text
from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel import Rule, SchemaRules, compile_fault
from raysail.apiserver.cel.cost import PER_RULE_LIMIT, PER_SCHEMA_LIMIT, limits_repetition, most_repetitions
from raysail.apiserver.cel.types import type_of_schema


class _Costs:
    """The estimated costs of all rules of one schema."""

    def __init__(self) -> None:
        self.total = 0
        self.known: list[tuple[int, str]] = []

    def add(self, cost: int, field: str) -> None:
        self.total += cost
        self.known.append((cost, field))


@dataclass(frozen=True, slots=True)
class _Way:
    """How the walk came to a place."""

    faulty: Sequence[str]
    costs: _Costs
    uncorrelated: str | None = None
    """The first list on the way whose items have no identity: below it nobody can say what a value was before."""
    repetitions: int | None = 1
    """How often the place can be there at most; None where a list or map on the way has no limit."""


def rule_causes(schema: Mapping[str, Any], path: str, *, faulty: Sequence[str] = ()) -> list[Cause]:
    """The faults of all rules in a structural schema. Rules at and above a `faulty` field are left alone: they could only stumble over it."""
    costs = _Costs()
    found = list(_walk(SchemaNode(schema), path, _Way(faulty, costs), root=True))
    if costs.total > PER_SCHEMA_LIMIT:
        found += [
            causes.forbidden(field, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
            for cost, field in sorted(costs.known, reverse=True)[:_MOST_EXPENSIVE]
            if cost > PER_SCHEMA_LIMIT / _WORTH_NAMING
        ]
        found.append(
            _too_expensive(
                "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", costs.total, PER_SCHEMA_LIMIT, path
            )
        )
    return found if found or faulty else list(_defaults(schema, path))


def _walk(node: SchemaNode, path: str, way: _Way, *, root: bool = False) -> Iterator[Cause]:
    specs = node.schema.get("x-kubernetes-validations") or ()
    if specs and not any(field.startswith((f"{path}.", f"{path}[")) for field in way.faulty):
        yield from _rules(node, specs, f"{path}.x-kubernetes-validations", way, root=root)
    unknown_map = path if node.map_type not in ("granular", "atomic") else None
    for name, child in node.properties.items():
        yield from _walk(child, f"{path}.properties[{name}]", replace(way, uncorrelated=way.uncorrelated or unknown_map))
    limit = limits_repetition(node)
    inside = replace(way, repetitions=None if way.repetitions is None or limit is None else way.repetitions * limit)
    if node.values is not None:
        yield from _walk(node.values, f"{path}.additionalProperties", inside)
    if node.items is not None:
        lost = None if node.list_type == "map" else path
        yield from _walk(node.items, f"{path}.items", replace(inside, uncorrelated=way.uncorrelated or lost))


def _rules(node: SchemaNode, specs: Any, path: str, way: _Way, *, root: bool) -> Iterator[Cause]:
    kind = type_of_schema(node, root=root)
    if kind is None:
        yield Cause("InternalError", "Internal error: failed to convert to declType for CEL validation rules", path)
        return
    times = most_repetitions(node) if way.repetitions is None else way.repetitions
    for index, spec in enumerate(specs):
        rule = Rule(spec, kind, "")
        fault = compile_fault(rule)
        if fault is not None:
            member, text = fault
            yield Cause("FieldValueInvalid", f"Invalid value: {_shown(spec)}: {text}", f"{path}[{index}].{member}")
            if member == "rule":
                continue
        yield from _cost(rule.program.most_cost(node) * times, "rule", f"{path}[{index}].rule", way.costs)
        if fault is None and rule.message_program is not None:
            yield from _cost(rule.message_program.most_cost(node), "messageExpression", f"{path}[{index}].messageExpression", way.costs)
        if rule.uses_old and way.uncorrelated is not None:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {way.uncorrelated}"
            yield causes.invalid(f"{path}[{index}].rule", spec["rule"], detail)
        elif not rule.uses_old and spec.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            yield causes.invalid(f"{path}[{index}].optionalOldSelf", spec["optionalOldSelf"], detail)


def _cost(cost: int, what: str, field: str, costs: _Costs) -> Iterator[Cause]:
    costs.add(cost, field)
    if cost > PER_RULE_LIMIT:
        yield _too_expensive(f"estimated {what} cost", cost, PER_RULE_LIMIT, field)


def _too_expensive(what: str, cost: int, limit: int, field: str) -> Cause:
    times = cost / limit
    factor = "more than 100x" if times > _NOT_COUNTED else f"{times:f}x" if times < _EXACT else f"{times:.1f}x"
    advice = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared"
    return causes.forbidden(field, f"{what} exceeds budget by factor of {factor} ({advice})")


_NOT_COUNTED: Final = 100
_EXACT: Final = 1.5
_MOST_EXPENSIVE: Final = 4
_WORTH_NAMING: Final = 100


def _shown(spec: Mapping[str, Any]) -> str:
    """A rule as upstream prints its internal type."""
    return json_text_in_order(
        {
            "Rule": spec.get("rule", ""),
            "Message": spec.get("message", ""),
            "MessageExpression": spec.get("messageExpression", ""),
            "Reason": spec.get("reason"),
            "FieldPath": spec.get("fieldPath", ""),
            "OptionalOldSelf": spec.get("optionalOldSelf"),
        }
    )


def json_text_in_order(fields: Mapping[str, Any]) -> str:
    """A Go struct as JSON: its fields in their order."""
    return "{" + ",".join(f"{json_text(name)}:{json_text(value)}" for name, value in fields.items()) + "}"


def _defaults(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Defaults that break their own rules."""
    value = schema.get("default")
    if value is not None:
        for cause in SchemaRules(SchemaNode(schema), root=False).check(value):
            field = f"{path}.default" if cause.field == causes.ROOT else f"{path}.default.{cause.field}"
            yield Cause(cause.reason, cause.message, field)
    if isinstance(schema.get("items"), Mapping):
        yield from _defaults(schema["items"], f"{path}.items")
    for name, child in (schema.get("properties") or {}).items():
        yield from _defaults(child, f"{path}.properties[{name}]")
