"""CEL's operators: arithmetic with overflow, comparison, membership, indexing.

Source of behaviour: github.com/google/cel-spec doc/langdef.md and cel-go common/types; differential-tested against Google's C++ implementation.
"""

from __future__ import annotations

import math
from typing import Any, Final

from raysail.api.go_text import number_text
from raysail.apiserver.cel.overloads import overload
from raysail.apiserver.cel.values import (
    MAX_INT64,
    MAX_UINT64,
    MIN_INT64,
    CelError,
    Duration,
    Timestamp,
    UInt,
    compare,
    contains,
    equal,
    lookup,
    type_name,
)

_MOST_TEXT: Final = 16 * 1024 * 1024
_MISSING: Final = object()


def in_range(value: int) -> int:
    """The value, if it is an int64."""
    if MIN_INT64 <= value <= MAX_INT64:
        return value
    raise CelError("integer overflow")


def unsigned(value: int) -> UInt:
    """The value as a uint64."""
    if 0 <= value <= MAX_UINT64:
        return UInt(value)
    raise CelError("unsigned integer overflow")


@overload("_+_(int, int) int")
def _add_int(left: int, right: int) -> int:
    return in_range(left + right)


@overload("_-_(int, int) int")
def _subtract_int(left: int, right: int) -> int:
    return in_range(left - right)


@overload("_*_(int, int) int")
def _multiply_int(left: int, right: int) -> int:
    return in_range(left * right)


@overload("_/_(int, int) int")
def _divide_int(left: int, right: int) -> int:
    if right == 0:
        raise CelError("division by zero")
    quotient = abs(left) // abs(right)
    return in_range(quotient if (left < 0) == (right < 0) else -quotient)


@overload("_%_(int, int) int")
def _modulo_int(left: int, right: int) -> int:
    if right == 0:
        raise CelError("modulus by zero")
    if left == MIN_INT64 and right == -1:
        raise CelError("integer overflow")
    return int(math.fmod(left, right)) if abs(left) < 2**53 and abs(right) < 2**53 else left - right * _divide_int(left, right)


@overload("-_(int) int")
def _negate_int(value: int) -> int:
    return in_range(-value)


@overload("_+_(uint, uint) uint")
def _add_uint(left: UInt, right: UInt) -> UInt:
    return unsigned(int(left) + int(right))


@overload("_-_(uint, uint) uint")
def _subtract_uint(left: UInt, right: UInt) -> UInt:
    return unsigned(int(left) - int(right))


@overload("_*_(uint, uint) uint")
def _multiply_uint(left: UInt, right: UInt) -> UInt:
    return unsigned(int(left) * int(right))


@overload("_/_(uint, uint) uint")
def _divide_uint(left: UInt, right: UInt) -> UInt:
    if right == 0:
        raise CelError("division by zero")
    return UInt(int(left) // int(right))


@overload("_%_(uint, uint) uint")
def _modulo_uint(left: UInt, right: UInt) -> UInt:
    if right == 0:
        raise CelError("modulus by zero")
    return UInt(int(left) % int(right))


@overload("_+_(double, double) double")
def _add_double(left: float, right: float) -> float:
    return left + right


@overload("_-_(double, double) double")
def _subtract_double(left: float, right: float) -> float:
    return left - right


@overload("_*_(double, double) double")
def _multiply_double(left: float, right: float) -> float:
    return left * right


@overload("_/_(double, double) double")
def _divide_double(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


@overload("-_(double) double")
def _negate_double(value: float) -> float:
    return -value


@overload("_+_(string, string) string", cost=1)
@overload("_+_(bytes, bytes) bytes", cost=1)
def _concatenate(left: Any, right: Any) -> Any:
    if len(left) + len(right) > _MOST_TEXT:
        raise CelError("operation would make text of more than 16 MiB")
    return left + right


@overload("_+_(list(A), list(A)) list(A)", cost=1)
def _join_lists(left: list[Any], right: list[Any]) -> list[Any]:
    if len(left) + len(right) > _MOST_TEXT:
        raise CelError("operation would make a list of more than 16 Mi elements")
    return left + right


@overload("_+_(timestamp, duration) timestamp")
def _later(left: Timestamp, right: Duration) -> Timestamp:
    return Timestamp(left.nanos + right.nanos)


@overload("_+_(duration, timestamp) timestamp")
def _later_reversed(left: Duration, right: Timestamp) -> Timestamp:
    return Timestamp(left.nanos + right.nanos)


@overload("_+_(duration, duration) duration")
def _add_duration(left: Duration, right: Duration) -> Duration:
    return Duration(left.nanos + right.nanos)


@overload("_-_(timestamp, timestamp) duration")
@overload("_-_(duration, duration) duration")
def _span(left: Timestamp | Duration, right: Timestamp | Duration) -> Duration:
    return Duration(left.nanos - right.nanos)


@overload("_-_(timestamp, duration) timestamp")
def _earlier(left: Timestamp, right: Duration) -> Timestamp:
    return Timestamp(left.nanos - right.nanos)


def _declare_order() -> None:
    kinds = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
    numbers = ("int", "uint", "double")
    pairs = [(k, k) for k in kinds] + [(a, b) for a in numbers for b in numbers if a != b]
    for left, right in pairs:
        overload(f"_<_({left}, {right}) bool")(_less)
        overload(f"_<=_({left}, {right}) bool")(_less_or_equal)
        overload(f"_>_({left}, {right}) bool")(_greater)
        overload(f"_>=_({left}, {right}) bool")(_greater_or_equal)


def _less(left: Any, right: Any) -> bool:
    return compare(left, right) < 0


def _less_or_equal(left: Any, right: Any) -> bool:
    return compare(left, right) <= 0


def _greater(left: Any, right: Any) -> bool:
    return compare(left, right) > 0


def _greater_or_equal(left: Any, right: Any) -> bool:
    return compare(left, right) >= 0


_declare_order()
overload("_==_(A, A) bool", cost=1)(equal)


@overload("_!=_(A, A) bool", cost=1)
def _differ(left: Any, right: Any) -> bool:
    return not equal(left, right)


@overload("@in(A, list(A)) bool", cost=1)
@overload("@in(A, map(A, B)) bool")
def _in(wanted: Any, values: Any) -> bool:
    return contains(values, wanted)


@overload("!_(bool) bool")
def _not(value: bool) -> bool:
    return not value


@overload("_[_](list(A), int) A")
def at(values: list[Any], index: Any) -> Any:
    """An element; a double or uint that is whole counts as an int."""
    if isinstance(index, float) and index.is_integer():
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise CelError(f"unsupported index type '{type_name(index)}' in list")
    if not 0 <= index < len(values):
        raise CelError(f"index out of bounds: {index}")
    return values[index]


@overload("_[_](map(A, B), A) B")
def under(entries: dict[Any, Any], key: Any) -> Any:
    """The value under a key."""
    found = lookup(entries, key, _MISSING)
    if found is _MISSING:
        raise CelError(f"no such key: {key_text(key)}")
    return found


def key_text(key: Any) -> str:
    """A key as error messages print it."""
    return number_text(key) if isinstance(key, bool | int | float) else str(key)
