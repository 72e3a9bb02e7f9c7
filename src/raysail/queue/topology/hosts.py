"""Which nodes the Pods of a pod set may run on, and how many are ruled out by what.

Taints first, then the node selector, then required node affinity: a node counts under the first that rules it out.
Source: Kueue pkg/cache/scheduler/scheduling_simulator_default.go, k8s.io/component-helpers/scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from raysail.api.names import label_key_faults, label_value_faults
from raysail.api.selectors import Requirement
from raysail.queue.model.matching import untolerated_taint
from raysail.queue.topology.tree import Host, Tree


class HostRules:
    """What a pod template says about its node. `key` is equal for rules that say the same."""

    __slots__ = ("affinity", "key", "selector", "tolerations")

    def __init__(
        self,
        tolerations: Sequence[Mapping[str, Any]] = (),
        selector: Mapping[str, str] | None = None,
        affinity: Mapping[str, Any] | None = None,
    ) -> None:
        self.tolerations = tuple(tolerations)
        self.selector = dict(selector or {})
        self.affinity = affinity or {}
        """spec.affinity.nodeAffinity."""
        self.key = msgspec.json.encode((self.tolerations, self.selector, self.affinity), order="sorted")

    @property
    def fault(self) -> str:
        """What is wrong with the node selector, in the words of Kubernetes' label selectors; empty: nothing."""
        for key, value in sorted(self.selector.items()):
            faults = label_key_faults(key)
            if faults:
                return f'key: Invalid value: "{key}": {"; ".join(faults)}'
            faults = label_value_faults(value)
            if faults:
                return f'values[0][{key}]: Invalid value: "{value}": {"; ".join(faults)}'
        return ""

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> HostRules:
        """From a pod spec."""
        affinity = (spec.get("affinity") or {}).get("nodeAffinity")
        return cls(spec.get("tolerations") or (), spec.get("nodeSelector"), affinity)


class Matches:
    """The leaves that suit, what each is worth to preferred affinity, and why the others do not suit."""

    __slots__ = ("affinity", "by_affinity", "by_selector", "by_taint", "leaves", "total")

    def __init__(self) -> None:
        self.leaves: list[int] = []
        self.affinity: dict[int, int] = {}
        self.by_taint: dict[str, int] = {}
        self.by_selector = 0
        self.by_affinity = 0
        self.total = 0


def match(tree: Tree, rules: HostRules, *, preferred: bool) -> Matches:
    """All leaves of the tree against the rules. Leaves wider than nodes always suit: what is on their nodes is not looked at."""
    found = Matches()
    found.total = tree.leaf_count
    if not tree.lowest_is_host:
        found.leaves = list(range(tree.leaf_count))
        return found
    required = rules.affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    wishes = (rules.affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()) if preferred else ()
    for leaf, host in enumerate(tree.hosts):
        assert host is not None  # noqa: S101 - leaves are hosts here
        taint = untolerated_taint(host.taints, rules.tolerations)
        if taint is not None:
            text = _taint_text(taint)
            found.by_taint[text] = found.by_taint.get(text, 0) + 1
        elif any(host.labels.get(key) != value for key, value in rules.selector.items()):
            found.by_selector += 1
        elif required is not None and not any(term_matches(term, host) for term in required.get("nodeSelectorTerms") or ()):
            found.by_affinity += 1
        else:
            found.leaves.append(leaf)
            score = sum(wish.get("weight", 0) for wish in wishes if term_matches(wish.get("preference") or {}, host))
            if score:
                found.affinity[leaf] = score
    return found


def term_matches(term: Mapping[str, Any], host: Host) -> bool:
    """Whether a node selector term selects the node. An empty term selects none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return _all_hold(expressions, host.labels) and _all_hold(fields, {"metadata.name": host.name})


def _all_hold(listed: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    return all(
        Requirement(each.get("key", ""), each.get("operator", ""), frozenset(each.get("values") or ())).matches(labels) for each in listed
    )


def _taint_text(taint: Mapping[str, Any]) -> str:
    """As v1.Taint.ToString: key=value:effect."""
    key, value, effect = taint.get("key", ""), taint.get("value") or "", taint.get("effect") or ""
    if not effect:
        return f"{key}={value}:" if value else key
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
