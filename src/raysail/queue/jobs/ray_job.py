"""ray.io/v1 RayJob: a cluster's pod sets, and the Pod that submits. Source: Kueue pkg/controller/jobs/rayjob/rayjob_controller.go."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from raysail.api.resources import RAY_CLUSTERS, RAY_JOBS
from raysail.queue.jobs import ray_autoscaling
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JobKind, JsonObject, Step, check_length, pod_set, topology_request
from raysail.queue.jobs.ray_cluster import HEAD, cluster_pod_sets, inject_all, restore_all, templates_of
from raysail.queue.model.podset import PodSetInfo, inject, restore

SUBMITTER = "submitter"
_SUBMITTER_CONTAINER = "ray-job-submitter"
_SUBMITTER_RESOURCES = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "200Mi"}}
_K8S_JOB_MODE = "K8sJobMode"


class RayJobKind(JobKind):
    """Suspended through spec.suspend. In K8sJobMode the submitter is a pod set of its own, in SidecarMode a container of the head."""

    framework = "ray.io/rayjob"
    resource = RAY_JOBS
    companion = RAY_CLUSTERS

    def companion_name(self, job: Job) -> str:
        """The RayCluster that runs it."""
        return str(job.status.get("rayClusterName") or "")

    def slice_name_part(self, job: Job) -> str:
        """With the RayCluster's generation."""
        return ray_autoscaling.slice_name_part(job)

    def own_annotations(self, job: Job) -> Mapping[str, str]:
        """The RayCluster's generation."""
        return ray_autoscaling.generation_annotation(job)

    def active(self, job: Job) -> bool:
        """A new or suspended RayJob has no Pods."""
        return job.status.get("jobDeploymentStatus", "") not in ("", "Suspended")

    def finished(self, job: Job) -> Ended | None:
        """Complete or Failed; the program's own status says whether it was a success."""
        if job.status.get("jobDeploymentStatus") not in ("Complete", "Failed"):
            return None
        return Ended(job.status.get("message", ""), job.status.get("jobStatus") == "SUCCEEDED")

    def pods_ready(self, job: Job) -> bool:
        """Its cluster is ready."""
        return bool((job.status.get("rayClusterStatus") or {}).get("state") == "ready")

    def skip(self, job: Job) -> bool:
        """One that runs on an existing cluster has no Pods of its own to hold back."""
        return bool(job.spec.get("clusterSelector"))

    def on_hold(self, job: Job) -> bool:
        """KubeRay refuses it as it is."""
        return bool(job.status.get("jobDeploymentStatus") == "ValidationFailed")

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Head, workers, and the submitter last."""
        cluster = job.spec.get("rayClusterSpec")
        if not cluster:
            raise InvalidJobError("spec.rayClusterSpec is missing")
        found = cluster_pod_sets(cluster, job.annotations)
        mode = _mode(job)
        if mode == _K8S_JOB_MODE:
            template = copy.deepcopy(_submitter_template(job.spec))
            found.append(pod_set(SUBMITTER, template, 1, topology=topology_request(template)))
        elif mode == "SidecarMode":
            head = next(each for each in found if each["name"] == HEAD)
            head["template"]["spec"]["containers"].append({"name": _SUBMITTER_CONTAINER, "resources": copy.deepcopy(_SUBMITTER_RESOURCES)})
        return ray_autoscaling.follow_autoscaler(found, job, cluster)

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Runs; the submitter's template is written out so that the infos have a place."""
        spec = copy.deepcopy(job.spec)
        cluster = spec.setdefault("rayClusterSpec", {})
        of_cluster = len(templates_of(cluster))
        submits = _mode(job) == _K8S_JOB_MODE
        check_length(infos, of_cluster + submits)
        spec["suspend"] = False
        inject_all(cluster, infos[:of_cluster])
        if submits:
            template = copy.deepcopy(_submitter_template(spec))
            inject(template, infos[-1])
            spec["submitterPodTemplate"] = template
        return Step(spec)

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspends and restores."""
        if self.suspended(job):
            return []
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = True
        cluster = spec.setdefault("rayClusterSpec", {})
        of_cluster = len(templates_of(cluster))
        submits = _mode(job) == _K8S_JOB_MODE
        if infos and len(infos) == of_cluster + submits:
            restore_all(cluster, infos[:of_cluster])
            if submits and spec.get("submitterPodTemplate"):
                restore(spec["submitterPodTemplate"], infos[-1])
        return [Step(spec)]


def _mode(job: Job) -> str:
    return str(job.spec.get("submissionMode") or "")  # the API fills in K8sJobMode


def _submitter_template(spec: JsonObject) -> JsonObject:
    given = spec.get("submitterPodTemplate")
    if given:
        return dict(given)
    head = ((spec.get("rayClusterSpec") or {}).get("headGroupSpec") or {}).get("template") or {}
    containers: list[JsonObject] = (head.get("spec") or {}).get("containers") or [{}]
    container: JsonObject = {"name": _SUBMITTER_CONTAINER, "resources": copy.deepcopy(_SUBMITTER_RESOURCES)}
    if containers[0].get("image"):
        container["image"] = containers[0]["image"]
    return {"spec": {"containers": [container], "restartPolicy": "Never"}}
