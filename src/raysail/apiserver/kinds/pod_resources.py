"""What a Pod's containers ask for together, its quality of service, and the defaults of resources set for the whole Pod.

Rules: k8s.io/component-helpers resource/helpers.go, pkg/apis/core/v1/defaults.go (defaultPodRequests), pkg/apis/core/v1/helper/qos/qos.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from raysail.api.quantity import canonical, format_nano, parse_nano

JsonObject = dict[str, Any]
Amounts = dict[str, int]

_COMPUTE: Final = ("cpu", "memory")


def is_pod_level(name: str) -> bool:
    """Whether a resource may be set for a whole Pod."""
    return name in _COMPUTE or name.startswith("hugepages-")


def aggregate(spec: Mapping[str, Any], kind: str) -> Amounts:
    """`requests` or `limits` of all containers, in billionths: sums of those that run together, and the largest need while starting."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _amounts(container, kind))
    sidecars: Amounts = {}
    starting: Amounts = {}
    for container in spec.get("initContainers") or ():
        needs = _amounts(container, kind)
        if container.get("restartPolicy") == "Always":
            _add(total, needs)
            _add(sidecars, needs)
            needs = dict(sidecars)
        else:
            _add(needs, sidecars)
        _raise(starting, needs)
    _raise(total, starting)
    return total


def _amounts(container: Mapping[str, Any], kind: str) -> Amounts:
    given = (container.get("resources") or {}).get(kind) or {}
    return {name: parse_nano(amount) for name, amount in given.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, nano in more.items():
        total[name] = total.get(name, 0) + nano


def _raise(total: Amounts, least: Amounts) -> None:
    for name, nano in least.items():
        total[name] = max(total.get(name, 0), nano)


def default_pod_level_resources(spec: JsonObject) -> None:
    """Completes `spec.resources` where it is given in part."""
    resources = spec.get("resources")
    if not resources:
        return
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if limits or requests:
        for name, nano in aggregate(spec, "limits").items():
            if name.startswith("hugepages-") and name not in requests and name not in limits:
                limits = {**limits, name: format_nano(nano, binary=True)}
    if limits:
        resources["limits"] = limits
        for name, nano in aggregate(spec, "requests").items():
            if is_pod_level(name) and not name.startswith("hugepages-") and name not in requests:
                requests = {**requests, name: format_nano(nano, binary=name != "cpu")}
        for name, amount in limits.items():
            if is_pod_level(name) and name not in requests:
                requests = {**requests, name: canonical(amount)}
        resources["requests"] = requests


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort."""
    whole = spec.get("resources") or {}
    if whole.get("limits") or whole.get("requests"):
        holders: Iterable[Mapping[str, Any]] = [{"resources": whole}]
    else:
        holders = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    requests: Amounts = {}
    limits: Amounts = {}
    guaranteed = True
    for holder in holders:
        asked = {name: nano for name, nano in _amounts(holder, "requests").items() if name in _COMPUTE and nano > 0}
        bound = {name: nano for name, nano in _amounts(holder, "limits").items() if name in _COMPUTE and nano > 0}
        _add(requests, asked)
        _add(limits, bound)
        if len(bound) != len(_COMPUTE):
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and requests == limits and len(requests) == len(_COMPUTE):
        return "Guaranteed"
    return "Burstable"
