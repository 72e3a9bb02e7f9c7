"""A CEL expression, compiled: parsed, checked, and turned into Python once, evaluated often."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import raysail.apiserver.cel.network_library
import raysail.apiserver.cel.standard_library
import raysail.apiserver.cel.strings_library  # noqa: F401 - the three declare their functions
from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel.checker import check
from raysail.apiserver.cel.cost import estimate
from raysail.apiserver.cel.emitter import Evaluate, emit, steps
from raysail.apiserver.cel.parser import parse
from raysail.apiserver.cel.runtime import PER_CALL_LIMIT, Account
from raysail.apiserver.cel.syntax import CelSyntaxError, Comprehension, Expression, Identifier, children
from raysail.apiserver.cel.types import Type
from raysail.apiserver.cel.values import CelError, CostExceeded

__all__ = ["CelError", "CostExceeded", "Program", "compile_expression"]


class Program:
    """One expression over named variables. `result` is its static type."""

    def __init__(self, text: str, expression: Expression, result: Type, variables: tuple[str, ...]) -> None:
        self.text = text
        self.result = result
        self._expression = expression
        self._variables = variables
        self._steps = steps(expression)

    @cached_property
    def _quick(self) -> Evaluate:
        return emit(self._expression, self._variables, careful=False)

    @cached_property
    def _careful(self) -> Evaluate:
        return emit(self._expression, self._variables, careful=True)

    def most_cost(self, place: SchemaNode) -> int:
        """The most work one evaluation can be, where `self` is of this schema."""
        return estimate(self._expression, place)

    def uses(self, name: str) -> bool:
        """Whether the expression names the variable (a loop variable of the same name hides it)."""
        return _uses(self._expression, name)

    def evaluate(self, *values: Any, limit: int = PER_CALL_LIMIT) -> tuple[Any, int]:
        """The value and the work done. Raises CelError, or CostExceeded."""
        account = Account(limit)
        account.charge(self._steps)
        try:
            return self._quick(*values, account), account.spent
        except CostExceeded:
            raise
        except (CelError, KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError):
            pass  # the quick form ends at the first surprise; the careful one says what it means
        account = Account(limit)
        account.charge(self._steps)
        try:
            return self._careful(*values, account), account.spent
        except (OverflowError, RecursionError, MemoryError) as error:
            raise CelError(str(error)) from error


def compile_expression(text: str, variables: Mapping[str, Type]) -> Program:
    """Raises CelSyntaxError."""
    expression = parse(text)
    try:
        result = check(expression, variables)
    except RecursionError as error:
        raise CelSyntaxError("expression recursion limit exceeded", 0) from error
    return Program(text, expression, result, tuple(variables))


def _uses(expression: Expression, name: str) -> bool:
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, Identifier) and node.name == name:
            return True
        hidden = isinstance(node, Comprehension) and name in node.variables
        pending += [node.source] if isinstance(node, Comprehension) and hidden else children(node)
    return False
