"""Telling users what happened: events.k8s.io/v1, repeats gathered into a series (k8s.io/client-go tools/events).

`Recorder.event` never waits and never fails: events go through a bounded queue to one writer. The first event of a kind is written soon; the second of
the same (type, reason, action, object) turns it into a series of 2; later ones are counted and written every half hour and when the series has been
quiet for six minutes. A message is not part of what makes two events the same, as in Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raysail.api.errors import StatusError
from raysail.api.meta import Object, format_micro_time
from raysail.api.resources import EVENTS
from raysail.kube.backoff import Backoff
from raysail.kube.client import Client, JsonObject
from raysail.kube.clock import Clock, SystemClock

logger = logging.getLogger(__name__)

MAX_QUEUED: Final = 5000
MAX_TOGETHER: Final = 32
GATHER_SECONDS: Final = 0.05
"""What is said within this time is written together, and after the writes that it is about: those are waited for, events are not."""
MAX_SERIES: Final = 4096
NOTE_LIMIT: Final = 1024
REFRESH_SECONDS: Final = 30 * 60
QUIET_SECONDS: Final = 6 * 60
_WRITE_TRIES: Final = 5

Identity = tuple[str, ...]


@dataclass(slots=True)
class _Series:
    """What has been said about one thing: the written event's name and how often it came since."""

    namespace: str
    name: str
    count: int
    last: datetime
    written: datetime
    written_count: int


@dataclass(frozen=True, slots=True)
class _Write:
    identity: Identity
    body: JsonObject | None = None
    """The whole event, when it is new; None for a series that grew."""


