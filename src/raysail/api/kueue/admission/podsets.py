"""From which templates a job's pod sets come, and how many Pods each has. Only what admission looks at; the queue builds the pod sets themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from raysail.api.kueue.admission.jobkinds import BATCH_JOB, JAX_JOB, JOB_SET, MPI_JOB, TRAINING_JOBS, JobKind, value_at
from raysail.api.kueue.admission.topology import PodSetSource

Json = Mapping[str, Any]
HEAD: Final = "head"
SUBMITTER: Final = "submitter"
_REPLICA_SPECS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "MPIJob": ("mpiReplicaSpecs", ("Launcher", "Worker")),
    "PyTorchJob": ("pytorchReplicaSpecs", ("Master", "Worker")),
    "TFJob": ("tfReplicaSpecs", ("Chief", "Master", "PS", "Worker", "Evaluator")),
    "XGBoostJob": ("xgbReplicaSpecs", ("Master", "Worker")),
    "PaddleJob": ("paddleReplicaSpecs", ("Master", "Worker")),
    "JAXJob": ("jaxReplicaSpecs", ("Worker",)),
}
"""Field with the replicas, and their types in the order of the pod sets."""


def batch_job_pod_count(job: Json) -> int:
    """Pods that run at once: the parallelism, or the completions where these are fewer."""
    spec = job.get("spec") or {}
    parallelism, completions = spec.get("parallelism"), spec.get("completions")
    count = 1 if parallelism is None else int(parallelism)
    return count if completions is None else min(count, int(completions))


def worker_count(group: Json) -> int:
    """Pods of a group of Ray workers."""
    replicas, hosts = group.get("replicas"), group.get("numOfHosts") or 1
    return (1 if replicas is None else int(replicas)) * max(int(hosts), 1)


def ray_pod_sets(cluster: Json, path: str) -> list[PodSetSource]:
    """Head and worker groups of a RayClusterSpec that is at `path`."""
    head = value_at(cluster, ("headGroupSpec", "template", "metadata")) or {}
    sources = [PodSetSource(HEAD, 1, head, f"{path}.headGroupSpec.template.metadata")]
    for at, group in enumerate(cluster.get("workerGroupSpecs") or ()):
        metadata = value_at(group, ("template", "metadata")) or {}
        where = f"{path}.workerGroupSpecs[{at}].template.metadata"
        sources.append(PodSetSource(group.get("groupName", "").lower(), worker_count(group), metadata, where))
    return sources


def pod_sets(job: Json, kind: JobKind) -> Sequence[PodSetSource]:
    """Pod sets of the kinds that are not Ray's. None for kinds whose Pods admission does not look at."""
    build = _BUILDERS.get(kind.resource.kind)
    return build(job, kind) if build is not None else ()


def _of_batch_job(job: Json, _: JobKind) -> list[PodSetSource]:
    metadata = value_at(job, ("spec", "template", "metadata")) or {}
    return [PodSetSource("main", batch_job_pod_count(job), metadata, "spec.template.metadata")]


def _of_job_set(job: Json, _: JobKind) -> list[PodSetSource]:
    sources = []
    for at, replicated in enumerate(value_at(job, ("spec", "replicatedJobs")) or ()):
        template = value_at(replicated, ("template",)) or {}
        count = int(replicated.get("replicas", 0)) * batch_job_pod_count(template)
        metadata = value_at(template, ("spec", "template", "metadata")) or {}
        where = f"spec.replicatedJobs[{at}].template.spec.template.metadata"
        sources.append(PodSetSource(replicated.get("name", "").lower(), count, metadata, where))
    return sources


def _of_replicas(job: Json, kind: JobKind) -> list[PodSetSource]:
    field, order = _REPLICA_SPECS[kind.resource.kind]
    replicas = value_at(job, ("spec", field)) or {}
    sources = []
    for type_ in order:
        spec = replicas.get(type_)
        if spec is None:
            continue
        count = spec.get("replicas")
        metadata = value_at(spec, ("template", "metadata")) or {}
        where = f"spec.{field}[{type_}].template.metadata"
        sources.append(PodSetSource(type_.lower(), 1 if count is None else int(count), metadata, where))
    return sources


_BUILDERS: Final[Mapping[str, Callable[[Json, JobKind], list[PodSetSource]]]] = {
    BATCH_JOB.resource.kind: _of_batch_job,
    JOB_SET.resource.kind: _of_job_set,
    **{kind.resource.kind: _of_replicas for kind in (MPI_JOB, JAX_JOB, *TRAINING_JOBS)},
}
