"""From a checked tree to a Python function, by way of Python's `ast`.

No text of the user's reaches Python: names become `v0`, `v1`, ..., constants become constants, functions are looked up in a table made here.
The quick form leans on static types: a field is a subscript, `==` of two texts is `==`, all() is a generator. Where a type is not certain, and in the careful
form everywhere, the functions of `runtime` are called.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from raysail.apiserver.cel import runtime
from raysail.apiserver.cel.checker import qualified_name
from raysail.apiserver.cel.kubernetes_library import TYPE_NAMES
from raysail.apiserver.cel.overloads import Overload, dispatcher
from raysail.apiserver.cel.syntax import (
    Bind,
    Call,
    Comprehension,
    Expression,
    Identifier,
    ListLiteral,
    Literal,
    MapLiteral,
    Select,
    chain_of,
    children,
)
from raysail.apiserver.cel.types import Type, fields
from raysail.apiserver.cel.values import Optional

Evaluate = Callable[..., Any]

_PLAIN_EQUAL: Final = frozenset({"string", "int", "double", "uint", "bytes", "bool", "timestamp", "duration"})
_PLAIN_ORDER: Final = frozenset({"string", "int", "double", "uint", "bytes", "timestamp", "duration"})
_COMPARE: Final[dict[str, type[ast.cmpop]]] = {
    "_==_": ast.Eq,
    "_!=_": ast.NotEq,
    "_<_": ast.Lt,
    "_<=_": ast.LtE,
    "_>_": ast.Gt,
    "_>=_": ast.GtE,
}


def emit(expression: Expression, variables: tuple[str, ...], *, careful: bool) -> Evaluate:
    """A function of the variables, in that order, and an Account last."""
    emitter = _Emitter(careful=careful)
    names = {name: f"v{index}" for index, name in enumerate(variables)}
    emitter.count = len(names)
    body = emitter.of(expression, names)
    parameters = [ast.arg(arg=name) for name in (*names.values(), "account")]
    function = ast.Lambda(args=_arguments(parameters), body=body)
    module = ast.fix_missing_locations(ast.Expression(body=function))
    compiled: Evaluate = eval(compile(module, "<cel>", "eval"), emitter.table)  # noqa: S307 - a tree of our own making
    return compiled


def _arguments(parameters: list[ast.arg]) -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=parameters, kwonlyargs=[], kw_defaults=[], defaults=[])


def steps(expression: Expression | None) -> int:
    """How many steps one evaluation takes, loops inside counted once."""
    if expression is None:
        return 0
    count, pending = 0, [expression]
    while pending:
        node = pending.pop()
        count += 1
        pending += [node.source] if isinstance(node, Comprehension) else children(node)  # a loop's body is charged where it runs
    return count


class _Emitter:
    def __init__(self, *, careful: bool) -> None:
        self.careful = careful
        self.count = 0
        self.table: dict[str, Any] = {"__builtins__": {"all": all, "any": any}}
        self.known: dict[int, str] = {}

    def constant(self, value: Any) -> ast.expr:
        """A name in the function's globals for something that is no literal."""
        name = self.known.get(id(value))
        if name is None:
            name = self.known[id(value)] = f"c{len(self.table)}"
            self.table[name] = value
        return ast.Name(id=name, ctx=ast.Load())

    def run(self, function: Callable[..., Any], *arguments: ast.expr, **keywords: Any) -> ast.expr:
        found = [ast.keyword(arg=k, value=ast.Constant(value=v)) for k, v in keywords.items()]
        return ast.Call(func=self.constant(function), args=list(arguments), keywords=found)

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def delayed(self, body: ast.expr, *parameters: str) -> ast.expr:
        return ast.Lambda(args=_arguments([ast.arg(arg=p) for p in parameters]), body=body)

    def account(self) -> ast.expr:
        return ast.Name(id="account", ctx=ast.Load())

    def of(self, expression: Expression, names: dict[str, str]) -> ast.expr:
        if isinstance(expression, Literal):
            plain = type(expression.value) in (bool, int, float, str, bytes, type(None))
            return ast.Constant(value=expression.value) if plain else self.constant(expression.value)
        if isinstance(expression, Identifier):
            if expression.name in names:
                return ast.Name(id=names[expression.name], ctx=ast.Load())
            return self.constant(TYPE_NAMES[expression.name])
        if isinstance(expression, Select):
            return self.select(expression, names)
        if isinstance(expression, Call):
            return self.call(expression, names)
        if isinstance(expression, ListLiteral):
            return self.list_literal(expression, names)
        if isinstance(expression, MapLiteral):
            return self.map_literal(expression, names)
        if isinstance(expression, Comprehension):
            return self.comprehension(expression, names)
        assert isinstance(expression, Bind)  # noqa: S101 - the last kind of node
        return self.bind(expression, names)

    def select(self, expression: Select, names: dict[str, str]) -> ast.expr:
        dotted = qualified_name(expression)
        if dotted in TYPE_NAMES and not expression.test and dotted.split(".")[0] not in names:
            return self.constant(TYPE_NAMES[dotted])
        operand = self.of(expression.operand, names)
        kind = expression.operand.type
        inner = kind.parameters[0] if kind.name == "optional" and kind.parameters else kind
        typed = inner.name == "object"
        raw, field_type = fields(inner)[expression.name] if typed else (expression.name, expression.type)
        name = ast.Constant(value=raw)
        if expression.test:
            if not self.careful and typed and kind.name != "optional":
                get = ast.Call(func=ast.Attribute(value=operand, attr="get", ctx=ast.Load()), args=[name], keywords=[])
                return ast.Compare(left=get, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)])
            return self.run(runtime.has, operand, name, null_is_absent=typed)
        if expression.optional or kind.name == "optional":
            found = self.run(runtime.select_optional, operand, name)
            convert = runtime.converter(field_type) if typed else None
            return self.run(_in_optional, self.constant(convert), found) if convert else found
        if not typed:
            return self.run(runtime.select_any, operand, name)
        return self.converted(self.typed_field(operand, raw, expression.name, inner), field_type)

    def typed_field(self, operand: ast.expr, raw: str, shown: str, kind: Type) -> ast.expr:
        child = kind.node.properties.get(raw) if kind.node is not None else None
        if self.careful or (child is not None and child.nullable):
            return self.run(runtime.select, operand, ast.Constant(value=raw), ast.Constant(value=shown))
        return ast.Subscript(value=operand, slice=ast.Constant(value=raw), ctx=ast.Load())

    def converted(self, found: ast.expr, kind: Type) -> ast.expr:
        if kind.name == "int" and not self.careful:
            return found  # a float that is whole only matters where arithmetic asks, which then ends the quick form
        convert = runtime.converter(kind)
        if convert is None or (kind.name == "list" and kind.parameters[0].name == "int" and not self.careful):
            return found
        return self.run(convert, found)

    def call(self, expression: Call, names: dict[str, str]) -> ast.expr:
        name = expression.name
        if name in ("_&&_", "_||_"):
            return self.logic(expression, names)
        if name == "_?_:_":
            condition, first, second = expression.arguments
            return ast.IfExp(test=self.condition(condition, names), body=self.of(first, names), orelse=self.of(second, names))
        if expression.target is not None and name in ("or", "orValue") and expression.target.type.name in ("optional", "dyn"):
            function = runtime.or_optional if name == "or" else runtime.or_value
            other = self.delayed(self.of(expression.arguments[0], names))
            return self.run(function, self.of(expression.target, names), other)
        operands = [self.of(a, names) for a in expression.operands()]
        kinds = [a.type for a in expression.operands()]
        special = self.special(name, operands, kinds)
        if special is not None:
            return special
        chosen: Overload | None = expression.overload
        cost = chosen.cost if chosen is not None else 1
        if cost and operands and not self._is_small(kinds[0]):
            operands[0] = self.run(runtime.sized, self.account(), operands[0])
        if chosen is not None and not self.careful:
            return self.run(chosen.function, *operands)
        if name == "_[_]" and chosen is None:
            return self.run(runtime.index_any, *operands)
        return self.run(dispatcher(name, member=expression.target is not None), *operands)

    @staticmethod
    def _is_small(kind: Type) -> bool:
        return kind.name in ("int", "uint", "double", "bool", "timestamp", "duration", "null")

    def special(self, name: str, operands: list[ast.expr], kinds: list[Type]) -> ast.expr | None:
        """Operators that Python has too, where static types say they mean the same; and lists whose order does not count."""
        if name == "_[?_]" or (name == "_[_]" and kinds[0].name == "optional"):
            return self.run(runtime.index_optional, *operands)
        if name in ("_==_", "_!=_", "_+_") and (keyed := self.keyed_lists(name, operands, kinds)) is not None:
            return keyed
        if self.careful:
            return None
        plain = _PLAIN_EQUAL if name in ("_==_", "_!=_") else _PLAIN_ORDER
        if name in _COMPARE and kinds[0].name == kinds[1].name and kinds[0].name in plain:
            return ast.Compare(left=operands[0], ops=[_COMPARE[name]()], comparators=[operands[1]])
        if name == "!_" and kinds[0].name == "bool":
            return ast.UnaryOp(op=ast.Not(), operand=operands[0])
        if name == "@in" and kinds[0].name == "string" and kinds[1].name in ("map", "list") and kinds[1].parameters[0].name == "string":
            return ast.Compare(left=operands[0], ops=[ast.In()], comparators=[operands[1]])
        if name == "_[_]" and kinds[0].name == "map" and kinds[1].name == "string":
            return ast.Subscript(value=operands[0], slice=operands[1], ctx=ast.Load())
        return None

    def keyed_lists(self, name: str, operands: list[ast.expr], kinds: list[Type]) -> ast.expr | None:
        """Lists of type set and map: their order does not count, and `+` merges. The left one says what they are."""
        node = kinds[0].node if kinds[0].name == "list" else None
        if node is None or kinds[1].name != "list" or node.list_type == "atomic":
            return None
        extra = [] if node.list_type == "set" else [self.constant(node.list_map_keys)]
        if name == "_+_":
            return self.run(runtime.joined_sets if node.list_type == "set" else runtime.joined_list_maps, *operands, *extra)
        same = self.run(runtime.equal_sets if node.list_type == "set" else runtime.equal_list_maps, *operands, *extra)
        return same if name == "_==_" else ast.UnaryOp(op=ast.Not(), operand=same)

    def logic(self, expression: Call, names: dict[str, str]) -> ast.expr:
        """A chain of one operator."""
        chain = chain_of(expression)
        if not self.careful:
            operator = ast.And() if expression.name == "_&&_" else ast.Or()
            return ast.BoolOp(op=operator, values=[self.condition(operand, names) for operand in chain])
        function = runtime.both if expression.name == "_&&_" else runtime.either
        return self.run(function, *(self.delayed(self.of(operand, names)) for operand in chain))

    def condition(self, expression: Expression, names: dict[str, str]) -> ast.expr:
        found = self.of(expression, names)
        return found if expression.type.name == "bool" and not self.careful else self.run(runtime.truth, found)

    def list_literal(self, expression: ListLiteral, names: dict[str, str]) -> ast.expr:
        elements = [self.of(e, names) for e in expression.elements]
        if not expression.optional:
            return ast.List(elts=elements, ctx=ast.Load())
        flagged: list[ast.expr] = [
            ast.Tuple(elts=[e, ast.Constant(value=i in expression.optional)], ctx=ast.Load()) for i, e in enumerate(elements)
        ]
        return self.run(runtime.make_list, ast.List(elts=flagged, ctx=ast.Load()))

    def map_literal(self, expression: MapLiteral, names: dict[str, str]) -> ast.expr:
        entries: list[ast.expr] = [
            ast.Tuple(elts=[self.of(k, names), self.of(v, names), ast.Constant(value=i in expression.optional)], ctx=ast.Load())
            for i, (k, v) in enumerate(expression.entries)
        ]
        return self.run(runtime.make_map, ast.List(elts=entries, ctx=ast.Load()))

    def comprehension(self, expression: Comprehension, names: dict[str, str]) -> ast.expr:
        inner = dict(names)
        own = [self.fresh() for _ in expression.variables]
        inner.update(zip(expression.variables, own, strict=True))
        cost = ast.Constant(value=steps(expression.body) + steps(expression.condition) + 1)
        source = self.run(runtime.looped, self.account(), self.of(expression.source, names), cost)
        kind, two = expression.kind, len(own) == 2
        if two:
            source = self.run(runtime.pairs, source)
        body = expression.body
        if kind in ("all", "exists", "exists_one"):
            assert body is not None  # noqa: S101 - the parser gives these a body
            asked = self.condition(body, inner)
            if kind == "exists_one":
                return self.run(runtime.one, self.loop(ast.GeneratorExp, asked, own, source))
            if self.careful:
                function = runtime.every if kind == "all" else runtime.some
                return self.run(function, source, self.delayed(asked, *own), ast.Constant(value=two))
            name = ast.Name(id="all" if kind == "all" else "any", ctx=ast.Load())
            return ast.Call(func=name, args=[self.loop(ast.GeneratorExp, asked, own, source)], keywords=[])
        if kind == "sortBy":
            assert body is not None  # noqa: S101 - the parser gives it a body
            return self.run(runtime.sorted_by, source, self.delayed(self.of(body, inner), *own))
        conditions = [self.condition(expression.condition, inner)] if expression.condition is not None else []
        made = self.of(body, inner) if body is not None else ast.Name(id=own[0], ctx=ast.Load())
        if kind == "transformMap":
            generator = self.generator(own, source, conditions)
            return ast.DictComp(key=ast.Name(id=own[0], ctx=ast.Load()), value=made, generators=[generator])
        found = self.loop(ast.ListComp, made, own, source, conditions)
        return self.run(runtime.merged, found) if kind == "transformMapEntry" else found

    def generator(self, own: list[str], source: ast.expr, conditions: list[ast.expr]) -> ast.comprehension:
        stores: list[ast.expr] = [ast.Name(id=name, ctx=ast.Store()) for name in own]
        target = stores[0] if len(stores) == 1 else ast.Tuple(elts=stores, ctx=ast.Store())
        return ast.comprehension(target=target, iter=source, ifs=conditions, is_async=0)

    def loop(
        self,
        form: type[ast.ListComp] | type[ast.GeneratorExp],
        element: ast.expr,
        own: list[str],
        source: ast.expr,
        conditions: list[ast.expr] | None = None,
    ) -> ast.expr:
        return form(elt=element, generators=[self.generator(own, source, conditions or [])])

    def bind(self, expression: Bind, names: dict[str, str]) -> ast.expr:
        own = self.fresh()
        value = self.of(expression.value, names)
        body = self.delayed(self.of(expression.body, {**names, expression.name: own}), own)
        if not expression.optional:
            return ast.Call(func=body, args=[value], keywords=[])
        return self.run(runtime.map_optional, value, body, flat=expression.optional == "optFlatMap")


def _in_optional(convert: Callable[[Any], Any], value: Any) -> Any:
    return Optional(True, convert(value.content)) if value.present and value.content is not None else value
