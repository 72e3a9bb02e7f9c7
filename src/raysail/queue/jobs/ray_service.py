"""ray.io/v1 RayService: the pod sets of its cluster. Source: Kueue pkg/controller/jobs/rayservice/rayservice_controller.go."""

from __future__ import annotations

from collections.abc import Mapping

from raysail.api.resources import RAY_CLUSTERS, RAY_SERVICES
from raysail.queue.jobs import ray_autoscaling
from raysail.queue.jobs.kind import Ended, Job, JsonObject
from raysail.queue.jobs.ray_cluster import cluster_pod_sets, fault_tolerant, templates_of
from raysail.queue.jobs.templated import TemplatedKind, condition_is_true


class RayServiceKind(TemplatedKind):
    """Suspended through the suspension of its cluster. It never finishes."""

    framework = "ray.io/rayservice"
    resource = RAY_SERVICES
    never_finishes = True
    companion = RAY_CLUSTERS

    def companion_name(self, job: Job) -> str:
        """The RayCluster that serves."""
        return str((job.status.get("activeServiceStatus") or {}).get("rayClusterName") or "")

    def slice_name_part(self, job: Job) -> str:
        """With the RayCluster's generation."""
        return ray_autoscaling.slice_name_part(job)

    def own_annotations(self, job: Job) -> Mapping[str, str]:
        """The RayCluster's generation."""
        return ray_autoscaling.generation_annotation(job)

    def switch(self, spec: JsonObject) -> JsonObject:
        """The cluster's."""
        cluster: JsonObject = spec.setdefault("rayClusterConfig", {})
        return cluster

    def templates(self, spec: JsonObject) -> list[JsonObject]:
        """Head and workers."""
        return templates_of(self.switch(spec))

    def active(self, job: Job) -> bool:
        """While it serves."""
        return condition_is_true(job, "Ready")

    def finished(self, job: Job) -> Ended | None:
        """Never."""
        return None

    def pods_ready(self, job: Job) -> bool:
        """It serves."""
        return condition_is_true(job, "Ready")

    def skip(self, job: Job) -> bool:
        """One that is being deleted keeps its Workload until the Pod that cleans up Redis is done: until it is gone."""
        cluster = job.spec.get("rayClusterConfig") or {}
        return job.metadata.deletion_timestamp is not None and fault_tolerant(cluster, job.annotations)

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Head and workers."""
        cluster = job.spec.get("rayClusterConfig") or {}
        return ray_autoscaling.follow_autoscaler(cluster_pod_sets(cluster, job.annotations), job, cluster)
