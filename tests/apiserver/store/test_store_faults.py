"""Disks that fill up, bits that change, files of another format, histories that end."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import orjson
import pytest

from raysail.api.errors import StatusError
from raysail.apiserver.store import ExpiredError, Store, StoreSettings
from raysail.apiserver.store.database import StoreUnreadableError


def encoded(name: str, size: int = 10):  # type: ignore[no-untyped-def]
    return lambda revision: orjson.dumps({"metadata": {"name": name, "resourceVersion": revision}, "value": "v" * size})


async def test_a_full_disk_refuses_writes_and_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    store = Store(StoreSettings(tmp_path / "store.db"))
    await store.put("things", "kept", encoded("kept"))
    pages = store._database._connection.execute("PRAGMA page_count").fetchone()[0]
    store._database._connection.execute(f"PRAGMA max_page_count={pages + 2}")  # SQLite then says SQLITE_FULL as it does on a full disk
    results = [
        (await asyncio.gather(store.put("things", f"big-{number}", encoded("big", 4000)), return_exceptions=True))[0]
        for number in range(20)
    ]
    refusals = [result for result in results if isinstance(result, StatusError)]
    refused = len(refusals)
    assert refused > 0
    assert all(refusal.code == 507 and "full" in refusal.message for refusal in refusals)
    kept = [record.key for record in store.snapshot("things").records]
    assert len(kept) == 21 - refused
    store._database._connection.execute("PRAGMA max_page_count=1000000")
    change = await store.put("things", "later", encoded("later"))
    assert change.revision > 20
    await store.close()
    again = Store(StoreSettings(tmp_path / "store.db"))
    assert [record.key for record in again.snapshot("things").records] == sorted([*kept, "later"])
    await again.close()


async def test_what_stands_on_a_refused_write_is_refused_with_it(tmp_path: Path) -> None:
    store = Store(StoreSettings(tmp_path / "store.db"))
    await store.put("things", "a", encoded("a"))
    store._database._connection.execute("PRAGMA max_page_count=1")
    first = store.put("things", "b", encoded("b", 9000))
    assert store.latest("things", "b") is not None
    second = store.put("things", "b", encoded("b", 9000))
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(result, StatusError) for result in results)
    assert store.latest("things", "b") is None
    await store.close()


async def test_a_damaged_record_is_reported_and_never_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(StoreSettings(path))
    await store.put("things", "good", encoded("good"))
    await store.put("things", "bad", encoded("bad"))
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE log SET value = CAST(replace(value, 'bad', 'bat') AS BLOB) WHERE key = 'bad'")
    connection.close()
    store = Store(StoreSettings(path))
    assert list(store.corrupt) == [("things", "bad")]
    assert store.get("things", "good") is not None
    for read in (lambda: store.get("things", "bad"), lambda: store.latest("things", "bad"), lambda: store.snapshot("things")):
        with pytest.raises(StatusError, match="damaged"):
            read()
    store.forget_corrupt("things", "bad")
    await store.delete("things", "bad", encoded("bad"))
    assert [record.key for record in store.snapshot("things").records] == ["good"]
    await store.close()
    again = Store(StoreSettings(path))
    assert not again.corrupt
    await again.close()


def test_a_file_that_is_no_store_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 20)

    async def open_it() -> None:
        Store(StoreSettings(path))

    with pytest.raises(StoreUnreadableError, match="move it away"):
        asyncio.run(open_it())


async def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await Store(StoreSettings(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'format'")
    connection.close()
    with pytest.raises(StoreUnreadableError, match="format 99"):
        Store(StoreSettings(path))


async def test_history_is_bounded_and_what_fell_out_is_gone_from_disk_too(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(StoreSettings(path, history_changes=20))
    first = (await store.put("things", "a", encoded("a"))).revision
    for _ in range(100):
        await store.put("things", "a", encoded("a"))
    assert store.history.floor > first
    with pytest.raises(ExpiredError):
        store.snapshot("things", "", first)
    assert store.track("things").since(0) is None
    await store.close()
    with sqlite3.connect(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM log").fetchone()
    connection.close()
    assert rows <= 25
    again = Store(StoreSettings(path, history_changes=20))
    assert again.revision == first + 100
    assert again.history.floor >= first
    await again.close()


async def test_readers_see_only_what_is_on_disk(tmp_path: Path) -> None:
    store = Store(StoreSettings(tmp_path / "store.db"))
    future = store.put("things", "a", encoded("a"))
    assert store.get("things", "a") is None
    assert store.latest("things", "a") is not None
    await future
    assert store.get("things", "a") is not None
    await store.close()


async def test_a_writer_who_stops_waiting_does_not_undo_the_write(tmp_path: Path) -> None:
    store = Store(StoreSettings(tmp_path / "store.db"))
    future = store.put("things", "a", encoded("a"))
    future.cancel()
    await store.put("things", "b", encoded("b"))
    assert store.get("things", "a") is not None
    await store.close()


async def test_the_write_ahead_log_stays_bounded(tmp_path: Path) -> None:
    store = Store(StoreSettings(tmp_path / "store.db", wal_soft_bytes=50_000, wal_hard_bytes=400_000, history_changes=100))
    for _ in range(30):
        await asyncio.gather(*(store.put("things", f"k{n}", encoded("k", 2000)) for n in range(20)))
    assert store._database.wal_bytes < 1_000_000
    await store.close()
