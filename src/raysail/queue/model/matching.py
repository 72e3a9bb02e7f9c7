"""Whether Pods may run on a flavor's nodes: taints and tolerations, node selectors and affinity.

Source: k8s.io/component-helpers/scheduling/corev1, Kueue pkg/scheduler/flavorassigner (flavorSelector).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raysail.api.selectors import Requirement

Taint = Mapping[str, Any]
Toleration = Mapping[str, Any]


def untolerated_taint(taints: Iterable[Taint], tolerations: Iterable[Toleration]) -> Taint | None:
    """The first NoSchedule or NoExecute taint that nothing tolerates."""
    tolerations = tuple(tolerations)
    for taint in taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """v1.Toleration.ToleratesTaint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    value, wanted = toleration.get("value") or "", taint.get("value") or ""
    match operator:
        case "Exists":
            return True
        case "Equal":
            return value == wanted
        case "Lt" | "Gt":
            try:
                return int(wanted) < int(value) if operator == "Lt" else int(wanted) > int(value)
            except ValueError:
                return False
    return False


def same_toleration(a: Toleration, b: Toleration) -> bool:
    """Equal in every field; an operator that is not given is Equal, and what is empty is not given."""
    return _given(a) == _given(b)


def _given(toleration: Toleration) -> dict[str, Any]:
    kept = {key: value for key, value in toleration.items() if value not in (None, "")}
    return {**kept, "operator": kept.get("operator", "Equal")}


def taint_text(taint: Taint) -> str:
    """A taint as Go prints the struct: {key value effect time}."""
    return "{" + f"{taint.get('key', '')} {taint.get('value') or ''} {taint.get('effect', '')} {taint.get('timeAdded') or '<nil>'}" + "}"


def selects_labels(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether node selector and required node affinity allow nodes with these labels, as far as they speak of these label keys.

    A term that says nothing about these keys matches everything, and terms are alternatives: then the affinity says nothing at all.
    """
    for key, value in (spec.get("nodeSelector") or {}).items():
        if key in labels and labels[key] != value:
            return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    terms: list[list[Mapping[str, Any]]] = []
    for term in required.get("nodeSelectorTerms") or ():
        known = [expression for expression in term.get("matchExpressions") or () if expression.get("key") in labels]
        if not known:
            return True
        terms.append(known)
    return not terms or any(all(_holds(expression, labels) for expression in term) for term in terms)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    values = frozenset(expression.get("values") or ())
    return Requirement(expression.get("key", ""), expression.get("operator", ""), values).matches(labels)
