"""leaderworkerset.x-k8s.io/v1 LeaderWorkerSet: a Workload for each replica, which is a group of one leader and its workers.

Source: Kueue pkg/controller/jobs/leaderworkerset.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.core import Pod
from raysail.api.kueue import Workload, names
from raysail.api.resources import STATEFUL_SETS, WORKLOADS, Resource
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

LEADER_WORKER_SETS: Final = Resource("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets")
_DOMAIN: Final = "leaderworkerset.sigs.k8s.io"
NAME_LABEL: Final = f"{_DOMAIN}/name"
GROUP_INDEX_LABEL: Final = f"{_DOMAIN}/group-index"
WORKER_INDEX_LABEL: Final = f"{_DOMAIN}/worker-index"
LEADER_NAME_ANNOTATION: Final = f"{_DOMAIN}/leader-name"
LEADER: Final = "leader"
WORKER: Final = "worker"


class LeaderWorkerSetKind(ServingKind):
    """The pod sets of one replica: leader and workers, or `main` where they have one template."""

    framework = "leaderworkerset.x-k8s.io/leaderworkerset"
    resource = LEADER_WORKER_SETS

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Without labels and annotations that differ from replica to replica."""
        found = []
        size = group_size(job)
        if has_leader(job):
            found.append(_pod_set(LEADER, template_of(job, "leaderWorkerTemplate", "leaderTemplate"), 1, pod_index_label=""))
        workers = template_of(job, "leaderWorkerTemplate", "workerTemplate")
        name = WORKER if found else names.DEFAULT_POD_SET
        return [*found, _pod_set(name, workers, size - len(found), pod_index_label=WORKER_INDEX_LABEL)]


def group_size(job: Job) -> int:
    """How many Pods a replica has."""
    size = (job.spec.get("leaderWorkerTemplate") or {}).get("size")
    return 1 if size is None else int(size)


def has_leader(job: Job) -> bool:
    """Whether the leader has a template of its own."""
    return (job.spec.get("leaderWorkerTemplate") or {}).get("leaderTemplate") is not None


def group_count(job: Job) -> int:
    """How many replicas there are: while a rollout surges, those that surge too."""
    wanted = replicas_of(job)
    present = job.status.get("replicas") or 0
    surge = ((job.spec.get("rolloutStrategy") or {}).get("rollingUpdateConfiguration") or {}).get("maxSurge") or 0
    rolling = isinstance(surge, int) and surge > 0 and (job.status.get("updatedReplicas") or 0) < wanted
    return int(present) if present > wanted and rolling else wanted


def workload_index(workload: Workload | None) -> int:
    """Which replica it stands for; -1 where it does not say."""
    text = (workload.metadata.annotations or {}).get(names.COMPONENT_WORKLOAD_INDEX_ANNOTATION, "") if workload is not None else ""
    return int(text) if text.isascii() and text.isdigit() else -1


def _pod_set(name: str, template: JsonObject, count: int, *, pod_index_label: str) -> JsonObject:
    topology = topology_request(template, pod_index_label=pod_index_label)
    meta = template.get("metadata") or {}
    for field in ("labels", "annotations"):
        kept = {key: value for key, value in (meta.get(field) or {}).items() if not key.startswith(_DOMAIN) or key == NAME_LABEL}
        if kept:
            meta[field] = kept
        else:
            meta.pop(field, None)
    return pod_set(name, template, count, topology=topology)


