"""A RayCluster's status: counts, resources, endpoints, head, conditions, state (KubeRay raycluster_controller.go calculateStatus).

Pure: old status and what is seen give the new status in wire form. `state` is older than the conditions and stays `ready` once it was (other
operators' tools rely on it); the conditions say more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raysail.api.conditions import is_true, set_condition
from raysail.api.core.pod import POD_READY, RUNNING, Pod
from raysail.api.core.service import Service, ServicePort
from raysail.api.meta import format_time
from raysail.api.ray import RayCluster
from raysail.api.ray import cluster as states
from raysail.ray.cluster import replicas
from raysail.ray.cluster.planner import suspend_status
from raysail.ray.cluster.pods import is_head, is_ready, is_up, is_worker
from raysail.ray.patches import merge_patch, wire

Status = dict[str, Any]

_COMPARED: Final = (
    "state",
    "reason",
    "readyWorkerReplicas",
    "availableWorkerReplicas",
    "desiredWorkerReplicas",
    "minWorkerReplicas",
    "maxWorkerReplicas",
    "endpoints",
    "head",
    "conditions",
)


class StatusUnknownError(Exception):
    """What is seen does not allow a status, such as two heads: the old one stays."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last plan went. `problem`: why the cluster is not as wanted; `failure`, `message`: reason and text of ReplicaFailure, if Pods failed."""

    problem: str = ""
    failure: str = ""
    message: str = ""


def new_status(
    cluster: RayCluster, pods: Sequence[Pod], head_services: Sequence[Service], outcome: Outcome, now: datetime, *, conditions: bool = True
) -> Status:
    """The status to be. `pods`: all of the cluster; `conditions`: gate RayClusterStatusConditions. Raises StatusUnknownError."""
    heads = [pod for pod in pods if is_head(pod)]
    if len(heads) > 1:
        raise StatusUnknownError(f"found multiple heads: {', '.join(pod.metadata.name for pod in heads)}")
    head = heads[0] if heads else None
    status: Status = wire(cluster.status)
    old_state = status.get("state", "")
    workers = [pod for pod in pods if is_worker(pod)]
    desired = replicas.desired_total(cluster)
    status |= {
        "observedGeneration": cluster.metadata.generation,
        "readyWorkerReplicas": sum(map(is_ready, workers)),
        "availableWorkerReplicas": sum(pod.status.phase == RUNNING for pod in workers),
        "desiredWorkerReplicas": desired,
        "minWorkerReplicas": replicas.least_total(cluster),
        "maxWorkerReplicas": replicas.most_total(cluster),
        **replicas.desired_resources(cluster),
    }
    all_up = bool(pods) and all(map(is_up, pods))
    if not outcome.problem and len(pods) == desired + 1 and all_up:
        status |= {"state": states.READY, "reason": ""}
    if conditions:
        status["conditions"] = _conditions(cluster, head, outcome, now, has_pods=bool(pods), all_up=all_up)
    if cluster.spec.suspend and not pods:
        status["state"] = states.SUSPENDED
    status["endpoints"] = {**(status.get("endpoints") or {}), **endpoints(head_services[0])} if head_services else status.get("endpoints")
    status["head"] = _head_info(head, head_services)
    if status.get("state", "") != old_state:
        status["stateTransitionTimes"] = {**(status.get("stateTransitionTimes") or {}), status["state"]: format_time(now)}
    return {key: value for key, value in status.items() if value not in (None, "", 0, {}, [])}


def differs(cluster: RayCluster, status: Status) -> bool:
    """Whether the new status says anything new: resources, times and generation alone are not worth a write."""
    old = wire(cluster.status)
    return any((old.get(key) or None) != (status.get(key) or None) for key in _COMPARED)


def patch(cluster: RayCluster, status: Status, now: datetime) -> dict[str, Any]:
    """The merge patch of the status subresource, good only for the version of the object that the status was computed from."""
    changes = merge_patch(wire(cluster.status), {**status, "lastUpdateTime": format_time(now)})
    return {"metadata": {"resourceVersion": cluster.metadata.resource_version}, "status": changes}


