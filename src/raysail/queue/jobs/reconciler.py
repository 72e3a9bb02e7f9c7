"""Holding jobs back: each job of a registered kind gets a Workload, runs while that is admitted, and is suspended when it is not.

One reconcile looks at one job and does the next step. Every write to a job carries the resourceVersion it was computed from.
Source: Kueue pkg/controller/jobframework/reconciler.go (ReconcileGenericJob); order of steps, events and texts as there. A little
over 500 lines: the steps read as one list in Kueue's order; the upkeep of the Workload is the seam at which it will be cut.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.kueue import Workload, names
from raysail.api.meta import owner_reference, parse_time
from raysail.api.resources import WORKLOADS
from raysail.kube.client import Propagation
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.queue import status as transitions
from raysail.queue.jobs.kind import InvalidJobError, Job, JobKind, JsonObject, Step
from raysail.queue.jobs.shared import Jobs, group_of
from raysail.queue.jobs.workloads import (
    FINALIZER,
    MissingPriorityClassError,
    construct,
    matches,
    matches_pod_sets,
    prebuilt_name,
    priority_of,
    readiness,
)
from raysail.queue.outcomes import cut
from raysail.queue.podset import PodSetConflictError, infos_of_admission, infos_of_workload
from raysail.queue.workload import has_reservation, is_active, is_admitted, is_finished
from raysail.queue.writes import StatusWriter, merge_patch

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 0.02
MULTIKUEUE: Final = "kueue.x-k8s.io/multikueue"


class JobReconciler:
    """Reconciles the jobs of one kind."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        self.jobs = jobs
        self.kind = kind
        self.cache = jobs.cache
        self.settings = jobs.settings
        self.clock = jobs.manager.clock
        self.client = jobs.manager.client
        self.events = jobs.manager.events
        resource = kind.resource
        self.informer = jobs.informers[resource.group, resource.kind]
        self.writer = StatusWriter(self.client, resource, self.informer)
        self.workloads = jobs.workload_writer
        self._without_class: set[Key] = set()
        """Jobs whose priority class does not exist: they are looked at again when a class appears."""
        label = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        self.controller = Controller(f"{resource.kind.lower()}-queue", self.reconcile, jobs.settings.parallel(label, 5))
        self.controller.watches(self.informer, self.keys_of)
        self.cache.workloads.on_change(self._workload_changed)
        jobs.workload_classes.on_change(lambda old, _: self._class_appeared(old is None))
        jobs.pod_classes.on_change(lambda old, _: self._class_appeared(old is None))
        jobs.manager.add(self.controller)

    def keys_of(self, job: Job) -> Iterable[Key]:
        """What is to be looked at when this object changes; jobs of several objects have one key for all of them."""
        return (job.metadata.key,)

    def key_of(self, job: Job) -> Key:
        """The key under which this job is loaded."""
        return job.metadata.key

    def load(self, key: Key) -> Job | None:
        """The job with that key as it is now."""
        return self.informer.get(*key)

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
                self._say(job, "Warning", "ErrWorkloadCompose", str(error))
            else:
                logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            return None
        except MissingPriorityClassError as error:
            logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            self._without_class.add(key)
            return None
        except _LookAgain as cause:
            logger.debug("%s", cause)
            return _AGAIN_SECONDS

    async def attempt(self, key: Key) -> float | None:
        """The same, raising what a job can only wait for: InvalidJobError, MissingPriorityClassError, and what asks to look again."""
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
        ancestor = None if self.kind.top_level else self.jobs.ancestor(job)
        if not job.queue_name:
            if ancestor is None and not self.settings.manage_jobs_without_queue_name:
                return None
            if ancestor is not None and not self.settings.manage_jobs_without_queue_name and not ancestor[1].queue_name:
                return None
        if ancestor is not None:
            await self._follow(job, *ancestor)
            return None
        if job.spec.get("managedBy") == MULTIKUEUE:
            return None
        workload = await self._ensure_workload(job)
        if workload is not None and await self._tell_more(job, workload):
            return None
        if workload is not None and is_finished(workload):
            await self._let_go(job)
            self._say(job, "Normal", "FinishedWorkload", f"Workload '{_key(workload)}' is declared finished")
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
                reason = "Succeeded" if ended.success else "Failed"
                await self._change(workload, lambda w, s: transitions.finish(s, reason, ended.message, self._now, w.metadata.generation))
                self._say(job, "Normal", "FinishedWorkload", f"Workload '{_key(workload)}' is declared finished")
            await self._let_go(job)
            return None
        if workload is None:
            await self._create_workload(job)
            return None
        return await self._run(job, workload)

    async def _follow(self, job: Job, kind: JobKind, ancestor: Job) -> None:
        """A child runs only while its ancestor's Workload is admitted."""
        if self.kind.finished(job) is not None or self.kind.suspended(job):
            return
        current = self._latest_unfinished(kind, ancestor)
        if current is None:
            suspend = True
        elif names.ELASTIC_JOB_ANNOTATION in job.annotations or names.ELASTIC_JOB_ANNOTATION in ancestor.annotations:
            suspend = conditions.is_true(current.status.conditions, "Evicted")
        else:
            suspend = not is_admitted(current)
        if suspend:
            for step in self.kind.stop(job, ()):
                written = await self._apply(job, step)
                if written is None:
                    return
                job = written
            self._say(job, "Normal", "Suspended", "Kueue managed child job suspended")

    def _latest_unfinished(self, kind: JobKind, job: Job) -> Workload | None:
        found = [each for each in self._owned(kind, job) if not is_finished(each)]
        return max(found, key=lambda each: each.metadata.creation_timestamp or "", default=None)

    def _owned(self, kind: JobKind, job: Job) -> list[Workload]:
        found = self.cache.workloads.by_index("owner", (job.metadata.namespace, kind.resource.kind, job.metadata.name))
        return [
            each
            for each in found
            if any(
                o.kind == kind.resource.kind and group_of(o.api_version) == kind.resource.group
                for o in each.metadata.owner_references or ()
            )
        ]

    async def _run(self, job: Job, workload: Workload) -> float | None:
        """A job with its Workload: readiness, eviction, start, stop."""
        reclaimed = self.kind.reclaimable(job)
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
            elif workload.spec.queue_name != job.queue_name and self.kind.follows_queue_name(job):
                await self.workloads.patch(workload, {"spec": {"queueName": job.queue_name or None}})
            return None
        if not is_admitted(workload) and job.annotations.get(names.ELASTIC_JOB_ANNOTATION) != "true":
            await self._stop(job, workload, "Not admitted by cluster queue", "NotAdmitted")
        return None

    async def _leave(self, job: Job, workload: Workload, reason: str, message: str) -> float | None:
        """Evicted: the job stops, then the quota is given back; a deactivated job is deleted when its time is over."""
        await self._stop(job, workload, message, f"WorkloadEvictedDueTo{reason}")
        current = self.load(self.key_of(job))
        if has_reservation(workload) and current is not None and not self.kind.active(current):

            def give_back(w: Workload, status: dict[str, Any]) -> bool:
                generation = w.metadata.generation
                again = reason in ("Preempted", "NodeFailures") and not (self.kind.ends_when_stopped and _owned_by(w, job))
                transitions.requeued(status, again, reason, message, self._now, generation)
                transitions.release(status, "PendingEvaluation", message, self._now, generation)
                return True

            await self._change(workload, give_back)
        return await self._retain(job, workload)

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

    async def _start(self, job: Job, workload: Workload) -> None:
        try:
            step = self.kind.start(job, infos_of_admission(workload, self.cache.world.flavors))
        except PodSetConflictError as error:
            text = str(error)
            await self._change(workload, lambda w, s: transitions.finish(s, "FailedToStart", text, self._now, w.metadata.generation))
            return
        if await self._apply(job, step) is not None and workload.status.admission is not None:
            self._say(job, "Normal", "Started", f"Admitted by clusterQueue {workload.status.admission.cluster_queue}")

    async def _let_go(self, job: Job) -> None:
        """The queue has nothing more to do with the job: what was put on it for that time is taken off."""

    async def _tell_more(self, job: Job, workload: Workload) -> bool:
        """Conditions of the Workload that only this kind of job has; whether anything was written."""
        return False

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

    async def _apply(self, job: Job, step: Step) -> Job | None:
        """Writes one step; None where the job is gone. A conflict raises: the next reconcile starts from the newest."""
        if step.status is not None:

            def change(_: Job, status: dict[str, Any]) -> bool:
                for name, value in step.status.items() if step.status is not None else ():
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

    # the Workload of a job

    async def _ensure_workload(self, job: Job) -> Workload | None:
        """The one Workload that stands for the job; others are deleted. Raises RuntimeError to look again after a deletion."""
        if prebuilt := prebuilt_name(job):
            return await self._prebuilt(job, prebuilt)
        match, others = await self._find(job)
        suspended = self.kind.suspended(job)
        renew: Workload | None = None
        if match is None and others and suspended and not has_reservation(others[0]) and self._is_its(job, others[0]):
            renew, others = others[0], others[1:]
        if match is None and not suspended and self.kind.finished(job) is None:
            only = others[0] if len(others) == 1 else None
            if only is None:
                message = "Missing Workload; unable to restore pod templates"
            else:
                message = "No matching Workload; restoring pod templates according to existent Workload"
            await self._stop(job, only, message, "NoMatchingWorkload")
        deleted = [each for each in others if await self._delete_workload(job, each)]
        if deleted:
            raise _LookAgain(f"deleted {len(deleted)} workloads of {self.kind.resource.kind} {job.metadata.namespace}/{job.metadata.name}")
        if renew is not None:
            return await self._renew(job, renew)
        if match is not None:
            match = await self._propagate(job, match)
        return match

    async def _find(self, job: Job) -> tuple[Workload | None, list[Workload]]:
        """The Workload that stands for the job, and those that claim to but do not."""
        flavors = self.cache.world.flavors
        match: Workload | None = None
        others: list[Workload] = []
        for each in self._owned(self.kind, job):
            if match is None and matches(self.kind, job, each, flavors):
                match = each
            else:
                others.append(each)
        return match, others

    def _is_its(self, job: Job, workload: Workload) -> bool:
        """Whether that Workload was made for this very job."""
        return _owned_by(workload, job)

    async def _prebuilt(self, job: Job, name: str) -> Workload | None:
        found = self.cache.workloads.get(job.metadata.namespace, name)
        if found is None:
            return None
        owner = found.metadata.controller_owner()
        if owner is not None and owner.uid != job.metadata.uid:
            return None
        found = await self._adopt(job, found)
        if found is None:
            return None
        if not is_finished(found) and not self._in_sync(job, found):
            message = "The prebuilt workload is out of sync with its user job"
            await self._change(found, lambda w, s: transitions.finish(s, "OutOfSync", message, self._now, w.metadata.generation))
            return None
        return found

    async def _adopt(self, job: Job, workload: Workload) -> Workload | None:
        """Makes the job the owner of a prebuilt Workload."""
        if workload.metadata.controller_owner() is not None:
            return workload
        reference = owner_reference(
            {
                "apiVersion": self.kind.resource.api_version,
                "kind": self.kind.resource.kind,
                "metadata": {"name": job.metadata.name, "uid": job.metadata.uid},
            }
        )
        owners = [*msgspec.to_builtins(workload.metadata.owner_references or []), reference]
        labels = {names.JOB_UID_LABEL: job.metadata.uid}
        adopted: Workload | None = await self.workloads.patch(workload, {"metadata": {"ownerReferences": owners, "labels": labels}})
        return adopted

    def _in_sync(self, job: Job, workload: Workload) -> bool:
        """Whether a prebuilt Workload has the job's pod sets."""
        return matches_pod_sets(self.kind, job, workload, self.cache.world.flavors)

    async def _renew(self, job: Job, workload: Workload) -> Workload | None:
        """A pending Workload follows the change of its suspended job."""
        wanted = (await self._constructed(job))["spec"]
        if workload.spec.active is not None:
            wanted["active"] = workload.spec.active
        patch = merge_patch(msgspec.to_builtins(workload.spec), wanted)
        renewed: Workload | None = await self.workloads.patch(workload, {"spec": patch})
        if renewed is not None:
            self._say(job, "Normal", "UpdatedWorkload", f"Updated not matching Workload for suspended job: {_key(workload)}")
        return renewed

    async def _propagate(self, job: Job, workload: Workload) -> Workload | None:
        """Admission gates and the priority class of the job go on to its Workload."""
        wanted = job.annotations.get(names.ADMISSION_GATED_BY_ANNOTATION, "")
        present = (workload.metadata.annotations or {}).get(names.ADMISSION_GATED_BY_ANNOTATION, "")
        if wanted != present:
            written = await self.workloads.patch(
                workload, {"metadata": {"annotations": {names.ADMISSION_GATED_BY_ANNOTATION: wanted or None}}}
            )
            if written is None:
                return None
            workload = written
            self._say(job, "Normal", "UpdatedWorkload", f'Updated workload AdmissionGatedBy to "{wanted}"')
        reference = workload.spec.priority_class_ref
        if reference is None and has_reservation(workload):
            return workload
        if reference is not None and reference.kind != "WorkloadPriorityClass":
            return workload
        if (reference.name if reference is not None else "") == job.labels.get(names.PRIORITY_CLASS_LABEL, ""):
            return workload
        wanted_ref, priority = self._priority(job, msgspec.to_builtins(workload.spec.pod_sets))
        if workload.spec.priority == priority and wanted_ref == (msgspec.to_builtins(reference) if reference is not None else None):
            return workload
        written = await self.workloads.patch(workload, {"spec": {"priorityClassRef": wanted_ref, "priority": priority}})
        self._say(job, "Normal", "UpdatedWorkload", f"Updated workload priority class: {_key(workload)}")
        updated: Workload | None = written
        return updated

    def _priority(self, job: Job, pod_sets: Iterable[Mapping[str, Any]]) -> tuple[JsonObject | None, int]:
        jobs = self.jobs
        try:
            return priority_of(
                job,
                self.kind,
                pod_sets,
                lambda name: jobs.workload_classes.get("", name),
                lambda name: jobs.pod_classes.get("", name),
                jobs.default_class(),
            )
        except MissingPriorityClassError as error:
            if error.workload_class:
                self._say(job, "Warning", "WorkloadPriorityClassNotFound", f'WorkloadPriorityClass "{error.name}" not found')
            raise

    async def _constructed(self, job: Job) -> JsonObject:
        made = construct(
            self.kind,
            job,
            labels_to_copy=self.settings.label_keys_to_copy,
            annotations_to_copy=self.settings.annotation_keys_to_copy,
            short_names=self.settings.gate("ShortWorkloadNames", False),
        )
        reference, priority = self._priority(job, made["spec"]["podSets"])
        if reference is not None:
            made["spec"]["priorityClassRef"] = reference
        made["spec"]["priority"] = priority
        return made

    async def _create_workload(self, job: Job) -> None:
        if prebuilt_name(job):
            await self._stop(job, None, "missing workload", "NoMatchingWorkload")
            return
        if self.kind.active(job) and job.annotations.get(names.ELASTIC_JOB_ANNOTATION) != "true":
            return  # its Pods must be gone first; the change of its status brings us back
        made = await self._constructed(job)
        try:
            answer = await self.client.create(WORKLOADS, made, job.metadata.namespace, field_manager="kueue-job-controller")
        except StatusError as error:
            if is_already_exists(error):
                raise _LookAgain(f"Workload {made['metadata']['name']} exists already") from error
            if error.code in (400, 403, 422):
                self._say(job, "Warning", "ErrWorkloadCompose", cut(str(error)))
                if error.code == 422:
                    return
            raise
        self.cache.workloads.absorb(answer)
        self._say(job, "Normal", "CreatedWorkload", f"Created Workload: {job.metadata.namespace}/{made['metadata']['name']}")

    async def _reclaim(self, workload: Workload, reclaimed: Mapping[str, int]) -> bool:
        sizes = {pod_set.name: pod_set.count for pod_set in workload.spec.pod_sets}
        wanted = {name: min(count, sizes.get(name, count)) for name, count in reclaimed.items()}
        present = {each.name: each.count for each in workload.status.reclaimable_pods or ()}
        if wanted == present:
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

    async def _finalize_workloads(self, key: Key) -> None:
        resource = self.kind.resource
        for each in self.cache.workloads.by_index("owner", (key[0], resource.kind, key[1])):
            owner = each.metadata.controller_owner()
            present = self.informer.get(*key)
            if owner is not None and present is not None and owner.uid != present.metadata.uid:
                continue
            if each.metadata.deletion_timestamp is None and owner is not None and not is_finished(each):
                message = "The workload's owner no longer exists"
                await self._change(
                    each, lambda w, s, m=message: transitions.finish(s, "OwnerNotFound", m, self._now, w.metadata.generation)
                )
            await self._drop_finalizer(self.cache.workloads.get(*each.metadata.key) or each)

    async def _delete_workload(self, job: Job, workload: Workload) -> bool:
        await self._drop_finalizer(workload)
        if workload.metadata.deletion_timestamp is not None:
            return False
        if not await self._delete(WORKLOADS, workload, None):
            return False
        self._say(job, "Normal", "DeletedWorkload", f"Deleted not matching Workload: {_key(workload)}")
        return True

    async def _delete(self, resource: Any, obj: Any, propagation: Propagation | None) -> bool:
        try:
            await self.client.delete(resource, obj.metadata.name, obj.metadata.namespace, propagation=propagation, uid=obj.metadata.uid)
        except StatusError as error:
            if not is_not_found(error) and error.code != 409:
                raise
            return False
        return True

    async def _drop_finalizer(self, workload: Workload) -> None:
        present = workload.metadata.finalizers or []
        if FINALIZER in present:
            await self.workloads.patch(workload, {"metadata": {"finalizers": [each for each in present if each != FINALIZER] or None}})

    async def _change(self, workload: Workload, change: Any) -> Workload | None:
        return await self.workloads.change(workload, change)

    @property
    def _now(self) -> datetime:
        return self.clock.now()

    def _say(self, job: Job, type_: str, reason: str, message: str) -> None:
        self.events.event(job, type_, reason, message, reason)


class _LookAgain(Exception):  # noqa: N818 - it is no error: the world has changed under a reconcile, which starts over
    """Something was done that makes what was read before untrue."""


def _key(workload: Workload) -> str:
    return f"{workload.metadata.namespace}/{workload.metadata.name}"


def _owned_by(workload: Workload, job: Job) -> bool:
    owner = workload.metadata.controller_owner()
    return owner is not None and owner.uid == job.metadata.uid
