"""Keeps `status.used` of each ResourceQuota. Refusing what would go over it is the API's admission."""

from __future__ import annotations

import asyncio
from typing import Final

from raysail.api.core import PersistentVolumeClaim, Pod, ResourceQuota
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, Resource
from raysail.builtin.quotas.usage import counted_kind, used
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.controller import Controller, Key
from raysail.kube.discovery import served_kinds
from raysail.kube.manager import Manager

RECOUNT_SECONDS: Final = 10.0
"""How often kinds without an informer of ours are counted anew."""


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(Quotas(manager).controller)


class Quotas:
    """Keys are ResourceQuotas."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._quotas = manager.informer(RESOURCE_QUOTAS, ResourceQuota)
        self._pods = manager.informer(PODS, Pod)
        self._claims = manager.informer(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        self._kinds: dict[str, Resource] = {}
        self.controller = Controller("resourcequota", self.reconcile, concurrency=2)
        self.controller.watches(self._quotas)
        self.controller.watches(self._pods, lambda pod: self._quotas_in(pod.metadata.namespace))
        self.controller.watches(self._claims, lambda claim: self._quotas_in(claim.metadata.namespace))

    def _quotas_in(self, namespace: str) -> list[Key]:
        return [quota.metadata.key for quota in self._quotas.list(namespace)]

    async def reconcile(self, key: Key) -> float | None:
        """Counts for one quota."""
        quota = self._quotas.get(*key)
        if quota is None or quota.metadata.deletion_timestamp is not None:
            return None
        kinds = sorted({kind for name in quota.spec.hard or {} if (kind := counted_kind(name))})
        others = [kind for kind in kinds if kind not in ("pods", "persistentvolumeclaims")]
        pods, claims = self._pods.list(key[0]), self._claims.list(key[0])
        counts = {"pods": len(pods), "persistentvolumeclaims": len(claims)}
        counts |= dict(zip(others, await asyncio.gather(*(self._count(kind, key[0]) for kind in others)), strict=True))
        hard, now_used = quota.spec.hard or {}, used(quota, pods, claims, counts)
        if hard != (quota.status.hard or {}) or now_used != (quota.status.used or {}):
            gone = {name: None for name in {**(quota.status.hard or {}), **(quota.status.used or {})} if name not in hard}
            body = {
                "metadata": {"uid": quota.metadata.uid},
                "status": {"hard": {**gone, **hard}, "used": {**gone, **now_used}},
            }
            try:
                self._quotas.absorb(await self._client.patch(RESOURCE_QUOTAS, key[1], body, key[0], subresource="status"))
            except StatusError as error:
                if not is_not_found(error):
                    raise
        return RECOUNT_SECONDS if others else None

    async def _count(self, kind: str, namespace: str) -> int:
        if kind not in self._kinds:
            served = await served_kinds(self._client)
            self._kinds = {f"{s.resource.plural}.{s.resource.group}".rstrip("."): s.resource for s in served if s.resource.namespaced}
        resource = self._kinds.get(kind)
        return len((await self._client.list(resource, namespace, metadata_only=True)).items) if resource is not None else 0
