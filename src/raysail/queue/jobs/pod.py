"""Plain Pods and groups of Pods in the queue: held by their gate, let go with what admission says, stopped by deletion, replaced in their group.

The key of a group is (`group/NAMESPACE`, group). What the Pods mean is in `pod_group`; here is what is written to them.
Source: Kueue pkg/controller/jobs/pod.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from raysail.api.conditions import set_condition
from raysail.api.core import Pod
from raysail.api.kueue import Workload, names
from raysail.api.meta import OwnerReference
from raysail.api.resources import PODS
from raysail.kube.informer import Key
from raysail.queue.jobs import pod_group
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JobKind, JsonObject
from raysail.queue.jobs.pod_group import MOST_ROLES, Pods, counts, gated, gather, group_of_pod, held, role_of, without_gate
from raysail.queue.jobs.reconciler import JobReconciler
from raysail.queue.jobs.shared import Jobs, group_of
from raysail.queue.jobs.workloads import maximum_execution_time, prebuilt_name
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo, inject
from raysail.queue.writes import merge_patch

_GROUP: Final = "group/"
_DELETED: Final = "WorkloadDeleted"


class PodKind(JobKind):
    """What a Pod, or a group of them, does and needs; jobs are `Pods`."""

    framework = "pod"
    resource = PODS
    implied_by = ("deployment", "statefulset", "leaderworkerset.x-k8s.io/leaderworkerset")
    top_level = True
    label_selector = f"{names.MANAGED_LABEL}=true"

    def skip(self, job: Job) -> bool:
        """Those which are not marked as managed."""
        return job.labels.get(names.MANAGED_LABEL) != "true"

    def leaving(self, job: Job) -> bool:
        """A group is there as long as one Pod of it is."""
        return not _pods(job).group and job.metadata.deletion_timestamp is not None

    def suspended(self, job: Job) -> bool:
        """Whether a Pod is gated or has ended."""
        return pod_group.suspended(_pods(job))

    def active(self, job: Job) -> bool:
        """Whether a Pod of a group runs."""
        return pod_group.active(_pods(job))

    def finished(self, job: Job) -> Ended | None:
        """See `pod_group.finished`."""
        return pod_group.finished(_pods(job))

    def pods_ready(self, job: Job) -> bool:
        """All there and ready."""
        return pod_group.pods_ready(_pods(job))

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """One for each role."""
        return pod_group.pod_sets(_pods(job))

    def reclaimable(self, job: Job) -> dict[str, int] | None:
        """Pods of a group that have succeeded."""
        return pod_group.reclaimable(_pods(job))

    def follows_queue_name(self, job: Job) -> bool:
        """Those that serve are moved by what owns them."""
        return not pod_group.is_serving(_pods(job))


def _pods(job: Job) -> Pods:
    if not isinstance(job, Pods):
        raise TypeError(f"Pod {job.metadata.namespace}/{job.metadata.name} was not loaded by the reconciler of Pods")
    return job


class PodReconciler(JobReconciler):
    """Reconciles Pods and groups."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        self._by_annotation = jobs.settings.gate("WorkloadIdentifierAnnotations", True)
        self._only_implied = "pod" not in jobs.settings.frameworks
        self._own_groups_only = jobs.settings.gate("PodIntegrationValidateGroupOwner", True)
        self.all_pods = jobs.manager.informer(PODS, Pod)
        """Also those which somebody has taken the label from: they still run, so what they hold is not given back."""
        super().__init__(jobs, kind)
        self.informer.add_indexes({"group": self._group_keys})
        self.all_pods.on_change(self._gone)

    # which Pods are one job

    def _group_keys(self, pod: Job) -> tuple[Key, ...]:
        group = group_of_pod(pod, by_annotation=self._by_annotation)
        return ((pod.metadata.namespace, group),) if group else ()

    def keys_of(self, job: Job) -> Iterable[Key]:
        """A Pod's own, or its group's."""
        return [(_GROUP + namespace, group) for namespace, group in self._group_keys(job)] or [job.metadata.key]

    def key_of(self, job: Job) -> Key:
        """A Pod's own, or its group's."""
        group = _pods(job).group
        return (_GROUP + job.metadata.namespace, group) if group else job.metadata.key

    def load(self, key: Key) -> Pods | None:
        """The Pod, or the group in the places of its Workload."""
        fast = self.settings.gate("FastQuotaReleaseInPodIntegration", False)
        if not key[0].startswith(_GROUP):
            pod = self.informer.get(*key)
            if pod is None or (self._only_implied and names.POD_SUSPENDING_PARENT_ANNOTATION not in pod.annotations):
                return None
            return gather([pod], "", self._now, fast_release=fast)
        namespace, group = key[0].removeprefix(_GROUP), key[1]
        members = sorted(self.informer.by_index("group", (namespace, group)), key=lambda pod: pod.metadata.name)
        if self._only_implied:
            members = [pod for pod in members if names.POD_SUSPENDING_PARENT_ANNOTATION in pod.annotations]
        if not members:
            return None
        pods = gather(members, group, self._now, fast_release=fast)
        workload = self.cache.workloads.get(namespace, group)
        if workload is None or prebuilt_name(pods, self.gates) or not self._is_own(workload) or not _same_limit(pods, workload):
            return pods
        return gather(members, group, self._now, fit=pod_group.fit_to(pods, workload), fast_release=fast)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        workload = new if new is not None else old
        if workload is None:
            return
        namespace, name = workload.metadata.key
        if _is_of_group(workload) or (new is None and self._own_groups_only):
            self.controller.enqueue((_GROUP + namespace, name))  # one that goes may have kept a group from having its own
        owner = workload.metadata.controller_owner()
        if owner is not None and owner.kind == "Pod" and group_of(owner.api_version) == "":
            self.controller.enqueue((namespace, owner.name))
        for pod in self.informer.by_index("prebuilt", workload.metadata.key):
            for key in self.keys_of(pod):
                self.controller.enqueue(key)

    def _gone(self, old: Pod | None, new: Pod | None) -> None:
        annotations, labels = (old.metadata.annotations or {}, old.metadata.labels or {}) if old is not None else ({}, {})
        if old is None or new is not None or names.ROLE_HASH_ANNOTATION not in annotations:
            return  # admission marks those in queues with their role, which nobody takes off
        group = (annotations.get(names.POD_GROUP_NAME) if self._by_annotation else "") or labels.get(names.POD_GROUP_NAME, "")
        self.controller.enqueue((_GROUP + old.metadata.namespace, group) if group else old.metadata.key)

    def _is_there(self, namespace: str, owner: OwnerReference) -> bool:
        found = self.all_pods.get(namespace, owner.name) if (owner.api_version, owner.kind) == ("v1", "Pod") else None
        return found is not None and found.metadata.uid == owner.uid

    def _is_own(self, workload: Workload) -> bool:
        return _is_of_group(workload) or not self._own_groups_only

    # the Workload

    async def _find(self, job: Job) -> tuple[Workload | None, list[Workload]]:
        pods = _pods(job)
        if not pods.group:
            return await super()._find(job)
        found = self.cache.workloads.get(job.metadata.namespace, pods.group)
        if found is None:
            return None, []
        if not self._is_own(found):
            text = f'A Workload named "{pods.group}" already exists but is not a pod group workload; this pod group cannot be admitted'
            self.events.event(job, "Warning", "WorkloadNameConflict", text, "Admission")
            await self._free(pod for pod in pods.members if not counts(pod))
            raise InvalidJobError(text, told=False)
        if pods.fit is None:
            return None, [found]
        owned = await self._adopt(job, found)
        await self._remove(pods.fit.excess)
        await self._free(pods.fit.replaced)
        return owned, []

    async def _adopt(self, job: Job, workload: Workload) -> Workload | None:
        """All Pods of a group own its Workload together."""
        pods = _pods(job)
        if not pods.group:
            return await super()._adopt(job, workload)
        owners: list[JsonObject] = msgspec.to_builtins(workload.metadata.owner_references or [])
        present = {each["name"] for each in owners if each.get("kind") == "Pod" and each.get("apiVersion") == "v1"}
        missing = [_reference(pod) for pod in pods.present if pod.metadata.name not in present]
        if not missing:
            return workload
        owned: Workload | None = await self.workloads.patch(workload, {"metadata": {"ownerReferences": [*owners, *missing]}})
        if owned is not None:
            self.events.event(owned, "Normal", "OwnerReferencesAdded", f"Added {len(missing)} owner reference(s)", "OwnerReferencesAdded")
        return owned

    def _in_sync(self, job: Job, workload: Workload) -> bool:
        pods = _pods(job)
        if not pods.group:
            return super()._in_sync(job, workload)
        return workload.metadata.name == (prebuilt_name(pods, self.gates) or pods.group) and pod_group.covers(
            workload, pod_group.pod_sets(pods)
        )

    def _is_its(self, job: Job, workload: Workload) -> bool:
        return bool(_pods(job).group) or super()._is_its(job, workload)

    async def _constructed(self, job: Job) -> JsonObject:
        pods = _pods(job)
        if not pods.group:
            return await super()._constructed(job)
        counting, gone = pod_group.split(pods.members)
        await self._free(gone)
        pod_group.check_members(pods, counting)
        total = pod_group.total_count(pods)
        if len(counting) > total:
            counting = pod_group.youngest_last(counting)
            await self._remove(counting[total:])
            pods = msgspec.structs.replace(pods, members=tuple(counting[:total]))
        made = await super()._constructed(pods)
        if len(made["spec"]["podSets"]) > MOST_ROLES:
            raise InvalidJobError(f"pod group can't include more than {MOST_ROLES} roles", told=False)
        made["metadata"] |= self._group_metadata(pods, made["metadata"].get("annotations") or {})
        return made

    def _group_metadata(self, pods: Pods, annotations: JsonObject) -> JsonObject:
        """What of the metadata is the group's and not that of its first Pod."""
        to_copy = self.settings.annotation_keys_to_copy if self.gates.custom_metric_labels else ()
        own = {key: value for key, value in annotations.items() if key not in to_copy}
        own |= pod_group.common((pod.annotations for pod in pods.members), to_copy, "annotation")
        return {
            "name": prebuilt_name(pods, self.gates) or pods.group,
            "labels": pod_group.common((pod.labels for pod in pods.members), self.settings.label_keys_to_copy, "label"),
            "annotations": {**own, names.IS_GROUP_WORKLOAD_ANNOTATION: "true"},
            "ownerReferences": [_reference(pod) for pod in pods.members],
        }

    async def _tell_more(self, job: Job, workload: Workload) -> bool:
        wanted = pod_group.waiting_for_replacement(_pods(job), workload)
        if wanted is None:
            return False
        value, reason, message = wanted
        generation = workload.metadata.generation
        await self._change(
            workload, lambda w, s: transitions.put(s, "WaitingForReplacementPods", value, reason, message, self._now, generation)
        )
        return True

    async def _finalize_workloads(self, key: Key) -> None:
        if not key[0].startswith(_GROUP):
            if self.informer.get(*key) is not None or self.all_pods.get(*key) is None:
                await super()._finalize_workloads(key)
            return
        workload = self.cache.workloads.get(key[0].removeprefix(_GROUP), key[1])
        if workload is None:
            return
        owner = workload.metadata.controller_owner()
        if owner is not None and not self._is_own(workload):
            return  # another job's, of the same name
        if any(self._is_there(workload.metadata.namespace, owner) for owner in workload.metadata.owner_references or ()):
            return
        if self.gates.finish_orphaned_workloads and owner is not None and workload.metadata.deletion_timestamp is None:
            await self._finish(workload, "OwnerNotFound", "The workload's owner no longer exists")
        await self._drop_finalizer(self.cache.workloads.get(*workload.metadata.key) or workload)

    # the Pods

    def _tell_checks(self, job: Job, workload: Workload) -> None:
        for pod in _pods(job).present:
            super()._tell_checks(pod, workload)

    async def _start(self, job: Job, workload: Workload) -> None:
        pods = _pods(job)
        admission = workload.status.admission
        if admission is None or self._runs_elsewhere(workload):
            return
        waiting = [pod for pod in pods.present if gated(pod)]
        try:
            infos = self._infos(workload)
            patches = [(pod, _let_go_patch(pod, info_for(pods, pod, infos))) for pod in waiting]
        except PodSetConflictError as error:
            await self._finish(workload, "FailedToStart", str(error))
            return
        await asyncio.gather(*(self._ungate(pod, patch, admission.cluster_queue) for pod, patch in patches))

    def _runs_elsewhere(self, workload: Workload) -> bool:
        given = (self.cache.checks.get("", check.name) for check in workload.status.admission_checks or ())
        return any(check is not None and check.spec.controller_name == names.MULTIKUEUE_CONTROLLER for check in given)

    async def _ungate(self, pod: Job, patch: JsonObject, cluster_queue: str) -> None:
        if await self.writer.patch(pod, patch) is not None:
            self._say(pod, "Normal", "Started", f"Admitted by clusterQueue {cluster_queue}")

    async def _stop(self, job: Job, workload: Workload | None, message: str, reason: str) -> None:
        pods = _pods(job)
        chosen = [
            pod for pod in pods.present if pod.metadata.deletion_timestamp is None and (reason == _DELETED or not held(pod))
        ]  # with its Workload even a Pod that ended goes
        await asyncio.gather(*(self._end(pod, message, reason) for pod in chosen))
        if pods.group and reason == _DELETED:
            await self._let_go(job)

    async def _end(self, pod: Job, message: str, reason: str) -> None:
        """Says in the Pod's status why it has to end, and deletes it."""

        def tell(_: Job, status: dict[str, Any]) -> bool:
            return set_condition(status.setdefault("conditions", []), "TerminationTarget", True, reason, message, self._now)

        await self.writer.change(pod, tell)
        await self._delete(PODS, pod, None)
        self._say(pod, "Normal", "Stopped", cut(message))

    async def _remove(self, excess: Sequence[Job]) -> None:
        async def remove(pod: Job) -> None:
            await self._free((pod,))
            if pod.metadata.deletion_timestamp is None and await self._delete(PODS, pod, None):
                self._say(pod, "Normal", "ExcessPodDeleted", "Excess pod deleted")

        await asyncio.gather(*(remove(pod) for pod in excess))

    async def _free(self, members: Iterable[Job]) -> None:
        """Takes the finalizer off."""

        async def free(pod: Job) -> None:
            current = self.informer.get(*pod.metadata.key)
            held_by = (current or pod).metadata.finalizers or []
            if current is not None and current.metadata.uid == pod.metadata.uid and names.MANAGED_FINALIZER in held_by:
                left = [each for each in held_by if each != names.MANAGED_FINALIZER]
                await self.writer.patch(current, {"metadata": {"finalizers": left or None}})

        await asyncio.gather(*(free(pod) for pod in members))

    async def _let_go(self, job: Job) -> None:
        await self._free(_pods(job).members)


