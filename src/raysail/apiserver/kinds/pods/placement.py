"""Where a Pod may run: affinity, tolerations, spread, gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.api.names import label_value_faults
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_label,
    check_positive,
    check_qualified_name,
    check_selector,
    check_subdomain,
    each,
)

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_affinity(affinity: JsonMap | None, at: str, faults: Faults) -> None:
    """`affinity`."""
    node = (affinity or {}).get("nodeAffinity")
    if node is not None:
        here = f"{at}.nodeAffinity"
        if node.get(_REQUIRED) is not None:
            check_node_selector(node[_REQUIRED], f"{here}.{_REQUIRED}", faults)
        for index, term in enumerate(node.get(_PREFERRED) or ()):
            _check_weight(term, f"{here}.{_PREFERRED}[{index}]", faults)
            _check_node_term(term.get("preference") or {}, f"{here}.{_PREFERRED}[{index}].preference", faults)
    for name in ("podAffinity", "podAntiAffinity"):
        terms = (affinity or {}).get(name)
        if terms is None:
            continue
        here = f"{at}.{name}"
        for index, term in enumerate(terms.get(_REQUIRED) or ()):
            _check_pod_term(term, f"{here}.{_REQUIRED}[{index}]", faults)
        for index, weighted in enumerate(terms.get(_PREFERRED) or ()):
            where = f"{here}.{_PREFERRED}[{index}]"
            _check_weight(weighted, where, faults)
            _check_pod_term(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm", faults)


def _check_weight(term: JsonMap, at: str, faults: Faults) -> None:
    if not 1 <= term.get("weight", 0) <= 100:
        faults.append(invalid(f"{at}.weight", term.get("weight", 0), "must be in the range 1-100"))


def check_node_selector(selector: JsonMap, at: str, faults: Faults) -> None:
    """A NodeSelector: at least one term."""
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        faults.append(required(f"{at}.nodeSelectorTerms", "must have at least one node selector term"))
    for index, term in enumerate(terms):
        _check_node_term(term, f"{at}.nodeSelectorTerms[{index}]", faults)


def _check_node_term(term: JsonMap, at: str, faults: Faults) -> None:
    for index, requirement in enumerate(term.get("matchExpressions") or ()):
        _check_node_requirement(requirement, f"{at}.matchExpressions[{index}]", faults)
    for index, requirement in enumerate(term.get("matchFields") or ()):
        _check_field_requirement(requirement, f"{at}.matchFields[{index}]", faults)


def _check_node_requirement(requirement: JsonMap, at: str, faults: Faults) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            faults.append(required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            faults.append(forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            faults.append(required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        faults.append(invalid(f"{at}.operator", operator, "not a valid selector operator"))
    check_qualified_name(requirement.get("key", ""), f"{at}.key", faults)
    for index, value in enumerate(values):
        each(faults, f"{at}.values[{index}]", value, label_value_faults(value))


def _check_field_requirement(requirement: JsonMap, at: str, faults: Faults) -> None:
    operator, key, values = requirement.get("operator", ""), requirement.get("key", ""), requirement.get("values") or []
    if operator not in ("In", "NotIn"):
        faults.append(invalid(f"{at}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        faults.append(required(f"{at}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
    if key != "metadata.name":
        faults.append(invalid(f"{at}.key", key, "not a valid field selector key"))
        return
    for index, value in enumerate(values):
        check_subdomain(value, f"{at}.values[{index}]", faults)


def _check_pod_term(term: JsonMap, at: str, faults: Faults) -> None:
    check_selector(term.get("labelSelector"), f"{at}.labelSelector", faults)
    check_selector(term.get("namespaceSelector"), f"{at}.namespaceSelector", faults)
    for name in term.get("namespaces") or ():
        check_label(name, f"{at}.namespace", faults)
    _check_label_keys(term, at, faults)
    key = term.get("topologyKey", "")
    if not key:
        faults.append(required(f"{at}.topologyKey", "can not be empty"))
    check_qualified_name(key, f"{at}.topologyKey", faults)


def _check_label_keys(term: JsonMap, at: str, faults: Faults) -> None:
    both = set(term.get("matchLabelKeys") or ()) & set(term.get("mismatchLabelKeys") or ())
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = term.get(field) or []
        if keys and term.get("labelSelector") is None:
            faults.append(forbidden(f"{at}.{field}", "must not be specified when labelSelector is not set"))
        for index, key in enumerate(keys):
            check_qualified_name(key, f"{at}.{field}[{index}]", faults)
            if field == "matchLabelKeys" and key in both:
                faults.append(invalid(f"{at}.{field}[{index}]", key, "exists in both matchLabelKeys and mismatchLabelKeys"))


def check_tolerations(tolerations: list[Any], at: str, faults: Faults) -> None:
    """`tolerations`."""
    for index, toleration in enumerate(tolerations):
        here = f"{at}[{index}]"
        key, operator, value = toleration.get("key", ""), toleration.get("operator", ""), toleration.get("value", "")
        effect = toleration.get("effect", "")
        if key:
            check_qualified_name(key, f"{here}.key", faults)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            faults.append(invalid(f"{here}.operator", operator, text))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            faults.append(invalid(f"{here}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        if operator in ("Equal", ""):
            texts = label_value_faults(value)
            if texts:
                faults.append(invalid(f"{here}.operator", value, ";".join(texts)))
        elif operator == "Exists":
            if value:
                faults.append(invalid(f"{here}.operator", value, "value must be empty when `operator` is 'Exists'"))
        elif operator in ("Lt", "Gt"):
            if not value.removeprefix("-").isdigit():
                faults.append(invalid(f"{here}.value", value, "must be a valid decimal integer in canonical form"))
        else:
            faults.append(not_supported(f"{here}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            faults.append(not_supported(f"{here}.effect", effect, _EFFECTS))


def check_spread(constraints: list[Any], at: str, faults: Faults) -> None:
    """`topologySpreadConstraints`."""
    for index, constraint in enumerate(constraints):
        here = f"{at}[{index}]"
        action, key = constraint.get("whenUnsatisfiable", ""), constraint.get("topologyKey", "")
        check_positive(constraint.get("maxSkew", 0), f"{here}.maxSkew", faults)
        if not key:
            faults.append(required(f"{here}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            faults.append(not_supported(f"{here}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if any((o.get("topologyKey", ""), o.get("whenUnsatisfiable", "")) == (key, action) for o in constraints[index + 1 :]):
            faults.append(duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        domains = constraint.get("minDomains")
        if domains is not None:
            check_positive(domains, f"{here}.minDomains", faults)
            if action != "DoNotSchedule":
                text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                faults.append(invalid(f"{here}.minDomains", domains, text))
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if constraint.get(name) is not None and constraint[name] not in ("Honor", "Ignore"):
                faults.append(not_supported(f"{here}.{name}", constraint[name], ("Honor", "Ignore")))
        _check_label_keys(constraint, here, faults)
        check_selector(constraint.get("labelSelector"), f"{here}.labelSelector", faults)


def check_gates(gates: list[Any], at: str, faults: Faults) -> None:
    """`schedulingGates`."""
    _check_unique_names(gates, "name", at, faults, check_qualified_name)


def check_readiness_gates(gates: list[Any], at: str, faults: Faults) -> None:
    """`readinessGates`."""
    for index, gate in enumerate(gates):
        check_qualified_name(gate.get("conditionType", ""), f"{at}[{index}].conditionType", faults)


def _check_unique_names(items: list[Any], field: str, at: str, faults: Faults, check: Callable[[str, str, Faults], None]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get(field, "")
        check(name, f"{at}[{index}]", faults)
        if name in seen:
            faults.append(duplicate(f"{at}[{index}]", name))
        seen.add(name)
