"""The recent past: changes in order of revision, for watches and for lists as of an earlier revision.

Bounded by number and by bytes. What falls out can no longer be asked for (410 Gone), and its superseded rows may leave the disk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from raysail.apiserver.store.records import Change

RECENT: Final = 256
"""How many of the newest changes keep their encoded forms."""


class Track:
    """The changes of one collection. Positions count from the collection's first change and stay valid while the front is cut."""

    __slots__ = ("base", "changes")

    def __init__(self) -> None:
        self.base = 0
        self.changes: list[Change] = []

    @property
    def end(self) -> int:
        """The position after the newest change."""
        return self.base + len(self.changes)

    def after(self, revision: int) -> int:
        """The position of the first change newer than the revision."""
        return self.base + bisect_right(self.changes, revision, key=lambda change: change.revision)

    def since(self, position: int) -> list[Change] | None:
        """The changes from that position on, or None when some of them are gone."""
        if position < self.base:
            return None
        return self.changes[position - self.base :]


class History:
    """All kept changes. `floor` is the revision from which on nothing is missing: a watch may start there or later."""

    def __init__(self, floor: int, limit_changes: int, limit_bytes: int) -> None:
        self.floor = floor
        self._limit_changes = limit_changes
        self._limit_bytes = limit_bytes
        self._order: deque[Change] = deque()
        self._bytes = 0
        self._tracks: dict[str, Track] = {}

    def track(self, collection: str) -> Track:
        """The changes of one collection."""
        found = self._tracks.get(collection)
        if found is None:
            found = self._tracks[collection] = Track()
        return found

    def append(self, change: Change) -> None:
        """Adds the newest change."""
        self._order.append(change)
        self._bytes += change.size_bytes
        self.track(change.collection).changes.append(change)
        if len(self._order) > RECENT:
            self._order[-RECENT - 1].encoded.clear()  # most watches have it by now; the text need not be kept twice

    def overflow(self) -> list[Change]:
        """Cuts the oldest changes once the limits are passed by an eighth (so in batches), and gives them."""
        if len(self._order) <= self._limit_changes * 9 // 8 and self._bytes <= self._limit_bytes * 9 // 8:
            return []
        cut: list[Change] = []
        while self._order and (len(self._order) > self._limit_changes or self._bytes > self._limit_bytes):
            change = self._order.popleft()
            self._bytes -= change.size_bytes
            cut.append(change)
        self._forget(cut)
        return cut

    def cut_to(self, revision: int) -> list[Change]:
        """Cuts everything up to the revision, and gives it."""
        cut: list[Change] = []
        while self._order and self._order[0].revision <= revision:
            change = self._order.popleft()
            self._bytes -= change.size_bytes
            cut.append(change)
        self._forget(cut)
        return cut

    def _forget(self, cut: list[Change]) -> None:
        counts: dict[str, int] = {}
        for change in cut:
            counts[change.collection] = counts.get(change.collection, 0) + 1
        for collection, count in counts.items():
            track = self._tracks[collection]
            del track.changes[:count]
            track.base += count
        if cut:
            self.floor = cut[-1].revision
