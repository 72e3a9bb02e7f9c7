"""LimitRanger: a namespace's defaults and bounds for containers, Pods and claims (plugin/pkg/admission/limitranger)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from raysail.api import quantity
from raysail.apiserver.admission.chain import OfKinds, Operation
from raysail.apiserver.admission.refusal import forbidden
from raysail.apiserver.store import Store

_ANNOTATION: Final = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, Any]


class LimitRanger(OfKinds):
    """Reads LimitRanges from the store."""

    kinds = frozenset({("", "Pod"), ("", "PersistentVolumeClaim")})

    def __init__(self, store: Store) -> None:
        self._store = store

    def _limits(self, namespace: str) -> Iterator[list[dict[str, Any]]]:
        for record in self._store.latest_scan("limitranges", namespace):
            yield (record.object().get("spec") or {}).get("limits") or []

    def admit(self, operation: Operation) -> None:
        """Gives containers the default requests and limits."""
        if operation.verb != "create" or not operation.concerns("", "Pod") or operation.object is None:
            return
        for limits in self._limits(operation.namespace):
            _fill(operation.object, limits)

    def validate(self, operation: Operation) -> None:
        """Raises StatusError (403) for what lies outside of the bounds."""
        obj = operation.object
        if obj is None or operation.subresource not in ("", "resize"):
            return
        pod = operation.definition.resource.kind == "Pod" and not operation.definition.resource.group
        if pod and (operation.verb == "create" or operation.subresource == "resize"):
            check: Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[str]] = pod_faults
        elif operation.concerns("", "PersistentVolumeClaim") and operation.verb in ("create", "update"):
            check = claim_faults
        else:
            return
        for limits in self._limits(operation.namespace):
            faults = [fault for limit in limits for fault in check(obj, limit)]
            if faults:
                raise forbidden(operation, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _fill(pod: dict[str, Any], limits: list[dict[str, Any]]) -> None:
    requests: dict[str, Any] = {}
    maxima: dict[str, Any] = {}
    for limit in limits:
        if limit.get("type") == "Container":
            requests |= limit.get("defaultRequest") or {}
            maxima |= limit.get("default") or {}
    told: list[str] = []
    spec = pod.get("spec") or {}
    for key, word in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(key) or ():
            resources = container.get("resources") or {}
            for part, defaults, name in (("requests", requests, "request"), ("limits", maxima, "limit")):
                given = resources.get(part) or {}
                added = {resource: value for resource, value in defaults.items() if resource not in given}
                if added:
                    resources[part] = {**given, **added}
                    told.append(f"{', '.join(sorted(added))} {name} for {word} {container.get('name', '')}")
            if resources:
                container["resources"] = resources
    if told:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(told)


def pod_faults(pod: Mapping[str, Any], limit: Mapping[str, Any]) -> Iterator[str]:
    """What a Pod does outside of one entry of a LimitRange."""
    spec = pod.get("spec") or {}
    kind = limit.get("type", "")
    if kind == "Container":
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            resources = container.get("resources") or {}
            yield from _faults(kind, limit, resources.get("requests") or {}, resources.get("limits") or {})
    elif kind == "Pod":
        yield from _faults(kind, limit, _total(spec, "requests"), _total(spec, "limits"))


def claim_faults(claim: Mapping[str, Any], limit: Mapping[str, Any]) -> Iterator[str]:
    """What a claim asks for outside of one entry of a LimitRange."""
    kind = limit.get("type", "")
    if kind != "PersistentVolumeClaim":
        return
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    for name, bound in (limit.get("min") or {}).items():
        yield from _minimum(kind, name, bound, requests, {})
    for name, bound in (limit.get("max") or {}).items():
        if name not in requests:
            yield f"maximum {name} usage per {kind} is {bound}.  No request is specified"
        elif _value(requests[name]) > _value(bound):
            yield f"maximum {name} usage per {kind} is {bound}, but request is {requests[name]}"


def _faults(kind: str, limit: Mapping[str, Any], requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in (limit.get("min") or {}).items():
        yield from _minimum(kind, name, bound, requests, limits)
    for name, bound in (limit.get("max") or {}).items():
        yield from _maximum(kind, name, bound, requests, limits)
    for name, bound in (limit.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(kind, name, bound, requests, limits)


def _minimum(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    if name not in requests:
        yield f"minimum {name} usage per {kind} is {bound}.  No request is specified"
    elif _value(requests[name]) < _value(bound):
        yield f"minimum {name} usage per {kind} is {bound}, but request is {requests[name]}"
    elif name in limits and _value(limits[name]) < _value(bound):
        yield f"minimum {name} usage per {kind} is {bound}, but limit is {limits[name]}"


def _maximum(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    if name not in limits:
        yield f"maximum {name} usage per {kind} is {bound}.  No limit is specified"
    elif _value(limits[name]) > _value(bound):
        yield f"maximum {name} usage per {kind} is {bound}, but limit is {limits[name]}"
    elif name in requests and _value(requests[name]) > _value(bound):
        yield f"maximum {name} usage per {kind} is {bound}, but request is {requests[name]}"


def _ratio(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"{name} max limit to request ratio per {kind} is {bound}, but"
    if not _value(requests.get(name, 0)):
        yield f"{start} no request is specified or request is 0"
    elif not _value(limits.get(name, 0)):
        yield f"{start} no limit is specified or limit is 0"
    else:
        ratio = Fraction(_value(limits[name]), _value(requests[name]))
        if ratio > Fraction(_value(bound), _value("1")):
            yield f"{start} provided ratio is {float(ratio):f}"


def _total(spec: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What a Pod takes in all: its containers together, or its largest init container."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = total.get(name, 0) + _value(value)
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = max(total.get(name, 0), _value(value))
    return {name: quantity.format_nano(value) for name, value in total.items()}


def _value(value: Any) -> int:
    return quantity.parse_nano(value)
