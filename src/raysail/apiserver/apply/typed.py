"""What an object has, and what a change changed, as sets of fields.

Rules: structured-merge-diff typed/{tofieldset,validate,compare}.go, fieldpath/set.go (EnsureNamedFieldsAreMembers), typed/reconcile_schema.go.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Final

from raysail.apiserver.apply.fields import LEAF, MEMBER, FieldSet, Path, element_text, matching, recursive_difference
from raysail.apiserver.apply.types import ItemError, Type

ABSENT: Final[Any] = object()
"""No value at all, unlike null."""


class TypedError(ValueError):
    """An object does not fit its type. The text lists every fault, as structured-merge-diff does."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults[0] if len(faults) == 1 else "\n".join(["errors:", *(f"  {fault}" for fault in faults)]))


def field_set(of: Type, value: Any, *, strict: bool = False) -> FieldSet:
    """Every leaf and list item of the object. `strict` refuses (TypedError) what an applied configuration may not hold: duplicates, unknown fields, misfits."""
    reader = _Reader(strict=strict)
    node = reader.node(of, value)
    if strict and reader.faulty:
        # Paths are worth their price only now that they are needed.
        reader = _Reader(strict=True, path=())
        reader.node(of, value)
        raise TypedError(reader.faults)
    return node or {}


class _Reader:
    """One walk over an object. Without a `path` it only notes that there are faults, with one it tells them."""

    def __init__(self, *, strict: bool, path: Path | None = None) -> None:
        self.strict = strict
        self.path = path
        self.faulty = False
        self.faults: list[str] = []

    def node(self, of: Type | None, value: Any) -> FieldSet | None:
        """The node of a value; None where neither it nor anything below belongs to the set."""
        if of is None:
            self._fault("field not declared in schema")
            return None
        form = of.form(value)
        if form == "map":
            if isinstance(value, dict):
                return LEAF if of.atomic_map and not self.strict else self._map(of, value)
            if value is not None:
                self._fault(f"expected map, got {_shown(value)}")
            return LEAF if of.atomic_map else None
        if form == "list":
            if isinstance(value, list):
                return self._atomic_list(of, value) if of.atomic_list else self._list(of, value)
            if value is not None:
                self._fault(f"expected list, got {_shown(value)}")
            return LEAF if of.atomic_list else None
        if value is not None and type(value) not in of.accepts:
            self._fault(_scalar_fault(of.scalar, value))
        return LEAF

    def _map(self, of: Type, value: dict[str, Any]) -> FieldSet | None:
        children: dict[str, Any] = {}
        for name, member in value.items():
            declared = of.declared(name)
            child = declared or of.element
            if child is not None and type(member) in child.accepts:
                children["f:" + name] = LEAF
                continue
            node = self._below(child, member, "f:" + name)
            if member is None or member == {} or declared is None:
                node = _as_member(node)
            if node is not None:
                children["f:" + name] = node
        return LEAF if of.atomic_map else (children or None)

    def _atomic_list(self, of: Type, value: list[Any]) -> FieldSet:
        if self.strict and of.item is not None:
            accepts = of.item.accepts
            for index, item in enumerate(value):
                if type(item) not in accepts:
                    self._below(of.item, item, f"i:{index}")
        return LEAF

    def _list(self, of: Type, value: list[Any]) -> FieldSet | None:
        children: dict[str, Any] = {}
        twice: set[str] = set()
        for index, item in enumerate(value):
            try:
                element = of.element_of(item)
            except ItemError as error:
                self._fault(f"element {index}: {error}")
                continue
            if element in children:
                self._fault(f"duplicate entries for key {element_text(element)}")
                twice.add(element)
                continue
            children[element] = _as_member(self._below(of.item, item, element))
        for element in twice:
            children[element] = LEAF
        return children or None

    def _below(self, of: Type | None, value: Any, element: str) -> FieldSet | None:
        if self.path is None:
            return self.node(of, value)
        outer = self.path
        self.path = (*outer, element)
        try:
            return self.node(of, value)
        finally:
            self.path = outer

    def _fault(self, text: str) -> None:
        self.faulty = True
        if self.path is not None:
            self.faults.append("".join(map(element_text, self.path)) + ": " + text if self.path else text)


def _as_member(node: FieldSet | None) -> FieldSet:
    if not node:
        return LEAF
    return node if MEMBER in node else {MEMBER: LEAF, **node}


def _scalar_fault(kind: str, value: Any) -> str:
    if kind == "numeric":
        return f"expected numeric (int or float), got {_go_type(value)}"
    if kind == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{_shown(value)}}}"
    expected = "boolean" if kind == "boolean" else "any scalar"
    return f"expected {expected}, got &{{{_shown(value)}}}"


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
    found = _Changes()
    if old != new:
        _compare(of, old, new, found)
    return Comparison(found.removed, found.modified, found.added)


