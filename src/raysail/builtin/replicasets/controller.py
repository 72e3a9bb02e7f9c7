"""ReplicaSets against the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.apps import ReplicaSet
from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import PODS, REPLICA_SETS
from raysail.builtin.ownedpods import OwnedPods, owner_key
from raysail.builtin.replicasets.decide import decide
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

REPORTER: Final = "replicaset-controller"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(ReplicaSets(manager).controller)


def _set_of(pod: Pod) -> Iterable[Key]:
    return owner_key(pod, "ReplicaSet")


class ReplicaSets:
    """Keys are ReplicaSets."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._sets = manager.informer(REPLICA_SETS, ReplicaSet)
        self._pods = manager.informer(PODS, Pod, {"replicaset": _set_of})
        self._writes = OwnedPods(manager, self._pods, REPORTER)
        self.controller = Controller("replicaset", self.reconcile, concurrency=5)
        self.controller.watches(self._sets)
        self.controller.watches(self._pods, _set_of)

    async def reconcile(self, key: Key) -> float | None:
        """The next step of one ReplicaSet."""
        replica_set = self._sets.get(*key)
        if replica_set is None:
            return None
        step = decide(replica_set, self._pods_of(replica_set), self._clock.now())
        if step.create or step.delete:
            await self._writes.change(replica_set, step.create, step.delete)
            step = decide(replica_set, self._pods_of(replica_set), self._clock.now())
        if step.status is not None:
            meta = replica_set.metadata
            try:
                body = {"metadata": {"uid": meta.uid}, "status": step.status}
                self._sets.absorb(await self._client.patch(REPLICA_SETS, meta.name, body, meta.namespace, subresource="status"))
            except StatusError as error:
                if not is_not_found(error):
                    raise
        return step.wake_seconds

    def _pods_of(self, replica_set: ReplicaSet) -> list[Pod]:
        uid = replica_set.metadata.uid
        found = self._pods.by_index("replicaset", replica_set.metadata.key)
        return [pod for pod in found if (owner := pod.metadata.controller_owner()) is not None and owner.uid == uid]
