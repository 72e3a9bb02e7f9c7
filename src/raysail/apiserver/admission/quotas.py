"""ResourceQuota: what a namespace may hold, counted from what it holds (plugin/pkg/admission/resourcequota, pkg/quota/v1).

Use is counted in the store at each creation, so no controller has to have run and nothing can slip past while one lags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from raysail.api import quantity
from raysail.api.quantity import NANO
from raysail.api.resources import Resource
from raysail.apiserver.admission.chain import Operation
from raysail.apiserver.admission.refusal import forbidden
from raysail.apiserver.store import Store

_COUNTED: Final = {
    "configmaps": "configmaps",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "pods": "pods",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
    "secrets": "secrets",
    "services": "services",
}
_BARE: Final = ("cpu", "memory", "ephemeral-storage")
Use = dict[str, int]
"""Amounts in billionths, by the names that quotas use."""


class ResourceQuotas:
    """Reads quotas, and what they count, from the store."""

    mutating = False

    def __init__(self, store: Store) -> None:
        self._store = store

    def concerns(self, resource: Resource) -> bool:
        """Whatever lives in a namespace."""
        return resource.namespaced

    def admit(self, operation: Operation) -> None:
        """Nothing to fill in."""

    def validate(self, operation: Operation) -> None:
        """Raises StatusError (403) when the new object would take the namespace past a quota."""
        if operation.verb != "create" or operation.subresource or not operation.namespace or operation.object is None:
            return
        definition = operation.definition
        if definition.verbs == ("create",):
            return
        for record in self._store.latest_scan("resourcequotas", operation.namespace):
            self._check(operation, record.object())

    def _check(self, operation: Operation, quota: Mapping[str, Any]) -> None:
        obj, collection = operation.object or {}, operation.definition.collection
        spec = quota.get("spec") or {}
        hard = {name: quantity.parse_nano(value) for name, value in (spec.get("hard") or {}).items()}
        if not _in_scope(spec, collection, obj):
            return
        wanted = {name: value for name, value in usage(collection, obj).items() if name in hard}
        name = quota["metadata"]["name"]
        if collection == "pods":
            missing = [resource for resource in hard if resource not in wanted and _computed(resource)]
            if missing:
                raise forbidden(operation, f"failed quota: {name}: must specify {'; '.join(_missing(obj, missing))}")
        if not wanted:
            return
        used: Use = dict.fromkeys(wanted, 0)
        for record in self._store.latest_scan(collection, operation.namespace):
            present = record.object()
            if _in_scope(spec, collection, present):
                for resource, value in usage(collection, present).items():
                    if resource in used:
                        used[resource] += value
        over = sorted(resource for resource, value in wanted.items() if value and used[resource] + value > hard[resource])
        if over:
            asked, held, bounds = (_text(over, amounts) for amounts in (wanted, used, hard))
            raise forbidden(operation, f"exceeded quota: {name}, requested: {asked}, used: {held}, limited: {bounds}")


def usage(collection: str, obj: Mapping[str, Any]) -> Use:
    """What one object counts for."""
    found: Use = {f"count/{collection}": NANO}
    if collection in _COUNTED and not (collection == "pods" and _finished(obj)):
        found[_COUNTED[collection]] = NANO
    match collection:
        case "pods":
            if not _finished(obj):
                found |= _pod_usage(obj.get("spec") or {})
        case "services":
            spec = obj.get("spec") or {}
            if spec.get("type") == "LoadBalancer":
                found["services.loadbalancers"] = NANO
            if spec.get("type") in ("NodePort", "LoadBalancer"):
                found["services.nodeports"] = len(spec.get("ports") or ()) * NANO
        case "persistentvolumeclaims":
            spec = obj.get("spec") or {}
            requests = (spec.get("resources") or {}).get("requests") or {}
            storage = quantity.parse_nano(requests.get("storage", 0))
            found["requests.storage"] = storage
            storage_class = spec.get("storageClassName")
            if storage_class:
                prefix = f"{storage_class}.storageclass.storage.k8s.io"
                found |= {f"{prefix}/requests.storage": storage, f"{prefix}/persistentvolumeclaims": NANO}
    return found


def _pod_usage(spec: Mapping[str, Any]) -> Use:
    found: Use = {}
    for part in ("requests", "limits"):
        total: dict[str, int] = {}
        for container in spec.get("containers") or ():
            for name, value in ((container.get("resources") or {}).get(part) or {}).items():
                total[name] = total.get(name, 0) + quantity.parse_nano(value)
        for container in spec.get("initContainers") or ():
            for name, value in ((container.get("resources") or {}).get(part) or {}).items():
                total[name] = max(total.get(name, 0), quantity.parse_nano(value))
        for name, value in total.items():
            found[f"{part}.{name}"] = value
            if part == "requests" and (name in _BARE or name.startswith("hugepages-")):
                found[name] = value
    return found


def _finished(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _computed(resource: str) -> bool:
    """Whether every Pod has to say how much of it it takes."""
    return resource in (*_BARE, *(f"{part}.{name}" for part in ("requests", "limits") for name in _BARE))


def _missing(pod: Mapping[str, Any], resources: list[str]) -> Iterator[str]:
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for resource in sorted(resources):
        part, _, name = resource.rpartition(".")
        part = part or "requests"
        names = [c.get("name", "") for c in containers if name not in ((c.get("resources") or {}).get(part) or {})]
        yield f"{resource} for: {','.join(names)}"


def _text(resources: list[str], amounts: Use) -> str:
    return ",".join(f"{name}={quantity.format_nano(amounts[name], binary='memory' in name or 'storage' in name)}" for name in resources)


def _in_scope(spec: Mapping[str, Any], collection: str, obj: Mapping[str, Any]) -> bool:
    """Whether the quota's scopes hold for the object; scopes are about Pods."""
    terms: list[tuple[str, str, list[str]]] = [(scope, "Exists", []) for scope in spec.get("scopes") or ()]
    terms += [
        (expression.get("scopeName", ""), expression.get("operator", "Exists"), expression.get("values") or [])
        for expression in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    ]
    if terms and collection != "pods":
        return False
    return all(_pod_in_scope(obj.get("spec") or {}, *term) for term in terms)


def _pod_in_scope(spec: Mapping[str, Any], scope: str, operator: str, values: list[str]) -> bool:
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort" | "NotBestEffort":
            resources = [c.get("resources") or {} for c in spec.get("containers") or ()]
            best = not any(r.get("requests") or r.get("limits") for r in resources)
            return best == (scope == "BestEffort")
        case "PriorityClass":
            name = spec.get("priorityClassName", "")
            match operator:
                case "In":
                    return name in values
                case "NotIn":
                    return name not in values
                case "DoesNotExist":
                    return not name
            return bool(name)
    return False
