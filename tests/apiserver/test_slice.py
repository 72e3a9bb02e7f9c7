"""The API end to end, through the project's own client."""

from __future__ import annotations

import asyncio

import pytest

from raysail.api import resources
from raysail.api.errors import StatusError
from tests.support.embedded import api_process, embedded_api


async def test_objects_are_created_read_changed_and_deleted() -> None:
    async with embedded_api() as api:
        made = await api.client.create(resources.CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
        assert made["metadata"]["uid"]
        patched = await api.client.patch(resources.CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default")
        assert int(patched["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        page = await api.client.list(resources.CONFIG_MAPS, "default")
        assert len(page.items) == 1
        await api.client.delete(resources.CONFIG_MAPS, "a", "default")
        with pytest.raises(StatusError, match="not found"):
            await api.client.get(resources.CONFIG_MAPS, "a", "default")


async def test_a_watch_sees_what_happens_after_its_version() -> None:
    async with embedded_api(port=None) as api:
        start = (await api.client.list(resources.CONFIG_MAPS, "default")).resource_version

        async def seen() -> list[str]:
            found = []
            async for event in api.client.watch(resources.CONFIG_MAPS, "default", resource_version=start):
                found.append(event.type)
                if len(found) == 3:
                    return found
            return found

        watching = asyncio.create_task(seen())
        await api.client.create(resources.CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
        await api.client.patch(resources.CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default")
        await api.client.delete(resources.CONFIG_MAPS, "a", "default")
        assert await asyncio.wait_for(watching, 5) == ["ADDED", "MODIFIED", "DELETED"]


async def test_custom_kinds_are_served_from_the_start() -> None:
    async with embedded_api(port=None) as api:
        flavor = {"metadata": {"name": "default-flavor"}, "spec": {}}
        flavor |= {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor"}
        made = await api.client.create(resources.RESOURCE_FLAVORS, flavor)
        assert made["kind"] == "ResourceFlavor"
        assert made["metadata"]["generation"] == 1


async def test_what_was_acknowledged_survives_a_kill() -> None:
    async with api_process(crds=False) as api:
        async with api.client() as client:
            await client.create(resources.CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
        await api.kill()
        await api.start()
        async with api.client() as client:
            assert (await client.get(resources.CONFIG_MAPS, "a", "default"))["metadata"]["name"] == "a"
