"""The RayCluster that a RayJob makes for itself (KubeRay constructRayClusterForRayJob). Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from raysail.api.meta import ObjectMeta
from raysail.api.ray import RayCluster, RayJob, names
from raysail.api.ray import job as states
from raysail.ray.job.submitter import sidecar
from raysail.ray.pods.build import controller_reference, with_default_authentication
from raysail.ray.settings import RaySettings


def cluster_for(job: RayJob, name: str, settings: RaySettings) -> dict[str, Any]:
    """The cluster, with the job's labels and annotations. Later changes of the job's rayClusterSpec do not reach it."""
    mode = job.spec.submission_mode
    labels = {
        **(job.metadata.labels or {}),
        names.ORIGINATED_FROM_CR_NAME_LABEL: job.metadata.name,
        names.ORIGINATED_FROM_CRD_LABEL: "RayJob",
        names.JOB_SUBMISSION_MODE_LABEL: mode,
    }
    annotations = dict(job.metadata.annotations or {})
    spec: dict[str, Any] = msgspec.to_builtins(job.spec.ray_cluster_spec)
    if mode == states.SIDECAR_MODE and job.spec.ray_cluster_spec is not None:
        annotations[names.DISABLE_PROVISIONED_HEAD_RESTART_ANNOTATION] = "true"
        made = RayCluster(metadata=ObjectMeta(name=name, namespace=job.metadata.namespace), spec=job.spec.ray_cluster_spec)
        template = spec["headGroupSpec"]["template"]
        template["spec"]["containers"].append(sidecar(job, with_default_authentication(made, settings), settings))
        template["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": name,
            "namespace": job.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference("RayJob", job.metadata.name, job.metadata.uid)],
        },
        "spec": spec,
    }
