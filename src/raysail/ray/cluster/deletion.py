"""The end of a RayCluster whose head kept its state in Redis: a finalizer holds the object until that state is gone (raycluster_controller.go).

First all Pods go (a living GCS would write again), then a Job empties the namespace in Redis, then the finalizer goes, whatever became of the Job.
After a timeout it goes in any case, so that quota is not held for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from raysail.api.batch import JOB_COMPLETE, JOB_FAILED, JOB_FAILURE_TARGET, Job
from raysail.api.core.pod import Pod
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.meta import parse_time
from raysail.api.ray import RayCluster, names
from raysail.api.resources import JOBS, PODS, RAY_CLUSTERS
from raysail.kube.manager import Manager
from raysail.ray import naming
from raysail.ray.cluster.pods import is_head, is_terminating
from raysail.ray.cluster.redis import cleanup_job
from raysail.ray.pods import fault_tolerance
from raysail.ray.pods.build import with_default_authentication
from raysail.ray.settings import RaySettings

_TIMEOUT_SECONDS: Final = 300
_HEAD_GONE_SECONDS: Final = 10
JOBS_SELECTOR: Final = f"{names.CREATED_BY_LABEL}={names.OPERATOR_NAME}"


class Deletion:
    """`step` is asked first in every reconcile."""

    def __init__(self, manager: Manager, settings: RaySettings, pods_of: Callable[[RayCluster], list[Pod]]) -> None:
        self._manager, self._client, self._settings, self._pods_of = manager, manager.client, settings, pods_of
        self.jobs = manager.informer(JOBS, Job, label_selector=JOBS_SELECTOR)

    async def step(self, cluster: RayCluster) -> float | None:
        """None: nothing to do here, go on. Otherwise this pass is over; seconds until the next look (0: when something changes)."""
        deleting = cluster.metadata.deletion_timestamp is not None
        has_finalizer = names.GCS_FT_REDIS_CLEANUP_FINALIZER in (cluster.metadata.finalizers or ())
        uses_redis = self._uses_redis(cluster)
        if deleting and has_finalizer and not uses_redis:
            await self._set_finalizer(cluster, present=False)  # the backend was changed, or cleaning up was switched off, meanwhile
            return 0
        if uses_redis and not deleting and not has_finalizer:
            await self._set_finalizer(cluster, present=True)
            return 0
        if uses_redis and deleting and has_finalizer:
            return await self._clean_up(cluster)
        return 0 if deleting else None

    def _uses_redis(self, cluster: RayCluster) -> bool:
        options = cluster.spec.gcs_fault_tolerance_options
        enabled = fault_tolerance.is_enabled(options, cluster.metadata.annotations)
        return self._settings.redis_cleanup and enabled and not fault_tolerance.is_embedded(options)

    async def _clean_up(self, cluster: RayCluster) -> float:
        pods = [pod for pod in self._pods_of(cluster) if _is_ray_pod(pod)]
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                if not is_terminating(pod):
                    group.create_task(self._delete(pod))
        if any(map(is_head, pods)):
            return _HEAD_GONE_SECONDS
        if self._age_seconds(cluster) >= timeout_seconds(cluster):
            await self._force(cluster)
            return 0
        namespace, name = cluster.metadata.namespace, naming.redis_cleanup_job(cluster.metadata.name)
        job = self.jobs.get(namespace, name)
        if job is not None:
            ends = (JOB_COMPLETE, JOB_FAILED, JOB_FAILURE_TARGET)
            if any(c.type in ends and c.status == "True" for c in job.status.conditions or ()):
                await self._set_finalizer(cluster, present=False)
                return 0
            return self._settings.retry_seconds
        await self._start_job(cluster)
        return self._settings.retry_seconds

    async def _start_job(self, cluster: RayCluster) -> None:
        body = cleanup_job(with_default_authentication(cluster, self._settings), self._settings)
        namespace, name = cluster.metadata.namespace, body["metadata"]["name"]
        try:
            self.jobs.absorb(await self._client.create(JOBS, body, namespace))
        except StatusError as error:
            if is_already_exists(error):
                return
            text = f"Failed to create Redis cleanup Job {namespace}/{name}, {error}"
            self._event(cluster, "Warning", "FailedToCreateRedisCleanupJob", text, "Create")
            raise
        self._event(cluster, "Normal", "CreatedRedisCleanupJob", f"Created Redis cleanup Job {namespace}/{name}", "Create")

    async def _force(self, cluster: RayCluster) -> None:
        await self._set_finalizer(cluster, present=False)
        storage = (cluster.metadata.annotations or {}).get(names.EXTERNAL_STORAGE_NAMESPACE_ANNOTATION, "")
        text = (
            f"Force-removed GCS FT finalizer after {self._age_seconds(cluster):.9f}s due to Redis cleanup timeout; "
            f'Redis storage namespace "{storage}" may need manual cleanup'
        )
        self._event(cluster, "Warning", "ForceDeletedStuckCluster", text, "Cleanup")

    async def _delete(self, pod: Pod) -> None:
        try:
            await self._client.delete(PODS, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)
        except StatusError as error:
            if not is_not_found(error):
                raise

    async def _set_finalizer(self, cluster: RayCluster, *, present: bool) -> None:
        others = [f for f in cluster.metadata.finalizers or () if f != names.GCS_FT_REDIS_CLEANUP_FINALIZER]
        wanted = [*others, names.GCS_FT_REDIS_CLEANUP_FINALIZER] if present else others
        # a list is replaced as a whole: only on the version that was read
        patch = {"metadata": {"resourceVersion": cluster.metadata.resource_version, "finalizers": wanted}}
        await self._client.patch(RAY_CLUSTERS, cluster.metadata.name, patch, cluster.metadata.namespace)

    def _age_seconds(self, cluster: RayCluster) -> float:
        since = cluster.metadata.deletion_timestamp
        return (self._manager.clock.now() - parse_time(since)).total_seconds() if since else 0

    def _event(self, cluster: RayCluster, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(cluster, type_, reason, message, action, controller="raycluster-controller")


def timeout_seconds(cluster: RayCluster) -> int:
    """How long the finalizer may hold the cluster: the annotation's whole positive number, or five minutes."""
    text = (cluster.metadata.annotations or {}).get(names.GCS_FT_DELETION_TIMEOUT_ANNOTATION, "")
    return int(text) if text.isdigit() and int(text) > 0 else _TIMEOUT_SECONDS


def _is_ray_pod(pod: Pod) -> bool:
    return (pod.metadata.labels or {}).get(names.NODE_TYPE_LABEL) in (names.HEAD, names.WORKER)
