"""A cache that a list and a watch keep current; what controllers read instead of asking the API.

The copy survives the API server: while it is away the last known state stays. After an outage the watch goes on where it stopped; only when the
server no longer knows that version (410) the objects are listed again and the differences told to the handlers. An object that does not fit its view
keeps its last readable version and is reported, nothing more.

`absorb` puts the answer of a write into the copy at once, so that a controller reads its own writes: the duplicates that stale caches cause
(client-go needs expectations for them) cannot happen. Versions are compared as integers, which Kubernetes allows since 1.35 (KEP-5504).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import orjson

from raysail.api.errors import StatusError
from raysail.api.meta import Object
from raysail.api.resources import Resource
from raysail.kube.backoff import Backoff
from raysail.kube.cache import Cache, Handler, Index, Key
from raysail.kube.client import Client
from raysail.kube.clock import Clock, SystemClock
from raysail.kube.reachability import Reachability

__all__ = ["Handler", "Index", "Informer", "Key"]

logger = logging.getLogger(__name__)

V = TypeVar("V", bound=Object)

WATCH_SECONDS: Final = (300, 600)
"""A watch is asked to end by itself within these, as client-go's reflector does, so that a dead connection is noticed and load spreads."""

_STEADY_SECONDS: Final = 5.0
"""A watch that lasted this long worked: the next failure backs off from the beginning."""


class _IdentityMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Identity(msgspec.Struct):
    """As much of an object as must be readable to know which one it is."""

    metadata: _IdentityMeta

    @property
    def key(self) -> Key:
        return self.metadata.namespace, self.metadata.name


_identify: Final = msgspec.json.Decoder(_Identity).decode