def info_for(pods: Pods, pod: Job, infos: Sequence[PodSetInfo]) -> PodSetInfo:
    """What that Pod gets: a single one the only, one of a group that of its role. Raises PodSetConflictError."""
    if not pods.group:
        if len(infos) != 1:
            raise PodSetConflictError(f"invalid podset infos: expecting 1 pod set got {len(infos)}")
        return infos[0]
    role = role_of(pod)
    found = next((info for info in infos if info.name == role), None)
    if found is None:
        raise PodSetConflictError(f"invalid podset infos: podSetInfo with the name '{role}' is not found")
    return found


def _let_go_patch(pod: Job, info: PodSetInfo) -> JsonObject:
    """The merge patch that lets an admitted Pod go. The gate of topology stays where a place is still to be named."""
    before: JsonObject = {"metadata": {"labels": dict(pod.labels), "annotations": dict(pod.annotations)}, "spec": pod.spec}
    after = copy.deepcopy(before)
    inject(after, info)
    without_gate(after["spec"], names.ADMISSION_GATE)
    if not any(gate.get("name") == names.TOPOLOGY_GATE for gate in info.gates):
        without_gate(after["spec"], names.TOPOLOGY_GATE)
    return merge_patch(before, after)


def _reference(pod: Job) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}


def _is_of_group(workload: Workload) -> bool:
    return (workload.metadata.annotations or {}).get(names.IS_GROUP_WORKLOAD_ANNOTATION) == "true"


def _same_limit(pods: Pods, workload: Workload) -> bool:
    return workload.spec.maximum_execution_time_seconds == maximum_execution_time(pods)
