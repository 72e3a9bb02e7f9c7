"""A RayService's clusters: how one is made, and whether a changed spec needs another one. Pure.

Replicas, tolerations and suspend do not count as a change; worker groups appended at the end are added in place; everything else needs a new cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raysail.api.conditions import is_true
from raysail.api.meta import Condition
from raysail.api.ray import RayCluster, RayClusterSpec, RayService, RayServiceSpec, names
from raysail.api.ray import service as states
from raysail.ray.cluster.spec_hash import spec_hash
from raysail.ray.pods import autoscaler
from raysail.ray.pods.build import controller_reference
from raysail.ray.settings import VERSION, RaySettings


def is_incremental(spec: RayServiceSpec, settings: RaySettings) -> bool:
    """Whether traffic moves step by step."""
    strategy = spec.upgrade_strategy.type if spec.upgrade_strategy else None
    return settings.gates.ray_service_incremental_upgrade and strategy == states.NEW_CLUSTER_WITH_INCREMENTAL_UPGRADE


def replaces_clusters(spec: RayServiceSpec, settings: RaySettings) -> bool:
    """Whether a changed spec leads to a new cluster at all: the strategy says, or else the operator's setting."""
    strategy = spec.upgrade_strategy.type if spec.upgrade_strategy else None
    if strategy is None:
        return settings.zero_downtime
    return strategy == states.NEW_CLUSTER or is_incremental(spec, settings)


def goal_hash(service: RayService, *, groups: int | None = None) -> str:
    """The hash of the wanted spec, or of that with its first worker groups only."""
    spec: RayClusterSpec = msgspec.structs.replace(service.spec.ray_cluster_config, suspend=None)
    if groups is not None:
        spec = msgspec.structs.replace(spec, worker_group_specs=(spec.worker_group_specs or [])[:groups])
    return spec_hash(spec)


def cluster_for(service: RayService, name: str, settings: RaySettings) -> dict[str, Any]:
    """The cluster with the wanted spec. During a step-by-step upgrade its groups begin with their fewest replicas."""
    spec: dict[str, Any] = msgspec.to_builtins(service.spec.ray_cluster_config)
    if is_incremental(service.spec, settings) and service.status.active_service_status.ray_cluster_name:
        for group in spec.get("workerGroupSpecs") or ():
            group.pop("replicas", None)
    annotations = {
        **(service.metadata.annotations or {}),
        names.SPEC_HASH_ANNOTATION: goal_hash(service),
        names.NUM_WORKER_GROUPS_ANNOTATION: str(len(service.spec.ray_cluster_config.worker_group_specs or ())),
        names.KUBERAY_VERSION_ANNOTATION: VERSION,
    }
    labels = {
        **(service.metadata.labels or {}),
        names.ORIGINATED_FROM_CR_NAME_LABEL: service.metadata.name,
        names.ORIGINATED_FROM_CRD_LABEL: "RayService",
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": name,
            "namespace": service.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference("RayService", service.metadata.name, service.metadata.uid)],
        },
        "spec": spec,
    }


def update_patch(service: RayService, cluster: RayCluster, settings: RaySettings) -> list[dict[str, Any]]:
    """A JSON patch that gives a cluster the wanted spec. What others own stays: `suspend` (queues), and replicas where the autoscaler sets them."""
    goal = cluster_for(service, cluster.metadata.name, settings)
    spec = goal["spec"]
    spec.pop("suspend", None)
    if cluster.spec.suspend is not None:
        spec["suspend"] = cluster.spec.suspend
    if autoscaler.is_enabled(cluster.spec):
        present = {group.group_name: group for group in cluster.spec.worker_group_specs or ()}
        for group in spec.get("workerGroupSpecs") or ():
            if (old := present.get(group["groupName"])) is not None and old.replicas is not None:
                group["replicas"] = old.replicas
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": cluster.metadata.resource_version},
        {"op": "add", "path": "/metadata/labels", "value": goal["metadata"]["labels"]},
        {"op": "add", "path": "/metadata/annotations", "value": goal["metadata"]["annotations"]},
        {"op": "replace", "path": "/spec", "value": spec},
    ]


def has_goal_spec(service: RayService, cluster: RayCluster) -> bool:
    """Whether the cluster was made from the wanted spec."""
    return (cluster.metadata.annotations or {}).get(names.SPEC_HASH_ANNOTATION, "") == goal_hash(service)


def lacks_only_groups(service: RayService, cluster: RayCluster) -> bool:
    """Whether the wanted spec is the cluster's with worker groups appended (or the same)."""
    annotations = cluster.metadata.annotations or {}
    count = annotations.get(names.NUM_WORKER_GROUPS_ANNOTATION, "")
    if not count.isdigit():
        return True
    if len(service.spec.ray_cluster_config.worker_group_specs or ()) < int(count):
        return annotations.get(names.SPEC_HASH_ANNOTATION, "") == ""
    return annotations.get(names.SPEC_HASH_ANNOTATION, "") == goal_hash(service, groups=int(count))


def wants_update(service: RayService, cluster: RayCluster | None, conditions: Sequence[Condition] | None, *, active: bool) -> bool:
    """Whether a cluster is changed in place. The active one is not while another is coming up, and is when another operator made it."""
    if cluster is None:
        return False
    if active:
        if is_true(conditions, states.UPGRADE_IN_PROGRESS):
            return False
        if (cluster.metadata.annotations or {}).get(names.KUBERAY_VERSION_ANNOTATION) != VERSION:
            return True
    return not has_goal_spec(service, cluster) and lacks_only_groups(service, cluster)


def wants_new_cluster(
    service: RayService, active: RayCluster | None, pending: RayCluster | None, settings: RaySettings, *, rolling_back: bool = False
) -> bool:
    """Whether another cluster is to be prepared, in place of a pending one if need be."""
    if rolling_back:
        return False
    cluster = pending or active
    if cluster is None:
        return True
    if has_goal_spec(service, cluster) or lacks_only_groups(service, cluster):
        return False
    return replaces_clusters(service.spec, settings)
