"""The store as the API uses it. All methods run on the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from raysail.api.errors import StatusError
from raysail.apiserver.store.committer import Committer, Compaction
from raysail.apiserver.store.database import Database, Row, checksum
from raysail.apiserver.store.history import History, Track
from raysail.apiserver.store.index import Collection, within
from raysail.apiserver.store.records import Change, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`history_*` bound what watches can resume from; above `wal_soft_bytes` a checkpoint runs beside the writes, above `wal_hard_bytes` before them."""

    path: Path
    history_changes: int = 50_000
    history_bytes: int = 48 * 1024 * 1024
    wal_soft_bytes: int = 4 * 1024 * 1024
    wal_hard_bytes: int = 128 * 1024 * 1024
    first_revision: int = 1


class ExpiredError(Exception):
    """History does not reach back to that revision."""

    def __init__(self, revision: int, floor: int) -> None:
        super().__init__(f"too old resource version: {revision} ({floor})")
        self.revision = revision
        self.floor = floor


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records in key order, as of `revision`."""

    records: list[Record]
    revision: int


@dataclass(slots=True)
class _Pending:
    change: Change
    done: asyncio.Future[Change]


Callback = Callable[[], None]


@dataclass(slots=True)
class Waiters:
    """Those who wait for the next change of a collection, and those who want to be told of each; by namespace, empty for all of them."""

    once: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)
    always: dict[str, dict[int, Callback]] = field(default_factory=dict)


class Store:
    """Objects by (collection, key). A collection is `pods` or `rayclusters.ray.io`; a key `namespace/name` or `name`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._collections: dict[str, Collection] = {}
        self._staged: dict[str, dict[str, Change]] = {}
        self._pending: dict[int, _Pending] = {}
        self._outbox: list[Row] = []
        self._committing = False
        self._waiters: dict[str, Waiters] = {}
        self._followed = 0
        self._listeners: dict[str, list[Callable[[Change], None]]] = {}
        self._revision_waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.corrupt: dict[tuple[str, str], str] = {}
        self._database = Database(settings.path, settings.first_revision)
        loaded = self._database.load()
        self.history = History(loaded.floor, settings.history_changes, settings.history_bytes)
        self.revision = loaded.floor
        stale = self._replay(loaded.rows, loaded.floor)
        self._next_revision = self.revision + 1
        self._committer = Committer(self._database, self._report, settings.wal_soft_bytes, settings.wal_hard_bytes)
        self._committer.start()
        if stale:
            self._committer.submit(Compaction(stale, self.history.floor))
        self._trim()

    # Reading: what is on disk.

    def collection(self, name: str) -> Collection:
        """The current objects of one collection."""
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = Collection()
        return found

    def get(self, collection: str, key: str) -> Record | None:
        """One object, as of the last commit. Raises StatusError when its record is damaged."""
        found = self._collections.get(collection)
        record = found.records.get(key) if found is not None else None
        if record is None and self.corrupt:
            self._refuse_corrupt(collection, key)
        return record

    def snapshot(self, collection: str, namespace: str = "", revision: int | None = None) -> Snapshot:
        """All objects in key order; with a revision, as they were then. Raises ExpiredError, StatusError (a damaged record)."""
        if self.corrupt:
            for damaged, key in self.corrupt:
                if damaged == collection and within([key], namespace):
                    self._refuse_corrupt(damaged, key)
        current = self.collection(collection)
        if revision is None or revision == self.revision:
            return Snapshot(current.scan(namespace), self.revision)
        if revision < self.history.floor:
            raise ExpiredError(revision, self.history.floor)
        track = self.history.track(collection)
        later = track.since(track.after(revision)) or []
        if not later:
            return Snapshot(current.scan(namespace), revision)
        then = {record.key: record for record in current.scan(namespace)}
        for change in reversed(later):
            if not within([change.key], namespace):
                continue
            if change.old is None:
                then.pop(change.key, None)
            else:
                then[change.key] = change.old
        return Snapshot([then[key] for key in sorted(then)], revision)

    def collection_names(self) -> list[str]:
        """Collections that were ever used."""
        return list(self._collections)

    # Writing: what is on its way there counts.

    def latest(self, collection: str, key: str) -> Record | None:
        """One object as the next write will find it. Raises StatusError when its record is damaged."""
        staged = self._staged.get(collection)
        if staged and (change := staged.get(key)) is not None:
            return change.new
        return self.get(collection, key)

    def latest_scan(self, collection: str, namespace: str = "") -> list[Record]:
        """All objects as the next write will find them, in no particular order."""
        current, staged = self._collections.get(collection), self._staged.get(collection)
        if not staged:
            return current.scan(namespace) if current is not None and current.keys else []
        found = {record.key: record for record in self.collection(collection).scan(namespace)}
        for key, change in staged.items():
            if within([key], namespace):
                if change.new is None:
                    found.pop(key, None)
                else:
                    found[key] = change.new
        return list(found.values())

    def put(self, collection: str, key: str, encode: Callable[[str], bytes]) -> asyncio.Future[Change]:
        """Writes an object; `encode` gets its resourceVersion. The future is done when it is on disk, or raises StatusError.

        A caller that stops waiting (a client that went away) does not undo the write.
        """
        return self._write(collection, key, encode, deleted=False)

    def delete(self, collection: str, key: str, encode: Callable[[str], bytes]) -> asyncio.Future[Change]:
        """Removes an object; `encode` gives what its DELETED event shows."""
        return self._write(collection, key, encode, deleted=True)

    def forget_corrupt(self, collection: str, key: str) -> None:
        """Makes the place of a damaged record free again: the operator has decided that it is lost."""
        self.corrupt.pop((collection, key), None)

    def _write(self, collection: str, key: str, encode: Callable[[str], bytes], *, deleted: bool) -> asyncio.Future[Change]:
        revision = self._next_revision
        data = encode(str(revision))
        self._next_revision += 1
        staged = self._staged.get(collection)
        if staged is None:
            staged = self._staged[collection] = {}
        before = staged.get(key)
        old = before.new if before is not None else self.collection(collection).records.get(key)
        record = Record(key, revision, data)
        change = Change(collection, key, revision, old, None if deleted else record, record)
        staged[key] = change
        done: asyncio.Future[Change] = self._loop.create_future()
        self._pending[revision] = _Pending(change, done)
        self._outbox.append((revision, collection, key, int(deleted), data, checksum(collection, key, data)))
        if not self._committing:
            # Not at once: what else this turn of the loop writes goes with it.
            self._committing = True
            self._loop.call_soon(self._commit)
        return done

    def _commit(self) -> None:
        """Hands over what has gathered. One batch is under way at a time, so that batches grow with the load."""
        if self._outbox:
            batch, self._outbox = self._outbox, []
            self._committer.submit(batch)
        else:
            self._committing = False

    # Following.

    def next_change(self, collection: str, namespace: str = "") -> asyncio.Future[None]:
        """Done at the next change there (of any namespace when empty)."""
        future: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiters.setdefault(collection, Waiters())
        waiters.once.setdefault(namespace, []).append(future)
        return future

    def follow(self, collection: str, namespace: str, callback: Callback) -> Callback:
        """Calls back after each commit that changed something there (in any namespace when empty), after its writers are answered.

        The callback must not raise or wait. Gives what ends it.
        """
        self._followed += 1
        number = self._followed
        followers = self._waiters.setdefault(collection, Waiters()).always.setdefault(namespace, {})
        followers[number] = callback
        return partial(_forget, followers, number)

    def on_commit(self, collection: str, listener: Callable[[Change], None]) -> None:
        """Calls back for each change there once it is on disk, before its writer is answered. The listener must not raise or wait."""
        self._listeners.setdefault(collection, []).append(listener)

    def track(self, collection: str) -> Track:
        """The kept changes of a collection."""
        return self.history.track(collection)

    async def reach(self, revision: int, timeout_seconds: float) -> bool:
        """Waits until that revision exists; False when it did not in time."""
        if self.revision >= revision:
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        self._revision_waiters.append((revision, future))
        try:
            await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError:
            self._revision_waiters = [waiter for waiter in self._revision_waiters if waiter[1] is not future]
            return False
        return True

    async def land(self) -> None:
        """Returns when all writes so far are on disk, or refused."""
        pending = [each.done for each in self._pending.values()]
        if pending:
            await asyncio.wait(pending)

    def compact(self) -> None:
        """Gives up all history now."""
        self._drop(self.history.cut_to(self.revision))

    async def close(self) -> None:
        """Waits for what is being written, then closes the file."""
        while self._pending:
            await asyncio.wait([pending.done for pending in self._pending.values()])
        await asyncio.to_thread(self._committer.stop)
        await asyncio.to_thread(self._database.close)

    # The committer's answers.

    def _report(self, batch: list[Row], error: sqlite3.Error | None) -> None:
        try:
            if error is None:
                self._loop.call_soon_threadsafe(self._committed, batch)
            else:
                self._loop.call_soon_threadsafe(self._refused, batch, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.debug("store: %d writes finished after the loop had ended", len(batch))

    def _committed(self, batch: list[Row]) -> None:
        self._commit()
        woken: set[tuple[str, str]] = set()
        finished: list[_Pending] = []
        for row in batch:
            pending = self._pending.pop(row[0])
            change = pending.change
            staged = self._staged[change.collection]
            if staged.get(change.key) is change:
                del staged[change.key]
            collection = self.collection(change.collection)
            if change.new is None:
                collection.remove(change.key)
            else:
                collection.put(change.new)
            self.history.append(change)
            finished.append(pending)
            for listener in self._listeners.get(change.collection, ()):
                listener(change)
            woken.add((change.collection, change.key.partition("/")[0] if "/" in change.key else ""))
        self.revision = batch[-1][0]
        for pending in finished:
            if not pending.done.done():
                pending.done.set_result(pending.change)
        for name, namespace in woken:
            self._wake(name, namespace)
        # A turn later: the writers' tasks, woken above, go first.
        self._loop.call_soon(self._tell_followers, woken)
        if self._revision_waiters:
            self._wake_revisions()
        self._trim()

    def _refused(self, batch: list[Row], error: sqlite3.Error) -> None:
        """Nothing that is not yet on disk will be, since later writes may stand on refused ones: forget it all and tell everybody."""
        refusal = _refusal(error, self._settings.path)
        waiting = [*batch, *self._outbox]
        self._outbox.clear()
        self._staged.clear()
        self._committing = False
        for row in waiting:
            pending = self._pending.pop(row[0])
            if not pending.done.done():
                pending.done.set_exception(refusal)

    def _wake(self, collection: str, namespace: str) -> None:
        waiters = self._waiters.get(collection)
        if waiters is None:
            return
        for scope in {"", namespace}:
            for future in waiters.once.pop(scope, ()):
                if not future.done():
                    future.set_result(None)

    def _tell_followers(self, places: set[tuple[str, str]]) -> None:
        for collection, namespace in places:
            waiters = self._waiters.get(collection)
            if waiters is not None:
                for scope in {"", namespace}:
                    for callback in list(waiters.always.get(scope, {}).values()):
                        callback()

    def _wake_revisions(self) -> None:
        waiting = self._revision_waiters
        self._revision_waiters = [waiter for waiter in waiting if waiter[0] > self.revision]
        for revision, future in waiting:
            if revision <= self.revision and not future.done():
                future.set_result(None)

    def _trim(self) -> None:
        self._drop(self.history.overflow())

    def _drop(self, cut: list[Change]) -> None:
        if not cut:
            return
        rows = [change.old.revision for change in cut if change.old is not None] + [change.revision for change in cut if change.new is None]
        self._committer.submit(Compaction(rows, self.history.floor))

    # Start.

    def _replay(self, rows: list[Row], floor: int) -> list[int]:
        """Fills the index and the history; gives the revisions whose rows an unfinished compaction left behind."""
        stale: list[int] = []
        for revision, name, key, deleted, value, expected in rows:
            collection = self.collection(name)
            old = collection.records.get(key)
            self.revision = max(self.revision, revision)
            fault = _fault(name, key, value, expected)
            if fault:
                collection.remove(key)
                self.corrupt[name, key] = f"revision {revision}: {fault}"
                log.error("store: the record of %s %s (revision %d) is damaged: %s", name, key, revision, fault)
                continue
            self.corrupt.pop((name, key), None)
            record = Record(key, revision, value)
            if deleted:
                collection.remove(key)
            else:
                collection.put(record)
            if revision > floor:
                self.history.append(Change(name, key, revision, old, None if deleted else record, record))
            else:
                stale += ([old.revision] if old else []) + ([revision] if deleted else [])
        return stale

    def _refuse_corrupt(self, collection: str, key: str) -> None:
        fault = self.corrupt.get((collection, key))
        if fault:
            raise StatusError(
                "StorageReadError",
                f"the stored record of {collection} {key!r} is damaged ({fault}): delete it with"
                " ?ignoreStoreReadErrorWithClusterBreakingPotential=true if it is of no use, or restore the store from a copy",
                code=500,
                details={"kind": collection, "name": key.rpartition("/")[2]},
            )


def _fault(collection: str, key: str, value: bytes, expected: int) -> str:
    if not isinstance(value, bytes):
        return "its content is not what the store writes"
    if checksum(collection, key, value) != expected:
        return "its checksum does not match its content"
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return f"it is not JSON: {error}"
    return ""


def _forget(followers: dict[int, Callback], number: int) -> None:
    followers.pop(number, None)


def _refusal(error: sqlite3.Error, path: Path) -> StatusError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or "full" in str(error):
        return StatusError(
            "InternalError", f"nothing was stored: the disk that holds {path} is full; free some space and try again", code=507
        )
    return StatusError("InternalError", f"nothing was stored: writing to {path} failed: {error}", code=500)
