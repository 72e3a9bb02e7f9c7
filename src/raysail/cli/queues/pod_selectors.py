"""How the Pods of each kind of job are labelled (PodLabelSelector in Kueue's pkg/controller/jobs). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.resources import Resource

_RAY_CLUSTER: Final = "ray.io/cluster"
_TRAINING: Final = ("PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob")
_GROUP: Final = "kueue.x-k8s.io/pod-group-name"
_BY_NAME: Final = {
    ("batch", "Job"): "batch.kubernetes.io/job-name",
    ("jobset.x-k8s.io", "JobSet"): "jobset.sigs.k8s.io/jobset-name",
    ("trainer.kubeflow.org", "TrainJob"): "jobset.sigs.k8s.io/jobset-name",
    ("ray.io", "RayCluster"): _RAY_CLUSTER,
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"): "leaderworkerset.sigs.k8s.io/name",
    ("workload.codeflare.dev", "AppWrapper"): "workload.codeflare.dev/appwrapper",
}


def pods_of(resource: Resource, job: Mapping[str, Any]) -> str | None:
    """The label selector of the job's Pods; empty where it has none yet, None for a kind without one."""
    name, status = job["metadata"]["name"], job.get("status") or {}
    key = (resource.group, resource.kind)
    if key in _BY_NAME:
        return f"{_BY_NAME[key]}={name}"
    if resource.group == "kubeflow.org" and resource.kind in _TRAINING:
        return f"training.kubeflow.org/job-name={name},training.kubeflow.org/operator-name={resource.kind.lower()}-controller"
    match key:
        case ("kubeflow.org", "MPIJob"):
            return f"training.kubeflow.org/job-name={name},training.kubeflow.org/operator-name=mpi-operator"
        case ("ray.io", "RayJob"):
            return _labelled(_RAY_CLUSTER, status.get("rayClusterName"))
        case ("ray.io", "RayService"):
            return _labelled(_RAY_CLUSTER, (status.get("activeServiceStatus") or {}).get("rayClusterName"))
        case ("", "Pod"):
            return _labelled(_GROUP, (job["metadata"].get("labels") or {}).get(_GROUP))
        case ("apps", "Deployment" | "StatefulSet"):
            labels = (job["spec"].get("selector") or {}).get("matchLabels") or {}
            return ",".join(f"{key}={value}" for key, value in labels.items())
    return None


def _labelled(label: str, value: str | None) -> str:
    return f"{label}={value}" if value else ""
