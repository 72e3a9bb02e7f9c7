"""Functions and operators by signature: which implementation fits which types, before and while an expression runs.

A signature is written as it reads: `string.contains(string) bool`, `_+_(int, int) int`, `list(A).indexOf(A) int`. Capital letters are type variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from raysail.apiserver.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, NULL, STRING, TIMESTAMP, TYPE, UINT, Type
from raysail.apiserver.cel.values import CelError, Duration, Optional, Timestamp, TypeValue, UInt

Implementation = Callable[..., Any]
_Function = TypeVar("_Function", bound=Implementation)


@dataclass(frozen=True, slots=True)
class Overload:
    """One implementation."""

    name: str
    member: bool
    parameters: tuple[Type, ...]
    result: Type
    function: Implementation
    cost: int = 0
    """How much work a call is, beside one step: 0 little, 1 in proportion to its first operand."""


_OVERLOADS: Final[dict[tuple[str, bool], list[Overload]]] = {}
_SIMPLE: Final = {t.name: t for t in (DYN, BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, TIMESTAMP, DURATION, TYPE)}
_TOKEN: Final = re.compile(r"[A-Za-z_0-9]+|[(),]")


def overload(signature: str, *, cost: int = 0) -> Callable[[_Function], _Function]:
    """Declares the decorated function as one implementation. Several signatures may share it."""
    name, member, parameters, result = _parse_signature(signature)

    def declare(function: _Function) -> _Function:
        _OVERLOADS.setdefault((name, member), []).append(Overload(name, member, parameters, result, function, cost))
        return function

    return declare


def overloads(name: str, *, member: bool) -> Sequence[Overload]:
    """All implementations of a function or method."""
    return _OVERLOADS.get((name, member), ())


def is_function(name: str) -> bool:
    """Whether anything has that name."""
    return (name, True) in _OVERLOADS or (name, False) in _OVERLOADS


def _parse_signature(signature: str) -> tuple[str, bool, tuple[Type, ...], Type]:
    split = _result_at(signature)
    head, result, target = signature[:split], signature[split + 1 :], ""
    open_at = _opening(head)
    name = head[:open_at]
    if "." in name and not name.startswith("@"):
        before, _, last = name.rpartition(".")
        if before != "optional" and before.split("(")[0] in _KNOWN:
            target, name = before, last
    parameters = _types(head[open_at + 1 : -1])
    if target:
        parameters = (*_types(target), *parameters)
    return name, bool(target), parameters, _types(result)[0]


_KNOWN: Final = frozenset(
    {*_SIMPLE, "list", "map", "optional", "quantity", "url", "ip_address", "cidr_range", "semver_version", "named_format"}
)


def _result_at(signature: str) -> int:
    """The space before the result: the last one outside brackets."""
    depth, found = 0, -1
    for at, character in enumerate(signature):
        depth += {"(": 1, ")": -1}.get(character, 0)
        found = at if character == " " and depth == 0 else found
    return found


def _opening(head: str) -> int:
    """Where the argument list opens: the bracket that the last one closes."""
    depth = 0
    for at in range(len(head) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(head[at], 0)
        if depth == 0:
            return at
    raise ValueError(head)


@cache
def _types(text: str) -> tuple[Type, ...]:
    tokens = _TOKEN.findall(text)
    at = 0

    def one() -> Type:
        nonlocal at
        name = tokens[at]
        at += 1
        parameters: list[Type] = []
        if at < len(tokens) and tokens[at] == "(":
            at += 1
            while tokens[at] != ")":
                parameters.append(one())
                if tokens[at] == ",":
                    at += 1
            at += 1
        return _SIMPLE[name] if name in _SIMPLE else Type(name, tuple(parameters))

    found: list[Type] = []
    while at < len(tokens):
        found.append(one())
        if at < len(tokens):
            at += 1
    return tuple(found)


Bindings = dict[str, Type]


def is_variable(kind: Type) -> bool:
    """Whether a type in a signature stands for any."""
    return len(kind.name) == 1 and kind.name.isupper()


def unify(declared: Type, given: Type, bindings: Bindings) -> bool:
    """Whether a value of type `given` may stand where `declared` is asked for; binds type variables on the way."""
    if is_variable(declared):
        bound = bindings.get(declared.name)
        if bound is None or (bound.is_dyn and not given.is_dyn):
            bindings[declared.name] = given
            return True
        if assignable(bound, given):
            return True
        if assignable(given, bound):
            bindings[declared.name] = given
            return True
        return False
    if declared.is_dyn or given.is_dyn:
        return True
    if given == NULL and declared.name in _NULLABLE:
        return True
    if declared.name != given.name:
        return False
    return len(declared.parameters) == len(given.parameters) and all(
        unify(d, g, bindings) for d, g in zip(declared.parameters, given.parameters, strict=True)
    )


_NULLABLE: Final = frozenset({"timestamp", "duration", "object", "quantity", "url", "ip_address", "cidr_range", "semver_version", "null"})


def assignable(target: Type, given: Type) -> bool:
    """Whether two types can be the same at run time."""
    if target.is_dyn or given.is_dyn:
        return True
    if NULL in (target, given):
        return target.name in _NULLABLE and given.name in _NULLABLE
    if target.name != given.name or (target.name == "object" and target.identity != given.identity):
        return False
    if len(target.parameters) != len(given.parameters):
        return True
    return all(map(assignable, target.parameters, given.parameters))


def substitute(kind: Type, bindings: Bindings) -> Type:
    """A signature's type with its variables filled in."""
    if is_variable(kind):
        return bindings.get(kind.name, DYN)
    if not kind.parameters:
        return kind
    return Type(kind.name, tuple(substitute(p, bindings) for p in kind.parameters), kind.node)


def candidates(name: str, *, member: bool, given: Sequence[Type]) -> list[tuple[Overload, Type]]:
    """The implementations that static types leave, each with its result type."""
    found = []
    for one in overloads(name, member=member):
        bindings: Bindings = {}
        if len(one.parameters) == len(given) and all(unify(p, g, bindings) for p, g in zip(one.parameters, given, strict=True)):
            found.append((one, substitute(one.result, bindings)))
    return found


_PYTHON: Final[dict[str, type]] = {
    "bool": bool,
    "int": int,
    "uint": UInt,
    "double": float,
    "string": str,
    "bytes": bytes,
    "null": type(None),
    "timestamp": Timestamp,
    "duration": Duration,
    "list": list,
    "map": dict,
    "optional": Optional,
    "type": TypeValue,
}


def register_type(name: str, python_type: type) -> None:
    """Tells dispatch how values of a library's own type look."""
    _PYTHON[name] = python_type


def _fits(value: Any, kind: Type) -> bool:
    wanted = _PYTHON.get(kind.name)
    if wanted is None:
        return True  # dyn and type variables
    if type(value) is not wanted:
        return False
    if isinstance(value, list) and kind.parameters and kind.parameters[0].name in _PYTHON:
        return all(_fits(item, kind.parameters[0]) for item in value)
    return True


@cache
def dispatcher(name: str, *, member: bool) -> Implementation:
    """A function that chooses among all implementations by what its arguments are at run time."""
    known = overloads(name, member=member)

    def call(*arguments: Any) -> Any:
        for one in known:
            if len(one.parameters) == len(arguments) and all(map(_fits, arguments, one.parameters)):
                return one.function(*arguments)
        raise CelError("no such overload")

    return call
