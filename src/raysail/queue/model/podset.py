"""What admission puts into a job's pod templates, and how it is taken out again.

Node selectors and tolerations of the flavors, labels, annotations and what admission checks ask for are merged into the templates when the job
starts, and restored from the Workload's own copy when it stops. Pure. Source: Kueue pkg/podset/podset.go, jobframework/reconciler.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from raysail.api.kueue import Workload, names
from raysail.api.kueue.workload import PodSet, PodSetAssignment
from raysail.api.quantity import QuantityError, parse_nano
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.matching import same_toleration

Template = dict[str, Any]


class PodSetConflictError(Exception):
    """What is to be injected contradicts what is there; trying again would not help."""


class MissingFlavorError(Exception):
    """A flavor that the admission names does not exist (any more)."""


@dataclass(slots=True)
class PodSetInfo:
    """What one pod set's Pods get."""

    name: str
    count: int
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    gates: list[dict[str, Any]] = field(default_factory=list)

    def merge(self, other: PodSetInfo) -> None:
        """Adds the other's. Raises PodSetConflictError where a key has another value already."""
        for what, mine, theirs in (
            ("annotations", self.annotations, other.annotations),
            ("labels", self.labels, other.labels),
            ("nodeSelector", self.node_selector, other.node_selector),
        ):
            for key, value in theirs.items():
                if mine.get(key, value) != value:
                    detail = f"conflict for key={key}, value1={mine[key]}, value2={value}"
                    raise PodSetConflictError(f"invalid admission check PodSetUpdate: conflict for {what}: {detail}")
            mine.update(theirs)
        self.tolerations += [new for new in other.tolerations if not any(same_toleration(new, own) for own in self.tolerations)]
        self.gates += [gate for gate in other.gates if gate not in self.gates]


def info_of_assignment(given: PodSetAssignment, spec: PodSet | None, flavors: Mapping[str, Flavor], *, topology: bool = True) -> PodSetInfo:
    """Where the flavors and the topology of one pod set put its Pods. `spec`: the pod set as asked for. Raises MissingFlavorError."""
    info = PodSetInfo(given.name, given.count if given.count is not None else (spec.count if spec is not None else 0))
    for name in dict.fromkeys((given.flavors or {}).values()):
        flavor = flavors.get(name)
        if flavor is None:
            raise MissingFlavorError(f'resourceflavors.kueue.x-k8s.io "{name}" not found')
        info.node_selector.update(flavor.node_labels)
        info.tolerations += [dict(toleration) for toleration in flavor.tolerations]
    if topology and given.topology_assignment is not None:
        request = spec.topology_request if spec is not None else None
        if request is None or (request.required is None and request.preferred is None and request.unconstrained is None):
            info.annotations[names.POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION] = "true"
        info.gates.append({"name": names.TOPOLOGY_GATE})
    return info


def infos_of_admission(
    workload: Workload, flavors: Mapping[str, Flavor], *, topology: bool = True, queue_labels: bool = True, elastic: bool = True
) -> list[PodSetInfo]:
    """What each pod set of an admitted workload gets. Raises PodSetConflictError, MissingFlavorError.

    `topology`, `queue_labels`, `elastic`: whether topologies, names of queues and slices of elastic jobs are told to the Pods.
    """
    admission = workload.status.admission
    if admission is None:
        return []
    infos = []
    for given in admission.pod_set_assignments:
        spec = next((pod_set for pod_set in workload.spec.pod_sets if pod_set.name == given.name), None)
        info = info_of_assignment(given, spec, flavors, topology=topology)
        if topology:
            info.annotations[names.WORKLOAD_ANNOTATION] = workload.metadata.name
        annotations = workload.metadata.annotations or {}
        if elastic and annotations.get(names.ELASTIC_JOB_ANNOTATION) == "true":
            origin = annotations.get(names.WORKLOAD_SLICE_NAME_ANNOTATION) or workload.metadata.name
            info.annotations[names.WORKLOAD_SLICE_NAME_ANNOTATION] = origin
        info.labels[names.POD_SET_LABEL] = given.name
        if names.MULTIKUEUE_ORIGIN_LABEL in (workload.metadata.labels or {}):
            info.labels[names.MULTIKUEUE_WORKER_WORKLOAD_POD_LABEL] = "true"
        if queue_labels:
            info.labels[names.LOCAL_QUEUE_NAME_LABEL] = workload.spec.queue_name
        if queue_labels and _LABEL.fullmatch(admission.cluster_queue):
            info.labels[names.CLUSTER_QUEUE_NAME_LABEL] = admission.cluster_queue
        for check in workload.status.admission_checks or ():
            for update in check.pod_set_updates or ():
                if update.name == info.name:
                    _merge_update(info, update, check.name)
                    break
        infos.append(info)
    return infos


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _merge_update(info: PodSetInfo, update: Any, check: str) -> None:
    more = PodSetInfo(
        info.name,
        0,
        dict(update.labels or {}),
        dict(update.annotations or {}),
        dict(update.node_selector or {}),
        msgspec.to_builtins(update.tolerations or []),
    )
    try:
        info.merge(more)
    except PodSetConflictError as error:
        raise PodSetConflictError(f'in admission check "{check}": {error}') from error


