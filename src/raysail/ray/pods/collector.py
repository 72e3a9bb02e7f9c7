"""The history collector beside Ray containers (KubeRay pod.go BuildCollectorContainer; gate RayClusterHistoryServer)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

from raysail.api.ray import CollectorOptions, names
from raysail.ray.pods.container import Container, add_env, add_env_of_field

CONTAINER_NAME: Final = "ray-history-collector"
_RESOURCES: Final = {"limits": {"cpu": "200m", "memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}}


def new_container(
    options: CollectorOptions, node_type: str, *, cluster: str, namespace: str, head_name: str, cluster_labels: Mapping[str, str]
) -> Container:
    """The container as the user's options make it. `head_name` is the head Service's full name."""
    container: Container = {
        "name": CONTAINER_NAME,
        "image": options.image or "",
        "imagePullPolicy": options.image_pull_policy or "IfNotPresent",
        "resources": copy.deepcopy(options.resources if options.resources is not None else _RESOURCES),
    }
    add_env_of_field(container, "POD_IP", "status.podIP")
    add_env(container, "RAY_CLUSTER_NAME", cluster)
    add_env(container, "RAY_CLUSTER_NAMESPACE", namespace)
    add_env(container, "RAY_ROLE", "Head" if node_type == names.HEAD else "Worker")
    add_env(container, "EVENTS_PORT", "8084")
    if head_name:
        add_env(container, "FQ_RAY_IP", head_name)
    for variable, label in (("OWNER_KIND", names.ORIGINATED_FROM_CRD_LABEL), ("OWNER_NAME", names.ORIGINATED_FROM_CR_NAME_LABEL)):
        if cluster_labels.get(label):
            add_env(container, variable, cluster_labels[label])
    given = options.env or []
    if node_type == names.HEAD and not any(entry.get("name") == "RAY_DASHBOARD_ADDRESS" for entry in given):
        add_env(container, "RAY_DASHBOARD_ADDRESS", "http://localhost:8265")
    container["env"].extend(copy.deepcopy(given))
    return container
