"""One embedded API for all tests of a module; each test works in a namespace of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.support.embedded import EmbeddedApi, embedded_api

_numbers = itertools.count(1)


class Http:
    """Requests as a person with curl would make them. `ns` is this test's namespace."""

    def __init__(self, api: EmbeddedApi, namespace: str) -> None:
        self.api = api
        self.ns = namespace
        self.core = f"/api/v1/namespaces/{namespace}"

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        headers: dict[str, str] | None = None,
        **params: str,
    ) -> tuple[int, Any]:
        """(status, decoded body)."""
        status, _, answer = await self.whole(method, path, body, media=media, headers=headers, **params)
        return status, answer

    async def whole(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        headers: dict[str, str] | None = None,
        **params: str,
    ) -> tuple[int, Any, Any]:
        """(status, headers, decoded body)."""
        sent = {"Content-Type": media} if body is not None else {}
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        status, received, raw = await self.api.client.raw(method, path, params=params, body=data, headers={**sent, **(headers or {})})
        return status, received, json.loads(raw) if raw and "json" in received.get("Content-Type", "") else raw


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api() -> AsyncIterator[EmbeddedApi]:
    """The API of the module."""
    async with embedded_api(install_crds=True) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def http(shared_api: EmbeddedApi) -> Http:
    """Requests in a fresh namespace."""
    namespace = f"t{next(_numbers)}"
    made = Http(shared_api, namespace)
    status, _ = await made("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    assert status == 201
    return made
