"""Defaults of a CRD's schema that their own schema would refuse or prune.

A default inside type or metadata of a resource is judged as part of one: `fakename` and the like stand around it.
Rules and texts: apiextensions pkg/apiserver/schema/defaulting/{validation,surroundingobject}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import json_text
from raysail.api.openapi import SchemaNode
from raysail.apiserver.schema import DecodeError
from raysail.apiserver.schema.correlation import equal
from raysail.apiserver.schema.defaulting import copied
from raysail.apiserver.schema.embedded import EmbeddedError, coerce_embedded, coerce_metadata, embedded_causes, embedded_resources_causes
from raysail.apiserver.schema.explanation import explain
from raysail.apiserver.schema.pruning import compile_pruning

Schema = Mapping[str, Any]
Surround = Callable[[Any], Any]
"""Puts a value where its schema stands, inside a resource."""

_META: Final = frozenset({"metadata", "apiVersion", "kind"})


def default_causes(schema: Schema, path: str) -> list[Cause]:
    """The faults of all defaults in the schema of a resource."""
    return _walk({**schema, "x-kubernetes-embedded-resource": True}, path, None)


def _resource(value: Any) -> Any:
    return {"apiVersion": "validation/v1", "kind": "Validation", **value}


def _walk(schema: Schema, path: str, inside: Surround | None) -> list[Cause]:
    """`inside` is set below type and metadata of a resource."""
    found: list[Cause] = []
    value = schema.get("default")
    if value is not None:
        found += _of_metadata(schema, value, path, inside) if inside else _of_field(schema, value, f"{path}.default")
    if isinstance(schema.get("items"), Mapping):
        found += _walk(schema["items"], f"{path}.items", _within(inside, lambda item: [item]))
    resource = bool(schema.get("x-kubernetes-embedded-resource"))
    for name, child in (schema.get("properties") or {}).items():
        outer = inside
        if resource:
            outer = _resource if name in _META else None
        found += _walk(child, f"{path}.properties[{name}]", _within(outer, _under(name)))
    return found


def _under(name: str) -> Surround:
    return lambda value: {name: value}


def _within(outer: Surround | None, inner: Surround) -> Surround | None:
    return None if outer is None else lambda value: outer(inner(value))


def _of_metadata(schema: Schema, value: Any, path: str, inside: Surround) -> list[Cause]:
    whole = inside(copied(value))
    field = f"{path}.default"
    try:
        before = json_text(whole.get("metadata"))
        if not all(isinstance(whole[name], str) for name in ("apiVersion", "kind")):
            raise DecodeError("must be a string")
        coerce_metadata(whole)
    except DecodeError as error:
        detail = f"must result in valid metadata: metadata: Invalid value: {before}: {error}"
        return [causes.invalid(field, value, detail)]
    faults = embedded_causes(whole, "")
    if faults:
        texts = [f"{cause.field}: {cause.message}" for cause in faults]
        joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return [causes.invalid(field, value, f"must result in valid metadata: {joined}")]
    return explain(SchemaNode(schema), value, prefix=field)


def _of_field(schema: Schema, value: Any, path: str) -> list[Cause]:
    node = SchemaNode(schema)
    found: list[Cause] = []
    pruned = copied(value)
    compile_pruning(node, root=False)(pruned)
    if not equal(pruned, value):
        found.append(causes.invalid(path, value, "must not have unknown fields"))
    own = copied(value)
    try:
        coerce_embedded(node, own, path)
    except EmbeddedError as error:
        return [*found, causes.invalid(error.field, error.value, error.detail)]
    return found + (embedded_resources_causes(node, own, path) or explain(node, value, prefix=path))
