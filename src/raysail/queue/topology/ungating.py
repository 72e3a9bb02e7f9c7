"""Which gated Pods may run where: the places of an admitted Workload dealt out to its Pods. Pure.

Pods with ranks (a completion index, a replica index, a job's index before it) take the places in that order, so that neighbours in rank are
neighbours in the topology. Where ranks are missing or do not agree with Pods that run already, each domain gets as many Pods as it has places left.
Source: Kueue pkg/controller/tas/topology_ungater.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from raysail.api.kueue import PodSetAssignment, Workload, names
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.pods import Pod
from raysail.queue.topology.tree import domain_id


class UngatingError(Exception):
    """What a Pod says about its rank cannot be read."""


class Ungated(NamedTuple):
    """A Pod that may run on nodes with these labels."""

    pod: Pod
    node_labels: dict[str, str]


def is_placed_workload(workload: Workload) -> bool:
    """Whether it is admitted and topology placed some of its Pods."""
    admission = workload.status.admission
    if admission is None or not any(each.type == "Admitted" and each.status == "True" for each in workload.status.conditions or ()):
        return False
    return any(given.topology_assignment is not None for given in admission.pod_set_assignments)


def to_ungate(workload: Workload, pods: Iterable[Pod]) -> list[Ungated]:
    """The gated among the Pods of the Workload that may run now, with their places. Raises UngatingError."""
    admission = workload.status.admission
    if admission is None or not is_placed_workload(workload):
        return []
    of_pod_set: dict[str, list[Pod]] = {}
    for pod in sorted(pods, key=lambda each: each.metadata.name):
        if not pod.ended:  # an ended one is replaced: its place is free again
            of_pod_set.setdefault((pod.metadata.labels or {}).get(names.POD_SET_LABEL, ""), []).append(pod)
    requests = {pod_set.name: msgspec.to_builtins(pod_set.topology_request) or {} for pod_set in workload.spec.pod_sets}
    offsets = _offsets(admission.pod_set_assignments, requests)
    unhealthy = {node.name for node in workload.status.unhealthy_nodes or ()}
    found: list[Ungated] = []
    for given in admission.pod_set_assignments:
        if given.topology_assignment is None:
            continue
        assignment = TopologyAssignment.from_api(msgspec.to_builtins(given.topology_assignment))
        assert assignment is not None  # noqa: S101 - it was looked at above
        mine = of_pod_set.get(given.name, [])
        ranks = _Ranks(given.count or 0, *offsets[given.name], requests.get(given.name, {}))
        if mine:
            ranks.shift((mine[0].metadata.annotations or {}).get(names.POD_INDEX_OFFSET_ANNOTATION))
        for pod, values in _deal_out(assignment, mine, ranks):
            # a Pod let go to a failed node would be ended there; it waits for the other place that is being looked for
            if not (assignment.on_hosts and values[-1] in unhealthy):
                found.append(Ungated(pod, dict(zip(assignment.levels, values, strict=True))))
    return found


def _offsets(given: Sequence[PodSetAssignment], requests: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Rank of the first Pod of each pod set, and the bound of ranks. In a group the workers' ranks go on where the leader's end."""
    groups: dict[str, list[PodSetAssignment]] = {}
    for at, each in enumerate(given):
        groups.setdefault(str(requests.get(each.name, {}).get("podSetGroupName") or at), []).append(each)
    found: dict[str, tuple[int, int]] = {}
    for members in groups.values():
        if len(members) == 1:
            found[members[0].name] = 0, members[0].count or 0
            continue
        smaller, larger = members[0], members[1]
        if (smaller.count or 0) > (larger.count or 0):
            smaller, larger = larger, smaller
        leading = smaller.count or 0
        found[smaller.name] = 0, leading
        found[larger.name] = leading, leading + (larger.count or 0)
    return found


class _Ranks:
    """How ranks are read from the labels of the Pods of one pod set."""

    __slots__ = ("bound", "offset", "request", "size")

    def __init__(self, size: int, offset: int, bound: int, request: Mapping[str, Any]) -> None:
        self.size = size
        self.offset = offset
        self.bound = bound
        self.request = request

    def shift(self, text: str | None) -> None:
        """Indexes of these Pods start later. Raises UngatingError."""
        if text is None:
            return
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise UngatingError(f"failed to parse offset annotation: {names.POD_INDEX_OFFSET_ANNOTATION} is {text!r}, not a number")
        self.offset += int(text)
        self.bound += int(text)

    def read(self, pods: Sequence[Pod]) -> dict[int, Pod] | None:
        """Rank to Pod. None: the Pods have no ranks, or none that make sense together."""
        label, outer = self.request.get("podIndexLabel"), self.request.get("subGroupIndexLabel")
        if label is None:
            return None
        jobs = self.request.get("subGroupCount") or 0
        if outer is not None and jobs <= 0:
            return None
        per_job = self.size // jobs if outer is not None else self.size
        found: dict[int, Pod] = {}
        for pod in pods:
            index = _number(pod, label, self.bound)
            if index is None:
                return None
            rank = index - self.offset
            if outer is not None:
                job = _number(pod, outer, jobs)
                if job is None or index >= per_job:
                    return None
                rank += job * per_job
            if not 0 <= rank < self.size or rank in found:
                return None
            found[rank] = pod
        return found


def _number(pod: Pod, label: str, bound: int) -> int | None:
    text = (pod.metadata.labels or {}).get(label, "")
    return int(text) if re.fullmatch(r"[0-9]+", text, re.ASCII) and int(text) < bound else None


def _deal_out(assignment: TopologyAssignment, pods: Sequence[Pod], ranks: _Ranks) -> list[tuple[Pod, tuple[str, ...]]]:
    by_rank = ranks.read(pods)
    if by_rank is not None:
        places = [domain.values for domain in assignment.domains for _ in range(domain.count)]
        if all(rank < len(places) and (pod.gated or _place_of(pod, assignment) == places[rank]) for rank, pod in by_rank.items()):
            return [(pod, places[rank]) for rank, pod in sorted(by_rank.items()) if pod.gated]
    waiting = [pod for pod in pods if pod.gated]
    taken: dict[str, int] = {}
    for pod in pods:
        if not pod.gated:
            place = domain_id(_place_of(pod, assignment))
            taken[place] = taken.get(place, 0) + 1
    found: list[tuple[Pod, tuple[str, ...]]] = []
    for domain in assignment.domains:
        for _ in range(domain.count - taken.get(domain_id(domain.values), 0)):
            if len(found) == len(waiting):
                return found
            found.append((waiting[len(found)], domain.values))
    return found


def _place_of(pod: Pod, assignment: TopologyAssignment) -> tuple[str, ...]:
    selector = pod.spec.get("nodeSelector") or {}
    return tuple(selector.get(level, "") for level in assignment.levels)
