"""What `why` says about topology: the sentence that tells why there is no place, and requests that ask for less."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from raysail.queue.model.workload import PodSetShape, WorkloadInfo
from raysail.queue.planner.assignment import Assignment
from raysail.queue.topology.request import TopologyRequest
from raysail.queue.topology.world import Topologies


def reason_of(assignment: Assignment) -> str:
    """Why topology has no place for a pod set of it (`topology "x" allows to fit only N out of M pod(s)...`); empty where it has."""
    for pod_set in assignment.pod_sets:
        for reason in pod_set.reasons:
            if reason.startswith('topology "'):
                return f"pod set {pod_set.name}: {reason}" if len(assignment.pod_sets) > 1 else reason
    return ""


def flavors_of(assignment: Assignment, topologies: Topologies) -> set[str]:
    """The flavors with a topology that it was given."""
    return {given.flavor for pod_set in assignment.pod_sets for given in pod_set.flavors.values() if topologies.has(given.flavor)}


def relaxed(info: WorkloadInfo, topologies: Topologies, flavors: set[str]) -> Iterator[tuple[str, WorkloadInfo]]:
    """The same workload asking for less, in words and as the planner sees it: a wider level first, then a wish in place of a demand."""
    for at, shape in enumerate(info.shapes):
        required = (shape.topology_request or {}).get("required")
        if required is None:
            continue
        for flavor in sorted(flavors):
            topology = topologies.flavor(flavor)
            level = topology.tree.level_of(required) if topology is not None else -1
            for wider in reversed(topology.tree.levels[: max(0, level)]) if topology is not None else ():
                yield f"{wider} as the required level instead of {required}", _asking(info, at, {**_rest(shape), "required": wider})
        yield f"{required} as a preferred instead of a required level", _asking(info, at, {**_rest(shape), "preferred": required})


def _rest(shape: PodSetShape) -> dict[str, object]:
    return {key: value for key, value in (shape.topology_request or {}).items() if key != "required"}


def _asking(info: WorkloadInfo, at: int, request: TopologyRequest) -> WorkloadInfo:
    other = copy.copy(info)
    other.shapes = list(info.shapes)
    shape = other.shapes[at]
    other.shapes[at] = PodSetShape(shape.name, shape.count, shape.min_count, shape.spec, request)
    return other
