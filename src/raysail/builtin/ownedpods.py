"""Making and deleting the Pods of an owner, told in events: the same for ReplicaSets and StatefulSets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import PODS
from raysail.kube.client import JsonObject, Propagation
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager

MAX_WRITES: Final = 32


def owner_key(pod: Pod, kind: str) -> Iterable[Key]:
    """The key of the apps/v1 object of that kind that controls the Pod."""
    owner = pod.metadata.controller_owner()
    return [(pod.metadata.namespace, owner.name)] if owner is not None and owner.kind == kind and owner.api_version == "apps/v1" else []


def controller_reference(owner: Object) -> JsonObject:
    """The reference that makes `owner` the controller of an object."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


class OwnedPods:
    """Writes Pods for owners and keeps the informer up to date with them. `reporter` is the controller that events name."""

    def __init__(self, manager: Manager, pods: Informer[Pod], reporter: str) -> None:
        self._client = manager.client
        self._events = manager.events
        self._pods = pods
        self._reporter = reporter
        self._slots = asyncio.Semaphore(MAX_WRITES)

    async def change(self, owner: Object, create: Sequence[JsonObject], delete: Sequence[Pod]) -> None:
        """Does all that can be done; then raises the first fault."""
        works = [*(self._create(owner, body) for body in create), *(self._delete(owner, pod) for pod in delete)]
        for result in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _create(self, owner: Object, body: JsonObject) -> None:
        async with self._slots:
            try:
                answer = await self._client.create(PODS, body, owner.metadata.namespace)
            except StatusError as error:
                if not is_already_exists(error) and not any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                    self._tell(owner, "Warning", "FailedCreate", f"Error creating: {error}")
                raise
        self._pods.absorb(answer)
        self._tell(owner, "Normal", "SuccessfulCreate", f"Created pod: {answer['metadata']['name']}")

    async def _delete(self, owner: Object, pod: Pod) -> None:
        meta = pod.metadata
        async with self._slots:
            try:
                answer: dict[str, Any] = await self._client.delete(
                    PODS, meta.name, meta.namespace, propagation=Propagation.BACKGROUND, uid=meta.uid
                )
            except StatusError as error:
                if is_not_found(error) or is_conflict(error):
                    return
                self._tell(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
                raise
        if answer.get("kind") == "Pod":
            self._pods.absorb(answer)
        self._tell(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name}")

    def _tell(self, owner: Object, type_: str, reason: str, message: str) -> None:
        self._events.event(owner, type_, reason, message, "Reconciling", controller=self._reporter)
