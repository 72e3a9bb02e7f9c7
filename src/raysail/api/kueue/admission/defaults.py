"""What is filled into a new job: queue, priority class, suspension, the controller that acts on it (pkg/controller/jobframework/defaults.go)."""

from __future__ import annotations

from typing import Any

from raysail.api.kueue.admission.jobkinds import BATCH_JOB, MPI_JOB, RAY_CLUSTER, RAY_SERVICE, TRAIN_JOB, JobKind, set_at, value_at
from raysail.api.kueue.admission.surroundings import Surroundings, labels_of, metadata_of, queue_name
from raysail.api.kueue.admission.workloads import is_elastic
from raysail.api.kueue.names import (
    DEFAULT_LOCAL_QUEUE,
    DEFAULT_WORKLOAD_PRIORITY_CLASS,
    ELASTIC_JOB_GATE,
    MULTIKUEUE_CONTROLLER,
    POD_INDEX_OFFSET_ANNOTATION,
    POD_SET_GROUP_NAME_ANNOTATION,
    PRIORITY_CLASS_LABEL,
    QUEUE_NAME_LABEL,
)

Object = dict[str, Any]
_TRAINJOB_PATCHES_BY = "kueue.x-k8s.io/manager"


def set_label(obj: Object, key: str, value: str) -> None:
    """Puts a label on an object or template."""
    set_at(obj, ("metadata", "labels", key), value)


def set_annotation(obj: Object, key: str, value: str) -> None:
    """Puts an annotation on an object or template."""
    set_at(obj, ("metadata", "annotations", key), value)


def add_gate(pod: Object, gate: str) -> None:
    """Puts a scheduling gate on a Pod or template, once."""
    if pod.get("spec") is None:
        pod["spec"] = {}
    gates = pod["spec"].get("schedulingGates") or []
    if all(present.get("name") != gate for present in gates):
        pod["spec"]["schedulingGates"] = [*gates, {"name": gate}]


def default_local_queue(job: Object, world: Surroundings) -> None:
    """A job that names no queue gets `default` where its namespace has that LocalQueue."""
    namespace = metadata_of(job).get("namespace", "")
    if queue_name(job) or not world.has_default_queue(namespace) or world.owner_is_managed(job):
        return
    if world.namespace_managed(namespace):
        set_label(job, QUEUE_NAME_LABEL, DEFAULT_LOCAL_QUEUE)


def default_priority_class(job: Object, world: Surroundings) -> None:
    """A job that names no WorkloadPriorityClass gets `default` where there is one."""
    if not world.settings.enabled("WorkloadPriorityClassDefaulting") or labels_of(job).get(PRIORITY_CLASS_LABEL):
        return
    if not world.owner_is_managed(job) and world.has_default_priority_class():
        set_label(job, PRIORITY_CLASS_LABEL, DEFAULT_WORKLOAD_PRIORITY_CLASS)


def default_job(job: Object, kind: JobKind, world: Surroundings) -> None:
    """All defaults of a new job that can be suspended."""
    default_local_queue(job, world)
    default_priority_class(job, world)
    if not kind.is_suspended(job) and world.should_suspend(job):
        kind.set_suspended(job)
    _default_managed_by(job, kind, world)
    if kind in (BATCH_JOB, RAY_CLUSTER, RAY_SERVICE) and is_elastic(job, world.settings):
        for template in _elastic_templates(job, kind):
            add_gate(template, ELASTIC_JOB_GATE)
    elif kind is MPI_JOB and world.settings.enabled("TopologyAwareScheduling"):
        _offset_mpi_workers(job)
    elif kind is TRAIN_JOB:
        patches = (job.get("spec") or {}).get("runtimePatches") or []
        ours = {"manager": _TRAINJOB_PATCHES_BY, "trainingRuntimeSpec": {"template": {"spec": {}}}}
        set_at(job, ("spec", "runtimePatches"), [*patches, ours])


def _default_managed_by(job: Object, kind: JobKind, world: Surroundings) -> None:
    if not world.settings.enabled("MultiKueue"):
        return
    if not kind.managed_by or value_at(job, kind.managed_by) not in (None, kind.own_controller):
        return
    if QUEUE_NAME_LABEL in labels_of(job) and world.goes_to_multikueue(metadata_of(job).get("namespace", ""), queue_name(job)):
        set_at(job, kind.managed_by, MULTIKUEUE_CONTROLLER)


def _elastic_templates(job: Object, kind: JobKind) -> list[Object]:
    spec = job.get("spec") or {}
    if kind is BATCH_JOB:
        return [spec.setdefault("template", {})]
    cluster = spec if kind is RAY_CLUSTER else spec.setdefault("rayClusterConfig", {})
    return [
        group.setdefault("template", {}) for group in (cluster.setdefault("headGroupSpec", {}), *(cluster.get("workerGroupSpecs") or ()))
    ]


def _offset_mpi_workers(job: Object) -> None:
    """With the launcher as a worker, workers' indexes begin at 1."""
    spec = job.get("spec") or {}
    replicas = spec.get("mpiReplicaSpecs") or {}
    launcher, worker = replicas.get("Launcher"), replicas.get("Worker")
    if not spec.get("runLauncherAsWorker") or launcher is None or worker is None:
        return
    annotations = value_at(launcher, ("template", "metadata", "annotations")) or {}
    if POD_SET_GROUP_NAME_ANNOTATION not in annotations:
        set_at(worker, ("template", "metadata", "annotations", POD_INDEX_OFFSET_ANNOTATION), "1")
