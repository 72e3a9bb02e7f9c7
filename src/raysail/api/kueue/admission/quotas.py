"""What Kueue's webhooks say about quotas: ClusterQueue and Cohort (pkg/webhooks/{clusterqueue,cohort}_webhook.go, common.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.names import label_key_causes, label_selector_causes
from raysail.api.quantity import Quantity, canonical, parse_nano

Json = Mapping[str, Any]
NEGATIVE: Final = "must be greater than or equal to 0"
IMMUTABLE: Final = "field is immutable"
_MAX_FLAVORS: Final = 256
_MAX_COVERED_RESOURCES: Final = 256
_MAX_CELLS: Final = 512
_MAX_CONCURRENT_FLAVORS: Final = 16


def quantity_causes(value: Quantity, field: str) -> list[Cause]:
    """A quantity must not be negative."""
    return [causes.invalid(field, canonical(value), NEGATIVE)] if parse_nano(value) < 0 else []


def fair_sharing_causes(fair_sharing: Json | None, field: str) -> list[Cause]:
    """A weight is not negative, and not so small that shares overflow."""
    if not fair_sharing or fair_sharing.get("weight") is None:
        return []
    weight = fair_sharing["weight"]
    found = quantity_causes(weight, field)
    if 0 < parse_nano(weight) <= 1:
        found.append(causes.invalid(field, canonical(weight), "When not 0, weight must be > 10e-9"))
    return found


def cluster_queue_causes(queue: Json, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    """Faults of a new (`old` is None) or changed ClusterQueue."""
    found = _spec_causes(queue.get("spec") or {}, settings)
    found += _on_flavors_causes(queue, old, settings)
    if old is not None:
        policy = (queue.get("spec") or {}).get("concurrentAdmissionPolicy")
        if policy != (old.get("spec") or {}).get("concurrentAdmissionPolicy"):
            found.append(causes.invalid("spec.concurrentAdmissionPolicy", policy, IMMUTABLE))
    return found


def cohort_causes(cohort: Json) -> list[Cause]:
    """Faults of a new or changed Cohort."""
    spec = cohort.get("spec") or {}
    found = fair_sharing_causes(spec.get("fairSharing"), "spec.fairSharing")
    return found + _resource_groups_causes(
        spec.get("resourceGroups") or (), parent="parent", has_parent=bool(spec.get("parentName")), lending_within_nominal=False
    )


def all_flavors(groups: Sequence[Json]) -> list[str]:
    """Names of the flavors of all resource groups, in order."""
    return list(dict.fromkeys(flavor.get("name", "") for group in groups for flavor in group.get("flavors") or ()))


def _spec_causes(spec: Json, settings: AdmissionSettings) -> list[Cause]:
    groups = spec.get("resourceGroups") or []
    found = _resource_groups_causes(groups, parent="cohort", has_parent=bool(spec.get("cohortName")), lending_within_nominal=True)
    found += label_selector_causes(spec.get("namespaceSelector"), "spec.namespaceSelector")
    if preemption := spec.get("preemption"):
        borrow = preemption.get("borrowWithinCohort")
        if preemption.get("reclaimWithinCohort", "") == "Never" and borrow is not None and borrow.get("policy", "") != "Never":
            found.append(causes.invalid("spec.preemption", preemption, "reclaimWithinCohort=Never and borrowWithinCohort.Policy!=Never"))
    if fungibility := spec.get("flavorFungibility"):
        found += _fungibility_causes(fungibility)
    found += fair_sharing_causes(spec.get("fairSharing"), "spec.fairSharing")
    found += _size_causes(groups)
    if settings.enabled("ConcurrentAdmission") and spec.get("concurrentAdmissionPolicy") is not None:
        found += _concurrent_admission_causes(spec, groups)
    return found


def _fungibility_causes(fungibility: Json) -> list[Cause]:
    preference = fungibility.get("preference")
    if preference is None or fungibility.get("whenCanBorrow") == fungibility.get("whenCanPreempt") == "TryNextFlavor":
        return []
    detail = f'preference "{preference}" requires both whenCanBorrow and whenCanPreempt to be TryNextFlavor'
    return [causes.invalid("spec.flavorFungibility.preference", preference, detail)]


def _size_causes(groups: Sequence[Json]) -> list[Cause]:
    field = "spec.resourceGroups"
    found = []
    flavors = sum(len(group.get("flavors") or ()) for group in groups)
    if flavors > _MAX_FLAVORS:
        detail = f"total number of flavors across all resourceGroups must be ≤ {_MAX_FLAVORS}, got {flavors}"
        found.append(causes.invalid(field, flavors, detail))
    covered = sum(len(group.get("coveredResources") or ()) for group in groups)
    if covered > _MAX_COVERED_RESOURCES:
        detail = f"total number of covered resources across all resourceGroups must be ≤ {_MAX_COVERED_RESOURCES}, got {covered}"
        found.append(causes.invalid(field, covered, detail))
    for at, group in enumerate(groups):
        cells = sum(len(flavor.get("resources") or ()) for flavor in group.get("flavors") or ())
        if cells > _MAX_CELLS:
            detail = f"number of flavor-resource combinations in a resourceGroup must be ≤ {_MAX_CELLS}, got {cells}"
            found.append(causes.invalid(f"{field}[{at}]", cells, detail))
    return found


def _resource_groups_causes(groups: Sequence[Json], *, parent: str, has_parent: bool, lending_within_nominal: bool) -> list[Cause]:
    found: list[Cause] = []
    seen_resources: set[str] = set()
    seen_flavors: set[str] = set()
    for at, group in enumerate(groups):
        path = f"spec.resourceGroups[{at}]"
        covered = group.get("coveredResources") or []
        for index, resource in enumerate(covered):
            found += label_key_causes(resource, f"{path}.coveredResources[{index}]")
            if resource in seen_resources:
                found.append(causes.duplicate(f"{path}.coveredResources[{index}]", resource))
            seen_resources.add(resource)
        for index, flavor in enumerate(group.get("flavors") or ()):
            flavor_path, name = f"{path}.flavors[{index}]", flavor.get("name", "")
            found += _flavor_causes(
                flavor, covered, flavor_path, parent=parent, has_parent=has_parent, lending_within_nominal=lending_within_nominal
            )
            if name in seen_flavors:
                found.append(causes.duplicate(f"{flavor_path}.name", name))
            seen_flavors.add(name)
    return found


def _flavor_causes(
    flavor: Json, covered: Sequence[str], path: str, *, parent: str, has_parent: bool, lending_within_nominal: bool
) -> list[Cause]:
    found: list[Cause] = []
    without_parent = f"must be nil when {parent} is empty"
    for at, (quota, resource) in enumerate(zip(flavor.get("resources") or (), covered, strict=False)):
        field = f"{path}.resources[{at}]"
        if quota.get("name", "") != resource:
            found.append(causes.invalid(f"{field}.name", quota.get("name", ""), "must match the name in coveredResources"))
        nominal, borrowing, lending = quota.get("nominalQuota", 0), quota.get("borrowingLimit"), quota.get("lendingLimit")
        found += quantity_causes(nominal, f"{field}.nominalQuota")
        if borrowing is not None:
            if not has_parent:
                found.append(causes.invalid(f"{field}.borrowingLimit", canonical(borrowing), without_parent))
            found += quantity_causes(borrowing, f"{field}.borrowingLimit")
        if lending is not None:
            found += quantity_causes(lending, f"{field}.lendingLimit")
            if not has_parent:
                found.append(causes.invalid(f"{field}.lendingLimit", canonical(lending), without_parent))
            if lending_within_nominal and parse_nano(lending) > parse_nano(nominal):
                detail = "must be less than or equal to the nominalQuota"
                found.append(causes.invalid(f"{field}.lendingLimit", canonical(lending), detail))
    return found


def _on_flavors_causes(queue: Json, old: Json | None, settings: AdmissionSettings) -> list[Cause]:
    """`onFlavors` names flavors of the queue. What was wrong before may stay while the flavors are the same."""
    spec = queue.get("spec") or {}
    flavors = all_flavors(spec.get("resourceGroups") or ())
    tolerated: dict[str, set[str]] = {}
    if old is not None and not settings.enabled("RejectUpdatesToCQWithInvalidOnFlavors"):
        old_spec = old.get("spec") or {}
        if set(all_flavors(old_spec.get("resourceGroups") or ())) == set(flavors):
            tolerated = {check.get("name", ""): set(check.get("onFlavors") or ()) for check in _checks(old_spec)}
    return [
        causes.not_supported(f"spec.admissionChecksStrategy.admissionChecks[{at}].onFlavors[{index}]", flavor, flavors)
        for at, check in enumerate(_checks(spec))
        if tolerated.get(check.get("name", "")) != set(check.get("onFlavors") or ())
        for index, flavor in enumerate(check.get("onFlavors") or ())
        if flavor not in flavors
    ]


def _checks(spec: Json) -> Sequence[Json]:
    checks: Sequence[Json] = (spec.get("admissionChecksStrategy") or {}).get("admissionChecks") or ()
    return checks


def _concurrent_admission_causes(spec: Json, groups: Sequence[Json]) -> list[Cause]:
    found = []
    if len(groups) != 1:
        detail = "must have exactly one ResourceGroup when ConcurrentAdmissionPolicy is defined"
        found.append(causes.invalid("spec.resourceGroups", len(groups), detail))
    elif len(groups[0].get("flavors") or ()) > _MAX_CONCURRENT_FLAVORS:
        detail = f"cannot have more than {_MAX_CONCURRENT_FLAVORS} resource flavors in the ResourceGroup when ConcurrentAdmissionPolicy is defined"
        found.append(causes.invalid("spec.resourceGroups[0].flavors", len(groups[0]["flavors"]), detail))
    migration = spec["concurrentAdmissionPolicy"].get("migration") or {}
    constraints, mode = migration.get("constraints"), migration.get("mode", "")
    field = "spec.concurrentAdmissionPolicy.migration.constraints"
    if constraints is not None:
        last = constraints.get("lastAcceptableFlavorName")
        flavors = all_flavors(groups)
        if mode not in ("", "TryPreferredFlavors"):
            found.append(causes.forbidden(field, f'may only be set when migration.mode is "TryPreferredFlavors" (got "{mode}")'))
        elif last is not None and last not in flavors:
            detail = f"must be one of the flavors defined in the ClusterQueue: [{' '.join(flavors)}]"
            found.append(causes.invalid(f"{field}.lastAcceptableFlavorName", last, detail))
    if spec.get("queueingStrategy") == "StrictFIFO":
        detail = "StrictFIFO queueing strategy cannot be used when ConcurrentAdmissionPolicy is defined"
        found.append(causes.invalid("spec.queueingStrategy", "StrictFIFO", detail))
    return found
