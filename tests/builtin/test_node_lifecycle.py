"""Taints follow what an agent says, and its silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.coordination import Lease
from raysail.api.core import Node
from raysail.builtin.nodes.lifecycle import GRACE_SECONDS, is_silent, unknown_conditions, wanted_taints

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
CORDONED = "node.kubernetes.io/unschedulable"


def node(ready: str | None = "True", *taints: tuple[str, str], unschedulable: bool = False) -> Node:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    spec = {"taints": [{"key": key, "effect": effect} for key, effect in taints], "unschedulable": unschedulable}
    return msgspec.convert({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}, Node)


def lease(age_seconds: float) -> Lease:
    renewed = (NOW - timedelta(seconds=age_seconds)).isoformat()
    return msgspec.convert({"spec": {"renewTime": renewed}}, Lease)


BOTH = ("NoSchedule", "NoExecute")


@pytest.mark.parametrize(
    ("rule", "present", "silent", "taints"),
    [
        ("ready: the taint of its first moment goes", node("True", (NOT_READY, "NoSchedule")), False, []),
        ("ready: nothing to do", node("True"), False, None),
        ("not ready", node("False"), False, [(NOT_READY, e) for e in sorted(BOTH)]),
        ("said nothing yet", node(None, (NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")), False, None),
        ("silent", node("True"), True, [(UNREACHABLE, e) for e in sorted(BOTH)]),
        ("back", node("True", (UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")), False, []),
        ("cordoned", node("True", unschedulable=True), False, [(CORDONED, "NoSchedule")]),
        ("uncordoned", node("True", (CORDONED, "NoSchedule")), False, []),
        (
            "taints of others stay",
            node("False", ("gpu", "NoSchedule")),
            False,
            [("gpu", "NoSchedule"), *((NOT_READY, e) for e in sorted(BOTH))],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_taints(rule: str, present: Node, silent: bool, taints: list[tuple[str, str]] | None) -> None:
    found: list[dict[str, Any]] | None = wanted_taints(present, silent, NOW)
    assert (None if found is None else [(t["key"], t["effect"]) for t in found]) == taints


def test_silence() -> None:
    long_ago = NOW - timedelta(hours=1)
    assert not is_silent(lease(GRACE_SECONDS - 1), long_ago, NOW)
    assert is_silent(lease(GRACE_SECONDS + 1), long_ago, NOW)
    assert not is_silent(lease(3600), NOW - timedelta(seconds=5), NOW), "we have only just begun to listen"
    assert not is_silent(None, long_ago, NOW)


def test_a_silent_node_is_said_to_be_unknown_once() -> None:
    said = unknown_conditions(node("True"), NOW)
    assert said is not None
    assert (said[0]["status"], said[0]["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert unknown_conditions(node("Unknown"), NOW) is None
