"""Conversions and functions of the CEL language itself.

Source of behaviour: github.com/google/cel-spec doc/langdef.md and cel-go common/types; differential-tested against Google's C++ implementation.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from raysail.api.go_text import number_text
from raysail.apiserver.cel.operators_library import in_range, unsigned
from raysail.apiserver.cel.overloads import overload
from raysail.apiserver.cel.values import (
    NANOS,
    CelError,
    Duration,
    Optional,
    Timestamp,
    TypeValue,
    UInt,
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
    type_name,
)
from raysail.apiserver.schema.patterns import PatternError, compile_pattern


@overload("size(string) int")
@overload("size(bytes) int")
@overload("size(list(A)) int")
@overload("size(map(A, B)) int")
@overload("string.size() int")
@overload("bytes.size() int")
@overload("list(A).size() int")
@overload("map(A, B).size() int")
def size(value: Any) -> int:
    """Characters, bytes, elements or entries."""
    return len(value)


@overload("string.contains(string) bool", cost=1)
def _contains(text: str, part: str) -> bool:
    return part in text


@overload("string.startsWith(string) bool")
def _starts_with(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@overload("string.endsWith(string) bool")
def _ends_with(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@overload("string.matches(string) bool", cost=1)
@overload("matches(string, string) bool", cost=1)
def _matches(text: str, pattern: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except PatternError as error:
        raise CelError(str(error)) from error


@overload("dyn(A) dyn")
@overload("int(int) int")
@overload("uint(uint) uint")
@overload("double(double) double")
@overload("string(string) string")
@overload("bytes(bytes) bytes")
@overload("bool(bool) bool")
@overload("timestamp(timestamp) timestamp")
@overload("duration(duration) duration")
def _same(value: Any) -> Any:
    return value


@overload("type(A) type")
def _type(value: Any) -> TypeValue:
    return TypeValue(type_name(value))


_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|[iI]nf(inity)?|NaN)", re.ASCII)


def _unconvertible(wanted: str) -> CelError:
    return CelError(f"type conversion error from 'string' to '{wanted}'")


@overload("int(uint) int")
def _int_of_uint(value: UInt) -> int:
    return in_range(int(value))


@overload("int(double) int")
def _int_of_double(value: float) -> int:
    if math.isnan(value) or not -(2**63) < value < 2**63:
        raise CelError("integer overflow")
    return int(value)


@overload("int(string) int")
def _int_of_text(value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise _unconvertible("int")
    return in_range(int(value))


@overload("int(timestamp) int")
def _int_of_timestamp(value: Timestamp) -> int:
    return value.nanos // NANOS


@overload("int(duration) int")
def _int_of_duration(value: Duration) -> int:
    return value.nanos


@overload("uint(int) uint")
def _uint_of_int(value: int) -> UInt:
    return unsigned(value)


@overload("uint(double) uint")
def _uint_of_double(value: float) -> UInt:
    if math.isnan(value) or not -1 < value < 2**64:
        raise CelError("unsigned integer overflow")
    return unsigned(int(value))


@overload("uint(string) uint")
def _uint_of_text(value: str) -> UInt:
    if not _INTEGER.fullmatch(value) or value[0] in "+-":
        raise _unconvertible("uint")
    return unsigned(int(value))


@overload("double(int) double")
@overload("double(uint) double")
def _double_of_int(value: int) -> float:
    return float(value)


@overload("double(string) double")
def _double_of_text(value: str) -> float:
    if not _FLOAT.fullmatch(value):
        raise _unconvertible("double")
    return float(value)


@overload("string(int) string")
@overload("string(uint) string")
def _text_of_int(value: int) -> str:
    return str(int(value))


@overload("string(double) string")
def _text_of_double(value: float) -> str:
    return number_text(value)


@overload("string(bool) string")
def _text_of_bool(value: bool) -> str:
    return "true" if value else "false"


@overload("string(bytes) string")
def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CelError("invalid UTF-8 in bytes, cannot convert to string") from error


@overload("string(timestamp) string")
def _text_of_timestamp(value: Timestamp) -> str:
    return format_timestamp(value)


@overload("string(duration) string")
def _text_of_duration(value: Duration) -> str:
    return format_duration(value)


@overload("bytes(string) bytes")
def _bytes_of_text(value: str) -> bytes:
    return value.encode()


_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@overload("bool(string) bool")
def _bool_of_text(value: str) -> bool:
    if value not in _BOOLS:
        raise _unconvertible("bool")
    return _BOOLS[value]


@overload("timestamp(string) timestamp")
def _timestamp_of_text(value: str) -> Timestamp:
    if len(value) <= len("2006-01-02"):
        raise _unconvertible("google.protobuf.Timestamp")
    try:
        return parse_timestamp(value)
    except CelError as error:
        raise _unconvertible("google.protobuf.Timestamp") from error


@overload("timestamp(int) timestamp")
def _timestamp_of_int(value: int) -> Timestamp:
    return Timestamp(value * NANOS)


@overload("duration(string) duration")
def _duration_of_text(value: str) -> Duration:
    try:
        return parse_duration(value)
    except CelError as error:
        raise _unconvertible("google.protobuf.Duration") from error


@overload("duration(int) duration")
def _duration_of_int(value: int) -> Duration:
    return Duration(value)


_OFFSET: Final = re.compile(r"([+-]?)(\d{1,2}):(\d{2})", re.ASCII)


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CelError(f"unknown time zone {name}") from error


def _local(value: Timestamp, zone: str = "") -> datetime:
    return value.moment().astimezone(_zone(zone))


def _declare_clock() -> None:
    """Each getter with and without a time zone."""
    getters: dict[str, Any] = {
        "getFullYear": lambda t: t.year,
        "getMonth": lambda t: t.month - 1,
        "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
        "getDayOfMonth": lambda t: t.day - 1,
        "getDate": lambda t: t.day,
        "getDayOfWeek": lambda t: (t.weekday() + 1) % 7,
        "getHours": lambda t: t.hour,
        "getMinutes": lambda t: t.minute,
        "getSeconds": lambda t: t.second,
        "getMilliseconds": lambda t: t.microsecond // 1000,
    }
    for name, getter in getters.items():
        overload(f"timestamp.{name}() int")(lambda value, g=getter: g(_local(value)))
        overload(f"timestamp.{name}(string) int")(lambda value, zone, g=getter: g(_local(value, zone)))
    units = {"getHours": 3600 * NANOS, "getMinutes": 60 * NANOS, "getSeconds": NANOS}
    for name, unit in units.items():
        overload(f"duration.{name}() int")(lambda value, u=unit: int(value.nanos / u) if abs(value.nanos) < 2**53 else value.nanos // u)
    overload("duration.getMilliseconds() int")(lambda value: int(value.nanos / 1_000_000))


_declare_clock()


@overload("optional.of(A) optional(A)")
def some(value: Any) -> Optional:
    """An optional that is present."""
    return Optional(True, value)


@overload("optional.none() optional(A)")
def none() -> Optional:
    """An optional that is absent."""
    return Optional(False)


_YEAR_ONE: Final = parse_timestamp("0001-01-01T00:00:00Z")


@overload("optional.ofNonZeroValue(A) optional(A)")
def _of_non_zero(value: Any) -> Optional:
    zero = value is None or value in (Duration(0), _YEAR_ONE) or (not isinstance(value, Duration | Timestamp | Optional) and not value)
    return Optional(False) if zero else Optional(True, value)


@overload("optional(A).hasValue() bool")
def _has_value(value: Optional) -> bool:
    return value.present


@overload("optional(A).value() A")
def _value(value: Optional) -> Any:
    if not value.present:
        raise CelError("optional.none() dereference")
    return value.content