def infos_of_workload(workload: Workload) -> list[PodSetInfo]:
    """What each pod set's template was before admission: to restore from."""
    infos = []
    for pod_set in workload.spec.pod_sets:
        meta = pod_set.template.get("metadata") or {}
        spec = pod_set.template.get("spec") or {}
        infos.append(
            PodSetInfo(
                pod_set.name,
                pod_set.count,
                dict(meta.get("labels") or {}),
                dict(meta.get("annotations") or {}),
                dict(spec.get("nodeSelector") or {}),
                list(spec.get("tolerations") or []),
                list(spec.get("schedulingGates") or []),
            )
        )
    return infos


def inject(template: Template, info: PodSetInfo) -> None:
    """Merges into a template (changed in place). Raises PodSetConflictError; then the template is not to be used."""
    meta = template.setdefault("metadata", {})
    spec = template.setdefault("spec", {})
    annotations = dict(meta.get("annotations") or {})
    if names.WORKLOAD_SLICE_NAME_ANNOTATION in info.annotations:  # of an elastic job these may change between admissions
        for key in (names.WORKLOAD_SLICE_NAME_ANNOTATION, names.WORKLOAD_ANNOTATION):
            annotations.pop(key, None)
    merged = PodSetInfo(
        info.name,
        info.count,
        dict(meta.get("labels") or {}),
        annotations,
        dict(spec.get("nodeSelector") or {}),
        list(spec.get("tolerations") or []),
        list(spec.get("schedulingGates") or []),
    )
    merged.merge(info)
    _write(meta, spec, merged)


def restore(template: Template, info: PodSetInfo) -> None:
    """Puts labels, annotations, node selector, tolerations and gates back as they were (template changed in place)."""
    _write(template.setdefault("metadata", {}), template.setdefault("spec", {}), info)


def _write(meta: dict[str, Any], spec: dict[str, Any], info: PodSetInfo) -> None:
    for owner, key, value in (
        (meta, "labels", info.labels),
        (meta, "annotations", info.annotations),
        (spec, "nodeSelector", info.node_selector),
        (spec, "tolerations", info.tolerations),
        (spec, "schedulingGates", info.gates),
    ):
        if value:
            owner[key] = value
        else:
            owner.pop(key, None)


def equal_pod_sets(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]], *, ignore_tolerations: bool = False) -> bool:
    """Whether two lists of pod sets (wire form) stand for the same job: counts, containers, init containers, tolerations."""
    left, right = list(a), list(b)
    return len(left) == len(right) and all(
        _equal(one, other, ignore_tolerations=ignore_tolerations) for one, other in zip(left, right, strict=True)
    )


def _equal(a: Mapping[str, Any], b: Mapping[str, Any], *, ignore_tolerations: bool) -> bool:
    if a.get("count", 0) != b.get("count", 0) or a.get("minCount") != b.get("minCount"):
        return False
    one, other = (a.get("template") or {}).get("spec") or {}, (b.get("template") or {}).get("spec") or {}
    keys = ("initContainers", "containers") if ignore_tolerations else ("initContainers", "containers", "tolerations")
    return all(_same(one.get(key), other.get(key)) for key in keys)


def _same(a: Any, b: Any, *, quantity: bool = False) -> bool:
    """Equal as Kubernetes compares typed objects: quantities by value, and what is empty like what is not there."""
    if a == b or (not a and not b and a not in _GIVEN and b not in _GIVEN):
        return True
    if isinstance(a, Mapping | None) and isinstance(b, Mapping | None):
        a, b = a or {}, b or {}
        return all(_same(a.get(key), b.get(key), quantity=quantity or key in ("requests", "limits")) for key in a.keys() | b.keys())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(one, other, quantity=quantity) for one, other in zip(a, b, strict=True))
    if quantity and a is not None and b is not None:
        try:
            return parse_nano(a) == parse_nano(b)
        except QuantityError:
            return False  # what cannot be read is equal to itself only
    return False


_GIVEN = (0, False)
"""Values that say something although they are empty."""
