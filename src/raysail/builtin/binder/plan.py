"""Which Pod goes to which Node: one pure function of what is there.

Pods are taken by priority, then age. A Node is looked at by kube-scheduler's filters in its order (first fault counts, its words are used), the fitting
ones are ranked by preferred affinities, then by how empty they would be; equal ones by name. There is no preemption: queues decide that before a Pod
exists (a difference on purpose).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from raysail.api.core import Node, Pod
from raysail.builtin.binder.constraints import preference, selects, term_selects_pod, untolerated
from raysail.builtin.binder.requests import Amounts, amounts, comparable_requests, pod_requests

UNSCHEDULABLE: Final = "Unschedulable"
NO_NODES: Final = "no nodes available to schedule pods"
TERMINAL_PHASES: Final = ("Succeeded", "Failed")

ClaimFault = Callable[[Pod], str]
"""Why a Pod's claims keep it from every Node; empty when they do not."""


@dataclass(frozen=True, slots=True)
class Bind:
    """Run the Pod there."""

    pod: Pod
    node: str


@dataclass(frozen=True, slots=True)
class Wait:
    """No Node takes the Pod now."""

    pod: Pod
    message: str


@dataclass(slots=True)
class NodeState:
    """A Node and what runs on it."""

    node: Node
    allocatable: Amounts
    used: Amounts = field(default_factory=dict)
    comparable: tuple[int, int] = (0, 0)
    pods: list[Pod] = field(default_factory=list)
    repelling: list[Pod] = field(default_factory=list)
    """Those that keep others away by anti-affinity: few, and looked at for every Pod."""

    def place(self, pod: Pod, requests: Amounts) -> None:
        """Counts a Pod as running here."""
        for name, value in requests.items():
            self.used[name] = self.used.get(name, 0) + value
        cpu, memory = comparable_requests(pod.spec, requests)
        self.comparable = (self.comparable[0] + cpu, self.comparable[1] + memory)
        self.pods.append(pod)
        affinity = pod.spec.affinity
        if affinity is not None and affinity.pod_anti_affinity is not None:
            self.repelling.append(pod)

    def lacks(self, requests: Amounts) -> list[str]:
        """kube-scheduler's words for what is missing."""
        faults = ["Too many pods"] if len(self.pods) + 1 > self.allocatable.get("pods", 0) else []
        return faults + [
            f"Insufficient {name}"
            for name, value in sorted(requests.items())
            if value > 0 and self.used.get(name, 0) + value > self.allocatable.get(name, 0)
        ]

    def emptiness(self, cpu: int, memory: int) -> float:
        """Between 0 and 1: which share would stay free, over cpu and memory."""
        shares = []
        for name, used in (("cpu", self.comparable[0] + cpu), ("memory", self.comparable[1] + memory)):
            whole = self.allocatable.get(name, 0)
            shares.append(max(0.0, (whole - used) / whole) if whole else 0.0)
        return sum(shares) / len(shares)


def waits_for_node(pod: Pod) -> bool:
    """Whether the Pod is one to be placed by us now."""
    return (
        not pod.spec.node_name
        and pod.spec.scheduler_name in ("", "default-scheduler")
        and pod.metadata.deletion_timestamp is None
        and not pod.spec.scheduling_gates
        and pod.status.phase not in TERMINAL_PHASES
    )


def plan(
    nodes: Sequence[Node],
    placed: Mapping[str, Sequence[Pod]],
    pending: Sequence[Pod],
    claim_fault: ClaimFault = lambda pod: "",
    requests_of: Callable[[Pod], Amounts] = lambda pod: pod_requests(pod.spec),
) -> list[Bind | Wait]:
    """What to do with each pending Pod. `placed`: the Pods that take room, by the name of their Node."""
    states = [NodeState(node, amounts(node.status.allocatable)) for node in sorted(nodes, key=lambda n: n.metadata.name)]
    for state in states:
        for pod in placed.get(state.node.metadata.name, ()):
            state.place(pod, requests_of(pod))
    decisions: list[Bind | Wait] = []
    for pod in sorted(pending, key=_order):
        requests = requests_of(pod)
        decision = _place(pod, requests, states, claim_fault(pod))
        decisions.append(decision)
        if isinstance(decision, Bind):
            next(s for s in states if s.node.metadata.name == decision.node).place(pod, requests)
    return decisions


