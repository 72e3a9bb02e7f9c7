"""The quota tree: who may use how much, and what is left, with undo.

A ClusterQueue or Cohort is a `QuotaNode`. Capacity flows up (a node's `subtree_quota` holds what its children lend), usage flows up (past what
a child keeps for itself). All amounts are ints: cpu in milli, everything else in whole units; `UNLIMITED` and above stays unlimited.

One mutable tree serves every cycle: whatever a cycle tries out is written to a `Journal` and taken back, so there is no copy per cycle.
Source of the rules: Kueue pkg/cache/scheduler/resource_node.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

FlavorResource = tuple[str, str]
"""(flavor, resource): what quota is defined for."""

Amounts = dict[FlavorResource, int]

UNLIMITED: Final = 2**63 - 1
"""Kueue counts in int64 and saturates: an amount of this size or more means "without limit"."""


def plus(a: int, b: int) -> int:
    """Saturating sum: unlimited plus anything is unlimited."""
    return UNLIMITED if a >= UNLIMITED or b >= UNLIMITED else min(a + b, UNLIMITED)


def minus(a: int, b: int) -> int:
    """Saturating difference: unlimited minus anything is unlimited."""
    return UNLIMITED if a >= UNLIMITED else a - b


class Quota:
    """What one node says about one flavor and resource. None: no limit on borrowing; everything may be lent."""

    __slots__ = ("borrowing_limit", "lending_limit", "nominal")

    def __init__(self, nominal: int, borrowing_limit: int | None = None, lending_limit: int | None = None) -> None:
        self.nominal = nominal
        self.borrowing_limit = borrowing_limit
        self.lending_limit = lending_limit

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Quota)
            and self.nominal == other.nominal
            and self.borrowing_limit == other.borrowing_limit
            and self.lending_limit == other.lending_limit
        )

    def __hash__(self) -> int:
        return hash((self.nominal, self.borrowing_limit, self.lending_limit))


NO_QUOTA: Final = Quota(0)


class Journal:
    """Old values of usage, newest last, kept while at least one `mark` is open.

    `version` names the state of all usage: the same number, the same usage (also after an attempt was taken back).
    """

    __slots__ = ("_changes", "_entries", "_versions", "version")

    def __init__(self) -> None:
        self._entries: list[tuple[Amounts, FlavorResource, int | None] | Callable[[], None]] = []
        self._versions: list[int] = []
        """The version at each open mark."""
        self._changes = 0
        self.version = 0

    def mark(self) -> int:
        """Starts an attempt; give the mark back to `undo`."""
        self._versions.append(self.version)
        return len(self._entries)

    def undo(self, mark: int) -> None:
        """Takes back every change of usage since the mark. Marks close in reverse order."""
        entries = self._entries
        while len(entries) > mark:
            entry = entries.pop()
            if not isinstance(entry, tuple):
                entry()
                continue
            usage, key, old = entry
            if old is None:
                del usage[key]
            else:
                usage[key] = old
        self.version = self._versions.pop()

    def touch(self) -> None:
        """Something else than single amounts changed: what was read before is old."""
        self._changes += 1
        self.version = self._changes

    def on_undo(self, revert: Callable[[], None]) -> None:
        """How to take back a change of another kind, if an attempt is under way."""
        if self._versions:
            self._entries.append(revert)

    def set(self, usage: Amounts, key: FlavorResource, value: int) -> None:
        """Changes one number, remembering the old one if an attempt is under way."""
        if self._versions:
            self._entries.append((usage, key, usage.get(key)))
        self._changes += 1
        self.version = self._changes
        usage[key] = value


class QuotaNode:
    """A ClusterQueue or Cohort as far as amounts go."""

    __slots__ = ("fair_weight", "journal", "name", "parent", "quotas", "subtree_quota", "usage")

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.journal = journal
        self.parent: CohortNode | None = None
        self.quotas: dict[FlavorResource, Quota] = {}
        self.subtree_quota: Amounts = {}
        self.usage: Amounts = {}
        self.fair_weight = 1.0

    def ancestors(self) -> Iterator[CohortNode]:
        """From the parent up to the root."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def root(self) -> QuotaNode:
        """The top of this node's tree (itself where it has no parent)."""
        node: QuotaNode = self
        while node.parent is not None:
            node = node.parent
        return node

    def quota(self, key: FlavorResource) -> Quota:
        """What this node itself defines."""
        return self.quotas.get(key, NO_QUOTA)

    def local_quota(self, key: FlavorResource) -> int:
        """What is kept from the parent by the lending limit: guaranteed to this subtree."""
        quota = self.quotas.get(key)
        if quota is None or quota.lending_limit is None:
            return 0
        return max(0, minus(self.subtree_quota.get(key, 0), quota.lending_limit))

    def local_available(self, key: FlavorResource) -> int:
        """How much of the guaranteed quota is unused; not visible to the parent."""
        return max(0, minus(self.local_quota(key), self.usage.get(key, 0)))

    def available(self, key: FlavorResource) -> int:
        """What may still be used here. Negative after over-admission (quota lowered, queue moved)."""
        used = self.usage.get(key, 0)
        subtree = self.subtree_quota.get(key, 0)
        if self.parent is None:
            return minus(subtree, used)
        from_parent = self.parent.available(key)
        quota = self.quotas.get(key)
        if quota is not None and quota.borrowing_limit is not None:
            local = self.local_quota(key)
            used_in_parent = max(0, minus(used, local))
            from_parent = min(from_parent, plus(minus(minus(subtree, local), used_in_parent), quota.borrowing_limit))
        return plus(self.local_available(key), from_parent)

    def potential_available(self, key: FlavorResource) -> int:
        """What could be used here if nothing were in use."""
        subtree = self.subtree_quota.get(key, 0)
        if self.parent is None:
            return subtree
        most = plus(self.local_quota(key), self.parent.potential_available(key))
        quota = self.quotas.get(key)
        if quota is not None and quota.borrowing_limit is not None:
            most = min(most, plus(subtree, quota.borrowing_limit))
        return most

    def add(self, key: FlavorResource, amount: int) -> None:
        """Counts usage here and, past what was locally available, in the parent."""
        local = self.local_available(key)
        self.journal.set(self.usage, key, plus(self.usage.get(key, 0), amount))
        if self.parent is not None and amount > local:
            self.parent.add(key, amount - local)

    def remove(self, key: FlavorResource, amount: int) -> None:
        """Takes usage back here and, as far as it was stored there, from the parent."""
        used = self.usage.get(key, 0)
        in_parent = minus(used, self.local_quota(key))
        self.journal.set(self.usage, key, minus(used, amount))
        if in_parent > 0 and self.parent is not None:
            self.parent.remove(key, min(amount, in_parent))

    def add_all(self, amounts: Mapping[FlavorResource, int]) -> None:
        """`add` for each."""
        for key, amount in amounts.items():
            self.add(key, amount)

    def remove_all(self, amounts: Mapping[FlavorResource, int]) -> None:
        """`remove` for each."""
        for key, amount in amounts.items():
            self.remove(key, amount)

    def borrowing(self, key: FlavorResource) -> bool:
        """Whether more is used than this subtree owns."""
        return self.borrowing_with(key, 0)

    def borrowing_with(self, key: FlavorResource, amount: int) -> bool:
        """Whether it would borrow with that much more."""
        return plus(self.usage.get(key, 0), amount) > self.subtree_quota.get(key, 0)

    def within_nominal(self, keys: Iterable[FlavorResource]) -> bool:
        """Whether none of these is used beyond what the subtree owns."""
        return all(self.subtree_quota.get(key, 0) >= self.usage.get(key, 0) for key in keys)

    def fits_in_quota(self, requests: Mapping[FlavorResource, int]) -> tuple[bool, Amounts]:
        """Whether the requests fit into what this subtree owns, and what of them goes on to the parent."""
        fits = True
        remaining: Amounts = {}
        for key, amount in requests.items():
            if self.subtree_quota.get(key, 0) < plus(self.usage.get(key, 0), amount):
                fits = False
            remaining[key] = max(0, amount - self.local_available(key))
        return fits, remaining


