"""The one thread that writes to disk. What waits while a commit runs goes into the next one together (group commit)."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raysail.apiserver.store.database import Database, Row

log = logging.getLogger(__name__)
MOST_ROWS: Final = 1024
MOST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Write:
    """One row to be made durable. Writes of one `epoch` stand on each other: when one fails, later ones of its epoch must not be stored."""

    row: Row
    epoch: int


@dataclass(frozen=True, slots=True)
class Compaction:
    """Rows to be forgotten; done when nothing else waits."""

    revisions: list[int]
    floor: int


Report = Callable[[list[Write], sqlite3.Error | None], None]


class Committer:
    """Owns the thread and its connection. `report` is called on the thread with each batch and what went wrong with it, if anything."""

    def __init__(self, database: Database, report: Report, wal_soft_bytes: int, wal_hard_bytes: int) -> None:
        self._database = database
        self._report = report
        self._wal_soft_bytes = wal_soft_bytes
        self._wal_hard_bytes = wal_hard_bytes
        self._queue: queue.SimpleQueue[Write | Compaction | None] = queue.SimpleQueue()
        self._failed_epoch = -1
        self._stopping = False
        self._checkpoint_wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-committer", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoints, name="store-checkpointer", daemon=True)

    def start(self) -> None:
        """Starts both threads."""
        self._thread.start()
        self._checkpointer.start()

    def submit(self, work: Write | Compaction) -> None:
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
        ended = False
        while not ended:
            batch, compactions, ended = self._collect()
            if batch:
                self._commit(batch)
            for compaction in compactions:
                self._compact(compaction)
            self._bound_wal()

    def _collect(self) -> tuple[list[Write], list[Compaction], bool]:
        batch: list[Write] = []
        compactions: list[Compaction] = []
        size = 0
        work: Write | Compaction | None = self._queue.get()
        while True:
            if work is None:
                return batch, compactions, True
            if isinstance(work, Compaction):
                compactions.append(work)
            elif work.epoch == self._failed_epoch:
                self._report([work], sqlite3.OperationalError("an earlier write that this one stands on was not stored"))
            else:
                batch.append(work)
                size += len(work.row[4])
                if len(batch) >= MOST_ROWS or size >= MOST_BYTES:
                    return batch, compactions, False
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                return batch, compactions, False

    def _commit(self, batch: list[Write]) -> None:
        try:
            self._database.append([write.row for write in batch])
        except sqlite3.Error as error:
            self._failed_epoch = batch[-1].epoch
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
