"""Every built-in kind: whatever fits its schema is decoded, brought into form and checked without a stumble, and its form is final."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysail.api.errors import StatusError
from raysail.api.openapi import SchemaNode
from raysail.api.resources import Resource
from raysail.apiserver.kinds import strategy_of
from raysail.apiserver.registry.builtin_kinds import BUILTIN_KINDS
from raysail.apiserver.strategy import Request
from tests.support.kinds import NOW

KINDS: list[Resource] = [row.resource for row in BUILTIN_KINDS if row.kind != "CustomResourceDefinition" and "create" in row.verbs]
_DEPTH = 7
_TEXTS = st.sampled_from(["", "a", "b", "A_", "10.0.0.1", "app:1", "Never", "Always", "25%", "/x", "../y", "0 0 * * *"])
_NUMBERS = st.sampled_from([0, 1, 2, -1, 80, 70000])
_AMOUNTS = st.sampled_from(["0", "1", "500m", "1Gi", "-1", "1024Mi", 2])
_TIMES = st.sampled_from(["2026-01-01T00:00:00Z"])


def values(node: SchemaNode, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a schema: few fields each, and nothing below a certain depth."""
    name = node.definition.rpartition(".")[2]
    if name == "Quantity":
        return _AMOUNTS
    if name == "IntOrString":
        return st.one_of(_NUMBERS, _TEXTS)
    if name in ("Time", "MicroTime"):
        return _TIMES if name == "Time" else st.sampled_from(["2026-01-01T00:00:00.000001Z"])
    kind = node.type
    if kind == "string":
        if node.schema.get("format") == "date-time":
            return _TIMES
        return st.sampled_from(["", "YQ=="]) if node.schema.get("format") == "byte" else _TEXTS
    if kind in ("integer", "number"):
        return _NUMBERS
    if kind == "boolean":
        return st.booleans()
    if kind == "array" and node.items is not None:
        return st.just([]) if depth > _DEPTH else st.lists(values(node.items, depth + 1), max_size=2)
    if node.properties:
        return fields(node, depth)
    if node.values is not None and depth <= _DEPTH:
        return st.dictionaries(_TEXTS, values(node.values, depth + 1), max_size=2)
    return st.just({})


def fields(node: SchemaNode, depth: int) -> st.SearchStrategy[Any]:
    """An object with some of its fields."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        names = sorted(name for name in node.properties if name not in ("metadata", "apiVersion", "kind"))
        if not names or depth > _DEPTH:
            return {}
        chosen = draw(st.lists(st.sampled_from(names), max_size=4 if depth < 4 else 2, unique=True))
        return {name: draw(values(node.properties[name], depth + 1)) for name in chosen}

    return build()


@pytest.mark.parametrize("resource", KINDS, ids=[f"{r.group}/{r.kind}".lstrip("/") for r in KINDS])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_object(resource: Resource, data: st.DataObject) -> None:
    rules = strategy_of(resource)
    given_ = {**data.draw(fields(rules.schema, 0)), "apiVersion": resource.api_version, "kind": resource.kind}
    given_["metadata"] = {"name": "it", "uid": "u", **({"namespace": "here"} if resource.namespaced else {})}
    try:
        made = rules.decode(json.loads(json.dumps(given_))).object
    except StatusError:
        return
    request = Request(NOW)
    rules.default(made)
    rules.prepare_for_create(made, request)
    rules.default(made)
    once = copy.deepcopy(made)
    rules.default(made)
    assert made == once, "the form is final"
    faults = rules.validate(made, request)
    assert all(fault.field and fault.message for fault in faults)
    rules.warnings(made)
    assert made == once, "checks change nothing"
    stored = json.loads(json.dumps(made))
    again = rules.decode(json.loads(json.dumps(stored))).object
    for subresource in ("", "status", *rules.rules.subresources):
        change = copy.deepcopy(again)
        asked = Request(NOW, subresource)
        rules.prepare_for_update(change, stored, asked)
        rules.default(change)
        rules.validate_update(change, stored, asked)
        if resource.kind not in ("DaemonSet", "Namespace", "PersistentVolume"):
            assert change == stored, f"an update that changes nothing ({subresource})"
        assert not rules.spec_changed(change, stored) or resource.kind == "DaemonSet"
