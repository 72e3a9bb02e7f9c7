"""The Workload of a job: found, made, made to follow its job, finished with it. One job has one; an elastic job a chain of them.

Source: Kueue pkg/controller/jobframework/reconciler.go (ensureOneWorkload and what it calls); texts and events as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.errors import StatusError, is_already_exists
from raysail.api.kueue import Workload, names
from raysail.api.meta import owner_reference, parse_time
from raysail.api.names import label_value_faults
from raysail.api.resources import WORKLOADS
from raysail.kube.informer import Key
from raysail.queue.jobs.actions import JobActions
from raysail.queue.jobs.kind import Job, JobKind, JsonObject
from raysail.queue.jobs.shared import LookAgain, group_of
from raysail.queue.jobs.workloads import MissingPriorityClassError, construct, matches, pod_sets_of, prebuilt_name, priority_of
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.slices import (
    REPLACED,
    Finish,
    counts_of,
    is_evicted,
    key_of,
    latest_with_quota,
    plan_slices,
    replacement_for,
    slice_annotations,
    unfinished,
)
from raysail.queue.model.workload import has_reservation, is_finished
from raysail.queue.writes import merge_patch

_SCHEDULER_SECONDS: Final = 2.0
"""More than the scheduler takes from the one write to the other; times in conditions are whole seconds."""


class WorkloadUpkeep(JobActions):
    """Keeps the Workloads of one kind's jobs."""

    # finding it

    async def _ensure_workload(self, job: Job) -> Workload | None:
        """The one Workload that stands for the job; others are deleted. Raises LookAgain after a deletion."""
        if prebuilt := prebuilt_name(job, self.gates):
            return await self._prebuilt(job, prebuilt)
        if self.gates.elastic(job.annotations):
            fits, workload = await self._ensure_slices(job)
            if fits:
                # The slice that waits and the one it is to replace are ordered against others alike.
                retained = latest_with_quota(self._owned(self.kind, job))
                live = {key_of(each): each for each in (workload, retained) if each is not None}
                updated = await self._follow_priority(job, list(live.values()))
                return updated.get(key_of(workload)) if workload is not None else None
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
            what = "no matching workloads" if match is None else "extra workloads"
            raise LookAgain(f"{what}: deleted {len(others)} workloads")
        if renew is not None:
            return await self._renew(job, renew)
        if match is None:
            return None
        gated = await self._follow_gates(job, match)
        if gated is None:
            return None
        return (await self._follow_priority(job, [gated])).get(key_of(gated))

    def _owned(self, kind: JobKind, job: Job) -> list[Workload]:
        """The Workloads that name this job as an owner, by name."""
        resource = kind.resource
        found = self.cache.workloads.by_index("owner", (job.metadata.namespace, resource.kind, job.metadata.name))
        mine = (
            each
            for each in found
            if any(o.kind == resource.kind and group_of(o.api_version) == resource.group for o in each.metadata.owner_references or ())
        )
        return sorted(mine, key=lambda each: each.metadata.name)

    def _latest_unfinished(self, kind: JobKind, job: Job) -> Workload | None:
        found = unfinished(self._owned(kind, job))
        return found[-1] if found else None

    async def _find(self, job: Job) -> tuple[Workload | None, list[Workload]]:
        """The Workload that stands for the job, and those that claim to but do not."""
        match: Workload | None = None
        others: list[Workload] = []
        for each in self._owned(self.kind, job):
            if match is None and self._matches(job, each):
                match = each
            else:
                others.append(each)
        return match, others

    def _matches(self, job: Job, workload: Workload) -> bool:
        return matches(self.kind, job, workload, self.cache.world.flavors, self.gates)

    def _is_its(self, job: Job, workload: Workload) -> bool:
        """Whether that Workload was made for this very job."""
        return _owned_by(workload, job)

    # one that was there before

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
        if self.gates.elastic(job.annotations) and replacement_for(found) is not None:
            return found  # a slice that grows is ahead of the copy of its job on another cluster
        if not self._in_sync(job, found):
            message = "The prebuilt workload is out of sync with its user job"
            await self._finish(found, "OutOfSync", message)
            return None
        return found

    async def _adopt(self, job: Job, workload: Workload) -> Workload | None:
        """Makes the job the owner of a prebuilt Workload."""
        if workload.metadata.controller_owner() is not None:
            return workload
        owners = [*msgspec.to_builtins(workload.metadata.owner_references or []), owner_reference(_as_owner(self.kind, job))]
        metadata: JsonObject = {"ownerReferences": owners}
        if not label_value_faults(job.metadata.uid):
            metadata["labels"] = {names.JOB_UID_LABEL: job.metadata.uid}
        adopted: Workload | None = await self.workloads.patch(workload, {"metadata": metadata})
        return adopted

    def _in_sync(self, job: Job, workload: Workload) -> bool:
        """Whether a prebuilt Workload has the job's pod sets."""
        return self._matches(job, workload)

    # slices of an elastic job

    async def _ensure_slices(self, job: Job) -> tuple[bool, Workload | None]:
        """(whether the job's Workloads are slices of it as it is, the one that stands for it)."""
        plan = plan_slices(counts_of(pod_sets_of(self.kind, job, self.gates)), self._owned(self.kind, job))
        if any(self._scheduler_ends(over, plan.workload) for over in plan.finish):
            raise LookAgain("the scheduler is about to end the slice that it replaced", _SCHEDULER_SECONDS)
        for over in plan.finish:
            await self._finish(over.workload, over.reason, over.message)
        workload = plan.workload
        if workload is not None and plan.resize is not None:
            pod_sets: list[JsonObject] = msgspec.to_builtins(workload.spec.pod_sets)
            for pod_set in pod_sets:
                pod_set["count"] = plan.resize.get(pod_set["name"], pod_set.get("count", 0))
            workload = await self.workloads.patch(workload, {"spec": {"podSets": pod_sets}})
        return plan.fits, workload

    def _scheduler_ends(self, over: Finish, successor: Workload | None) -> bool:
        """Who gives a slice its quota ends the one it replaces, and says so; only where that did not happen (a crash) it is done here."""
        if over.reason != REPLACED[0] or successor is None or is_evicted(over.workload):
            return False
        reserved = conditions.find(successor.status.conditions, "QuotaReserved")
        if reserved is None or reserved.status != "True" or not reserved.last_transition_time:
            return False
        return (self._now - parse_time(reserved.last_transition_time)).total_seconds() < _SCHEDULER_SECONDS

    # following its job

    async def _renew(self, job: Job, workload: Workload) -> Workload | None:
        """A pending Workload follows the change of its suspended job."""
        wanted = (await self._constructed(job))["spec"]
        if workload.spec.active is not None:
            wanted["active"] = workload.spec.active
        patch = merge_patch(msgspec.to_builtins(workload.spec), wanted)
        renewed: Workload | None = await self.workloads.patch(workload, {"spec": patch})
        if renewed is not None:
            self._say(job, "Normal", "UpdatedWorkload", f"Updated not matching Workload for suspended job: {key_of(workload)}")
        return renewed

    async def _follow_gates(self, job: Job, workload: Workload) -> Workload | None:
        """The admission gates of the job go on to its Workload."""
        if not self.gates.admission_gated_by:
            return workload
        wanted = job.annotations.get(names.ADMISSION_GATED_BY_ANNOTATION, "")
        if wanted == (workload.metadata.annotations or {}).get(names.ADMISSION_GATED_BY_ANNOTATION, ""):
            return workload
        patch = {"metadata": {"annotations": {names.ADMISSION_GATED_BY_ANNOTATION: wanted or None}}}
        written: Workload | None = await self.workloads.patch(workload, patch)
        if written is not None:
            self._say(job, "Normal", "UpdatedWorkload", f'Updated workload AdmissionGatedBy to "{wanted}"')
        return written

    async def _follow_priority(self, job: Job, workloads: list[Workload]) -> dict[str, Workload]:
        """The priority class of the job goes on to its Workloads: these by key as they are afterwards, without those that are gone.

        A Workload that has a Pod's priority keeps it, and one that reserved quota without a class can be given none any more. The class is looked up
        only where a name has changed; those that have the name already come first, so that a name that differs is left to try again by.
        """
        result = {key_of(each): each for each in workloads}
        label = job.labels.get(names.PRIORITY_CLASS_LABEL, "")
        same: list[Workload] = []
        other: list[Workload] = []
        for each in workloads:
            reference = each.spec.priority_class_ref
            if (reference is None and has_reservation(each)) or (reference is not None and reference.kind != "WorkloadPriorityClass"):
                continue
            (same if (reference.name if reference is not None else "") == label else other).append(each)
        if not other:
            return result
        wanted, priority = self._priority(job, msgspec.to_builtins(other[0].spec.pod_sets))
        for each in (*same, *other):
            reference = each.spec.priority_class_ref
            if each.spec.priority == priority and wanted == (msgspec.to_builtins(reference) if reference is not None else None):
                continue
            written = await self.workloads.patch(each, {"spec": {"priorityClassRef": wanted, "priority": priority}})
            if written is None:
                del result[key_of(each)]
                continue
            result[key_of(each)] = written
            self._say(job, "Normal", "UpdatedWorkload", f"Updated workload priority class: {key_of(each)}")
        return result

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

    # making it

    async def _constructed(self, job: Job) -> JsonObject:
        made = construct(
            self.kind,
            job,
            self.gates,
            labels_to_copy=self.settings.label_keys_to_copy,
            annotations_to_copy=self.settings.annotation_keys_to_copy,
        )
        reference, priority = self._priority(job, made["spec"]["podSets"])
        if reference is not None:
            made["spec"]["priorityClassRef"] = reference
        made["spec"]["priority"] = priority
        if self.gates.elastic(job.annotations):
            try:
                more = slice_annotations(made["metadata"]["name"], self._owned(self.kind, job))
            except ValueError as error:
                raise LookAgain(str(error)) from error
            made["metadata"]["annotations"] = {**(made["metadata"].get("annotations") or {}), **more}
        return made

    async def _create_workload(self, job: Job) -> None:
        """For a job that has none. Raises LookAgain where it is to have one that is not there yet."""
        prebuilt = prebuilt_name(job, self.gates)
        if prebuilt:
            await self._stop(job, None, "missing workload", "NoMatchingWorkload")
        if self.kind.active(job) and not self.gates.elastic(job.annotations):
            return  # its Pods must be gone first; the change of its status brings us back
        if prebuilt:
            raise LookAgain("prebuilt workload not found", None)
        made = await self._constructed(job)
        try:
            answer = await self.client.create(WORKLOADS, made, job.metadata.namespace, field_manager=names.JOB_FIELD_MANAGER)
        except StatusError as error:
            if is_already_exists(error):
                raise LookAgain(f"Workload {made['metadata']['name']} exists already") from error
            if error.code in (400, 403, 422):
                self._say(job, "Warning", "ErrWorkloadCompose", cut(str(error)))
                if error.code == 422:
                    return
            raise
        self.cache.workloads.absorb(answer)
        self._say(job, "Normal", "CreatedWorkload", f"Created Workload: {job.metadata.namespace}/{made['metadata']['name']}")

    # the end of it

    async def _finish(self, workload: Workload, reason: str, message: str) -> None:
        """It ended; how, says whoever says it first."""

        def finish(current: Workload, status: JsonObject) -> bool:
            if transitions.holds(status, "Finished"):
                return False
            return transitions.finish(status, reason, message, self._now, current.metadata.generation)

        if not is_finished(workload):
            await self._change(workload, finish)

    async def _finalize_workloads(self, key: Key) -> None:
        """The job is gone or going: what it held is given back."""
        resource = self.kind.resource
        for each in self.cache.workloads.by_index("owner", (key[0], resource.kind, key[1])):
            owner = each.metadata.controller_owner()
            present = self.informer.get(*key)
            if owner is not None and present is not None and owner.uid != present.metadata.uid:
                continue
            if self.gates.finish_orphaned_workloads and each.metadata.deletion_timestamp is None and owner is not None:
                await self._finish(each, "OwnerNotFound", "The workload's owner no longer exists")
            await self._drop_finalizer(self.cache.workloads.get(*each.metadata.key) or each)

    async def _delete_workload(self, job: Job, workload: Workload) -> bool:
        await self._drop_finalizer(workload)
        if workload.metadata.deletion_timestamp is not None:
            return False
        if not await self._delete(WORKLOADS, workload, None):
            return False
        self._say(job, "Normal", "DeletedWorkload", f"Deleted not matching Workload: {key_of(workload)}")
        return True


def _as_owner(kind: JobKind, job: Job) -> JsonObject:
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": {"name": job.metadata.name, "uid": job.metadata.uid},
    }


def _owned_by(workload: Workload, job: Job) -> bool:
    owner = workload.metadata.controller_owner()
    return owner is not None and owner.uid == job.metadata.uid
