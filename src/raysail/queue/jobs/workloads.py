"""From a job to its Workload: name, pod sets, priority; and whether an existing Workload still stands for the job. Pure.

Source: Kueue pkg/controller/jobframework/workload_names.go, utils.go, reconciler.go (ConstructWorkload, EquivalentToWorkload, ExtractPriority).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.kueue import Workload, WorkloadPriorityClass, names
from raysail.api.kueue.workloadname import MAX_NAME, MAX_SHORT_NAME, workload_name
from raysail.api.meta import owner_reference
from raysail.api.names import MAX_LABEL, label_value_faults
from raysail.api.scheduling import PriorityClass
from raysail.queue.jobs.gates import DEFAULT_GATES, JobGates
from raysail.queue.jobs.kind import Job, JobKind, JsonObject
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.podset import MissingFlavorError, PodSetConflictError, equal_pod_sets, infos_of_admission, inject
from raysail.queue.model.workload import has_reservation, is_admitted

_MAX_INT32: Final = 2**31 - 1


def name_for(kind: JobKind, job: Job, gates: JobGates = DEFAULT_GATES) -> str:
    """The name of the Workload of this job; each slice of an elastic one has another."""
    extra = kind.slice_name_part(job) if gates.elastic(job.annotations) else ""
    resource = kind.resource
    longest = MAX_SHORT_NAME if gates.short_workload_names else MAX_NAME
    return workload_name(resource.kind, resource.group, job.metadata.name, job.metadata.uid, extra, longest=longest)


def pod_sets_of(kind: JobKind, job: Job, gates: JobGates = DEFAULT_GATES) -> list[JsonObject]:
    """The job's pod sets, without environment variables that are given twice (the last one counts). Raises InvalidJobError."""
    found = kind.pod_sets(job)
    for pod_set in found:
        if not gates.topology_aware_scheduling:
            pod_set.pop("topologyRequest", None)
        if not gates.partial_admission:
            pod_set.pop("minCount", None)
        spec = pod_set["template"].get("spec") or {}
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            if container.get("env"):
                container["env"] = _last_of_each(container["env"])
    return found


def _last_of_each(variables: list[JsonObject]) -> list[JsonObject]:
    last = {variable.get("name"): at for at, variable in enumerate(variables)}
    return [variable for at, variable in enumerate(variables) if last[variable.get("name")] == at]


