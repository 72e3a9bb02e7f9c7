"""The short ways agree with the long ones: what needs no decoding, which keys came twice, who owns a new object's fields."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from raysail.api.openapi import schema_name
from raysail.apiserver.apply import FieldManager, reset_fields
from raysail.apiserver.apply.field_manager import _NEVER_OWNED
from raysail.apiserver.apply.fields import difference
from raysail.apiserver.apply.typed import compare
from raysail.apiserver.apply.types import of_object
from raysail.apiserver.kinds.form import root
from raysail.apiserver.rest.body import duplicate_keys, may_repeat_keys
from raysail.apiserver.schema import DecodeError, decode
from raysail.apiserver.schema.canonical import compile_canonical

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"a": "b"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {
        "containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {"limits": {"cpu": "500m"}}}
        ],
        "terminationGracePeriodSeconds": 30,
        "hostNetwork": True,
    },
    "status": {"phase": "Running"},
}


def changed(**spec: Any) -> dict[str, Any]:
    pod = copy.deepcopy(POD)
    pod["spec"] |= spec
    return pod


def schema(kind: str) -> Any:
    name = schema_name("", "v1", kind)
    assert name is not None
    return root(name)


@pytest.mark.parametrize(
    ("obj", "canonical"),
    [
        (POD, True),
        (changed(priority=3), True),
        (changed(unknown=1), False),
        (changed(nodeName=None), False),
        (changed(tolerations=[]), False),
        (changed(nodeSelector={}), False),
        (changed(hostNetwork="yes"), False),
        (changed(priority=1 << 40), False),
        (changed(priority=1.0), False),
        (changed(hostNetwork=1), False),
        (changed(overhead={"cpu": "0.5"}), False),
        (changed(overhead={"cpu": "500m"}), True),
        (changed(containers=[None]), False),
        ({**POD, "metadata": {"name": "p", "creationTimestamp": "2026-01-02T05:04:05+02:00"}}, False),
    ],
)
def test_what_needs_no_decoding_is_what_decoding_leaves_as_it_is(obj: dict[str, Any], canonical: bool) -> None:
    node = schema("Pod")
    assert compile_canonical(node)(obj) is canonical
    try:
        decoded, unknown = decode(node, copy.deepcopy(obj), "Pod")
    except DecodeError:
        assert not canonical
    else:
        assert (decoded == obj and not unknown) is canonical


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"c": "x\\"y"}}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": "x", "b": "x"}}',
        '{"a": "\\u0022", "b": 1}',
        '{"a": 1, "\\u0061": 2}',
        '{"a": [{"k": 1, "k": 1}], "b": "\\u0022\\u0022"}',
    ],
)
def test_keys_that_came_twice_are_never_missed(text: str) -> None:
    body = text.encode()
    if duplicate_keys(body):
        assert may_repeat_keys(body, json.loads(body))


def test_a_new_object_belongs_to_its_creator_as_a_comparison_with_nothing_says() -> None:
    node = schema("Pod")
    reset = reset_fields("Pod", "", has_status=True, custom=False)
    manager = FieldManager(node, "v1", "Pod", "", reset)
    entries = manager.track(None, copy.deepcopy(POD), manager="me", now=datetime(2026, 1, 1, tzinfo=UTC))
    assert entries is not None
    assert reset is not None
    added = compare(of_object(node), {"apiVersion": "v1", "kind": "Pod"}, POD).added
    assert entries[0]["fieldsV1"] == difference(reset(added), _NEVER_OWNED)
    assert entries[0]["manager"] == "me"
