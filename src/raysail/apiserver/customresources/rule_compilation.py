"""Rules of a CRD's schema that do not compile, or could never hold: found when the CRD is written, not when an object comes.

Rules and texts: apiextensions pkg/apis/apiextensions/validation/validation.go, pkg/apiserver/schema/cel/compilation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysail.api.errors import Cause
from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel import Rule, SchemaRules, compile_fault
from raysail.apiserver.cel.types import type_of_schema
from raysail.apiserver.schema import causes
from raysail.apiserver.schema.go_text import json_text


def rule_causes(schema: Mapping[str, Any], path: str, *, faulty: Sequence[str] = ()) -> list[Cause]:
    """The faults of all rules in a structural schema. Rules at and above a `faulty` field are left alone: they could only stumble over it."""
    found = list(_walk(SchemaNode(schema), path, None, faulty, root=True))
    return found if found or faulty else list(_defaults(schema, path))


def _walk(node: SchemaNode, path: str, uncorrelated: str | None, faulty: Sequence[str], *, root: bool = False) -> Iterator[Cause]:
    specs = node.schema.get("x-kubernetes-validations") or ()
    if specs and not any(field.startswith((f"{path}.", f"{path}[")) for field in faulty):
        yield from _rules(node, specs, f"{path}.x-kubernetes-validations", uncorrelated, root=root)
    for name, child in node.properties.items():
        unknown_map = path if node.map_type not in ("granular", "atomic") else None
        yield from _walk(child, f"{path}.properties[{name}]", uncorrelated or unknown_map, faulty)
    if node.values is not None:
        yield from _walk(node.values, f"{path}.additionalProperties", uncorrelated, faulty)
    if node.items is not None:
        # Items of other lists than maps have no identity: nobody can say which old one they were.
        yield from _walk(node.items, f"{path}.items", uncorrelated or (None if node.list_type == "map" else path), faulty)


def _rules(node: SchemaNode, specs: Any, path: str, uncorrelated: str | None, *, root: bool) -> Iterator[Cause]:
    kind = type_of_schema(node, root=root)
    if kind is None:
        yield Cause("InternalError", "Internal error: failed to convert to declType for CEL validation rules", path)
        return
    for index, spec in enumerate(specs):
        rule = Rule(spec, kind, "")
        fault = compile_fault(rule)
        if fault is not None:
            member, text = fault
            yield Cause("FieldValueInvalid", f"Invalid value: {_shown(spec)}: {text}", f"{path}[{index}].{member}")
            if member == "rule":
                continue
        if rule.uses_old and uncorrelated is not None:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
            yield causes.invalid(f"{path}[{index}].rule", spec["rule"], detail)
        elif not rule.uses_old and spec.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            yield causes.invalid(f"{path}[{index}].optionalOldSelf", spec["optionalOldSelf"], detail)


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
