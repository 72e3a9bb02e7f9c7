from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raysail.kube.http import HttpClient
from tests.kube.fault_server import FaultServer


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    # Not tmp_path: the path of a Unix socket must stay short.
    with tempfile.TemporaryDirectory() as folder:
        server = FaultServer(Path(folder) / "api.sock")
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
async def client(server: FaultServer) -> AsyncIterator[HttpClient]:
    async with HttpClient(server.connection) as client:
        yield client
