"""From a view to the structural schema of its kind in one version."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Final

from raysail.api.crds.builtin import CONDITION, QUANTITY, Schema, builtin_schema
from raysail.api.meta import Condition, ObjectMeta, View
from raysail.api.structural import UNSET, Field, Rule

_API_VERSION: Final[Schema] = {"description": "Group and version of the API.", "type": "string"}
_KIND: Final[Schema] = {"description": "Kind of the object.", "type": "string"}
_QUANTITY_TYPES: Final = frozenset({str, int, float})
_SCALARS: Final[dict[type, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int32"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}
_BOUNDS: Final = (
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("max_properties", "maxProperties"),
)


def kind_schema(view: type[View], version: str, rules: Iterable[Rule] = ()) -> Schema:
    """The schema of a whole object of that kind. Parts may be shared with other schemas: do not change them."""
    schema = dict(_object(view, version))
    schema["description"] = (view.__doc__ or "").strip()
    own = {name: part for name, part in schema["properties"].items() if name not in ("apiVersion", "kind")}
    schema["properties"] = {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": {"type": "object"}, **own}
    if rules:
        schema["x-kubernetes-validations"] = [rule._asdict() for rule in rules]
    return schema


@cache
def _object(view: type[View], version: str) -> Schema:
    hints = _hints(view)
    properties: dict[str, Schema] = {}
    required = []
    for name, encode_name in zip(view.__struct_fields__, view.__struct_encode_fields__, strict=True):
        hint, facts = _unwrap(hints[name])
        if hint is ObjectMeta or any(fact.versions and version not in fact.versions for fact in facts):
            continue
        properties[encode_name] = _with_facts(_bare(hint, facts, version), facts, version)
        if any(fact.required is True or (fact.required and version in fact.required) for fact in facts):
            required.append(encode_name)
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = sorted(required)
    return schema


@cache
def _hints(view: type) -> dict[str, Any]:
    """The types of a view's fields, inherited ones too: what typing.get_type_hints gives for annotations that are all text, ten times faster."""
    hints: dict[str, Any] = {}
    for base in reversed(view.__mro__[1:]):
        if base.__module__.startswith("raysail."):
            hints |= _hints(base)
    names = vars(sys.modules[view.__module__])
    for name, text in inspect.get_annotations(view).items():
        hints[name] = eval(text, names)  # noqa: S307 - our own annotations
    return hints


def forget_schemas() -> None:
    """Frees what was made."""
    _object.cache_clear()
    _hints.cache_clear()
    builtin_schema.cache_clear()


def _unwrap(hint: Any) -> tuple[Any, list[Field]]:
    """The type without Annotated and None, and the facts found on the way, outermost last."""
    facts: list[Field] = []
    while True:
        if typing.get_origin(hint) is Annotated:
            found = [item for item in hint.__metadata__ if isinstance(item, Field)]
            facts = found + facts
            hint = hint.__origin__
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            members = [member for member in typing.get_args(hint) if member is not type(None)]
            if len(members) != 1:
                return frozenset(members), facts
            hint = members[0]
        else:
            return hint, facts


def _schema(hint: Any, version: str) -> Schema:
    bare, facts = _unwrap(hint)
    return _with_facts(_bare(bare, facts, version), facts, version)


def _bare(hint: Any, facts: list[Field], version: str) -> Schema:
    for fact in facts:
        if fact.builtin:
            return builtin_schema(fact.builtin)
    if hint == _QUANTITY_TYPES:
        return QUANTITY
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint is Condition:
        return CONDITION
    if isinstance(hint, type) and issubclass(hint, View):
        return _object(hint, version)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": _schema(arguments[0], version)}
    if typing.get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], version)}
    raise TypeError(f"no schema for {hint!r}: give the field a type that has one, or name the Kubernetes definition it is (Field.builtin)")


def _with_facts(schema: Schema, facts: list[Field], version: str) -> Schema:
    if not facts:
        return schema
    made = dict(schema)
    for fact in facts:
        if fact.description:
            made["description"] = fact.description
        if fact.format:
            made["format"] = fact.format
        if fact.default is not UNSET:
            made["default"] = fact.default
        if fact.nullable:
            made["nullable"] = True
        if fact.list_type:
            made["x-kubernetes-list-type"] = fact.list_type
        if fact.list_map_keys:
            made["x-kubernetes-list-map-keys"] = list(fact.list_map_keys)
        if fact.map_type:
            made["x-kubernetes-map-type"] = fact.map_type
        if fact.rules:
            made["x-kubernetes-validations"] = [rule._asdict() for rule in fact.rules]
        if not fact.bounds_in or version in fact.bounds_in:
            _add_bounds(made, fact)
    return made


def _add_bounds(schema: Schema, fact: Field) -> None:
    if fact.enum:
        schema["enum"] = list(fact.enum)
    if fact.pattern:
        schema["pattern"] = fact.pattern
    for attribute, key in _BOUNDS:
        value = getattr(fact, attribute)
        if value is not None:
            schema[key] = value
