"""The head Service of a RayCluster, and the second one that RayJobs and RayServices keep (BuildServiceForHeadPod)."""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.ray import RayCluster, names
from raysail.ray import naming
from raysail.ray.pods.build import controller_reference
from raysail.ray.services.ports import head_ports, service_ports
from raysail.ray.settings import RaySettings

Service = dict[str, Any]


def head_service(cluster: RayCluster, settings: RaySettings) -> Service:
    """The Service by which workers and clients find the head. Headless unless told otherwise: there is one head Pod."""
    app = ((cluster.spec.head_group_spec.template.get("metadata") or {}).get("labels") or {}).get(names.APPLICATION_NAME_LABEL)
    service = _for_head_pod(cluster, settings, app_name=app, annotations=dict(cluster.spec.head_service_annotations or {}))
    owner = controller_reference("RayCluster", cluster.metadata.name, cluster.metadata.uid)
    service["metadata"]["ownerReferences"] = [owner]
    return service


def owner_head_service(kind: str, name: str, uid: str, cluster: RayCluster, settings: RaySettings) -> Service:
    """The head Service of a RayJob or RayService, whose selector follows the cluster of the day."""
    service = _for_head_pod(cluster, settings)
    service["metadata"] = {
        **service["metadata"],
        "name": naming.owner_head_service(name),
        "labels": {
            names.ORIGINATED_FROM_CR_NAME_LABEL: name,
            names.ORIGINATED_FROM_CRD_LABEL: kind,
            names.NODE_TYPE_LABEL: names.HEAD,
            names.IDENTIFIER_LABEL: naming.identifier(name, names.HEAD),
        },
        "ownerReferences": [controller_reference(kind, name, uid)],
    }
    return service


def head_labels(cluster: str) -> dict[str, str]:
    """Labels of the head Service, and its selector."""
    return {
        names.CLUSTER_LABEL: cluster,
        names.NODE_TYPE_LABEL: names.HEAD,
        names.IDENTIFIER_LABEL: naming.identifier(cluster, names.HEAD),
        names.APPLICATION_NAME_LABEL: names.APPLICATION_NAME,
        names.CREATED_BY_LABEL: names.OPERATOR_NAME,
    }


def _for_head_pod(
    cluster: RayCluster, settings: RaySettings, *, app_name: str | None = None, annotations: dict[str, str] | None = None
) -> Service:
    group, namespace = cluster.spec.head_group_spec, cluster.metadata.namespace
    selector = head_labels(cluster.metadata.name)
    if app_name is not None:
        selector[names.APPLICATION_NAME_LABEL] = app_name
    name = naming.head_service(cluster.metadata.name, group.head_service)
    ports = service_ports(head_ports(cluster), app_protocol="tcp")
    if group.head_service is not None:
        return _from_model(group.head_service, name, namespace, selector, annotations or {}, ports, group.service_type or "")
    spec: dict[str, Any] = {"selector": selector, "ports": ports}
    if group.service_type:
        spec["type"] = group.service_type
    if not settings.head_cluster_ip_service and group.service_type in (None, "", "ClusterIP"):
        spec |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    metadata = {"name": name, "namespace": namespace, "labels": dict(selector), "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _from_model(
    model: dict[str, Any],
    name: str,
    namespace: str,
    selector: dict[str, str],
    annotations: dict[str, str],
    ports: list[dict[str, Any]],
    service_type: str,
) -> Service:
    """The user's headService with our selector, labels and annotations on top and Ray's ports appended."""
    metadata, spec = copy.deepcopy(model.get("metadata")) or {}, copy.deepcopy(model.get("spec")) or {}
    metadata |= {
        "name": name,
        "namespace": namespace,
        "labels": {**(metadata.get("labels") or {}), **selector},
        "annotations": {**(metadata.get("annotations") or {}), **annotations},
    }
    spec |= {"selector": selector, "ports": [*(spec.get("ports") or ()), *ports]}
    if not spec.get("type") and service_type:
        spec["type"] = service_type
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