class Informer(Cache[V]):
    """The objects of one kind as views of type `view`. Get it from `Manager.informer`, which shares and runs it.

    `namespaces` limits it to those (all when empty). `optional`: a kind that the API may not serve counts as synced and empty until it is.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        view: type[V],
        *,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        optional: bool = False,
        clock: Clock | None = None,
        reachability: Reachability | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(resource)
        self.view = view
        self.optional = optional
        self.undecodable: dict[Key, str] = {}
        """Objects whose present version does not fit the view, and why."""
        self._client = client
        self._selection: dict[str, Any] = {
            "label_selector": label_selector,
            "field_selector": field_selector,
            "metadata_only": metadata_only,
        }
        self._clock = clock or SystemClock()
        self._reachability = reachability or Reachability()
        self._random = random.Random(seed)  # noqa: S311 - spreads load, guards nothing
        self._decode = msgspec.json.Decoder(view).decode
        # One list and watch for each namespace (None: all of them), with the version it has come to; empty before its first list.
        self._versions: dict[str | None, str] = dict.fromkeys(namespaces if namespaces and resource.namespaced else (None,), "")
        self._unsynced = set(self._versions)
        self._complete = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the copy has been complete once."""
        return self._complete.is_set()

    async def wait_synced(self) -> None:
        """Returns when the copy is complete."""
        await self._complete.wait()

    def absorb(self, obj: Mapping[str, Any]) -> V | None:
        """The API's answer to a write of ours becomes part of the copy, unless the copy is newer. Returns the copy's present version."""
        data = orjson.dumps(obj)
        identity = _identify(data)
        key = identity.key
        present = self.get(*key)
        version = _number(identity.metadata.resource_version)
        if present is not None and version <= _number(present.metadata.resource_version):
            return present
        seen = self._versions.get(None) or self._versions.get(key[0]) or ""
        if present is None and version <= _number(seen):
            return None  # the watch has been past that version and knows no such object: it is deleted already
        self._take(data)
        return self.get(*key)

    async def run(self) -> None:
        """Lists and watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._versions:
                group.create_task(self._follow(namespace), name=f"watch {self.resource.plural} {namespace or ''}")

    async def _follow(self, namespace: str | None) -> None:
        backoff = Backoff(random=self._random)
        listed_before = False
        try:
            while True:
                try:
                    if not self._versions[namespace]:
                        # The first list may come from the server's memory ("0", as client-go); after a 410 it must be the newest.
                        await self._list(namespace, "" if listed_before else "0")
                        listed_before = True
                    await self._watch(namespace, backoff)
                    continue
                except StatusError as error:
                    self._refused(namespace, error)
                    if error.code == 410 and not backoff.tries:
                        backoff.next()
                        continue
                except ConnectionError as error:
                    self._reachability.lost((id(self), namespace), error)
                except msgspec.MsgspecError as error:
                    # A stream that is not what the protocol says; what was missed is in the next list.
                    logger.warning("the watch of %s broke: %s", self.resource.plural, error)
                    self._versions[namespace] = ""
                await self._clock.sleep(backoff.next())
        finally:
            self._reachability.forget((id(self), namespace))

    async def _list(self, namespace: str | None, version: str) -> None:
        page = await self._client.list(self.resource, namespace, **self._selection, resource_version=version)
        self._reachability.restored((id(self), namespace))
        listed_version = _number(page.resource_version)
        gone = {obj.metadata.key: obj for obj in self.list(namespace)}
        for at, data in enumerate(page.items):
            gone.pop(self._take(data)[0], None)
            if at % 500 == 499:
                await asyncio.sleep(0)  # a list of thousands must not hold up everything else
        for key, obj in gone.items():
            if _number(obj.metadata.resource_version) <= listed_version:
                self._replace(key, obj, None)
                self.undecodable.pop(key, None)
        self._versions[namespace] = page.resource_version
        self._mark_synced(namespace)

    async def _watch(self, namespace: str | None, backoff: Backoff) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        events = self._client.watch(
            self.resource,
            namespace,
            **self._selection,
            resource_version=self._versions[namespace],
            timeout_seconds=self._random.randint(*WATCH_SECONDS),
            on_open=lambda: self._reachability.restored((id(self), namespace)),
        )
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if event.type == "DELETED":
                        self._versions[namespace] = self._drop(event.object)
                    elif event.type != "BOOKMARK":
                        _, self._versions[namespace] = self._take(event.object)
                    else:
                        self._versions[namespace] = _identify(event.object).metadata.resource_version
        finally:
            if loop.time() - started >= _STEADY_SECONDS:
                backoff.reset()
        if loop.time() - started < 1:
            await self._clock.sleep(backoff.next())  # a server that ends each watch at once must not be asked in a tight loop

    def _refused(self, namespace: str | None, error: StatusError) -> None:
        self._reachability.restored((id(self), namespace))
        if error.code == 410:
            self._versions[namespace] = ""
        elif error.code == 404:
            # The kind is not served (any more): then there are no objects of it.
            self._versions[namespace] = ""
            for obj in self.list(namespace):
                self._replace(obj.metadata.key, obj, None)
            if self.optional:
                self._mark_synced(namespace)
            else:
                logger.info("%s are not served by the API, trying on", self.resource.plural)
        else:
            logger.warning("cannot list and watch %s: %s", self.resource.plural, error)

    def _mark_synced(self, namespace: str | None) -> None:
        self._unsynced.discard(namespace)
        if not self._unsynced:
            self._complete.set()
        self._changed.set()

    def _take(self, data: bytes) -> tuple[Key, str]:
        """Puts an object into the copy unless the copy is newer; its key and the version it came in."""
        try:
            obj = self._decode(data)
        except msgspec.MsgspecError as error:
            return self._report(data, error)
        meta = obj.metadata
        if not obj.kind:  # items of a list of built-in objects come without
            msgspec.structs.force_setattr(obj, "kind", self.resource.kind)
            msgspec.structs.force_setattr(obj, "api_version", self.resource.api_version)
        key, version = meta.key, meta.resource_version
        old = self.get(*key)
        if old is not None:
            if old.metadata.resource_version == version:
                return key, version
            if old.metadata.uid == meta.uid and _number(old.metadata.resource_version) > _number(version):
                return key, version  # absorbed from a write before the watch came to it
        if self.undecodable:
            self.undecodable.pop(key, None)
        self._replace(key, old, obj)
        return key, version

    def _drop(self, data: bytes) -> str:
        identity = _identify(data)
        self.undecodable.pop(identity.key, None)
        old = self.get(*identity.key)
        version = identity.metadata.resource_version
        if old is not None and _number(old.metadata.resource_version) <= _number(version):
            self._replace(identity.key, old, None)
        return version

    def _report(self, data: bytes, error: msgspec.MsgspecError) -> tuple[Key, str]:
        identity = _identify(data)
        key = identity.key
        self.undecodable[key] = str(error)
        logger.error(
            "%s %s cannot be read, its last readable version stays in use: %s", self.resource.kind, "/".join(filter(None, key)), error
        )
        self._changed.set()
        return key, identity.metadata.resource_version


def _number(version: str) -> int:
    return int(version) if version.isdigit() else -1
