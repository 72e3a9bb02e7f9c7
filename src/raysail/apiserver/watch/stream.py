"""Serving one watch: where it starts, what it sends, when it ends.

A watch holds no events of its own. It has a position in the collection's history and sends what has come since; one that reads too slowly
falls out of history and is told to list again. While its client keeps up, what has come is sent within the store's call after a commit: a thousand
watches of one change wake no task. A task of its own begins the watch, ends it, and takes over while the client is behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from raysail.api.errors import Cause, StatusError, bad_request, invalid
from raysail.api.selectors import FieldRequirement
from raysail.apiserver.rest.accept import TABLE
from raysail.apiserver.rest.call import Call, Push, Receive, Send
from raysail.apiserver.rest.reading import reach
from raysail.apiserver.rest.selection import Selection, selection_of
from raysail.apiserver.store import Change
from raysail.apiserver.watch.events import EventEncoder, error_line

_AT_ONCE: Final = 64
"""So many changes are sent within the store's call; more than that, the task sends in pieces."""
_CHUNK_BYTES: Final = 1024 * 1024
_STUCK_SECONDS: Final = 60.0
_SWEEP_SECONDS: Final = 10.0
_HEADERS: Final = [(b"cache-control", b"no-cache, private"), (b"content-type", b"application/json")]


@dataclass(slots=True, eq=False)
class _Stream:
    task: asyncio.Task[None]
    sending_since: float = 0.0


class Streams:
    """All running watches; ends those whose client has stopped reading."""

    def __init__(self) -> None:
        self._running: set[_Stream] = set()
        self._closing = False

    @property
    def count(self) -> int:
        """How many watches run."""
        return len(self._running)

    async def sweep(self) -> None:
        """Runs for as long as the server does."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for stream in list(self._running):
                if stream.sending_since and now - stream.sending_since > _STUCK_SECONDS:
                    stream.task.cancel()

    def close(self) -> None:
        """Ends all watches: the server stops."""
        self._closing = True
        for stream in list(self._running):
            stream.task.cancel()

    @contextlib.contextmanager
    def joined(self, stream: _Stream) -> Iterator[None]:
        """Counts the stream while it runs."""
        self._running.add(stream)
        try:
            yield
        finally:
            self._running.discard(stream)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins. `initial`: first the objects that are there; `mark_end`: then a bookmark that says so."""

    revision: int | None
    initial: bool
    mark_end: bool
    bookmarks: bool


def start_of(call: Call) -> Start:
    """What the request asks for. Raises StatusError (400, 422, 500)."""
    query = call.query
    version, match, initial = query.get("resourceVersion", ""), query.get("resourceVersionMatch", ""), query.get("sendInitialEvents", "")
    bookmarks = query.get("allowWatchBookmarks", "") in ("1", "true", "True")
    causes = []
    if initial:
        if match != "NotOlderThan":
            text = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            causes.append(Cause("FieldValueForbidden", text, "resourceVersionMatch"))
        elif query.get("continue"):
            text = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
            causes.append(Cause("FieldValueForbidden", text, "resourceVersionMatch"))
    elif match:
        text = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(Cause("FieldValueForbidden", text, "resourceVersionMatch"))
    if match and match != "NotOlderThan":
        text = f'Unsupported value: "{match}": supported values: "NotOlderThan"'
        causes.append(Cause("FieldValueNotSupported", text, "resourceVersionMatch"))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    if version and not version.isdigit():
        raise StatusError("", f'strconv.ParseUint: parsing "{version}": invalid syntax', 500)
    wanted = int(version) if version not in ("", "0") else None
    if initial in ("1", "true", "True"):
        return Start(wanted, True, bookmarks, bookmarks)
    if initial:
        return Start(wanted, False, False, bookmarks)
    return Start(wanted, wanted is None, False, bookmarks)


async def serve_watch(call: Call, receive: Receive, send: Send, streams: Streams, push: Push | None = None) -> None:
    """Streams until the time is up, the client leaves or history has gone past it. Raises StatusError before the first byte."""
    start = start_of(call)
    selection = selection_of(call)
    if call.target.name:
        selection = _only(selection, call)
    seconds = _seconds(call)
    if start.initial and start.revision is not None:
        await reach(call, start.revision)
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a watch runs in a task")
    stream = _Stream(task)
    left = asyncio.create_task(_leave(receive, task))
    try:
        with streams.joined(stream):
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            # Clients wait for the headers before they go on; an empty chunk brings them out.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            watch = _Watch(call, start, selection, seconds, stream, send, push)
            try:
                await watch.run()
            finally:
                watch.close()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except asyncio.CancelledError:
        # The client has left, reads no more, or the server stops: the connection ends here.
        if not left.done() and not stream.sending_since and task.cancelling() and streams._closing:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        left.cancel()


