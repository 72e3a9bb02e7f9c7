"""A real kube-apiserver for tests of clients and controllers, with the face of `tests.support.embedded.embedded_api`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from raysail.kube.http import HttpClient
from tests.support.embedded import short_folder
from tests.support.kubernetes import Kubernetes, assets

__all__ = ["KubeApi", "assets", "kube_apiserver"]


@dataclass(slots=True)
class KubeApi:
    """As much of `EmbeddedApi` as tests of controllers need."""

    folder: Path
    url: str
    client: HttpClient


@contextlib.asynccontextmanager
async def kube_apiserver(**_: object) -> AsyncIterator[KubeApi]:
    """Started afresh, with nothing in it."""
    with short_folder(None) as folder:
        server = Kubernetes(folder)
        try:
            await server.start()
            async with server.client() as client:
                yield KubeApi(folder, server.url, client)
        finally:
            await server.stop()
