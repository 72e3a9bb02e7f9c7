"""What an object has, and what a change changed, as sets of fields.

Rules: structured-merge-diff typed/{tofieldset,validate,compare}.go, fieldpath/set.go (EnsureNamedFieldsAreMembers), typed/reconcile_schema.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from raysail.apiserver.apply.fields import LEAF, MEMBER, FieldSet, Path, element_text, from_paths, matching, recursive_difference
from raysail.apiserver.apply.types import ItemError, Type

ABSENT: Final[Any] = object()
"""No value at all, unlike null."""


class TypedError(ValueError):
    """An object does not fit its type. The text lists every fault, as structured-merge-diff does."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults[0] if len(faults) == 1 else "\n".join(["errors:", *(f"  {fault}" for fault in faults)]))


def field_set(of: Type, value: Any, *, strict: bool = False) -> FieldSet:
    """Every leaf and list item of the object. `strict` refuses (TypedError) what an applied configuration may not hold: duplicates, unknown fields, misfits."""
    faults: list[str] = []
    node = _set_node(of, value, faults, strict, ())
    if strict and faults:
        raise TypedError(faults)
    return node or {}


def _set_node(of: Type | None, value: Any, faults: list[str], strict: bool, path: Path) -> FieldSet | None:
    """The node of a value; None where neither it nor anything below belongs to the set."""
    if of is None:
        faults.append(f"{_text(path)}field not declared in schema")
        return None
    form = of.form(value)
    if form == "map":
        if strict and value is not None and not isinstance(value, dict):
            faults.append(f"{_text(path)}expected map, got {_shown(value)}")
            return None
        if of.atomic_map:
            return LEAF
        return _map_node(of, value, faults, strict, path) if isinstance(value, dict) else None
    if form == "list":
        if strict and value is not None and not isinstance(value, list):
            faults.append(f"{_text(path)}expected list, got {_shown(value)}")
            return None
        if of.atomic_list:
            return LEAF
        return _list_node(of, value, faults, strict, path) if isinstance(value, list) else None
    if strict:
        _check_scalar(of.scalar, value, faults, path)
    return LEAF


def _map_node(of: Type, value: dict[str, Any], faults: list[str], strict: bool, path: Path) -> FieldSet | None:
    children: dict[str, Any] = {}
    for name, member in value.items():
        element = "f:" + name
        declared = of.declared(name)
        node = _set_node(declared or of.element, member, faults, strict, (*path, element) if strict else path)
        if member is None or member == {} or declared is None:
            node = _as_member(node)
        if node is not None:
            children[element] = node
    return children or None


def _list_node(of: Type, value: list[Any], faults: list[str], strict: bool, path: Path) -> FieldSet | None:
    children: dict[str, Any] = {}
    twice: set[str] = set()
    for index, item in enumerate(value):
        try:
            element = of.element_of(item)
        except ItemError as error:
            faults.append(f"{_text(path)}element {index}: {error}")
            continue
        if element in children:
            if strict:
                faults.append(f"{_text(path)}duplicate entries for key {element_text(element)}")
            twice.add(element)
            continue
        children[element] = _as_member(_set_node(of.item, item, faults, strict, (*path, element) if strict else path))
    for element in twice:
        children[element] = LEAF
    return children or None


def _as_member(node: FieldSet | None) -> FieldSet:
    if not node:
        return LEAF
    return node if MEMBER in node else {MEMBER: LEAF, **node}


def _check_scalar(kind: str, value: Any, faults: list[str], path: Path) -> None:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "numeric" and not is_number:
        faults.append(f"{_text(path)}expected numeric (int or float), got {_go_type(value)}")
    elif kind == "string" and not isinstance(value, str):
        faults.append(f"{_text(path)}expected string, got &value.valueUnstructured{{Value:{_shown(value)}}}")
    elif kind == "boolean" and not isinstance(value, bool):
        faults.append(f"{_text(path)}expected boolean, got &{{{_shown(value)}}}")
    elif kind == "untyped" and isinstance(value, dict | list):
        faults.append(f"{_text(path)}expected any scalar, got &{{{_shown(value)}}}")


def _text(path: Path) -> str:
    return "".join(map(element_text, path)) + ": " if path else ""


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _go_type(value: Any) -> str:
    return {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}.get(type(value), "<nil>")


@dataclass(frozen=True, slots=True)
class Exclude:
    """A filter that drops these fields and all below them."""

    fields: FieldSet

    def __call__(self, fields: FieldSet) -> FieldSet:
        """What is left of a set."""
        return recursive_difference(fields, self.fields)


@dataclass(frozen=True, slots=True)
class Include:
    """A filter that keeps only fields that a pattern names (`fields.matching`)."""

    pattern: FieldSet

    def __call__(self, fields: FieldSet) -> FieldSet:
        """What is left of a set."""
        return matching(fields, self.pattern)


Filter = Exclude | Include


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one object became another."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet

    def filtered(self, reset: Filter | None) -> Comparison:
        """Without the fields that the write resets anyway."""
        if reset is None:
            return self
        return Comparison(reset(self.removed), reset(self.modified), reset(self.added))


