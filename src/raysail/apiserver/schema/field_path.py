"""Paths such as `.spec.replicas` or `.spec['a.b']`, checked against a schema.

Where they are used: `fieldPath` of CEL rules and `selectableFields`. Source: ValidFieldPath in apiextensions pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_TOKEN: Final = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]']+")
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class FieldPathError(ValueError):
    """The path is malformed or leads to nothing."""


def resolve_field_path(path: str, schema: Mapping[str, Any], *, brackets: bool = True) -> tuple[str, Mapping[str, Any]]:
    """The path as field errors write it (`spec.a[key]`), and the schema it leads to. Raises FieldPathError."""
    tokens = _TOKEN.findall(path)
    if "".join(tokens) != path:
        raise FieldPathError("unbalanced quotes")
    found = ""
    at = 0
    while at < len(tokens):
        part = tokens[at]
        if part == "[":
            if not brackets:
                raise FieldPathError("array notation is not allowed")
            name = tokens[at + 1] if at + 1 < len(tokens) else ""
            if len(name) < 2 or name[0] != "'":
                raise FieldPathError(f"expected single quoted string but got {name}" if name else "unexpected end of JSON path")
            if at + 2 >= len(tokens) or tokens[at + 2] != "]":
                raise FieldPathError("unexpected end of JSON path")
            name = _unescape(name[1:-1])
            at += 3
        elif part == ".":
            if at + 1 >= len(tokens):
                raise FieldPathError("unexpected end of JSON path")
            name = tokens[at + 1]
            at += 2
        else:
            raise FieldPathError(f"expected [ or . but got: {part}")
        properties, values = schema.get("properties"), schema.get("additionalProperties")
        if properties:
            if name not in properties:
                raise FieldPathError("does not refer to a valid field")
            schema = properties[name]
            found = f"{found}.{name}" if found else name
        elif isinstance(values, Mapping):
            schema = values
            found = f"{found}[{name}]"
        else:
            raise FieldPathError("does not refer to a valid field")
    return found, schema


def _unescape(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPED:
            raise FieldPathError(f"invalid string literal: invalid escape char {match[0]}")
        return _ESCAPED[match[1]]

    return _ESCAPE.sub(replaced, text)
