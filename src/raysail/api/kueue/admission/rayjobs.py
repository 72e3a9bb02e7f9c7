"""What Kueue's webhooks say about RayJob, RayCluster and RayService (pkg/controller/jobs/{rayjob,raycluster,rayservice})."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.kueue.admission.jobkinds import RAY_CLUSTER, RAY_JOB, RAY_SERVICE, JobKind, value_at
from raysail.api.kueue.admission.jobs import job_create_causes, job_update_causes
from raysail.api.kueue.admission.podsets import HEAD, SUBMITTER, ray_pod_sets
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Surroundings, queue_name
from raysail.api.kueue.admission.topology import PodSetSource, grouping_causes, slice_size_causes, topology_causes
from raysail.api.kueue.admission.workloads import is_elastic
from raysail.api.kueue.names import DEFAULT_LOCAL_QUEUE, ELASTIC_JOB_ANNOTATION, ELASTIC_JOB_GATE, MULTIKUEUE_CONTROLLER

Json = Mapping[str, Any]
_MOST_POD_SETS: Final = 18
_WAY_OUT_OF_DEFAULT_QUEUE: Final = ": set spec.shutdownAfterJobFinishes: true, or use a namespace without a LocalQueue named default, which holds back all jobs that name no queue"
_CLUSTER_PATH: Final = "spec.rayClusterSpec"
"""Kueue names this path for a RayService too, whose field is spec.rayClusterConfig."""


def ray_causes(obj: Json, old: Json | None, kind: JobKind, world: Surroundings) -> list[Cause]:
    """Faults of a new or changed object of Ray's. Changes of objects that are in no queue, and were in none, are not looked at."""
    settings = world.settings
    if old is None:
        return _state_causes(obj, kind, settings)
    managed = settings.manage_jobs_without_queue_name or queue_name(obj)
    if not managed and not (settings.enabled("ValidateRayAndSparkJobUpdates") and queue_name(old)):
        return []
    changes = job_update_causes(obj, old, kind, world, suspended=kind.is_suspended(obj), was_suspended=kind.is_suspended(old))
    return changes + _state_causes(obj, kind, settings)


def _state_causes(obj: Json, kind: JobKind, settings: AdmissionSettings) -> list[Cause]:
    managed = settings.manage_jobs_without_queue_name or bool(queue_name(obj))
    if kind is RAY_JOB:
        return _ray_job_causes(obj, settings, managed=managed)
    found: list[Cause] = []
    if managed:
        found += _ray_cluster_causes(obj, settings) if kind is RAY_CLUSTER else cluster_causes(obj, _cluster_of(obj, kind), settings)
    found += job_create_causes(obj, kind, settings)
    if settings.enabled("TopologyAwareScheduling"):
        found += _topology_causes(obj, kind, settings)
    return found


def _cluster_of(obj: Json, kind: JobKind) -> Json | None:
    spec = obj.get("spec") or {}
    if kind is RAY_CLUSTER:
        return spec
    return spec.get("rayClusterSpec") if kind is RAY_JOB else spec.get("rayClusterConfig") or {}


def _ray_job_causes(job: Json, settings: AdmissionSettings, *, managed: bool) -> list[Cause]:
    spec = job.get("spec") or {}
    cluster, selector = spec.get("rayClusterSpec"), spec.get("clusterSelector")
    found: list[Cause] = []
    if managed:
        if selector and cluster is not None:
            return [causes.invalid("spec.clusterSelector", selector, "a kueue managed job should not use an existing cluster")]
        if selector:
            return []  # runs on a cluster that has its own quota
        if cluster is None:
            detail = "rayClusterSpec is required for Kueue-managed jobs that don't use clusterSelector"
            return [causes.required(_CLUSTER_PATH, detail)]
        if not spec.get("shutdownAfterJobFinishes"):
            detail = "a kueue managed job should delete the cluster after finishing"
            if queue_name(job) == DEFAULT_LOCAL_QUEUE:  # its user may not know that it is in a queue at all
                detail += _WAY_OUT_OF_DEFAULT_QUEUE
            found.append(causes.invalid("spec.shutdownAfterJobFinishes", False, detail))
        found += cluster_causes(job, cluster, settings)
    found += job_create_causes(job, RAY_JOB, settings)
    if settings.enabled("TopologyAwareScheduling") and cluster is not None:
        found += _topology_causes(job, RAY_JOB, settings)
    return found


