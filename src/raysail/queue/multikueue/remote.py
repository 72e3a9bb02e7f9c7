"""The connections to workers: one client and a few informers each, which come and go with the MultiKueueClusters."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from raysail.api.errors import is_not_found
from raysail.api.kueue import Workload
from raysail.api.kueue.admission.jobkinds import JobKind
from raysail.api.kueue.names import MULTIKUEUE_ORIGIN_LABEL, PREBUILT_WORKLOAD_NAME
from raysail.api.meta import Object
from raysail.api.resources import WORKLOADS
from raysail.kube import kubeconfig
from raysail.kube.client import Client, Propagation
from raysail.kube.http import HttpClient
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.multikueue.jobs import KINDS, is_ours, kind_of, owner_of

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 20.0
FINALIZER: Final = "kueue.x-k8s.io/resource-in-use"


class ForeignObjectError(Exception):
    """On the worker there is an object of that name which did not come from here."""


class Worker:
    """One cluster that jobs are handed to. `changed` is told the key of each Workload whose copy, or whose job's copy, is different."""

    def __init__(self, name: str, text: str, origin: str, changed: Callable[[Key], None]) -> None:
        self.name = name
        self.origin = origin
        self.fingerprint = self.print_of(text)
        self.client: Client = HttpClient(kubeconfig.parse(text, f"MultiKueueCluster {name}"))
        self._manager = Manager(self.client, component="kueue-multikueue")
        selector = f"{MULTIKUEUE_ORIGIN_LABEL}={origin}"
        self.workloads = self._manager.informer(WORKLOADS, Workload, label_selector=selector)
        self.workloads.on_change(lambda old, new: changed((new or old).metadata.key))  # type: ignore[union-attr]
        for kind in KINDS:
            jobs = self._manager.informer(kind.resource, Object, label_selector=selector, optional=True)
            jobs.on_change(lambda old, new: self._job_changed(new or old, changed))
        self._running: asyncio.Task[None] | None = None

    @staticmethod
    def print_of(text: str) -> str:
        """What tells one kubeconfig from another, without keeping it."""
        return hashlib.sha256(text.encode()).hexdigest()

    def _job_changed(self, job: Object | None, changed: Callable[[Key], None]) -> None:
        workload = (job.metadata.labels or {}).get(PREBUILT_WORKLOAD_NAME) if job is not None else None
        if job is not None and workload:
            changed((job.metadata.namespace, workload))

    async def connect(self) -> None:
        """Returns when the copies on it are known. Raises TimeoutError, ConnectionError."""
        await self.client.list(WORKLOADS, limit=1)  # an answer at once, and an error that says what is wrong
        self._running = asyncio.create_task(self._manager.run(), name=f"multikueue worker {self.name}")
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._manager.wait_ready()

    @property
    def connected(self) -> bool:
        """Whether it answers."""
        return self._running is not None and not self._running.done() and self._manager.reachability.reachable

    @property
    def error(self) -> str:
        """Why it does not answer."""
        return self._manager.reachability.error

    async def close(self) -> None:
        """Ends the connection; what is on the worker stays."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        if isinstance(self.client, HttpClient):
            await self.client.close()

    # what is on it

    async def job(self, kind: JobKind, key: Key) -> dict[str, Any] | None:
        """The job's copy; None where there is none. Raises ForeignObjectError where another job has its name."""
        try:
            found = await self.client.get(kind.resource, key[1], key[0])
        except Exception as error:
            if is_not_found(error):
                return None
            raise
        if not is_ours(found, self.origin):
            raise ForeignObjectError(f"{kind.resource.kind} {key[0]}/{key[1]} on {self.name} does not belong to MultiKueue {self.origin!r}")
        return found

    async def remove(self, key: Key, kind: JobKind | None, job: str) -> None:
        """The job's copy goes, then the Workload's. What is gone already is no error, what is not ours stays."""
        if kind is not None and job:
            with contextlib.suppress(ForeignObjectError):
                if await self.job(kind, (key[0], job)) is not None:
                    await self._gone(self.client.delete(kind.resource, job, key[0], propagation=Propagation.BACKGROUND))
        copy = self.workloads.get(*key)
        if copy is None:
            return
        kept = [each for each in copy.metadata.finalizers or () if each != FINALIZER]
        if len(kept) != len(copy.metadata.finalizers or ()):
            await self._gone(self.client.patch(WORKLOADS, key[1], {"metadata": {"finalizers": kept or None}}, key[0]))
        await self._gone(self.client.delete(WORKLOADS, key[1], key[0]))

    async def _gone(self, request: Any) -> None:
        try:
            await request
        except Exception as error:
            if not is_not_found(error):
                raise

    async def collect(self, exists: Callable[[Key], bool]) -> None:
        """Removes copies of Workloads that do not exist here any more (they were deleted while the worker was away)."""
        if not self.connected:
            return
        for copy in self.workloads.list():
            key = copy.metadata.key
            if exists(key):
                continue
            owner = owner_of(copy)
            try:
                await self.remove(key, kind_of(owner), owner.name if owner is not None else "")
            except Exception as error:  # the others are collected all the same; this one the next time
                logger.warning("cannot remove Workload %s/%s from %s: %s", *key, self.name, error)


class Workers:
    """All connections, by the name of the MultiKueueCluster."""

    def __init__(self) -> None:
        self.by_name: dict[str, Worker] = {}
        self.lost: dict[str, datetime] = {}
        """Clusters that do not answer, and since when."""

    def connected(self, name: str) -> Worker | None:
        """The connection, if that cluster answers."""
        found = self.by_name.get(name)
        return found if found is not None and found.connected else None

    def lost_since(self, name: str, now: datetime) -> datetime:
        """Since when that cluster does not answer; remembered from the first time this is asked."""
        return self.lost.setdefault(name, now)

    async def drop(self, name: str) -> None:
        """Ends that connection."""
        worker = self.by_name.pop(name, None)
        if worker is not None:
            await worker.close()
