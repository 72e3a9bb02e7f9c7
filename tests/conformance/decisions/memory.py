"""An API in memory, as far as one reconcile needs it, and a manager whose informers are fed from it: the real controllers run on a case's objects.

No defaults, no validation, no admission: the corpus gives objects as they are. Writes are merge (or apply) patches with preconditions, `status` apart.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from raysail.api import errors, selectors
from raysail.api.resources import Resource
from raysail.kube.client import Event, JsonArray, JsonObject, Page, PatchType, Propagation
from raysail.kube.clock import VirtualClock
from raysail.kube.events import Recorder, reference
from raysail.kube.manager import Manager

Key = tuple[Resource, str, str]


class MemoryClient:
    """Implements `raysail.kube.client.Client`. `refuse`: asked before each write with (verb, resource, name, subresource); may raise."""

    def __init__(self) -> None:
        self.objects: dict[Key, JsonObject] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refuse: Callable[[str, Resource, str, str], None] = lambda verb, resource, name, subresource: None
        self.on_change: Callable[[Resource, JsonObject | None, JsonObject], None] = lambda resource, new, old: None
        self._versions = itertools.count(1)

    def put(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Stores an object as given, with a version."""
        obj = copy.deepcopy(obj)
        obj.setdefault("kind", resource.kind)
        obj.setdefault("apiVersion", resource.api_version)
        meta = obj.setdefault("metadata", {})
        meta["resourceVersion"] = str(next(self._versions))
        self.objects[resource, meta.get("namespace") or "", meta.get("name", "")] = obj
        return obj

    def of(self, resource: Resource) -> list[JsonObject]:
        """All objects of a kind, by namespace and name."""
        return [obj for (kind, _, _), obj in sorted(self.objects.items(), key=lambda item: item[0][1:]) if kind == resource]

    def _found(self, resource: Resource, name: str, namespace: str | None) -> JsonObject:
        found = self.objects.get((resource, namespace or "", name))
        if found is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return found

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> JsonObject:
        return copy.deepcopy(self._found(resource, name, namespace))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Page:
        wanted = selectors.parse_labels(label_selector)
        items = [
            json.dumps(obj).encode()
            for obj in self.of(resource)
            if namespace in (None, obj["metadata"].get("namespace", "")) and wanted.matches(obj["metadata"].get("labels") or {})
        ]
        return Page(items, str(next(self._versions)))

    async def create(
        self,
        resource: Resource,
        body: JsonObject,
        namespace: str | None = None,
        *,
        name: str = "",
        subresource: str = "",
        field_manager: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        body = copy.deepcopy(body)
        meta = body.setdefault("metadata", {})
        if namespace:
            meta.setdefault("namespace", namespace)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{next(self._versions)}"
        self.refuse("create", resource, meta["name"], subresource)
        if (resource, meta.get("namespace") or "", meta["name"]) in self.objects:
            raise errors.already_exists(resource.group, resource.plural, meta["name"])
        self.writes.append(("create", resource.kind, meta["name"]))
        stored = self.put(resource, body)
        self.on_change(resource, stored, stored)
        return copy.deepcopy(stored)

    async def update(
        self, resource: Resource, body: JsonObject, namespace: str | None = None, *, subresource: str = "", field_manager: str = ""
    ) -> JsonObject:
        name = body["metadata"]["name"]
        self.refuse("update", resource, name, subresource)
        old = self._found(resource, name, namespace)
        self.writes.append(("update", resource.kind, name))
        stored = self.put(resource, body)
        self.on_change(resource, stored, old)
        return copy.deepcopy(stored)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonObject | JsonArray,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the field's word
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        if isinstance(patch, list) or type not in (PatchType.MERGE, PatchType.APPLY):
            raise NotImplementedError(f"{type} of {resource.kind}")
        self.refuse("patch", resource, name, subresource)
        old = self._found(resource, name, namespace)
        self._preconditions(resource, name, old, patch.get("metadata") or {})
        changed = copy.deepcopy(old)
        for key, value in patch.items():
            if key in ("apiVersion", "kind") or (subresource == "status") != (key == "status"):
                continue
            changed[key] = merge(changed.get(key), value)
        changed["metadata"] = {key: value for key, value in changed["metadata"].items() if value is not None}
        self.writes.append(("patch", resource.kind, name))
        if changed["metadata"].get("deletionTimestamp") and not changed["metadata"].get("finalizers"):
            del self.objects[resource, namespace or "", name]
            self.on_change(resource, None, changed)
            return changed
        stored = self.put(resource, changed)
        self.on_change(resource, stored, old)
        return copy.deepcopy(stored)

    def _preconditions(self, resource: Resource, name: str, present: JsonObject, wanted: Mapping[str, Any]) -> None:
        for field in ("resourceVersion", "uid"):
            if wanted.get(field) and wanted[field] != present["metadata"].get(field):
                raise errors.conflict(resource.group, resource.plural, name, f"{field} differs")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        self.refuse("delete", resource, name, "")
        found = self._found(resource, name, namespace)
        self._preconditions(resource, name, found, {"uid": uid, "resourceVersion": resource_version})
        self.writes.append(("delete", resource.kind, name))
        if found["metadata"].get("finalizers"):
            found = copy.deepcopy(found)
            found["metadata"].setdefault("deletionTimestamp", "2026-11-23T00:00:00Z")
            self.on_change(resource, self.put(resource, found), found)
            return found
        del self.objects[resource, namespace or "", name]
        self.on_change(resource, None, found)
        return found

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
        metadata_only: bool = False,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        raise NotImplementedError("nothing is watched: informers are fed")
        yield

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        raise NotImplementedError(path)


def merge(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class Recording(Recorder):
    """Keeps what is said: (namespace/name, type, reason, message)."""

    def __init__(self, client: Any, clock: Any) -> None:
        super().__init__(client, clock)
        self.said: list[dict[str, str]] = []

    def event(
        self,
        regarding: Any,
        type: str,  # noqa: A002 - the field's word
        reason: str,
        message: str,
        action: str,
        *,
        related: Any = None,
        controller: str = "",
        field_path: str = "",
    ) -> None:
        about = reference(regarding)
        self.said.append(
            {"key": f"{about.get('namespace', '')}/{about.get('name', '')}", "type": type, "reason": reason, "message": message}
        )


class Bench:
    """A manager over a `MemoryClient` at a fixed time. Build controllers on `manager`, then `add` objects (in order), then reconcile."""

    def __init__(self, now: datetime) -> None:
        self.client = MemoryClient()
        self.clock = VirtualClock(now)
        self.manager = Manager(self.client, clock=self.clock, seed=0)
        self.events = Recording(self.client, self.clock)
        self.manager.events = self.events
        self.client.on_change = self._tell

    def _tell(self, resource: Resource, new: JsonObject | None, old: JsonObject) -> None:
        for informer in self.manager._informers.values():
            if informer.resource != resource:
                continue
            if new is not None:
                informer.absorb(new)
            else:
                gone = copy.deepcopy(old)
                gone["metadata"]["resourceVersion"] = str(10**9)
                informer._drop(json.dumps(gone).encode())

    def add(self, resource: Resource, objects: Iterable[JsonObject] | None) -> None:
        """Objects that are there from the beginning."""
        for obj in objects or ():
            self._tell(resource, self.client.put(resource, obj), obj)

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Takes an object away again, finalizers or not."""
        found = self.client.objects.pop((resource, namespace, name))
        self._tell(resource, None, found)
