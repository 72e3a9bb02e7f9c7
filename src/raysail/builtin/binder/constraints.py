"""What keeps a Pod off a Node besides its size: taints, selectors, affinities (k8s.io/component-helpers scheduling/corev1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysail.api.core import Node, PodSpec
from raysail.api.core.scheduling import NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Taint, Toleration
from raysail.api.meta import ObjectMeta
from raysail.api.selectors import Requirement, from_object


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether the toleration covers the taint (v1.Toleration.ToleratesTaint)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def untolerated(taints: Iterable[Taint] | None, tolerations: Iterable[Toleration] | None, effects: tuple[str, ...]) -> list[Taint]:
    """The taints with one of the effects that nothing tolerates."""
    borne = tuple(tolerations or ())
    return [taint for taint in taints or () if taint.effect in effects and not any(tolerates(toleration, taint) for toleration in borne)]


def selects(spec: PodSpec, node: Node) -> bool:
    """Whether node selector and required node affinity allow the Node."""
    labels = node.metadata.labels or {}
    if any(labels.get(key) != value for key, value in (spec.node_selector or {}).items()):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    return required is None or any(term_matches(term, node) for term in required.node_selector_terms or ())


def term_matches(term: NodeSelectorTerm, node: Node) -> bool:
    """Whether all requirements of the term hold; an empty term matches nothing."""
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return _all_hold(term.match_expressions, node.metadata.labels or {}) and _all_hold(term.match_fields, fields)


def preference(spec: PodSpec, node: Node) -> int:
    """The sum of the weights of preferred node affinities that hold."""
    affinity = spec.affinity.node_affinity if spec.affinity else None
    preferred = affinity.preferred_during_scheduling_ignored_during_execution if affinity else None
    return sum(entry.weight for entry in preferred or () if term_matches(entry.preference, node))


def term_selects_pod(term: PodAffinityTerm, owner_namespace: str, pod: ObjectMeta) -> bool:
    """Whether a Pod is meant by an affinity term of a Pod in `owner_namespace`. A namespaceSelector is taken to select all namespaces."""
    namespaces = term.namespaces or ([owner_namespace] if term.namespace_selector is None else [])
    if namespaces and pod.namespace not in namespaces:
        return False
    return from_object(term.label_selector).matches(pod.labels)


def _all_hold(requirements: Iterable[NodeSelectorRequirement] | None, labels: Mapping[str, str]) -> bool:
    return all(Requirement(r.key, r.operator, frozenset(r.values or ())).matches(labels) for r in requirements or ())
