"""From the text of a CEL expression to its tree, macros expanded.

Grammar: github.com/google/cel-spec doc/langdef.md, with the optional syntax (`a.?b`, `a[?b]`, `[?a]`, `{?k: v}`) and the macros that Kubernetes turns on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

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
)
from raysail.apiserver.cel.types import RESERVED
from raysail.apiserver.cel.values import UInt

MAX_DEPTH: Final = 120
_MAX_INT: Final = 2**63 - 1
_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s|//[^\n]*)+)
      | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
      | (?P<hex>0[xX][0-9a-fA-F]+)(?P<hexu>[uU]?)
      | (?P<int>\d+)(?P<intu>[uU]?)
      | (?P<text>(?P<prefix>[bB]?[rR]?|[rR][bB])(?:\"\"\"(?:(?P<t1>(?:[^\\]|\\.)*?))\"\"\"|'''(?:(?P<t2>(?:[^\\]|\\.)*?))'''
                 |"(?P<t3>(?:[^"\\\n\r]|\\.)*)"|'(?P<t4>(?:[^'\\\n\r]|\\.)*)'))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_RAW: Final = re.compile(
    r"""(?P<prefix>[bB]?[rR]|[rR][bB])(?:\"\"\"(?P<t1>.*?)\"\"\"|'''(?P<t2>.*?)'''|"(?P<t3>[^"\n\r]*)"|'(?P<t4>[^'\n\r]*)')""", re.DOTALL
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.)|$)", re.DOTALL
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int
    value: Any = None


def parse(text: str) -> Expression:
    """The tree of an expression. Raises CelSyntaxError."""
    try:
        return _Parser(text).whole()
    except RecursionError as error:
        raise CelSyntaxError("expression recursion limit exceeded", 0) from error


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _RAW.match(text, at) or _TOKEN.match(text, at)
        if match is None:
            raise CelSyntaxError(f"Syntax error: token recognition error at: '{text[at]}'", at)
        groups = match.groupdict()
        if not groups.get("space"):
            found.append(_token(match, groups, at))
        at = match.end()
    found.append(_Token("end", "<EOF>", len(text)))
    return found


def _token(match: re.Match[str], groups: dict[str, Any], at: int) -> _Token:
    if groups.get("name"):
        return _Token("name", match[0], at)
    if groups.get("quoted"):
        return _Token("quoted", match[0][1:-1], at)
    if groups.get("sign"):
        return _Token("sign", match[0], at)
    if groups.get("float"):
        return _Token("literal", match[0], at, float(match[0]))
    if groups.get("hex") or groups.get("int"):
        number = int(groups["hex"], 16) if groups.get("hex") else int(groups["int"])
        unsigned = bool(groups.get("hexu") or groups.get("intu"))
        if number > (2**64 - 1 if unsigned else _MAX_INT + 1):
            raise CelSyntaxError(f"invalid {'uint' if unsigned else 'int'} literal", at)
        return _Token("literal", match[0], at, UInt(number) if unsigned else number)
    return _Token("literal", match[0], at, _text_value(groups, at))


def _text_value(groups: dict[str, Any], at: int) -> str | bytes:
    prefix = (groups["prefix"] or "").lower()
    body = next(groups[name] for name in ("t1", "t2", "t3", "t4") if groups[name] is not None)
    if "b" in prefix:
        return body.encode() if "r" in prefix else _bytes_value(body, at)
    return body if "r" in prefix else _ESCAPE.sub(lambda m: _escaped(m, at), body)


def _escaped(match: re.Match[str], at: int) -> str:
    simple, hexadecimal, short, long, octal, _ = match.groups()
    if simple:
        return _SIMPLE.get(simple, simple)
    digits = hexadecimal or short or long
    if digits or octal:
        code = int(digits, 16) if digits else int(octal, 8)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise CelSyntaxError("Syntax error: invalid unicode code point", at)
        return chr(code)
    raise CelSyntaxError(f"Syntax error: token recognition error at: '{match[0]}'", at)