class LeaderWorkerSetReconciler(ServingReconciler):
    """Keeps a Workload for each replica, and the Pods members of theirs."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        super().__init__(jobs, kind)
        self.pods.add_indexes({"leader_worker_set": lambda pod: [key for key in (self.key_of_pod(pod),) if key is not None]})
        self.stateful_sets = jobs.manager.informer(STATEFUL_SETS, Job, optional=True)
        self.controller.watches(self.stateful_sets, self._keys_of_stateful_set)

    def key_of_pod(self, pod: Pod) -> Key | None:
        """By label: between them stand StatefulSets, and for workers a leader Pod."""
        name = (pod.metadata.labels or {}).get(NAME_LABEL)
        return (pod.metadata.namespace, name) if name else None

    def _keys_of_stateful_set(self, stateful_set: Job) -> Iterable[Key]:
        name = stateful_set.labels.get(NAME_LABEL)
        template = stateful_set.spec.get("template") or {}
        parent = ((template.get("metadata") or {}).get("annotations") or {}).get(names.POD_SUSPENDING_PARENT_ANNOTATION)
        return ((stateful_set.metadata.namespace, name),) if name and parent == self.kind.framework else ()

    async def attempt(self, key: Key) -> float | None:
        """First the Workloads, so that those which are to be made anew are there when their Pods look for them."""
        job = self.informer.get(*key)
        if job is not None:
            await self._keep_workloads(job)
        await all_of(self._keep_pod(job, pod) for pod in self.pods.by_index("leader_worker_set", key))
        return None

    async def _keep_workloads(self, job: Job) -> None:
        left = {each.metadata.name: each for each in self._owned(self.kind, job) if _names(each, job)}
        wanted = [(at, self.group_name(job, str(at))) for at in range(group_count(job))]
        kept = [(name, left.pop(name, None)) for _, name in wanted]
        index = {name: at for at, name in wanted}
        await all_of(
            [
                *(self._create(job, name, index[name]) for name, present in kept if present is None and not is_remote(job)),
                *(self._update(job, present) for _, present in kept if present is not None),
                *(self._remove(each) for each in left.values()),
            ]
        )

    def group_name(self, job: Job, index: str) -> str:
        """The name of the Workload of a replica."""
        return self.workload_name(job, origin_uid(job), f"-{index}")

    async def _create(self, job: Job, name: str, at: int) -> None:
        await self._create_group_workload(
            job,
            name,
            {names.COMPONENT_WORKLOAD_INDEX_ANNOTATION: str(at)},
            copied_labels=self.settings.label_keys_to_copy,
            copied_annotations=self.settings.annotation_keys_to_copy,
        )

    async def _update(self, job: Job, workload: Workload) -> None:
        patch: JsonObject = {"spec": {"queueName": job.queue_name or None}} if workload.spec.queue_name != job.queue_name else {}
        current = await self._update_group_workload(job, workload, patch)
        if current is not None:
            await self._follow_priority(job, [current])

    async def _remove(self, workload: Workload) -> None:
        await self._drop_finalizer(workload)
        if workload.metadata.deletion_timestamp is None:
            await self._delete(WORKLOADS, workload, None)

    async def _keep_pod(self, job: Job | None, pod: Pod) -> None:
        owner = pod.metadata.controller_owner()
        stateful_set = self.stateful_sets.get(pod.metadata.namespace, owner.name) if owner is not None else None
        if stateful_set is not None and stateful_set.labels.get(NAME_LABEL) != (pod.metadata.labels or {}).get(NAME_LABEL):
            stateful_set = None
        if job is None or stateful_set is None or is_of_old_revision(stateful_set, pod):
            await self._ungate(pod)
        elif pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletion_timestamp is None:
            await self._join(job, pod)

    async def _join(self, job: Job, pod: Pod) -> None:
        """Makes a Pod a member of its replica's group, once it is known which."""
        own = pod.metadata.labels or {}
        gated = any(gate.name == names.ADMISSION_GATE for gate in pod.spec.scheduling_gates or ())
        queue = {names.QUEUE_NAME_LABEL: job.queue_name} if job.queue_name and gated else {}
        if names.MANAGED_LABEL in own:
            await self._mark(pod, queue, {})
            return
        index = own.get(GROUP_INDEX_LABEL)
        if index is None:
            return
        role = names.DEFAULT_POD_SET
        if has_leader(job):
            role = WORKER if LEADER_NAME_ANNOTATION in (pod.metadata.annotations or {}) else LEADER
        labels, annotations = self.membership(self.group_name(job, index))
        annotations |= {names.POD_GROUP_TOTAL_COUNT_ANNOTATION: str(group_size(job)), names.ROLE_HASH_ANNOTATION: role}
        await self._mark(pod, {**labels, **queue, names.MANAGED_LABEL: "true"}, annotations)


def _names(workload: Workload, job: Job) -> bool:
    return any(owner.uid == job.metadata.uid for owner in workload.metadata.owner_references or ())
