"""Kinds that serve and have no switch to suspend them: the queue makes Workloads for their groups of Pods beforehand, and marks the Pods as members.

The reconciler of Pods then holds and lets go each group as one whose Workload is prebuilt. `stateful_set` and `leader_worker_set` say which groups
there are. Source: Kueue pkg/controller/jobs/{statefulset,leaderworkerset}.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

import msgspec

from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_already_exists
from raysail.api.kueue import Workload, names
from raysail.api.kueue.workloadname import MAX_NAME, MAX_SHORT_NAME, workload_name
from raysail.api.names import MAX_LABEL, label_value_faults
from raysail.api.resources import PODS, WORKLOADS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JobKind, JsonObject
from raysail.queue.jobs.shared import Jobs, LookAgain, NestingTooDeepError, group_of
from raysail.queue.jobs.upkeep import WorkloadUpkeep
from raysail.queue.jobs.workloads import MissingPriorityClassError, construct
from raysail.queue.writes import StatusWriter

logger = logging.getLogger(__name__)

REVISION_LABEL = "controller-revision-hash"


class ServingKind(JobKind):
    """It never ends, and whether it runs is up to its Pods."""

    never_finishes = True

    def suspended(self, job: Job) -> bool:
        """There is no such switch."""
        return False

    def finished(self, job: Job) -> Ended | None:
        """Never."""
        return None


class ServingReconciler(WorkloadUpkeep):
    """Reconciles the objects of one such kind: `attempt` is the kind's own."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        super().__init__(jobs, kind)
        resource = kind.resource
        self.pods = jobs.manager.informer(PODS, Pod)
        self.pod_writer = StatusWriter(self.client, PODS, self.pods)
        self._without_class: set[Key] = set()
        label = f"{resource.kind}.{resource.group}"
        self.controller = Controller(f"{resource.kind.lower()}-queue", self.reconcile, jobs.settings.parallel(label, 1))
        self.controller.watches(self.informer)
        self.controller.watches(self.pods, self._keys_of_pod)
        self.cache.workloads.on_change(self._workload_changed)
        jobs.workload_classes.on_change(lambda old, _: self._class_appeared(old is None))
        jobs.manager.add(self.controller)

    # what wakes it

    def key_of_pod(self, pod: Pod) -> Key | None:
        """The object that the Pod belongs to."""
        raise NotImplementedError

    def _keys_of_pod(self, pod: Pod) -> Iterable[Key]:
        if (pod.metadata.annotations or {}).get(names.POD_SUSPENDING_PARENT_ANNOTATION) != self.kind.framework:
            return ()
        key = self.key_of_pod(pod)
        return (key,) if key is not None else ()

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        obj = new if new is not None else old
        for owner in (obj.metadata.owner_references or ()) if obj is not None else ():
            if obj is not None and owner.kind == self.kind.resource.kind and group_of(owner.api_version) == self.kind.resource.group:
                self.controller.enqueue((obj.metadata.namespace, owner.name))

    def _class_appeared(self, new: bool) -> None:
        waiting, self._without_class = (self._without_class, set()) if new else (set(), self._without_class)
        for key in waiting:
            self.controller.enqueue(key)

    async def reconcile(self, key: Key) -> float | None:
        """The next step for this object, where it is in a queue."""
        job = self.informer.get(*key)
        try:
            if job is None or self._is_held(job):
                return await self.attempt(key)
        except (InvalidJobError, NestingTooDeepError) as error:
            logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
        except MissingPriorityClassError as error:
            logger.info("%s %s/%s: %s", self.kind.resource.kind, *key, error)
            self._without_class.add(key)
        except LookAgain as cause:
            logger.debug("%s %s/%s: %s", self.kind.resource.kind, *key, cause)
            return cause.seconds
        return None

    async def attempt(self, key: Key) -> float | None:
        """The same for one that is in a queue, or gone. Raises InvalidJobError, MissingPriorityClassError."""
        raise NotImplementedError

    def _is_held(self, job: Job) -> bool:
        if self.jobs.ancestor(job) is not None:
            return False  # whose Workload has its Pods, too
        if job.queue_name:
            return True
        labels = self.cache.world.namespaces.get(job.metadata.namespace)
        managed = labels is not None and self.settings.managed_jobs_namespace_selector.matches(labels)
        return managed and self.settings.manage_jobs_without_queue_name

    # Workloads of groups

    def workload_name(self, job: Job, uid: str, part: str = "") -> str:
        """The name of the Workload of one group of Pods (`part`), which is the name of the group, too."""
        resource = self.kind.resource
        longest = MAX_SHORT_NAME if self.gates.short_workload_names else MAX_NAME
        return workload_name(resource.kind, resource.group, f"{job.metadata.name}{part}", uid, longest=longest)

    async def _create_group_workload(
        self,
        job: Job,
        name: str,
        annotations: Mapping[str, str],
        *,
        copied_labels: Iterable[str] = (),
        copied_annotations: Iterable[str] = (),
    ) -> None:
        made = construct(self.kind, job, self.gates, labels_to_copy=copied_labels, annotations_to_copy=copied_annotations)
        reference, priority = self._priority(job, made["spec"]["podSets"])
        if reference is not None:
            made["spec"]["priorityClassRef"] = reference
        made["spec"]["priority"] = priority
        metadata = made["metadata"]
        metadata["name"] = name
        metadata["ownerReferences"] = [self.reference(job)]
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            **annotations,
            **self.owner_annotations(job),
            names.IS_GROUP_WORKLOAD_ANNOTATION: "true",
        }
        if not label_value_faults(job.metadata.uid):
            metadata["labels"][names.JOB_UID_LABEL] = job.metadata.uid
        try:
            answer = await self.client.create(WORKLOADS, made, job.metadata.namespace, field_manager=names.JOB_FIELD_MANAGER)
        except StatusError as error:
            if is_already_exists(error):
                return  # it is in the next look
            raise
        self.cache.workloads.absorb(answer)
        self._say(job, "Normal", "CreatedWorkload", f"Created Workload: {job.metadata.namespace}/{name}")

    async def _update_group_workload(self, job: Job, workload: Workload, patch: JsonObject) -> Workload | None:
        """One write with what the kind changes and the admission gates of the object; None where the Workload is gone."""
        wanted = job.annotations.get(names.ADMISSION_GATED_BY_ANNOTATION, "")
        gated = self.gates.admission_gated_by and wanted != (workload.metadata.annotations or {}).get(
            names.ADMISSION_GATED_BY_ANNOTATION, ""
        )
        if gated:
            patch.setdefault("metadata", {}).setdefault("annotations", {})[names.ADMISSION_GATED_BY_ANNOTATION] = wanted or None
        if not patch:
            return workload
        written: Workload | None = await self.workloads.patch(workload, patch)
        if gated and written is not None:
            self._say(job, "Normal", "UpdatedWorkload", f'Updated workload AdmissionGatedBy to "{wanted}"')
        return written

    def reference(self, job: Job) -> JsonObject:
        """Its owner reference; not as the controller, which nothing is of a group's Workload."""
        resource = self.kind.resource
        return {"apiVersion": resource.api_version, "kind": resource.kind, "name": job.metadata.name, "uid": job.metadata.uid}

    def owner_annotations(self, job: Job) -> dict[str, str]:
        """Say whose a Workload is even after the owner is gone."""
        resource = self.kind.resource
        gvk = f"{resource.api_version}, Kind={resource.kind}"
        return {names.JOB_OWNER_GVK_ANNOTATION: gvk, names.JOB_OWNER_NAME_ANNOTATION: job.metadata.name}

    # Pods

    def membership(self, group: str) -> tuple[dict[str, str], dict[str, str]]:
        """(labels, annotations) that name a Pod's group and its Workload."""
        both = {names.POD_GROUP_NAME: group, names.PREBUILT_WORKLOAD_NAME: group}
        if self.gates.workload_identifier_annotations:
            return {}, both
        if len(group) > MAX_LABEL:
            return {names.POD_GROUP_NAME: group}, {names.PREBUILT_WORKLOAD_NAME: group}
        return both, {}

    def group_of(self, pod: Pod) -> str:
        """The group that the Pod names."""
        annotation = (pod.metadata.annotations or {}).get(names.POD_GROUP_NAME, "") if self.gates.workload_identifier_annotations else ""
        return annotation or (pod.metadata.labels or {}).get(names.POD_GROUP_NAME, "")

    async def _mark(self, pod: Pod, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        meta = pod.metadata
        changed = {
            field: {key: value for key, value in wanted.items() if (present or {}).get(key) != value}
            for field, wanted, present in (("labels", labels, meta.labels), ("annotations", annotations, meta.annotations))
        }
        if any(changed.values()):
            await self.pod_writer.patch(pod, {"metadata": {field: value for field, value in changed.items() if value}})

    async def _ungate(self, pod: Pod) -> None:
        """Lets a Pod go that no admission will let go any more."""
        present: list[JsonObject] = msgspec.to_builtins(pod.spec.scheduling_gates or [])
        left = [gate for gate in present if gate["name"] not in (names.ADMISSION_GATE, names.TOPOLOGY_GATE)]
        if left != present:
            await self.pod_writer.patch(pod, {"spec": {"schedulingGates": left or None}})


def replicas_of(job: Job) -> int:
    """spec.replicas; 1 where nothing is said."""
    count = job.spec.get("replicas")
    return 1 if count is None else int(count)


def origin_uid(job: Job) -> str:
    """Its UID; of a copy that MultiKueue made, that of the original, so that both name their Workloads alike."""
    uid = job.metadata.uid
    return job.annotations.get(names.MULTIKUEUE_ORIGIN_UID_ANNOTATION, uid) if is_remote(job) else uid


def is_remote(job: Job) -> bool:
    """Whether it is the copy of an object on another cluster, from where its Workload comes, too."""
    return names.MULTIKUEUE_ORIGIN_LABEL in job.labels


def is_of_old_revision(stateful_set: Job, pod: Pod) -> bool:
    """Whether the Pod is of a revision that a rollout is about to replace."""
    current, updated = (stateful_set.status.get(field, "") for field in ("currentRevision", "updateRevision"))
    return bool(current != updated and current == (pod.metadata.labels or {}).get(REVISION_LABEL, ""))


async def all_of(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Side by side; one that fails does not keep the others from being done. Raises the first failure."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def template_of(job: Job, *path: str) -> JsonObject:
    """A copy of the pod template there."""
    found: Any = job.spec
    for part in path:
        found = (found or {}).get(part)
    return copy.deepcopy(found or {})
