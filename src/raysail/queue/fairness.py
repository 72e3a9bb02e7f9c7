"""Fair shares: how much of what could be lent a queue or cohort has borrowed, and whose turn it is.

The dominant resource share is the largest ratio, over resources, of borrowed to lendable, divided by the weight.
Source: Kueue pkg/cache/scheduler/fair_sharing.go, pkg/scheduler/fair_sharing_iterator.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from raysail.queue.quota import UNLIMITED, Amounts, CohortNode, FlavorResource, QuotaNode, plus
from raysail.queue.workload import WorkloadInfo
from raysail.queue.world import ClusterQueue

MAX_INT64: Final = 2**63 - 1


class Share:
    """The dominant resource share of a node. `ratio` is in thousandths and not yet divided by the weight."""

    __slots__ = ("borrowed", "ratio", "resource", "weight")

    def __init__(self, weight: float, ratio: float = 0.0, resource: str = "", borrowed: tuple[FlavorResource, ...] = ()) -> None:
        self.weight = weight
        self.ratio = ratio
        self.resource = resource
        self.borrowed = borrowed

    @property
    def borrowing(self) -> bool:
        """Whether the node uses more than it owns, of anything."""
        return bool(self.borrowed)

    @property
    def weighted(self) -> float:
        """The share divided by the weight; infinite for a borrower of weight zero."""
        if self.ratio == 0:
            return 0.0
        return math.inf if self.weight == 0 else self.ratio / self.weight

    @property
    def rounded(self) -> int:
        """status.fairSharing.weightedShare."""
        return MAX_INT64 if self._outcast else math.ceil(self.weighted)

    @property
    def _outcast(self) -> bool:
        return self.weight == 0 and self.ratio != 0

    def compare(self, other: Share) -> int:
        """-1, 0, 1. Among borrowers of weight zero the bare ratio decides; they are above everybody else."""
        if self._outcast and other._outcast:
            return (self.ratio > other.ratio) - (self.ratio < other.ratio)
        if self._outcast or other._outcast:
            return 1 if self._outcast else -1
        return (self.weighted > other.weighted) - (self.weighted < other.weighted)

    def borrowing_on(self, requested: Mapping[FlavorResource, int]) -> bool:
        """Whether it borrows any of what is requested."""
        return any(requested.get(key, 0) > 0 for key in self.borrowed)


def nobody() -> Share:
    """Below every real share: where a search for the highest starts."""
    return Share(1.0, -1.0)


def share_of(node: QuotaNode, extra: Mapping[FlavorResource, int] | None = None) -> Share:
    """The node's share, with `extra` usage on top. The root of a tree has none."""
    if node.parent is None:
        return Share(node.fair_weight)
    borrowed: dict[str, int] = {}
    keys: list[FlavorResource] = []
    for key, owned in node.subtree_quota.items():
        if owned >= UNLIMITED:
            continue
        over = (extra.get(key, 0) if extra else 0) + node.usage.get(key, 0) - owned
        if over > 0:
            borrowed[key[1]] = plus(borrowed.get(key[1], 0), over)
            keys.append(key)
    if not keys:
        return Share(node.fair_weight)
    lendable = lendable_of(node.parent)
    ratio, name = 0.0, ""
    for resource, amount in borrowed.items():
        available = lendable.get(resource, 0)
        if available > 0:
            of_resource = float(amount) * 1000.0 / float(available)
            if of_resource > ratio or (of_resource == ratio and resource < name):
                ratio, name = of_resource, resource
    return Share(node.fair_weight, ratio, name, tuple(keys))


def lendable_of(node: QuotaNode) -> dict[str, int]:
    """Per resource, what could at most be had at this node."""
    total: dict[str, int] = {}
    for key in node.root().subtree_quota:
        total[key[1]] = plus(total.get(key[1], 0), node.potential_available(key))
    return total


class Contender(Protocol):
    """What a tournament compares: a head of a queue with what it would use."""

    info: WorkloadInfo
    queue: ClusterQueue

    def net_usage(self) -> Amounts:
        """What admission would add."""
        ...


class Tournament:
    """Picks the next head of one tree: at each cohort the child with the lowest share after its nominee's admission wins."""

    def __init__(self, root: CohortNode, contenders: Mapping[str, Contender]) -> None:
        self._contenders = contenders
        self._shares: dict[tuple[str, str], Share] = {}
        self._requested: dict[str, Amounts] = {}
        self._root = root
        for member in root.subtree_members():
            contender = contenders.get(member.name)
            if contender is not None:
                self._measure(contender)

    def _measure(self, contender: Contender) -> None:
        queue, usage = contender.queue, contender.net_usage()
        self._requested[contender.info.key] = usage
        mark = queue.journal.mark()
        queue.add_all(usage)
        share = share_of(queue)
        for ancestor in queue.ancestors():
            self._shares[ancestor.name, contender.info.key] = share
            share = share_of(ancestor)
        queue.journal.undo(mark)

    def winner(self) -> Contender | None:
        """The head whose turn it is."""
        return self._winner_of(self._root)

    def _winner_of(self, cohort: CohortNode) -> Contender | None:
        nominees = [nominee for child in cohort.child_cohorts.values() if (nominee := self._winner_of(child)) is not None]
        nominees += [self._contenders[name] for name in cohort.member_nodes if name in self._contenders]
        best: Contender | None = None
        for nominee in nominees:
            if best is None or self._before(nominee, best, cohort.name):
                best = nominee
        return best

    def _before(self, a: Contender, b: Contender, cohort: str) -> bool:
        return share_before(
            a.info, b.info, self._shares[cohort, a.info.key], self._shares[cohort, b.info.key], lambda info: self._requested[info.key]
        )


def share_before(a: WorkloadInfo, b: WorkloadInfo, a_share: Share, b_share: Share, requested: Callable[[WorkloadInfo], Amounts]) -> bool:
    """Whether a goes first: not borrowing what it asks for, lower share, higher priority, older."""
    a_borrows, b_borrows = a_share.borrowing_on(requested(a)), b_share.borrowing_on(requested(b))
    if a_borrows != b_borrows:
        return b_borrows
    order = a_share.compare(b_share)
    if order:
        return order < 0
    if a.priority != b.priority:
        return a.priority > b.priority
    return a.ordered_since < b.ordered_since
