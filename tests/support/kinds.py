"""Writes of built-in objects through their strategies alone, as the write path does them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from raysail.api.errors import Cause
from raysail.api.resources import Resource
from raysail.apiserver.kinds import strategy_of
from raysail.apiserver.kinds.rules import KindStrategy
from raysail.apiserver.registry.builtin_kinds import BUILTIN_KINDS
from raysail.apiserver.strategy import Request

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@cache
def strategy(kind: str, group: str | None = None) -> KindStrategy:
    """Of the kind with that name; `group` where two have it."""
    found: list[Resource] = [row.resource for row in BUILTIN_KINDS if row.kind == kind and group in (None, row.group)]
    return strategy_of(found[0])


def made(kind: str, obj: Mapping[str, Any], group: str | None = None) -> tuple[dict[str, Any], list[Cause]]:
    """A created object and its faults. Name and namespace are filled in."""
    rules = strategy(kind, group)
    given = {"apiVersion": rules.resource.api_version, "kind": kind, **copy.deepcopy(dict(obj))}
    given["metadata"] = {"name": "it", "uid": "0b5c6a3e-0000-4000-8000-000000000001", **(given.get("metadata") or {})}
    if rules.resource.namespaced:
        given["metadata"].setdefault("namespace", "here")
    result = rules.decode(given).object
    request = Request(NOW)
    rules.default(result)
    rules.prepare_for_create(result, request)
    rules.default(result)
    return result, rules.validate(result, request)


def valid(kind: str, obj: Mapping[str, Any], group: str | None = None) -> dict[str, Any]:
    """A created object without faults."""
    result, faults = made(kind, obj, group)
    assert texts(faults) == []
    return result


def changed(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], subresource: str = "") -> tuple[dict[str, Any], list[Cause]]:
    """An updated object and its faults."""
    rules = strategy(kind)
    request = Request(NOW, subresource)
    result = rules.decode(copy.deepcopy(dict(new))).object
    rules.prepare_for_update(result, copy.deepcopy(dict(old)), request)
    rules.default(result)
    return result, rules.validate_update(result, old, request)


def put(obj: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at a path such as `spec.ports.0.port`; `...` takes it away."""
    result: Any = json.loads(json.dumps(obj))
    *parents, last = path.split("|") if "|" in path else path.split(".")
    place: Any = result
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    if value is ...:
        del place[int(last) if isinstance(place, list) else last]
    elif isinstance(place, list) and int(last) == len(place):
        place.append(value)
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return dict(result)


def texts(faults: list[Cause]) -> list[str]:
    """`field: message` of each."""
    return [f"{fault.field}: {fault.message}" for fault in faults]
