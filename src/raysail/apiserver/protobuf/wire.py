"""Protobuf's wire format: a message as (field number, value) pairs. https://protobuf.dev/programming-guides/encoding"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields in order. Varints and fixed numbers come as int (unsigned), everything else as bytes. Raises WireError."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise WireError("a field is longer than its message")
            yield number, data[at : at + length]
            at += length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if at + size > end:
                raise WireError("a number is cut off")
            yield number, int.from_bytes(data[at : at + size], "little")
            at += size
        else:
            raise WireError(f"unknown wire type {kind}")


def signed(value: int) -> int:
    """An int32 or int64 from its varint (two's complement in 64 bits)."""
    return value - (1 << 64) if value >= 1 << 63 else value


def double(value: int) -> float:
    """A double from its 64 bits."""
    found: float = struct.unpack("<d", value.to_bytes(8, "little"))[0]
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number is cut off")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
