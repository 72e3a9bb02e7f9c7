"""Namespace lifecycle: a namespace that is being deleted is emptied, then let go (k8s.io/kubernetes pkg/controller/namespace/deletion)."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import msgspec

from raysail.api.core import Namespace
from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import Object, ObjectMeta, parse_time
from raysail.api.resources import NAMESPACES, Resource
from raysail.builtin.namespaces.emptying import FINALIZER, Left, set_conditions
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import JsonObject
from raysail.kube.controller import Controller, Key
from raysail.kube.discovery import served_kinds
from raysail.kube.manager import Manager

MAX_LOOK_SECONDS: Final = 5.0
MIN_LOOK_SECONDS: Final = 0.2

_NEEDED_VERBS: Final = frozenset({"delete", "list"})
_decode_meta: Final = msgspec.json.Decoder(Object).decode


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds namespace deletion to a process."""
    lifecycle = NamespaceLifecycle(manager)
    manager.add(lifecycle.controller)


class NamespaceLifecycle:
    """Keys are ("", namespace)."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._namespaces = manager.informer(NAMESPACES, Namespace)
        self.controller = Controller("namespace", self.reconcile, concurrency=5)
        self._namespaces.on_change(self._changed)

    def _changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletion_timestamp is not None:
            self.controller.enqueue(new.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """One look: delete what is there; done when nothing is."""
        namespace = self._namespaces.get(*key)
        if namespace is None or namespace.metadata.deletion_timestamp is None or FINALIZER not in (namespace.spec.finalizers or ()):
            return None
        name = namespace.metadata.name
        left = await self._empty(name)
        try:
            await self._tell(namespace, left)
            if left.empty:
                await self._finalize(namespace)
                return None
        except StatusError as error:
            if is_not_found(error):
                return None
            if not is_conflict(error):
                raise
            return MIN_LOOK_SECONDS
        # Soon at first, when most things go at once; then ever less often, for what waits on somebody's finalizer.
        age = (self._clock.now() - parse_time(namespace.metadata.deletion_timestamp)).total_seconds()
        return min(MAX_LOOK_SECONDS, max(MIN_LOOK_SECONDS, age / 4))

    async def _empty(self, namespace: str) -> Left:
        try:
            kinds = [k for k in await served_kinds(self._client) if k.resource.namespaced and k.verbs >= _NEEDED_VERBS]
        except StatusError as error:
            return Left(discovery_failure=f"Discovery failed for some groups: {error}")
        failures: list[str] = []
        found = await asyncio.gather(*(self._list(kind.resource, namespace, failures) for kind in kinds))
        left = Left({kind.resource: items for kind, items in zip(kinds, found, strict=True)}, failures)
        collections = {kind.resource for kind in kinds if "deletecollection" in kind.verbs}
        doomed = [r for r in left.next_kinds() if any(meta.deletion_timestamp is None for meta in left.objects[r])]
        if not doomed:
            return left
        await asyncio.gather(*(self._delete_all(r, namespace, r in collections, left.objects[r], failures) for r in doomed))
        again = await asyncio.gather(*(self._list(resource, namespace, failures) for resource in doomed))
        return Left({**left.objects, **dict(zip(doomed, again, strict=True))}, failures)

    async def _list(self, resource: Resource, namespace: str, failures: list[str]) -> list[ObjectMeta]:
        try:
            page = await self._client.list(resource, namespace, metadata_only=True)
        except StatusError as error:
            if error.code not in (404, 405):  # a kind that has just gone has no objects
                failures.append(f"{resource.plural}: {error}")
            return []
        return [_decode_meta(item).metadata for item in page.items]

    async def _delete_all(self, resource: Resource, namespace: str, collection: bool, objects: Any, failures: list[str]) -> None:
        body = json.dumps({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}).encode()
        paths = [resource.path(namespace)] if collection else [resource.path(namespace, meta.name) for meta in objects]
        for path in paths:
            status, _, answer = await self._client.raw("DELETE", path, body=body, headers={"Content-Type": "application/json"})
            if status >= 400 and status not in (404, 405, 409):
                failures.append(f"{resource.plural}: {StatusError.from_status(json.loads(answer), status)}")

    async def _tell(self, namespace: Namespace, left: Left) -> None:
        present: list[dict[str, Any]] = msgspec.to_builtins(namespace.status.conditions or [])
        # The usual, quick case leaves no trace, as in Kubernetes: conditions are written once something could not go at once.
        if left.empty and not present:
            return
        if set_conditions(present, left, self._clock.now()):
            await self._client.patch(NAMESPACES, namespace.metadata.name, {"status": {"conditions": present}}, subresource="status")

    async def _finalize(self, namespace: Namespace) -> None:
        current: JsonObject = await self._client.get(NAMESPACES, namespace.metadata.name)
        if current["metadata"].get("uid") != namespace.metadata.uid:
            return
        kept = [f for f in current["spec"].get("finalizers") or () if f != FINALIZER]
        current["spec"]["finalizers"] = kept
        await self._client.update(NAMESPACES, current, subresource="finalize")