def compare(of: Type, old: Any, new: Any) -> Comparison:
    """What was removed, modified and added. Equal subtrees cost one comparison in C. Raises TypedError for list items without identity."""
    walk = _Walk()
    walk.visit(of, old, new, (), in_leaf=False)
    if walk.faults:
        raise TypedError(walk.faults)
    return Comparison(from_paths(walk.removed), from_paths(walk.modified), from_paths(walk.added))


class _Walk:
    def __init__(self) -> None:
        self.removed: list[Path] = []
        self.modified: list[Path] = []
        self.added: list[Path] = []
        self.faults: list[str] = []

    def visit(self, of: Type | None, old: Any, new: Any, path: Path, *, in_leaf: bool) -> None:
        if of is None:
            # A field without a place in the schema is not tracked.
            return
        if old is not ABSENT and new is not ABSENT and old == new:
            return
        if new is ABSENT:
            leaf = self._as(of.form(old), of, old, new, path, in_leaf)
        else:
            form = of.form(new)
            if old is not ABSENT and of.form(old) != form:
                self._as(of.form(old), of, old, new, path, in_leaf)
            leaf = self._as(form, of, old, new, path, in_leaf)
        if not leaf:
            if old is ABSENT:
                self.added.append(path)
            elif new is ABSENT:
                self.removed.append(path)

    def _as(self, form: str, of: Type, old: Any, new: Any, path: Path, in_leaf: bool) -> bool:
        """Compares both as that form. Whether the place was compared as one leaf."""
        if form == "map":
            left, right = (value if isinstance(value, dict) else None for value in (old, new))
            if of.atomic_map or not (left or right):
                return self._leaf(old, new, path, in_leaf)
            left, right = left or {}, right or {}
            for name, value in left.items():
                self.visit(of.child(name), value, right.get(name, ABSENT), (*path, "f:" + name), in_leaf=in_leaf)
            for name, value in right.items():
                if name not in left:
                    self.visit(of.child(name), ABSENT, value, (*path, "f:" + name), in_leaf=in_leaf)
            return in_leaf
        if form == "list":
            left_list, right_list = (value if isinstance(value, list) else None for value in (old, new))
            if of.atomic_list or not (left_list or right_list):
                return self._leaf(old, new, path, in_leaf)
            self._items(of, left_list or [], right_list or [], path, in_leaf)
            return in_leaf
        return self._leaf(old, new, path, in_leaf)

    def _leaf(self, old: Any, new: Any, path: Path, in_leaf: bool) -> bool:
        if not in_leaf:
            if old is ABSENT:
                self.added.append(path)
            elif new is ABSENT:
                self.removed.append(path)
            elif old != new:
                self.modified.append(path)
        return True

    def _items(self, of: Type, old: list[Any], new: list[Any], path: Path, in_leaf: bool) -> None:
        left, right = self._indexed(of, old, path), self._indexed(of, new, path)
        for element in {**left, **right}:
            before, after = left.get(element, ()), right.get(element, ())
            below = (*path, element)
            if len(before) <= 1 and len(after) <= 1:
                self.visit(of.item, before[0] if before else ABSENT, after[0] if after else ABSENT, below, in_leaf=in_leaf)
            elif len(before) >= 2 and len(after) >= 2:
                if before != after:
                    self.modified.append(below)
            elif len(before) >= 2:
                if after:
                    self.visit(of.item, ABSENT, after[0], below, in_leaf=in_leaf)
                self.removed.append(below)
            else:
                if before:
                    self.visit(of.item, before[0], ABSENT, below, in_leaf=in_leaf)
                self.added.append(below)

    def _indexed(self, of: Type, items: list[Any], path: Path) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for index, item in enumerate(items):
            try:
                found.setdefault(of.element_of(item), []).append(item)
            except ItemError as error:
                self.faults.append(f"{_text(path)}element {index}: {error}")
        return found


def with_named_parents(of: Type | None, fields: FieldSet) -> FieldSet:
    """The set with every declared field that has members below it as a member too."""
    result: dict[str, Any] = {}
    for element, node in fields.items():
        if element == MEMBER or not node:
            result[element] = node
            continue
        child, declared = _below(of, element)
        inner = with_named_parents(child, node)
        result[element] = _as_member(inner) if declared else inner
    return result


def _below(of: Type | None, element: str) -> tuple[Type | None, bool]:
    """The type below a path element, and whether that is a declared field."""
    if of is None:
        return None, False
    if element.startswith("f:") and of.has_map:
        declared = of.declared(element[2:])
        return declared or of.element, declared is not None
    if element.startswith("k:") and of.has_list:
        return of.item, False
    return None, False


def reconciled(of: Type, fields: FieldSet) -> FieldSet:
    """A stored set in terms of today's schema: where something became atomic, its owner owns the whole of it."""
    return _reconciled(of, fields) if fields else fields


def _reconciled(of: Type | None, node: FieldSet) -> FieldSet:
    if of is None or not node:
        return node
    if of.has_map and not of.scalar:
        if of.atomic_map:
            return LEAF
    elif of.has_list and not of.scalar and of.atomic_list:
        return LEAF
    result: dict[str, Any] | None = None
    for element, child in node.items():
        if element == MEMBER or not child:
            continue
        changed = _reconciled(_below(of, element)[0] if not of.scalar else None, child)
        if changed is not child:
            result = dict(node) if result is None else result
            result[element] = changed
    return node if result is None else result
