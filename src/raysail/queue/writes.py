"""Writing the status of objects: read the newest, change a copy, send what differs, on the condition that nobody wrote in between.

Every patch carries the resourceVersion it was computed from. So lists may be replaced as a whole, two writers of one status cannot undo each other,
and nothing is admitted twice: a conflict means that the decision is looked at again on the newest object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from raysail.api.errors import is_conflict, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import Resource
from raysail.kube.client import Client, PatchType
from raysail.kube.informer import Informer

FIELD_MANAGER: Final = "kueue-admission"
_TRIES: Final = 6

V = TypeVar("V", bound=Object)
Change = Callable[[V, dict[str, Any]], bool]
"""Gets the object and its status as a dict to change; says whether there is anything to write."""


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes `new` out of `old`; lists are replaced as a whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key not in old:
            patch[key] = value
        elif isinstance(before, dict) and isinstance(value, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif before != value:
            patch[key] = value
    return patch


class StatusWriter:
    """Patches one kind's status (or, with an empty subresource, the object itself)."""

    def __init__(self, client: Client, resource: Resource, informer: Informer[Any]) -> None:
        self._client = client
        self._resource = resource
        self._informer = informer

    async def change(self, obj: V, change: Change[V], *, newest: Callable[[], V | None] | None = None) -> V | None:
        """Applies `change` to the status of that very object (same uid) in its newest version.

        Returns the object as it is afterwards; None where it is gone, was replaced, or nothing was to be written. Raises StatusError, ConnectionError.
        """
        current: V | None = (newest or (lambda: self._informer.get(obj.metadata.namespace, obj.metadata.name)))()
        for _ in range(_TRIES):
            if current is None or current.metadata.uid != obj.metadata.uid:
                return None
            before = msgspec.to_builtins(current.status)  # type: ignore[attr-defined]
            after = msgspec.to_builtins(current.status)  # type: ignore[attr-defined]
            if not change(current, after):
                return None
            patch = merge_patch(before, after)
            if not patch:
                return None
            try:
                answer = await self._client.patch(
                    self._resource,
                    obj.metadata.name,
                    {"metadata": {"resourceVersion": current.metadata.resource_version}, "status": patch},
                    obj.metadata.namespace or None,
                    type=PatchType.MERGE,
                    subresource="status",
                    field_manager=FIELD_MANAGER,
                )
            except Exception as error:
                if is_not_found(error):
                    return None
                if not is_conflict(error):
                    raise
                current = await self._read(obj)
                continue
            written: V | None = self._absorb(answer)
            return written
        return None

    async def patch(self, obj: Object, patch: dict[str, Any], *, guarded: bool = True) -> Any:
        """Patches the object itself; `guarded` by its resourceVersion. None where it is gone. Raises StatusError, ConnectionError."""
        body = dict(patch)
        if guarded:
            body["metadata"] = {**body.get("metadata", {}), "resourceVersion": obj.metadata.resource_version}
        try:
            answer = await self._client.patch(
                self._resource, obj.metadata.name, body, obj.metadata.namespace or None, type=PatchType.MERGE, field_manager=FIELD_MANAGER
            )
        except Exception as error:
            if is_not_found(error):
                return None
            raise
        return self._absorb(answer)

    async def _read(self, obj: V) -> V | None:
        try:
            answer = await self._client.get(self._resource, obj.metadata.name, obj.metadata.namespace or None)
        except Exception as error:
            if is_not_found(error):
                return None
            raise
        found: V | None = self._absorb(answer)
        return found

    def _absorb(self, answer: dict[str, Any]) -> Any:
        self._informer.absorb(answer)
        meta = answer.get("metadata") or {}
        return self._informer.get(meta.get("namespace", ""), meta.get("name", ""))
