"""Routes of the kubelet-like API."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from raysail.node import launching
from raysail.node.agent import Agent
from raysail.node.kubelet import streams
from raysail.node.kubelet.logs import Line, LogOptionsError, parse_options, read_log
from raysail.node.observed import inits
from raysail.node.worker import PodWorker

logger = logging.getLogger(__name__)

_V1: Final = Path("/sys/fs/cgroup/memory")


async def serve(agent: Agent) -> None:
    """Listens on the agent's socket until cancelled."""
    routes = _Routes(agent)
    application = web.Application()
    application.add_routes(
        [
            web.get("/healthz", routes.health),
            web.get("/stats/summary", routes.stats),
            web.get("/containerLogs/{namespace}/{pod}/{container}", routes.logs),
            web.get("/exec/{namespace}/{pod}/{container}", routes.execute),
            web.get("/attach/{namespace}/{pod}/{container}", routes.attach),
            web.get("/portForward/{namespace}/{pod}/{port}", routes.port_forward),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    path = agent.settings.socket
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    site = web.UnixSite(runner, str(path))
    try:
        await site.start()
        path.chmod(0o600)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class _Routes:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def logs(self, request: web.Request) -> web.StreamResponse:
        worker, container = self._container(request)
        try:
            options = parse_options(request.query, self._agent.manager.clock.now())
        except LogOptionsError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        pod = worker.pod.metadata.name
        number = worker.runs.newest(container) - (1 if options.previous else 0)
        if options.previous and number < 0:
            raise web.HTTPBadRequest(text=f'previous terminated container "{container}" in pod "{pod}" not found')
        if number < 0:
            reason = worker.waiting_reason(container)
            raise web.HTTPBadRequest(text=f'container "{container}" in pod "{pod}" is waiting to start: {reason}')
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        left = options.limit_bytes
        folder = worker.runs.logs(container)
        # Lines are put together: one write each would cost more than reading them.
        gathered = bytearray()
        flushed = asyncio.get_running_loop().time()
        lines = read_log(folder, number, options, lambda: worker.runs.is_live(container, number))
        async with contextlib.aclosing(_timed(lines)) as timed:
            async for line in timed:
                data = line.shown(options.timestamps) if line is not None else b""
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                gathered += data
                now = asyncio.get_running_loop().time()
                if line is None or len(gathered) > 1 << 16 or (options.follow and now - flushed > 0.02):
                    await response.write(bytes(gathered))
                    gathered.clear()
                    flushed = now
                if left == 0:
                    break
        await response.write(bytes(gathered))
        await response.write_eof()
        return response

    async def execute(self, request: web.Request) -> web.StreamResponse:
        worker, container = self._container(request)
        return await streams.execute(request, worker, container)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        worker, container = self._container(request)
        return await streams.attach(request, worker, container)

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        port = request.match_info["port"]
        if not port.isdigit():
            raise web.HTTPBadRequest(text=f"{port!r} is not a port number")
        return await streams.port_forward(request, worker, int(port))

    async def stats(self, request: web.Request) -> web.Response:
        pods: list[dict[str, Any]] = []
        for worker in list(self._agent.workers.values()):
            containers = [
                {"name": c.name, **_usage(launching.cgroup_name(worker.pod, c.name, number))}
                for c in worker.pod.spec.containers
                if (number := worker.runs.newest(c.name)) >= 0 and worker.runs.is_live(c.name, number)
            ]
            meta = worker.pod.metadata
            reference = {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid}
            pods.append({"podRef": reference, "containers": containers})
        return web.json_response({"node": {"nodeName": self._agent.settings.nodes[0].name}, "pods": pods})

    def _worker(self, request: web.Request) -> PodWorker:
        namespace, pod = request.match_info["namespace"], request.match_info["pod"]
        worker = self._agent.worker_of(namespace, pod)
        if worker is None:
            raise web.HTTPNotFound(text=f'pod "{pod}" in namespace "{namespace}" is not on this node')
        return worker

    def _container(self, request: web.Request) -> tuple[PodWorker, str]:
        worker, name = self._worker(request), request.match_info["container"]
        if name not in {c.name for c in (*inits(worker.pod), *worker.pod.spec.containers)}:
            raise web.HTTPNotFound(text=f"container {name} is not in pod {worker.pod.metadata.name}")
        return worker, name


async def _timed(lines: AsyncGenerator[Line]) -> AsyncGenerator[Line | None]:
    """The lines, and None whenever none has come for a moment, so that what is gathered goes out."""
    waiting: asyncio.Task[Any] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(lines))
            done, _ = await asyncio.wait((waiting,), timeout=0.02)
            if not done:
                yield None
                await asyncio.wait((waiting,))
            task, waiting = waiting, None
            try:
                yield task.result()
            except StopAsyncIteration:
                return
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await lines.aclose()


def _usage(group: str) -> dict[str, Any]:
    """Memory in use, where a cgroup counts it."""
    for path in (_V1 / group / "memory.usage_in_bytes", Path("/sys/fs/cgroup") / group.replace("/", "-") / "memory.current"):
        try:
            return {"memory": {"usageBytes": int(path.read_text())}}
        except (OSError, ValueError):
            continue  # the other version's, or none
    return {}