def _bytes_value(body: str, at: int) -> bytes:
    """In bytes, hexadecimal and octal escapes are single bytes, everything else is UTF-8."""
    out = bytearray()
    last = 0
    for match in _ESCAPE.finditer(body):
        out += body[last : match.start()].encode()
        code = int(match[2], 16) if match[2] else int(match[5], 8) if match[5] else -1
        out += bytes([code]) if code >= 0 else _escaped(match, at).encode()
        last = match.end()
    return bytes(out + body[last:].encode())


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def is_sign(self, *texts: str) -> bool:
        return self.token.kind == "sign" and self.token.text in texts

    def take(self) -> _Token:
        token = self.token
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        if self.is_sign(text):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> _Token:
        if not self.is_sign(text):
            raise self.unexpected(f"'{text}'")
        return self.take()

    def unexpected(self, wanted: str = "an expression") -> CelSyntaxError:
        return CelSyntaxError(f"Syntax error: mismatched input '{self.token.text}' expecting {wanted}", self.token.position)

    def whole(self) -> Expression:
        found = self.expression()
        if self.token.kind != "end":
            raise self.unexpected("<EOF>")
        return found

    def expression(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CelSyntaxError(f"expression recursion limit exceeded: {MAX_DEPTH}", self.token.position)
        condition = self.disjunction()
        if self.is_sign("?"):
            position = self.take().position
            first = self.disjunction()
            self.expect(":")
            condition = Call(position, "_?_:_", None, [condition, first, self.expression()])
        self.depth -= 1
        return condition

    def chain(self, operators: tuple[str, ...], operand: Callable[[], Expression]) -> Expression:
        left = operand()
        while self.is_sign(*operators):
            sign = self.take()
            left = Call(sign.position, f"_{sign.text}_", None, [left, operand()])
        return left

    def disjunction(self) -> Expression:
        return self.chain(("||",), lambda: self.chain(("&&",), self.relation))

    def relation(self) -> Expression:
        left = self.chain(("+", "-"), lambda: self.chain(("*", "/", "%"), self.unary))
        while self.is_sign("==", "!=", "<", "<=", ">", ">=") or (self.token.kind == "name" and self.token.text == "in"):
            sign = self.take()
            name = "@in" if sign.text == "in" else f"_{sign.text}_"
            right = self.chain(("+", "-"), lambda: self.chain(("*", "/", "%"), self.unary))
            left = Call(sign.position, name, None, [left, right])
        return left

    def unary(self) -> Expression:
        signs: list[_Token] = []
        while self.is_sign("!", "-") and (not signs or signs[0].text == self.token.text):
            signs.append(self.take())
        if not signs:
            return self.member()
        if signs[0].text == "-" and self.token.kind == "literal" and type(self.token.value) in (int, float):
            literal = self.token
            self.tokens[self.at] = _Token("literal", literal.text, literal.position, -literal.value)
            signs.pop()
        operand = self.member()
        for sign in reversed(signs):
            operand = Call(sign.position, "!_" if sign.text == "!" else "-_", None, [operand])
        return operand

    def member(self) -> Expression:
        found = self.primary()
        while True:
            if self.is_sign("."):
                dot = self.take()
                optional = self.accept("?")
                name = self.take()
                if name.kind not in ("name", "quoted") or (name.kind == "name" and name.text in ("true", "false", "null", "in")):
                    self.at -= 1
                    raise self.unexpected("IDENTIFIER")
                if self.is_sign("(") and not optional and name.kind == "name":
                    position = self.take().position
                    found = self.call(name.text, found, self.arguments(")"), position)
                else:
                    found = Select(dot.position, found, name.text, optional=optional)
            elif self.is_sign("["):
                position = self.take().position
                optional = self.accept("?")
                index = self.expression()
                self.expect("]")
                found = Call(position, "_[?_]" if optional else "_[_]", None, [found, index])
            elif self.is_sign("{") and isinstance(found, Identifier | Select):
                raise CelSyntaxError(f"undeclared reference to '{_dotted(found)}' (in container '')", self.token.position)
            else:
                return found

    def arguments(self, closing: str) -> list[Expression]:
        found: list[Expression] = []
        while not self.is_sign(closing):
            found.append(self.expression())
            if not self.accept(","):
                break
        self.expect(closing)
        return found

    def primary(self) -> Expression:
        token = self.take()
        if token.kind == "literal":
            if type(token.value) is int and token.value > _MAX_INT:
                raise CelSyntaxError("invalid int literal", token.position)
            return Literal(token.position, token.value)
        if token.kind == "sign":
            if token.text == "(":
                inner = self.expression()
                self.expect(")")
                return inner
            if token.text == "[":
                return self.list_literal(token.position)
            if token.text == "{":
                return self.map_literal(token.position)
            if token.text == "." and self.token.kind == "name":
                token = self.take()
        if token.kind == "name":
            constants = {"true": True, "false": False, "null": None}
            if token.text in constants:
                return Literal(token.position, constants[token.text])
            if token.text in RESERVED:
                raise CelSyntaxError(f"reserved identifier: {token.text}", token.position)
            if self.is_sign("("):
                position = self.take().position
                return self.call(token.text, None, self.arguments(")"), position)
            return Identifier(token.position, token.text)
        self.at -= 1
        raise self.unexpected()

    def list_literal(self, position: int) -> Expression:
        elements: list[Expression] = []
        optional: set[int] = set()
        while not self.is_sign("]"):
            if self.accept("?"):
                optional.add(len(elements))
            elements.append(self.expression())
            if not self.accept(","):
                break
        self.expect("]")
        return ListLiteral(position, elements, frozenset(optional))

    def map_literal(self, position: int) -> Expression:
        entries: list[tuple[Expression, Expression]] = []
        optional: set[int] = set()
        while not self.is_sign("}"):
            if self.accept("?"):
                optional.add(len(entries))
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression()))
            if not self.accept(","):
                break
        self.expect("}")
        return MapLiteral(position, entries, frozenset(optional))

    def call(self, name: str, target: Expression | None, arguments: list[Expression], position: int) -> Expression:
        """A call, or what a macro of that name and number of arguments stands for."""
        if target is None:
            if name == "has" and len(arguments) == 1:
                return _presence(arguments[0], position)
            return Call(position, name, None, arguments)
        if isinstance(target, Identifier):
            if target.name == "cel" and name == "bind" and len(arguments) == 3:
                return Bind(position, _variable(arguments[0]), arguments[1], arguments[2])
            if target.name in ("optional", "strings", "sets", "format", "ip", "lists"):
                qualified = f"{target.name}.{name}"
                if qualified in _NAMESPACED:
                    return Call(position, qualified, None, arguments)
        return _macro(name, target, arguments, position) or Call(position, name, target, arguments)


