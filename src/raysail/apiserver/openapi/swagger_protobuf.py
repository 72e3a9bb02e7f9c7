"""The v2 document as protobuf, the only form in which kubectl asks for it (`application/com.github.proto-openapi.spec.v2@v1.0+protobuf`).

A small encoder for what our documents contain. Field numbers: github.com/google/gnostic-models openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

Encode = Callable[[Any], bytes]

_LENGTH: Final = 2
_FIXED64: Final = 1
_VARINT: Final = 0


def encode_swagger(document: Mapping[str, Any]) -> bytes:
    """The whole document."""
    info = document["info"]
    return b"".join(
        (
            _text(1, document["swagger"]),
            _message(2, _text(1, info["title"]) + _text(2, info["version"])),
            _message(8, _named(2, document["paths"], _path_item)),
            _message(9, _named(1, document["definitions"], _schema)),
        )
    )


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(body)) + body


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode()) if value else b""


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3 | _VARINT) + b"\x01" if value else b""


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(int(value))


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", value)


def _any(value: Any) -> bytes:
    """Gnostic's Any: the value as YAML, of which JSON is a part."""
    return _text(2, orjson.dumps(value).decode() + "\n")


def _named(number: int, values: Mapping[str, Any], encode: Encode) -> bytes:
    return b"".join(_message(number, _text(1, name) + _message(2, encode(value))) for name, value in values.items())


def _extensions(number: int, value: Mapping[str, Any]) -> bytes:
    return _named(number, {key: item for key, item in value.items() if key.startswith("x-")}, _any)


_METHODS: Final = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _path_item(item: Mapping[str, Any]) -> bytes:
    operations = b"".join(_message(number, _operation(item[method])) for method, number in _METHODS.items() if method in item)
    return operations + b"".join(_message(9, _parameter(p)) for p in item.get("parameters") or ())


def _operation(operation: Mapping[str, Any]) -> bytes:
    return b"".join(
        (
            *(_text(1, tag) for tag in operation.get("tags") or ()),
            _text(3, operation.get("description", "")),
            _text(5, operation.get("operationId", "")),
            *(_text(6, form) for form in operation.get("produces") or ()),
            *(_text(7, form) for form in operation.get("consumes") or ()),
            *(_message(8, _parameter(p)) for p in operation.get("parameters") or ()),
            _message(9, _named(1, operation["responses"], _response)),
            _extensions(13, operation),
        )
    )


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    """ParametersItem → Parameter → one of its kinds."""
    if parameter["in"] == "body":
        body = b"".join(
            (
                _text(1, parameter.get("description", "")),
                _text(2, parameter["name"]),
                _text(3, "body"),
                _flag(4, bool(parameter.get("required"))),
                _message(5, _schema(parameter["schema"])),
            )
        )
        return _message(1, _message(1, body))
    query = parameter["in"] == "query"
    kind, form, unique = (6, 7, 20) if query else (5, 6, 19)
    plain = b"".join(
        (
            _flag(1, bool(parameter.get("required"))),
            _text(2, parameter["in"]),
            _text(3, parameter.get("description", "")),
            _text(4, parameter["name"]),
            _text(kind, parameter.get("type", "")),
            _text(form, parameter.get("format", "")),
            _flag(unique, bool(parameter.get("uniqueItems"))),
        )
    )
    return _message(1, _message(2, _message(3 if query else 4, plain)))


def _response(response: Mapping[str, Any]) -> bytes:
    schema = response.get("schema")
    body = _text(1, response["description"]) + (_message(2, _message(1, _schema(schema))) if schema is not None else b"")
    return _message(1, body)


_PLAIN: Final[dict[str, tuple[int, Callable[[int, Any], bytes]]]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "title": (3, _text),
    "description": (4, _text),
    "default": (5, lambda number, value: _message(number, _any(value))),
    "multipleOf": (6, _double),
    "maximum": (7, _double),
    "exclusiveMaximum": (8, _flag),
    "minimum": (9, _double),
    "exclusiveMinimum": (10, _flag),
    "maxLength": (11, _integer),
    "minLength": (12, _integer),
    "pattern": (13, _text),
    "maxItems": (14, _integer),
    "minItems": (15, _integer),
    "uniqueItems": (16, _flag),
    "maxProperties": (17, _integer),
    "minProperties": (18, _integer),
    "required": (19, lambda number, names: b"".join(_text(number, name) for name in names)),
    "enum": (20, lambda number, values: b"".join(_message(number, _any(value)) for value in values)),
    "type": (22, lambda number, kind: _message(number, _text(1, kind))),
    "properties": (25, lambda number, fields: _message(number, _named(1, fields, _schema))),
    "items": (23, lambda number, items: _message(number, _message(1, _schema(items)))),
    "example": (30, lambda number, value: _message(number, _any(value))),
}


def _schema(schema: Mapping[str, Any]) -> bytes:
    parts = [_PLAIN[key][1](_PLAIN[key][0], value) for key, value in schema.items() if key in _PLAIN]
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        parts.append(_message(21, _message(1, _schema(values))))
    elif values is not None:
        parts.append(_message(21, _varint(2 << 3 | _VARINT) + (b"\x01" if values else b"\x00")))
    parts.append(_extensions(31, schema))
    return b"".join(parts)