async def _leave(receive: Receive, task: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _only(selection: Selection, call: Call) -> Selection:
    return Selection(selection.labels, (*selection.fields, FieldRequirement("metadata.name", call.target.name)), False)


def _seconds(call: Call) -> float:
    text = call.query.get("timeoutSeconds", "")
    try:
        seconds = int(text) if text else 0
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    least, most = call.shared.limits.watch_seconds
    return float(seconds) if seconds > 0 else random.uniform(least, most)  # noqa: S311 - spreads reconnections


class _Watch:
    def __init__(
        self, call: Call, start: Start, selection: Selection, seconds: float, stream: _Stream, send: Send, push: Push | None
    ) -> None:
        self._call = call
        self._start = start
        self._stream = stream
        self._send = send
        # The first event of a Table says more than the next: it cannot be made twice, as it would be if a push failed.
        self._push = push if call.form.kind != TABLE else None
        self._position = 0
        self._unfollow: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self._namespace = call.target.namespace if call.definition.resource.namespaced else ""
        self._prefix = f"{self._namespace}/" if self._namespace else ""
        self._encoder = EventEncoder(call, None if selection.everything else selection.matcher(call.definition))
        self._track = call.store.track(call.definition.collection)
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """The life of the watch."""
        position = await self._begin()
        if position is None:
            return
        self._position = position
        store, collection = self._call.store, self._call.definition.collection
        every = self._call.shared.limits.bookmark_seconds if self._start.bookmarks else float("inf")
        next_bookmark = self._loop.time() + every
        self._unfollow = store.follow(collection, self._namespace, self._advance)
        while True:
            changes = self._track.since(self._position)
            if changes is None:
                await self._expired(store.history.floor)
                return
            if changes:
                self._position += len(changes)
                await self._write(filter(None, map(self._line, changes)))
                continue
            now = self._loop.time()
            if now >= self._deadline:
                return
            if now >= next_bookmark:
                next_bookmark = now + every
                await self._write([self._encoder.bookmark(store.revision)])
                continue
            self._waiting = self._loop.create_future()
            self._wake_at(min(self._deadline, next_bookmark))
            await self._waiting
            self._waiting = None

    def _advance(self) -> None:
        """Something was committed: sends it at once if it is little and the client keeps up; else wakes the task, unless that is at work already."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        changes = self._track.since(self._position)
        if self._push is None or changes is None or len(changes) > _AT_ONCE:
            waiting.set_result(None)
            return
        try:
            lines = [line for line in map(self._line, changes) if line is not None]
        except Exception:  # the task meets it again, where it has somebody to tell
            waiting.set_result(None)
            return
        if lines and not self._push(lines[0] if len(lines) == 1 else b"".join(lines)):
            waiting.set_result(None)
            return
        self._position += len(changes)

    def _wake_at(self, moment: float) -> None:
        """Sees to it that the watch looks at the clock then. One timer lasts through all changes until that moment."""
        if self._timer is not None and self._timer.when() <= moment and not self._timer.cancelled():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(moment, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Ends the timer and the following."""
        if self._unfollow is not None:
            self._unfollow()
        if self._timer is not None:
            self._timer.cancel()

    def _line(self, change: Change) -> bytes | None:
        if self._prefix and not change.key.startswith(self._prefix):
            return None
        return self._encoder.change(change)

    async def _begin(self) -> int | None:
        """Sends what comes first; gives the position from which to follow, None when the watch is over already."""
        store, start = self._call.store, self._start
        if start.initial:
            snapshot = store.snapshot(self._call.definition.collection, self._namespace)
            position = self._track.end
            lines = filter(None, (self._encoder.initial(record) for record in snapshot.records))
            await self._write(lines)
            if start.mark_end:
                await self._write([self._encoder.bookmark(snapshot.revision, end_of_initial=True)])
            return position
        if start.revision is None:
            return self._track.end
        if start.revision < store.history.floor:
            await self._expired(store.history.floor, start.revision)
            return None
        # From the future: what comes until then is not shown.
        if start.revision > store.revision and not await store.reach(start.revision, max(self._deadline - self._loop.time(), 0)):
            return None
        return self._track.after(start.revision)

    async def _expired(self, floor: int, revision: int | None = None) -> None:
        asked = f"{revision} ({floor})" if revision is not None else f"the watch was too slow, history begins at {floor}"
        await self._write([error_line(StatusError("Expired", f"too old resource version: {asked}", 410).to_status())])

    async def _write(self, lines: Iterable[bytes]) -> None:
        chunk: list[bytes] = []
        size = 0
        for line in lines:
            chunk.append(line)
            size += len(line)
            if size >= _CHUNK_BYTES:
                await self._flush(b"".join(chunk))
                chunk, size = [], 0
        if chunk:
            await self._flush(b"".join(chunk))

    async def _flush(self, chunk: bytes) -> None:
        self._stream.sending_since = self._loop.time()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._stream.sending_since = 0.0