class Recorder:
    """Writes events as `reporting_controller`. `run` must be running for them to reach the API."""

    def __init__(self, client: Client, clock: Clock | None = None, reporting_controller: str = "raysail", instance: str = "") -> None:
        self._client = client
        self._clock = clock or SystemClock()
        self._controller = reporting_controller
        self._instance = instance or f"{reporting_controller}-{socket.gethostname()}"
        self._series: OrderedDict[Identity, _Series] = OrderedDict()
        self._queue: asyncio.Queue[_Write] = asyncio.Queue(MAX_QUEUED)
        self._sequence = 0

    def event(
        self,
        regarding: Object | Mapping[str, Any],
        type: str,  # noqa: A002 - the field's word
        reason: str,
        message: str,
        action: str,
        *,
        related: Object | Mapping[str, Any] | None = None,
        controller: str = "",
        field_path: str = "",
    ) -> None:
        """Says that `reason` happened to `regarding` (a view or a whole object), or to the part of it at `field_path`.

        `type` is Normal or Warning; `controller` another reporter's name.
        """
        about = reference(regarding) | ({"fieldPath": field_path} if field_path else {})
        other = reference(related) if related is not None else None
        reporter = controller or self._controller
        identity = (type, action, reason, reporter, *about.values(), *(other.values() if other else ()))
        now = self._clock.now()
        series = self._series.get(identity)
        if series is not None and (now - series.last).total_seconds() < QUIET_SECONDS:
            self._series.move_to_end(identity)
            series.count, series.last = series.count + 1, now
            if series.count == 2:
                self._put(_Write(identity))
            return
        self._sequence += 1
        name = f"{about.get('name', '')[:200]}.{int(now.timestamp() * 1e9) + self._sequence % 1000:x}"
        namespace = about.get("namespace") or "default"
        self._series[identity] = _Series(namespace, name, 1, now, now, 1)
        self._series.move_to_end(identity)
        while len(self._series) > MAX_SERIES:
            self._series.popitem(last=False)
        body: JsonObject = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": format_micro_time(now),
            "reportingController": reporter,
            "reportingInstance": self._instance if not controller else f"{controller}-{socket.gethostname()}",
            "action": action[:128],
            "reason": reason[:128],
            "type": type,
            "note": message if len(message) <= NOTE_LIMIT else message[: NOTE_LIMIT - 3] + "...",
            "regarding": about,
        }
        if other:
            body["related"] = other
        self._put(_Write(identity, body))

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_queued(), name="events")
            group.create_task(self._close_series(), name="event series")

    async def flush(self) -> None:
        """Returns when all events so far are written or given up. `run` must be running."""
        await self._queue.join()

    def _put(self, write: _Write) -> None:
        try:
            self._queue.put_nowait(write)
        except asyncio.QueueFull:
            # Events are for people to read; holding up a reconcile or eating memory for them would be worse than losing some.
            logger.warning("more than %d events wait to be written, dropping one", MAX_QUEUED)

    async def _write_queued(self) -> None:
        while True:
            gathered = [await self._queue.get()]
            await asyncio.sleep(GATHER_SECONDS)  # real seconds, whatever the clock: they are for the API, not for what happens
            while len(gathered) < MAX_TOGETHER and not self._queue.empty():
                gathered.append(self._queue.get_nowait())
            by_identity: dict[Identity, list[_Write]] = {}
            for write in gathered:
                by_identity.setdefault(write.identity, []).append(write)
            try:
                await asyncio.gather(*(self._write_in_order(writes) for writes in by_identity.values()))
            finally:
                for _ in gathered:
                    self._queue.task_done()

    async def _write_in_order(self, writes: list[_Write]) -> None:
        """A series can only be written when its first event is there."""
        for write in writes:
            try:
                await self._write(write)
            except Exception:  # an event that cannot be written must not stop those after it
                logger.exception("cannot write an event")

    async def _write(self, write: _Write) -> None:
        backoff = Backoff(first=0.2, longest=5)
        for _ in range(_WRITE_TRIES):
            try:
                if write.body is not None:
                    await self._client.create(EVENTS, write.body, write.body["metadata"]["namespace"])
                else:
                    await self._write_series(write.identity)
            except StatusError as error:
                # The namespace is going away, or the event went before its series: nobody would read it. Not worth a second try.
                level = logging.DEBUG if error.code in (403, 404, 409) else logging.WARNING
                logger.log(level, "the API refused an event: %s", error)
                return
            except ConnectionError:
                await self._clock.sleep(backoff.next())
            else:
                return
        logger.warning("gave up on writing an event: the API server is away")

    async def _write_series(self, identity: Identity) -> None:
        series = self._series.get(identity)
        if series is None or series.written_count == series.count:
            return
        count = series.count
        patch: JsonObject = {"series": {"count": count, "lastObservedTime": format_micro_time(series.last)}}
        await self._client.patch(EVENTS, series.name, patch, series.namespace)
        series.written, series.written_count = self._clock.now(), count

    async def _close_series(self) -> None:
        while True:
            await self._clock.sleep(60)
            now = self._clock.now()
            for identity, series in list(self._series.items()):
                quiet = (now - series.last).total_seconds() >= QUIET_SECONDS
                due = (now - series.written).total_seconds() >= REFRESH_SECONDS
                if (quiet or due) and series.written_count != series.count:
                    self._put(_Write(identity))
                elif quiet:
                    del self._series[identity]


def reference(obj: Object | Mapping[str, Any]) -> dict[str, str]:
    """The ObjectReference of an object, without empty members."""
    if isinstance(obj, Object):
        meta = obj.metadata
        fields = (obj.api_version, obj.kind, meta.namespace, meta.name, meta.uid, meta.resource_version)
    else:
        found: Mapping[str, Any] = obj.get("metadata") or obj
        fields = (
            obj.get("apiVersion", ""),
            obj.get("kind", ""),
            found.get("namespace", ""),
            found.get("name", ""),
            found.get("uid", ""),
            "",
        )
    names = ("apiVersion", "kind", "namespace", "name", "uid")
    return {name: value for name, value in zip(names, fields, strict=False) if value}
