"""The frame around a message: the letters k8s and a zero byte, then a runtime.Unknown with kind, version and the message itself.

k8s.io/apimachinery pkg/runtime/serializer/protobuf/protobuf.go.
"""

from __future__ import annotations

from typing import Any, Final

from raysail.api.errors import bad_request
from raysail.api.openapi import schema_name
from raysail.apiserver.protobuf.messages import decode_message
from raysail.apiserver.protobuf.wire import WireError, fields

_MAGIC: Final = b"k8s\x00"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a protobuf body stands for, apiVersion and kind included. Raises StatusError 400."""
    if not body.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        unknown = dict(fields(body[len(_MAGIC) :]))
        type_meta = dict(fields(_bytes(unknown.get(1))))
        api_version, kind = _bytes(type_meta.get(1)).decode(), _bytes(type_meta.get(2)).decode()
        name = _message_name(api_version, kind)
        if name is None:
            raise bad_request(f'no kind "{kind}" is registered for version "{api_version}" in protobuf')
        found: dict[str, Any] = decode_message(name, _bytes(unknown.get(2)))
    except (WireError, UnicodeDecodeError) as error:
        raise bad_request(f"unable to decode the protobuf message: {error}") from error
    return {"apiVersion": api_version, "kind": kind} | found


def _message_name(api_version: str, kind: str) -> str | None:
    group, _, version = api_version.rpartition("/")
    found = schema_name(group, version, kind)
    # Options of a request (DeleteOptions, ...) are of every group.
    return found or (f"{_META}{kind}" if kind.endswith("Options") else None)


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""
