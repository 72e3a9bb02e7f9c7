"""Custom kinds as they come and go: what the store says about CRDs becomes what the API serves.

Each committed CRD gets the status it deserves; an established one is served; one that is being deleted loses its objects first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson

from raysail.api.meta import format_time
from raysail.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from raysail.apiserver.customresources import CLEANUP_FINALIZER, accepted_status, definitions, is_established, outline, terminating_status
from raysail.apiserver.registry import Registry
from raysail.apiserver.rest.storing import encoder
from raysail.apiserver.store import Change, Store
from raysail.apiserver.strategy import Conversion, Definition

log = logging.getLogger(__name__)
COLLECTION: Final = f"{CUSTOM_RESOURCE_DEFINITIONS.plural}.{CUSTOM_RESOURCE_DEFINITIONS.group}"
ConversionOf = Callable[[Definition, Mapping[str, Any]], Conversion | None]
"""The conversion of one version of a CRD, where it is more than a change of apiVersion."""


class CustomKinds:
    """Follows the CRDs of the store."""

    def __init__(self, store: Store, registry: Registry, now: Callable[[], datetime], conversion_of: ConversionOf) -> None:
        self._store = store
        self._registry = registry
        self._now = now
        self._conversion_of = conversion_of
        self._served: dict[str, list[Definition]] = {}
        self._crds: dict[str, dict[str, Any]] = {}
        self._shapes: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Serves what is there, then follows."""
        for record in self._store.collection(COLLECTION).scan():
            self._crds[record.key] = outline(record.data)
        for crd in list(self._crds.values()):
            self._see(crd)
        self._store.on_commit(COLLECTION, self._follow)

    def _follow(self, change: Change) -> None:
        if change.new is None:
            self._withdraw(change.key)
            self._crds.pop(change.key, None)
            # Names may have come free for others that wait for them.
            for crd in list(self._crds.values()):
                self._see(crd)
        else:
            self._crds[change.key] = crd = outline(change.new.data)
            self._see(crd)

    def _see(self, crd: dict[str, Any]) -> None:
        try:
            self._settle(crd)
        except Exception:  # a CRD that cannot be served must not stop the commit that brought it
            log.exception("CustomResourceDefinition %s cannot be served", crd["metadata"].get("name"))

    def _settle(self, crd: dict[str, Any]) -> None:
        meta = crd["metadata"]
        if meta.get("deletionTimestamp"):
            self._serve(crd)
            if CLEANUP_FINALIZER in (meta.get("finalizers") or ()):
                self._start(self._clean(meta["name"]))
            return
        others = [other for name, other in self._crds.items() if name != meta["name"]]
        status = accepted_status(crd, others, self._now())
        if status != crd.get("status"):
            self._write(meta["name"], {"status": status})
        self._serve({**crd, "status": status})

    def _serve(self, crd: Mapping[str, Any]) -> None:
        name = crd["metadata"]["name"]
        shape = (crd["spec"], (crd.get("status") or {}).get("acceptedNames"), is_established(crd))
        if self._shapes.get(name) == shape:
            return  # compiled schemas stay
        self._shapes[name] = shape
        served = list(definitions(crd)) if is_established(crd) else []
        before = {definition.resource: definition for definition in self._served.pop(name, [])}
        self._served[name] = served
        for definition in served:
            before.pop(definition.resource, None)
            conversion = self._conversion_of(definition, crd)
            self._registry.add(replace(definition, conversion=conversion) if conversion else definition)
        for resource in before:
            self._registry.remove(resource.group, resource.version, resource.plural)

    def _withdraw(self, name: str) -> None:
        self._shapes.pop(name, None)
        for definition in self._served.pop(name, []):
            resource = definition.resource
            self._registry.remove(resource.group, resource.version, resource.plural)

    def _write(self, name: str, change: Mapping[str, Any]) -> None:
        """Changes the CRD as it is by now."""
        record = self._store.latest(COLLECTION, name)
        definition = self._definition()
        if record is None or definition is None:
            return
        crd = record.object() | dict(change)
        future = self._store.put(COLLECTION, name, encoder(definition, crd))
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _definition(self) -> Definition | None:
        return self._registry.find(CUSTOM_RESOURCE_DEFINITIONS.group, "v1", CUSTOM_RESOURCE_DEFINITIONS.plural)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _clean(self, name: str) -> None:
        """Deletes all objects of a CRD that is being deleted, then lets it go. Objects with finalizers are waited for."""
        record = self._store.latest(COLLECTION, name)
        if record is None:
            return
        crd = record.object()
        spec = crd["spec"]
        collection = f"{spec['names']['plural']}.{spec['group']}"
        status = terminating_status(crd, self._now())
        if status != crd.get("status"):
            self._write(name, {"status": status})
        served = self._served.get(name) or list(definitions(crd))
        while served and self._store.latest_scan(collection):
            for found in self._store.latest_scan(collection):
                obj = found.object()
                if obj["metadata"].get("finalizers"):
                    if not obj["metadata"].get("deletionTimestamp"):
                        obj["metadata"] |= {"deletionTimestamp": format_time(self._now()), "deletionGracePeriodSeconds": 0}
                        await self._store.put(collection, found.key, partial(_text, obj))
                else:
                    await self._store.delete(collection, found.key, partial(_text, obj))
            if self._store.latest_scan(collection):
                await self._store.next_change(collection)
        record = self._store.latest(COLLECTION, name)
        definition = self._definition()
        if record is None or definition is None:
            return
        crd = record.object()
        left = [finalizer for finalizer in crd["metadata"].get("finalizers") or () if finalizer != CLEANUP_FINALIZER]
        if left:
            crd["metadata"]["finalizers"] = left
            await self._store.put(COLLECTION, name, encoder(definition, crd))
        else:
            crd["metadata"].pop("finalizers", None)
            await self._store.delete(COLLECTION, name, encoder(definition, crd))

    async def close(self) -> None:
        """Ends what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _text(obj: dict[str, Any], revision: str) -> bytes:
    obj["metadata"]["resourceVersion"] = revision
    return orjson.dumps(obj)
