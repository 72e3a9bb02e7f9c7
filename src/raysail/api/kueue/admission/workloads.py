"""What Kueue's webhooks say about Workloads (pkg/webhooks/workload_webhook.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_parse import parse_int
from raysail.api.kueue.admission.flavors import tolerations_causes
from raysail.api.kueue.admission.gatedby import gated_by_create_causes, gated_by_update_causes
from raysail.api.kueue.admission.quotas import IMMUTABLE, quantity_causes
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.names import ELASTIC_JOB_ANNOTATION, PRIORITY_BOOST_ANNOTATION, WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION
from raysail.api.names import annotations_causes, conditions_causes, labels_causes
from raysail.api.quantity import amount, parse_nano

Json = Mapping[str, Any]
_RESERVED_RESOURCE: Final = "pods"
_CHECKS: Final = "status.admissionChecks"
_RECLAIMABLE: Final = "status.reclaimablePods"


def has_quota_reservation(workload: Json) -> bool:
    """Whether the Workload's QuotaReserved condition is true."""
    return any(
        c.get("type") == "QuotaReserved" and c.get("status") == "True" for c in (workload.get("status") or {}).get("conditions") or ()
    )


def is_elastic(obj: Json, settings: AdmissionSettings) -> bool:
    """Whether the object asks for workload slices."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return settings.enabled("ElasticJobsViaWorkloadSlices") and annotations.get(ELASTIC_JOB_ANNOTATION) == "true"


def default_workload(workload: dict[str, Any], settings: AdmissionSettings) -> None:
    """Without partial admission a Workload has no minimum counts."""
    if not settings.enabled("PartialAdmission"):
        for pod_set in (workload.get("spec") or {}).get("podSets") or ():
            pod_set.pop("minCount", None)


def workload_causes(workload: Json, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    """Faults of a new (`old` is None) or changed Workload."""
    found = _state_causes(workload, old, settings)
    return found if old is None else found + _update_causes(workload, old, settings)


def _pod_sets(workload: Json) -> list[dict[str, Any]]:
    pod_sets: list[dict[str, Any]] = (workload.get("spec") or {}).get("podSets") or []
    return pod_sets


def _status(workload: Json) -> Json:
    return workload.get("status") or {}


def _name(pod_set: Json) -> str:
    name: str = pod_set.get("name", "")
    return name


def _state_causes(workload: Json, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    pod_sets, status = _pod_sets(workload), _status(workload)
    found: list[Cause] = []
    for at, pod_set in enumerate(pod_sets):
        found += _pod_set_causes(pod_set, f"spec.podSets[{at}]", settings)
    variable = sum(pod_set.get("minCount") is not None for pod_set in pod_sets)
    if variable > 1:
        found.append(causes.invalid("spec.podSets", variable, "at most one podSet can use minCount"))
    if variable and is_elastic(workload, settings):
        found.append(causes.invalid("spec.podSets", variable, "partial admission and elastic job cannot be used together"))
    if has_quota_reservation(workload):
        found += _admission_causes(workload, old)
    found += conditions_causes(status.get("conditions"), "status.conditions")
    found += _reclaimable_causes(workload, old, settings)
    found += _checks_causes(workload)
    if settings.enabled("AdmissionGatedBy"):
        found += gated_by_create_causes(workload)
    if settings.enabled("PriorityBoost"):
        found += _priority_boost_causes(workload)
    return found


def _priority_boost_causes(workload: Json) -> list[Cause]:
    value = ((workload.get("metadata") or {}).get("annotations") or {}).get(PRIORITY_BOOST_ANNOTATION)
    field = f"metadata.annotations[{PRIORITY_BOOST_ANNOTATION}]"
    if value is None:
        return []
    if value == "":
        return [causes.invalid(field, value, 'must be a valid signed integer; use "0" explicitly, empty string is not allowed')]
    try:
        parse_int(value, "ParseInt", 32)
    except ValueError:
        return [causes.invalid(field, value, "must be a valid signed integer")]
    return []


def _pod_set_causes(pod_set: Json, path: str, settings: AdmissionSettings) -> list[Cause]:
    template = pod_set.get("template") or {}
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    found: list[Cause] = []
    if settings.enabled("WorkloadValidationForPodSetMetadata"):
        found += labels_causes(metadata.get("labels"), f"{path}.template.metadata.labels")
        found += annotations_causes(metadata.get("annotations"), f"{path}.template.metadata.annotations")
    for group in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(group) or ()):
            found += _requirements_causes(container.get("resources") or {}, f"{path}.template.spec.{group}[{at}].resources", settings)
    found += _requirements_causes(spec.get("resources") or {}, f"{path}.template.spec.resources", settings)
    if settings.enabled("TASValidateWorkloadSliceSize"):
        found += _slice_causes(pod_set.get("topologyRequest"), f"{path}.topologyRequest")
    return found


def _requirements_causes(requirements: Json, path: str, settings: AdmissionSettings) -> list[Cause]:
    found: list[Cause] = []
    for part in ("requests", "limits"):
        for name, quantity in (requirements.get(part) or {}).items():
            field = f"{path}.{part}[{name}]"
            if name == _RESERVED_RESOURCE:
                found.append(causes.invalid(field, _RESERVED_RESOURCE, "the key is reserved for internal kueue use"))
            if settings.enabled("WorkloadValidateResourcesAreNonNegative"):
                found += quantity_causes(quantity, field)
    return found


def _slice_causes(request: Json | None, path: str) -> list[Cause]:
    if request is None:
        return []
    found = []
    topology, size = request.get("podSetSliceRequiredTopology"), request.get("podSetSliceSize")
    if topology is not None and size is None:
        found.append(causes.required(f"{path}.podSetSliceSize", "must be set when podSetSliceRequiredTopology is specified"))
    elif topology is not None and size is not None and size <= 0:
        found.append(causes.invalid(f"{path}.podSetSliceSize", size, "must be greater than 0"))
    if topology is None and size is not None:
        found.append(causes.forbidden(f"{path}.podSetSliceSize", "may not be set when podSetSliceRequiredTopology is not specified"))
    for at, constraint in enumerate(request.get("podsetSliceRequiredTopologyConstraints") or ()):
        if constraint.get("size", 0) <= 0:
            field = f"{path}.podsetSliceRequiredTopologyConstraints[{at}].size"
            found.append(causes.invalid(field, constraint.get("size", 0), "must be greater than 0"))
    return found


def _admission_causes(workload: Json, old: Json | None) -> list[Cause]:
    admission = _status(workload).get("admission")
    if admission is None:
        if old is not None and has_quota_reservation(old) and _status(old).get("admission") is None:
            return []  # it was like this before: let it through, so that it can be cleaned up
        return [causes.required("status.admission", "must be set while the QuotaReserved condition is true")]
    names = {_name(pod_set) for pod_set in _pod_sets(workload)}
    found = []
    for at, assignment in enumerate(admission.get("podSetAssignments") or ()):
        field = f"status.admission.podSetAssignments[{at}]"
        if _name(assignment) not in names:
            found.append(causes.not_found(f"{field}.name", _name(assignment)))
        count = assignment.get("count") or 0
        if count > 0:
            found += [
                causes.invalid(f"{field}.resourceUsage[{resource}]", str(quantity), f"is not a multiple of {count}")
                for resource, quantity in (assignment.get("resourceUsage") or {}).items()
                if amount(resource, quantity) % count
            ]
    return found


def _checks_causes(workload: Json) -> list[Cause]:
    known = [_name(pod_set) for pod_set in _pod_sets(workload)]
    found: list[Cause] = []
    for at, check in enumerate(_status(workload).get("admissionChecks") or ()):
        for index, update in enumerate(check.get("podSetUpdates") or ()):
            field = f"{_CHECKS}[{at}].podSetUpdates[{index}]"
            if _name(update) not in known:
                found.append(causes.not_supported(f"{field}.name", _name(update), sorted(known)))
            found += tolerations_causes(update.get("tolerations") or (), f"{field}.tolerations")
            found += annotations_causes(update.get("annotations"), f"{field}.annotations")
            found += labels_causes(update.get("nodeSelector"), f"{field}.nodeSelector")
            found += labels_causes(update.get("labels"), f"{field}.labels")
    return found


def _reclaimable_causes(workload: Json, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    counts = {_name(pod_set): pod_set.get("count", 0) for pod_set in _pod_sets(workload)}
    stale: set[tuple[str, int]] = set()
    if old is not None and is_elastic(workload, settings):
        # A count left over from before a scale-down is let through until it is computed anew (kueue#12670).
        stale = {(_name(entry), entry.get("count", 0)) for entry in _status(old).get("reclaimablePods") or ()}
    found = []
    for entry in _status(workload).get("reclaimablePods") or ():
        name, count = _name(entry), entry.get("count", 0)
        field = f"{_RECLAIMABLE}[{name}]"
        if name not in counts:
            found.append(causes.not_supported(f"{field}.name", name, counts))
        elif count > counts[name] and (name, count) not in stale:
            found.append(causes.invalid(f"{field}.count", count, f"should be less or equal to {counts[name]}"))
    return found


def _update_causes(new: Json, old: Json, settings: AdmissionSettings) -> list[Cause]:
    found: list[Cause] = []
    if has_quota_reservation(old):
        found += _pod_sets_update_causes(_pod_sets(new), _pod_sets(old), settings)
        if has_quota_reservation(new):
            found += _reclaimable_update_causes(new, old, settings)
    found += _admission_update_causes(_status(new).get("admission"), _status(old).get("admission"), settings)
    found += _checks_update_causes(new, old)
    found += _cluster_name_causes(new, old, settings)
    if settings.enabled("AdmissionGatedBy"):
        found += gated_by_update_causes(new, old)
    return found


_GO_ORDER: Final = (
    "clusterQueue",
    "podSetAssignments",
    "name",
    "template",
    "metadata",
    "spec",
    "flavors",
    "resourceUsage",
    "count",
    "minCount",
)


def _immutable(field: str, value: Json) -> Cause:
    """A changed value, its fields in the order of Go's structs as Kueue prints them."""
    return Cause("FieldValueInvalid", f"Invalid value: {orjson.dumps(_in_go_order(value)).decode()}: {IMMUTABLE}", field)


