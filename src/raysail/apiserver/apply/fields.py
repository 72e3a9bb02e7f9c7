"""Sets of fields, kept in the very shape of `fieldsV1`, so that reading and writing managedFields costs nothing.

A set is a tree of dicts. Keys are path elements: `f:NAME` a field, `k:{...}` a list item by its keys, `v:VALUE` an item of a set, `i:N` an index.
A node is a member of the set if it is empty or holds `.`; a node that is no member holds members below it. The root is never a member, so an empty
root is the empty set. Nodes are never changed once they are part of a set: results share them.
Rules: sigs.k8s.io/structured-merge-diff/v6 fieldpath/set.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

FieldSet = Mapping[str, Any]
Path = tuple[str, ...]

MEMBER: Final = "."
LEAF: Final[FieldSet] = {}


class FieldsError(ValueError):
    """The text of a path element cannot be read."""


def is_member(node: FieldSet) -> bool:
    """Whether the node itself belongs to the set (not only what is below it)."""
    return not node or MEMBER in node


def _node(member: bool, children: dict[str, Any]) -> FieldSet | None:
    if not children:
        return LEAF if member else None
    return {MEMBER: LEAF, **children} if member else children


def from_paths(paths: Iterable[Path]) -> FieldSet:
    """The set of these paths; the empty path (the object itself) is left out."""
    below: dict[str, list[Path]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], []).append(path[1:])
    return {element: _node(() in rest, dict(from_paths(rest))) for element, rest in below.items()}


def paths(fields: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """All members, parents before what is below them."""
    children = sorted(key for key in fields if key != MEMBER)
    for key in children:
        if is_member(fields[key]):
            yield (*prefix, key)
    for key in children:
        yield from paths(fields[key], (*prefix, key))


def has(fields: FieldSet, path: Path) -> bool:
    """Whether that path is a member."""
    node: FieldSet | None = fields
    for element in path:
        node = node.get(element) if node else None
        if node is None:
            return False
    return bool(path) and node is not None and is_member(node)


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of either set."""
    if not left or left is right:
        return right
    if not right:
        return left
    result = dict(left)
    for key, node in right.items():
        if key == MEMBER:
            continue
        known = result.get(key)
        result[key] = node if known is None else _union_node(known, node)
    return result


def _union_node(left: FieldSet, right: FieldSet) -> FieldSet:
    if left is right:
        return left
    children = dict(union(_children(left), _children(right)))
    return _node(is_member(left) or is_member(right), children) or LEAF


def _children(node: FieldSet) -> FieldSet:
    return {key: child for key, child in node.items() if key != MEMBER} if MEMBER in node else node


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of both sets."""
    if len(right) < len(left):
        left, right = right, left
    result: dict[str, Any] = {}
    for key, node in left.items():
        other = right.get(key) if key != MEMBER else None
        if other is None:
            continue
        common = _node(is_member(node) and is_member(other), dict(intersection(node, other)))
        if common is not None:
            result[key] = common
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of the first that are no members of the second; a parent's membership says nothing about its children."""
    if not right or not left:
        return left
    if left == right:
        return {}
    result: dict[str, Any] | None = None
    for key, other in right.items():
        node = left.get(key) if key != MEMBER else None
        if node is None:
            continue
        rest = _node(is_member(node) and not is_member(other), dict(difference(_children(node), other)))
        if rest == node:
            continue
        if result is None:
            result = dict(left)
        if rest is None:
            del result[key]
        else:
            result[key] = rest
    return left if result is None else result


def recursive_difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of the first that are neither members of the second nor below one."""
    if not right or not left:
        return left
    result = dict(left)
    for key, other in right.items():
        node = result.get(key) if key != MEMBER else None
        if node is None:
            continue
        rest = None
        if not is_member(other):
            rest = _node(is_member(node), dict(recursive_difference(_children(node), other)))
        if rest is None:
            del result[key]
        else:
            result[key] = rest
    return result


ANY: Final = "*"


def matching(fields: FieldSet, pattern: Mapping[str, Any]) -> FieldSet:
    """Members that a pattern names, and all below them. A pattern is a tree of keys or `*`; an empty dict matches everything."""
    if not pattern:
        return fields
    result: dict[str, Any] = {}
    for key, node in fields.items():
        inner = pattern.get(key, pattern.get(ANY)) if key != MEMBER else None
        if inner is None:
            continue
        kept = _node(is_member(node), dict(matching(_children(node), inner)))
        if kept is not None:
            result[key] = kept
    return result


_PLAIN: Final = re.compile(r"[A-Za-z0-9 _./:=-]*", re.ASCII)


def value_text(value: Any) -> str:
    """JSON as Go writes it: compact, with <, > and & escaped."""
    if type(value) is str and _PLAIN.fullmatch(value):
        return f'"{value}"'
    if type(value) is int:
        return str(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def key_element(keys: Mapping[str, Any]) -> str:
    """The path element of a list item with these key fields."""
    return "k:{" + ",".join(f"{value_text(name)}:{value_text(keys[name])}" for name in sorted(keys)) + "}"


def canonical(fields: Any) -> FieldSet:
    """A set that a client sent, in canonical form. Raises FieldsError for what is none; elements of unknown kinds are passed over, as in Go."""
    if not isinstance(fields, dict):
        raise FieldsError("expected an object")
    result: dict[str, Any] = {}
    for key, node in fields.items():
        if key == MEMBER:
            result[key] = LEAF
            continue
        element = _canonical_element(key)
        child = canonical(node)
        if element:
            result[element] = child
    return result


def _canonical_element(key: str) -> str:
    if len(key) < 2 or key[1] != ":":
        raise FieldsError(f"missing colon: {key}")
    kind, text = key[0], key[2:]
    try:
        if kind == "f":
            return key
        if kind == "v":
            return "v:" + value_text(json.loads(text))
        if kind == "i":
            return f"i:{int(text)}"
        if kind == "k":
            keys = json.loads(text)
            if not isinstance(keys, dict):
                raise FieldsError(f"expected an object: {key}")
            return key_element(keys)
    except ValueError as error:
        raise FieldsError(f"{key}: {error}") from error
    return ""


def path_text(path: Path) -> str:
    """A path as conflicts show it: `.spec.ports[name="http"].number`."""
    return "".join(map(element_text, path))


def element_text(element: str) -> str:
    """One step of such a path."""
    kind, text = element[0], element[2:]
    if kind == "f":
        return "." + text
    if kind == "k":
        return "[" + ",".join(f"{name}={_go_value(value)}" for name, value in json.loads(text).items()) + "]"
    if kind == "v":
        return f"[={_go_value(json.loads(text))}]"
    return f"[{text}]"


def _go_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
