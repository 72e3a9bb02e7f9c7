"""The store against a plain dict: whatever is written, reading, history and a restart agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysail.apiserver.store import ExpiredError, Store, StoreSettings

KEYS = ["a/x", "a/y", "a-b/x", "b/x", "b/z"]
Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete", "restart", "compact"]), st.sampled_from(KEYS), st.integers(0, 9)), max_size=30
)


def encoded(key: str, value: int) -> Callable[[str], bytes]:
    return lambda revision: orjson.dumps({"metadata": {"name": key.rpartition("/")[2], "resourceVersion": revision}, "value": value})


class Model:
    """What a dict would hold, and every state it ever had."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.past: dict[int, dict[str, int]] = {}
        self.floor = 1


def values(records: list[Any]) -> dict[str, int]:
    return {record.key: record.object()["value"] for record in records}


async def follow(store: Store, model: Model, steps: list[Step], path: Path) -> Store:
    for kind, key, value in steps:
        match kind:
            case "put":
                change = await store.put("things", key, encoded(key, value))
                assert change.new is not None
                model.now = {**model.now, key: value}
            case "delete" if key in model.now:
                await store.delete("things", key, encoded(key, model.now[key]))
                model.now = {k: v for k, v in model.now.items() if k != key}
            case "restart":
                await store.close()
                store = Store(StoreSettings(path))
            case "compact":
                store.compact()
                model.floor = store.history.floor
        model.past[store.revision] = model.now
        check(store, model)
    return store


def check(store: Store, model: Model) -> None:
    assert values(store.snapshot("things").records) == model.now
    assert [r.key for r in store.snapshot("things").records] == sorted(model.now)
    assert values(store.snapshot("things", "a").records) == {k: v for k, v in model.now.items() if k.startswith("a/")}
    for revision, then in model.past.items():
        if revision >= store.history.floor:
            assert values(store.snapshot("things", "", revision).records) == then
        else:
            with pytest.raises(ExpiredError):
                store.snapshot("things", "", revision)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_the_store_holds_what_a_dict_would_hold(steps: list[Step]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "store.db"
            store = Store(StoreSettings(path))
            store = await follow(store, Model(), steps, path)
            await store.close()

    asyncio.run(run())


@settings(max_examples=25, deadline=None)
@given(STEPS, st.integers(0, 30))
def test_a_watch_from_any_revision_tells_the_way_to_the_present(steps: list[Step], start: int) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "store.db"
            store, model = Store(StoreSettings(path)), Model()
            model.past[store.revision] = {}
            store = await follow(store, model, steps, path)
            revision = min(max(start, store.history.floor), store.revision)
            # History may start between two revisions of the model: take the last state that is not newer.
            then = dict(model.past[max(r for r in model.past if r <= revision)])
            track = store.track("things")
            for change in track.since(track.after(revision)) or []:
                if change.new is None:
                    del then[change.key]
                else:
                    then[change.key] = change.new.object()["value"]
            assert then == model.now
            await store.close()

    asyncio.run(run())
