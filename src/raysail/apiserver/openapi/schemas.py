"""The schemas of an OpenAPI document: those of its kinds and everything they refer to.

Custom kinds are published as kube-apiserver does (apiextensions pkg/controller/openapi/builder): type and metadata refer to the built-in ones, the list kind is
made up, int-or-string says both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from raysail.api.openapi import builtin_schemas
from raysail.apiserver.openapi.naming import kind_name
from raysail.apiserver.strategy import Definition

Schema = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_COMMON: Final = tuple(_META + name for name in ("DeleteOptions", "ObjectMeta", "ListMeta", "Patch", "Status", "WatchEvent"))
_API_VERSION: Final = {
    "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest "
    "internal value, and may reject unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    "type": "string",
}
_KIND: Final = {
    "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client "
    "submits requests to. Cannot be updated. In CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
    "type": "string",
}
_EITHER: Final = [{"type": "integer"}, {"type": "string"}]


def component_schemas(definitions: Iterable[Definition]) -> dict[str, Schema]:
    """All schemas that documents of these resources need, by name."""
    found: dict[str, Schema] = {}
    wanted: list[str] = list(_COMMON)
    for definition in definitions:
        name = kind_name(definition)
        if definition.custom:
            found[name] = custom_schema(definition)
            found[f"{name}List"] = _list_schema(definition, name)
            wanted += _references(found[name]) + _references(found[f"{name}List"])
        else:
            wanted.append(name)
            wanted += [f"{name}List"] if "list" in definition.verbs else []
        if "scale" in definition.subresources:
            wanted.append("io.k8s.api.autoscaling.v1.Scale")
    builtin = builtin_schemas()
    while wanted:
        name = wanted.pop()
        if name not in found and name in builtin:
            found[name] = builtin[name]
            wanted += _references(builtin[name])
    return dict(sorted(found.items()))


def _references(schema: Any) -> list[str]:
    """The names a schema refers to, directly."""
    found: list[str] = []
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            target = value.get("$ref")
            if isinstance(target, str):
                found.append(target.removeprefix(_PREFIX))
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found


def _kind_extension(definition: Definition, kind: str) -> list[Schema]:
    resource = definition.resource
    return [{"group": resource.group, "kind": kind, "version": resource.version}]


def custom_schema(definition: Definition) -> Schema:
    """A custom kind's schema as it is published."""
    found = _published(definition.strategy.schema.schema)
    found["properties"] = {**(found.get("properties") or {}), **_type_and_metadata()}
    found["x-kubernetes-group-version-kind"] = _kind_extension(definition, definition.resource.kind)
    if definition.selectable_fields:
        found["x-kubernetes-selectable-fields"] = [{"fieldPath": path} for path in definition.selectable_fields]
    return found


def _type_and_metadata() -> Schema:
    described = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    metadata = {"allOf": [{"$ref": f"{_PREFIX}{_META}ObjectMeta"}], "description": described}
    return {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": metadata}


def _list_schema(definition: Definition, name: str) -> Schema:
    resource = definition.resource
    reference = {"$ref": f"{_PREFIX}{name}"}
    described = (
        "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
    )
    documentation = (
        "List of " + resource.plural + ". More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
    )
    return {
        "description": f"{resource.kind}List is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "metadata": {"allOf": [{"$ref": f"{_PREFIX}{_META}ListMeta"}], "description": described},
            "items": {"type": "array", "description": documentation, "items": {"allOf": [reference]}},
        },
        "x-kubernetes-group-version-kind": _kind_extension(definition, definition.list_kind or f"{resource.kind}List"),
    }


def _published(schema: Mapping[str, Any]) -> Schema:
    """A part of a structural schema for other eyes."""
    found = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        if schema.get("anyOf") != _EITHER and not any(sub.get("anyOf") == _EITHER for sub in schema.get("allOf") or ()):
            found["anyOf"] = [*_EITHER]
    elif "x-kubernetes-int-or-string" in found:
        del found["x-kubernetes-int-or-string"]
    if isinstance(schema.get("properties"), Mapping):
        found["properties"] = {name: _published(child) for name, child in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            found[key] = _published(schema[key])
    if schema.get("x-kubernetes-embedded-resource"):
        found["properties"] = {**found.get("properties", {}), **_type_and_metadata()}
    return found
