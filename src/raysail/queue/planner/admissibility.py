"""Whether a ClusterQueue must not take a workload at all: its namespace, requests above limits, LimitRanges.

Source: Kueue pkg/workload/resources.go (ValidateAdmissibility).
"""

from __future__ import annotations

from typing import Final

from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.requests import limit_range_errors, resource_errors
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World

NAMESPACE_MISMATCH: Final = "workload namespace doesn't match ClusterQueue selector"


def inadmissible(world: World, queue: ClusterQueue, info: WorkloadInfo) -> str | None:
    """The reason against it in Kueue's words. None: it may."""
    labels = world.namespaces.get(info.namespace)
    if labels is None:
        return f'workload namespace "{info.namespace}" does not exist: namespaces "{info.namespace}" not found'
    if not queue.namespace_selector.matches(labels):
        return NAMESPACE_MISMATCH
    errors: list[str] = []
    for at, shape in enumerate(info.shapes):
        errors += resource_errors(shape.spec, f"spec.podSets[{at}].template.spec")
    if errors:
        return f"resources validation failed: {_aggregate(errors)}"
    limits = world.limits.get(info.namespace)
    if limits:
        for at, shape in enumerate(info.shapes):
            errors += limit_range_errors(shape.spec, limits, f"spec.podSets[{at}].template.spec")
        if errors:
            return f"resources didn't satisfy LimitRange constraints: {_aggregate(errors)}"
    return None


def _aggregate(errors: list[str]) -> str:
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
