"""trainer.kubeflow.org/v1alpha1: from a TrainJob and its runtime to the replicated Jobs that the trainer will make of them.

A runtime is a template of a JobSet; the TrainJob patches it and says what to train with. Only what decides about scheduling is made: counts, metadata,
containers, node selectors and the like. Source: kubeflow/trainer pkg/runtime/core, pkg/runtime/framework/plugins/jobset.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.resources import Resource

Json = Mapping[str, Any]
Object = dict[str, Any]

TRAINING_RUNTIMES: Final = Resource("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime", "trainingruntimes")
CLUSTER_TRAINING_RUNTIMES: Final = Resource(
    "trainer.kubeflow.org", "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", namespaced=False
)
STEP_LABEL: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
TRAINER: Final = "trainer"
"""The step that trains; its container of that name, `node`, is what spec.trainer changes."""
NODE: Final = "node"
KUEUE_MANAGER: Final = "kueue.x-k8s.io/manager"
"""The manager of the runtime patch that is the queue's."""


def runtime_of(train_job: Json) -> tuple[Resource, str]:
    """The kind and the name of the runtime that it refers to."""
    reference = (train_job.get("spec") or {}).get("runtimeRef") or {}
    cluster_wide = reference.get("kind", CLUSTER_TRAINING_RUNTIMES.kind) == CLUSTER_TRAINING_RUNTIMES.kind
    return CLUSTER_TRAINING_RUNTIMES if cluster_wide else TRAINING_RUNTIMES, str(reference.get("name", ""))


def replicated_jobs(train_job: Json, runtime: Json) -> list[Object]:
    """spec.replicatedJobs of the JobSet of that TrainJob with that runtime."""
    spec = train_job.get("spec") or {}
    runtime_spec = runtime.get("spec") or {}
    jobs: list[Object] = copy.deepcopy(((runtime_spec.get("template") or {}).get("spec") or {}).get("replicatedJobs") or [])
    for patch in spec.get("runtimePatches") or ():
        template = (patch.get("trainingRuntimeSpec") or {}).get("template") or {}
        jobs = _merged_lists(jobs, (template.get("spec") or {}).get("replicatedJobs") or [])
    trainer = spec.get("trainer") or {}
    nodes = trainer.get("numNodes") or (runtime_spec.get("mlPolicy") or {}).get("numNodes")
    for job in jobs:
        template = job.get("template") or {}
        if ((template.get("metadata") or {}).get("labels") or {}).get(STEP_LABEL) == TRAINER:
            _set_trainer(template.setdefault("spec", {}), trainer, nodes)
    return jobs


def _set_trainer(job_spec: Object, trainer: Json, nodes: int | None) -> None:
    if nodes is not None:
        job_spec["parallelism"] = job_spec["completions"] = nodes
    containers = ((job_spec.get("template") or {}).get("spec") or {}).get("containers") or []
    for container in containers:
        if container.get("name") != NODE:
            continue
        container.update({field: copy.deepcopy(trainer[field]) for field in ("image", "command", "args") if trainer.get(field)})
        if trainer.get("env"):
            container["env"] = _merged_lists(container.get("env") or [], trainer["env"])
        if trainer.get("resourcesPerNode"):
            container["resources"] = copy.deepcopy(trainer["resourcesPerNode"])


def _merged(present: Any, patch: Any) -> Any:
    if isinstance(present, dict) and isinstance(patch, dict):
        return {**present, **{key: _merged(present.get(key), value) for key, value in patch.items()}}
    if isinstance(present, list) and isinstance(patch, list):
        return _merged_lists(present, patch)
    return copy.deepcopy(patch)


def _merged_lists(present: list[Any], patch: list[Any]) -> list[Any]:
    """By name where the items have names, else one after the other without doubles."""
    merged = list(present)
    for item in patch:
        name = item.get("name") if isinstance(item, dict) else None
        at = next((at for at, each in enumerate(merged) if name is not None and isinstance(each, dict) and each.get("name") == name), None)
        if at is not None:
            merged[at] = _merged(merged[at], item)
        elif item not in merged:
            merged.append(copy.deepcopy(item))
    return merged
