"""The shape of a CEL expression after parsing. Each node knows where it stands in the text and, after checking, its type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raysail.apiserver.cel.types import DYN, Type


class CelSyntaxError(ValueError):
    """The text is not CEL, or does not type-check. `position` is an offset in characters."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position

    def report(self, text: str) -> str:
        """The message as cel-go prints it, with the line and a caret under the place."""
        before = text[: self.position]
        line, column = before.count("\n") + 1, self.position - (before.rfind("\n") + 1)
        source = text.split("\n")[line - 1] if text else ""
        return f"ERROR: <input>:{line}:{column + 1}: {self}\n | {source}\n | {'.' * column}^"


@dataclass(slots=True)
class Expression:
    """Base of all nodes."""

    position: int
    type: Type = field(default=DYN, init=False)


@dataclass(slots=True)
class Literal(Expression):
    """A constant: bool, int, UInt, float, str, bytes or None."""

    value: Any


@dataclass(slots=True)
class Identifier(Expression):
    """A variable, or the name of a type."""

    name: str


@dataclass(slots=True)
class Select(Expression):
    """`operand.field`; with `test` it is has(operand.field), with `optional` it is operand.?field."""

    operand: Expression
    name: str
    test: bool = False
    optional: bool = False


@dataclass(slots=True)
class Call(Expression):
    """`name(arguments)` or `target.name(arguments)`. Operators have cel-go's names: `_+_`, `_&&_`, `!_`, `_[_]`, `_?_:_`."""

    name: str
    target: Expression | None
    arguments: list[Expression]
    overload: Any = field(default=None, init=False)
    """The one implementation that static types chose; None where run-time types decide."""

    def operands(self) -> list[Expression]:
        """The target, if any, and the arguments."""
        return [self.target, *self.arguments] if self.target is not None else self.arguments


@dataclass(slots=True)
class ListLiteral(Expression):
    """`[a, ?b]`; `optional` holds the indexes of elements that may be absent."""

    elements: list[Expression]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True)
class MapLiteral(Expression):
    """`{key: value, ?key: optional}`."""

    entries: list[tuple[Expression, Expression]]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True)
class Comprehension(Expression):
    """A macro over a list or map: all, exists, exists_one, map, filter, sortBy, transformList, transformMap, transformMapEntry.

    `variables` is one name, or two (index or key, and value). `condition` filters; `body` is what is asked or made of each element.
    """

    kind: str
    source: Expression
    variables: tuple[str, ...]
    condition: Expression | None
    body: Expression | None


@dataclass(slots=True)
class Bind(Expression):
    """`body` with `name` bound to `value` (cel.bind, optMap: there `optional` says that value is an optional and what the result is)."""

    name: str
    value: Expression
    body: Expression
    optional: str = ""


def children(expression: Expression) -> list[Expression]:
    """The expressions directly inside one."""
    if isinstance(expression, Select):
        return [expression.operand]
    if isinstance(expression, Call):
        return expression.operands()
    if isinstance(expression, ListLiteral):
        return expression.elements
    if isinstance(expression, MapLiteral):
        return [part for entry in expression.entries for part in entry]
    if isinstance(expression, Comprehension):
        return [part for part in (expression.source, expression.condition, expression.body) if part is not None]
    return [expression.value, expression.body] if isinstance(expression, Bind) else []


def chain_of(expression: Call) -> list[Expression]:
    """The operands of `a && b && c`, from the left: a chain of one operator, however long."""
    found: list[Expression] = []
    node: Expression = expression
    while isinstance(node, Call) and node.name == expression.name:
        found.append(node.arguments[1])
        node = node.arguments[0]
    return [node, *reversed(found)]
