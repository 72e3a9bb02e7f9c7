"""Garbage collection against the API: metadata of all kinds in, deletions and patches out.

Kinds come by discovery, again whenever a CRD changes. Every write carries the UID and version that it was decided on, so a decision on old news is
refused by the API and made anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import Object, OwnerReference
from raysail.api.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from raysail.builtin.garbage.decide import (
    Action,
    Ask,
    Delete,
    DropFinalizer,
    LetGo,
    OrphanDependents,
    Presence,
    Unblock,
    decide,
)
from raysail.builtin.garbage.graph import FOREGROUND, ORPHAN, Graph, Node
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import JsonObject
from raysail.kube.controller import Controller, Key
from raysail.kube.discovery import served_kinds
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager

logger = logging.getLogger(__name__)

IGNORED: Final = frozenset({("", "events"), ("events.k8s.io", "events")})
"""Kinds that come and go by the thousand and own nothing (as kube-controller-manager's default)."""

NEEDED_VERBS: Final = frozenset({"delete", "list", "watch"})
REDISCOVER_SECONDS: Final = 300.0
UNKNOWN_KIND_SECONDS: Final = 30.0
"""When an owner of a kind that is not served is asked for again."""

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds garbage collection to a process."""
    collector = GarbageCollector(manager)
    manager.add(collector.controller)
    manager.add_service("garbage collector discovery", collector.follow_kinds)


class GarbageCollector:
    """Keys of the controller are ("", uid)."""

    def __init__(self, manager: Manager) -> None:
        self.graph = Graph()
        self.controller = Controller("garbage-collector", self.reconcile, concurrency=8)
        self._manager = manager
        self._client = manager.client
        self._informers: dict[tuple[str, str], Informer[Object]] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._changed = asyncio.Event()
        definitions = manager.informer(CUSTOM_RESOURCE_DEFINITIONS, Object, metadata_only=True)
        definitions.on_change(lambda old, new: self._changed.set())

    async def follow_kinds(self) -> None:
        """Keeps an informer for each kind that is served, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self._discover()
                wait = REDISCOVER_SECONDS
            except (StatusError, ConnectionError) as error:
                logger.warning("cannot discover the API's kinds: %s", error)
                wait = 5.0
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue
            # A new CRD is served a moment after it is stored, and several mostly come together.
            await self._manager.clock.sleep(0.2)

    async def _discover(self) -> None:
        served = {
            (kind.resource.group, kind.resource.plural): kind.resource
            for kind in await served_kinds(self._client)
            if kind.verbs >= NEEDED_VERBS and (kind.resource.group, kind.resource.plural) not in IGNORED
        }
        self._kinds = {(resource.group, resource.kind): resource for resource in served.values()}
        for key, informer in list(self._informers.items()):
            if served.get(key) != informer.resource:
                del self._informers[key]
                self._manager.release(informer)
                for obj in informer.list():
                    self._look(self.graph.remove(obj.metadata.uid))
        for key, resource in served.items():
            if key not in self._informers:
                informer = self._manager.informer(resource, Object, metadata_only=True, optional=True)
                self._informers[key] = informer
                self._follow(informer)

    def _follow(self, informer: Informer[Object]) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            if self._informers.get((informer.resource.group, informer.resource.plural)) is not informer:
                return
            if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
                self._look(self.graph.remove(old.metadata.uid))
            if new is not None:
                self._look(self.graph.put(Node(informer.resource, new.metadata)))

        informer.on_change(changed)

    def _look(self, uids: set[str]) -> None:
        for uid in uids:
            self.controller.enqueue(("", uid))

    async def reconcile(self, key: Key) -> float | None:
        """Looks at one object."""
        await self._complete()
        node = self.graph.get(key[1])
        if node is None:
            return None
        presence: dict[str, Presence] = {}
        actions = decide(node, self.graph, presence)
        if actions and isinstance(actions[0], Ask):
            for ref in actions[0].owners:
                found = await self._ask(node, ref)
                if found is Presence.UNKNOWN:
                    return UNKNOWN_KIND_SECONDS
                presence[ref.uid] = found
            actions = decide(node, self.graph, presence)
        for action in actions:
            await self._perform(node, action)
        return None

    async def _complete(self) -> None:
        """Decisions on half a graph would free or delete the wrong objects: waits until every kind has been listed."""
        while pending := [informer for informer in self._informers.values() if not informer.synced]:
            try:
                async with asyncio.timeout(30):
                    await pending[0].wait_synced()
            except TimeoutError:
                logger.warning("garbage collection waits for a list of %s", ", ".join(i.resource.plural for i in pending))

    async def _ask(self, node: Node, ref: OwnerReference) -> Presence:
        """Looks an owner up in the API, by its name, and compares the UID."""
        group = ref.api_version.rpartition("/")[0]
        resource = self._kinds.get((group, ref.kind))
        if resource is None:
            return Presence.UNKNOWN
        if resource.namespaced and not node.metadata.namespace:
            self._tell_invalid(node, ref)
            return Presence.UNKNOWN
        path = resource.path(node.metadata.namespace or None, ref.name)
        status, _, body = await self._client.raw("GET", path, headers={"Accept": _METADATA})
        if status == 404:
            self._tell_if_elsewhere(node, ref)
            return Presence.DANGLING
        answer: JsonObject = json.loads(body)
        if status >= 400:
            raise StatusError.from_status(answer, status)
        meta = answer["metadata"]
        if meta.get("uid") != ref.uid:
            self._tell_if_elsewhere(node, ref)
            return Presence.DANGLING
        waits = meta.get("deletionTimestamp") and FOREGROUND in (meta.get("finalizers") or ())
        return Presence.WAITING if waits else Presence.SOLID

    def _tell_if_elsewhere(self, node: Node, ref: OwnerReference) -> None:
        if self.graph.get(ref.uid) is not None:
            self._tell_invalid(node, ref)

    def _tell_invalid(self, node: Node, ref: OwnerReference) -> None:
        namespace = node.metadata.namespace
        text = f'ownerRef [{ref.api_version}/{ref.kind}, namespace: {namespace}, name: {ref.name}, uid: {ref.uid}] does not exist in namespace "{namespace}"'
        regarding = {
            "apiVersion": node.resource.api_version,
            "kind": node.resource.kind,
            "metadata": {"namespace": namespace, "name": node.metadata.name, "uid": node.uid},
        }
        self._manager.events.event(
            regarding, "Warning", "OwnerRefInvalidNamespace", text, "GarbageCollect", controller="garbage-collector-controller"
        )

    async def _perform(self, node: Node, action: Action) -> None:
        meta = node.metadata
        if isinstance(action, Delete):
            try:
                await self._client.delete(
                    node.resource,
                    meta.name,
                    meta.namespace or None,
                    propagation=action.propagation,
                    uid=node.uid,
                    resource_version=meta.resource_version,
                )
            except StatusError as error:
                await self._refused(node, error)
        elif isinstance(action, LetGo):
            await self._let_go(node, action.owner_uids)
        elif isinstance(action, Unblock):
            owners = [_wire(ref, block=False) for ref in meta.owner_references or ()]
            await self._patch(node, {"ownerReferences": owners})
        elif isinstance(action, DropFinalizer):
            await self._drop_finalizer(node, action.finalizer)
        elif isinstance(action, OrphanDependents):
            await asyncio.gather(*(self._orphan(dependent, node.uid) for dependent in action.dependents))
            await self._drop_finalizer(node, ORPHAN)

    async def _orphan(self, dependent: Node, owner_uid: str) -> None:
        """As `_let_go`, but a refusal is raised: as long as one dependent still refers to its owner, that must not go."""
        try:
            await self._write_owners(dependent, frozenset({owner_uid}))
        except StatusError as error:
            if not is_not_found(error):
                raise

    async def _let_go(self, node: Node, owner_uids: frozenset[str]) -> None:
        try:
            await self._write_owners(node, owner_uids)
        except StatusError as error:
            await self._refused(node, error)

    async def _write_owners(self, node: Node, without: frozenset[str]) -> None:
        kept = [_wire(ref) for ref in node.metadata.owner_references or () if ref.uid not in without]
        await self._write(node, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        kept = [present for present in node.metadata.finalizers or () if present != finalizer]
        await self._patch(node, {"finalizers": kept or None})

    async def _patch(self, node: Node, metadata: dict[str, Any]) -> None:
        try:
            await self._write(node, metadata)
        except StatusError as error:
            await self._refused(node, error)

    async def _write(self, node: Node, metadata: dict[str, Any]) -> None:
        meta = node.metadata
        body = {"metadata": {**metadata, "uid": node.uid, "resourceVersion": meta.resource_version}}
        await self._client.patch(node.resource, meta.name, body, meta.namespace or None)

    async def _refused(self, node: Node, error: StatusError) -> None:
        """A conflict or absence means that our graph is behind; the newer version comes through the watch and enqueues the node by itself."""
        if is_not_found(error):
            return
        if is_conflict(error):
            self.controller.enqueue_after(("", node.uid), 0.2)
            return
        raise error


def _wire(ref: OwnerReference, *, block: bool | None = None) -> JsonObject:
    wire: JsonObject = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name, "uid": ref.uid}
    if ref.controller is not None:
        wire["controller"] = ref.controller
    blocks = ref.block_owner_deletion if block is None else block
    if blocks is not None:
        wire["blockOwnerDeletion"] = blocks
    return wire
