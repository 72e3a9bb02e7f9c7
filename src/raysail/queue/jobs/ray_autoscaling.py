"""Elastic RayJobs and RayServices: Ray's autoscaler changes the RayCluster that runs them, and their pod sets follow it.

The object itself never changes then, so its generation cannot tell slices apart: an annotation carries the generation of the RayCluster.
Source: Kueue pkg/controller/jobs/raycluster/common.go (UpdatePodSets, GetWorkloadslicingRayClusterCustomAnnotations, GetWorkloadNameExtraPart).
"""

from __future__ import annotations

from collections.abc import Mapping

from raysail.api.kueue import names
from raysail.queue.jobs.kind import InvalidJobError, Job, JsonObject
from raysail.queue.jobs.ray_cluster import workers


def follow_autoscaler(pod_sets: list[JsonObject], job: Job, cluster_spec: Mapping[str, object]) -> list[JsonObject]:
    """The pod sets with the counts of the RayCluster that runs an elastic, autoscaling job. Raises InvalidJobError for a group that is not its own."""
    cluster = job.companion
    if cluster is None or job.annotations.get(names.ELASTIC_JOB_ANNOTATION) != "true" or not cluster_spec.get("enableInTreeAutoscaling"):
        return pod_sets
    by_name = {pod_set["name"]: pod_set for pod_set in pod_sets}
    for group in cluster.spec.get("workerGroupSpecs") or ():
        name = str(group.get("groupName", ""))
        pod_set = by_name.get(name.lower())
        if pod_set is None:
            raise InvalidJobError(
                f"PodSet name mismatch: RayCluster {cluster.metadata.name} has worker group {name} "
                f"which is not found in Ray object {job.metadata.name} spec"
            )
        if group.get("replicas") is not None:
            pod_set["count"] = workers(group)
    return pod_sets


def generation_annotation(job: Job) -> dict[str, str]:
    """What an elastic job says about the RayCluster that runs it: its generation; empty while there is none."""
    cluster = job.companion
    return {names.RAY_CLUSTER_GENERATION_ANNOTATION: str(cluster.metadata.generation) if cluster is not None else ""}


def slice_name_part(job: Job) -> str:
    """The job's generation, and the RayCluster's where it is known."""
    of_cluster = job.annotations.get(names.RAY_CLUSTER_GENERATION_ANNOTATION, "")
    return f"{job.metadata.generation}_{of_cluster}" if of_cluster else str(job.metadata.generation)
