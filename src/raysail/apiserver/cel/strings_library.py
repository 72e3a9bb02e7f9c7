"""The strings, lists and sets extensions that Kubernetes turns on (cel-go ext: strings 2, lists 3, sets; k8s.io/apiserver pkg/cel/library/{lists,regex}.go)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cmp_to_key
from itertools import pairwise
from typing import Any, Final

from raysail.api.go_text import number_text
from raysail.apiserver.cel.operators_library import in_range, unsigned
from raysail.apiserver.cel.overloads import overload
from raysail.apiserver.cel.values import (
    CelError,
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    compare,
    contains,
    equal,
    format_duration,
    format_timestamp,
    is_number,
)
from raysail.apiserver.schema.patterns import PatternError, compile_pattern

_MOST_ELEMENTS: Final = 1_000_000


@overload("string.charAt(int) string")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


@overload("string.indexOf(string) int", cost=1)
def _index_of(text: str, part: str) -> int:
    return text.find(part)


@overload("string.indexOf(string, int) int", cost=1)
def _index_of_from(text: str, part: str, start: int) -> int:
    if not part:
        return start
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


@overload("string.lastIndexOf(string) int", cost=1)
def _last_index_of(text: str, part: str) -> int:
    return text.rfind(part)


@overload("string.lastIndexOf(string, int) int", cost=1)
def _last_index_of_to(text: str, part: str, end: int) -> int:
    if not part:
        return end
    if not 0 <= end <= len(text):
        raise CelError(f"index out of range: {end}")
    return text.rfind(part, 0, end + len(part))


@overload("string.lowerAscii() string", cost=1)
def _lower(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


@overload("string.upperAscii() string", cost=1)
def _upper(text: str) -> str:
    return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in text)


@overload("string.replace(string, string) string", cost=1)
def _replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


@overload("string.replace(string, string, int) string", cost=1)
def _replace_some(text: str, old: str, new: str, count: int) -> str:
    return text.replace(old, new, count if count >= 0 else -1)


@overload("string.reverse() string", cost=1)
def _reverse(text: str) -> str:
    return text[::-1]


@overload("string.split(string) list(string)", cost=1)
def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


@overload("string.split(string, int) list(string)", cost=1)
def _split_some(text: str, separator: str, count: int) -> list[str]:
    if count == 0:
        return []
    if count < 0:
        return _split(text, separator)
    if not separator:
        return [*text[: count - 1], text[count - 1 :]] if len(text) > count else list(text)
    return text.split(separator, count - 1)


@overload("string.substring(int) string")
def _substring_from(text: str, start: int) -> str:
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    return text[start:]


@overload("string.substring(int, int) string")
def _substring(text: str, start: int, end: int) -> str:
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    if not 0 <= start <= len(text) or not 0 <= end <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else end}")
    return text[start:end]


_WHITE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


@overload("string.trim() string", cost=1)
def _trim(text: str) -> str:
    return text.strip(_WHITE)


@overload("list(string).join() string", cost=1)
def _join(values: list[str]) -> str:
    return "".join(_texts(values))


@overload("list(string).join(string) string", cost=1)
def _join_with(values: list[str], separator: str) -> str:
    return separator.join(_texts(values))


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise CelError("no such overload")
    return values


@overload("strings.quote(string) string", cost=1)
def _quote(text: str) -> str:
    named = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}
    return '"' + "".join(named.get(c, c) for c in text) + '"'


_VERB: Final = re.compile(r"%(%|(?:\.(\d+))?([a-zA-Z]))", re.ASCII)


@overload("string.format(list(dyn)) string", cost=1)
def _format(template: str, arguments: list[Any]) -> str:
    used = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal used
        if match[1] == "%":
            return "%"
        if used >= len(arguments):
            raise CelError(f"index {used} out of range")
        value = arguments[used]
        used += 1
        return _formatted(match[3], match[2], value)

    if template.replace("%%", "").count("%") != sum(1 for m in _VERB.finditer(template) if m[1] != "%"):
        raise CelError("unexpected end of string")
    return _VERB.sub(replaced, template)


def _formatted(verb: str, precision: str | None, value: Any) -> str:
    if verb == "s":
        return _shown(value)
    if verb == "d" and isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if verb in "fe" and is_number(value):
        return _float_text(verb, int(precision or 6), float(value))
    if verb == "b" and isinstance(value, int):
        return f"{int(value):b}"
    if verb in "xX" and isinstance(value, str | bytes):
        text = (value.encode() if isinstance(value, str) else value).hex()
        return text.upper() if verb == "X" else text
    if verb in "xXo" and isinstance(value, int) and not isinstance(value, bool):
        return format(int(value), verb)
    if verb not in "sdfebxXo":
        raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')
    raise CelError(f"error during formatting: unsupported value for %{verb}")


_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _float_text(verb: str, precision: int, value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if verb == "f":
        return f"{value:.{precision}f}"
    mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
    return f"{mantissa}\u00d710{exponent.replace('+', '').translate(_SUPERSCRIPTS)}"


def _shown(value: Any) -> str:
    """%s: text as it is, everything else readable."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return number_text(float(value)) if isinstance(value, float) else str(int(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Timestamp):
        return format_timestamp(value)
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, list):
        return "[" + ", ".join(_inner(item) for item in value) + "]"
    if isinstance(value, dict):
        shown = sorted((_inner(key), _inner(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in shown) + "}"
    raise CelError(
        "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, ..."
    )


def _inner(value: Any) -> str:
    return _shown(value)


@overload("string.find(string) string", cost=1)
def _find(text: str, pattern: str) -> str:
    found = _search(pattern).search(text)
    return found[0] if found else ""


@overload("string.findAll(string) list(string)", cost=1)
def _find_all(text: str, pattern: str) -> list[str]:
    return _find_some(text, pattern, -1)


@overload("string.findAll(string, int) list(string)", cost=1)
def _find_some(text: str, pattern: str, count: int) -> list[str]:
    found = [m[0] for m in _search(pattern).finditer(text)]
    return found if count < 0 else found[:count]


def _search(pattern: str) -> re.Pattern[str]:
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise CelError(f"Illegal regex: {error}") from error


_COMPARABLE: Final = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")


def _is_sorted(values: list[Any]) -> bool:
    return all(compare(a, b) <= 0 for a, b in pairwise(values))


def _extreme(sign: int, name: str) -> Callable[[list[Any]], Any]:
    def extreme(values: list[Any]) -> Any:
        if not values:
            raise CelError(f"{name} called on empty list")
        found = values[0]
        for value in values[1:]:
            if compare(value, found) * sign > 0:
                found = value
        return found

    return extreme


def _sum_of(zero: Any, check: Callable[[Any], Any]) -> Callable[[list[Any]], Any]:
    def total(values: list[Any]) -> Any:
        found = zero
        for value in values:
            found = check(found + value)
        return found

    return total


def _declare_lists() -> None:
    smallest, largest = _extreme(-1, "min"), _extreme(1, "max")
    for kind in _COMPARABLE:
        overload(f"list({kind}).isSorted() bool", cost=1)(_is_sorted)
        overload(f"list({kind}).min() {kind}", cost=1)(smallest)
        overload(f"list({kind}).max() {kind}", cost=1)(largest)
        overload(f"list({kind}).sort() list({kind})", cost=1)(_sort)
    overload("list(int).sum() int", cost=1)(_sum_of(0, in_range))
    overload("list(uint).sum() uint", cost=1)(_sum_of(UInt(0), unsigned))
    overload("list(double).sum() double", cost=1)(_sum_of(0.0, float))
    overload("list(duration).sum() duration", cost=1)(lambda values: Duration(sum(v.nanos for v in values)))


def _sort(values: list[Any]) -> list[Any]:
    return sorted(values, key=cmp_to_key(compare))


_declare_lists()


@overload("list(A).indexOf(A) int", cost=1)
def _list_index_of(values: list[Any], wanted: Any) -> int:
    return next((i for i, value in enumerate(values) if equal(value, wanted)), -1)


@overload("list(A).lastIndexOf(A) int", cost=1)
def _list_last_index_of(values: list[Any], wanted: Any) -> int:
    return next((i for i in range(len(values) - 1, -1, -1) if equal(values[i], wanted)), -1)


@overload("list(A).slice(int, int) list(A)", cost=1)
def _slice(values: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError("cannot slice({0}, {1}), start index must be less than or equal to end index".format(start, end))  # noqa: UP030, UP032
    if end > len(values):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(values)}")
    return values[start:end]


@overload("list(A).flatten() list(dyn)", cost=1)
def _flatten(values: list[Any]) -> list[Any]:
    return _flatten_to(values, 1)


@overload("list(A).flatten(int) list(dyn)", cost=1)
def _flatten_to(values: list[Any], depth: int) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    found: list[Any] = []
    for value in values:
        found += _flatten_to(value, depth - 1) if isinstance(value, list) and depth > 0 else [value]
    return found


@overload("list(A).distinct() list(A)", cost=1)
def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not contains(found, value):
            found.append(value)
    return found


@overload("list(A).reverse() list(A)", cost=1)
def _reverse_list(values: list[Any]) -> list[Any]:
    return values[::-1]


@overload("lists.range(int) list(int)", cost=1)
def _range(count: int) -> list[int]:
    if not 0 <= count <= _MOST_ELEMENTS:
        raise CelError("size exceeds range limit")
    return list(range(count))


@overload("sets.contains(list(A), list(A)) bool", cost=1)
def _set_contains(values: list[Any], wanted: list[Any]) -> bool:
    return all(contains(values, item) for item in wanted)


@overload("sets.intersects(list(A), list(A)) bool", cost=1)
def _set_intersects(left: list[Any], right: list[Any]) -> bool:
    return any(contains(right, item) for item in left)


@overload("sets.equivalent(list(A), list(A)) bool", cost=1)
def _set_equivalent(left: list[Any], right: list[Any]) -> bool:
    return _set_contains(left, right) and _set_contains(right, left)
