"""Binds claims to volumes, makes folders for them, and deletes both again.

As pkg/controller/volume/persistentvolume with one provisioner. A storage class that waits for its first consumer is served once a Pod names the claim.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from raysail.api.core import PersistentVolume, PersistentVolumeClaim, Pod
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES, Resource
from raysail.builtin.settings import BuiltinSettings
from raysail.builtin.volumes.claims import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    CLAIM_PROTECTION,
    PROVISIONED_BY,
    PROVISIONER,
    VOLUME_PROTECTION,
    build_volume,
    existing_volume,
    volume_name,
)
from raysail.kube.client import PatchType
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

logger = logging.getLogger(__name__)

REPORTER: Final = "persistentvolume-controller"


class StorageClass(Object, frozen=True):
    """As much of a StorageClass as provisioning needs."""

    provisioner: str = ""
    reclaim_policy: str | None = None
    volume_binding_mode: str | None = None


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    volumes = Volumes(manager, settings.volumes_folder)
    manager.add(volumes.claims_controller)
    manager.add(volumes.volumes_controller)


def _claims_of(pod: Pod) -> Iterable[Key]:
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is not None:
            yield pod.metadata.namespace, volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield pod.metadata.namespace, f"{pod.metadata.name}-{volume.name}"


class Volumes:
    """One controller for claims, one for volumes."""

    def __init__(self, manager: Manager, folder: Path | None) -> None:
        self._client = manager.client
        self._events = manager.events
        self._folder = folder
        self._claims = manager.informer(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        self._volumes = manager.informer(PERSISTENT_VOLUMES, PersistentVolume)
        self._classes = manager.informer(STORAGE_CLASSES, StorageClass)
        self._pods = manager.informer(PODS, Pod, {"claim": _claims_of})
        self.claims_controller = Controller("persistentvolumeclaim", self.reconcile_claim, concurrency=4)
        self.volumes_controller = Controller("persistentvolume", self.reconcile_volume, concurrency=4)
        self.claims_controller.watches(self._claims)
        self.claims_controller.watches(self._volumes, self._claim_of)
        self.claims_controller.watches(self._pods, _claims_of)
        self.volumes_controller.watches(self._volumes)
        self.volumes_controller.watches(self._claims, lambda claim: [("", claim.spec.volume_name or volume_name(claim))])

    def _claim_of(self, volume: PersistentVolume) -> Iterable[Key]:
        held = volume.spec.claim_ref
        if held is not None:
            return [(held.namespace, held.name)]
        return [claim.metadata.key for claim in self._claims.list() if not claim.spec.volume_name]

    async def reconcile_claim(self, key: Key) -> float | None:
        """Binds one claim."""
        claim = self._claims.get(*key)
        if claim is None:
            await self._make_ephemeral(key)
            return None
        if claim.metadata.deletion_timestamp is not None:
            await self._let_claim_go(claim)
            return None
        if claim.status.phase == "Bound":
            return None
        volume = existing_volume(claim, self._volumes.list()) or await self._provision(claim)
        if volume is not None:
            await self._bind(claim, volume)
        return None

    async def _let_claim_go(self, claim: PersistentVolumeClaim) -> None:
        """A claim that Pods still use stays until they have ended (pkg/controller/volume/pvcprotection)."""
        users = [pod for pod in self._pods.by_index("claim", claim.metadata.key) if pod.status.phase not in ("Succeeded", "Failed")]
        if not users:
            await self._drop_finalizer(PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_PROTECTION)

    async def _drop_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        meta = obj.metadata
        if finalizer not in (meta.finalizers or ()):
            return
        body = {"metadata": {"uid": meta.uid, "$deleteFromPrimitiveList/finalizers": [finalizer]}}
        try:
            await self._client.patch(resource, meta.name, body, meta.namespace or None, type=PatchType.STRATEGIC)
        except StatusError as error:
            if not is_not_found(error):
                raise

    async def _make_ephemeral(self, key: Key) -> None:
        """A Pod's generic ephemeral volume has a claim that lives as long as the Pod."""
        for pod in self._pods.by_index("claim", key):
            for volume in pod.spec.volumes or ():
                if (
                    volume.ephemeral is None
                    or f"{pod.metadata.name}-{volume.name}" != key[1]
                    or pod.metadata.deletion_timestamp is not None
                ):
                    continue
                template: dict[str, Any] = volume.ephemeral.volume_claim_template or {}
                meta = template.get("metadata") or {}
                owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
                body = {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {
                        "name": key[1],
                        "namespace": key[0],
                        "labels": meta.get("labels") or {},
                        "annotations": meta.get("annotations") or {},
                        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
                    },
                    "spec": template.get("spec") or {},
                }
                try:
                    self._claims.absorb(await self._client.create(PERSISTENT_VOLUME_CLAIMS, body, key[0]))
                except StatusError as error:
                    if not is_already_exists(error):
                        raise

    async def _provision(self, claim: PersistentVolumeClaim) -> PersistentVolume | None:
        class_ = self._classes.get("", claim.spec.storage_class_name or "")
        if self._folder is None or class_ is None or class_.provisioner != PROVISIONER or claim.spec.volume_name:
            return None
        if class_.volume_binding_mode == "WaitForFirstConsumer" and not self._pods.by_index("claim", claim.metadata.key):
            self._tell(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
            return None
        body = build_volume(claim, self._folder, class_.reclaim_policy or "Delete")
        path = Path(body["spec"]["hostPath"]["path"])
        try:
            await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True, mode=0o777)
        except OSError as error:
            self._tell(claim, "Warning", "ProvisioningFailed", f"cannot make the folder {path}: {error.strerror}")
            raise
        try:
            answer = await self._client.create(PERSISTENT_VOLUMES, body)
        except StatusError as error:
            if not is_already_exists(error):
                raise
            answer = await self._client.get(PERSISTENT_VOLUMES, body["metadata"]["name"])
        self._tell(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {body['metadata']['name']}")
        return self._volumes.absorb(answer)

    async def _bind(self, claim: PersistentVolumeClaim, volume: PersistentVolume) -> None:
        meta = claim.metadata
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
        }
        name = volume.metadata.name
        if volume.spec.claim_ref is None or volume.spec.claim_ref.uid != meta.uid:
            patch = {"metadata": {"resourceVersion": volume.metadata.resource_version}, "spec": {"claimRef": reference}}
            self._volumes.absorb(await self._client.patch(PERSISTENT_VOLUMES, name, patch))
        if volume.status.phase != "Bound":
            self._volumes.absorb(await self._client.patch(PERSISTENT_VOLUMES, name, {"status": {"phase": "Bound"}}, subresource="status"))
        if claim.spec.volume_name != name:
            spec = {
                "metadata": {"uid": meta.uid, "annotations": {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}},
                "spec": {"volumeName": name},
            }
            self._claims.absorb(await self._client.patch(PERSISTENT_VOLUME_CLAIMS, meta.name, spec, meta.namespace))
        status = {"phase": "Bound", "accessModes": list(volume.spec.access_modes or ()), "capacity": dict(volume.spec.capacity or {})}
        body = {"metadata": {"uid": meta.uid}, "status": status}
        self._claims.absorb(await self._client.patch(PERSISTENT_VOLUME_CLAIMS, meta.name, body, meta.namespace, subresource="status"))

    async def reconcile_volume(self, key: Key) -> float | None:
        """Gives one volume its phase; deletes it and its folder when its claim is gone and it is to be reclaimed."""
        volume = self._volumes.get(*key)
        if volume is None:
            return None
        name, held = volume.metadata.name, volume.spec.claim_ref
        if held is None or not held.uid:
            if volume.metadata.deletion_timestamp is not None:
                await self._drop_finalizer(PERSISTENT_VOLUMES, volume, VOLUME_PROTECTION)
            else:
                await self._set_phase(volume, "Available")
            return None
        claim = self._claims.get(held.namespace, held.name)
        if claim is not None and claim.metadata.uid == held.uid:
            return None
        if volume.metadata.deletion_timestamp is not None:
            await self._drop_finalizer(PERSISTENT_VOLUMES, volume, VOLUME_PROTECTION)
            return None
        ours = (volume.metadata.annotations or {}).get(PROVISIONED_BY) == PROVISIONER
        if not ours or volume.spec.persistent_volume_reclaim_policy != "Delete":
            await self._set_phase(volume, "Released")
            return None
        if await self._claim_exists(held.namespace, held.name, held.uid):
            return 1.0  # our copy of the claims is behind
        await asyncio.to_thread(self._remove_folder, volume)
        try:
            await self._client.delete(PERSISTENT_VOLUMES, name, uid=volume.metadata.uid)
        except StatusError as error:
            if not is_not_found(error):
                raise
        return None

    async def _claim_exists(self, namespace: str, name: str, uid: str) -> bool:
        """A folder is deleted for good: ask the API itself first."""
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except StatusError as error:
            if is_not_found(error):
                return False
            raise
        found: bool = claim["metadata"].get("uid") == uid
        return found

    def _remove_folder(self, volume: PersistentVolume) -> None:
        path = Path((volume.spec.host_path or {}).get("path", ""))
        # Only what we made: a folder of that name directly in our own.
        if self._folder is not None and path.parent == self._folder and path.name == volume.metadata.name:
            shutil.rmtree(path, ignore_errors=True)

    async def _set_phase(self, volume: PersistentVolume, phase: str) -> None:
        if volume.status.phase != phase:
            body = {"status": {"phase": phase}}
            self._volumes.absorb(await self._client.patch(PERSISTENT_VOLUMES, volume.metadata.name, body, subresource="status"))

    def _tell(self, claim: PersistentVolumeClaim, type_: str, reason: str, message: str) -> None:
        self._events.event(claim, type_, reason, message, "Provisioning", controller=REPORTER)
