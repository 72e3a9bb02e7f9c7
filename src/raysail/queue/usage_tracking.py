"""Keeps the ledger of admission fair sharing in step with the API: what is admitted counts, what will never be is forgiven, and LocalQueues say it.

Source: Kueue pkg/controller/core/workload_controller.go (reconcileAfsPenaltiesOnUpdate), localqueue_controller.go (initializeAfsIfNeeded).
"""

from __future__ import annotations

from typing import Any

from raysail.api.kueue import LocalQueue, Workload
from raysail.api.meta import format_time
from raysail.api.quantity import format_nano
from raysail.kube.clock import Clock
from raysail.queue.model.cluster_queue import ClusterQueue, Tally, read_weight
from raysail.queue.model.requests import quantities
from raysail.queue.model.usage_ledger import UsageLedger, used_by
from raysail.queue.model.workload import has_reservation, is_active, is_admitted, is_finished
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending


class UsageTracking:
    """Feeds one ledger. Its handlers must run after those that keep the world."""

    def __init__(self, world: World, pending: Pending, ledger: UsageLedger, clock: Clock) -> None:
        self.world = world
        self.pending = pending
        self.ledger = ledger
        self.clock = clock

    def queue_changed(self, queue: ClusterQueue) -> None:
        """Its LocalQueues take turns by use, or not (any more)."""
        self.pending.queue(queue.name).take_turns(self.ledger.usage if queue.usage_based else None)

    def local_queue_changed(self, old: LocalQueue | None, new: LocalQueue | None) -> None:
        """Its weight; and nothing is remembered of one that is gone."""
        if new is not None:
            weight = new.spec.fair_sharing.weight if new.spec.fair_sharing is not None else None
            self.ledger.weights[f"{new.metadata.namespace}/{new.metadata.name}"] = read_weight(weight)
        elif old is not None:
            self.ledger.drop(f"{old.metadata.namespace}/{old.metadata.name}")

    def workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        """Admitted: its penalty becomes use. Moved, ended or given up: its penalty is forgiven."""
        if new is None:
            if old is not None:
                self.ledger.forgive(_local(old), _key(old))
            return
        local, key = _local(new), _key(new)
        admitted = is_admitted(new) and not is_finished(new)
        if admitted and is_active(new) and (old is None or not is_admitted(old)) and new.status.admission is not None:
            queue = self.world.cluster_queues.get(new.status.admission.cluster_queue)
            if old is not None and queue is not None and queue.usage_based:
                self.ledger.settle(local, key, self._used(local), self._now())
        if old is not None and old.spec.queue_name != new.spec.queue_name:
            self.ledger.forgive(_local(old), key)
        given_up = not is_active(new) and not has_reservation(new)
        if given_up or is_finished(new):
            self.ledger.forgive(local, key)

    def sample(self, obj: LocalQueue) -> tuple[bool, float]:
        """Takes a sample if it is time. Returns whether it did (only then the status says it), and the seconds until the next."""
        local = f"{obj.metadata.namespace}/{obj.metadata.name}"
        now = self._now()
        recorded = obj.status.fair_sharing.admission_fair_sharing_status if obj.status.fair_sharing is not None else None
        known = self.ledger.seed(local, quantities(recorded.consumed_resources) if recorded is not None else {}, now)
        wait = self.ledger.due_in(local, now)
        if known and wait > 0:
            return False, wait
        self.ledger.sample(local, self._used(local), now)
        return True, self.ledger.rules.usage_sampling_interval_seconds

    def write(self, obj: LocalQueue, status: dict[str, Any]) -> None:
        """status.fairSharing of a LocalQueue (changed in place)."""
        entry = self.ledger.entries.get(f"{obj.metadata.namespace}/{obj.metadata.name}")
        if entry is None:
            return
        consumed = {name: format_nano(value) for name, value in sorted(entry.consumed.items())}
        told = status.get("fairSharing") or {}
        updated = {"consumedResources": consumed, "lastUpdate": format_time(self.clock.now())}
        status["fairSharing"] = {"weightedShare": told.get("weightedShare") or 0, "admissionFairSharingStatus": updated}

    def _used(self, local: str) -> dict[str, int]:
        return used_by(self.world.local_tallies.get(local, Tally()).used)

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _local(obj: Workload) -> str:
    return f"{obj.metadata.namespace}/{obj.spec.queue_name}"


def _key(obj: Workload) -> str:
    return f"{obj.metadata.namespace}/{obj.metadata.name}"
