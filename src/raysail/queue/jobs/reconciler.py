"""Holding jobs back: each job of a registered kind gets a Workload, runs while that is admitted, and is suspended when it is not.

One reconcile looks at one job and does the next step. `actions` has what is done to a job, `upkeep` what is done about its Workload.
Source: Kueue pkg/controller/jobframework/reconciler.go (ReconcileGenericJob); order of steps, events and texts as there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from raysail.api import conditions
from raysail.api.kueue import Workload, names
from raysail.api.meta import parse_time
from raysail.kube.client import Propagation
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.queue.jobs.kind import InvalidJobError, Job, JobKind, Step
from raysail.queue.jobs.shared import Jobs, LookAgain, NestingTooDeepError, group_of
from raysail.queue.jobs.upkeep import WorkloadUpkeep
from raysail.queue.jobs.workloads import MissingPriorityClassError, prebuilt_name, readiness
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.slices import is_evicted, key_of
from raysail.queue.model.workload import has_reservation, is_active, is_admitted, is_finished, limited_reclaim, reclaimed_pods

logger = logging.getLogger(__name__)


class JobReconciler(WorkloadUpkeep):
    """Reconciles the jobs of one kind."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        super().__init__(jobs, kind)
        self._without_class: set[Key] = set()
        """Jobs whose priority class does not exist: they are looked at again when a class appears."""
        resource = kind.resource
        label = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        self.controller = Controller(f"{resource.kind.lower()}-queue", self.reconcile, jobs.settings.parallel(label, 5))
        self.controller.watches(self.informer, self.keys_of)
        if self.companions is not None:
            self.controller.watches(self.companions, self._keys_of_companion)
        self.cache.workloads.on_change(self._workload_changed)
        jobs.workload_classes.on_change(lambda old, _: self._class_appeared(old is None))
        jobs.pod_classes.on_change(lambda old, _: self._class_appeared(old is None))
        jobs.manager.add(self.controller)

    # what wakes it

    def keys_of(self, job: Job) -> Iterable[Key]:
        """What is to be looked at when this object changes; jobs of several objects have one key for all of them."""
        return (job.metadata.key,)

    def _keys_of_companion(self, companion: Job) -> Iterable[Key]:
        owner = companion.metadata.controller_owner()
        resource = self.kind.resource
        if owner is None or (group_of(owner.api_version), owner.kind) != (resource.group, resource.kind):
            return ()
        return ((companion.metadata.namespace, owner.name),)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        obj = new if new is not None else old
        for job in self.informer.by_index("prebuilt", obj.metadata.key) if obj is not None else ():
            self.controller.enqueue(job.metadata.key)
        for owner in obj.metadata.owner_references or () if obj is not None else ():
            if owner.kind == self.kind.resource.kind and group_of(owner.api_version) == self.kind.resource.group:
                self.controller.enqueue((obj.metadata.namespace, owner.name))  # type: ignore[union-attr]
            for child in self.informer.by_index("owner_uid", owner.uid):
                self.controller.enqueue(child.metadata.key)

    def _class_appeared(self, new: bool) -> None:
        waiting, self._without_class = (self._without_class, set()) if new else (set(), self._without_class)
        for key in waiting:
            self.controller.enqueue(key)

    async def reconcile(self, key: Key) -> float | None:
        """The next step for this job."""
        try:
            return await self.attempt(key)
        except InvalidJobError as error:
            job = self.load(key)
            if error.told and job is not None:
                self._say(job, "Warning", "ErrWorkloadCompose", cut(str(error)))
            else:
                logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            return None
        except MissingPriorityClassError as error:
            logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            self._without_class.add(key)
            return None
        except NestingTooDeepError as error:
            logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            return None
        except LookAgain as cause:
            logger.debug("%s %s/%s: %s", self.kind.resource.kind, *key, cause)
            return cause.seconds

    async def attempt(self, key: Key) -> float | None:
        """The same, raising what a job can only wait for.

        Raises InvalidJobError, MissingPriorityClassError, NestingTooDeepError, LookAgain.
        """
        job = self.load(key)
        if job is not None and self.kind.skip(job):
            return None
        if job is None or self.kind.leaving(job):
            await self._finalize_workloads(key)
            if job is not None:
                await self._let_go(job)
            return None
        return await self._step(job)

    # the steps

    async def _step(self, job: Job) -> float | None:
        labels = self.cache.world.namespaces.get(job.metadata.namespace)
        if labels is None or not self.settings.managed_jobs_namespace_selector.matches(labels):
            return None
        ancestor = self._ancestor(job)
        if not job.queue_name and not self.settings.manage_jobs_without_queue_name and (ancestor is None or not ancestor[1].queue_name):
            return None
        if ancestor is not None:
            await self._follow(job, *ancestor)
            return None
        annotated = await self._annotate(job)
        if annotated is None:
            return None
        job = annotated
        workload = await self._ensure_workload(job)
        if workload is not None and await self._tell_more(job, workload):
            return None
        if workload is not None and (active := self.kind.workload_active(job)) is not None and active != is_active(workload):
            workload = await self.workloads.patch(workload, {"spec": {"active": active}})
        if workload is not None and is_finished(workload):
            await self._let_go(job)
            self._say(job, "Normal", "FinishedWorkload", f"Workload '{key_of(workload)}' is declared finished")
            await self._drop_finalizer(workload)
            return None
        if workload is not None and workload.metadata.deletion_timestamp is not None:
            await self._stop(job, workload, "Workload is deleted", "WorkloadDeleted")
            await self._drop_finalizer(workload)
            return None
        if self.kind.on_hold(job):
            if workload is not None and has_reservation(workload):
                await self._change(
                    workload, lambda w, s: transitions.release(s, "OnHold", "Job is on hold", self._now, w.metadata.generation)
                )
            return None
        ended = self.kind.finished(job)
        if ended is not None:
            if workload is not None:
                await self._finish(workload, "Succeeded" if ended.success else "Failed", ended.message)
                self._say(job, "Normal", "FinishedWorkload", f"Workload '{key_of(workload)}' is declared finished")
            await self._let_go(job)
            return None
        if workload is None:
            await self._create_workload(job)
            return None
        return await self._run(job, workload)

    def _ancestor(self, job: Job) -> tuple[JobKind, Job] | None:
        if self.kind.top_level:
            return None
        try:
            return self.jobs.ancestor(job)
        except NestingTooDeepError as error:
            self._say(job, "Warning", "JobNestingTooDeep", str(error))
            raise

    async def _annotate(self, job: Job) -> Job | None:
        """An elastic job tells in annotations what the object that does its work has come to; None where the job is gone."""
        if not self.gates.elastic(job.annotations) or prebuilt_name(job, self.gates):
            return job
        wanted = {key: value for key, value in self.kind.own_annotations(job).items() if job.annotations.get(key) != value}
        if not wanted:
            return job
        written = await self._apply(job, Step(annotations=wanted))
        return self.load(self.key_of(written)) if written is not None else None

    async def _follow(self, job: Job, kind: JobKind, ancestor: Job) -> None:
        """A child runs only while its ancestor's Workload is admitted."""
        if self.kind.finished(job) is not None or self.kind.suspended(job):
            return
        current = self._latest_unfinished(kind, ancestor)
        if current is None:
            suspend = True
        elif self.gates.elastic(job.annotations) or self.gates.elastic(ancestor.annotations):
            suspend = is_evicted(current)  # while one slice takes over from another none may be admitted
        else:
            suspend = not is_admitted(current)
        if suspend:
            for step in self.kind.suspend(job):
                written = await self._apply(job, step)
                if written is None:
                    return
                job = written
            self._say(job, "Normal", "Suspended", "Kueue managed child job suspended")

    async def _run(self, job: Job, workload: Workload) -> float | None:
        """A job with its Workload: readiness, eviction, start, stop."""
        reclaimed = self.kind.reclaimable(job) if self.gates.reclaimable_pods else None
        if reclaimed is not None and await self._reclaim(workload, reclaimed):
            return None
        if self.settings.wait_for_pods_ready is not None and await self._tell_readiness(job, workload):
            return None
        evicted = conditions.find(workload.status.conditions, "Evicted")
        if evicted is not None and evicted.status == "True":
            return await self._leave(job, workload, evicted.reason, evicted.message)
        if self.kind.suspended(job):
            if is_admitted(workload):
                await self._start(job, workload)
                return None
            if has_reservation(workload):
                self._tell_checks(job, workload)
            if workload.spec.queue_name != job.queue_name and self.kind.follows_queue_name(job):
                await self.workloads.patch(workload, {"spec": {"queueName": job.queue_name or None}})
            return None
        if not is_admitted(workload) and not self.gates.elastic(job.annotations):
            await self._stop(job, workload, "Not admitted by cluster queue", "NotAdmitted")
        return None

    def _tell_checks(self, job: Job, workload: Workload) -> None:
        """What the admission checks that are still out say, to the job's user."""
        said = [f"{c.name}: {c.message}" for c in workload.status.admission_checks or () if c.state == "Pending" and c.message]
        if said:
            self._say(job, "Normal", "UpdatedAdmissionCheck", cut("; ".join(said)))

    async def _leave(self, job: Job, workload: Workload, reason: str, message: str) -> float | None:
        """Evicted: the job stops, then the quota is given back; a deactivated job is deleted when its time is over."""
        await self._stop(job, workload, message, f"WorkloadEvictedDueTo{reason}")
        current = self.load(self.key_of(job))
        if has_reservation(workload) and current is not None and not self.kind.active(current):

            def give_back(w: Workload, status: dict[str, Any]) -> bool:
                generation = w.metadata.generation
                again = reason in ("Preempted", "NodeFailures") and not self._ends_with_its_pod(w)
                transitions.requeued(status, again, reason, message, self._now, generation)
                transitions.release(status, "PendingEvaluation", message, self._now, generation)
                return True

            await self._change(workload, give_back)
        return await self._retain(job, workload)

    def _ends_with_its_pod(self, workload: Workload) -> bool:
        """A Workload of a single Pod: the Pod is deleted to be stopped, so nothing is left that could be admitted again."""
        owners = workload.metadata.owner_references or []
        grouped = (workload.metadata.annotations or {}).get(names.IS_GROUP_WORKLOAD_ANNOTATION) == "true"
        single = len(owners) == 1 and (owners[0].api_version, owners[0].kind) == ("v1", "Pod") and not grouped
        return single and self.gates.skip_reassignment_for_pod_owned_workloads

    async def _retain(self, job: Job, workload: Workload) -> float | None:
        keep = self.settings.retention_after_deactivated_seconds
        evicted = conditions.find(workload.status.conditions, "Evicted")
        by_queue = evicted is not None and evicted.status == "True" and evicted.reason.startswith("DeactivatedDueTo")
        if keep is None or is_active(workload) or evicted is None or not by_queue or not evicted.last_transition_time:
            return None
        left = (parse_time(evicted.last_transition_time) + timedelta(seconds=keep) - self._now).total_seconds()
        if left > 0:
            return left
        await self._delete(self.kind.resource, job, Propagation.BACKGROUND)
        self._say(job, "Normal", "Deleted", "Deleted job: deactivation retention period expired")
        await self._let_go(job)
        return None

    async def _tell_more(self, job: Job, workload: Workload) -> bool:
        """Conditions of the Workload that only this kind of job has; whether anything was written."""
        return False

    async def _reclaim(self, workload: Workload, reclaimed: Mapping[str, int]) -> bool:
        wanted = limited_reclaim(workload, reclaimed)
        if wanted == reclaimed_pods(workload):
            return False

        def change(_: Workload, status: dict[str, Any]) -> bool:
            status["reclaimablePods"] = [{"name": name, "count": count} for name, count in wanted.items()]
            return True

        await self._change(workload, change)
        return True

    async def _tell_readiness(self, job: Job, workload: Workload) -> bool:
        value, reason, message = readiness(workload, ready=self.kind.pods_ready(job))
        present = conditions.find(workload.status.conditions, "PodsReady")
        if present is not None and present.reason == reason and (present.status == "True") == value:
            return False
        await self._change(workload, lambda w, s: transitions.put(s, "PodsReady", value, reason, message, self._now, w.metadata.generation))
        return True
