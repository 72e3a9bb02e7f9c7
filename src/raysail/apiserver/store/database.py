"""The log on disk: one SQLite table, a row for each revision that is current or still part of history.

Blocking; used by the committer thread only (and once at start). SQLite in WAL mode with synchronous=FULL: a commit is on disk when it returns.
Each row carries a checksum; a row that does not match is reported, and its object cannot be read until it is deleted or written anew.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FORMAT: Final = 1
_ROWS_A_STATEMENT: Final = 128
Row = tuple[int, str, str, int, bytes, int]
"""revision, collection, key, deleted, value, checksum"""


class StoreUnreadableError(Exception):
    """The file is not a store that this version can open. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was on disk: rows in order of revision, and the revision below which history has been cut."""

    rows: list[Row]
    floor: int


def checksum(collection: str, key: str, value: bytes) -> int:
    """Guards a row against bits that changed on disk."""
    return zlib.crc32(value, zlib.crc32(f"{collection}\0{key}".encode()))


class Database:
    """One connection. `wal_bytes` tells how much waits for a checkpoint."""

    def __init__(self, path: Path, first_revision: int = 1) -> None:
        self.path = path
        self._first_revision = first_revision
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=_ROWS_A_STATEMENT + 32
            )
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise StoreUnreadableError(
                f"{path} cannot be opened as a raysail store: {error}. Restore it from a copy, or move it away to start empty"
            ) from error
        path.chmod(0o600)

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA wal_autocheckpoint=0")
        run("PRAGMA locking_mode=NORMAL")
        run("BEGIN IMMEDIATE")
        try:
            run("CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
            run(
                "CREATE TABLE IF NOT EXISTS log(revision INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL,"
                " deleted INTEGER NOT NULL, value BLOB NOT NULL, checksum INTEGER NOT NULL)"
            )
            run("INSERT OR IGNORE INTO meta VALUES('format', ?)", (FORMAT,))
            run("INSERT OR IGNORE INTO meta VALUES('floor', ?)", (self._first_revision,))
            (found,) = run("SELECT value FROM meta WHERE name='format'").fetchone()
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise
        if found != FORMAT:
            raise StoreUnreadableError(
                f"{self.path} has store format {found}; this raysail reads format {FORMAT}. Use the version that wrote it"
            )

    def load(self) -> Loaded:
        """Everything on disk. Raises StoreUnreadableError when SQLite cannot read its own pages."""
        try:
            (floor,) = self._connection.execute("SELECT value FROM meta WHERE name='floor'").fetchone()
            rows: list[Row] = self._connection.execute(
                "SELECT revision, collection, key, deleted, value, checksum FROM log ORDER BY revision"
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreUnreadableError(
                f"{self.path} is damaged: {error}. Restore it from a copy; `sqlite3 store.db .recover` may save parts of it"
            ) from error
        return Loaded(rows, floor)

    def append(self, rows: Sequence[Row]) -> None:
        """Makes the rows durable in one transaction: all or none. Raises sqlite3.Error.

        As few statements as possible: each one gives up the interpreter lock and has to wait for a busy event loop to get it back.
        """
        if len(rows) <= _ROWS_A_STATEMENT:
            self._insert(rows)  # a statement is a transaction of its own
            return
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(rows), _ROWS_A_STATEMENT):
                self._insert(rows[start : start + _ROWS_A_STATEMENT])
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    def _insert(self, rows: Sequence[Row]) -> None:
        # The text for each number of rows is compiled once and kept by the connection.
        values = ", ".join(("(?, ?, ?, ?, ?, ?)",) * len(rows))
        self._connection.execute(f"INSERT INTO log VALUES {values}", [column for row in rows for column in row])  # noqa: S608 - question marks

    def compact(self, revisions: Iterable[int], floor: int) -> None:
        """Forgets rows that neither the present nor the kept history needs. Raises sqlite3.Error."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            run("DELETE FROM log WHERE revision IN (SELECT value FROM json_each(?))", (json.dumps(list(revisions)),))
            run("UPDATE meta SET value = ? WHERE name = 'floor' AND value < ?", (floor, floor))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    @property
    def wal_bytes(self) -> int:
        """The size of the write-ahead log file."""
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def checkpoint(self, mode: str) -> None:
        """Moves the write-ahead log into the database file: PASSIVE disturbs nobody, TRUNCATE also gives the space back."""
        self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def close(self) -> None:
        """Closes the connection; the last one checkpoints."""
        self._connection.close()
