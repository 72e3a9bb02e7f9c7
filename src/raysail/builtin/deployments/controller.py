"""Deployments against the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.apps import Deployment, ReplicaSet
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.resources import DEPLOYMENTS, REPLICA_SETS
from raysail.builtin.deployments.decide import Step, decide, size_annotations
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import Propagation
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

REPORTER: Final = "deployment-controller"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(Deployments(manager).controller)


def _deployment_of(replica_set: ReplicaSet) -> Iterable[Key]:
    owner = replica_set.metadata.controller_owner()
    return [(replica_set.metadata.namespace, owner.name)] if owner is not None and owner.kind == "Deployment" else []


class Deployments:
    """Keys are Deployments."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._events = manager.events
        self._deployments = manager.informer(DEPLOYMENTS, Deployment)
        self._sets = manager.informer(REPLICA_SETS, ReplicaSet, {"deployment": _deployment_of})
        self.controller = Controller("deployment", self.reconcile, concurrency=5)
        self.controller.watches(self._deployments)
        self.controller.watches(self._sets, _deployment_of)

    async def reconcile(self, key: Key) -> float | None:
        """The next step of one Deployment."""
        deployment = self._deployments.get(*key)
        if deployment is None:
            return None
        owned = [
            found
            for found in self._sets.by_index("deployment", key)
            if (owner := found.metadata.controller_owner()) is not None and owner.uid == deployment.metadata.uid
        ]
        step = decide(deployment, owned, self._clock.now())
        try:
            await self._perform(deployment, owned, step)
        except StatusError as error:
            if not is_not_found(error):
                raise
        return step.wake_seconds

    async def _perform(self, deployment: Deployment, owned: list[ReplicaSet], step: Step) -> None:
        meta = deployment.metadata
        if step.create is not None:
            await self._create(deployment, step)
        for name, replicas in step.scale.items():
            before = next(found for found in owned if found.metadata.name == name)
            marks = {"resourceVersion": before.metadata.resource_version, "annotations": size_annotations(deployment)}
            body = {"metadata": marks, "spec": {"replicas": replicas}}
            self._sets.absorb(await self._client.patch(REPLICA_SETS, name, body, meta.namespace))
            was = 1 if before.spec.replicas is None else before.spec.replicas
            direction = "up" if replicas > was else "down"
            self._tell(deployment, "ScalingReplicaSet", f"Scaled {direction} replica set {name} from {was} to {replicas}")
        for stale in step.delete:
            await self._client.delete(
                REPLICA_SETS, stale.metadata.name, meta.namespace, propagation=Propagation.BACKGROUND, uid=stale.metadata.uid
            )
        if step.annotate:
            body = {"metadata": {"uid": meta.uid, "annotations": step.annotate}}
            self._deployments.absorb(await self._client.patch(DEPLOYMENTS, meta.name, body, meta.namespace))
        if step.status is not None:
            body = {"metadata": {"uid": meta.uid}, "status": step.status}
            self._deployments.absorb(await self._client.patch(DEPLOYMENTS, meta.name, body, meta.namespace, subresource="status"))

    async def _create(self, deployment: Deployment, step: Step) -> None:
        body = step.create or {}
        name, replicas = body["metadata"]["name"], body["spec"]["replicas"]
        try:
            self._sets.absorb(await self._client.create(REPLICA_SETS, body, deployment.metadata.namespace))
        except StatusError as error:
            if not is_already_exists(error):
                raise
            present = await self._client.get(REPLICA_SETS, name, deployment.metadata.namespace)
            owners = present["metadata"].get("ownerReferences") or ()
            if any(owner.get("uid") == deployment.metadata.uid for owner in owners) and self._sets.absorb(present) is not None:
                return  # our own, whose answer was lost
            count = (deployment.status.collision_count or 0) + 1
            patch = {"metadata": {"uid": deployment.metadata.uid}, "status": {"collisionCount": count}}
            answer = await self._client.patch(
                DEPLOYMENTS, deployment.metadata.name, patch, deployment.metadata.namespace, subresource="status"
            )
            self._deployments.absorb(answer)
            raise
        self._tell(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {replicas}")

    def _tell(self, deployment: Deployment, reason: str, message: str) -> None:
        self._events.event(deployment, "Normal", reason, message, "Reconciling", controller=REPORTER)