def maximum_execution_time(job: Job) -> int | None:
    """The label max-exec-time-seconds, where it is a positive number."""
    text = job.labels.get(names.MAX_EXEC_TIME_SECONDS_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= _MAX_INT32 else None


def prebuilt_name(job: Job, gates: JobGates = DEFAULT_GATES) -> str:
    """The Workload that the job names itself; empty for none. The annotation counts before the label, or only where it is too long for one."""
    annotation = job.annotations.get(names.PREBUILT_WORKLOAD_NAME, "")
    label = job.labels.get(names.PREBUILT_WORKLOAD_NAME, "")
    if gates.workload_identifier_annotations:
        return annotation or label
    return label or (annotation if len(annotation) > MAX_LABEL else "")


def construct(
    kind: JobKind,
    job: Job,
    gates: JobGates = DEFAULT_GATES,
    *,
    labels_to_copy: Iterable[str] = (),
    annotations_to_copy: Iterable[str] = (),
) -> JsonObject:
    """The Workload of a job, without its priority. Raises InvalidJobError."""
    copied = frozenset(annotations_to_copy) if gates.custom_metric_labels else frozenset()
    annotations = {
        key: value
        for key, value in job.annotations.items()
        if key.startswith(names.PROVISIONING_REQUEST_ANNOTATION_PREFIX) or key in copied
    }
    if gates.admission_gated_by and (gated_by := job.annotations.get(names.ADMISSION_GATED_BY_ANNOTATION)):
        annotations[names.ADMISSION_GATED_BY_ANNOTATION] = gated_by
    labels = {key: job.labels[key] for key in labels_to_copy if key in job.labels}
    if not label_value_faults(job.metadata.uid):
        labels[names.JOB_UID_LABEL] = job.metadata.uid
    owner = {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": {"name": job.metadata.name, "uid": job.metadata.uid},
    }
    spec: JsonObject = {"podSets": pod_sets_of(kind, job, gates)}
    if job.queue_name:
        spec["queueName"] = job.queue_name
    limit = maximum_execution_time(job)
    if limit is not None:
        spec["maximumExecutionTimeSeconds"] = limit
    metadata: JsonObject = {
        "name": name_for(kind, job, gates),
        "namespace": job.metadata.namespace,
        "labels": labels,
        "finalizers": [names.RESOURCE_IN_USE_FINALIZER],
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": metadata, "spec": spec}


class MissingPriorityClassError(Exception):
    """A priority class that a job names does not exist. `workload_class`: it is a WorkloadPriorityClass."""

    def __init__(self, name: str, *, workload_class: bool) -> None:
        self.name = name
        self.workload_class = workload_class
        plural = "workloadpriorityclasses.kueue.x-k8s.io" if workload_class else "priorityclasses.scheduling.k8s.io"
        super().__init__(f'{plural} "{name}" not found')


def priority_of(
    job: Job,
    kind: JobKind,
    pod_sets: Iterable[Mapping[str, Any]],
    workload_class: Callable[[str], WorkloadPriorityClass | None],
    pod_class: Callable[[str], PriorityClass | None],
    default_class: PriorityClass | None,
) -> tuple[JsonObject | None, int]:
    """(priorityClassRef, priority): the job's WorkloadPriorityClass, else a PriorityClass of its Pods, else the global default, else 0."""
    name = job.labels.get(names.PRIORITY_CLASS_LABEL, "")
    if name:
        found = workload_class(name)
        if found is None:
            raise MissingPriorityClassError(name, workload_class=True)
        return {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": name}, found.value
    own = kind.priority_class(job)
    if own is None:
        specs = ((pod_set.get("template") or {}).get("spec") or {} for pod_set in pod_sets)
        own = next((spec["priorityClassName"] for spec in specs if spec.get("priorityClassName")), "")
    chosen = pod_class(own) if own else default_class
    if chosen is None and own:
        raise MissingPriorityClassError(own, workload_class=False)
    if chosen is None:
        return None, 0
    return {"group": "scheduling.k8s.io", "kind": "PriorityClass", "name": chosen.metadata.name}, chosen.value


def matches(kind: JobKind, job: Job, workload: Workload, flavors: Mapping[str, Flavor], gates: JobGates = DEFAULT_GATES) -> bool:
    """Whether the Workload stands for the job as it is. Raises InvalidJobError."""
    owner = workload.metadata.controller_owner()
    if owner is None or owner.name != job.metadata.name or (gates.finish_orphaned_workloads and owner.uid != job.metadata.uid):
        return False
    if workload.spec.maximum_execution_time_seconds != maximum_execution_time(job):
        return False
    return matches_pod_sets(kind, job, workload, flavors, gates)


def matches_pod_sets(kind: JobKind, job: Job, workload: Workload, flavors: Mapping[str, Flavor], gates: JobGates = DEFAULT_GATES) -> bool:
    """Whether the pod sets are the job's: as they are, or as they run under the admission."""
    own = pod_sets_of(kind, job, gates)
    stored: list[JsonObject] = msgspec.to_builtins(workload.spec.pod_sets)
    loose = is_admitted(workload)
    running = _running_pod_sets(workload, stored, flavors, gates)
    if running is not None:
        if equal_pod_sets(own, running, ignore_tolerations=loose):
            return True
        return kind.suspended(job) and equal_pod_sets(own, stored, ignore_tolerations=loose)
    return equal_pod_sets(own, stored, ignore_tolerations=loose)


def _running_pod_sets(
    workload: Workload, stored: list[JsonObject], flavors: Mapping[str, Flavor], gates: JobGates
) -> list[JsonObject] | None:
    if not has_reservation(workload):
        return None
    try:
        given = infos_of_admission(
            workload,
            flavors,
            topology=gates.topology_aware_scheduling,
            queue_labels=gates.assign_queue_labels_for_pods,
            elastic=gates.elastic_jobs,
        )
        infos = {info.name: info for info in given}
        running = copy.deepcopy(stored)
        partial = any(p.get("minCount") is not None and p.get("count", 0) > p["minCount"] for p in running)
        for pod_set in running:
            info = infos[pod_set["name"]]
            inject(pod_set["template"], info)
            if partial and pod_set.get("minCount") is not None:
                pod_set["count"] = info.count
    except (KeyError, PodSetConflictError, MissingFlavorError):
        return None  # what runs cannot be told; then only the plain pod sets count
    return running


def readiness(workload: Workload, *, ready: bool) -> tuple[bool, str, str]:
    """The condition PodsReady: (value, reason, message)."""
    waiting = "Not all pods are ready or succeeded"
    if not is_admitted(workload):
        return False, "WaitForStart", waiting
    present = conditions.find(workload.status.conditions, "PodsReady")
    if ready:
        recovered = present is not None and present.reason in ("WaitForRecovery", "Recovered")
        return True, "Recovered" if recovered else "Started", "All pods reached readiness and the workload is running"
    if present is not None and (present.status == "True" or present.reason == "WaitForRecovery"):
        return False, "WaitForRecovery", "At least one pod has failed, waiting for recovery"
    return False, "WaitForStart", waiting
