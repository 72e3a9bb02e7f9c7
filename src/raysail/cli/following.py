"""Following a RayJob from submission to its end: what it waits for, the driver's output, its result.

The driver's log is read where it is written while the cluster is there, and from the instance's history afterwards.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import PODS, RAY_CLUSTERS, RAY_JOBS, SECRETS, WORKLOADS
from raysail.cli.connection import Api
from raysail.cli.driver_log import LogReader, kept_log, live_log
from raysail.cli.phase import phase

FINISHED: Final = frozenset({"Complete", "Failed", "ValidationFailed"})
_POLL_SECONDS: Final = 0.1
_KEEPING_SECONDS: Final = 5.0
"""How long the agent may take to keep the log of a head that ends."""
_DASHBOARD_PORT: Final = 8265


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a RayJob ended. `text` is its message."""

    succeeded: bool
    status: str
    text: str


def outcome(job: dict[str, Any]) -> Outcome | None:
    """The result, once there is one."""
    status = job.get("status") or {}
    deployment = status.get("jobDeploymentStatus", "")
    if deployment not in FINISHED:
        return None
    ray = status.get("jobStatus", "")
    return Outcome(deployment == "Complete" and ray == "SUCCEEDED", phase(job), status.get("message") or status.get("reason") or "")


def job_server(api: Api, namespace: str, cluster: str) -> tuple[str, str] | None:
    """(address, token) of the cluster's job server; None while its head has no address."""
    pods = api.list(PODS, namespace, labelSelector=f"ray.io/cluster={cluster},ray.io/node-type=head")
    address = next(
        (p["status"]["podIP"] for p in pods if (p.get("status") or {}).get("podIP") and not p["metadata"].get("deletionTimestamp")), None
    )
    return (f"http://{address}:{_DASHBOARD_PORT}", token(api, namespace, cluster)) if address else None


def token(api: Api, namespace: str, cluster: str) -> str:
    """The bearer token that Ray asks for in this cluster; empty where it asks for none."""
    try:
        found = api.get(RAY_CLUSTERS, cluster, namespace)
        options = found["spec"].get("authOptions") or {}
        secret = api.get(SECRETS, options.get("secretName") or cluster, namespace)
    except StatusError as error:
        if is_not_found(error):
            return ""
        raise
    return base64.b64decode((secret.get("data") or {}).get("auth_token", "")).decode()


class Follower:
    """Follows one job. `progress` is told of each step in words (on standard error, so that the program's output stays clean)."""

    def __init__(self, api: Api, namespace: str, name: str, progress: Callable[[str], None]) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._progress = progress
        self._said = ""
        self._printed: dict[str, int] = {}
        self._reader: LogReader | None = None
        self._reading = ""  # the id whose log the reader reads
        self._read = 0

    async def run(self, *, wait: bool = True) -> Outcome | None:
        """Prints the driver's output until the job has ended; without `wait` until what is there is printed."""
        import aiohttp

        async with aiohttp.ClientSession() as session:
            try:
                while True:
                    job = self._api.get(RAY_JOBS, self._name, self._namespace)
                    status = job.get("status") or {}
                    self._say(job)
                    job_id, done = status.get("jobId", ""), outcome(job)
                    if job_id:
                        await self._output(session, job_id, status.get("rayClusterName", ""), job, ended=done is not None)
                    if done is not None or not wait:
                        return done
                    await asyncio.sleep(_POLL_SECONDS)
            finally:
                self._let_go()

    async def _output(self, session: Any, job_id: str, cluster: str, job: dict[str, Any], *, ended: bool) -> None:
        """Prints what the driver has written since the last time."""
        if job_id != self._reading:  # a retry has an id, and a log, of its own
            self._let_go()
            self._reading = job_id
        if self._reader is None:
            file = self._file(job_id, cluster)
            deadline = time.monotonic() + _KEEPING_SECONDS
            while ended and file is None and self._head(cluster) is not None and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)  # its head is just going away and leaves the log behind
                file = self._file(job_id, cluster)
            if file is not None:
                self._reader = LogReader(file)
                self._say_once("running")
            elif not ended and (job.get("status") or {}).get("jobStatus") == "RUNNING":
                await self._served_output(session, job_id, cluster)
        if self._reader is not None and (text := self._reader.read()):
            self._show(job_id, text, 0)

    def _file(self, job_id: str, cluster: str) -> Path | None:
        head = self._head(cluster) if cluster else None
        found = live_log(self._api.home, head["metadata"]["uid"], job_id) if head is not None else None
        return found or kept_log(self._api.home, self._namespace, self._name, job_id)

    def _head(self, cluster: str) -> dict[str, Any] | None:
        pods = self._api.list(PODS, self._namespace, labelSelector=f"ray.io/cluster={cluster},ray.io/node-type=head")
        return next(iter(pods), None)

    async def _served_output(self, session: Any, job_id: str, cluster: str) -> None:
        """From Ray's job server, for a head that keeps its files where we do not see them."""
        from raysail.sdk.ray_dashboard import JobServer

        found = job_server(self._api, self._namespace, cluster)
        if found is None:
            return
        self._say_once("running")
        seen = 0
        async for text in JobServer(session, *found).log(job_id):
            # A new connection starts at the beginning: what was printed before is passed over.
            self._show(job_id, text, seen)
            seen += len(text)

    def _show(self, job_id: str, text: str, at: int) -> None:
        """Prints the text, which begins at that place of its source, without what has been printed before."""
        before = self._printed.get(job_id, 0)
        if self._reader is not None:
            at = self._read
            self._read += len(text)
        fresh = text[max(0, before - at) :]
        if fresh:
            click.echo(fresh, nl=False)
        self._printed[job_id] = max(before, at + len(text))

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._read = None, 0

    def _say(self, job: dict[str, Any]) -> None:
        where = phase(job)
        if where == "Queued":
            self._say_once(f"queued{self._queue_reason(job)}")
        elif where == "Starting":
            cluster = (job.get("status") or {}).get("rayClusterName", "")
            self._say_once(f"admitted; cluster {cluster} is starting" if cluster else "admitted")
        elif where == "Retrying":
            self._say_once("retrying")

    def _queue_reason(self, job: dict[str, Any]) -> str:
        uid = job["metadata"]["uid"]
        for workload in self._api.list(WORKLOADS, self._namespace, labelSelector=f"kueue.x-k8s.io/job-uid={uid}"):
            for condition in (workload.get("status") or {}).get("conditions") or ():
                if condition["type"] == "QuotaReserved" and condition["status"] == "False":
                    return f": {condition['message']}"
        return ""

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._progress(text)


def progress_line(started: float) -> Callable[[str], None]:
    """Tells steps with the seconds since `started` (time.monotonic) on standard error."""

    def tell(text: str) -> None:
        click.echo(click.style(f"[{time.monotonic() - started:5.1f}s] {text}", dim=True), err=True)

    return tell
