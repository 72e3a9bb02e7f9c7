"""The switches of a cycle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The switches of a cycle. `fair_strategies` None: fair sharing is off; empty: on with the default strategies."""

    fair_strategies: tuple[str, ...] | None = None
    admission_fair_sharing: bool = False
    ignore_undeclared: bool = False
    block_until_pods_ready: bool = False
    one_round: bool = False
    max_rounds: int = 10_000
    max_heads: int = 0
    """After so many heads a plan ends with its round, and `Plan.unfinished` says where there is more to decide; 0: it goes on to the end."""
    preemption_gates: bool = False
    """Whether closed preemption gates are honoured (Kueue: only with its alpha gates on)."""
    partial_admission: bool = True
    recompute_overlapping: bool = True
    """Whether a nominee whose victims were taken by another in the same round gets a second look."""
    concurrent_admission: bool = False
    """Whether variants of one job may be planned side by side (Kueue: alpha)."""
    preemptors_first: bool = False
    """Whether those for whom others are being preempted go before all others of the round (Kueue: alpha)."""
    by_priority: bool = True
    """Whether priority decides between the heads of different queues."""
    keep_scan: bool = True
    """Whether a nominee that was passed over goes on with the next flavor the next time, and not from the first."""

    @property
    def fair_sharing(self) -> bool:
        """Whether shares decide whose turn it is."""
        return self.fair_strategies is not None


DEFAULT = Options()
"""As Kueue starts without a Configuration file, and many rounds a plan."""
