"""A refused write is answered when what it was refused for is on disk: whoever reads then, to try again, sees it."""

from __future__ import annotations

import asyncio
from typing import Any

from raysail.api.errors import StatusError
from raysail.api.resources import CONFIG_MAPS
from tests.support.embedded import embedded_api


async def test_after_a_conflict_the_other_write_can_be_read() -> None:
    async with embedded_api() as api:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"n": "0"}}
        made = await api.client.create(CONFIG_MAPS, body, "default")
        for number in range(1, 20):
            version = made["metadata"]["resourceVersion"]

            async def read_after_conflict(version: str = version) -> str:
                try:
                    await api.client.patch(CONFIG_MAPS, "c", {"metadata": {"resourceVersion": version}, "data": {"n": "late"}}, "default")
                except StatusError as error:
                    if error.code != 409:
                        raise
                found = await api.client.get(CONFIG_MAPS, "c", "default")
                return str(found["metadata"]["resourceVersion"])

            first = api.client.patch(CONFIG_MAPS, "c", {"metadata": {"resourceVersion": version}, "data": {"n": str(number)}}, "default")
            answers: list[Any] = await asyncio.gather(first, *(read_after_conflict() for _ in range(8)))
            made, read = answers[0], answers[1:]
            assert set(read) == {made["metadata"]["resourceVersion"]}
