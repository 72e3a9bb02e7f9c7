"""The Service in front of Ray Serve, and the headless one between the hosts of multi-host replicas (BuildServeService)."""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.ray import RayCluster, RayService, names
from raysail.ray import naming
from raysail.ray.pods.build import controller_reference
from raysail.ray.services.ports import serve_ports, service_ports

NO_SERVE_PORT = (
    "Please specify a port named 'serve' (or with the prefix 'serve-', e.g. 'serve-grpc') in the Ray head container; "
    "otherwise, the Kubernetes service for Ray Serve will not be created."
)


def is_wanted(cluster: RayCluster) -> bool:
    """Whether a plain RayCluster asks for a serve Service."""
    return (cluster.metadata.annotations or {}).get(names.ENABLE_SERVE_SERVICE_ANNOTATION) == "true"


def serve_service(cluster: RayCluster) -> dict[str, Any]:
    """The serve Service of a plain RayCluster. Raises ValueError where the head has no port for it."""
    name, ports = cluster.metadata.name, serve_ports(cluster)
    if not ports:
        raise ValueError(NO_SERVE_PORT)
    spec: dict[str, Any] = {"selector": {names.CLUSTER_LABEL: name}, "ports": service_ports(ports)}
    if cluster.spec.head_group_spec.service_type:
        spec["type"] = cluster.spec.head_group_spec.service_type
    metadata = {
        "name": naming.serve_service(name),
        "namespace": cluster.metadata.namespace,
        "labels": {
            names.ORIGINATED_FROM_CR_NAME_LABEL: name,
            names.ORIGINATED_FROM_CRD_LABEL: "RayCluster",
            names.SERVE_LABEL: f"{name}-serve",
        },
        "ownerReferences": [controller_reference("RayCluster", name, cluster.metadata.uid)],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def service_serve_service(service: RayService, cluster: RayCluster, *, per_cluster: bool) -> dict[str, Any]:
    """The serve Service of a RayService, whose selector follows the cluster of the day; or, `per_cluster`, one of that cluster's own.

    Raises ValueError where the head has no port for it and the user gave no model.
    """
    name = cluster.metadata.name if per_cluster else service.metadata.name
    labels = {
        names.ORIGINATED_FROM_CR_NAME_LABEL: name,
        names.ORIGINATED_FROM_CRD_LABEL: "RayService",
        names.SERVE_LABEL: f"{name}-serve",
    }
    selector = {names.CLUSTER_LABEL: cluster.metadata.name, names.SERVE_LABEL: "true"}
    ports = service_ports(serve_ports(cluster))
    kind = service.spec.ray_cluster_config.head_group_spec.service_type or ""
    owner = cluster if per_cluster else service
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] = {}
    model = None if per_cluster else service.spec.serve_service
    if model is not None:
        metadata, spec = copy.deepcopy(model.get("metadata") or {}), copy.deepcopy(model.get("spec") or {})
        given = {port.get("name"): port for port in spec.get("ports") or ()}
        ports = [given.get(port["name"], port) for port in ports] or list(given.values())
    elif not ports:
        raise ValueError(NO_SERVE_PORT)
    metadata |= {
        "name": metadata.get("name") or naming.serve_service(name),
        "namespace": service.metadata.namespace,
        "labels": {**(metadata.get("labels") or {}), **labels},
        "ownerReferences": [controller_reference(owner.kind, owner.metadata.name, owner.metadata.uid)],
    }
    spec |= {"selector": selector, "ports": ports}
    if not spec.get("type") and kind:
        spec["type"] = kind
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def has_multi_host_group(cluster: RayCluster) -> bool:
    """Whether some replica consists of several Pods."""
    return any((group.num_of_hosts or 1) > 1 for group in cluster.spec.worker_group_specs or ())


def headless_service(cluster: RayCluster) -> dict[str, Any]:
    """The Service through which hosts of multi-host replicas resolve each other, ready or not."""
    name = cluster.metadata.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": naming.headless_service(name),
            "namespace": cluster.metadata.namespace,
            "labels": {names.HEADLESS_WORKER_SERVICE_LABEL: name},
            "ownerReferences": [controller_reference("RayCluster", name, cluster.metadata.uid)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {names.CLUSTER_LABEL: name, names.NODE_TYPE_LABEL: names.WORKER},
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
        },
    }
