"""The controllers are killed again and again while Jobs run: every completion is counted once, no Pod is made twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raysail.api.batch import Job
from raysail.api.core import Pod
from raysail.api.errors import StatusError
from raysail.api.resources import JOBS, PODS
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from tests.support.embedded import api_process

JOB_COUNT, COMPLETIONS, KILLS = 8, 12, 25


@contextlib.asynccontextmanager
async def controllers(socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "raysail.operator", f"--socket={socket}", "--controllers=job,gc", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def kill_often(socket: Path, chance: random.Random) -> None:
    for _ in range(KILLS):
        async with controllers(socket):
            await asyncio.sleep(0.4 + chance.random() * 0.8)


class Agent:
    """Plays the node agent: each new Pod runs for a moment and succeeds."""

    def __init__(self, client: HttpClient, manager: Manager) -> None:
        self.client = client
        self.seen: dict[str, str] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        manager.informer(PODS, Pod).on_change(self.changed)

    def changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and old is None and new.status.phase == "Pending":
            self.seen[new.metadata.uid] = new.metadata.name
            task = asyncio.create_task(self.succeed(new))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def succeed(self, pod: Pod) -> None:
        await asyncio.sleep(0.05)
        with contextlib.suppress(StatusError):
            await self.client.patch(
                PODS, pod.metadata.name, {"status": {"phase": "Succeeded"}}, pod.metadata.namespace, subresource="status"
            )


@pytest.mark.slow
async def test_jobs_are_exact_through_kills() -> None:
    async with api_process(crds=False) as api, api.client() as client, asyncio.timeout(180):
        manager = Manager(client)
        agent = Agent(client, manager)
        jobs = manager.informer(JOBS, Job)
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
        async with manager:
            for number in range(JOB_COUNT):
                mode = "Indexed" if number % 2 else "NonIndexed"
                spec = {"parallelism": 3, "completions": COMPLETIONS, "completionMode": mode, "template": template}
                await client.create(JOBS, {"metadata": {"name": f"j{number}"}, "spec": spec}, "default")
            await kill_often(api.socket, random.Random(1))

            def finished() -> bool:
                return all(any(c.type == "Complete" for c in job.status.conditions or ()) for job in jobs.list())

            async with controllers(api.socket):
                await jobs.until(finished)
        for job in jobs.list():
            assert (job.status.succeeded, job.status.failed, job.status.active) == (COMPLETIONS, 0, 0), job.metadata.name
        assert len(agent.seen) == JOB_COUNT * COMPLETIONS, "no Pod too many ever ran"
