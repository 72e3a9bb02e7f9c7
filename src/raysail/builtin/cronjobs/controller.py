"""CronJobs against the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.batch import CronJob, Job
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.resources import CRON_JOBS, JOBS
from raysail.builtin.cronjobs.decide import Step, decide
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import Propagation
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

REPORTER: Final = "cronjob-controller"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(CronJobs(manager).controller)


def _cron_of(job: Job) -> Iterable[Key]:
    owner = job.metadata.controller_owner()
    return [(job.metadata.namespace, owner.name)] if owner is not None and owner.kind == "CronJob" else []


class CronJobs:
    """Keys are CronJobs."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._events = manager.events
        self._crons = manager.informer(CRON_JOBS, CronJob)
        self._jobs = manager.informer(JOBS, Job, {"cronjob": _cron_of})
        self.controller = Controller("cronjob", self.reconcile, concurrency=5)
        self.controller.watches(self._crons)
        self.controller.watches(self._jobs, _cron_of)

    async def reconcile(self, key: Key) -> float | None:
        """The next step of one CronJob."""
        cron = self._crons.get(*key)
        if cron is None:
            return None
        owned = [
            job
            for job in self._jobs.by_index("cronjob", key)
            if (owner := job.metadata.controller_owner()) is not None and owner.uid == cron.metadata.uid
        ]
        step = decide(cron, owned, self._clock.now())
        try:
            await self._perform(cron, step)
        except StatusError as error:
            if not is_not_found(error):
                raise
        return step.wake_seconds

    async def _perform(self, cron: CronJob, step: Step) -> None:
        meta = cron.metadata
        for told in step.events:
            self._tell(cron, told.type, told.reason, told.message)
        for job in step.delete:
            await self._delete(cron, job)
        created = None
        if step.create is not None:
            name = step.create["metadata"]["name"]
            try:
                created = self._jobs.absorb(await self._client.create(JOBS, step.create, meta.namespace))
                self._tell(cron, "Normal", "SuccessfulCreate", f"Created job {name}")
            except StatusError as error:
                if not is_already_exists(error):
                    self._tell(cron, "Warning", "FailedCreate", f"Error creating job: {error}")
                    raise
        status = dict(step.status or {})
        if created is not None:
            # The new Job is active; without this the status would be written a second time at once.
            listed = status.get("active", cron.status.active)
            reference = {"apiVersion": JOBS.api_version, "kind": JOBS.kind, "namespace": meta.namespace}
            identity = {"name": created.metadata.name, "uid": created.metadata.uid, "resourceVersion": created.metadata.resource_version}
            status["active"] = [*(listed or ()), {**reference, **identity}]
        if status:
            body = {"metadata": {"resourceVersion": meta.resource_version}, "status": status}
            self._crons.absorb(await self._client.patch(CRON_JOBS, meta.name, body, meta.namespace, subresource="status"))

    async def _delete(self, cron: CronJob, job: Job) -> None:
        meta = job.metadata
        try:
            await self._client.delete(JOBS, meta.name, meta.namespace, propagation=Propagation.BACKGROUND, uid=meta.uid)
        except StatusError as error:
            if not is_not_found(error):
                raise
        self._tell(cron, "Normal", "SuccessfulDelete", f"Deleted job {meta.name}")

    def _tell(self, cron: CronJob, type_: str, reason: str, message: str) -> None:
        self._events.event(cron, type_, reason, message, "Reconciling", controller=REPORTER)
