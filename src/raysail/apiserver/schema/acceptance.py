"""Whether an object fits its schema: yes or no, fast.

Nearly every object fits. So the question is asked of compiled predicates that build no text and no path (this module); only after a no does
`explain` walk the schema again, slowly, and say what is wrong. The two must agree: `accepts(v) == (explain(v) == [])` is a test.
Predicates are made when an object first reaches their place. Rules and their order: k8s.io/kube-openapi pkg/validation/validate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from raysail.api.openapi import SchemaNode
from raysail.apiserver.schema.formats import checked_format, text_format
from raysail.apiserver.schema.numbers import fits_format, is_integral, is_multiple
from raysail.apiserver.schema.patterns import PatternError, compile_pattern
from raysail.apiserver.schema.uniqueness import has_duplicate_items, has_duplicates

Accept = Callable[[Any], bool]

_PYTHON_TYPES: Final[dict[str, type]] = {"object": dict, "array": list, "string": str, "boolean": bool}


def schema_types(node: SchemaNode) -> tuple[str, ...]:
    """The types a value may have; empty for any."""
    if node.schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (node.type,) if node.type else ()


def compile_acceptance(node: SchemaNode) -> Accept:
    """The predicate of one place: a fitting value is True. Embedded resources and list types are part of it."""
    made = _compile(node)
    return made if not isinstance(made, type) else lambda value: type(value) is made


def _compile(node: SchemaNode) -> Accept | type:
    """The predicate, or just the Python type where nothing else is asked: most fields of a Pod are such."""
    types = schema_types(node)
    checks = {
        dict: _object_check(node),
        list: _array_check(node),
        str: _text_check(node),
        bool: _always,
        int: _number_check(node, types),
        float: _number_check(node, types),
    }
    by_type: dict[type, Accept] = {kind: check for kind, check in checks.items() if _type_fits(kind, types, node)}
    if "integer" in types and "number" not in types:
        inner = checks[float]
        by_type[float] = lambda value: is_integral(value) and inner(value)
    extra = [check for check in (_enum_check(node), *_combination_checks(node)) if check is not None]
    accepts_null = (not types or node.nullable) and not node.schema.get("enum")
    if not extra and not accepts_null and len(by_type) == 1:
        ((kind, only),) = by_type.items()
        if only is _always:
            return kind
        if kind is dict or kind is list:
            return only  # these look at the type themselves

    def accept(value: Any) -> bool:
        check = by_type.get(type(value))
        if check is None:
            return accepts_null if value is None else False
        return check(value)

    if not extra:
        return accept

    def accept_all(value: Any) -> bool:
        if value is None:
            return accepts_null
        return accept(value) and all(check(value) for check in extra)

    return accept_all


def _always(_: Any) -> bool:
    return True


def _type_fits(kind: type, types: tuple[str, ...], node: SchemaNode) -> bool:
    if not types:
        return True
    if kind is int:
        return "integer" in types or "number" in types
    if kind is float:
        return "number" in types
    if kind in (str, list) and "integer" not in types and "number" not in types and _format_of(node, types):
        return True  # upstream does not look at the type of text and lists where a format stands
    return any(_PYTHON_TYPES.get(name) is kind for name in types)


def _format_of(node: SchemaNode, types: tuple[str, ...]) -> str:
    return checked_format(types[0] if len(types) == 1 else "", node.schema.get("format", ""))


def _text_check(node: SchemaNode) -> Accept:
    schema = node.schema
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    pattern = schema.get("pattern") or None
    check_format = text_format(_format_of(node, schema_types(node)))
    if shortest is None and longest is None and pattern is None and check_format is None:
        return _always
    try:
        search = compile_pattern(pattern).search if pattern else None
    except PatternError:
        return lambda _: False
    low, high = shortest or 0, math.inf if longest is None else longest

    def accept(value: str) -> bool:
        return low <= len(value) <= high and (search is None or search(value) is not None) and (check_format is None or check_format(value))

    return accept


def _number_check(node: SchemaNode, types: tuple[str, ...]) -> Accept:
    schema = node.schema
    low, high, factor = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    above, below = bool(schema.get("exclusiveMinimum")), bool(schema.get("exclusiveMaximum"))
    only = types[0] if len(types) == 1 else ""
    number_format = _format_of(node, types)

    def accept(value: float) -> bool:
        return (
            fits_format(value, only, number_format)
            and (low is None or value > low or (value == low and not above))
            and (high is None or value < high or (value == high and not below))
            and (factor is None or is_multiple(value, factor))
        )

    return accept


def _array_check(node: SchemaNode) -> Accept:
    schema = node.schema
    shortest, longest = schema.get("minItems") or 0, schema.get("maxItems")
    most = math.inf if longest is None else longest
    unique = bool(schema.get("uniqueItems"))
    list_type, keys = node.list_type, node.list_map_keys
    item: Accept | type | None = None

    def accept(value: Any) -> bool:
        nonlocal item
        if type(value) is not list:
            return False
        if not shortest <= len(value) <= most:
            return False
        if value and node.items is not None:
            if item is None:
                item = _compile(node.items)
            if item.__class__ is type:
                if any(type(element) is not item for element in value):
                    return False
            else:
                for element in value:
                    if not item(element):
                        return False
        if list_type != "atomic" and has_duplicate_items(value, list_type, keys):
            return False
        return not (unique and has_duplicates(value))

    return accept


def _object_check(node: SchemaNode) -> Accept:
    schema = node.schema
    fewest, most = schema.get("minProperties") or 0, schema.get("maxProperties")
    limit = math.inf if most is None else most
    required = tuple(schema.get("required") or ())
    closed = schema.get("additionalProperties") is False
    fields = _Fields(node)
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))

    def accept(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        if not fewest <= len(value) <= limit:
            return False
        for key, field in value.items():
            check = fields[key]
            if check.__class__ is type:
                if type(field) is not check:
                    return False
            elif check is None:
                if closed:
                    return False
            elif not check(field):
                return False
        return not embedded or _embedded_fits(value)

    return accept


def _embedded_fits(value: dict[str, Any]) -> bool:
    from raysail.apiserver.schema.embedded import embedded_causes

    return not embedded_causes(value, "")


class _Fields(dict[str, "Accept | type | None"]):
    """The predicates of an object's fields, made on first use; map values share one."""

    def __init__(self, node: SchemaNode) -> None:
        super().__init__()
        self.node = node
        self.values_check: Accept | type | None = None

    def __missing__(self, key: str) -> Accept | type | None:
        child = self.node.properties.get(key)
        if child is not None:
            made = self[key] = _compile(child)
            return made
        if self.values_check is None and self.node.values is not None:
            self.values_check = _compile(self.node.values)
        return self.values_check


