"""workload.codeflare.dev/v1beta2 AppWrapper: objects of other kinds, wrapped to be queued as one. What admission gives goes into their podSetInfos.

Where the Pods are in a wrapped object is declared, or known of its kind: as paths that begin with `template`.
Source: Kueue pkg/controller/jobs/appwrapper, project-codeflare/appwrapper pkg/utils.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from raysail.api.batch import JOB_COMPLETION_INDEX
from raysail.api.kueue.admission.jobkinds import APP_WRAPPER
from raysail.queue.jobs.job_set import JOB_INDEX
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JobKind, JsonObject, Step, pod_set, topology_request
from raysail.queue.jobs.templated import condition_is_true
from raysail.queue.jobs.training import REPLICA_INDEX
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo

_PREFIX: Final = "workload.codeflare.dev.appwrapper"
_POD_INDEX: Final = f"{_PREFIX}/tas-pod-index-label"
_SUB_GROUP_INDEX: Final = f"{_PREFIX}/tas-sub-group-index-label"
_SUB_GROUP_COUNT: Final = f"{_PREFIX}/tas-sub-group-count"
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_OF_CONTAINERS: Final = (
    "name",
    "image",
    "command",
    "args",
    "resources",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
)
_OF_SPECS: Final = (
    "restartPolicy",
    "dnsPolicy",
    "nodeSelector",
    "nodeName",
    "securityContext",
    "affinity",
    "schedulerName",
    "tolerations",
    "priorityClassName",
    "preemptionPolicy",
    "overhead",
    "topologySpreadConstraints",
)


class Place(NamedTuple):
    """Where a wrapped object has Pods, how many, and what topology is to know of them."""

    path: str
    replicas: int
    annotations: dict[str, str]


class AppWrapperKind(JobKind):
    """Suspended through spec.suspend; a pod set for each place."""

    framework = APP_WRAPPER.framework
    resource = APP_WRAPPER.resource

    def active(self, job: Job) -> bool:
        """While its own controller says that it holds quota."""
        return condition_is_true(job, "QuotaReserved")

    def finished(self, job: Job) -> Ended | None:
        """Succeeded, or Failed and all that was deployed is gone."""
        phase = job.status.get("phase")
        if phase == "Succeeded":
            return Ended("AppWrapper finished successfully", True)
        if phase == "Failed" and not condition_is_true(job, "ResourcesDeployed"):
            return Ended("AppWrapper failed", False)
        return None

    def pods_ready(self, job: Job) -> bool:
        """It says so."""
        return condition_is_true(job, "PodsReady")

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Named after the AppWrapper, and numbered. Raises InvalidJobError."""
        found: list[JsonObject] = []
        for component, places in zip(_components(job), _places(job), strict=True):
            for place in places:
                raw = value_at(component.get("template") or {}, place.path)
                if not isinstance(raw, dict) or not isinstance(raw.get("spec"), dict):
                    continue  # a declared path that leads nowhere
                template = _template(raw)
                count = place.annotations.get(_SUB_GROUP_COUNT, "")
                topology = topology_request(
                    template,
                    pod_index_label=place.annotations.get(_POD_INDEX, ""),
                    sub_group_index_label=place.annotations.get(_SUB_GROUP_INDEX, ""),
                    sub_group_count=int(count) if count.isascii() and count.isdigit() else None,
                )
                found.append(pod_set(f"{job.metadata.name}-{len(found)}", template, place.replicas, topology=topology))
        return found

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Runs, with the infos beside the wrapped objects. Raises PodSetConflictError."""
        places = _places(job)
        expected = sum(map(len, places))
        if expected != len(infos):
            raise PodSetConflictError(f"invalid podset infos: expecting {expected} podsets, got {len(infos)}")
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = False
        rest = iter(infos)
        for component, here in zip(spec.get("components") or (), places, strict=True):
            component["podSetInfos"] = [_info(next(rest)) for _ in here]
        return Step(spec)

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspended, without infos."""
        if self.suspended(job):
            return []
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = True
        for component in (spec.get("components") or ()) if infos else ():
            component.pop("podSetInfos", None)
        return [Step(spec)]


def _components(job: Job) -> list[JsonObject]:
    return job.spec.get("components") or []


def _places(job: Job) -> list[list[Place]]:
    """Of each component: as its controller has written them down, else as declared, else as known."""
    written = job.status.get("componentStatus") or []
    components = _components(job)
    if len(written) == len(components):
        return [[_place(each) for each in component.get("podSets") or ()] for component in written]
    return [
        [_place(each) for each in component["podSets"]] if component.get("podSets") else known_places(component.get("template") or {})
        for component in components
    ]


