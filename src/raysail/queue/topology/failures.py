"""What a node's failure means for the Workloads that have places on it. Pure.

A place is lost when the node is gone, or when it is not ready or has a taint that the Pods do not tolerate and no Pod of the Workload runs there any
more. Pods that were let go to such a node and cannot be bound there are ended, so that their job makes new ones.
Source: Kueue pkg/controller/tas/node_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from raysail.api.core.node import NODE_READY, Node
from raysail.api.kueue import Workload
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.matching import tolerates
from raysail.queue.model.podset import infos_of_admission
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.pods import Pod

NOT_READY_DELAY_SECONDS: Final = 30.0
"""How long a node may be not ready before Kueue's old rule (TASReplaceNodeDueToNotReadyOverFixedTime) counts it as failed."""

TERMINATED_CONDITION: Final = "TerminatedByKueue"
TERMINATED_REASON: Final = "UnschedulableOnAssignedNode"
TERMINATED_MESSAGE: Final = "Pod terminated by Kueue NodeController due to node taint"


class Health(Enum):
    """Whether a Workload's places on a node are lost."""

    HEALTHY = "healthy"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class FailureRules:
    """Which of Kueue's feature gates about failed nodes are on. Defaults are Kueue's."""

    replace: bool = True
    """TASFailedNodeReplacement."""
    on_taints: bool = True
    """TASReplaceNodeOnNodeTaints."""
    on_pod_termination: bool = True
    """TASReplaceNodeOnPodTermination: wait until no Pod of the Workload runs there."""
    after_fixed_time: bool = False
    """TASReplaceNodeDueToNotReadyOverFixedTime."""

    @classmethod
    def from_gates(cls, gates: Mapping[str, bool]) -> FailureRules:
        """From feature gates by their names."""
        return cls(
            gates.get("TASFailedNodeReplacement", True),
            gates.get("TASReplaceNodeOnNodeTaints", True),
            gates.get("TASReplaceNodeOnPodTermination", True),
            gates.get("TASReplaceNodeDueToNotReadyOverFixedTime", False),
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """About one Workload and one node. `to_end` are Pods that wait for this node in vain."""

    health: Health
    to_end: tuple[Pod, ...] = ()


def ready_condition(node: Node) -> Any:
    """The node's condition Ready; None: it has none."""
    return next((each for each in node.status.conditions or () if each.type == NODE_READY), None)


def assignments_on(workload: Workload, node: str) -> list[str]:
    """The pod sets that have places on that host."""
    admission = workload.status.admission
    found = []
    for given in admission.pod_set_assignments if admission is not None else ():
        if given.topology_assignment is None:
            continue
        assignment = TopologyAssignment.from_api(msgspec.to_builtins(given.topology_assignment))
        if assignment is not None and assignment.pods_on_host(node):
            found.append(given.name)
    return found


def examine(
    workload: Workload, node: Node, rules: FailureRules, selecting: Sequence[Pod], bound: Iterable[Pod], flavors: Mapping[str, Flavor]
) -> Finding:
    """The Workload's places on the node. `selecting` are its Pods that select the host, `bound` those of it (and its chain) that are bound there."""
    name = node.metadata.name
    pod_sets = assignments_on(workload, name)
    condition = ready_condition(node)
    ready = condition is not None and condition.status == "True"
    if not pod_sets:  # a Pod that came late, to a place that is not the Workload's any more
        return Finding(Health.HEALTHY, _waiting_in_vain(selecting))
    if not ready:
        return _unless_running(selecting, bound) if rules.on_pod_termination else Finding(Health.LOST)
    if not rules.on_taints:
        return Finding(Health.HEALTHY)
    taints: list[dict[str, Any]] = [
        t for t in msgspec.to_builtins(node.spec.taints or []) if t.get("effect") in ("NoExecute", "NoSchedule")
    ]
    tolerations = _tolerations(workload, pod_sets, flavors) if taints else []
    if any(not _all_tolerate(tolerations, taint) for taint in taints):
        return _unless_running(selecting, bound) if rules.on_pod_termination else Finding(Health.LOST)
    lasting = [[each for each in listed if each.get("tolerationSeconds") is None] for listed in tolerations]
    if any(not _all_tolerate(lasting, taint) for taint in taints):
        return _unless_running(selecting, bound)
    return Finding(Health.HEALTHY)


def _unless_running(selecting: Sequence[Pod], bound: Iterable[Pod]) -> Finding:
    running = any(pod.metadata.deletion_timestamp is None and not pod.ended for pod in bound)
    return Finding(Health.HEALTHY if running else Health.LOST, _waiting_in_vain(selecting))


def _waiting_in_vain(selecting: Sequence[Pod]) -> tuple[Pod, ...]:
    return tuple(pod for pod in selecting if not pod.node and pod.phase == "Pending" and not pod.gated)


def _tolerations(workload: Workload, pod_sets: Sequence[str], flavors: Mapping[str, Flavor]) -> list[list[dict[str, Any]]]:
    """What the Pods of each of these pod sets tolerate: template, flavors and admission checks together. Raises as infos_of_admission."""
    added = {info.name: info.tolerations for info in infos_of_admission(workload, flavors)}
    return [
        [*((pod_set.template.get("spec") or {}).get("tolerations") or ()), *added.get(pod_set.name, ())]
        for pod_set in workload.spec.pod_sets
        if pod_set.name in pod_sets
    ]


def _all_tolerate(tolerations: Sequence[Sequence[Mapping[str, Any]]], taint: Mapping[str, Any]) -> bool:
    return all(any(tolerates(each, taint) for each in listed) for listed in tolerations)


def several_failed_message(before: Sequence[str], node: str) -> str:
    """Why a Workload is evicted that loses a second node while the first is not replaced yet."""
    return f"Workload eviction triggered due to multiple TAS assigned node failures, including: {', '.join([*before, node])}"