def endpoints(service: Service) -> dict[str, str]:
    """Name -> port of the head Service: where it is reached from outside, else the Pod's."""

    def target(port: ServicePort) -> str:
        return str(port.node_port or port.target_port or port.port or "")

    return {port.name: target(port) for port in service.spec.ports or () if port.name and target(port)}


def _head_info(head: Pod | None, services: Sequence[Service]) -> dict[str, str]:
    if not services:
        raise StatusUnknownError("unable to find head service")
    if len(services) > 1:
        raise StatusUnknownError(f"found multiple head services: {', '.join(s.metadata.name for s in services)}")
    service, pod_ip = services[0], head.status.pod_ip if head else ""
    info = {
        "podIP": pod_ip,
        "podName": head.metadata.name if head else "",
        "serviceIP": pod_ip if service.spec.headless else service.spec.cluster_ip,
        "serviceName": service.metadata.name,
    }
    return {key: value for key, value in info.items() if value}


def _conditions(
    cluster: RayCluster, head: Pod | None, outcome: Outcome, now: datetime, *, has_pods: bool, all_up: bool
) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = wire(cluster.status).get("conditions", [])
    if outcome.failure:
        set_condition(conditions, states.REPLICA_FAILURE, True, outcome.failure, outcome.message, now)
    elif not outcome.problem:
        conditions = [condition for condition in conditions if condition["type"] != states.REPLICA_FAILURE]
    set_condition(conditions, states.HEAD_POD_READY, *_head_condition(head), now)
    suspending = suspend_status(cluster)
    if not is_true(cluster.status.conditions, states.RAY_CLUSTER_PROVISIONED) and suspending != states.RAY_CLUSTER_SUSPENDED:
        if all_up:
            text = "All Ray Pods are ready for the first time"
            set_condition(conditions, states.RAY_CLUSTER_PROVISIONED, True, states.ALL_POD_RUNNING_AND_READY_FIRST_TIME, text, now)
        else:
            text = "RayCluster Pods are being provisioned for first time"
            set_condition(conditions, states.RAY_CLUSTER_PROVISIONED, False, states.RAY_CLUSTER_PODS_PROVISIONING, text, now)
    _suspension(conditions, cluster, suspending, now, has_pods=has_pods)
    return conditions


def _suspension(conditions: list[dict[str, Any]], cluster: RayCluster, suspending: str, now: datetime, *, has_pods: bool) -> None:
    """Suspending is written before the first Pod goes, and holds until the last has gone, whatever the spec says meanwhile."""

    def put(type_: str, status: bool) -> None:
        set_condition(conditions, type_, status, type_, "", now)

    if suspending == states.RAY_CLUSTER_SUSPENDING:
        if not has_pods:
            text = "RayCluster has been suspended"
            set_condition(conditions, states.RAY_CLUSTER_PROVISIONED, False, states.RAY_CLUSTER_PODS_PROVISIONING, text, now)
            put(states.RAY_CLUSTER_SUSPENDING, False)
            put(states.RAY_CLUSTER_SUSPENDED, True)
    elif suspending == states.RAY_CLUSTER_SUSPENDED:
        if cluster.spec.suspend is False:
            put(states.RAY_CLUSTER_SUSPENDED, False)
    else:
        put(states.RAY_CLUSTER_SUSPENDED, False)
        put(states.RAY_CLUSTER_SUSPENDING, bool(cluster.spec.suspend))


def _head_condition(head: Pod | None) -> tuple[str, str, str]:
    """Status, reason and message of HeadPodReady: the Pod's Ready condition, with the first container's trouble where it has some."""
    if head is None:
        return "False", states.HEAD_POD_NOT_FOUND, "Head Pod not found"
    ready = next((c for c in head.status.conditions or () if c.type == POD_READY), None)
    if ready is None:
        return "False", states.UNKNOWN_REASON, ""
    reason = ready.reason or (states.HEAD_POD_RUNNING_AND_READY if ready.status == "True" else states.UNKNOWN_REASON)
    message = ready.message
    if reason == "ContainersNotReady":
        for container in head.status.container_statuses or ():
            trouble = container.state.waiting or container.state.terminated
            if trouble is not None:
                message = "; ".join(filter(None, (message, f"{container.name}: {trouble.message}")))
                return ready.status, trouble.reason, message
    return ready.status, reason, message
