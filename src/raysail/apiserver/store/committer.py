"""The one thread that writes to disk. The store hands it one batch at a time: what comes while a commit runs goes into the next together."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from raysail.apiserver.store.database import Database, Row

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Rows to be forgotten."""

    revisions: list[int]
    floor: int


Report = Callable[[list[Row], sqlite3.Error | None], None]


class Committer:
    """Owns the thread and its connection. `report` is called on the thread with each batch and what went wrong with it, if anything."""

    def __init__(self, database: Database, report: Report, wal_soft_bytes: int, wal_hard_bytes: int) -> None:
        self._database = database
        self._report = report
        self._wal_soft_bytes = wal_soft_bytes
        self._wal_hard_bytes = wal_hard_bytes
        self._queue: queue.SimpleQueue[list[Row] | Compaction | None] = queue.SimpleQueue()
        self._stopping = False
        self._checkpoint_wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-committer", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoints, name="store-checkpointer", daemon=True)

    def start(self) -> None:
        """Starts both threads."""
        self._thread.start()
        self._checkpointer.start()

    def submit(self, work: list[Row] | Compaction) -> None:
        """Takes work from any thread."""
        self._queue.put(work)

    def stop(self) -> None:
        """Writes what waits, then ends the threads. Blocks."""
        self._queue.put(None)
        self._thread.join()
        self._stopping = True
        self._checkpoint_wanted.set()
        self._checkpointer.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if isinstance(work, Compaction):
                self._compact(work)
            else:
                self._commit(work)
            self._bound_wal()

    def _commit(self, batch: list[Row]) -> None:
        try:
            self._database.append(batch)
        except sqlite3.Error as error:
            log.error("store: %d writes were refused: %s", len(batch), error)
            self._report(batch, error)
        else:
            self._report(batch, None)

    def _compact(self, compaction: Compaction) -> None:
        try:
            self._database.compact(compaction.revisions, compaction.floor)
        except sqlite3.Error as error:  # the rows stay; the next start finds and drops them
            log.warning("store: compaction up to revision %d failed: %s", compaction.floor, error)

    def _bound_wal(self) -> None:
        size = self._database.wal_bytes
        if size > self._wal_hard_bytes:
            try:
                self._database.checkpoint("TRUNCATE")
            except sqlite3.Error as error:
                log.warning("store: checkpoint failed: %s", error)
        elif size > self._wal_soft_bytes:
            self._checkpoint_wanted.set()

    def _checkpoints(self) -> None:
        """Moves the WAL on beside the writes, over a connection of its own."""
        connection: Database | None = None
        while True:
            self._checkpoint_wanted.wait()
            self._checkpoint_wanted.clear()
            if self._stopping:
                break
            try:
                connection = connection or Database(self._database.path)
                connection.checkpoint("PASSIVE")
            except sqlite3.Error as error:
                log.warning("store: checkpoint failed: %s", error)
        if connection is not None:
            connection.close()
