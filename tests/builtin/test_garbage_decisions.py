"""What becomes of an object whose owners go, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from raysail.api.meta import ObjectMeta
from raysail.api.resources import CONFIG_MAPS, PERSISTENT_VOLUMES
from raysail.builtin.garbage.decide import Ask, Delete, DropFinalizer, LetGo, OrphanDependents, Presence, Unblock, decide
from raysail.builtin.garbage.graph import FOREGROUND, ORPHAN, Graph, Node
from raysail.kube.client import Propagation

GOING = "2026-01-01T00:00:00Z"


def obj(
    name: str, *owners: str, block: bool = False, deleting: bool = False, finalizers: tuple[str, ...] = (), namespace: str = "ns"
) -> Node:
    wire: dict[str, Any] = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "finalizers": list(finalizers)}
    wire["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": f"uid-{owner}", "blockOwnerDeletion": block} for owner in owners
    ]
    if deleting:
        wire["deletionTimestamp"] = GOING
    return Node(CONFIG_MAPS, msgspec.convert(wire, ObjectMeta))


@dataclass(frozen=True)
class Case:
    rule: str
    node: Node
    others: list[Node] = field(default_factory=list)
    api: dict[str, Presence] = field(default_factory=dict)
    actions: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return self.rule


WAITING_OWNER = obj("owner", deleting=True, finalizers=(FOREGROUND,))
CHILD = obj("child", "owner", block=True)

CASES = [
    Case("without owners nothing happens", obj("a")),
    Case("an owner that is there keeps it", obj("a", "owner"), [obj("owner")]),
    Case("an owner that is only being deleted keeps it", obj("a", "owner"), [obj("owner", deleting=True, finalizers=("x.io/y",))]),
    Case("an unknown owner has to be asked for", obj("a", "owner"), actions=[Ask]),
    Case("an owner that the API has keeps it", obj("a", "owner"), api={"uid-owner": Presence.SOLID}),
    Case("without any owner left it is deleted", obj("a", "owner"), api={"uid-owner": Presence.DANGLING}, actions=[Delete(Propagation.BACKGROUND)]),
    Case(
        "one owner left: it lets go of the other",
        obj("a", "owner", "gone"),
        [obj("owner")],
        {"uid-gone": Presence.DANGLING},
        [LetGo(frozenset({"uid-gone"}))],
    ),
    Case("its own finalizers say how it goes", obj("a", "owner", finalizers=(ORPHAN,)), api={"uid-owner": Presence.DANGLING}, actions=[Delete(Propagation.ORPHAN)]),
    Case("or in the foreground", obj("a", "owner", finalizers=(FOREGROUND,)), api={"uid-owner": Presence.DANGLING}, actions=[Delete(Propagation.FOREGROUND)]),
    Case("its owner waits for it", CHILD, [WAITING_OWNER], actions=[Delete(Propagation.BACKGROUND)]),
    Case("its owner waits, and it has dependents of its own", CHILD, [WAITING_OWNER, obj("grandchild", "child")], actions=[Delete(Propagation.FOREGROUND)]),
    Case(
        "a circle of those who wait is broken",
        CHILD,
        [WAITING_OWNER, obj("grandchild", "child", deleting=True, finalizers=(FOREGROUND,))],
        actions=[Unblock(), Delete(Propagation.FOREGROUND)],
    ),
    Case("its owner waits but another one stays", obj("a", "owner", "solid"), [WAITING_OWNER, obj("solid")], actions=[LetGo(frozenset({"uid-owner"}))]),
    Case("it is being deleted already", obj("a", "owner", deleting=True, finalizers=("x.io/y",)), api={"uid-owner": Presence.DANGLING}),
    Case("it waits for a dependent that blocks", WAITING_OWNER, [CHILD]),
    Case("it does not wait for one that does not block", WAITING_OWNER, [obj("child", "owner")], actions=[DropFinalizer(FOREGROUND)]),
    Case("nobody left to wait for", WAITING_OWNER, actions=[DropFinalizer(FOREGROUND)]),
    Case("it lets its dependents go first", obj("owner", deleting=True, finalizers=(ORPHAN,)), [CHILD], actions=[OrphanDependents([CHILD])]),
    Case("an owner in another namespace does not count", obj("a", "owner"), [obj("owner", namespace="elsewhere")], actions=[Ask]),
    Case("an owner of another name under that UID does not count", obj("a", "owner"), [Node(CONFIG_MAPS, msgspec.convert({"name": "x", "namespace": "ns", "uid": "uid-owner"}, ObjectMeta))], actions=[Ask]),
    Case("an owner without namespace counts everywhere", Node(CONFIG_MAPS, msgspec.convert({"name": "a", "namespace": "ns", "uid": "u", "ownerReferences": [{"apiVersion": "v1", "kind": "PersistentVolume", "name": "v", "uid": "uid-v"}]}, ObjectMeta)), [Node(PERSISTENT_VOLUMES, msgspec.convert({"name": "v", "uid": "uid-v"}, ObjectMeta))]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_decisions(case: Case) -> None:
    graph = Graph()
    for node in (*case.others, case.node):
        graph.put(node)
    found = decide(case.node, graph, case.api)
    assert [type(a) if isinstance(a, Ask) else a for a in found] == case.actions


def test_what_deserves_a_look() -> None:
    graph = Graph()
    assert graph.put(obj("owner")) == set()
    assert graph.put(CHILD) == {"uid-child"}
    assert graph.put(WAITING_OWNER) == {"uid-owner", "uid-child"}, "the owner and those it waits for"
    assert graph.remove("uid-child") == {"uid-owner"}, "the owner may be free now"
    assert graph.remove("uid-owner") == set()
    assert len(graph) == 0


def test_dependents_of_an_owner_nobody_has_seen() -> None:
    graph = Graph()
    graph.put(CHILD)
    assert graph.dependents("uid-owner") == [CHILD]
    graph.put(obj("child"))
    assert graph.dependents("uid-owner") == []
