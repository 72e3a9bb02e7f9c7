"""A world for the controllers: the embedded API, Pods that become ready by themselves, and a Ray dashboard that remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from raysail import ray
from raysail.api.errors import StatusError
from raysail.api.meta import format_time
from raysail.api.resources import PODS, Resource
from raysail.kube.client import Client
from raysail.kube.manager import Manager
from raysail.ray.settings import RaySettings

WRITES = ("create", "patch", "delete", "update")


@dataclass
class FakeRay:
    """Ray's job server. `answers`: what it says of a job, one after the other, the last one for ever."""

    port: int = 0
    answers: list[dict[str, Any]] = field(default_factory=lambda: [{"status": "RUNNING"}, {"status": "SUCCEEDED", "message": "done"}])
    submitted: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _told: Counter[str] = field(default_factory=Counter)

    async def _jobs(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("x-ray-authorization", ""))
        if request.method == "POST" and request.path.endswith("/stop"):
            self.stopped.append(request.match_info["id"])
            return web.json_response({"stopped": True})
        if request.method == "POST":
            body = await request.json()
            if any(known["submission_id"] == body["submission_id"] for known in self.submitted):
                return web.Response(status=500, text="Please use a different submission_id")
            self.submitted.append(body)
            return web.json_response({"job_id": body["submission_id"]})
        if not any(known["submission_id"] == request.match_info["id"] for known in self.submitted):
            return web.Response(status=404, text="no such job")
        job = request.match_info["id"]
        answer = self.answers[min(self._told[job], len(self.answers) - 1)]
        self._told[job] += 1
        return web.json_response(answer)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeRay]:
        application = web.Application()
        application.router.add_route("*", "/api/jobs/", self._jobs)
        application.router.add_route("*", "/api/jobs/{id}", self._jobs)
        application.router.add_route("*", "/api/jobs/{id}/stop", self._jobs)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        try:
            yield self
        finally:
            await runner.cleanup()


class FakeKubelet:
    """Makes every Pod Running and Ready at 127.0.0.1, and lets go of those that are deleted."""

    def __init__(self, client: Client, clock: Any) -> None:
        self._client, self._now = client, clock
        self.seen: dict[str, tuple[str, str]] = {}
        """Namespace and name of every Pod there has been, by uid."""

    async def run(self) -> None:
        page = await self._client.list(PODS)
        async for event in self._client.watch(PODS, resource_version=page.resource_version):
            if event.type in ("ADDED", "MODIFIED"):
                await self._look(orjson.loads(event.object))

    async def _look(self, pod: dict[str, Any]) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.seen[pod["metadata"]["uid"]] = (namespace, name)
        with contextlib.suppress(StatusError):  # gone meanwhile
            if "deletionTimestamp" in pod["metadata"]:
                await self._client.delete(PODS, name, namespace, grace_seconds=0)
            elif pod.get("status", {}).get("phase") != "Running":
                now = format_time(self._now())
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
                status = {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": [ready]}
                await self._client.patch(PODS, name, {"status": status}, namespace, subresource="status")


class CrashingClient:
    """A client whose process dies right after its n-th write: that write is done, its answer is never seen, and nothing follows."""

    def __init__(self, client: Client, writes_until_crash: int) -> None:
        self._client, self._left = client, writes_until_crash
        self.crashed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in WRITES:
            return method

        async def write(resource: Resource, *args: Any, **options: Any) -> Any:
            if self.crashed.is_set():
                await asyncio.Event().wait()
            counts = resource.group != "events.k8s.io"
            self._left -= counts
            last = counts and self._left == 0
            try:
                answer = await method(resource, *args, **options)
            finally:
                if last:
                    self.crashed.set()
            if self.crashed.is_set():
                await asyncio.Event().wait()
            return answer

        return write


@contextlib.asynccontextmanager
async def controllers(client: Client, settings: RaySettings, namespace: str = "") -> AsyncIterator[Manager]:
    """The Ray controllers at work, in that namespace or in all."""
    manager = Manager(client, namespaces=(namespace,) if namespace else ())
    ray.register(manager, settings)
    task = asyncio.create_task(manager.run())
    try:
        yield manager
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
