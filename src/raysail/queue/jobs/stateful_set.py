"""apps/v1 StatefulSet: its Pods are one group that serves; its Workload is on hold while it is scaled to zero.

Source: Kueue pkg/controller/jobs/statefulset.
"""

from __future__ import annotations

from typing import Final

import msgspec

from raysail.api import conditions
from raysail.api.core import Pod
from raysail.api.kueue import Workload, names
from raysail.api.resources import STATEFUL_SETS
from raysail.kube.informer import Key
from raysail.queue.jobs.kind import Job, JobKind, JsonObject, pod_set, topology_request
from raysail.queue.jobs.serving import (
    ServingKind,
    ServingReconciler,
    all_of,
    is_of_old_revision,
    is_remote,
    origin_uid,
    replicas_of,
    template_of,
)
from raysail.queue.jobs.shared import Jobs
from raysail.queue.lifecycle import status as transitions
from raysail.queue.model.workload import has_reservation, is_active, is_finished

POD_INDEX: Final = "apps.kubernetes.io/pod-index"


class StatefulSetKind(ServingKind):
    """One pod set of all replicas."""

    framework = "statefulset"
    resource = STATEFUL_SETS

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """`main`, with the template's spec."""
        template = template_of(job, "template")
        topology = topology_request(template, pod_index_label=POD_INDEX)
        return [pod_set(names.DEFAULT_POD_SET, {"spec": template.get("spec") or {}}, replicas_of(job), topology=topology)]


class StatefulSetReconciler(ServingReconciler):
    """Keeps the Workload of a StatefulSet, and its Pods members of the group."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        super().__init__(jobs, kind)
        self.pods.add_indexes(
            {"group": self._group_key, "queued_stateful_set": lambda pod: [k for k in (self.key_of_pod(pod),) if k is not None]}
        )

    def _group_key(self, pod: Pod) -> tuple[Key, ...]:
        group = self.group_of(pod)
        return ((pod.metadata.namespace, group),) if group else ()

    def key_of_pod(self, pod: Pod) -> Key | None:
        """Its controller, where that is a StatefulSet."""
        owner = pod.metadata.controller_owner()
        if owner is None or (owner.api_version, owner.kind) != (STATEFUL_SETS.api_version, STATEFUL_SETS.kind):
            return None
        return pod.metadata.namespace, owner.name

    def _is_held(self, job: Job) -> bool:
        template = job.spec.get("template") or {}
        parent = ((template.get("metadata") or {}).get("annotations") or {}).get(names.POD_SUSPENDING_PARENT_ANNOTATION)
        return parent in (None, self.kind.framework) and super()._is_held(job)

    async def attempt(self, key: Key) -> float | None:
        """Its Pods are members and follow its queue; its Workload is there and follows it."""
        job = self.informer.get(*key)
        if job is None:
            return None
        name, workload = self.workload_of(job)
        owned = {pod.metadata.uid: pod for pod in self.pods.by_index("queued_stateful_set", key)}
        others = [pod for pod in self.pods.by_index("group", (key[0], name)) if pod.metadata.uid not in owned]
        await all_of(
            [
                self._keep_workload(job, name, workload),
                *(self.keep(job, name, pod) for pod in owned.values()),
                *(self._follow(job, pod) for pod in others),
            ]
        )
        return None

    def workload_of(self, job: Job) -> tuple[str, Workload | None]:
        """The Workload and its name; those of older versions had no UID in their name."""
        name, legacy = (self.workload_name(job, uid) for uid in (origin_uid(job), ""))
        for each in (name, legacy):
            found = self.cache.workloads.get(job.metadata.namespace, each)
            if found is not None:
                return each, found
        return name, None

    # Pods

    async def keep(self, job: Job, group: str, pod: Pod) -> None:
        """Makes a Pod of the StatefulSet a member of its group."""
        if is_of_old_revision(job, pod):
            await self._ungate(pod)  # it would keep the rollout waiting
            return
        if pod.status.phase in ("Succeeded", "Failed") or pod.metadata.deletion_timestamp is not None:
            return
        queue = {names.QUEUE_NAME_LABEL: job.queue_name} if job.queue_name else {}
        if self.group_of(pod) == group:
            await self._mark(pod, queue, {})
            return
        if not queue and not self.settings.manage_jobs_without_queue_name:
            return
        labels, annotations = self.membership(group)
        priority = job.labels.get(names.PRIORITY_CLASS_LABEL)
        if priority:
            labels[names.PRIORITY_CLASS_LABEL] = priority
        annotations |= {
            names.POD_GROUP_TOTAL_COUNT_ANNOTATION: str(replicas_of(job)),
            names.POD_GROUP_FAST_ADMISSION_ANNOTATION: "true",
            names.POD_GROUP_SERVING_ANNOTATION: "true",
            names.POD_GROUP_POD_INDEX_LABEL_ANNOTATION: POD_INDEX,
            names.ROLE_HASH_ANNOTATION: names.DEFAULT_POD_SET,
        }
        await self._mark(pod, {**labels, **queue, names.MANAGED_LABEL: "true"}, annotations)

    async def _follow(self, job: Job, pod: Pod) -> None:
        if is_of_old_revision(job, pod):
            await self._ungate(pod)
        elif job.queue_name and replicas_of(job):
            await self._mark(pod, {names.QUEUE_NAME_LABEL: job.queue_name}, {})

    # its Workload

    async def _keep_workload(self, job: Job, name: str, workload: Workload | None) -> None:
        replicas = replicas_of(job)
        if workload is None:
            managed = job.queue_name or self.settings.manage_jobs_without_queue_name
            if replicas and managed and not is_remote(job):
                await self._create_group_workload(job, name, {})
            return
        patch: JsonObject = {}
        owners = msgspec.to_builtins(workload.metadata.owner_references or [])
        if replicas and not any(each.get("uid") == job.metadata.uid for each in owners):
            patch["metadata"] = {"ownerReferences": [*owners, self.reference(job)], "annotations": self.owner_annotations(job)}
        if replicas and workload.spec.queue_name != job.queue_name:
            patch["spec"] = {"queueName": job.queue_name or None}
        current = await self._update_group_workload(job, workload, patch)
        if current is not None and not replicas:
            await self.hold(current)
        elif current is not None and is_on_hold(current):
            text = "Workload no longer on hold; waiting for quota reservation"
            await self._change(current, lambda w, s: transitions.release(s, "PendingEvaluation", text, self._now, w.metadata.generation))

    async def hold(self, workload: Workload) -> None:
        """Scaled to zero: it gives back its quota and does not ask for any."""
        if has_reservation(workload) and not is_finished(workload) and is_active(workload):
            text = "StatefulSet scaled to zero; workload on hold"
            await self._change(workload, lambda w, s: transitions.release(s, "OnHold", text, self._now, w.metadata.generation))


def is_on_hold(workload: Workload) -> bool:
    """Whether it waits for its user and not for quota."""
    found = conditions.find(workload.status.conditions, "QuotaReserved")
    return found is not None and found.status == "False" and found.reason == "OnHold"
