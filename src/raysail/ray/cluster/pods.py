"""What the controller sees in a Ray Pod: its role, whether it is up, whether it can still be saved (KubeRay shouldDeletePod)."""

from __future__ import annotations

from typing import Final

from raysail.api.core.pod import FAILED, POD_READY, RUNNING, SUCCEEDED, ContainerStateTerminated, Pod
from raysail.api.ray import names

ROLES_SELECTOR: Final = f"{names.NODE_TYPE_LABEL} in ({names.HEAD},{names.WORKER},{names.REDIS_CLEANUP})"
"""Selects the Pods that KubeRay's operator watches; others with a cluster's label are not its business."""


def label(pod: Pod, key: str) -> str:
    """A label's value, empty where there is none."""
    return (pod.metadata.labels or {}).get(key, "")


def is_head(pod: Pod) -> bool:
    """Whether the Pod is a head."""
    return label(pod, names.NODE_TYPE_LABEL) == names.HEAD


def is_worker(pod: Pod) -> bool:
    """Whether the Pod is a worker."""
    return label(pod, names.NODE_TYPE_LABEL) == names.WORKER


def is_terminating(pod: Pod) -> bool:
    """Whether the Pod is on its way out."""
    return pod.metadata.deletion_timestamp is not None


def is_ready(pod: Pod) -> bool:
    """Running, and its Ready condition is True."""
    return pod.status.phase == RUNNING and any(c.type == POD_READY and c.status == "True" for c in pod.status.conditions or ())


def is_up(pod: Pod) -> bool:
    """Running, and nothing says that it is not ready."""
    return pod.status.phase == RUNNING and all(c.status == "True" for c in pod.status.conditions or () if c.type == POD_READY)


def ray_container_end(pod: Pod) -> ContainerStateTerminated | None:
    """How the Ray container ended, if it has. Statuses come in any order, so it is found by name."""
    if not pod.spec.containers:
        return None
    name = pod.spec.containers[0].name
    return next((status.state.terminated for status in pod.status.container_statuses or () if status.name == name), None)


def is_lost(pod: Pod) -> bool:
    """Whether the Pod cannot come back by itself: it ended, or its Ray container did and must not be restarted."""
    if pod.status.phase in (FAILED, SUCCEEDED):
        return True
    return pod.status.phase == RUNNING and pod.spec.restart_policy == "Never" and ray_container_end(pod) is not None


def describe(pod: Pod) -> str:
    """The Pod's state in the words of KubeRay's events."""
    end = ray_container_end(pod)
    ended = f"exit code {end.exit_code}, {end.reason}" if end else "<nil>"
    return f"Pod status: {pod.status.phase}; Pod restart policy: {pod.spec.restart_policy}; Ray container terminated status: {ended}"
