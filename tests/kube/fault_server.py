"""A small API server for protocol faults only: a list and a watch of ConfigMaps that a test can cut, end, expire and refuse at will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from raysail.kube.connection import Connection, unix_socket


class FaultServer:
    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.version = 100
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.oldest = 0
        self.requests: list[tuple[str, str]] = []
        self.watching = 0
        self.watch_versions: list[str] = []
        self.before: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
        self._cut = asyncio.Event()
        self._news = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def connection(self) -> Connection:
        return unix_socket(self.socket)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        """Dies: open connections break in the middle."""
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
        self.socket.unlink(missing_ok=True)

    def cut(self) -> None:
        self._cut.set()
        self._cut = asyncio.Event()

    async def put(self, name: str, namespace: str = "default", **fields: Any) -> dict[str, Any]:
        self.version += 1
        key = (namespace, name)
        uid = self.objects[key]["metadata"]["uid"] if key in self.objects else f"uid-{self.version}"
        meta = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(self.version)}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **fields}
        kind = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = obj
        await self._tell(kind, obj)
        return obj

    async def remove(self, name: str, namespace: str = "default") -> None:
        self.version += 1
        obj = self.objects.pop((namespace, name))
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        await self._tell("DELETED", obj)

    async def bookmark(self) -> None:
        await self._tell("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": str(self.version)}})

    def compact(self) -> None:
        self.oldest = self.version

    async def _tell(self, kind: str, obj: dict[str, Any]) -> None:
        self.history.append((self.version, kind, obj))
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        refused = self.before(request)
        if refused is not None:
            return refused
        if "watch" in request.query:
            return await self._watch(request)
        items = [{k: v for k, v in obj.items() if k not in ("apiVersion", "kind")} for obj in self.objects.values()]
        return web.json_response(
            {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": str(self.version)}, "items": items}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        self.watch_versions.append(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if since < self.oldest:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": f"too old resource version: {since} ({self.oldest})"}
            await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return response
        cut, sent = self._cut, next((at for at, (version, _, _) in enumerate(self.history) if version > since), len(self.history))
        self.watching += 1
        try:
            while True:
                for version, kind, obj in self.history[sent:]:
                    sent += 1
                    if version > since or kind == "BOOKMARK":
                        await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                if len(self.history) == sent:
                    waiting = [asyncio.ensure_future(event.wait()) for event in (self._news, cut)]
                    try:
                        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for task in waiting:
                            task.cancel()
                if cut.is_set():
                    if request.transport is not None:
                        await response.write(b'{"type":"MODIFIED","object":{"kind":"ConfigMap","meta')
                        request.transport.abort()
                    return response
        finally:
            self.watching -= 1
