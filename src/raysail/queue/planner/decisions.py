"""What a cycle decides. The shell writes these to the API; tests compare them; `explain` renders them."""

from __future__ import annotations

from dataclasses import dataclass, field

from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.planner.assignment import Assignment
from raysail.queue.planner.preemption import Victim


@dataclass(frozen=True, slots=True)
class Admit:
    """Reserve quota in `cluster_queue` with these flavors. `info` already holds them; `considered` is the tail of the event.

    `replaced` is the slice of an elastic job that this workload takes the place of.
    """

    info: WorkloadInfo
    cluster_queue: str
    assignment: Assignment
    considered: str = ""
    replaced: WorkloadInfo | None = None


@dataclass(frozen=True, slots=True)
class Preempt:
    """Evict the victims so that `preemptor` fits the next time. `paths` are the ways from the root, per key of workload."""

    preemptor: WorkloadInfo
    victims: tuple[Victim, ...]
    preemptor_path: str
    victim_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """It does not get quota now. `reason` and `message` go into QuotaReserved=False; `gated`: it would have to preempt but must not."""

    info: WorkloadInfo
    reason: str
    message: str
    gated: bool = False


@dataclass(frozen=True, slots=True)
class WaitForPodsReady:
    """It would fit, but an admitted workload's Pods are not ready yet and admission waits for them."""

    info: WorkloadInfo


@dataclass(frozen=True, slots=True)
class SecondPassFailed:
    """It holds quota and was planned once more in vain; it will be tried again."""

    info: WorkloadInfo
    message: str


@dataclass(frozen=True, slots=True)
class Migrate:
    """Evict `victim`, a variant of the same job, so that `info` can run with its better flavor."""

    info: WorkloadInfo
    victim: WorkloadInfo


@dataclass(frozen=True, slots=True)
class EvictUnhealthy:
    """Nodes of it failed, and there is no place for the Pods that were there (`message` says why): it has to start anew."""

    info: WorkloadInfo
    message: str


Decision = Admit | Preempt | Wait | WaitForPodsReady | SecondPassFailed | Migrate | EvictUnhealthy


@dataclass(slots=True)
class Trace:
    """Why one workload fared as it did the last time it was looked at. `at` is in seconds since the epoch."""

    key: str
    at: float
    outcome: str
    reason: str
    message: str
    assignment: Assignment | None = None
    victims: tuple[Victim, ...] = ()


@dataclass(slots=True)
class Plan:
    """All decisions of one call, in the order in which they were taken."""

    decisions: list[Decision] = field(default_factory=list)
    traces: dict[str, Trace] = field(default_factory=dict)
    rounds: int = 0
    skipped_preemptions: dict[str, int] = field(default_factory=dict)
    """Per ClusterQueue: how often preemption was put off because victims overlapped or the place was taken."""
    recomputed_targets: dict[str, dict[str, int]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    """ClusterQueues that have more to decide: the plan was cut off after its rounds."""
