"""Types before anything runs: undeclared names, fields that are not there, operators that fit nothing.

A light version of cel-go's checker: what it refuses, that refuses too; where a type is only known at run time it says `dyn` and lets it pass.
Each node gets its type, each call whose implementation is already certain gets that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysail.apiserver.cel.kubernetes_library import TYPE_NAMES
from raysail.apiserver.cel.overloads import assignable, candidates, dispatcher, is_function
from raysail.apiserver.cel.syntax import (
    Bind,
    Call,
    CelSyntaxError,
    Comprehension,
    Expression,
    Identifier,
    ListLiteral,
    Literal,
    MapLiteral,
    Select,
    chain_of,
)
from raysail.apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    TYPE,
    UINT,
    Type,
    fields,
    list_of,
    map_of,
    optional_of,
)
from raysail.apiserver.cel.values import CelError, UInt
from raysail.apiserver.schema.patterns import PatternError, compile_pattern

_LITERALS: Final = {bool: BOOL, int: INT, UInt: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL}
_SORTABLE: Final = frozenset({"int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"})
_LOGIC: Final = frozenset({"_&&_", "_||_"})
_RELATIONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"})

Scope = Mapping[str, Type]


def check(expression: Expression, variables: Scope) -> Type:
    """The type of the expression; annotates the tree. Raises CelSyntaxError."""
    return _Checker().of(expression, dict(variables))


class _Checker:
    def __init__(self) -> None:
        self.mixed: Expression | None = None
        """The list literal that may mix types: the arguments of format()."""

    def of(self, expression: Expression, scope: Scope) -> Type:
        if isinstance(expression, Literal):
            found = _LITERALS[type(expression.value)]
        elif isinstance(expression, Identifier):
            found = self.identifier(expression, scope)
        elif isinstance(expression, Select):
            found = self.select(expression, scope)
        elif isinstance(expression, Call):
            found = self.call(expression, scope)
        elif isinstance(expression, ListLiteral):
            elements = [self.element(expression, i, scope) for i in range(len(expression.elements))]
            found = list_of(self.joined(elements, expression.elements, mixed=expression is self.mixed))
        elif isinstance(expression, MapLiteral):
            found = self.map_literal(expression, scope)
        elif isinstance(expression, Comprehension):
            found = self.comprehension(expression, scope)
        else:
            assert isinstance(expression, Bind)  # noqa: S101 - the last kind of node
            found = self.bind(expression, scope)
        expression.type = found
        return found

    def identifier(self, expression: Identifier, scope: Scope) -> Type:
        if expression.name in scope:
            return scope[expression.name]
        if expression.name in TYPE_NAMES:
            return TYPE
        raise CelSyntaxError(f"undeclared reference to '{expression.name}' (in container '')", expression.position)

    def select(self, expression: Select, scope: Scope) -> Type:
        named = qualified_name(expression)
        if named in TYPE_NAMES and not expression.test and named.split(".")[0] not in scope:
            return TYPE
        operand = self.of(expression.operand, scope)
        inner = operand.parameters[0] if operand.name == "optional" else operand
        found = self.field(inner, expression)
        if expression.test:
            return BOOL
        return optional_of(found) if expression.optional or operand.name == "optional" else found

    def field(self, operand: Type, expression: Select) -> Type:
        if operand.is_dyn:
            return DYN
        if operand.name == "map":
            return operand.parameters[1]
        if operand.name == "object":
            found = fields(operand).get(expression.name)
            if found is None:
                raise CelSyntaxError(f"undefined field '{expression.name}'", expression.position)
            return found[1]
        raise CelSyntaxError(f"type '{operand}' does not support field selection", expression.position)

    def call(self, expression: Call, scope: Scope) -> Type:
        name = expression.name
        if name in _LOGIC:
            return self.logic(expression, scope)
        if name == "_?_:_":
            condition, first, second = (self.of(a, scope) for a in expression.arguments)
            if not assignable(BOOL, condition):
                raise self.no_overload(expression, [condition, first, second])
            if not assignable(first, second):
                raise self.no_overload(expression, [condition, first, second])
            return second if first.is_dyn or first == NULL else first
        if name == "format" and expression.target is not None and expression.arguments:
            self.mixed = expression.arguments[0]
        given = [self.of(a, scope) for a in expression.operands()]
        if name == "_[?_]" or (name == "_[_]" and given[0].name == "optional"):
            return self.optional_index(expression, given)
        if expression.target is not None and given[0].name == "optional" and name in ("or", "orValue"):
            return self.optional_or(expression, given)
        found = candidates(name, member=expression.target is not None, given=given)
        if not found:
            if not is_function(name):
                raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')", expression.position)
            raise self.no_overload(expression, given)
        if (len(found) == 1 and not any(_uncertain(g) for g in given)) or (
            len({one.function for one, _ in found}) == 1 and name in _RELATIONS
        ):
            expression.overload = found[0][0]
        self.check_literal(expression)
        if name == "_+_" and given[0].name == "list" and given[0].node is not None:
            return given[0]  # what it is keyed by stays known
        results = [result for _, result in found]
        return results[0] if all(r == results[0] for r in results) else DYN

    def check_literal(self, expression: Call) -> None:
        """Times, spans and patterns written out must be right; later it would be an error on every object."""
        literal = expression.arguments[-1] if expression.arguments else None
        if expression.name in ("find", "findAll") and len(expression.arguments) == 2:
            literal = expression.arguments[0]
        if not isinstance(literal, Literal):
            return
        try:
            if expression.name in ("timestamp", "duration") and isinstance(literal.value, str | int):
                dispatcher(expression.name, member=False)(literal.value)
            elif expression.name in ("matches", "find", "findAll") and isinstance(literal.value, str):
                compile_pattern(literal.value)
        except (CelError, PatternError) as error:
            raise CelSyntaxError(f"invalid {expression.name} argument", literal.position) from error

    def logic(self, expression: Call, scope: Scope) -> Type:
        """A chain of one operator, without recursion along it."""
        node: Expression = expression
        while isinstance(node, Call) and node.name == expression.name:
            node.type = BOOL
            node = node.arguments[0]
        for operand in chain_of(expression):
            given = self.of(operand, scope)
            if not assignable(BOOL, given):
                raise CelSyntaxError(f"expected type 'bool' but found '{given}'", operand.position)
        return BOOL

    def optional_index(self, expression: Call, given: list[Type]) -> Type:
        operand, index = given
        inner = operand.parameters[0] if operand.name == "optional" else operand
        found = candidates("_[_]", member=False, given=[inner, index])
        if not found:
            raise self.no_overload(expression, [operand, index])
        return optional_of(found[0][1] if len({r for _, r in found}) == 1 else DYN)

    def optional_or(self, expression: Call, given: list[Type]) -> Type:
        if len(given) != 2:
            raise self.no_overload(expression, given)
        inner = given[0].parameters[0] if given[0].parameters else DYN
        other = given[1]
        if expression.name == "or":
            if not assignable(given[0], other):
                raise self.no_overload(expression, given)
            return other if inner.is_dyn else given[0]
        if not assignable(inner, other):
            raise self.no_overload(expression, given)
        return other if inner.is_dyn else inner

    def no_overload(self, expression: Call, given: list[Type]) -> CelSyntaxError:
        texts = [str(g) for g in given]
        shown = f"{texts[0]}.({', '.join(texts[1:])})" if expression.target is not None else f"({', '.join(texts)})"
        return CelSyntaxError(f"found no matching overload for '{expression.name}' applied to '{shown}'", expression.position)

    def element(self, expression: ListLiteral, index: int, scope: Scope) -> Type:
        found = self.of(expression.elements[index], scope)
        return self.unwrapped(found, expression.elements[index]) if index in expression.optional else found

    def unwrapped(self, found: Type, expression: Expression) -> Type:
        if found.name == "optional":
            return found.parameters[0] if found.parameters else DYN
        if not found.is_dyn:
            raise CelSyntaxError(f"expected type 'optional_type' but found '{found}'", expression.position)
        return DYN

    def joined(self, found: list[Type], elements: Sequence[Expression], *, mixed: bool = False) -> Type:
        """The one type of all elements; Kubernetes refuses literals of mixed types."""
        known = [t for t in found if not t.is_dyn]
        for kind, element in zip(found, elements, strict=True):
            if not assignable(known[0] if known else DYN, kind):
                if mixed:
                    return DYN
                raise CelSyntaxError(f"expected type '{known[0]}' but found '{kind}'", element.position)
        return known[0] if known and len(known) == len(found) else DYN

    def map_literal(self, expression: MapLiteral, scope: Scope) -> Type:
        keys, values = [], []
        for index, (key, value) in enumerate(expression.entries):
            keys.append(self.of(key, scope))
            found = self.of(value, scope)
            values.append(self.unwrapped(found, value) if index in expression.optional else found)
        return map_of(self.joined(keys, [k for k, _ in expression.entries]), self.joined(values, [v for _, v in expression.entries]))

    def comprehension(self, expression: Comprehension, scope: Scope) -> Type:
        source = self.of(expression.source, scope)
        if source.name not in ("list", "map", "dyn"):
            message = f"expression of type '{source}' cannot be range of a comprehension (must be list, map, or dynamic)"
            raise CelSyntaxError(message, expression.source.position)
        first, second = DYN, DYN
        if source.name == "list":
            item = source.parameters[0]
            first, second = (item, item) if len(expression.variables) == 1 else (INT, item)
        elif source.name == "map":
            first, second = source.parameters
        inner = {**scope, expression.variables[0]: first}
        if len(expression.variables) == 2:
            inner[expression.variables[1]] = second
        if expression.condition is not None:
            self.must_be_bool(expression.condition, inner)
        kind = expression.kind
        if kind in ("all", "exists", "exists_one"):
            assert expression.body is not None  # noqa: S101 - the parser gives these a body
            self.must_be_bool(expression.body, inner)
            return BOOL
        if expression.body is None:
            return list_of(first)
        body = self.of(expression.body, inner)
        if kind == "sortBy":
            if not body.is_dyn and body.name not in _SORTABLE:
                raise CelSyntaxError(f"found no matching overload for 'sortBy' applied to keys of type '{body}'", expression.position)
            return list_of(first)
        if kind in ("map", "transformList"):
            return list_of(body)
        if kind == "transformMap":
            return map_of(INT if source.name == "list" else first, body)
        if body.name not in ("map", "dyn"):
            raise CelSyntaxError(f"expected type 'map' but found '{body}'", expression.position)
        return body if body.name == "map" else map_of(DYN, DYN)

    def must_be_bool(self, expression: Expression, scope: Scope) -> None:
        found = self.of(expression, scope)
        if not assignable(BOOL, found):
            raise CelSyntaxError(f"expected type 'bool' but found '{found}'", expression.position)

    def bind(self, expression: Bind, scope: Scope) -> Type:
        value = self.of(expression.value, scope)
        if not expression.optional:
            return self.of(expression.body, {**scope, expression.name: value})
        inner = self.unwrapped(value, expression.value)
        body = self.of(expression.body, {**scope, expression.name: inner})
        if expression.optional == "optFlatMap":
            self.unwrapped(body, expression.body)
            return body
        return optional_of(body)


def _uncertain(kind: Type) -> bool:
    return kind.is_dyn or any(map(_uncertain, kind.parameters))


def qualified_name(expression: Expression) -> str:
    """`a.b.c` of nested selections of a name; empty for anything else."""
    if isinstance(expression, Identifier):
        return expression.name
    if isinstance(expression, Select) and not expression.test and not expression.optional:
        before = qualified_name(expression.operand)
        return f"{before}.{expression.name}" if before else ""
    return ""