def cluster_causes(owner: Json, cluster: Json | None, settings: AdmissionSettings, path: str = _CLUSTER_PATH) -> list[Cause]:
    """Faults of the cluster inside a RayJob or RayService, the `owner`."""
    cluster = cluster or {}
    found = []
    if cluster.get("enableInTreeAutoscaling") and not is_elastic(owner, settings):
        detail = "a kueue managed job should only use autoscaling when workload slicing is enabled"
        found.append(causes.invalid(f"{path}.enableInTreeAutoscaling", True, detail))
    return found + _group_causes(cluster, path)


def _ray_cluster_causes(obj: Json, settings: AdmissionSettings) -> list[Cause]:
    spec = obj.get("spec") or {}
    found: list[Cause] = []
    if is_elastic(obj, settings):
        found += _elastic_causes(spec)
    elif spec.get("enableInTreeAutoscaling"):
        detail = (
            "a kueue-managed RayCluster can use autoscaling only as an elastic job: enable the ElasticJobsViaWorkloadSlices feature gate "
            f'and set the "{ELASTIC_JOB_ANNOTATION}": "true" annotation'
        )
        found.append(causes.invalid("spec.enableInTreeAutoscaling", True, detail))
    return found + _group_causes(spec, "spec")


def _elastic_causes(spec: Json) -> list[Cause]:
    found = []
    groups = [(f"spec.workerGroupSpecs[{at}]", group) for at, group in enumerate(spec.get("workerGroupSpecs") or ())]
    for path, group in (*groups, ("spec.headGroupSpec", spec.get("headGroupSpec") or {})):
        gates = value_at(group, ("template", "spec", "schedulingGates"))
        if all(gate.get("name") != ELASTIC_JOB_GATE for gate in gates or ()):
            field = f"{path}.template.spec.schedulingGates"
            found.append(causes.invalid(field, gates, "an elastic job must have the ElasticJobSchedulingGate"))
    if spec.get("enableInTreeAutoscaling") and spec.get("managedBy") == MULTIKUEUE_CONTROLLER:
        detail = "in-tree autoscaling is not supported for a MultiKueue-managed elastic RayCluster"
        found.append(causes.forbidden("spec.enableInTreeAutoscaling", detail))
    return found


def _group_causes(cluster: Json, path: str) -> list[Cause]:
    groups = cluster.get("workerGroupSpecs") or []
    found = []
    if len(groups) + 1 > _MOST_POD_SETS:
        found.append(causes.too_many(f"{path}.workerGroupSpecs", len(groups) + 1, _MOST_POD_SETS))
    found += [
        causes.forbidden(f"{path}.workerGroupSpecs[{at}].groupName", f'"{HEAD}" is reserved for the head group')
        for at, group in enumerate(groups)
        if group.get("groupName") == HEAD
    ]
    return found


def _topology_causes(obj: Json, kind: JobKind, settings: AdmissionSettings) -> list[Cause]:
    cluster = _cluster_of(obj, kind) or {}
    path = "spec" if kind is RAY_CLUSTER else _CLUSTER_PATH
    head, *workers = ray_pod_sets(cluster, path)
    grouping = grouping_causes([head, *workers, *_submitter(obj, kind)])
    found = topology_causes(head.path, head.metadata, settings)
    found += [*grouping, *slice_size_causes(head)] if kind is RAY_CLUSTER else [*slice_size_causes(head), *grouping]
    for worker in workers:
        found += topology_causes(worker.path, worker.metadata, settings) + slice_size_causes(worker)
    return found


def _submitter(job: Json, kind: JobKind) -> list[PodSetSource]:
    """The Pod that submits a RayJob, where there is one; Kueue has no path for its annotations."""
    if kind is not RAY_JOB or value_at(job, ("spec", "submissionMode")) != "K8sJobMode":
        return []
    metadata = value_at(job, ("spec", "submitterPodTemplate", "metadata")) or {}
    return [PodSetSource(SUBMITTER, 1, metadata, "spec.submitterPodTemplate.metadata")]


RAY_KINDS: Final = (RAY_JOB, RAY_CLUSTER, RAY_SERVICE)
