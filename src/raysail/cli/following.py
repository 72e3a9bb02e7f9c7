"""Following a RayJob from submission to its end: what it waits for, the driver's output, its result.

The driver's log is read from Ray's job server while the cluster is there, and from the instance's history afterwards.
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
from raysail.instance.home import Home

FINISHED: Final = frozenset({"Complete", "Failed", "ValidationFailed"})
_POLL_SECONDS: Final = 0.1
_DASHBOARD_PORT: Final = 8265


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a RayJob ended. `text` is its message."""

    succeeded: bool
    status: str
    text: str


def phase(job: dict[str, Any]) -> str:
    """One word for where a RayJob stands: Queued, Starting, Running, Succeeded, Failed, Stopped, Suspended, Retrying."""
    status = job.get("status") or {}
    deployment, ray = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
    if deployment == "Complete":
        return "Succeeded" if ray == "SUCCEEDED" else ray.capitalize() or "Succeeded"
    if deployment in ("Failed", "ValidationFailed"):
        return "Stopped" if ray == "STOPPED" else "Failed"
    if deployment in ("Suspended", "Suspending") or (job["spec"].get("suspend") and deployment in ("", "New")):
        return "Queued" if (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name") else "Suspended"
    if deployment == "Running":
        return "Running" if ray == "RUNNING" else "Starting"
    return "Retrying" if deployment == "Retrying" else "Starting" if deployment in ("Initializing", "Waiting") else "Queued"


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


def kept_log(home: Home, namespace: str, name: str, job_id: str = "") -> Path | None:
    """The driver's log of a job whose cluster is gone; the latest one where the job itself is gone too."""
    folder = home.history / "jobs" / namespace
    if job_id:
        file = folder / f"{job_id}.log"
        return file if file.exists() else None
    kept = sorted(folder.glob(f"{name}-?????.log"), key=lambda file: file.stat().st_mtime) if folder.exists() else []
    return kept[-1] if kept else None


class Follower:
    """Follows one job. `progress` is told of each step in words (on standard error, so that the program's output stays clean)."""

    def __init__(self, api: Api, namespace: str, name: str, progress: Callable[[str], None]) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._progress = progress
        self._said = ""
        self._printed: dict[str, int] = {}

    async def run(self, *, wait: bool = True) -> Outcome | None:
        """Prints the driver's output until the job has ended; without `wait` until what is there is printed."""
        import aiohttp

        async with aiohttp.ClientSession() as session:
            while True:
                job = self._api.get(RAY_JOBS, self._name, self._namespace)
                status = job.get("status") or {}
                self._say(job)
                if done := outcome(job):
                    self._print_rest(status.get("jobId", ""))
                    return done
                if status.get("jobId") and status.get("rayClusterName") and phase(job) in ("Starting", "Running"):
                    await self._log(session, status["jobId"], status["rayClusterName"])
                if not wait:
                    return None
                await asyncio.sleep(_POLL_SECONDS)

    async def _log(self, session: Any, job_id: str, cluster: str) -> None:
        from raysail.sdk.ray_dashboard import JobServer

        found = job_server(self._api, self._namespace, cluster)
        if found is None:
            return
        server = JobServer(session, *found)
        if await server.status(job_id) is None:
            return
        self._say_once("running")
        seen = 0
        async for text in server.log(job_id):
            # A new connection starts at the beginning: what was printed before is passed over.
            before = self._printed.get(job_id, 0)
            fresh = text[max(0, before - seen) :]
            seen += len(text)
            if fresh:
                click.echo(fresh, nl=False)
                self._printed[job_id] = max(before, seen)

    def _print_rest(self, job_id: str) -> None:
        """What the connection missed: the end of a log is often written as the cluster goes away."""
        file = kept_log(self._api.home, self._namespace, self._name, job_id) if job_id else None
        if file is not None:
            rest = file.read_text(errors="replace")[self._printed.get(job_id, 0) :]
            click.echo(rest, nl=False)
            self._printed[job_id] = self._printed.get(job_id, 0) + len(rest)

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
