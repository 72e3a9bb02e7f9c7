"""Jobs against the API: decides, changes Pods, stores the status, lets counted Pods go; deletes finished Jobs whose time to live is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import datetime
from typing import Final

from raysail.api import conditions
from raysail.api.batch import JOB_COMPLETE, JOB_CONTROLLER_NAME, JOB_FAILED, JOB_TRACKING_FINALIZER, Job
from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.meta import parse_time
from raysail.api.resources import JOBS, PODS
from raysail.builtin.jobs.decide import Step, decide
from raysail.builtin.jobs.pods import is_tracked
from raysail.builtin.jobs.status import status_patch
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import JsonObject, PatchType, Propagation
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

REPORTER: Final = "job-controller"
MAX_ROUNDS: Final = 3
"""Pod changes and decisions before the status is written anyway."""

MAX_WRITES: Final = 32
MANY_PODS: Final = 100
BATCH_SECONDS: Final = 0.25
"""Changes of a Job with many Pods are looked at together: each look goes over all of them (Kubernetes waits a second for every Job)."""


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(Jobs(manager).controller)


def _job_of(pod: Pod) -> Iterable[Key]:
    owner = pod.metadata.controller_owner()
    return [(pod.metadata.namespace, owner.name)] if owner is not None and owner.kind == "Job" and owner.api_version == "batch/v1" else []


class Jobs:
    """Keys are Jobs."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._events = manager.events
        self._jobs = manager.informer(JOBS, Job)
        self._pods = manager.informer(PODS, Pod, {"job": _job_of})
        self._slots = asyncio.Semaphore(MAX_WRITES)
        self.controller = Controller("job", self.reconcile, concurrency=5)
        self.controller.watches(self._jobs)
        self._pods.on_change(self._pod_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for key in {key for pod in (old, new) if pod is not None for key in _job_of(pod)}:
            if self._pods.count("job", key) > MANY_PODS:
                self.controller.enqueue_after(key, BATCH_SECONDS)
            else:
                self.controller.enqueue(key)

    async def reconcile(self, key: Key) -> float | None:
        """The next step of one Job."""
        job = self._jobs.get(*key)
        owned = self._pods.by_index("job", key)
        if job is not None and job.spec.managed_by not in (None, JOB_CONTROLLER_NAME):
            return await self._expire(job)
        strangers = [pod for pod in owned if is_tracked(pod) and (job is None or _owner_uid(pod) != job.metadata.uid)]
        await self._all(self._release(pod) for pod in strangers)
        if job is None:
            return None
        if finished_at(job) is not None:
            await self._all(self._release(pod) for pod in self._pods_of(job) if is_tracked(pod))
            return await self._expire(job)
        return await self._advance(job)

    async def _advance(self, job: Job) -> float | None:
        faults: list[BaseException] = []
        step = decide(job, self._pods_of(job), self._clock.now())
        for _ in range(MAX_ROUNDS):
            if not step.changes_pods or faults:
                break
            faults = await self._change_pods(job, step)
            step = decide(job, self._pods_of(job), self._clock.now())
        if not step.changes_pods:
            await self._store(job, step)
        if faults:
            raise faults[0]
        return 0.0 if step.changes_pods else step.wake_seconds

    async def _store(self, job: Job, step: Step) -> None:
        patch = status_patch(job, step.status)
        if patch is not None:
            # Counters must be computed from the version that they are written over.
            body = {"metadata": {"resourceVersion": job.metadata.resource_version}, "status": patch}
            try:
                answer = await self._client.patch(JOBS, job.metadata.name, body, job.metadata.namespace, subresource="status")
            except StatusError as error:
                if is_not_found(error):
                    return
                raise
            self._jobs.absorb(answer)
        for told in step.events:
            self._tell(job, told.type, told.reason, told.message)
        await self._all(self._release(pod) for pod in step.release)

    async def _change_pods(self, job: Job, step: Step) -> list[BaseException]:
        works = [
            *(self._create(job, body) for body in step.create),
            *(self._delete(job, pod) for pod in step.delete),
            *(self._discard(job, pod) for pod in step.discard),
        ]
        results = await asyncio.gather(*works, return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    async def _create(self, job: Job, body: JsonObject) -> None:
        async with self._slots:
            try:
                answer = await self._client.create(PODS, body, job.metadata.namespace)
            except StatusError as error:
                if is_already_exists(error) or _namespace_ends(error):
                    # Our own create of before, whose answer was lost: the watch brings it. Or there is nothing to be told any more.
                    raise
                self._tell(job, "Warning", "FailedCreate", f"Error creating: {error}")
                raise
        self._pods.absorb(answer)
        self._tell(job, "Normal", "SuccessfulCreate", f"Created pod: {body['metadata']['name']}")

    async def _delete(self, job: Job, pod: Pod) -> None:
        meta = pod.metadata
        async with self._slots:
            try:
                answer = await self._client.delete(PODS, meta.name, meta.namespace, propagation=Propagation.BACKGROUND, uid=meta.uid)
            except StatusError as error:
                if is_not_found(error) or is_conflict(error):
                    return
                self._tell(job, "Warning", "FailedDelete", f"Error deleting: {error}")
                raise
        if answer.get("kind") == "Pod":
            self._pods.absorb(answer)
        self._tell(job, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name}")

    async def _discard(self, job: Job, pod: Pod) -> None:
        await self._release(pod)
        await self._delete(job, pod)

    async def _release(self, pod: Pod) -> None:
        if not is_tracked(pod):
            return
        meta = pod.metadata
        body = {"metadata": {"uid": meta.uid, "$deleteFromPrimitiveList/finalizers": [JOB_TRACKING_FINALIZER]}}
        async with self._slots:
            try:
                answer = await self._client.patch(PODS, meta.name, body, meta.namespace, type=PatchType.STRATEGIC)
            except StatusError as error:
                if not (is_not_found(error) or is_conflict(error)):
                    raise
                return
        self._pods.absorb(answer)

    async def _expire(self, job: Job) -> float | None:
        """Deletes a finished Job when its time is over (pkg/controller/ttlafterfinished)."""
        ended, ttl = finished_at(job), job.spec.ttl_seconds_after_finished
        if ended is None or ttl is None or job.metadata.deletion_timestamp is not None:
            return None
        remaining = ttl - (self._clock.now() - ended).total_seconds()
        if remaining > 0:
            return remaining
        meta = job.metadata
        try:
            await self._client.delete(
                JOBS, meta.name, meta.namespace, propagation=Propagation.FOREGROUND, uid=meta.uid, resource_version=meta.resource_version
            )
        except StatusError as error:
            if not is_not_found(error):
                raise
        return None

    def _pods_of(self, job: Job) -> list[Pod]:
        return [pod for pod in self._pods.by_index("job", job.metadata.key) if _owner_uid(pod) == job.metadata.uid]

    def _tell(self, job: Job, type_: str, reason: str, message: str) -> None:
        self._events.event(job, type_, reason, message, "Reconciling", controller=REPORTER)

    async def _all(self, works: Iterable[Awaitable[None]]) -> None:
        results: Sequence[BaseException | None] = await asyncio.gather(*works, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result


def finished_at(job: Job) -> datetime | None:
    """When the Job became complete or failed; None while it has not."""
    for type_ in (JOB_COMPLETE, JOB_FAILED):
        found = conditions.find(job.status.conditions, type_)
        if found is not None and found.status == "True":
            return parse_time(found.last_transition_time or job.metadata.creation_timestamp or "1970-01-01T00:00:00Z")
    return None


def _owner_uid(pod: Pod) -> str:
    owner = pod.metadata.controller_owner()
    return owner.uid if owner is not None else ""


def _namespace_ends(error: StatusError) -> bool:
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)
