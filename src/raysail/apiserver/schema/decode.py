"""Reading an object of a built-in kind as Go's decoder would: types, unknown fields, nulls, canonical forms.

A kube-apiserver decodes JSON into Go structs and writes them back. What a client sees of that: values of a wrong type are refused in `encoding/json`'s
words, unknown fields are dropped (and named, for field validation), nulls vanish, quantities and times come back in their canonical form.
This does the same over the published schema. What only the Go types know (which empty values `omitempty` hides) is left to each kind.
Source: sigs.k8s.io/json, apimachinery pkg/apis/meta/v1/{time,micro_time}.go, pkg/api/resource.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from raysail.api.go_text import number_text, quote
from raysail.api.openapi import SchemaNode, builtin_node
from raysail.api.quantity import canonical
from raysail.apiserver.schema.numbers import MAX_INT32, MAX_INT64, MIN_INT32, MIN_INT64

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
OPAQUE: Final = frozenset(
    {
        _META + "FieldsV1",
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
        _EXTENSIONS + "JSON",
    }
)
SCHEMA_UNIONS: Final = frozenset(
    _EXTENSIONS + name for name in ("JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")
)
_RFC3339: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_TIME_LAYOUT: Final = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT: Final = "2006-01-02T15:04:05.000000Z07:00"
_QUANTITY_RULE: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class DecodeError(ValueError):
    """The value cannot be held by the kind; the message is Go's."""


@dataclass(slots=True)
class Unknown:
    """Paths of dropped fields, e.g. `spec.containers[0].foo`, in the order they were met."""

    paths: list[str] = field(default_factory=list)


def decode(node: SchemaNode, value: Any, struct: str = "", prefix: str = "") -> tuple[Any, list[str]]:
    """The value as the kind holds it (changed in place where possible), and the paths of unknown fields.

    `struct` names the Go type of the root for messages (`Pod`); derived from the schema where empty. `prefix` stands before all paths. Raises DecodeError.
    """
    unknown = Unknown()
    decoded = _Decoder(unknown).value(node, value, struct or _struct_name(node), (), prefix)
    return decoded, unknown.paths


def _struct_name(node: SchemaNode) -> str:
    return node.definition.rpartition(".")[2]


def go_type(node: SchemaNode) -> str:
    """The Go type that a schema stands for, as messages print it."""
    if node.type == "array":
        return "[]" + (go_type(node.items) if node.items else "interface {}")
    if node.type == "object" and node.values is not None:
        return "map[string]" + go_type(node.values)
    if node.definition and node.type in ("object", ""):
        package, _, name = node.definition.rpartition(".")
        return f"{package.rpartition('.')[2]}.{name}"
    if node.type == "integer":
        return str(node.schema.get("format") or "int64")
    return {"boolean": "bool", "number": "float64", "string": "string"}.get(node.type, "map[string]interface {}")


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


@dataclass(slots=True)
class _Decoder:
    unknown: Unknown

    def value(self, node: SchemaNode, value: Any, struct: str, go_path: tuple[str, ...], path: str) -> Any:
        """One value. `struct` is the Go struct that holds it, `go_path` its path in Go's words (without indexes), `path` ours."""
        if node.definition in OPAQUE:
            return value
        if node.definition in SCHEMA_UNIONS:
            return self.schema_union(value, struct, go_path, path)
        special = SPECIAL.get(node.definition)
        if special is not None:
            return special(value)
        kind = node.type
        if kind == "object":
            return self.object(node, value, struct, go_path, path)
        if kind == "array":
            if not isinstance(value, list):
                raise self.mismatch(node, value, struct, go_path)
            return self.array(node, value, struct, go_path, path)
        if kind == "string":
            if not isinstance(value, str):
                raise self.mismatch(node, value, struct, go_path)
            return decoded_text(node, value)
        if kind == "boolean":
            if not isinstance(value, bool):
                raise self.mismatch(node, value, struct, go_path)
            return value
        if kind == "integer":
            return self.integer(node, value, struct, go_path)
        if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.mismatch(node, value, struct, go_path)
        return value

    def schema_union(self, value: Any, struct: str, go_path: tuple[str, ...], path: str) -> Any:
        """Inside a CustomResourceDefinition: a schema, a list of schemas, or something plain."""
        if isinstance(value, list):
            return [self.schema_union(item, struct, go_path, f"{path}[{index}]") for index, item in enumerate(value)]
        return self.value(_json_schema_props(), value, struct, go_path, path) if isinstance(value, dict) else value

    def mismatch(self, node: SchemaNode, value: Any, struct: str, go_path: tuple[str, ...], what: str = "") -> DecodeError:
        place = f"Go struct field {struct}.{'.'.join(go_path)}" if go_path else "Go value"
        return DecodeError(f"json: cannot unmarshal {what or _json_kind(value)} into {place} of type {go_type(node)}")

    def integer(self, node: SchemaNode, value: Any, struct: str, go_path: tuple[str, ...]) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.mismatch(node, value, struct, go_path)
        low, high = (MIN_INT32, MAX_INT32) if node.schema.get("format") == "int32" else (MIN_INT64, MAX_INT64)
        if isinstance(value, float) or not low <= value <= high:
            shown = f"{value!r}" if isinstance(value, float) else number_text(value)
            raise self.mismatch(node, value, struct, go_path, f"number {shown}")
        return value

    def array(self, node: SchemaNode, value: list[Any], struct: str, go_path: tuple[str, ...], path: str) -> list[Any]:
        items = node.items
        if items is None:
            return value
        for index, item in enumerate(value):
            value[index] = _zero(items) if item is None else self.value(items, item, struct, go_path, f"{path}[{index}]")
        return value

    def object(self, node: SchemaNode, value: Any, struct: str, go_path: tuple[str, ...], path: str) -> Any:
        if not isinstance(value, dict):
            raise self.mismatch(node, value, struct, go_path)
        if node.values is not None:
            for key, item in value.items():
                value[key] = (
                    _zero(node.values) if item is None else self.value(node.values, item, struct, go_path, f"{path}.{key}" if path else key)
                )
            return value
        properties = node.properties
        if not properties:
            return value
        inner = _struct_name(node) or struct
        gone: list[str] = []
        for key, item in value.items():
            child = properties.get(key)
            if child is None:
                self.unknown.paths.append(f"{path}.{key}" if path else key)
                gone.append(key)
            elif item is None:
                gone.append(key)
            else:
                kept = self.value(child, item, inner, (*go_path, key), f"{path}.{key}" if path else key)
                if kept is None or (kept in ({}, []) and hides_empty(node, child, key)):
                    gone.append(key)
                else:
                    value[key] = kept
        for key in gone:
            del value[key]
        return value


