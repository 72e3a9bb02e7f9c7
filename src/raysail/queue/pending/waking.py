"""Waking what is parked: quota was freed or rules changed somewhere in a tree of queues, so everything in the tree gets another chance.

Source: Kueue pkg/cache/queue/inadmissible_workloads.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.world import World, tree_members
from raysail.queue.pending.queues import Pending


def roots_to_wake(world: World, names: Iterable[str]) -> dict[str, ClusterQueue]:
    """One ClusterQueue for each tree that these lie in. Trees that go round in circles wait until the circle is broken."""
    found: dict[str, ClusterQueue] = {}
    for name in names:
        queue = world.cluster_queues.get(name)
        if queue is not None and not world.in_circle(queue):
            found.setdefault(queue.root().name if queue.parent is not None else f"={name}", queue)
    return found


def wake_tree(world: World, pending: Pending, queue: ClusterQueue, now: float) -> int:
    """Moves the parked ones of the whole tree back, as far as namespace and back-off allow. Returns how many."""
    moved = 0
    for member in tree_members(queue.root()):
        waiting = pending.queues.get(member.name)
        if waiting is not None:
            moved += waiting.retry(now, lambda namespace, member=member: world.selects(member, namespace))  # type: ignore[misc]
    return moved