class CohortNode(QuotaNode):
    """A node with children. `member_nodes` are the ClusterQueues directly below."""

    __slots__ = ("child_cohorts", "lendable", "member_nodes")

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.lendable: dict[str, int] | None = None
        """Per resource what could at most be had here; None until somebody asks after a change of quotas."""
        self.child_cohorts: dict[str, CohortNode] = {}
        self.member_nodes: dict[str, QuotaNode] = {}

    def subtree_members(self) -> Iterator[QuotaNode]:
        """All ClusterQueues below, those of child cohorts first."""
        for cohort in self.child_cohorts.values():
            yield from cohort.subtree_members()
        yield from self.member_nodes.values()

    def recount(self) -> None:
        """Sums up quota and usage of everything below, from the leaves up. Call on the root of a tree."""
        self.lendable = None
        self.journal.touch()
        self.subtree_quota = {key: quota.nominal for key, quota in self.quotas.items()}
        self.usage = {}
        for cohort in self.child_cohorts.values():
            cohort.recount()
            self._collect(cohort)
        for member in self.member_nodes.values():
            member.subtree_quota = {key: quota.nominal for key, quota in member.quotas.items()}
            self._collect(member)

    def _collect(self, child: QuotaNode) -> None:
        for key, quota in child.subtree_quota.items():
            self.subtree_quota[key] = plus(self.subtree_quota.get(key, 0), minus(quota, child.local_quota(key)))
        for key, used in child.usage.items():
            self.usage[key] = plus(self.usage.get(key, 0), max(0, minus(used, child.local_quota(key))))


def height_of_lowest_fit(node: QuotaNode, key: FlavorResource, amount: int) -> tuple[int, bool]:
    """How far up one must go to find `amount`: the height of the lowest subtree that owns it (0: the ClusterQueue itself).

    The second value says whether that subtree is smaller than the whole tree, so that reclaiming what it lent could help.
    """
    if not node.borrowing_with(key, amount) or node.parent is None:
        return 0, node.parent is not None
    remaining = amount - node.local_available(key)
    top: CohortNode | None = None
    for ancestor in node.ancestors():
        top = ancestor
        if not ancestor.borrowing_with(key, remaining):
            return height(ancestor), ancestor.parent is not None
        remaining -= ancestor.local_available(key)
    assert top is not None  # noqa: S101 - the node has a parent, so the loop ran
    return height(top), False


def height(cohort: CohortNode) -> int:
    """The distance to the furthest leaf."""
    below = [height(child) + 1 for child in cohort.child_cohorts.values()]
    return max(below, default=0) or (1 if cohort.member_nodes or cohort.child_cohorts else 0)
