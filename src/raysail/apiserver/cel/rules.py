"""The x-kubernetes-validations of a schema, run on objects.

Only the places that have rules at or below them are walked, and a rule is compiled when it first runs. Transition rules (those that name oldSelf) run where an
old value corresponds; faults in a part that an update did not touch are forgiven. Order, budget and texts: apiextensions
pkg/apiserver/schema/cel/{validation,compilation}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel.program import CelError, CostExceeded, Program, compile_expression
from raysail.apiserver.cel.runtime import Convert, converter
from raysail.apiserver.cel.syntax import CelSyntaxError
from raysail.apiserver.cel.types import Type, optional_of, type_of_schema
from raysail.apiserver.cel.values import Optional
from raysail.apiserver.schema.correlation import OldItems, unchanged
from raysail.apiserver.schema.field_path import FieldPathError, resolve_field_path

RUNTIME_BUDGET: Final = 10_000_000
"""Most work of all rules on one object (RuntimeCELCostBudget)."""

_LONGEST_MESSAGE: Final = 5 * 1024
_NOTHING: Final = object()


class Rule:
    """One entry of x-kubernetes-validations at a place of some type."""

    def __init__(self, spec: Mapping[str, Any], self_type: Type, field_path: str) -> None:
        self.text: str = spec["rule"]
        self.message: str = (spec.get("message") or "").strip()
        self.message_expression: str = spec.get("messageExpression") or ""
        self.reason: str | None = spec.get("reason")
        self.optional_old = bool(spec.get("optionalOldSelf"))
        self.field_path = field_path
        old_type = optional_of(self_type) if self.optional_old else self_type
        self._variables = {"self": self_type, "oldSelf": old_type}

    @cached_property
    def program(self) -> Program:
        """The compiled rule. Raises CelSyntaxError; also for one that is not a bool."""
        program = compile_expression(self.text, self._variables)
        if program.result.name != "bool":
            raise CelSyntaxError("cel expression must evaluate to a bool", -1)
        return program

    @cached_property
    def message_program(self) -> Program | None:
        """The compiled messageExpression. Raises CelSyntaxError; also for one that is no text."""
        if not self.message_expression:
            return None
        program = compile_expression(self.message_expression, self._variables)
        if program.result.name != "string":
            raise CelSyntaxError("messageExpression must evaluate to a string", -1)
        return program

    @cached_property
    def uses_old(self) -> bool:
        """Whether this is a transition rule."""
        return self.program.uses("oldSelf")

    @property
    def shown(self) -> str:
        """The rule in error messages: its message, else its text."""
        return self.message or self.text.strip()


@dataclass(slots=True)
class _Run:
    """What one check has found and has left to spend."""

    causes: list[Cause]
    budget: int


class _Before:
    """A place and its old value: faults there and below are forgiven if it is as it was."""

    def __init__(self, node: SchemaNode, value: Any, old: Any) -> None:
        self._parts = (node, value, old)

    @cached_property
    def unchanged(self) -> bool:
        """Whether the place is as it was."""
        return unchanged(*self._parts)


class _OutOfBudget(Exception):  # noqa: N818 - ends a check, is no error of its own
    pass


class SchemaRules:
    """All rules at and below one place. False when there are none."""

    def __init__(self, node: SchemaNode, *, root: bool = True) -> None:
        self._tree = _build(node, type_of_schema(node, root=root))

    def __bool__(self) -> bool:
        return self._tree is not None

    def check(self, obj: Any, old: Any = None) -> list[Cause]:
        """The faults of an object that fits its schema; `old` is what it was before an update."""
        if self._tree is None:
            return []
        run = _Run([], RUNTIME_BUDGET)
        with suppress(_OutOfBudget):  # its cause is already among those found
            self._tree.check(obj, old, "", run, old if old is not None else _NOTHING, None)
        return run.causes


class _Place:
    """The rules of one place in a schema and of the places below."""

    def __init__(self, node: SchemaNode, kind: Type) -> None:
        self.node = node
        self.kind = kind
        self.convert: Convert | None = converter(kind)
        self.rules = [
            Rule(spec, kind, _normalized(spec.get("fieldPath") or "", node))
            for spec in node.schema.get("x-kubernetes-validations") or ()
            if (spec.get("rule") or "").strip()
        ]
        self.fields: dict[str, _Place] = {}
        self.values: _Place | None = None
        self.items: _Place | None = None

    def check(self, value: Any, old: Any, path: str, run: _Run, correlated: Any, ancestor: _Before | None) -> None:
        """`old` is what oldSelf names here, `correlated` the old value to ratchet by; `ancestor` is the nearest place above that has one of those."""
        if value is None:
            return
        above = ancestor if correlated is _NOTHING else _Before(self.node, value, correlated)
        if self.rules:
            self.check_rules(value, old, path, run, above)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) and self.node.schema.get("x-kubernetes-map-type") != "atomic" else {}
            known = correlated if isinstance(correlated, dict) else {}
            for key, item in value.items():
                place = self.fields.get(key) or self.values
                if place is None:
                    continue
                below = f"{path}[{key}]" if key not in self.fields else f"{path}.{key}" if path else key
                place.check(item, before.get(key), below, run, known.get(key, _NOTHING), above)
        elif isinstance(value, list) and self.items is not None:
            before_items = OldItems(self.node, old)
            known_items = before_items if correlated is old else OldItems(self.node, correlated)
            for index, item in enumerate(value):
                was, same = before_items.find(item), known_items.find(item)
                self.items.check(item, was, f"{path}[{index}]", run, _NOTHING if same is None else same, above)

    def check_rules(self, value: Any, old: Any, path: str, run: _Run, before: _Before | None) -> None:
        own = self.convert(value) if self.convert else value
        was = self.convert(old) if self.convert and old is not None else old
        for rule in self.rules:
            self.check_rule(rule, value, own, was, path, run, before)

    def check_rule(self, rule: Rule, value: Any, own: Any, was: Any, path: str, run: _Run, before: _Before | None) -> None:
        field, kind = path or causes.ROOT, self.node.type
        try:
            uses_old = rule.uses_old
        except CelSyntaxError as error:
            run.causes.append(causes.invalid(field, kind, f"rule compile error: {_compile_text(error, rule.text)}"))
            return
        if uses_old and was is None and not rule.optional_old:
            return
        old_value = Optional(was is not None, was) if rule.optional_old else was
        found = self.evaluate(rule, own, old_value, field, run)
        if found is None or found:
            return
        cause = self.fault(rule, value, self.message(rule, own, old_value, run), path)
        if uses_old or before is None or not before.unchanged:
            run.causes.append(cause)

    def evaluate(self, rule: Rule, own: Any, was: Any, field: str, run: _Run) -> bool | None:
        """Whether the rule holds; None where that could not be found out, which is a fault of its own."""
        kind = self.node.type
        if run.budget <= 0:
            self.out_of_budget(field, run)
        try:
            found, spent = rule.program.evaluate(own, was)
        except CostExceeded as error:
            detail = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.shown}"
            run.causes.append(causes.invalid(field, kind, detail))
            raise _OutOfBudget from error
        except CelError as error:
            text = str(error)
            if text.startswith("no such overload"):
                detail = f"'{text}': call arguments did not match a supported operator, function or macro signature for rule: {rule.shown}"
            else:
                detail = f"{text} evaluating rule: {rule.shown}"
            run.causes.append(causes.invalid(field, kind, detail))
            return None
        run.budget -= spent
        if run.budget < 0:
            self.out_of_budget(field, run)
        return bool(found)

    def out_of_budget(self, field: str, run: _Run) -> None:
        detail = "validation failed due to running out of cost budget, no further validation rules will be run"
        run.causes.append(causes.invalid(field, self.node.type, detail))
        raise _OutOfBudget

    def message(self, rule: Rule, own: Any, was: Any, run: _Run) -> str:
        """What the rule says of its failure: its messageExpression if that gives a usable line, else its message."""
        try:
            program = rule.message_program
            if program is not None:
                found, spent = program.evaluate(own, was)
                run.budget -= spent
                text = found.strip() if isinstance(found, str) else ""
                if text and "\n" not in text and len(text.encode()) <= _LONGEST_MESSAGE:
                    return text
        except (CelError, CostExceeded, CelSyntaxError):
            pass  # a message that cannot be made must not hide the fault; the fixed one is used
        return rule.message or f"failed rule: {rule.text.strip()}"

    def fault(self, rule: Rule, value: Any, detail: str, path: str) -> Cause:
        field = f"{path}.{rule.field_path}" if path and rule.field_path else path or rule.field_path or causes.ROOT
        if rule.reason == "FieldValueForbidden":
            return causes.forbidden(field, detail)
        if rule.reason == "FieldValueRequired":
            return causes.required(field, detail)
        whole = self.node.type in ("object", "array")
        if rule.reason == "FieldValueDuplicate":
            return Cause("FieldValueDuplicate", "Duplicate value", field) if whole else causes.duplicate(field, value)
        return causes.invalid_without_value(field, detail) if whole else causes.invalid(field, value, detail)


def _normalized(field_path: str, node: SchemaNode) -> str:
    if not field_path:
        return ""
    try:
        return resolve_field_path(field_path, node.schema)[0]
    except FieldPathError:
        return ""


def _compile_text(error: CelSyntaxError, text: str) -> str:
    return str(error) if error.position < 0 else f"compilation failed: {error.report(text)}"


def _has_rules(schema: Any) -> bool:
    """Whether a schema has rules anywhere; looks at the plain data, before any node is made."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get("x-kubernetes-validations"):
        return True
    if _has_rules(schema.get("items")) or _has_rules(schema.get("additionalProperties")):
        return True
    return any(map(_has_rules, (schema.get("properties") or {}).values()))


def _build(node: SchemaNode, kind: Type | None) -> _Place | None:
    """The tree of places with rules; None where there are none. Places whose type CEL does not see have none."""
    if kind is None or not _has_rules(node.schema):
        return None
    place = _Place(node, kind)
    for name, child in node.properties.items():
        found = _build(child, type_of_schema(child))
        if found is not None:
            place.fields[name] = found
    if node.values is not None:
        place.values = _build(node.values, type_of_schema(node.values))
    if node.items is not None:
        place.items = _build(node.items, type_of_schema(node.items))
    return place if place.rules or place.fields or place.values or place.items else None


def compile_fault(rule: Rule) -> tuple[str, str] | None:
    """What is wrong with a rule before it runs: the member at fault (`rule` or `messageExpression`) and why."""
    try:
        _ = rule.program
    except CelSyntaxError as error:
        return "rule", _compile_text(error, rule.text)
    try:
        _ = rule.message_program
    except CelSyntaxError as error:
        text = str(error) if error.position < 0 else f"messageExpression compilation failed: {error.report(rule.message_expression)}"
        return "messageExpression", text
    return None
