"""What else a CRD's schema may and may not say: types, list and map types, keys, where defaults may stand, the texts of CEL rules.

Rules and texts: apiextensions pkg/apis/apiextensions/validation/validation.go (ValidateCustomResourceDefinitionOpenAPISchema).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.apiserver.schema.field_path import FieldPathError, resolve_field_path

Schema = Mapping[str, Any]

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_META: Final = frozenset({"metadata", "kind", "apiVersion"})
_UNSUPPORTED: Final = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_REASONS: Final = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_LINE_BREAKS: Final = re.compile(r"[\n\r]")


@dataclass(frozen=True, slots=True)
class _Place:
    """What the way down has decided: whether defaults are allowed, and whether this is type or metadata of a resource."""

    defaults_refused: str | None = None
    inside_meta: bool = False


def openapi_causes(schema: Schema, path: str) -> list[Cause]:
    """What the schema says that Kubernetes does not allow."""
    return list(_walk(schema, path, _Place(), root=True))


def _walk(schema: Schema, path: str, place: _Place, *, root: bool = False) -> Iterator[Cause]:
    yield from _keywords(schema, path, place)
    if schema.get("uniqueItems"):
        yield causes.forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
    yield from _map(schema, path, place)
    for name, child in (schema.get("properties") or {}).items():
        below = place
        if (root or schema.get("x-kubernetes-embedded-resource")) and name in _META:
            below = replace(below, inside_meta=True)
            if root:
                below = replace(below, defaults_refused=f"in top-level {name}")
        yield from _walk(child, f"{path}.properties[{name}]", below)
    if schema.get("not") is not None:
        yield from _walk(schema["not"], f"{path}.not", place)
    for junctor in ("allOf", "oneOf", "anyOf"):
        for index, sub in enumerate(schema.get(junctor) or ()):
            yield from _walk(sub, f"{path}.{junctor}[{index}]", place)
    if isinstance(schema.get("items"), Mapping):
        yield from _walk(schema["items"], f"{path}.items", place)
    yield from _map_type(schema, path)
    yield from _list_type(schema, path)
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _rule_texts(schema, rule, f"{path}.x-kubernetes-validations[{index}]")


def _keywords(schema: Schema, path: str, place: _Place) -> Iterator[Cause]:
    kind = schema.get("type")
    if kind and kind not in _TYPES:
        yield causes.not_supported(f"{path}.type", kind, _TYPES)
    if schema.get("default") is not None and place.defaults_refused is not None:
        yield causes.forbidden(f"{path}.default", f"must not be set {place.defaults_refused}".rstrip())
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield causes.forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield causes.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield causes.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if place.inside_meta and schema.get("x-kubernetes-embedded-resource"):
        yield causes.forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield causes.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")


def _map(schema: Schema, path: str, place: _Place) -> Iterator[Cause]:
    values = schema.get("additionalProperties")
    if values is None:
        return
    if schema.get("properties") and (values is False or isinstance(values, Mapping)):
        yield causes.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if isinstance(values, Mapping):
        if place.inside_meta:
            place = replace(place, defaults_refused="inside additionalProperties applying to object metadata")
        yield from _walk(values, f"{path}.additionalProperties", place)


def _map_type(schema: Schema, path: str) -> Iterator[Cause]:
    map_type, kind = schema.get("x-kubernetes-map-type"), schema.get("type", "")
    if map_type is None:
        return
    if kind != "object":
        detail = "must be object if x-kubernetes-map-type is specified"
        yield causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail)
    if map_type not in ("atomic", "granular"):
        yield causes.not_supported(f"{path}.x-kubernetes-map-type", map_type, ["atomic", "granular"])


def _list_type(schema: Schema, path: str) -> Iterator[Cause]:
    list_type, kind = schema.get("x-kubernetes-list-type"), schema.get("type", "")
    keys = list(schema.get("x-kubernetes-list-map-keys") or ())
    items = schema.get("items") if isinstance(schema.get("items"), Mapping) else None
    if list_type is not None and kind != "array":
        detail = "must be array if x-kubernetes-list-type is specified"
        yield causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail)
    elif list_type == "set" and items is not None:
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        inner = items.get("x-kubernetes-list-type")
        if items.get("type") == "array" and inner not in (None, "atomic"):
            yield causes.invalid(f"{path}.items.x-kubernetes-list-type", inner, detail)
        if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
            yield causes.invalid(f"{path}.items.x-kubernetes-map-type", None, detail)
    if list_type not in (None, "atomic", "set", "map"):
        yield causes.not_supported(f"{path}.x-kubernetes-list-type", list_type, ["atomic", "set", "map"])
    if keys and list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        field = f"{path}.x-kubernetes-list-type"
        yield causes.required(field, detail) if list_type is None else causes.invalid(field, list_type, detail)
    if list_type == "map":
        yield from _list_map(items, keys, path)
    if list_type in ("set", "map") and items is not None:
        yield from _keys_and_nulls(items, keys, path, list_type)


def _list_map(items: Schema | None, keys: list[str], path: str) -> Iterator[Cause]:
    if not keys:
        yield causes.required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield causes.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    kind = items.get("type", "")
    if kind != "object":
        yield causes.invalid(f"{path}.items.type", kind, "must be object if parent array's x-kubernetes-list-type is map")
        return
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            yield causes.invalid(f"{path}.x-kubernetes-list-map-keys", keys, "entries must all be names of item properties")
        elif properties[key].get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield causes.invalid(f"{path}.items.properties[{key}].type", kind, detail)
        if key in keys[:index]:
            yield causes.invalid(f"{path}.x-kubernetes-list-map-keys", keys, "must not contain duplicate entries")


def _keys_and_nulls(items: Schema, keys: list[str], path: str, list_type: str) -> Iterator[Cause]:
    if items.get("nullable"):
        yield causes.forbidden(f"{path}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {list_type}")
    if list_type != "map":
        return
    for key in keys:
        child = (items.get("properties") or {}).get(key)
        if child is None:
            continue
        if key not in (items.get("required") or ()) and child.get("default") is None:
            detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield causes.required(f"{path}.items.properties[{key}].default", detail)
        if child.get("nullable"):
            detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield causes.forbidden(f"{path}.items.properties[{key}].nullable", detail)


def _rule_texts(schema: Schema, rule: Mapping[str, Any], path: str) -> Iterator[Cause]:
    text, message, expression = rule.get("rule") or "", rule.get("message") or "", rule.get("messageExpression") or ""
    if not text.strip():
        yield causes.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield causes.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _LINE_BREAKS.search(message.strip()):
        yield causes.invalid(f"{path}.message", message, "must not contain line breaks")
    elif _LINE_BREAKS.search(text.strip()) and not message.strip():
        yield causes.required(f"{path}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        yield causes.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    reason, field = rule.get("reason"), rule.get("fieldPath") or ""
    if reason is not None and reason not in _REASONS:
        yield causes.not_supported(f"{path}.reason", reason, _REASONS)
    if field:
        if not field.strip():
            yield causes.invalid(f"{path}.fieldPath", field, "must be non-empty if specified")
        if _LINE_BREAKS.search(field):
            yield causes.invalid(f"{path}.fieldPath", field, "must not contain line breaks")
        try:
            resolve_field_path(field, schema)
        except FieldPathError:
            yield causes.invalid(f"{path}.fieldPath", field, "must be a valid path")
