"""Objects inside objects: a custom resource's own metadata, and fields marked x-kubernetes-embedded-resource.

Their type and metadata follow the built-in ObjectMeta whatever the schema says: fields it does not know are dropped, wrong types refused.
Rules: apiextensions pkg/apiserver/schema/objectmeta and unstructuredSchemaCoercer in pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import json_text
from raysail.api.names import label_key_faults, label_value_faults
from raysail.api.openapi import SchemaNode, builtin_node
from raysail.apiserver.rest.names import segment_faults
from raysail.apiserver.schema.decode import DecodeError, decode

_LABEL: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_RULE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric "
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


class EmbeddedError(DecodeError):
    """An embedded resource's type or metadata cannot be read."""

    def __init__(self, field: str, value: Any, detail: str) -> None:
        super().__init__(f"{field}: Invalid value: {json_text(value)}: {detail}")
        self.field = field
        self.value = value
        self.detail = detail


@cache
def object_meta() -> SchemaNode:
    """The schema of ObjectMeta."""
    return builtin_node("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")


def coerce_metadata(obj: dict[str, Any], path: str = "") -> list[str]:
    """Makes `obj["metadata"]` what ObjectMeta can hold; returns the paths of unknown fields. Raises DecodeError."""
    if "metadata" not in obj:
        return []
    metadata = obj["metadata"]
    if metadata is None:
        obj["metadata"] = {}
        return []
    if not isinstance(metadata, dict):
        raise DecodeError(f"json: cannot unmarshal {_kind(metadata)} into Go value of type v1.ObjectMeta")
    obj["metadata"], unknown = decode(object_meta(), metadata, "ObjectMeta", f"{path}.metadata" if path else "metadata")
    return unknown


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "array"
    return "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def has_embedded(node: SchemaNode) -> bool:
    """Whether embedded resources stand anywhere below this schema."""
    if node.schema.get("x-kubernetes-embedded-resource"):
        return True
    below = [*node.properties.values(), *(n for n in (node.items, node.values) if n is not None)]
    return any(has_embedded(child) for child in below)


def coerce_embedded(node: SchemaNode, value: Any, path: str = "") -> list[str]:
    """`coerce_metadata` for every embedded resource below. Raises DecodeError."""
    unknown: list[str] = []
    if isinstance(value, dict):
        if node.schema.get("x-kubernetes-embedded-resource"):
            for name in ("apiVersion", "kind"):
                if name in value and not isinstance(value[name], str):
                    raise EmbeddedError(f"{path}.{name}", value[name], "must be a string")
            try:
                unknown += coerce_metadata(value, path)
            except DecodeError as error:
                raise EmbeddedError(f"{path}.metadata", value["metadata"], str(error)) from None
        for key, field in value.items():
            child = node.child(key)
            if child is not None:
                unknown += coerce_embedded(child, field, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            unknown += coerce_embedded(node.items, item, f"{path}[{index}]")
    return unknown


def embedded_causes(value: dict[str, Any], path: str) -> list[Cause]:
    """The faults of one embedded resource's type and metadata."""
    found: list[Cause] = []
    for name in ("apiVersion", "kind"):
        field = f"{path}.{name}" if path else name
        if name not in value:
            found.append(causes.required(field))
        elif not isinstance(value[name], str):
            found.append(causes.invalid(field, value[name], "must be a string"))
        elif not value[name]:
            found.append(causes.invalid(field, "", "must not be empty"))
        elif name == "apiVersion" and value[name].count("/") > 1:
            found.append(causes.invalid(field, value[name], f"unexpected GroupVersion string: {value[name]}"))
        elif name == "kind" and (not _LABEL.fullmatch(value[name].lower()) or len(value[name]) > 63):
            found.append(causes.invalid(field, value[name], f"may have mixed case, but should otherwise match: {_LABEL_RULE}"))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        found += _metadata_causes(metadata, f"{path}.metadata" if path else "metadata")
    return found


def _metadata_causes(metadata: dict[str, Any], path: str) -> list[Cause]:
    """Names, labels and annotations of an embedded resource, whatever its kind allows."""
    name = metadata.get("name", "")
    found = [causes.invalid(f"{path}.name", name, fault) for fault in segment_faults(name)]
    for key, value in (metadata.get("labels") or {}).items():
        found += [causes.invalid(f"{path}.labels", key, fault) for fault in label_key_faults(key)]
        found += [causes.invalid(f"{path}.labels", value, fault) for fault in label_value_faults(value)]
    for key in metadata.get("annotations") or {}:
        found += [causes.invalid(f"{path}.annotations", key, fault) for fault in label_key_faults(key.lower())]
    return found


def embedded_resources_causes(node: SchemaNode, value: Any, path: str = "") -> list[Cause]:
    """`embedded_causes` for every embedded resource below."""
    found: list[Cause] = []
    if isinstance(value, dict):
        if node.schema.get("x-kubernetes-embedded-resource"):
            found += embedded_causes(value, path)
        for key, field in value.items():
            child = node.properties.get(key)
            if child is not None:
                found += embedded_resources_causes(child, field, f"{path}.{key}" if path else key)
            elif node.values is not None:
                found += embedded_resources_causes(node.values, field, f"{path}[{key}]")
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += embedded_resources_causes(node.items, item, f"{path}[{index}]")
    return found
