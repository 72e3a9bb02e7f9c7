"""StatefulSets against the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.apps import StatefulSet
from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from raysail.builtin.ownedpods import OwnedPods, owner_key
from raysail.builtin.settings import BuiltinSettings
from raysail.builtin.statefulsets.decide import decide
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

REPORTER: Final = "statefulset-controller"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(StatefulSets(manager).controller)


def _set_of(pod: Pod) -> Iterable[Key]:
    return owner_key(pod, "StatefulSet")


class StatefulSets:
    """Keys are StatefulSets."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._sets = manager.informer(STATEFUL_SETS, StatefulSet)
        self._pods = manager.informer(PODS, Pod, {"statefulset": _set_of})
        self._writes = OwnedPods(manager, self._pods, REPORTER)
        self.controller = Controller("statefulset", self.reconcile, concurrency=5)
        self.controller.watches(self._sets)
        self.controller.watches(self._pods, _set_of)

    async def reconcile(self, key: Key) -> float | None:
        """The next step of one StatefulSet."""
        stateful_set = self._sets.get(*key)
        if stateful_set is None:
            return None
        meta = stateful_set.metadata
        step = decide(stateful_set, self._pods_of(stateful_set), self._clock.now())
        for claim in step.claims:
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim, meta.namespace)
            except StatusError as error:
                if not is_already_exists(error):  # the claim outlives its Pod, that is what it is for
                    raise
        if step.create or step.delete:
            await self._writes.change(stateful_set, step.create, step.delete)
            step = decide(stateful_set, self._pods_of(stateful_set), self._clock.now())
        if step.status is not None:
            try:
                body = {"metadata": {"uid": meta.uid}, "status": step.status}
                self._sets.absorb(await self._client.patch(STATEFUL_SETS, meta.name, body, meta.namespace, subresource="status"))
            except StatusError as error:
                if not is_not_found(error):
                    raise
        return step.wake_seconds

    def _pods_of(self, stateful_set: StatefulSet) -> list[Pod]:
        uid = stateful_set.metadata.uid
        found = self._pods.by_index("statefulset", stateful_set.metadata.key)
        return [pod for pod in found if (owner := pod.metadata.controller_owner()) is not None and owner.uid == uid]
