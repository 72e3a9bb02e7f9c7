"""From a Node's conditions and lease to its taints (k8s.io/kubernetes pkg/controller/nodelifecycle).

A Node whose agent is silent is tainted so that nothing new goes there. Its Pods are left alone: on one machine they outlive their agent, and killing
them because the agent restarts would be wrong (a difference on purpose; Kubernetes evicts after five minutes).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from raysail.api import conditions
from raysail.api.coordination import Lease
from raysail.api.core import Node
from raysail.api.core.node import NODE_READY, NOT_READY_TAINT, UNREACHABLE_TAINT, UNSCHEDULABLE_TAINT
from raysail.api.core.scheduling import Taint
from raysail.api.meta import format_time, parse_time

GRACE_SECONDS: Final = 40.0
"""How long a Node may be silent (kube-controller-manager's --node-monitor-grace-period was 40 s for most of its life)."""


def is_silent(lease: Lease | None, listening_since: datetime, now: datetime) -> bool:
    """Whether the agent has not renewed its lease in time. A Node without a lease is judged by its conditions alone.

    `listening_since`: nobody could be heard before (we had not started, the API was away), so silence counts from then on.
    """
    if lease is None or not lease.spec.renew_time:
        return False
    return (now - max(parse_time(lease.spec.renew_time), listening_since)).total_seconds() > GRACE_SECONDS


def wanted_taints(node: Node, silent: bool, now: datetime) -> list[dict[str, Any]] | None:
    """The Node's taints as they should be, in wire form; None when they are right already."""
    ready = conditions.find(node.status.conditions, NODE_READY)
    unknown = silent or (ready is not None and ready.status == "Unknown")
    state = UNREACHABLE_TAINT if unknown else NOT_READY_TAINT if ready is None or ready.status != "True" else ""
    managed = {(key, effect) for key in (NOT_READY_TAINT, UNREACHABLE_TAINT) for effect in ("NoSchedule", "NoExecute")}
    managed.add((UNSCHEDULABLE_TAINT, "NoSchedule"))
    wanted = {(state, effect) for effect in ("NoSchedule", "NoExecute")} if state else set()
    if node.spec.unschedulable:
        wanted.add((UNSCHEDULABLE_TAINT, "NoSchedule"))
    present = {(taint.key, taint.effect) for taint in node.spec.taints or ()}
    if present & managed == wanted:
        return None
    kept = [_wire(t) for t in node.spec.taints or () if (t.key, t.effect) not in managed or (t.key, t.effect) in wanted]
    return kept + [{"key": key, "effect": effect, "timeAdded": format_time(now)} for key, effect in sorted(wanted - present)]


def unknown_conditions(node: Node, now: datetime) -> list[dict[str, Any]] | None:
    """The Ready condition of a silent Node, for a strategic merge; None when it says so already."""
    ready = conditions.find(node.status.conditions, NODE_READY)
    if ready is not None and ready.status == "Unknown":
        return None
    moment = format_time(now)
    text = "Kubelet stopped posting node status."
    return [{"type": NODE_READY, "status": "Unknown", "reason": "NodeStatusUnknown", "message": text, "lastTransitionTime": moment}]


def _wire(taint: Taint) -> dict[str, Any]:
    fields: Sequence[tuple[str, Any]] = (
        ("key", taint.key),
        ("value", taint.value),
        ("effect", taint.effect),
        ("timeAdded", taint.time_added),
    )
    return {name: value for name, value in fields if value}
