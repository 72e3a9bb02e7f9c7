"""From a message of a built-in kind to the JSON object that it stands for.

Names are JSON's already, but for structs that Go inlines (a volume's source, a probe's handler): a field that the schema does not know is one, and
its members belong to the object around it. A few types have a JSON form of their own.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from raysail.api.meta import format_micro_time, format_time
from raysail.api.openapi import builtin_schemas
from raysail.apiserver.protobuf.wire import double, fields, signed

JsonObject = dict[str, Any]
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_NEVER: Final = -62135596800
"""Go's zero time in seconds since 1970."""


@cache
def _messages() -> Mapping[str, Mapping[int, tuple[str, str, str]]]:
    data = gzip.decompress(resources.files(__package__).joinpath("messages.json.gz").read_bytes())
    return {name: {int(number): (f[0], f[1], f[2]) for number, f in found.items()} for name, found in msgspec.json.decode(data).items()}


def decode_message(name: str, data: bytes) -> Any:
    """The JSON value of a message named as in the OpenAPI document. Raises WireError, KeyError for an unknown name."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special(data)
    table = _messages()[name]
    known = (builtin_schemas().get(name) or {}).get("properties")
    result: JsonObject = {}
    for number, value in fields(data):
        if number not in table:
            continue
        field, kind, label = table[number]
        if label == "map":
            key, item = _entry(kind, value)
            result.setdefault(field, {})[key] = item
        elif label == "repeated":
            result.setdefault(field, []).append(_value(kind, value))
        elif known is not None and field not in known and isinstance(value, bytes) and kind in _messages():
            result |= decode_message(kind, value)
        else:
            result[field] = _value(kind, value)
    return result


def _value(kind: str, value: int | bytes) -> Any:
    if isinstance(value, bytes):
        if kind == "string":
            return value.decode()
        return base64.b64encode(value).decode() if kind == "bytes" else decode_message(kind, value)
    if kind == "bool":
        return bool(value)
    return double(value) if kind == "double" else signed(value)


def _entry(kind: str, value: int | bytes) -> tuple[str, Any]:
    key, item = "", None
    for number, part in fields(value if isinstance(value, bytes) else b""):
        if number == 1 and isinstance(part, bytes):
            key = part.decode()
        elif number == 2:
            item = _value(kind, part)
    # A value that is its type's zero is not written.
    return key, _value(kind, b"") if item is None else item


def _time(data: bytes) -> str | None:
    seconds, nanos = _seconds(data)
    return None if seconds in (0, _NEVER) and not nanos else format_time(datetime.fromtimestamp(seconds, UTC))


def _micro_time(data: bytes) -> str | None:
    seconds, nanos = _seconds(data)
    if seconds in (0, _NEVER) and not nanos:
        return None
    return format_micro_time(datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanos // 1000))


def _seconds(data: bytes) -> tuple[int, int]:
    found = {number: signed(value) for number, value in fields(data) if isinstance(value, int)}
    return found.get(1, 0), found.get(2, 0)


def _quantity(data: bytes) -> str:
    return next((value.decode() for number, value in fields(data) if number == 1 and isinstance(value, bytes)), "0")


def _int_or_string(data: bytes) -> int | str:
    found = dict(fields(data))
    text = found.get(3, b"")
    if found.get(1, 0):
        return text.decode() if isinstance(text, bytes) else ""
    number = found.get(2, 0)
    return signed(number) if isinstance(number, int) else 0


def _raw_json(data: bytes) -> Any:
    raw = next((value for number, value in fields(data) if number == 1 and isinstance(value, bytes)), b"")
    return msgspec.json.decode(raw) if raw else None


def _items(data: bytes) -> list[str]:
    return [value.decode() for _, value in fields(data) if isinstance(value, bytes)]


_SPECIAL: Final[dict[str, Callable[[bytes], Any]]] = {
    f"{_META}Time": _time,
    f"{_META}MicroTime": _micro_time,
    f"{_META}FieldsV1": _raw_json,
    f"{_META}Verbs": _items,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _raw_json,
    "io.k8s.api.authentication.v1.ExtraValue": _items,
    "io.k8s.api.authorization.v1.ExtraValue": _items,
}