@cache
def _json_schema_props() -> SchemaNode:
    return builtin_node(_EXTENSIONS + "JSONSchemaProps")


def hides_empty(parent: SchemaNode, child: SchemaNode, name: str) -> bool:
    """Whether Go would not write an empty list or map here: those that are optional have `omitempty`."""
    if name in (parent.schema.get("required") or ()):
        return False
    return child.type == "array" or (child.type == "object" and child.values is not None)


def _zero(node: SchemaNode) -> Any:
    """What Go makes of a null inside a list or map: the type's zero value."""
    if node.quantity:
        return "0"
    return {"string": "", "boolean": False, "integer": 0, "number": 0, "array": [], "object": {}}.get(node.type)


def decoded_text(node: SchemaNode, value: str) -> str:
    """Text of a built-in field; bytes must be base 64."""
    if node.schema.get("format") != "byte":
        return value
    packed = value.replace("\r", "").replace("\n", "")  # Go's decoder passes over line breaks
    try:
        decode_base64(packed)
    except ValueError:
        wrong = next((i for i, c in enumerate(packed) if not (c.isascii() and (c.isalnum() or c in "+/"))), len(packed))
        raise DecodeError(f"illegal base64 data at input byte {min(wrong, max(len(packed) - len(packed) % 4, 0))}") from None
    return packed


def decode_base64(text: str) -> bytes:
    """Raises ValueError for what is not base 64 with padding."""
    return base64.b64decode(text, validate=True)


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DecodeError(_QUANTITY_RULE)
    text = value if isinstance(value, str) else number_text(value)
    try:
        return canonical(text)
    except ValueError:
        raise DecodeError(_QUANTITY_RULE) from None


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        what = f"number {value!r}" if isinstance(value, float) else _json_kind(value)
        kind = "int32" if isinstance(value, float) else "string" if isinstance(value, str) else "int32"
        raise DecodeError(f"json: cannot unmarshal {what} into Go value of type {kind}")
    if not MIN_INT32 <= value <= MAX_INT32:
        raise DecodeError(f"json: cannot unmarshal number {value} into Go value of type int32")
    return value


def _moment(value: Any, layout: str) -> tuple[datetime, str]:
    if not isinstance(value, str):
        raise DecodeError(f"json: cannot unmarshal {_json_kind(value)} into Go value of type string")
    found = _RFC3339.fullmatch(value)
    if found:
        zone = "+00:00" if found[8] == "Z" else found[8]
        try:
            moment = datetime.fromisoformat(f"{found[1]}-{found[2]}-{found[3]}T{found[4]}:{found[5]}:{found[6]}{zone}")
            return moment.astimezone(UTC), found[7] or ""
        except (ValueError, OverflowError):
            pass
    raise DecodeError(f"parsing time {quote(value)} as {quote(layout)}: cannot parse {quote(value)} as {quote(layout[:4])}")


def _time(value: Any) -> str:
    """metav1.Time: whole seconds, UTC."""
    moment, _ = _moment(value, _TIME_LAYOUT)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)


def _micro_time(value: Any) -> str:
    """metav1.MicroTime: six digits of fraction, which must be given."""
    moment, fraction = _moment(value, _MICRO_LAYOUT)
    if len(fraction) != 6:
        rest = value[19:]
        raise DecodeError(f'parsing time {quote(value)} as {quote(_MICRO_LAYOUT)}: cannot parse {quote(rest)} as ".000000"')
    return moment.strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + f".{fraction}Z"


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        raise DecodeError(f"json: cannot unmarshal {_json_kind(value)} into Go value of type string")
    return value


SPECIAL: Final[dict[str, Callable[[Any], Any]]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "Duration": _duration,
}
