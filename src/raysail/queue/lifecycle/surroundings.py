"""What surrounds a Workload when its next step is decided: its queues, what they demand, and what the planner says of its equals."""

from __future__ import annotations

from dataclasses import dataclass

from raysail.api.kueue import LocalQueue


@dataclass(frozen=True, slots=True)
class Seen:
    """What surrounds a Workload. `cluster_queue` is the name its LocalQueue leads to (of an open or closed one), empty where there is none."""

    local_queue: LocalQueue | None = None
    cluster_queue: str = ""
    cluster_queue_exists: bool = False
    cluster_queue_terminating: bool = False
    cluster_queue_stop: str = "None"
    cluster_queue_active: bool = False
    checks: tuple[str, ...] = ()
    """Admission checks that apply: to its flavors once it holds quota, before that those for all flavors."""
    inadmissible: str | None = None
    """Why the queue must not take it at all."""
    unfit_reason: str = ""
    """Why it was parked without being looked at, together with its equals."""
    concurrent_admission: bool = False
    """Whether its queue admits it through variants, one per flavor (gate ConcurrentAdmission)."""

    @property
    def local_stop(self) -> str:
        """The LocalQueue's stopPolicy."""
        return (self.local_queue.spec.stop_policy or "None") if self.local_queue is not None else "None"

    @property
    def local_terminating(self) -> bool:
        """Whether the LocalQueue is missing or on its way out."""
        return self.local_queue is None or self.local_queue.metadata.deletion_timestamp is not None
