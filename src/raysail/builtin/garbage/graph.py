"""Who owns whom: the graph that garbage collection decides on.

A node is an object as its metadata says. Edges go by UID alone; whether an owner's name and namespace fit is checked where it matters (`decide`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from raysail.api.meta import ObjectMeta
from raysail.api.resources import Resource

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"


@dataclass(frozen=True, slots=True)
class Node:
    """One object of any kind."""

    resource: Resource
    metadata: ObjectMeta

    @property
    def uid(self) -> str:
        """What edges point to."""
        return self.metadata.uid

    @property
    def deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return self.metadata.deletion_timestamp is not None

    @property
    def deleting_dependents(self) -> bool:
        """Whether it waits for its dependents to go first (foreground deletion)."""
        return self.deleting and FOREGROUND in (self.metadata.finalizers or ())

    @property
    def orphaning(self) -> bool:
        """Whether its dependents must be let go before it may go."""
        return self.deleting and ORPHAN in (self.metadata.finalizers or ())

    def blocks(self, owner_uid: str) -> bool:
        """Whether that owner must wait for this dependent in a foreground deletion."""
        return any(ref.uid == owner_uid and ref.block_owner_deletion for ref in self.metadata.owner_references or ())

    @property
    def owner_uids(self) -> set[str]:
        """The UIDs of all owners."""
        return {ref.uid for ref in self.metadata.owner_references or ()}


class Graph:
    """All known objects by UID, and the dependents of each owner, known or not."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, uid: str) -> Node | None:
        """The object with that UID."""
        return self._nodes.get(uid)

    def dependents(self, uid: str) -> list[Node]:
        """The known objects that name it as an owner, in a stable order."""
        return [self._nodes[dependent] for dependent in sorted(self._dependents.get(uid, ()))]

    def put(self, node: Node) -> set[str]:
        """A new object or version of one. Returns the UIDs that deserve a look because of it."""
        old = self._nodes.get(node.uid)
        self._nodes[node.uid] = node
        before = old.owner_uids if old else set()
        self._link(node.uid, before, node.owner_uids)
        look: set[str] = set()
        if node.owner_uids or node.deleting_dependents or node.orphaning:
            look.add(node.uid)
        if node.deleting_dependents and not (old and old.deleting_dependents):
            look |= self._dependents.get(node.uid, set())
        # An owner that waits may be free when a dependent let go of it, no longer blocks it, or waits itself (a cycle).
        look |= self._waiting(before | node.owner_uids)
        return look

    def remove(self, uid: str) -> set[str]:
        """The object is gone. Returns the UIDs that deserve a look because of it."""
        node = self._nodes.pop(uid, None)
        if node is None:
            return set()
        self._link(uid, node.owner_uids, set())
        return set(self._dependents.get(uid, ())) | self._waiting(node.owner_uids)

    def _waiting(self, uids: Iterable[str]) -> set[str]:
        return {uid for uid in uids if (owner := self._nodes.get(uid)) is not None and (owner.deleting_dependents or owner.orphaning)}

    def _link(self, uid: str, before: set[str], after: set[str]) -> None:
        for owner in after - before:
            self._dependents.setdefault(owner, set()).add(uid)
        for owner in before - after:
            dependents = self._dependents.get(owner)
            if dependents is not None:
                dependents.discard(uid)
                if not dependents:
                    del self._dependents[owner]
