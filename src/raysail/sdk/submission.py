"""From "run this program, with that much" to a RayJob.

Pure: the name is chosen by the caller beforehand, so that a repeated request makes the same object and never a second job.
The job uses KubeRay's HTTP mode: the operator itself submits to Ray's job server, no submitter Pod is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"
PYTHON_ANNOTATION: Final = "raysail.io/python"
_GPU: Final = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a person asks for. CPU and memory are Kubernetes quantities; `entrypoint_cpus` is what Ray reserves for the driver."""

    name: str
    command: Sequence[str]
    namespace: str = "default"
    queue: str = "default"
    priority: str = ""
    head_cpus: str = "1"
    head_memory: str = "2Gi"
    workers: int = 0
    worker_cpus: str = "1"
    worker_memory: str = "2Gi"
    gpus: int = 0
    cluster: str = ""
    entrypoint_cpus: float = 0
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""
    """A zipped working directory on this machine (absolute path); the Pods see it under the same path."""
    python: str = ""
    ray_version: str = ""


def ray_job(wanted: Submission) -> dict[str, Any]:
    """The RayJob. `gpus` go to each worker, or to the head where there are no workers."""
    labels = {QUEUE_LABEL: wanted.queue} if wanted.queue and not wanted.cluster else {}
    if wanted.priority:
        labels[PRIORITY_LABEL] = wanted.priority
    spec: dict[str, Any] = {"entrypoint": shlex.join(wanted.command), "submissionMode": "HTTPMode"}
    if environment := _runtime_env(wanted):
        spec["runtimeEnvYAML"] = _yaml(environment)
    if wanted.entrypoint_cpus:
        spec["entrypointNumCpus"] = wanted.entrypoint_cpus
    if wanted.cluster:
        spec["clusterSelector"] = {"ray.io/cluster": wanted.cluster}
    else:
        spec["shutdownAfterJobFinishes"] = True
        spec["rayClusterSpec"] = _cluster(wanted)
    metadata: dict[str, Any] = {"name": wanted.name, "namespace": wanted.namespace}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}


def _cluster(wanted: Submission) -> dict[str, Any]:
    head_gpus = wanted.gpus if wanted.workers == 0 else 0
    spec: dict[str, Any] = {
        "headGroupSpec": {"rayStartParams": {}, "template": _template(wanted, "ray-head", wanted.head_cpus, wanted.head_memory, head_gpus)},
    }
    if wanted.ray_version:
        spec["rayVersion"] = wanted.ray_version
    if wanted.workers:
        template = _template(wanted, "ray-worker", wanted.worker_cpus, wanted.worker_memory, wanted.gpus)
        spec["workerGroupSpecs"] = [
            {
                "groupName": "workers",
                "replicas": wanted.workers,
                "minReplicas": wanted.workers,
                "maxReplicas": wanted.workers,
                "rayStartParams": {},
                "template": template,
            }
        ]
    return spec


def _template(wanted: Submission, container: str, cpus: str, memory: str, gpus: int) -> dict[str, Any]:
    amounts: dict[str, str] = {"cpu": cpus, "memory": memory} | ({_GPU: str(gpus)} if gpus else {})
    image = f"rayproject/ray:{wanted.ray_version or 'latest'}"
    template: dict[str, Any] = {
        "spec": {"containers": [{"name": container, "image": image, "resources": {"limits": amounts, "requests": dict(amounts)}}]}
    }
    if wanted.package:
        folder = str(PurePosixPath(wanted.package).parent)
        template["spec"]["volumes"] = [{"name": "packages", "hostPath": {"path": folder}}]
        template["spec"]["containers"][0]["volumeMounts"] = [{"name": "packages", "mountPath": folder, "readOnly": True}]
    if wanted.python:
        template["metadata"] = {"annotations": {PYTHON_ANNOTATION: wanted.python}}
    return template


def _runtime_env(wanted: Submission) -> dict[str, Any]:
    return dict(wanted.runtime_env) | ({"working_dir": f"file://{wanted.package}"} if wanted.package else {})


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(document), sort_keys=False))
