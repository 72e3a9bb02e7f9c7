"""What garbage collection does with one object (k8s.io/kubernetes pkg/controller/garbagecollector, attemptToDeleteItem and what it calls).

An owner is *solid* when it exists and does not wait for its dependents, *waiting* when it is being deleted in the foreground, *dangling* when it is
not there. One solid owner keeps a dependent, which then only lets go of the others; without any it is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raysail.api.meta import OwnerReference
from raysail.builtin.garbage.graph import FOREGROUND, ORPHAN, Graph, Node
from raysail.kube.client import Propagation


class Presence(StrEnum):
    """What is known about an owner."""

    SOLID = "solid"
    WAITING = "waiting"
    DANGLING = "dangling"
    UNKNOWN = "unknown"
    """Only the API can say; look there."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object itself."""

    propagation: Propagation


@dataclass(frozen=True, slots=True)
class LetGo:
    """Drop the references to these owners."""

    owner_uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unblock:
    """Set blockOwnerDeletion of all references to false: owner and dependent wait for each other."""


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """The object may go."""

    finalizer: str


@dataclass(frozen=True, slots=True)
class OrphanDependents:
    """Make these objects let go of this one, then drop the orphan finalizer."""

    dependents: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Ask:
    """Whether these owners exist has to be asked of the API before anything is decided."""

    owners: Sequence[OwnerReference]


Action = Delete | LetGo | Unblock | DropFinalizer | OrphanDependents | Ask


def decide(node: Node, graph: Graph, presence: Mapping[str, Presence]) -> list[Action]:
    """What to do now, in order. `presence` has what the API said about owners that the graph does not know, by UID."""
    if node.orphaning:
        return [OrphanDependents(graph.dependents(node.uid))]
    if node.deleting_dependents:
        return _wait_for_dependents(node, graph)
    if node.deleting:
        return []
    owners = node.metadata.owner_references or ()
    if not owners:
        return []
    known = {ref.uid: presence.get(ref.uid) or seen(node, ref, graph) for ref in owners}
    unknown = [ref for ref in owners if known[ref.uid] is Presence.UNKNOWN]
    if unknown:
        return [Ask(unknown)]
    waiting = {uid for uid, state in known.items() if state is Presence.WAITING}
    dangling = {uid for uid, state in known.items() if state is Presence.DANGLING}
    if len(waiting) + len(dangling) < len(known):
        return [LetGo(frozenset(waiting | dangling))] if waiting or dangling else []
    dependents = graph.dependents(node.uid)
    if waiting and dependents:
        cycle = any(dependent.deleting_dependents for dependent in dependents)
        return [*([Unblock()] if cycle else []), Delete(Propagation.FOREGROUND)]
    return [Delete(_policy(node))]


def seen(node: Node, ref: OwnerReference, graph: Graph) -> Presence:
    """What the graph alone says about an owner. A namespaced owner counts only for dependents in its own namespace."""
    owner = graph.get(ref.uid)
    if owner is None or not refers_to(node, ref, owner):
        return Presence.UNKNOWN
    return Presence.WAITING if owner.deleting_dependents else Presence.SOLID


def refers_to(node: Node, ref: OwnerReference, owner: Node) -> bool:
    """Whether the reference's coordinates fit the object that has its UID."""
    group = ref.api_version.rpartition("/")[0]
    same = (group, ref.kind, ref.name) == (owner.resource.group, owner.resource.kind, owner.metadata.name)
    return same and owner.metadata.namespace in ("", node.metadata.namespace)


def _wait_for_dependents(node: Node, graph: Graph) -> list[Action]:
    if any(dependent.blocks(node.uid) for dependent in graph.dependents(node.uid)):
        return []  # each of them is looked at for itself
    return [DropFinalizer(FOREGROUND)]


def _policy(node: Node) -> Propagation:
    finalizers = node.metadata.finalizers or ()
    if ORPHAN in finalizers:
        return Propagation.ORPHAN
    if FOREGROUND in finalizers:
        return Propagation.FOREGROUND
    return Propagation.BACKGROUND