def everything(of: Type, value: dict[str, Any], but: Container[str] = ()) -> FieldSet:
    """What a creation adds: the fields of a struct (without those in `but`) and all that is in them. Raises TypedError."""
    found: dict[str, Any] = {}
    for name, member in value.items():
        if name not in but and (child := of.child(name)) is not None:
            found["f:" + name] = LEAF if type(member) in child.accepts else _whole(child, member)
    return found


class _Changes:
    """The changes below one place, as they are found."""

    __slots__ = ("added", "modified", "removed")

    def __init__(self) -> None:
        self.removed: dict[str, Any] = {}
        self.modified: dict[str, Any] = {}
        self.added: dict[str, Any] = {}

    def take(self, element: str, below: _Changes) -> None:
        for own, theirs in ((self.removed, below.removed), (self.modified, below.modified), (self.added, below.added)):
            if theirs:
                own[element] = theirs

    def note(self, element: str, of: Type | None, old: Any, new: Any) -> None:
        """Compares the values at one element. Fields without a place in the schema are not tracked."""
        if of is None:
            return
        if old is ABSENT:
            self.added[element] = _whole(of, new)
        elif new is ABSENT:
            self.removed[element] = _whole(of, old)
        elif old != new:
            form = of.form(new)
            if of.form(old) == form and _is_leaf(of, form, old, new):
                self.modified[element] = LEAF
                return
            below = _Changes()
            leaf = _compare(of, old, new, below)
            self.take(element, below)
            if leaf:
                self.modified[element] = _as_member(self.modified.get(element))


def _is_leaf(of: Type, form: str, old: Any, new: Any) -> bool:
    if form == "map":
        return of.atomic_map or not ((isinstance(old, dict) and old) or (isinstance(new, dict) and new))
    if form == "list":
        return of.atomic_list or not ((isinstance(old, list) and old) or (isinstance(new, list) and new))
    return True


def _compare(of: Type, old: Any, new: Any, found: _Changes) -> bool:
    """Fills in what differs below; whether the place itself was (also) compared as one leaf."""
    form, old_form = of.form(new), of.form(old)
    leaf = old_form != form and _compare_as(old_form, of, old, new, found)
    return _compare_as(form, of, old, new, found) or leaf


def _compare_as(form: str, of: Type, old: Any, new: Any, found: _Changes) -> bool:
    if _is_leaf(of, form, old, new):
        return True
    if form == "map":
        left, right = (value if isinstance(value, dict) else {} for value in (old, new))
        for name, value in left.items():
            found.note("f:" + name, of.child(name), value, right.get(name, ABSENT))
        for name, value in right.items():
            if name not in left:
                found.note("f:" + name, of.child(name), ABSENT, value)
        return False
    before, after = (_indexed(of, value) if isinstance(value, list) else {} for value in (old, new))
    for element in {**before, **after}:
        olds, news = before.get(element, ()), after.get(element, ())
        if len(olds) <= 1 and len(news) <= 1:
            found.note(element, of.item, olds[0] if olds else ABSENT, news[0] if news else ABSENT)
        elif len(olds) >= 2 and len(news) >= 2:
            if olds != news:
                found.modified[element] = LEAF
        elif len(olds) >= 2:
            if news:
                found.note(element, of.item, ABSENT, news[0])
            found.removed[element] = LEAF
        else:
            if olds:
                found.note(element, of.item, olds[0], ABSENT)
            found.added[element] = LEAF
    return False


def _whole(of: Type, value: Any) -> FieldSet:
    """Everything in a value that came or went as a whole: its leaves, its items and all containers."""
    form = of.form(value)
    if form == "map" and isinstance(value, dict) and value and not of.atomic_map:
        children: dict[str, Any] = {MEMBER: LEAF}
        for name, member in value.items():
            child = of.child(name)
            if child is not None:
                children["f:" + name] = LEAF if type(member) in child.accepts else _whole(child, member)
        return children
    if form == "list" and isinstance(value, list) and value and not of.atomic_list and of.item is not None:
        children = {MEMBER: LEAF}
        for element, items in _indexed(of, value).items():
            children[element] = _whole(of.item, items[0]) if len(items) == 1 else LEAF
        return children
    return LEAF


def _indexed(of: Type, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        try:
            found.setdefault(of.element_of(item), []).append(item)
        except ItemError as error:
            raise TypedError([f"element {index}: {error}"]) from error
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