def _in_go_order(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_go_order(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    members = {"metadata": {}, **value} if "containers" in (value.get("spec") or {}) else value
    known = [key for key in _GO_ORDER if key in members]
    return {key: _in_go_order(members[key]) for key in [*known, *(key for key in members if key not in _GO_ORDER)]}


def _pod_sets_update_causes(new: Sequence[Json], old: Sequence[Json], settings: AdmissionSettings) -> list[Cause]:
    if len(new) != len(old):
        return [causes.invalid("spec.podSets", list(new), IMMUTABLE)]
    elastic = settings.enabled("ElasticJobsViaWorkloadSlices")
    found = []
    for at, (after, before) in enumerate(zip(new, old, strict=True)):
        # A smaller count is how elastic jobs scale down; Kueue allows it for all.
        scaled_down = elastic and after.get("count", 0) < before.get("count", 0)
        compared = {**after, "count": before.get("count", 0)} if scaled_down else after
        if not semantically_equal(compared, before):
            found.append(_immutable(f"spec.podSets.{at}", after))
    return found


def _admission_update_causes(new: Json | None, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    """An admission may be given and taken back, but not changed, except for places in the topology."""
    if new is None or old is None:
        return []
    before: Json = old
    assignments, old_assignments = new.get("podSetAssignments") or [], old.get("podSetAssignments") or []
    if settings.enabled("TopologyAwareScheduling") and len(assignments) == len(old_assignments):
        placed = ("topologyAssignment", "delayedTopologyRequest")
        before = {
            **old,
            "podSetAssignments": [
                {**{k: v for k, v in was.items() if k not in placed}, **{k: now[k] for k in placed if now.get(k) is not None}}
                for now, was in zip(assignments, old_assignments, strict=True)
            ],
        }
    return [] if semantically_equal(new, before) else [_immutable("status.admission", new)]


def _checks_update_causes(new: Json, old: Json) -> list[Cause]:
    checks = {check.get("name"): check for check in _status(new).get("admissionChecks") or ()}
    found = []
    for at, before in enumerate(_status(old).get("admissionChecks") or ()):
        after = checks.get(before.get("name"))
        if after is None or not before.get("state") == after.get("state") == "Ready":
            continue
        if not semantically_equal(after.get("podSetUpdates"), before.get("podSetUpdates")):
            found.append(causes.invalid(f"{_CHECKS}[{at}].podSetUpdates", after.get("podSetUpdates"), IMMUTABLE))
    return found


def _cluster_name_causes(new: Json, old: Json, settings: AdmissionSettings) -> list[Cause]:
    annotations = (new.get("metadata") or {}).get("annotations") or {}
    if settings.enabled("ElasticJobsViaWorkloadSlices") and WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION in annotations:
        return []
    name = _status(new).get("clusterName")
    if name is None or _status(old).get("clusterName") is not None or name in (_status(old).get("nominatedClusterNames") or ()):
        return []
    return [causes.invalid("status.clusterName", name, "when setting clusterName it must be one of the nominatedClusterNames")]


def _reclaimable_update_causes(new: Json, old: Json, settings: AdmissionSettings) -> list[Cause]:
    """While quota is held, counts of ended Pods only grow; except for pod sets that were scaled down."""
    before = {_name(entry): entry.get("count", 0) for entry in _status(old).get("reclaimablePods") or ()}
    after = {_name(entry): entry.get("count", 0) for entry in _status(new).get("reclaimablePods") or ()}
    shrunk = _scaled_down(new, settings)
    found = [
        causes.invalid(f"{_RECLAIMABLE}[{name}].count", count, f"cannot be less than {before[name]}")
        for name, count in after.items()
        if name in before and count < before[name] and name not in shrunk
    ]
    found += [
        causes.required(f"{_RECLAIMABLE}[{name}]", "cannot be removed") for name in before if name not in after and name not in shrunk
    ]
    return found


def _scaled_down(workload: Json, settings: AdmissionSettings) -> set[str]:
    admission = _status(workload).get("admission")
    if admission is None or not is_elastic(workload, settings):
        return set()
    counts = {_name(pod_set): pod_set.get("count", 0) for pod_set in _pod_sets(workload)}
    return {_name(a) for a in admission.get("podSetAssignments") or () if (a.get("count") or 0) > counts.get(_name(a), 0)}


def semantically_equal(new: Any, old: Any) -> bool:
    """Apimachinery's Semantic.DeepEqual: unset and empty are the same, quantities compare by value."""
    if isinstance(new, Mapping) or isinstance(old, Mapping):
        new, old = new or {}, old or {}
        if not isinstance(new, Mapping) or not isinstance(old, Mapping):
            return False
        for key in new.keys() | old.keys():
            after, before = new.get(key), old.get(key)
            if key in ("requests", "limits", "resourceUsage", "overhead") and isinstance(after, Mapping) and isinstance(before, Mapping):
                if after.keys() != before.keys() or any(parse_nano(after[name]) != parse_nano(before[name]) for name in after):
                    return False
            elif not semantically_equal(after, before):
                return False
        return True
    if isinstance(new, list) or isinstance(old, list):
        new, old = new or [], old or []
        return len(new) == len(old) and all(semantically_equal(after, before) for after, before in zip(new, old, strict=True))
    return bool(new == old) or (new is None and old in ("", 0, False)) or (old is None and new in ("", 0, False))
