"""Reconciling RayCronJobs."""

from __future__ import annotations

from typing import Final

from raysail.api.errors import StatusError, is_already_exists
from raysail.api.meta import format_time
from raysail.api.ray import RayCronJob
from raysail.api.resources import RAY_CRON_JOBS, RAY_JOBS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.ray.cronjob import ticks
from raysail.ray.settings import RaySettings
from raysail.ray.validation import InvalidError

_CONTROLLER: Final = "raycronjob-controller"


class CronJobController:
    """One for all RayCronJobs."""

    def __init__(self, manager: Manager, settings: RaySettings) -> None:
        self._manager, self._client, self._settings = manager, manager.client, settings
        self._crons = manager.informer(RAY_CRON_JOBS, RayCronJob)
        self.controller = Controller(_CONTROLLER, self.reconcile, settings.concurrency)
        self.controller.watches(self._crons)

    async def reconcile(self, key: Key) -> float | None:
        """One look at one schedule: at most one RayJob; the write that tells of it brings us back."""
        cron = self._crons.get(*key)
        if cron is None or cron.metadata.deletion_timestamp is not None:
            return None
        try:
            ticks.check(cron, self._settings.gates)
        except InvalidError as error:
            self._event(cron, "Warning", "InvalidRayCronJobSpec", f"{cron.metadata.namespace}/{cron.metadata.name}: {error}", "Validate")
            return None
        if cron.spec.suspend:
            self._event(cron, "Normal", "SuspendedRayCronJob", "RayCronJob suspended, no new RayJobs will be created", "Suspend")
            return None
        tick = ticks.due(cron, self._manager.clock.now())
        if tick.at is None:
            return tick.wait_seconds
        try:
            await self._client.create(RAY_JOBS, ticks.job_of(cron, tick.at), cron.metadata.namespace)
        except StatusError as error:
            if not is_already_exists(error):  # made by a try before whose status was not written
                raise
        patch = {"metadata": {"resourceVersion": cron.metadata.resource_version}, "status": {"lastScheduleTime": format_time(tick.at)}}
        answer = await self._client.patch(RAY_CRON_JOBS, cron.metadata.name, patch, cron.metadata.namespace, subresource="status")
        self._crons.absorb(answer)
        return tick.wait_seconds

    def _event(self, cron: RayCronJob, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(cron, type_, reason, message, action, controller=_CONTROLLER)
