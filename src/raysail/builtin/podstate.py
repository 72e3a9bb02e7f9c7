"""What controllers that own Pods ask of them, whatever kind they are: does it run, is it ready, which one is missed least."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from raysail.api import conditions
from raysail.api.core import Pod
from raysail.api.meta import parse_time

_PHASE_ORDER: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Pod) -> bool:
    """Whether it runs or will run."""
    return pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletion_timestamp is None


def is_terminating(pod: Pod) -> bool:
    """Whether it is being stopped."""
    return pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletion_timestamp is not None


def is_ready(pod: Pod) -> bool:
    """Whether its condition Ready is True."""
    return conditions.is_true(pod.status.conditions, "Ready")


def seconds_to_available(pod: Pod, min_ready_seconds: int, now: datetime) -> float | None:
    """How long until it has been ready for `min_ready_seconds`: 0 when it has, None when it is not ready."""
    ready = conditions.find(pod.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return None
    if min_ready_seconds == 0 or not ready.last_transition_time:
        return 0.0
    return max(0.0, min_ready_seconds - (now - parse_time(ready.last_transition_time)).total_seconds())


def removal_order(pod: Pod) -> tuple[bool, int, bool, int, str, int, str, str]:
    """Sorts those Pods first that are missed least: without Node, pending, not ready, cheap, ready for a short time, often restarted, young.

    controller.ActivePods in k8s.io/kubernetes pkg/controller/controller_utils.go.
    """
    ready = conditions.find(pod.status.conditions, "Ready")
    since = ready.last_transition_time or "" if ready is not None and ready.status == "True" else ""
    restarts = max((status.restart_count for status in pod.status.container_statuses or ()), default=0)
    meta = pod.metadata
    return (
        bool(pod.spec.node_name),
        _PHASE_ORDER.get(pod.status.phase, 0),
        is_ready(pod),
        deletion_cost(pod),
        _latest_first(since),
        -restarts,
        _latest_first(meta.creation_timestamp or ""),
        meta.name,
    )


def deletion_cost(pod: Pod) -> int:
    """What its annotation controller.kubernetes.io/pod-deletion-cost says, 0 without."""
    text = (pod.metadata.annotations or {}).get("controller.kubernetes.io/pod-deletion-cost", "")
    return int(text) if text.lstrip("-").isdigit() else 0


def _latest_first(time: str) -> str:
    """A key by which later times sort first."""
    return "".join(chr(0x10FFF - ord(char)) for char in time)
