"""The Ingress of the dashboard (KubeRay common/ingress.go)."""

from __future__ import annotations

import copy
from typing import Any, Final

from raysail.api.ray import IngressOptions, RayCluster, names
from raysail.ray import naming
from raysail.ray.pods.build import controller_reference
from raysail.ray.services.ports import head_ports

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"


def dashboard_ingress(cluster: RayCluster) -> dict[str, Any]:
    """Host, path and TLS from ingressOptions; the cluster's annotations are the Ingress's, but for its class, which goes into the spec."""
    name, annotations = cluster.metadata.name, dict(cluster.metadata.annotations or {})
    options = cluster.spec.head_group_spec.ingress_options or IngressOptions()
    ingress_class = annotations.pop(CLASS_ANNOTATION, None)
    backend = {
        "name": naming.head_service(name, cluster.spec.head_group_spec.head_service),
        "port": {"number": head_ports(cluster).get(names.DASHBOARD_PORT_NAME, names.DASHBOARD_PORT)},
    }
    path = {
        "path": "/" if options.path is None else options.path,
        "pathType": options.path_type or "Prefix",
        "backend": {"service": backend},
    }
    rule: dict[str, Any] = {"http": {"paths": [path]}}
    if options.host:
        rule["host"] = options.host
    spec: dict[str, Any] = {"rules": [rule]}
    if options.tls:
        spec["tls"] = copy.deepcopy(options.tls)
    if ingress_class is not None:
        spec["ingressClassName"] = ingress_class
    metadata = {
        "name": naming.head_ingress(name),
        "namespace": cluster.metadata.namespace,
        "labels": {
            names.CLUSTER_LABEL: name,
            names.IDENTIFIER_LABEL: naming.identifier(name, names.HEAD),
            names.APPLICATION_NAME_LABEL: names.APPLICATION_NAME,
            names.CREATED_BY_LABEL: names.OPERATOR_NAME,
        },
        "annotations": annotations,
        "ownerReferences": [controller_reference("RayCluster", name, cluster.metadata.uid)],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