_NAMESPACED: Final = frozenset(
    {
        *("optional.of", "optional.none", "optional.ofNonZeroValue"),
        *("sets.contains", "sets.equivalent", "sets.intersects", "strings.quote", "ip.isCanonical", "lists.range", "format.named"),
        *(f"format.{n}" for n in ("dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix")),
        *(f"format.{n}" for n in ("dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime")),
    }
)


def _dotted(expression: Expression) -> str:
    if isinstance(expression, Select):
        return f"{_dotted(expression.operand)}.{expression.name}"
    return expression.name if isinstance(expression, Identifier) else "?"


def _presence(argument: Expression, position: int) -> Expression:
    if not isinstance(argument, Select) or argument.test:
        raise CelSyntaxError("invalid argument to has() macro", argument.position)
    return Select(position, argument.operand, argument.name, test=True)


def _variable(expression: Expression) -> str:
    if not isinstance(expression, Identifier):
        raise CelSyntaxError("argument must be a simple name", expression.position)
    return expression.name


def _macro(name: str, target: Expression, arguments: list[Expression], position: int) -> Expression | None:
    count = len(arguments)
    name = "exists_one" if name == "existsOne" else name
    if name in ("optMap", "optFlatMap") and count == 2:
        return Bind(position, _variable(arguments[0]), target, arguments[1], optional=name)
    if name in ("all", "exists", "exists_one") and count in (2, 3):
        variables = tuple(_variable(a) for a in arguments[:-1])
        return _comprehension(position, name, target, variables, None, arguments[-1])
    if name == "sortBy" and count == 2:
        return _comprehension(position, name, target, (_variable(arguments[0]),), None, arguments[1])
    if name == "filter" and count == 2:
        return _comprehension(position, name, target, (_variable(arguments[0]),), arguments[1], None)
    if name == "map" and count in (2, 3):
        condition = arguments[1] if count == 3 else None
        return _comprehension(position, name, target, (_variable(arguments[0]),), condition, arguments[-1])
    if name in ("transformList", "transformMap", "transformMapEntry") and count in (3, 4):
        condition = arguments[2] if count == 4 else None
        variables = tuple(_variable(a) for a in arguments[:2])
        return _comprehension(position, name, target, variables, condition, arguments[-1])
    return None


def _comprehension(
    position: int, kind: str, source: Expression, variables: tuple[str, ...], condition: Expression | None, body: Expression | None
) -> Comprehension:
    if len(set(variables)) != len(variables):
        raise CelSyntaxError("duplicate variable name", position)
    return Comprehension(position, kind, source, variables, condition, body)
