"""LimitRange, ResourceQuota, PriorityClass, PodDisruptionBudget: who may use how much, and who comes first."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.api.quantity import NANO, canonical, parse_nano
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_choice,
    check_immutable,
    check_nonnegative,
    check_not_more_than_all,
    check_percent_or_nonnegative,
    check_selector,
)
from raysail.apiserver.kinds.pods.resources import allows_overcommit, check_amount, check_container_resource_name, check_resource_name
from raysail.apiserver.kinds.rules import Rules, spec_differs

_HIGHEST_PRIORITY: Final = 1_000_000_000
_SYSTEM_CLASSES: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_SCOPES: Final = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_STANDARD_QUOTA: Final = frozenset(
    {
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "services.nodeports",
        "services.loadbalancers",
    }
)


# LimitRange.


def _check_limit_range(obj: JsonMap, faults: Faults) -> None:
    seen: set[str] = set()
    for index, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
        at, kind = f"spec.limits[{index}]", limit.get("type", "")
        if "/" not in kind and kind not in ("Container", "Pod", "PersistentVolumeClaim"):
            faults.append(invalid(f"{at}.type", kind, "must be a standard limit type or fully qualified"))
        if kind in seen:
            faults.append(duplicate(f"{at}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            for name in ("default", "defaultRequest"):
                if limit.get(name):
                    faults.append(forbidden(f"{at}.{name}", "may not be specified when `type` is 'Pod'"))
        if kind == "PersistentVolumeClaim" and "storage" not in {**(limit.get("min") or {}), **(limit.get("max") or {})}:
            text = "either minimum or maximum storage value is required, but neither was provided"
            faults.append(required(f"{at}.limits", text))
        fields = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
        for field in fields:
            for name in limit.get(field) or {}:
                check = check_container_resource_name if kind in ("Container", "Pod") else check_resource_name
                check(name, f"{at}.{field}[{name}]", faults)
        for name in dict.fromkeys(name for field in fields for name in limit.get(field) or ()):
            _check_limits(limit, name, at, faults)


def _check_limits(limit: JsonMap, name: str, at: str, faults: Faults) -> None:
    """The bounds and defaults of one resource against one another."""
    given: dict[str, Any] = {field: (limit.get(field) or {}).get(name) for field in ("min", "max", "default", "defaultRequest")}

    def above(low: str, high: str, at_field: str, shown: str, low_text: str, high_text: str) -> None:
        if given[low] is not None and given[high] is not None and parse_nano(given[low]) > parse_nano(given[high]):
            text = f"{low_text} value {canonical(given[low])} is greater than {high_text} value {canonical(given[high])}"
            faults.append(invalid(f"{at}.{at_field}[{name}]", given[shown], text))

    above("min", "max", "min", "min", "min", "max")
    above("min", "defaultRequest", "defaultRequest", "defaultRequest", "min", "default request")
    above("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request", "max")
    above("defaultRequest", "default", "defaultRequest", "defaultRequest", "default request", "default limit")
    above("min", "default", "default", "min", "min", "default")
    above("default", "max", "default", "max", "default", "max")
    ratio = (limit.get("maxLimitRequestRatio") or {}).get(name)
    here = f"{at}.maxLimitRequestRatio[{name}]"
    if ratio is not None:
        if parse_nano(ratio) < NANO:
            faults.append(invalid(here, ratio, f"ratio {canonical(ratio)} is less than 1"))
        if given["min"] is not None and given["max"] is not None and parse_nano(given["min"]):
            bound = parse_nano(given["max"]) / parse_nano(given["min"])
            if parse_nano(ratio) / NANO > bound:
                faults.append(invalid(here, ratio, f"ratio {canonical(ratio)} is greater than max/min = {bound:f}"))
    both = (given["default"], given["defaultRequest"])
    if not allows_overcommit(name) and None not in both and parse_nano(both[0]) != parse_nano(both[1]):
        text = f"default value {canonical(both[0])} must equal to defaultRequest value {canonical(both[1])} in {name}"
        faults.append(invalid(f"{at}.defaultRequest[{name}]", both[1], text))


# ResourceQuota.


def _check_quota_name(name: str, at: str, faults: Faults) -> None:
    well_formed = check_resource_name(name, at, faults)
    standard = name in _STANDARD_QUOTA or name.startswith(("hugepages-", "requests.hugepages-"))
    if well_formed and "/" not in name and not standard:
        faults.append(invalid(at, name, "must be a standard resource for quota"))


def _check_amounts(amounts: JsonMap | None, at: str, faults: Faults) -> None:
    for name, amount in (amounts or {}).items():
        _check_quota_name(name, f"{at}[{name}]", faults)
        check_amount(name, amount, f"{at}[{name}]", faults)


def _check_quota(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_amounts(spec.get("hard"), "spec.hard", faults)
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            faults.append(invalid("spec.scopes", scopes, "unsupported scope"))
    for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if set(pair) <= set(scopes):
            faults.append(invalid("spec.scopes", scopes, "conflicting scopes"))
    at = "spec.scopeSelector.matchExpressions"
    for index, requirement in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        here, operator, values = f"{at}[{index}]", requirement.get("operator", ""), requirement.get("values") or []
        if requirement.get("scopeName") not in _SCOPES:
            faults.append(invalid(f"{here}.scopeName", requirement.get("scopeName", ""), "unsupported scope"))
        if operator in ("In", "NotIn"):
            if not values:
                faults.append(
                    required(f"{here}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
                )
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                faults.append(invalid(f"{here}.values", values, text))
        else:
            faults.append(invalid(f"{here}.operator", operator, "not a valid selector operator"))


def _check_quota_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    scopes = [(o.get("spec") or {}).get("scopes") or [] for o in (obj, old)]
    if set(scopes[0]) != set(scopes[1]):
        faults.append(invalid("spec.scopes", scopes[0], "field is immutable"))


def _check_quota_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    status = obj.get("status") or {}
    _check_amounts(status.get("hard"), "status.hard", faults)
    _check_amounts(status.get("used"), "status.used", faults)


# PriorityClass.


def _check_priority_class(obj: JsonMap, faults: Faults) -> None:
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    if name.startswith("system-"):
        known = _SYSTEM_CLASSES.get(name)
        fault = ""
        if known is None:
            fault = f"{name} is not a known system priority class"
        elif value != known:
            fault = f"value of {name} PriorityClass must be {known}"
        elif obj.get("globalDefault"):
            fault = f"globalDefault of {name} PriorityClass must be false"
        if fault:
            text = f"priority class names with 'system-' prefix are reserved for system use only. error: {fault}"
            faults.append(forbidden("metadata.name", text))
    elif value > _HIGHEST_PRIORITY:
        faults.append(forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"))
    if obj.get("preemptionPolicy") is not None:
        check_choice(obj["preemptionPolicy"], ("PreemptLowerPriority", "Never"), "preemptionPolicy", faults)


def _check_priority_class_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    if obj.get("value", 0) != old.get("value", 0):
        faults.append(forbidden("value", "may not be changed in an update."))
    check_immutable(obj.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy", faults)


# PodDisruptionBudget.


def _check_budget(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        faults.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            check_percent_or_nonnegative(spec[name], f"spec.{name}", faults)
            check_not_more_than_all(spec[name], f"spec.{name}", faults)
    check_selector(spec.get("selector"), "spec.selector", faults)
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        faults.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))


def _check_budget_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        check_nonnegative((obj.get("status") or {}).get(name), f"status.{name}", faults)


LIMIT_RANGE: Final = Rules(check=_check_limit_range)
RESOURCE_QUOTA: Final = Rules(has_status=True, check=_check_quota, check_update=_check_quota_update, check_status=_check_quota_status)
PRIORITY_CLASS: Final = Rules(check=_check_priority_class, check_update=_check_priority_class_update)
POD_DISRUPTION_BUDGET: Final = Rules(has_status=True, check=_check_budget, check_status=_check_budget_status, changed=spec_differs)
