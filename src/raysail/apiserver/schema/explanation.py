"""Why an object does not fit its schema, in the words of kube-apiserver.

The slow twin of `acceptance`: it walks schema and value together and collects causes. Messages, reasons, the choice among failed alternatives (by how
many checks each passed) and ratcheting (faults in a part that an update did not touch are forgiven) follow k8s.io/kube-openapi
pkg/validation/{validate,errors} and apiextensions pkg/apiserver/validation/{validation,ratcheting}.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import number_text, quote
from raysail.api.openapi import SchemaNode
from raysail.apiserver.schema.acceptance import is_one_of, schema_types
from raysail.apiserver.schema.correlation import OldItems, unchanged
from raysail.apiserver.schema.formats import checked_format, text_format
from raysail.apiserver.schema.numbers import as_go_number, fits_format, is_integral, is_multiple
from raysail.apiserver.schema.patterns import PatternError, compile_pattern
from raysail.apiserver.schema.uniqueness import has_duplicates

NO_OLD: Final = object()
"""Stands for an old value that cannot be correlated: nothing is forgiven."""


@dataclass(slots=True)
class _Result:
    """Faults of one place and how many checks were made there (the measure by which a failed alternative is chosen)."""

    causes: list[Cause] = field(default_factory=list)
    checks: int = 0

    def merge(self, other: _Result) -> None:
        self.causes += other.causes
        self.checks += other.checks


def explain(node: SchemaNode, value: Any, old: Any = NO_OLD, prefix: str = "") -> list[Cause]:
    """All faults of `value`. With `old`, those in unchanged parts are left out.

    `prefix` is the field under which `value` stands (`status` when only that is checked); upstream's messages do not repeat it, only the causes' fields do.
    """
    return _Walk(prefix).place(node, value, "", old).causes


class _Walk:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def field(self, path: str) -> str:
        path = path.removeprefix(".")
        if self.prefix:
            return f"{self.prefix}.{path}" if path else self.prefix
        return path or causes.ROOT

    def place(self, node: SchemaNode, value: Any, path: str, old: Any) -> _Result:
        result = self.check(node, as_go_number(value), path, old)
        if result.causes and old is not NO_OLD and unchanged(node, value, old):
            result.causes = []
        return result

    def check(self, node: SchemaNode, value: Any, path: str, old: Any) -> _Result:
        result = _Result()
        types = schema_types(node)
        format_name = checked_format(types[0] if len(types) == 1 else "", node.schema.get("format", ""))
        if types or format_name:
            self.check_type(node, types, format_name, value, path, result)
        if value is None:
            self.check_enum(node, value, path, result)
            result.checks = 0 if result.causes else 1
            return result
        self.check_combinations(node, value, path, result)
        if isinstance(value, str):
            self.check_text(node, value, path, result)
            check = text_format(format_name)
            if check is not None:
                if not check(value):
                    message = f"{path} in body must be of type {format_name}: {quote(value)}"
                    result.causes.append(causes.type_invalid(self.field(path), value, message))
                result.checks += 1
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.check_number(node, types, format_name, value, path, result)
        elif isinstance(value, list):
            self.check_array(node, value, path, old, result)
        self.check_enum(node, value, path, result)
        if isinstance(value, dict):
            self.check_object(node, value, path, old, result)
        result.checks += 1
        return result

    def invalid(self, path: str, value: Any, message: str) -> Cause:
        return causes.invalid(self.field(path), value, f"{path} in body {message}")

    def without_field(self, message: str) -> Cause:
        """A fault that upstream cannot place: it names the path in its text only."""
        return causes.invalid(self.field(""), "", message)

    def check_type(self, node: SchemaNode, types: tuple[str, ...], format_name: str, value: Any, path: str, result: _Result) -> None:
        result.checks += 1
        if value is None:
            if types and not node.nullable:
                self.wrong_type(",".join(types), "null", path, result)
            return
        actual, actual_format = _type_of(value)
        numeric = "number" in types or "integer" in types
        integral = actual == "number" and "integer" in types and is_integral(value)
        widened = actual == "integer" and "number" in types
        fits = actual in types or integral or widened
        if actual not in ("string", "array") and format_name and not (fits or actual_format == format_name):
            self.wrong_type(format_name, actual_format, path, result)
        elif not fits and (numeric or not format_name or actual not in ("string", "array")):
            self.wrong_type(",".join(types), actual, path, result)
        else:
            result.checks += 1

    def wrong_type(self, wanted: str, actual: str, path: str, result: _Result) -> None:
        message = f"{path} in body must be of type {wanted}: {quote(actual)}"
        result.causes.append(causes.type_invalid(self.field(path), actual, message))

    def check_enum(self, node: SchemaNode, value: Any, path: str, result: _Result) -> None:
        allowed = node.schema.get("enum")
        if allowed and not is_one_of(value, allowed):
            result.causes.append(causes.not_supported(self.field(path), value, allowed))
        result.checks += 1

    def check_text(self, node: SchemaNode, value: str, path: str, result: _Result) -> None:
        schema = node.schema
        result.checks += 1
        longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
        if longest is not None and len(value) > longest:
            result.causes.append(causes.too_long(self.field(path), longest))
        elif shortest is not None and len(value) < shortest:
            result.causes.append(self.invalid(path, value, f"should be at least {shortest} chars long"))
        elif pattern:
            try:
                matches = compile_pattern(pattern).search(value) is not None
            except PatternError as error:
                pattern, matches = f"{pattern}, but pattern is invalid: {error}", False
            if not matches:
                result.causes.append(self.invalid(path, value, f"should match '{pattern}'"))

    def check_number(self, node: SchemaNode, types: tuple[str, ...], format_name: str, value: float, path: str, result: _Result) -> None:
        schema = node.schema
        only = types[0] if len(types) == 1 and types[0] in ("integer", "number") else ""
        result.checks += 2
        if not fits_format(value, only, format_name):
            kind = f"with format {format_name}" if format_name else "(default format)"
            result.causes.append(self.without_field(f"Checked value must be of type {only} {kind} in {path}"))
        factor, low, high = schema.get("multipleOf"), schema.get("minimum"), schema.get("maximum")
        if factor is not None and not is_multiple(value, factor):
            result.causes.append(self.invalid(path, value, f"should be a multiple of {number_text(factor)}"))
        if low is not None and (value < low or (value == low and schema.get("exclusiveMinimum"))):
            words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            result.causes.append(self.invalid(path, value, f"should be {words} {number_text(low)}"))
        if high is not None and (value > high or (value == high and schema.get("exclusiveMaximum"))):
            words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
            result.causes.append(self.invalid(path, value, f"should be {words} {number_text(high)}"))

    def check_array(self, node: SchemaNode, value: list[Any], path: str, old: Any, result: _Result) -> None:
        schema = node.schema
        result.checks += 2
        if node.items is not None:
            before_items = OldItems(node, old)
            for index, item in enumerate(value):
                before = before_items.find(item)
                result.merge(self.place(node.items, item, f"{path}[{index}]", NO_OLD if before is None else before))
        fewest, most = schema.get("minItems"), schema.get("maxItems")
        if fewest is not None and len(value) < fewest:
            result.causes.append(self.invalid(path, len(value), f"should have at least {fewest} items"))
        if most is not None and len(value) > most:
            result.causes.append(causes.too_many(self.field(path), len(value), most))
        if schema.get("uniqueItems") and has_duplicates(value):
            result.causes.append(self.invalid(path, "", "shouldn't contain duplicates"))

    def check_object(self, node: SchemaNode, value: dict[str, Any], path: str, old: Any, result: _Result) -> None:
        schema = node.schema
        result.checks += 1
        fewest, most = schema.get("minProperties"), schema.get("maxProperties")
        if fewest is not None and len(value) < fewest:
            result.causes.append(self.invalid(path, len(value), f"should have at least {fewest} properties"))
        if most is not None and len(value) > most:
            result.causes.append(causes.too_many(self.field(path), len(value), most))
        before = old if isinstance(old, dict) else {}
        closed = schema.get("additionalProperties") is False
        for key, item in value.items():
            child = node.properties.get(key)
            if child is None:
                if closed:
                    result.causes.append(causes.invalid(self.field(path), key, f"{path}.{key} in body is a forbidden property"))
                elif node.values is not None:
                    result.merge(self.place(node.values, item, f"{path}.{key}", before.get(key, NO_OLD)))
                continue
            type_meta = not path and key in ("kind", "apiVersion")
            result.merge(self.place(child, item, f"{path}.{key}" if path else key, NO_OLD if type_meta else before.get(key, NO_OLD)))
        for name in schema.get("required") or ():
            if name not in value:
                result.causes.append(causes.required(self.field(f"{path}.{name}")))

    def check_combinations(self, node: SchemaNode, value: Any, path: str, result: _Result) -> None:
        schema = node.schema
        result.checks += 2
        some = [self.alternative(sub, value, path) for sub in schema.get("anyOf") or ()]
        if some:
            fitting = next((r for r in some if not r.causes), None)
            if fitting is None:
                result.causes.append(self.without_field(f"{quote(path)} must validate at least one schema (anyOf)"))
            result.merge(fitting or _best(some))
        one = [self.alternative(sub, value, path) for sub in schema.get("oneOf") or ()]
        if one:
            self.check_exactly_one(one, path, result)
        every = [self.alternative(sub, value, path) for sub in schema.get("allOf") or ()]
        for alternative in every:
            result.merge(alternative)
        failed = sum(bool(r.causes) for r in every)
        if failed:
            none = ". None validated" if failed == len(every) else ""
            result.causes.append(self.without_field(f"{quote(path)} must validate all the schemas (allOf){none}"))
        if schema.get("not") is not None and not self.alternative(schema["not"], value, path).causes:
            result.causes.append(self.without_field(f"{quote(path)} must not validate the schema (not)"))

    def check_exactly_one(self, alternatives: list[_Result], path: str, result: _Result) -> None:
        fitting = [r for r in alternatives if not r.causes]
        if len(fitting) == 1:
            result.merge(fitting[0])
            return
        found = f"Found {len(fitting)} valid alternatives" if fitting else "Found none valid"
        result.causes.append(self.without_field(f"{quote(path)} must validate one and only one schema (oneOf). {found}"))
        if not fitting:
            result.merge(_best(alternatives))

    def alternative(self, schema: dict[str, Any], value: Any, path: str) -> _Result:
        return self.place(SchemaNode(schema), value, path, NO_OLD)


def _best(failed: list[_Result]) -> _Result:
    """The failed alternative with the most checks passed; the first of equals."""
    return max(failed, key=lambda r: r.checks)


def _type_of(value: Any) -> tuple[str, str]:
    """JSON type and the format that Go's value implies."""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, int):
        return "integer", "int64"
    if isinstance(value, float):
        return "number", "float64"
    if isinstance(value, str):
        return "string", ""
    return ("array", "") if isinstance(value, list) else ("object", "")
