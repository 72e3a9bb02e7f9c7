"""Fair shares: how much of what could be lent a queue or cohort has borrowed, and whose turn it is.

The dominant resource share is the largest ratio, over resources, of borrowed to lendable, divided by the weight.
Source: Kueue pkg/cache/scheduler/fair_sharing.go, pkg/scheduler/fair_sharing_iterator.go.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Final, Protocol

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.quota import UNLIMITED, Amounts, CohortNode, FlavorResource, QuotaNode, plus
from raysail.queue.model.workload import WorkloadInfo

MAX_INT64: Final = 2**63 - 1


class Share:
    """The dominant resource share of a node. `ratio` is in thousandths and not yet divided by the weight."""

    __slots__ = ("borrowed", "outcast", "ratio", "resource", "weight", "weighted")

    def __init__(self, weight: float, ratio: float = 0.0, resource: str = "", borrowed: tuple[FlavorResource, ...] = ()) -> None:
        self.weight = weight
        self.ratio = ratio
        self.resource = resource
        self.borrowed = borrowed
        self.outcast = weight == 0 and ratio != 0
        """A borrower of weight zero: above everybody else."""
        self.weighted = 0.0 if ratio == 0 else math.inf if weight == 0 else ratio / weight
        """The share divided by the weight; infinite for a borrower of weight zero."""

    @property
    def borrowing(self) -> bool:
        """Whether the node uses more than it owns, of anything."""
        return bool(self.borrowed)

    @property
    def rounded(self) -> int:
        """status.fairSharing.weightedShare."""
        return MAX_INT64 if self.outcast else math.ceil(self.weighted)

    def compare(self, other: Share) -> int:
        """-1, 0, 1. Among borrowers of weight zero the bare ratio decides; they are above everybody else."""
        if self.outcast and other.outcast:
            return (self.ratio > other.ratio) - (self.ratio < other.ratio)
        if self.outcast or other.outcast:
            return 1 if self.outcast else -1
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


def lendable_of(node: CohortNode) -> dict[str, int]:
    """Per resource, what could at most be had at this node. Kept until the tree's quotas change."""
    total = node.lendable
    if total is None:
        total = node.lendable = {}
        for key in node.root().subtree_quota:
            total[key[1]] = plus(total.get(key[1], 0), node.potential_available(key))
    return total


class Contender(Protocol):
    """What a tournament compares: a head of a queue with what it would use."""

    info: WorkloadInfo
    queue: ClusterQueue
    is_preemptor: bool

    def net_usage(self) -> Amounts:
        """What admission would add."""
        ...


TurnKey = tuple[bool, bool, bool, float, int, float]


def turn_key(
    info: WorkloadInfo, share: Share, requested: Mapping[FlavorResource, int], *, by_priority: bool = True, goes_first: bool = False
) -> TurnKey:
    """Whose turn it is, smallest first: not borrowing what it asks for, lower share, higher priority, older."""
    return (
        not goes_first,
        share.borrowing_on(requested),
        share.outcast,
        share.ratio if share.outcast else share.weighted,
        -info.priority if by_priority else 0,
        info.ordered_since,
    )


class Tournament:
    """The order among the heads of one tree: at each cohort the child with the lowest share after its nominee's admission wins.

    Between two calls of `pop` only the usage of the last winner's queue and its ancestors may change: what the shares of the others stand on
    stays as it is, so they are measured once, and only the cohorts on the winner's way are judged anew.
    """

    def __init__(
        self, root: CohortNode, contenders: Mapping[str, Contender], *, by_priority: bool = True, preemptors_first: bool = False
    ) -> None:
        self._root = root
        self._by_priority = by_priority
        self._preemptors_first = preemptors_first
        self._heads: dict[int, list[tuple[TurnKey, int, Contender]]] = {}
        """Of each cohort, by identity: the heads of the ClusterQueues directly below, as a heap."""
        self._nominees: dict[int, tuple[TurnKey, Contender] | None] = {}
        """Of each cohort below the root: who stands for it one level up."""
        for serial, member in enumerate(root.subtree_members()):
            contender = contenders.get(member.name)
            if contender is not None and member.parent is not None:
                usage = contender.net_usage()
                entry = (self._key(contender, share_of(member, usage), usage), serial, contender)
                self._heads.setdefault(id(member.parent), []).append(entry)
        for heads in self._heads.values():
            heapq.heapify(heads)

    def _key(self, contender: Contender, share: Share, usage: Amounts) -> TurnKey:
        first = self._preemptors_first and contender.is_preemptor
        return turn_key(contender.info, share, usage, by_priority=self._by_priority, goes_first=first)

    def pop(self) -> Contender | None:
        """The head whose turn it is; it takes part no more."""
        winner = self._best(self._root)
        if winner is None:
            return None
        parent = winner.queue.parent
        heapq.heappop(self._heads[id(parent)])
        for cohort in winner.queue.ancestors():
            self._nominees.pop(id(cohort), None)
        return winner

    def _best(self, cohort: CohortNode) -> Contender | None:
        best: tuple[TurnKey, Contender] | None = None
        for child in cohort.child_cohorts.values():
            nominee = self._nominee(child)
            if nominee is not None and (best is None or nominee[0] < best[0]):
                best = nominee
        heads = self._heads.get(id(cohort))
        if heads and (best is None or heads[0][0] < best[0]):
            return heads[0][2]
        return best[1] if best is not None else None

    def _nominee(self, cohort: CohortNode) -> tuple[TurnKey, Contender] | None:
        """Who stands for the cohort, judged by the share that the cohort would then have."""
        known = self._nominees.get(id(cohort))
        if known is not None:
            return known
        contender = self._best(cohort)
        if contender is None:
            return None
        usage = contender.net_usage()
        mark = cohort.journal.mark()
        contender.queue.add_all(usage)
        share = share_of(cohort)
        cohort.journal.undo(mark)
        found = self._nominees[id(cohort)] = (self._key(contender, share, usage), contender)
        return found
