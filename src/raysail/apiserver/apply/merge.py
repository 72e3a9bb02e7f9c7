"""Merging an applied configuration into the live object, and taking fields out again.

Rules: structured-merge-diff typed/{merge,remove}.go. Untouched subtrees are shared with the inputs, nothing is changed in place.
"""

from __future__ import annotations

from typing import Any

from raysail.apiserver.apply.fields import FieldSet, is_member
from raysail.apiserver.apply.typed import ABSENT, TypedError
from raysail.apiserver.apply.types import ItemError, Type


def merge(of: Type | None, live: Any, config: Any) -> Any:
    """The live value with the configuration laid over it. List items keep the live order, but where the configuration reorders them."""
    if config is ABSENT:
        return live
    if live is ABSENT or of is None or live == config:
        return config
    form = of.form(config)
    if of.form(live) != form or form == "scalar":
        return config
    if form == "map":
        if of.atomic_map or not (live or config):
            return config
        merged = dict(live) if isinstance(live, dict) else {}
        for name, value in (config or {}).items():
            merged[name] = merge(of.child(name), merged.get(name, ABSENT), value)
        return merged
    if form == "list":
        if of.atomic_list or not (live or config):
            return config
        return _merge_items(of, live or [], config or [])
    return config


def _merge_items(of: Type, live: list[Any], config: list[Any]) -> list[Any]:
    ours, theirs = _elements(of, config), _elements(of, live)
    wanted = dict(zip(ours, config, strict=True))
    # Of an item that is there twice no single value can be merged; what is applied takes its place.
    known = {element: (value if theirs.count(element) == 1 else None) for element, value in zip(theirs, live, strict=True)}
    shared = [element for element in ours if element in known]
    upcoming = iter(shared)
    next_shared = next(upcoming, None)
    merged: list[Any] = []
    done: set[str] = set()
    left = right = 0
    while left < len(theirs) or right < len(ours):
        if left < len(theirs) and right < len(ours):
            element = theirs[left]
            if element == ours[right]:
                done.add(element)
                merged.append(merge(of.item, known[element], wanted[element]))
                left, right = left + 1, right + 1
                next_shared = next(upcoming, None)
                continue
            if element in wanted and next_shared is not None and next_shared != element:
                left += 1
                continue
        if left < len(theirs):
            element = theirs[left]
            if element not in wanted:
                merged.append(live[left])
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(ours):
            element = ours[right]
            done.add(element)
            merged.append(merge(of.item, known.get(element, ABSENT), wanted[element]))
            right += 1
            if next_shared == element:
                next_shared = next(upcoming, None)
    return merged


def _elements(of: Type, items: list[Any]) -> list[str]:
    try:
        return [of.element_of(item) for item in items]
    except ItemError as error:
        raise TypedError([str(error)]) from error


def without(of: Type | None, value: Any, fields: FieldSet) -> Any:
    """The value without the fields and items of the set; null where nothing is left of a container."""
    if of is None:
        return value
    form = of.form(value)
    if form == "map":
        if not isinstance(value, dict) or not value or of.atomic_map:
            return None
        kept: dict[str, Any] = {}
        for name, member in value.items():
            node = fields.get("f:" + name)
            if node is None:
                kept[name] = member
            elif not is_member(node):
                kept[name] = without(of.child(name), member, node)
        return kept or None
    if form == "list":
        if not isinstance(value, list) or not value or of.atomic_list:
            return None
        items: list[Any] = []
        for item in value:
            node = fields.get(of.element_of(item))
            if node is None:
                items.append(item)
            elif not is_member(node):
                items.append(without(of.item, item, node))
        return items or None
    return value
