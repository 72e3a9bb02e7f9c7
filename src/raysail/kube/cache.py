"""The local copy of one kind's objects: look-ups, indexes, and handlers that are told of changes. No I/O; an informer keeps it current."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from raysail.api.meta import Object
from raysail.api.resources import Resource

logger = logging.getLogger(__name__)

V = TypeVar("V", bound=Object)
Key = tuple[str, str]
Handler = Callable[[V | None, V | None], None]
Index = Callable[[V], Iterable[Hashable]]


class Cache(Generic[V]):
    """Objects by (namespace, name). What is handed out is the copy itself: read only (views are frozen). For the event loop's thread only."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._objects: dict[str, dict[str, V]] = {}
        self._indexes: dict[str, Index[V]] = {}
        self._indexed: dict[str, dict[Hashable, dict[Key, V]]] = {}
        self._handlers: list[Handler[V]] = []
        self._changed = asyncio.Event()

    def get(self, namespace: str, name: str) -> V | None:
        """One object; the namespace of a cluster-scoped one is empty."""
        within = self._objects.get(namespace)
        return within.get(name) if within is not None else None

    def by_index(self, name: str, key: Hashable) -> list[V]:
        """The objects for which the index function gave that key. Raises KeyError for an unknown index."""
        return list(self._indexed[name].get(key, {}).values())

    def count(self, name: str, key: Hashable) -> int:
        """How many objects `by_index` would give."""
        return len(self._indexed[name].get(key, ()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds; it is looked at again after each change of the copy."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def add_indexes(self, indexes: Mapping[str, Index[V]]) -> None:
        """Further indexes; at any time. Raises ValueError when a name stands for another function already."""
        for name, index in indexes.items():
            if name in self._indexes:
                if self._indexes[name] is not index:
                    raise ValueError(f"the informer of {self.resource.plural} already has another index named {name!r}")
                continue
            self._indexes[name] = index
            self._indexed[name] = {}
            for obj in self.list():
                self._index(name, None, obj)

    def on_change(self, handler: Handler[V]) -> None:
        """Calls handler(old, new) after each change; old is None for a new object, new for a deleted one. Present objects are told at once as new."""
        self._handlers.append(handler)
        for obj in self.list():
            self._call(handler, None, obj)

    def _replace(self, key: Key, old: V | None, new: V | None) -> None:
        namespace, name = key
        if new is not None:
            self._objects.setdefault(namespace, {})[name] = new
        elif old is not None:
            within = self._objects[namespace]
            del within[name]
            if not within:
                del self._objects[namespace]
        for index in self._indexes:
            self._index(index, old, new)
        for handler in self._handlers:
            self._call(handler, old, new)
        self._changed.set()

    def _index(self, name: str, old: V | None, new: V | None) -> None:
        index, table = self._indexes[name], self._indexed[name]
        if old is not None:
            for key in index(old):
                entries = table.get(key)
                if entries is not None:
                    entries.pop(old.metadata.key, None)
                    if not entries:
                        del table[key]
        if new is not None:
            for key in index(new):
                table.setdefault(key, {})[new.metadata.key] = new

    def _call(self, handler: Handler[V], old: V | None, new: V | None) -> None:
        try:
            handler(old, new)
        except Exception:  # one controller's fault must not blind the others
            logger.exception("a handler of changes to %s failed", self.resource.plural)

    # Last, since its name hides the type in annotations of what follows.
    def list(self, namespace: str | None = None) -> list[V]:
        """All objects, or those of one namespace."""
        if namespace is not None:
            return list(self._objects.get(namespace, {}).values())
        return list(itertools.chain.from_iterable(within.values() for within in self._objects.values()))
