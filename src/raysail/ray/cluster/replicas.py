"""How many workers there should be, and what they ask for together (KubeRay utils/util.go Calculate...)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from raysail.api import quantity
from raysail.api.ray import RayCluster, WorkerGroupSpec
from raysail.ray.pods.start_command import is_gpu

_MAX: Final = 2**31 - 1
TPU: Final = "google.com/tpu"


def hosts(group: WorkerGroupSpec) -> int:
    """Pods per replica."""
    return 1 if group.num_of_hosts is None else group.num_of_hosts


def replicas(group: WorkerGroupSpec) -> int:
    """The group's replicas within its bounds; none while it is suspended."""
    if group.suspend:
        return 0
    least = group.min_replicas or 0
    most = _MAX if group.max_replicas is None else group.max_replicas
    if group.replicas is None or group.replicas < least:
        return least
    return min(group.replicas, most)


def desired_pods(group: WorkerGroupSpec) -> int:
    """Worker Pods that the group should have."""
    return replicas(group) * hosts(group)


def groups(cluster: RayCluster) -> list[WorkerGroupSpec]:
    """The worker groups, maybe none."""
    return cluster.spec.worker_group_specs or []


def desired_total(cluster: RayCluster) -> int:
    """Worker Pods that the cluster should have."""
    return sum(desired_pods(group) for group in groups(cluster))


def least_total(cluster: RayCluster) -> int:
    """Worker Pods that the cluster has at least."""
    return sum((group.min_replicas or 0) * hosts(group) for group in groups(cluster) if not group.suspend)


def most_total(cluster: RayCluster) -> int:
    """Worker Pods that the cluster has at most; no more than fit an int32."""
    bounds = [(_MAX if group.max_replicas is None else group.max_replicas) * hosts(group) for group in groups(cluster) if not group.suspend]
    return min(sum(bounds), _MAX)


def desired_resources(cluster: RayCluster) -> dict[str, str]:
    """desiredCPU, desiredMemory, desiredGPU, desiredTPU: what head and workers ask for, with the groups' replicas as written (not bounded)."""
    total: dict[str, int] = defaultdict(int)
    _add(total, cluster.spec.head_group_spec.template, 1)
    for group in groups(cluster):
        if not group.suspend:
            _add(total, group.template, hosts(group) * (group.replicas or 0))
    gpus = sum(nano for name, nano in total.items() if is_gpu(name))
    return {
        "desiredCPU": quantity.format_nano(total["cpu"]),
        "desiredMemory": quantity.format_nano(total["memory"], binary=True),
        "desiredGPU": quantity.format_nano(gpus),
        "desiredTPU": quantity.format_nano(total[TPU]),
    }


def _add(total: dict[str, int], template: Mapping[str, Any], count: int) -> None:
    containers: Iterable[Mapping[str, Any]] = (template.get("spec") or {}).get("containers") or ()
    for container in containers:
        resources = container.get("resources") or {}
        for name, amount in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            total[name] += quantity.parse_nano(amount) * count