def _enum_check(node: SchemaNode) -> Accept | None:
    allowed = node.schema.get("enum")
    if not allowed:
        return None
    if all(isinstance(value, str) for value in allowed):
        texts = frozenset(allowed)
        return lambda value: type(value) is str and value in texts
    return lambda value: is_one_of(value, allowed)


def is_one_of(value: Any, allowed: list[Any]) -> bool:
    """Whether the value is in an enumeration; 1 and 1.0 are the same, true and 1 are not."""
    if value is None:
        return False  # upstream never finds a null in an enumeration, even where it is listed
    return any(option == value and isinstance(option, bool) is isinstance(value, bool) for option in allowed)


def _combination_checks(node: SchemaNode) -> list[Accept]:
    """allOf, anyOf, oneOf and not, compiled at once: they are small (structural schemas repeat no fields there)."""
    schema = node.schema
    checks: list[Accept] = []
    if every := [compile_acceptance(SchemaNode(sub)) for sub in schema.get("allOf") or ()]:
        checks.append(lambda value: all(check(value) for check in every))
    if some := [compile_acceptance(SchemaNode(sub)) for sub in schema.get("anyOf") or ()]:
        checks.append(lambda value: any(check(value) for check in some))
    if one := [compile_acceptance(SchemaNode(sub)) for sub in schema.get("oneOf") or ()]:
        checks.append(lambda value: sum(check(value) for check in one) == 1)
    if schema.get("not") is not None:
        unwanted = compile_acceptance(SchemaNode(schema["not"]))
        checks.append(lambda value: not unwanted(value))
    return checks
