"""What Pods and claims use of a quota's resources (pkg/quota/v1/evaluator/core); other kinds are counted as `count/...` and by their old names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from raysail.api.core import PersistentVolumeClaim, Pod, PodSpec, ResourceQuota
from raysail.api.quantity import format_nano, parse_nano

COUNTED: Final = {
    "pods": "pods",
    "services": "services",
    "configmaps": "configmaps",
    "secrets": "secrets",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "resourcequotas": "resourcequotas",
    "replicationcontrollers": "replicationcontrollers",
}
"""Old names of object counts, and the plural they stand for."""

_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")


def counted_kind(resource: str) -> str:
    """The kind that a resource name counts, `plural` or `plural.group`; empty for amounts."""
    return resource.removeprefix("count/") if resource.startswith("count/") else COUNTED.get(resource, "")


def in_scope(quota: ResourceQuota, pod: Pod) -> bool:
    """Whether the quota's scopes take the Pod."""
    best_effort = not any(c.resources.requests or c.resources.limits for c in (*pod.spec.containers, *(pod.spec.init_containers or ())))
    terminating = pod.spec.active_deadline_seconds is not None
    facts = {"BestEffort": best_effort, "NotBestEffort": not best_effort, "Terminating": terminating, "NotTerminating": not terminating}
    if any(not facts.get(scope, True) for scope in quota.spec.scopes or ()):
        return False
    for term in (quota.spec.scope_selector or {}).get("matchExpressions") or ():
        if term.get("scopeName") == "PriorityClass":
            if not _matches_class(term, pod.spec.priority_class_name):
                return False
        elif not facts.get(term.get("scopeName", ""), True):
            return False
    return True


def pod_usage(spec: PodSpec) -> dict[str, int]:
    """What one Pod takes, in billionths, under the names that quotas use."""
    found: dict[str, int] = {}
    for field, prefix in (("requests", "requests."), ("limits", "limits.")):
        total: dict[str, int] = {}
        for container in spec.containers:
            for name, text in (getattr(container.resources, field) or {}).items():
                total[name] = total.get(name, 0) + parse_nano(text)
        for container in spec.init_containers or ():
            for name, text in (getattr(container.resources, field) or {}).items():
                total[name] = max(total.get(name, 0), parse_nano(text))
        for name, text in (spec.overhead or {}).items():
            total[name] = total.get(name, 0) + parse_nano(text)
        for name, value in total.items():
            found[prefix + name] = value
            if field == "requests" and name in _COMPUTE:
                found[name] = value
    return found


def used(quota: ResourceQuota, pods: Iterable[Pod], claims: Iterable[PersistentVolumeClaim], counts: Mapping[str, int]) -> dict[str, str]:
    """`status.used` for the resources that the quota limits. `counts`: objects by `plural` or `plural.group`."""
    hard = quota.spec.hard or {}
    total = dict.fromkeys(hard, 0)
    alive = [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed") and in_scope(quota, pod)]
    for pod in alive:
        for name, value in pod_usage(pod.spec).items():
            if name in total:
                total[name] += value
    for claim in claims:
        storage = parse_nano((claim.spec.resources.requests or {}).get("storage", 0))
        class_ = f"{claim.spec.storage_class_name}.storageclass.storage.k8s.io/"
        for name in ("requests.storage", f"{class_}requests.storage"):
            if name in total:
                total[name] += storage
    for name in hard:
        kind = counted_kind(name)
        if kind:
            # `pods` counts those that have not ended, `count/pods` all that are stored.
            total[name] = (len(alive) if name == "pods" else counts.get(kind, 0)) * 1_000_000_000
    return {name: format_nano(value, binary="memory" in name or "storage" in name) for name, value in total.items()}


def _matches_class(term: Mapping[str, Any], name: str) -> bool:
    match term.get("operator"):
        case "In":
            return name in (term.get("values") or ())
        case "NotIn":
            return name not in (term.get("values") or ())
        case "Exists":
            return bool(name)
        case _:
            return not name
