"""Deletes Events after an hour, as kube-apiserver's --event-ttl does by its store; the time counts from the last repeat."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Final

import msgspec

from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import Object, parse_time
from raysail.api.resources import EVENTS
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.manager import Manager

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 300.0
PAGE: Final = 500
MAX_WRITES: Final = 16


class Event(Object, frozen=True):
    """As much of an Event as tells its age."""

    event_time: str | None = None
    series: dict[str, Any] | None = None
    deprecated_last_timestamp: str | None = None


_decode: Final = msgspec.json.Decoder(Event).decode


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    expiry = EventExpiry(manager, settings.event_ttl_seconds)
    manager.add_service("event expiry", expiry.run)


def last_seen(event: Event) -> datetime | None:
    """When it happened last."""
    times = (
        (event.series or {}).get("lastObservedTime"),
        event.deprecated_last_timestamp,
        event.event_time,
        event.metadata.creation_timestamp,
    )
    return max((parse_time(text) for text in times if text), default=None)


class EventExpiry:
    """Looks through all Events now and then; there is no informer, since nobody else here needs them."""

    def __init__(self, manager: Manager, ttl_seconds: float) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._ttl_seconds = ttl_seconds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                deleted = await self.sweep()
                if deleted:
                    logger.debug("deleted %d old events", deleted)
            except (StatusError, ConnectionError) as error:
                logger.info("cannot look for old events now: %s", error)
            await self._clock.sleep(LOOK_SECONDS)

    async def sweep(self) -> int:
        """Deletes what is old; how many that were."""
        old: list[Event] = []
        token = ""
        while True:
            page = await self._client.list(EVENTS, limit=PAGE, continue_token=token)
            now = self._clock.now()
            for item in page.items:
                event = _decode(item)
                seen = last_seen(event)
                if seen is not None and (now - seen).total_seconds() >= self._ttl_seconds:
                    old.append(event)
            token = page.continue_token
            if not token:
                break
        slots = asyncio.Semaphore(MAX_WRITES)
        await asyncio.gather(*(self._delete(event, slots) for event in old))
        return len(old)

    async def _delete(self, event: Event, slots: asyncio.Semaphore) -> None:
        meta = event.metadata
        async with slots:
            try:
                await self._client.delete(EVENTS, meta.name, meta.namespace, uid=meta.uid)
            except StatusError as error:
                if not (is_not_found(error) or is_conflict(error)):
                    raise
