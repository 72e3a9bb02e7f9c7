"""Whether a CRD's schema is structural: every field's type is said outside of allOf, anyOf, oneOf and not.

Only then can unknown fields be pruned and defaults be found. Rules and texts: apiextensions pkg/apiserver/schema/{validation,complete}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.apiserver.schema.patterns import PatternError, compile_pattern

Schema = Mapping[str, Any]

_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_EMPTY_TYPE: Final = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_FORBIDDEN_IN_VALIDATION: Final = (
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def structural_causes(schema: Schema, path: str) -> list[Cause]:
    """Every violation, sorted by field and text."""
    found = [*_invariants(schema, "root", path), *_completeness(schema, schema, path, path)]
    return sorted(found, key=lambda c: (c.field, c.message))


def _invariants(schema: Schema, level: str, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    items = schema.get("items")
    if kind == "array" and items is None:
        yield causes.required(f"{path}.items", "must be specified")
    if isinstance(items, Mapping):
        yield from _invariants(items, "item", f"{path}.items")
    properties = schema.get("properties") or {}
    for name, child in properties.items():
        yield from _invariants(child, "field", f"{path}.properties[{name}]")
    yield from _map_invariants(schema, level, path)
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    either = bool(schema.get("x-kubernetes-int-or-string"))
    if either and preserves:
        yield causes.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", True, "must be false if x-kubernetes-int-or-string is true")
    if either and embedded:
        yield causes.invalid(f"{path}.x-kubernetes-embedded-resource", True, "must be false if x-kubernetes-int-or-string is true")
    yield from _value_validation(schema, path, skip_any=schema.get("anyOf") == _INT_OR_STRING, skip_first_all=_starts_with_either(schema))
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail)
    elif not kind and not either and not preserves:
        yield causes.required(f"{path}.type", _EMPTY_TYPE[level])
    if level == "root" and kind and kind != "object":
        yield causes.invalid(f"{path}.type", kind, "must be object at the root")
    yield from _meta_invariants(properties, level, path, check=level == "root" or embedded)
    if embedded and not preserves and not properties:
        detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        yield causes.required(f"{path}.properties", detail)


def _map_invariants(schema: Schema, level: str, path: str) -> Iterator[Cause]:
    values = schema.get("additionalProperties")
    if values is None or values is False:
        return
    if level == "root":
        yield causes.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(values, Mapping):
        yield from _invariants(values, "field", f"{path}.additionalProperties")
    if schema.get("x-kubernetes-embedded-resource"):
        yield causes.forbidden(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set")


def _meta_invariants(properties: Mapping[str, Schema], level: str, path: str, *, check: bool) -> Iterator[Cause]:
    """What a schema may say of type and metadata: that they are text and an object, and of metadata its names."""
    if check:
        for name in ("kind", "apiVersion"):
            if name in properties and properties[name].get("type") != "string":
                yield causes.invalid(f"{path}.properties[{name}].type", properties[name].get("type", ""), "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    if check and metadata.get("type") != "object":
        yield causes.invalid(f"{path}.properties[metadata].type", metadata.get("type", ""), "must be object")
    if level == "root":
        rest = {k: v for k, v in metadata.items() if k not in ("type", "default", "properties") and v}
        if rest or not set(metadata.get("properties") or ()) <= {"name", "generateName"}:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield causes.forbidden(f"{path}.properties[metadata]", detail)


def _starts_with_either(schema: Schema) -> bool:
    first = (schema.get("allOf") or [{}])[0]
    return bool(first.get("anyOf") == _INT_OR_STRING)


def _value_validation(schema: Schema, path: str, *, skip_any: bool = False, skip_first_all: bool = False) -> Iterator[Cause]:
    if not skip_any:
        for index, sub in enumerate(schema.get("anyOf") or ()):
            yield from _nested(sub, f"{path}.anyOf[{index}]")
    for index, sub in enumerate(schema.get("allOf") or ()):
        yield from _nested(sub, f"{path}.allOf[{index}]", skip_any=skip_first_all and index == 0)
    for index, sub in enumerate(schema.get("oneOf") or ()):
        yield from _nested(sub, f"{path}.oneOf[{index}]")
    if schema.get("not") is not None:
        yield from _nested(schema["not"], f"{path}.not")
    if schema.get("pattern"):
        try:
            compile_pattern(schema["pattern"])
        except PatternError as error:
            yield causes.invalid(f"{path}.pattern", schema["pattern"], f"must be a valid regular expression, but isn't: {error}")


def _nested(schema: Schema, path: str, *, skip_any: bool = False) -> Iterator[Cause]:
    """A schema under a junctor may only restrict values, not describe them."""
    yield from _value_validation(schema, path, skip_any=skip_any)
    if isinstance(schema.get("items"), Mapping):
        yield from _nested(schema["items"], f"{path}.items")
    for name, child in (schema.get("properties") or {}).items():
        yield from _nested(child, f"{path}.properties[{name}]")
    if schema.get("additionalProperties") is not None:
        yield causes.forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for name, detail in _FORBIDDEN_IN_VALIDATION:
        if schema.get(name):
            yield causes.forbidden(f"{path}.{name}", detail)
    if "metadata" in (schema.get("properties") or {}):
        yield causes.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _completeness(validation: Schema, structural: Schema | None, path: str, where: str) -> Iterator[Cause]:
    """What is validated under a junctor must be described outside."""
    for sub, place in _junctors(validation, where):
        yield from _nested_completeness(sub, structural, path, place)


def _junctors(schema: Schema, where: str) -> Iterator[tuple[Schema, str]]:
    if schema.get("not") is not None:
        yield schema["not"], f"{where}.not"
    for name in ("allOf", "anyOf", "oneOf"):
        for index, sub in enumerate(schema.get(name) or ()):
            yield sub, f"{where}.{name}[{index}]"


def _nested_completeness(validation: Schema, structural: Schema | None, path: str, where: str) -> Iterator[Cause]:
    if structural is None:
        yield causes.required(path, f"because it is defined in {where}")
        return
    yield from _completeness(validation, structural, path, where)
    if isinstance(validation.get("items"), Mapping):
        items = structural.get("items")
        yield from _nested_completeness(
            validation["items"], items if isinstance(items, Mapping) else None, f"{path}.items", f"{where}.items"
        )
    for name, child in (validation.get("properties") or {}).items():
        described = (structural.get("properties") or {}).get(name)
        yield from _nested_completeness(child, described, f"{path}.properties[{name}]", f"{where}.properties[{name}]")
