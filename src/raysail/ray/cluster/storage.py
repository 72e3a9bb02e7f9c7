"""The volume claim of the embedded GCS store (KubeRay common/gcs_ft.go; gate GCSFaultToleranceEmbeddedStorage)."""

from __future__ import annotations

from typing import Any

from raysail.api import quantity
from raysail.api.ray import GcsEmbeddedStorage, RayCluster, names
from raysail.ray import naming
from raysail.ray.pods import fault_tolerance
from raysail.ray.pods.build import controller_reference


def storage_of(cluster: RayCluster) -> GcsEmbeddedStorage | None:
    """The cluster's embedded storage, with defaults; None where its state is elsewhere or nowhere."""
    options = cluster.spec.gcs_fault_tolerance_options
    if options is None or not fault_tolerance.is_embedded(options):
        return None
    return options.storage or GcsEmbeddedStorage()


def claim(cluster: RayCluster, storage: GcsEmbeddedStorage) -> dict[str, Any]:
    """The claim that we make. It goes with the cluster unless it is to be kept, then it has no owner."""
    name = cluster.metadata.name
    metadata: dict[str, Any] = {
        "name": naming.storage_claim(name),
        "namespace": cluster.metadata.namespace,
        "labels": {names.CLUSTER_LABEL: name},
    }
    if not is_retained(storage):
        metadata["ownerReferences"] = [controller_reference("RayCluster", name, cluster.metadata.uid)]
    spec: dict[str, Any] = {
        "accessModes": storage.access_modes or ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size if storage.size is not None else "1Gi"}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def is_retained(storage: GcsEmbeddedStorage) -> bool:
    """Whether the claim outlives the cluster."""
    return storage.deletion_policy == "Retain"


def drift(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """What of an existing claim differs and cannot be changed in place; empty where nothing does."""
    differences = []
    want_size, got_size = (c["spec"]["resources"]["requests"]["storage"] for c in (wanted, found))
    if quantity.parse_nano(want_size) != quantity.parse_nano(got_size):
        differences.append(f"requested size {want_size} != current {got_size}")
    want_class, got_class = (c["spec"].get("storageClassName") for c in (wanted, found))
    if want_class is not None and want_class != got_class:
        differences.append(f"storageClassName {want_class} != current {got_class or '<default>'}")
    want_modes, got_modes = (c["spec"].get("accessModes") or [] for c in (wanted, found))
    if sorted(want_modes) != sorted(got_modes):
        differences.append(f"accessModes [{' '.join(want_modes)}] != current [{' '.join(got_modes)}]")
    return "; ".join(differences)
