"""JSONPath as kubectl and CRDs write it: `.status.conditions[?(@.type=="Ready")].status`.

Compiled once, evaluated often (printer columns of every row of a list). Missing keys give no result, never an error.
Grammar: k8s.io/client-go/util/jsonpath, of which this is the part inside one `{...}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from raysail.api.go_text import json_text, plain_text

Step = Callable[[Iterable[Any]], Iterator[Any]]
Find = Callable[[Any], list[Any]]


class JsonPathError(ValueError):
    """The text is not a JSONPath."""


_NAME: Final = re.compile(r"(?:\\.|[^.\[\]\\{}\s])+")
_FILTER: Final = re.compile(
    r"\?\(\s*(?P<left>@[^=<>!]*?|'[^']*'|\"[^\"]*\"|[^=<>!@]+?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*)?\)"
)
_SLICE: Final = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?")


@lru_cache(maxsize=1024)
def compile_path(text: str) -> Find:
    """A function from a value to what the path finds in it, in order. Raises JsonPathError."""
    steps = list(_parse(text))

    def find(value: Any) -> list[Any]:
        found: Iterable[Any] = (value,)
        for step in steps:
            found = step(found)
        return list(found)

    return find


def _parse(text: str) -> Iterator[Step]:
    at = 0
    if text.startswith(("$", "@")):
        at = 1
    while at < len(text):
        if text.startswith("..", at):
            at += 2
            yield _descend
            name = _NAME.match(text, at)
            if name:
                at = name.end()
                yield _field(_unescaped(name[0]))
        elif text[at] == ".":
            at += 1
            name = _NAME.match(text, at)
            if name is None:
                if at < len(text) and text[at] == "[":
                    continue
                if at == len(text):
                    return
                raise JsonPathError(f"unrecognized character in {text!r} at {at}")
            at = name.end()
            yield _wildcard if name[0] == "*" else _field(_unescaped(name[0]))
        elif text[at] == "[":
            end = _closing(text, at)
            yield _bracket(text[at + 1 : end].strip(), text)
            at = end + 1
        elif at == 0 and (name := _NAME.match(text)):
            at = name.end()
            yield _field(_unescaped(name[0]))
        else:
            raise JsonPathError(f"unrecognized character in {text!r} at {at}")


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _closing(text: str, start: int) -> int:
    """The bracket that closes the one at `start`; brackets inside quotes do not count."""
    depth, quote = 0, ""
    for at in range(start, len(text)):
        character = text[at]
        if quote:
            quote = "" if character == quote and text[at - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if depth == 0:
                return at
    raise JsonPathError(f"unterminated array in {text!r}")


def _bracket(inside: str, text: str) -> Step:
    if inside == "*":
        return _wildcard
    if inside.startswith("?"):
        return _filter(inside, text)
    if inside[:1] in ("'", '"'):
        names = [part.strip()[1:-1] for part in inside.split(",")]
        return _union([_field(_unescaped(name)) for name in names])
    parts = [part.strip() for part in inside.split(",")]
    if len(parts) > 1:
        return _union([_bracket(part, text) for part in parts])
    if re.fullmatch(r"-?\d+", inside):
        return _index(int(inside))
    found = _SLICE.fullmatch(inside)
    if found:
        low, high, stride = (int(part) if part else None for part in found.groups())
        return _slice(slice(low, high, stride))
    raise JsonPathError(f"invalid array index {inside!r} in {text!r}")


def _field(name: str) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, Mapping) and name in value:
                yield value[name]

    return step


def _wildcard(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _descend(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping | list):
            yield value
            yield from _descend(value.values() if isinstance(value, Mapping) else value)


def _index(index: int) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list) and -len(value) <= index < len(value):
                yield value[index]

    return step


def _slice(part: slice) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list):
                yield from value[part]

    return step


def _union(steps: list[Step]) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            for one in steps:
                yield from one((value,))

    return step


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _filter(inside: str, text: str) -> Step:
    found = _FILTER.fullmatch(inside)
    if found is None:
        raise JsonPathError(f"unterminated filter in {text!r}")
    left = _operand(found["left"])
    operator = found["operator"]
    if operator is None:
        return _keep(lambda item: bool(left(item)))
    right = _operand(found["right"])
    compare = _COMPARE[operator]

    def accepts(item: Any) -> bool:
        lefts, rights = left(item), right(item)
        if len(lefts) != 1 or len(rights) != 1:
            return False
        try:
            return type(lefts[0]) is type(rights[0]) and compare(lefts[0], rights[0])
        except TypeError:
            return False

    return _keep(accepts)


def _keep(accepts: Callable[[Any], bool]) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list):
                yield from (item for item in value if accepts(item))

    return step


def _operand(text: str) -> Find:
    text = text.strip()
    if text.startswith("@"):
        return compile_path(text)
    constant: Any
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        constant = _unescaped(text[1:-1])
    elif text in ("true", "false"):
        constant = text == "true"
    elif re.fullmatch(r"-?\d+", text):
        constant = int(text)
    else:
        try:
            constant = float(text)
        except ValueError:
            raise JsonPathError(f"unrecognized operand {text!r}") from None
    return lambda _: [constant]


def printed(value: Any) -> str:
    """A result as JSONPath prints it: collections as JSON, the rest plain."""
    return json_text(value) if isinstance(value, dict | list) else plain_text(value)
