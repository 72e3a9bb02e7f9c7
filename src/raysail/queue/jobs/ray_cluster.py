"""ray.io/v1 RayCluster, and what RayJob and RayService share with it: a head and worker groups as pod sets.

Source: Kueue pkg/controller/jobs/raycluster.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from raysail.api.quantity import QuantityError, parse_nano
from raysail.api.resources import RAY_CLUSTERS
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JsonObject, pod_set, topology_request
from raysail.queue.jobs.templated import TemplatedKind
from raysail.queue.model.podset import PodSetInfo, inject, restore

HEAD = "head"
_AUTOSCALER = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
_REDIS_CLEANUP = {"cpu": "200m", "memory": "256Mi"}
_FAULT_TOLERANCE_ANNOTATION = "ray.io/ft-enabled"


def cluster_pod_sets(spec: JsonObject, annotations: Mapping[str, str]) -> list[JsonObject]:
    """The head and one pod set a worker group, with the containers that KubeRay adds counted in."""
    head = copy.deepcopy((spec.get("headGroupSpec") or {}).get("template") or {})
    containers = head.setdefault("spec", {}).setdefault("containers", [])
    topology = topology_request(head)
    if fault_tolerant(spec, annotations):
        if not containers:
            raise InvalidJobError("cannot account for Redis cleanup resources: head pod template must include the Ray container")
        resources = containers[0].setdefault("resources", {})
        resources["requests"] = _larger(resources.get("requests") or {}, _REDIS_CLEANUP)
    if spec.get("enableInTreeAutoscaling"):
        options = spec.get("autoscalerOptions") or {}
        containers.append({"name": "autoscaler", "resources": copy.deepcopy(options.get("resources") or _AUTOSCALER)})
    found = [pod_set(HEAD, head, 1, topology=topology)]
    for group in spec.get("workerGroupSpecs") or ():
        template = copy.deepcopy(group.get("template") or {})
        found.append(pod_set(group.get("groupName", ""), template, workers(group), topology=topology_request(template)))
    return found


def fault_tolerant(spec: JsonObject, annotations: Mapping[str, str]) -> bool:
    """Whether the cluster keeps its state in a Redis, which has to be cleaned up after it."""
    return bool(spec.get("gcsFaultToleranceOptions")) or annotations.get(_FAULT_TOLERANCE_ANNOTATION, "").lower() == "true"


def workers(group: Mapping[str, object]) -> int:
    """Pods of a worker group: replicas (1 where unset) times hosts."""
    replicas = group.get("replicas")
    hosts = group.get("numOfHosts")
    count = replicas if isinstance(replicas, int) else 1
    return count * hosts if isinstance(hosts, int) and hosts > 1 else count


def _larger(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
    merged = dict(a)
    for name, value in b.items():
        try:
            if name not in merged or parse_nano(merged[name]) < parse_nano(value):
                merged[name] = value
        except QuantityError:
            merged[name] = value
    return merged


def templates_of(spec: JsonObject) -> list[JsonObject]:
    """The pod templates of a cluster's spec, head first: to change in place."""
    found = [spec.setdefault("headGroupSpec", {}).setdefault("template", {})]
    found += [group.setdefault("template", {}) for group in spec.get("workerGroupSpecs") or ()]
    return found


def inject_all(spec: JsonObject, infos: Sequence[PodSetInfo]) -> None:
    """Into head and workers. Raises PodSetConflictError."""
    for template, info in zip(templates_of(spec), infos, strict=True):
        inject(template, info)


def restore_all(spec: JsonObject, infos: Sequence[PodSetInfo]) -> None:
    """Head and workers as they were; nothing where the pod sets do not match any more."""
    templates = templates_of(spec)
    if len(templates) == len(infos):
        for template, info in zip(templates, infos, strict=True):
            restore(template, info)


class RayClusterKind(TemplatedKind):
    """Suspended through spec.suspend. It never finishes: its Workload lives as long as the cluster."""

    framework = "ray.io/raycluster"
    resource = RAY_CLUSTERS
    never_finishes = True

    def templates(self, spec: JsonObject) -> list[JsonObject]:
        """Head and workers."""
        return templates_of(spec)

    def active(self, job: Job) -> bool:
        """As Kueue: while its state is ready."""
        return bool(job.status.get("state") == "ready")

    def finished(self, job: Job) -> Ended | None:
        """Never."""
        return None

    def pods_ready(self, job: Job) -> bool:
        """KubeRay says so."""
        return bool(job.status.get("state") == "ready")

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Head and workers."""
        return cluster_pod_sets(job.spec, job.annotations)
