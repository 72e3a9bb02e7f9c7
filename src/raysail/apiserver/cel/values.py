"""Run-time values of CEL: Python's own where they fit, small classes where they do not.

int64 is int, double is float, string is str, bytes is bytes, null is None, lists and maps are list and dict. uint64, durations, timestamps, optionals and types
have classes here. True and 1 are different values in CEL and equal ones in Python, so equality goes through `equal`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MAX_INT64: Final = 2**63 - 1
MIN_INT64: Final = -(2**63)
MAX_UINT64: Final = 2**64 - 1
NANOS: Final = 1_000_000_000


class CelError(Exception):
    """An evaluation error, absorbed by `||`, `&&` and the ternary as CEL says."""


class CostExceeded(Exception):  # noqa: N818 - not an error of the expression's value: nothing may absorb it
    """The expression did more work than its budget allows."""


class UInt(int):
    """A uint64."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"

    def __hash__(self) -> int:
        return int.__hash__(self)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span in nanoseconds."""

    nanos: int

    def __post_init__(self) -> None:
        if not MIN_INT64 <= self.nanos <= MAX_INT64:
            raise CelError("duration overflow")


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_SECONDS: Final = -62135596800
_MAX_SECONDS: Final = 253402300799


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970, years 1 to 9999; its text keeps the zone it was written in."""

    nanos: int
    offset_minutes: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not _MIN_SECONDS * NANOS <= self.nanos < (_MAX_SECONDS + 1) * NANOS:
            raise CelError("timestamp overflow")

    def moment(self) -> datetime:
        """As a datetime in UTC; what is finer than a microsecond is cut."""
        return _EPOCH + timedelta(microseconds=self.nanos // 1000)


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent."""

    present: bool
    content: Any = None


NONE: Final = Optional(present=False)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value: what type(x) gives."""

    name: str


def type_name(value: Any) -> str:
    """The name of a value's run-time type."""
    if value is None:
        return "null_type"
    kind = type(value)
    return _NAMES.get(kind) or str(getattr(kind, "cel_type", kind.__name__))


_NAMES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp",
    Optional: "optional_type",
    TypeValue: "type",
}


def is_number(value: Any) -> bool:
    """int, uint or double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """CEL's ==: numbers compare across types, everything else only with its own type, lists and maps by their elements."""
    if left is right and type(left) is not float:
        return True
    if is_number(left):
        return is_number(right) and bool(left == right)
    kind = type(left)
    if kind is not type(right):
        return False
    if kind is list:
        return len(left) == len(right) and all(map(equal, left, right))
    if kind is dict:
        return len(left) == len(right) and all(_has_equal(right, key, value) for key, value in left.items())
    if kind is Optional:
        return left.present == right.present and equal(left.content, right.content)
    return bool(left == right)


def _has_equal(entries: dict[Any, Any], key: Any, value: Any) -> bool:
    found = lookup(entries, key, _MISSING)
    return found is not _MISSING and equal(found, value)


_MISSING: Final = object()


def lookup(entries: dict[Any, Any], key: Any, default: Any = None) -> Any:
    """The value under a key; booleans and numbers do not stand for each other, numbers of different types do."""
    try:
        found = entries.get(key, default)
    except TypeError as error:
        raise CelError(f"unsupported key type: {type_name(key)}") from error
    if isinstance(key, bool | int | float) and found is not default:
        is_bool = isinstance(key, bool)
        return found if any(k == key and isinstance(k, bool) is is_bool for k in entries) else default
    return found


def contains(values: Any, wanted: Any) -> bool:
    """CEL's `in`."""
    if type(values) is dict:
        return lookup(values, wanted, _MISSING) is not _MISSING
    if type(values) is not list:
        raise no_overload("@in", wanted, values)
    if type(wanted) is str:
        return wanted in values
    return any(equal(value, wanted) for value in values)


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1. Raises CelError where the two have no order."""
    if is_number(left) and is_number(right):
        if math.isnan(left) or math.isnan(right):
            raise CelError("NaN values cannot be ordered")
        return int(left > right) - int(left < right)
    if type(left) is type(right) and isinstance(left, _ORDERED):
        return int(left > right) - int(left < right)
    raise no_overload("_<_", left, right)


_ORDERED: Final = (str, bytes, bool, Duration, Timestamp)


def no_overload(name: str, *values: Any) -> CelError:
    """What cel-go says where no implementation fits the values."""
    return CelError("no such overload")


_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS: Final = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": NANOS, "m": 60 * NANOS, "h": 3600 * NANOS}


def parse_duration(text: str) -> Duration:
    """Go's `1h30m`. Raises CelError."""
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    if rest == "0":
        return Duration(0)
    parts = _DURATION.findall(rest)
    if not parts or "".join(a + b for a, b in parts) != rest:
        raise CelError(f'invalid duration "{text}"')
    total = 0
    for amount, unit in parts:
        whole, _, fraction = amount.partition(".")
        total += int(whole or 0) * _UNITS[unit]
        total += int(fraction) * _UNITS[unit] // 10 ** len(fraction) if fraction else 0
    return Duration(sign * total)


_MOMENT: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII)


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339, or a date alone. Raises CelError."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise CelError(f'parsing time "{text}": not RFC 3339')
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError as error:
        raise CelError(f'parsing time "{text}": {error}') from error
    seconds = round((moment - _EPOCH).total_seconds())
    offset = 0
    if zone and zone not in "Zz":
        minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        offset = minutes if zone[0] == "+" else -minutes
    return Timestamp((seconds - offset * 60) * NANOS + int((fraction or "0")[:9].ljust(9, "0")), offset)


def format_timestamp(value: Timestamp) -> str:
    """RFC 3339 with as many digits as are needed."""
    seconds, nanos = divmod(value.nanos, NANOS)
    try:
        moment = _EPOCH + timedelta(seconds=seconds, minutes=value.offset_minutes)
    except OverflowError as error:
        raise CelError("timestamp overflow") from error
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    sign, minutes = "-" if value.offset_minutes < 0 else "+", abs(value.offset_minutes)
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if minutes else "Z"
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}{zone}"


def format_duration(value: Duration) -> str:
    """Seconds, as CEL's string(duration) gives them: 90s, 1.5s."""
    sign = "-" if value.nanos < 0 else ""
    seconds, nanos = divmod(abs(value.nanos), NANOS)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{sign}{seconds}{fraction}s"
