"""Following a job on Ray's job server: its state, and its log as it is written (`/api/jobs/ID/logs/tail`, a WebSocket)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

TERMINAL = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


class JobServer:
    """One cluster's job server. `address` is http://HOST:8265; `token` is empty where the cluster asks for none."""

    def __init__(self, session: aiohttp.ClientSession, address: str, token: str = "") -> None:
        self._session = session
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def status(self, job_id: str) -> str | None:
        """The Ray job's status; None while the server does not answer or does not know it yet."""
        try:
            async with self._session.get(
                f"{self._address}/api/jobs/{job_id}", headers=self._headers, timeout=aiohttp.ClientTimeout(5)
            ) as response:
                if response.status != 200:
                    return None
                document: dict[str, Any] = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None
        return str(document.get("status"))

    async def log(self, job_id: str) -> AsyncIterator[str]:
        """Pieces of the driver's output until it ends or the server goes away."""
        try:
            async with self._session.ws_connect(
                f"{self._address}/api/jobs/{job_id}/logs/tail", headers=self._headers, heartbeat=None
            ) as socket:
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        yield message.data
        except (aiohttp.ClientError, ConnectionError):
            return  # the head went away: the caller looks at the RayJob for what that means


async def upload_package(address: str, token: str, package: Path) -> str:
    """Gives a zipped working directory to a running cluster, as Ray's own client does; its URI there. Raises aiohttp.ClientError."""
    name = f"_ray_pkg_{package.stem}.zip"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{address}/api/packages/gcs/{name}") as known:
            if known.status == 200:
                return f"gcs://{name}"
        with package.open("rb") as file:
            async with session.put(f"{address}/api/packages/gcs/{name}", data=file) as stored:
                stored.raise_for_status()
    return f"gcs://{name}"
