"""What the queue does to a job: starts it with what admission gives its Pods, stops it and takes that back, tells its user; and the plain writes.

Every write to a job carries the resourceVersion it was computed from. Source: Kueue pkg/controller/jobframework/reconciler.go (startJob, stopJob).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from raysail.api.errors import StatusError, is_not_found
from raysail.api.kueue import Workload, names
from raysail.api.resources import Resource
from raysail.kube.client import Propagation
from raysail.kube.informer import Informer, Key
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import Job, JobKind, JsonObject, Step
from raysail.queue.jobs.shared import Jobs
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo, infos_of_admission, infos_of_workload
from raysail.queue.writes import StatusWriter, merge_patch


class JobActions:
    """Reads and writes of the jobs of one kind."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        self.jobs = jobs
        self.kind = kind
        self.cache = jobs.cache
        self.settings = jobs.settings
        self.gates = JobGates.of(jobs.settings)
        self.clock = jobs.manager.clock
        self.client = jobs.manager.client
        self.events = jobs.manager.events
        resource = kind.resource
        self.informer = jobs.informers[resource.group, resource.kind]
        self.companions: Informer[Job] | None = None
        """The objects that do the work of this kind's jobs, where a kind has such."""
        if kind.companion is not None:
            self.companions = jobs.informers[kind.companion.group, kind.companion.kind]
        self.writer = StatusWriter(self.client, resource, self.informer)
        self.workloads = jobs.workload_writer

    # reading

    def key_of(self, job: Job) -> Key:
        """The key under which this job is loaded."""
        return job.metadata.key

    def load(self, key: Key) -> Job | None:
        """The job with that key as it is now, with the object that does its work."""
        job = self.informer.get(*key)
        if job is None or self.companions is None:
            return job
        name = self.kind.companion_name(job)
        companion = self.companions.get(job.metadata.namespace, name) if name else None
        return msgspec.structs.replace(job, companion=companion) if companion is not None else job

    @property
    def _now(self) -> datetime:
        return self.clock.now()

    # starting and stopping

    def _infos(self, workload: Workload) -> list[PodSetInfo]:
        """What each pod set of an admitted Workload gets. Raises PodSetConflictError, MissingFlavorError."""
        gates = self.gates
        return infos_of_admission(
            workload,
            self.cache.world.flavors,
            topology=gates.topology_aware_scheduling,
            queue_labels=gates.assign_queue_labels_for_pods,
            elastic=gates.elastic_jobs,
        )

    async def _start(self, job: Job, workload: Workload) -> None:
        try:
            step = self.kind.start(job, self._infos(workload))
        except PodSetConflictError as error:
            text = str(error)  # trying again would not help
            await self._change(workload, lambda w, s: transitions.finish(s, "FailedToStart", text, self._now, w.metadata.generation))
            return
        if await self._apply(job, step) is not None and workload.status.admission is not None:
            self._say(job, "Normal", "Started", f"Admitted by clusterQueue {workload.status.admission.cluster_queue}")

    async def _stop(self, job: Job, workload: Workload | None, message: str, reason: str) -> None:
        """`reason`: why, as kinds that end by it write it down (Kueue's StopReason)."""
        was_suspended = self.kind.suspended(job)
        for step in self.kind.stop(job, infos_of_workload(workload) if workload is not None else ()):
            written = await self._apply(job, step)
            if written is None:
                return
            job = written
        if not was_suspended:
            self._say(job, "Normal", "Stopped", cut(message))

    async def _let_go(self, job: Job) -> None:
        """The queue has nothing more to do with the job: what was put on it for that time is taken off."""

    async def _apply(self, job: Job, step: Step) -> Job | None:
        """Writes one step; None where the job is gone. A conflict raises: the next reconcile starts from the newest."""
        if step.status is not None:
            fields = step.status

            def change(_: Job, status: dict[str, Any]) -> bool:
                for name, value in fields.items():
                    if value is None:
                        status.pop(name, None)
                    else:
                        status[name] = value
                return True

            return await self.writer.change(job, change, newest=lambda: job) or self.informer.get(*job.metadata.key)
        patch: JsonObject = {}
        if step.spec is not None and (spec := merge_patch(job.spec, step.spec)):
            patch["spec"] = spec
        if step.annotations:
            changed = {key: value for key, value in step.annotations.items() if job.annotations.get(key) != value}
            if changed:
                patch["metadata"] = {"annotations": changed}
        if not patch:
            return job
        written: Job | None = await self.writer.patch(job, patch)
        return written

    # plain writes

    async def _change(self, workload: Workload, change: Any) -> Workload | None:
        return await self.workloads.change(workload, change)

    async def _drop_finalizer(self, workload: Workload) -> None:
        present = workload.metadata.finalizers or []
        if names.RESOURCE_IN_USE_FINALIZER in present:
            left = [each for each in present if each != names.RESOURCE_IN_USE_FINALIZER]
            await self.workloads.patch(workload, {"metadata": {"finalizers": left or None}})

    async def _delete(self, resource: Resource, obj: Any, propagation: Propagation | None) -> bool:
        """Deletes that very object; False where it is gone or another one has its name."""
        try:
            await self.client.delete(resource, obj.metadata.name, obj.metadata.namespace, propagation=propagation, uid=obj.metadata.uid)
        except StatusError as error:
            if not is_not_found(error) and error.code != 409:
                raise
            return False
        return True

    def _say(self, job: Job, type_: str, reason: str, message: str) -> None:
        self.events.event(job, type_, reason, message, reason)