def _place(said: JsonObject) -> Place:
    replicas = said.get("replicas")
    return Place(said.get("path", ""), 1 if replicas is None else int(replicas), said.get("annotations") or {})


def known_places(obj: JsonObject) -> list[Place]:
    """Where objects of known kinds have their Pods; none for other kinds. Raises InvalidJobError."""
    match obj.get("apiVersion"), obj.get("kind"):
        case "v1", "Pod":
            found = [Place("template", 1, {})]
        case "apps/v1", "Deployment" | "StatefulSet":
            found = [Place("template.spec.template", _count(obj, "template.spec.replicas"), {})]
        case "batch/v1", "Job":
            found = [Place("template.spec.template", _pods_of_job(obj, "template.spec"), {_POD_INDEX: JOB_COMPLETION_INDEX})]
        case "jobset.x-k8s.io/v1alpha2", "JobSet":
            found = _of_job_set(obj)
        case "kubeflow.org/v1", "PyTorchJob":
            prefixes = [f"template.spec.pytorchReplicaSpecs.{role}" for role in ("Master", "Worker")]
            found = [Place(f"{at}.template", _count(obj, f"{at}.replicas"), {_POD_INDEX: REPLICA_INDEX}) for at in prefixes]
        case "ray.io/v1", "RayCluster":
            found = _of_ray_cluster(obj, "template.spec")
        case "ray.io/v1", "RayJob":
            found = _of_ray_cluster(obj, "template.spec.rayClusterSpec")
        case _:
            found = []
    return [place for place in found if value_at(obj, place.path) is not None]


def _of_job_set(obj: JsonObject) -> list[Place]:
    found = []
    for at in range(len(value_at(obj, "template.spec.replicatedJobs") or ())):
        prefix = f"template.spec.replicatedJobs[{at}]"
        replicas = _count(obj, f"{prefix}.replicas")
        annotations = {_POD_INDEX: JOB_COMPLETION_INDEX, _SUB_GROUP_INDEX: JOB_INDEX, _SUB_GROUP_COUNT: str(replicas)}
        found.append(Place(f"{prefix}.template.spec.template", replicas * _pods_of_job(obj, f"{prefix}.template.spec"), annotations))
    return found


def _of_ray_cluster(obj: JsonObject, prefix: str) -> list[Place]:
    groups = len(value_at(obj, f"{prefix}.workerGroupSpecs") or ())
    workers = [f"{prefix}.workerGroupSpecs[{at}]" for at in range(groups)]
    return [
        Place(f"{prefix}.headGroupSpec.template", 1, {}),
        *(Place(f"{at}.template", _count(obj, f"{at}.replicas"), {}) for at in workers),
    ]


def _pods_of_job(obj: JsonObject, prefix: str) -> int:
    parallelism = _count(obj, f"{prefix}.parallelism")
    completions = value_at(obj, f"{prefix}.completions")
    return min(parallelism, completions) if isinstance(completions, int) else parallelism


def _count(obj: JsonObject, path: str) -> int:
    value = value_at(obj, path)
    if value is None:
        return 1
    if not isinstance(value, int):
        raise InvalidJobError(f"at path position '{path}' non-int value {value}", told=False)
    return value


def value_at(template: JsonObject, path: str) -> Any:
    """What is at `template.spec.replicatedJobs[0].template` and the like; None where the path leads nowhere."""
    head, rest = path[: len("template")], path[len("template") :]
    value: Any = template if head == "template" else None
    while rest:
        step = _STEP.match(rest)
        if step is None:
            return None
        key, index = step.groups()
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        rest = rest[step.end() :]
    return value


def _template(raw: JsonObject) -> JsonObject:
    """What of it concerns the queue."""
    metadata = {field: raw["metadata"][field] for field in ("labels", "annotations") if (raw.get("metadata") or {}).get(field)}
    spec = raw["spec"]
    kept = {field: spec[field] for field in _OF_SPECS if field in spec}
    for field in ("initContainers", "containers"):
        if spec.get(field):
            kept[field] = [{name: each[name] for name in _OF_CONTAINERS if name in each} for each in spec[field]]
    kept.setdefault("restartPolicy", "Always")
    return copy.deepcopy({"metadata": metadata, "spec": kept} if metadata else {"spec": kept})


def _info(info: PodSetInfo) -> JsonObject:
    fields: JsonObject = {
        "annotations": info.annotations,
        "labels": info.labels,
        "nodeSelector": info.node_selector,
        "tolerations": info.tolerations,
        "schedulingGates": info.gates,
    }
    return {name: value for name, value in fields.items() if value}
