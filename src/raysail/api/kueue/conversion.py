"""kueue.x-k8s.io between v1beta1 and v1beta2 (apis/kueue/v1beta1/*_conversion.go). Objects in wire form; inputs are left as they are.

v1beta2 is stored. On the way down what v1beta1 cannot say is lost: concurrent admission, preemption gates, slices inside slices, quota management.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api.kueue.names import GROUP
from raysail.api.kueue.topologycoding import Domain, decode, encode
from raysail.api.kueue.workload import (
    POD_PRIORITY_CLASS_GROUP,
    POD_PRIORITY_CLASS_KIND,
    WORKLOAD_PRIORITY_CLASS_GROUP,
    WORKLOAD_PRIORITY_CLASS_KIND,
)

Json = Mapping[str, Any]
Part = dict[str, Any]
V1BETA1: Final = f"{GROUP}/v1beta1"
V1BETA2: Final = f"{GROUP}/v1beta2"

_OLDER_FUNGIBILITY: Final = {"whenCanBorrow": "Borrow", "whenCanPreempt": "Preempt"}
_CLASS_OF_SOURCE: Final = {
    "kueue.x-k8s.io/workloadpriorityclass": (WORKLOAD_PRIORITY_CLASS_GROUP, WORKLOAD_PRIORITY_CLASS_KIND),
    "scheduling.k8s.io/priorityclass": (POD_PRIORITY_CLASS_GROUP, POD_PRIORITY_CLASS_KIND),
}
_SOURCE_OF_CLASS: Final = {group_kind: source for source, group_kind in _CLASS_OF_SOURCE.items()}


def convert(obj: Json, version: str, kind: str = "") -> Part:
    """The object in `version` (v1beta1 or v1beta2). `kind` is needed where the object does not say its own."""
    return to_v1beta1(obj, kind) if version == "v1beta1" else to_v1beta2(obj, kind)


def to_v1beta2(obj: Json, kind: str = "") -> Part:
    """A v1beta1 object in v1beta2; one that is in v1beta2 already comes back as it is."""
    return _converted(obj, V1BETA1, V1BETA2, _UP.get(kind or obj.get("kind", "")))


def to_v1beta1(obj: Json, kind: str = "") -> Part:
    """A v1beta2 object in v1beta1; one that is in v1beta1 already comes back as it is."""
    return _converted(obj, V1BETA2, V1BETA1, _DOWN.get(kind or obj.get("kind", "")))


def _converted(obj: Json, source: str, target: str, change: Callable[[Part, Part], None] | None) -> Part:
    made = dict(obj)
    if made.get("apiVersion", source) != source:
        return made
    if "apiVersion" in made:
        made["apiVersion"] = target
    if change is not None:
        spec, status = dict(made.get("spec") or {}), dict(made.get("status") or {})
        change(spec, status)
        for name, part in (("spec", spec), ("status", status)):
            if part or name in made:
                made[name] = part
    return made


def _rename(part: Part, old: str, new: str) -> None:
    if old in part:
        part[new] = part.pop(old)


def _cluster_queue_up(spec: Part, status: Part) -> None:
    _rename(spec, "cohort", "cohortName")
    checks = spec.pop("admissionChecks", None)
    if checks:
        spec["admissionChecksStrategy"] = {"admissionChecks": [{"name": name} for name in checks]}
    if spec.get("flavorFungibility") is not None:
        spec["flavorFungibility"] = {
            key: "MayStopSearch" if value == _OLDER_FUNGIBILITY.get(key) else value for key, value in spec["flavorFungibility"].items()
        }
    status.pop("pendingWorkloadsStatus", None)
    _without_usage_history(status)


def _cluster_queue_down(spec: Part, _: Part) -> None:
    _rename(spec, "cohortName", "cohort")
    spec.pop("concurrentAdmissionPolicy", None)


def _cohort_up(_: Part, status: Part) -> None:
    _without_usage_history(status)


def _without_usage_history(status: Part) -> None:
    if (status.get("fairSharing") or {}).get("admissionFairSharingStatus") is not None:
        status["fairSharing"] = {k: v for k, v in status["fairSharing"].items() if k != "admissionFairSharingStatus"}


def _local_queue_up(_: Part, status: Part) -> None:
    _rename(status, "flavorUsage", "flavorsUsage")
    status.pop("flavors", None)


def _local_queue_down(_: Part, status: Part) -> None:
    _rename(status, "flavorsUsage", "flavorUsage")


def _workload_up(spec: Part, status: Part) -> None:
    name, source = spec.pop("priorityClassName", ""), spec.pop("priorityClassSource", "")
    if source in _CLASS_OF_SOURCE:
        group, kind = _CLASS_OF_SOURCE[source]
        spec["priorityClassRef"] = {"group": group, "kind": kind, "name": name}
    _rename(status, "accumulatedPastExexcutionTimeSeconds", "accumulatedPastExecutionTimeSeconds")
    _each_assignment(status, _assignment_up)


def _workload_down(spec: Part, status: Part) -> None:
    reference = spec.pop("priorityClassRef", None) or {}
    source = _SOURCE_OF_CLASS.get((reference.get("group", ""), reference.get("kind", "")))
    if source is not None:
        spec["priorityClassSource"], spec["priorityClassName"] = source, reference.get("name", "")
    spec.pop("preemptionGates", None)
    if spec.get("podSets"):
        spec["podSets"] = [_pod_set_down(pod_set) for pod_set in spec["podSets"]]
    _rename(status, "accumulatedPastExecutionTimeSeconds", "accumulatedPastExexcutionTimeSeconds")
    status.pop("preemptionGates", None)
    _each_assignment(status, _assignment_down)


def _pod_set_down(pod_set: Json) -> Part:
    request = pod_set.get("topologyRequest") or {}
    if "podsetSliceRequiredTopologyConstraints" not in request:
        return dict(pod_set)
    return {**pod_set, "topologyRequest": {k: v for k, v in request.items() if k != "podsetSliceRequiredTopologyConstraints"}}


def _each_assignment(status: Part, change: Callable[[Json], Part]) -> None:
    admission = status.get("admission")
    if admission is None or not admission.get("podSetAssignments"):
        return
    assignments = [
        {**assignment, "topologyAssignment": change(assignment["topologyAssignment"])}
        if assignment.get("topologyAssignment") is not None
        else assignment
        for assignment in admission["podSetAssignments"]
    ]
    status["admission"] = {**admission, "podSetAssignments": assignments}


def _assignment_up(assignment: Json) -> Part:
    domains = [Domain(tuple(domain.get("values") or ()), domain.get("count", 0)) for domain in assignment.get("domains") or ()]
    return encode(assignment.get("levels") or (), domains)


def _assignment_down(assignment: Json) -> Part:
    domains = [{"values": list(domain.values), "count": domain.count} for domain in decode(assignment)]
    return {"levels": list(assignment.get("levels") or ()), "domains": domains}


def _admission_check_up(spec: Part, _: Part) -> None:
    spec.pop("retryDelayMinutes", None)


def _multikueue_cluster_up(spec: Part, _: Part) -> None:
    source: Part = {}
    kube_config, profile = spec.pop("kubeConfig", None) or {}, spec.pop("clusterProfileRef", None)
    if kube_config.get("location"):
        source["kubeConfig"] = kube_config
    if profile is not None:
        source["clusterProfileRef"] = profile
    spec["clusterSource"] = source


def _multikueue_cluster_down(spec: Part, _: Part) -> None:
    source = spec.pop("clusterSource", None) or {}
    spec["kubeConfig"] = source.get("kubeConfig") or {"location": "", "locationType": ""}
    if source.get("clusterProfileRef") is not None:
        spec["clusterProfileRef"] = source["clusterProfileRef"]


def _multikueue_config_down(spec: Part, _: Part) -> None:
    spec.pop("quotaManagement", None)


_UP: Final[Mapping[str, Callable[[Part, Part], None]]] = {
    "ClusterQueue": _cluster_queue_up,
    "Cohort": _cohort_up,
    "LocalQueue": _local_queue_up,
    "Workload": _workload_up,
    "AdmissionCheck": _admission_check_up,
    "MultiKueueCluster": _multikueue_cluster_up,
}
_DOWN: Final[Mapping[str, Callable[[Part, Part], None]]] = {
    "ClusterQueue": _cluster_queue_down,
    "LocalQueue": _local_queue_down,
    "Workload": _workload_down,
    "MultiKueueCluster": _multikueue_cluster_down,
    "MultiKueueConfig": _multikueue_config_down,
}
