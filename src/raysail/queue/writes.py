"""Writing the status of objects: read the newest, change a copy, send what differs, on the condition that nobody wrote in between.

Every patch carries the resourceVersion it was computed from. So lists may be replaced as a whole, two writers of one status cannot undo each other,
and nothing is admitted twice: a conflict means that the decision is looked at again on the newest object.

Several parts of one process change the same Workload at the same moment (the scheduler admits it, its job's reconciler tells that no Pod is ready
yet). Sent side by side all but one would be refused and tried again. So the changes of one object stand in line, and those that come together are
made one after the other on the copy and sent as one patch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import Resource
from raysail.kube.client import Client, PatchType
from raysail.kube.informer import Informer, Key
from raysail.queue.lifecycle.status import complete

FIELD_MANAGER: Final = "kueue-admission"
_TRIES: Final = 6
_GATHERING_TURNS: Final = 2
"""Turns of the loop until a line is sent: an object's change wakes the scheduler in the same turn, which plans in the next and writes in the one after."""

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


@dataclass(slots=True, eq=False)
class _Asked:
    """One change that stands in line."""

    obj: Object
    change: Change[Any]
    alone: bool
    newest: Callable[[], Any] | None
    done: bool = False
    result: Any = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.done, self.error = True, error


@dataclass(slots=True, eq=False)
class _Line:
    """The changes of one object that are not sent yet, or on their way; whoever holds `lock` sends."""

    waiting: list[_Asked] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class StatusWriter:
    """Patches one kind's status (or, with `patch`, the object itself). One writer a kind and process, so that changes of one object meet in it."""

    def __init__(self, client: Client, resource: Resource, informer: Informer[Any]) -> None:
        self._client = client
        self._resource = resource
        self._informer = informer
        self._lines: dict[Key, _Line] = {}

    async def change(self, obj: V, change: Change[V], *, newest: Callable[[], V | None] | None = None, alone: bool = False) -> V | None:
        """Applies `change` to the status of that very object (same uid) in its newest version.

        `alone`: it was decided on one version and must not be put on top of others' changes; so are those that bring their own `newest`.
        Returns the object as it is afterwards; None where it is gone, was replaced, or nothing was to be written. Raises StatusError, ConnectionError.
        """
        key = obj.metadata.key
        asked = _Asked(obj, change, alone or newest is not None, newest)
        line = self._lines.setdefault(key, _Line())
        line.waiting.append(asked)
        line.users += 1
        try:
            async with line.lock:
                if not asked.done:
                    for _ in range(_GATHERING_TURNS):
                        await asyncio.sleep(0)
                    await self._send_with_others(line, asked)
        finally:
            line.waiting = [each for each in line.waiting if each is not asked and not each.done]
            line.users -= 1
            if not line.users:
                del self._lines[key]
        if asked.error is not None:
            raise asked.error
        result: V | None = asked.result
        return result

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

    async def _send_with_others(self, line: _Line, first: _Asked) -> None:
        """Sends `first` and what may go with it. A cancelled sender leaves the others in line: the next of them sends."""
        batch = [first] if first.alone else [each for each in line.waiting if not each.alone and not each.done]
        try:
            await self._send(batch)
        except StatusError as error:
            if len(batch) == 1:
                first.fail(error)
                return
            for each in (each for each in batch if each.error is None):  # what the API has against one must not be held against the others
                try:
                    await self._send([each])
                except Exception as own:  # told to the one who asked for it
                    each.fail(own)
        except Exception as error:  # told to all who asked
            for each in batch:
                each.fail(error)

    async def _send(self, batch: list[_Asked]) -> None:
        """Makes the changes in their order and sends them; marks them done. Raises StatusError, ConnectionError, with none of them done."""
        obj = batch[0].obj
        current = (batch[0].newest or (lambda: self._informer.get(*obj.metadata.key)))()
        written: Any = None
        accepted: list[_Asked] = []
        for _ in range(_TRIES):
            accepted, patch = _made(current, batch) if current is not None else ([], {})
            if current is None or not patch:
                accepted = []
                break
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
                    accepted = []
                    break
                if not is_conflict(error):
                    raise
                current = await self._read(obj)
                continue
            written = self._absorb(answer)
            break
        for each in batch:
            each.done = True
            each.result = written if each in accepted else None

    async def _read(self, obj: Object) -> Any:
        try:
            answer = await self._client.get(self._resource, obj.metadata.name, obj.metadata.namespace or None)
        except Exception as error:
            if is_not_found(error):
                return None
            raise
        return self._absorb(answer)

    def _absorb(self, answer: dict[str, Any]) -> Any:
        self._informer.absorb(answer)
        meta = answer.get("metadata") or {}
        return self._informer.get(meta.get("namespace", ""), meta.get("name", ""))


def _made(current: Any, batch: list[_Asked]) -> tuple[list[_Asked], dict[str, Any]]:
    """Which changes had something to write, and the patch of the status with all of them; each sees what those before it made."""
    view, before = current, _wire_form(current)
    status = before
    accepted: list[_Asked] = []
    for at, asked in enumerate(batch):
        if asked.error is not None or current.metadata.uid != asked.obj.metadata.uid:
            continue
        after = _wire_form(view)
        try:
            wanted = asked.change(view, after)
        except Exception as error:  # told to the one who asked for it, below
            if len(batch) == 1:
                raise
            asked.fail(error)
            continue
        if wanted:
            accepted.append(asked)
            status = after
            if at + 1 < len(batch):
                shown = msgspec.json.decode(msgspec.json.encode(after), type=type(view.status))
                view = msgspec.structs.replace(view, status=shown)
    complete(status)
    return accepted, merge_patch(before, status)


def _wire_form(obj: Any) -> dict[str, Any]:
    status: dict[str, Any] = msgspec.to_builtins(obj.status)
    complete(status)
    return status
