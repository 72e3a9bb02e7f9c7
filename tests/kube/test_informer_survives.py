"""The real API process is killed in the middle of writes: the copy ends up equal to what is stored, and nothing that was acknowledged is missing."""

from __future__ import annotations

import asyncio
import contextlib
import random

import msgspec
import pytest

from raysail.api.core import ConfigMap
from raysail.api.errors import StatusError
from raysail.api.meta import Object
from raysail.api.resources import CONFIG_MAPS
from raysail.kube.http import HttpClient
from raysail.kube.informer import Informer
from tests.support.embedded import api_process

KILLS = 4


async def write(client: HttpClient, acknowledged: dict[str, str | None], chance: random.Random, stop: asyncio.Event) -> None:
    """Creates, changes and deletes until told to stop, and keeps what the API said yes to. No write is left half done: its fate would be unknown."""
    number = 0
    while not stop.is_set():
        number += 1
        name = f"c{chance.randrange(60)}"
        try:
            if name not in acknowledged or acknowledged[name] is None:
                answer = await client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {"n": str(number)}}, "default")
                acknowledged[name] = answer["metadata"]["resourceVersion"]
            elif number % 5 == 0:
                await client.delete(CONFIG_MAPS, name, "default")
                acknowledged[name] = None
            else:
                answer = await client.patch(CONFIG_MAPS, name, {"data": {"n": str(number)}}, "default")
                acknowledged[name] = answer["metadata"]["resourceVersion"]
        except ConnectionError:
            # Whether that write is stored is unknown, so it promises nothing.
            acknowledged.pop(name, None)
            await asyncio.sleep(0.05)
        except StatusError:
            acknowledged.pop(name, None)


@pytest.mark.slow
async def test_equal_after_kills() -> None:
    async with api_process(crds=False) as api, api.client() as client, asyncio.timeout(120):
        informer = Informer(client, CONFIG_MAPS, ConfigMap, seed=1)
        last: dict[str, str | None] = {}
        versions: dict[str, int] = {}

        def changed(old: ConfigMap | None, new: ConfigMap | None) -> None:
            obj = new or old
            assert obj is not None
            last[obj.metadata.name] = new.metadata.resource_version if new else None
            if new is not None:
                version = int(new.metadata.resource_version)
                assert version > versions.get(obj.metadata.name, 0), "never back in time"
                versions[obj.metadata.name] = version

        informer.on_change(changed)
        following = asyncio.create_task(informer.run())
        await informer.wait_synced()
        acknowledged: dict[str, str | None] = {}
        chance = random.Random(7)
        stop = asyncio.Event()
        writer = asyncio.create_task(write(client, acknowledged, chance, stop))
        for _ in range(KILLS):
            await asyncio.sleep(0.5)
            await api.kill()
            await asyncio.sleep(0.2)
            await api.start()
        await asyncio.sleep(0.5)
        stop.set()
        await writer
        decode = msgspec.json.Decoder(Object).decode
        page = await client.list(CONFIG_MAPS, "default")
        stored = {obj.metadata.name: obj.metadata.resource_version for obj in map(decode, page.items)}
        await informer.until(lambda: {o.metadata.name: o.metadata.resource_version for o in informer.list("default")} == stored)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    assert {name: version for name, version in last.items() if version} == stored
    for name, version in acknowledged.items():
        if version is None:
            assert name not in stored
        else:
            assert stored.get(name) == version, "an acknowledged write is there"
    assert len(versions) > 20