def _order(pod: Pod) -> tuple[int, str, str, str]:
    meta = pod.metadata
    return (-(pod.spec.priority or 0), meta.creation_timestamp or "", meta.namespace, meta.name)


def _place(pod: Pod, requests: Amounts, states: Sequence[NodeState], claim_fault: str) -> Bind | Wait:
    if not states:
        return Wait(pod, NO_NODES)
    if claim_fault:
        return Wait(pod, f"0/{len(states)} nodes are available: {claim_fault}.")
    faults: Counter[str] = Counter()
    fitting: list[NodeState] = []
    for state in states:
        found = _faults(pod, requests, state, states)
        faults.update(found)
        if not found:
            fitting.append(state)
    if not fitting:
        # Go sorts the finished texts ("1 Insufficient cpu"), not the counts.
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in faults.items()))
        return Wait(pod, f"0/{len(states)} nodes are available: {reasons}.")
    cpu, memory = comparable_requests(pod.spec, requests)

    def rank(state: NodeState) -> tuple[int, int, float]:
        avoided = len(untolerated(state.node.spec.taints, pod.spec.tolerations, ("PreferNoSchedule",)))
        return (preference(pod.spec, state.node), -avoided, round(state.emptiness(cpu, memory), 9))

    return Bind(pod, max(fitting, key=rank).node.metadata.name)  # states are in order of names and max keeps the first of equals


def _faults(pod: Pod, requests: Amounts, state: NodeState, states: Sequence[NodeState]) -> list[str]:
    node = state.node
    if node.spec.unschedulable and not _tolerates_unschedulable(pod):
        return ["node(s) were unschedulable"]
    if untolerated(node.spec.taints, pod.spec.tolerations, ("NoSchedule", "NoExecute")):
        return ["node(s) had untolerated taint(s)"]
    if not selects(pod.spec, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    lacks = state.lacks(requests)
    if lacks:
        return lacks
    return _affinity_faults(pod, state, states)


def _tolerates_unschedulable(pod: Pod) -> bool:
    return any(
        t.operator == "Exists" and t.key in ("", "node.kubernetes.io/unschedulable") and t.effect in ("", "NoSchedule")
        for t in pod.spec.tolerations or ()
    )


def _affinity_faults(pod: Pod, state: NodeState, states: Sequence[NodeState]) -> list[str]:
    affinity = pod.spec.affinity
    apart = (
        affinity.pod_anti_affinity.required_during_scheduling_ignored_during_execution if affinity and affinity.pod_anti_affinity else None
    )
    near = affinity.pod_affinity.required_during_scheduling_ignored_during_execution if affinity and affinity.pod_affinity else None
    namespace = pod.metadata.namespace
    for term in near or ():
        matching = [other for s in states for other in s.pods if term_selects_pod(term, namespace, other.metadata)]
        # The first Pod of a group that wants to be near itself has nobody to be near to.
        first_of_its_kind = not matching and term_selects_pod(term, namespace, pod.metadata)
        here = any(term_selects_pod(term, namespace, other.metadata) for other in _domain(state, states, term.topology_key))
        if term.topology_key not in (state.node.metadata.labels or {}) or not (here or first_of_its_kind):
            return ["node(s) didn't match pod affinity rules"]
    for term in apart or ():
        if any(term_selects_pod(term, namespace, other.metadata) for other in _domain(state, states, term.topology_key)):
            return ["node(s) didn't match pod anti-affinity rules"]
    for other_state in states:
        for other in other_state.repelling:
            if _repels(other, other_state, pod, state):
                return ["node(s) didn't satisfy existing pods anti-affinity rules"]
    return []


def _repels(other: Pod, there: NodeState, pod: Pod, here: NodeState) -> bool:
    affinity = other.spec.affinity
    if affinity is None or affinity.pod_anti_affinity is None:
        return False
    for term in affinity.pod_anti_affinity.required_during_scheduling_ignored_during_execution or ():
        domain = _label(here, term.topology_key)
        if (
            domain is not None
            and domain == _label(there, term.topology_key)
            and term_selects_pod(term, other.metadata.namespace, pod.metadata)
        ):
            return True
    return False


def _domain(state: NodeState, states: Sequence[NodeState], topology_key: str) -> list[Pod]:
    value = _label(state, topology_key)
    return [] if value is None else [pod for s in states if _label(s, topology_key) == value for pod in s.pods]


def _label(state: NodeState, key: str) -> str | None:
    return (state.node.metadata.labels or {}).get(key)
