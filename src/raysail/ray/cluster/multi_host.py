"""Groups whose replicas consist of several Pods (numOfHosts > 1): replicas come and go as a whole (KubeRay reconcileMultiHostWorkerGroup)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from raysail.api.core.pod import Pod
from raysail.api.ray import WorkerGroupSpec, names
from raysail.ray.cluster import replicas
from raysail.ray.cluster.actions import Create, Delete, Plan, delete_with_replica
from raysail.ray.cluster.pods import is_lost, is_ready, is_terminating, label
from raysail.ray.pods.template import Replica


def plan_group(group: WorkerGroupSpec, pods: Sequence[Pod], *, shrinks: bool, name: Callable[[int], tuple[str, list[str]]]) -> Plan:
    """The group's plan. `name` gives, for a replica's index, its name and its Pods'; `shrinks`: whether we may choose what goes."""
    found: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        if replica := label(pod, names.WORKER_GROUP_REPLICA_NAME_LABEL):
            found[replica].append(pod)  # Pods without the label are from before the feature: left alone, as KubeRay does
    doomed = _doomed(group, found)
    if doomed:
        deletes = tuple(d for replica, why in doomed.items() for d in _delete_replica(group, found[replica], why))
        return Plan(deletes=deletes, obstacle=f"{len(doomed)} replicas of group {group.group_name} are removed")
    missing = replicas.replicas(group) - len(found)
    if missing > 0:
        return Plan(creates=_create_replicas(group, found, missing, name))
    surplus = sorted(found, key=lambda replica: (all(map(is_ready, found[replica])), -_index(found[replica][0])))[
        : -missing if shrinks else 0
    ]
    return Plan(deletes=tuple(d for replica in surplus for d in _delete_replica(group, found[replica], "scaling down")))


def _doomed(group: WorkerGroupSpec, found: dict[str, list[Pod]]) -> dict[str, str]:
    """Replicas that must go, and why: those that miss a host, have lost one, or were named by the autoscaler."""
    named = set(group.scale_strategy.workers_to_delete or ())
    doomed: dict[str, str] = {}
    for replica, pods in found.items():
        if len(pods) < replicas.hosts(group) or any(map(is_terminating, pods)):
            doomed[replica] = "cleanup of incomplete multi-host group"
        elif lost := next(filter(is_lost, pods), None):
            doomed[replica] = f"Pod {lost.metadata.name} is {lost.status.phase}"
        elif any(pod.metadata.name in named for pod in pods):
            doomed[replica] = "autoscaler scale-down request"
    return doomed


def _delete_replica(group: WorkerGroupSpec, pods: Sequence[Pod], why: str) -> list[Delete]:
    return [delete_with_replica(pod, group.group_name, why) for pod in pods if not is_terminating(pod)]


def _create_replicas(
    group: WorkerGroupSpec, found: dict[str, list[Pod]], count: int, name: Callable[[int], tuple[str, list[str]]]
) -> tuple[Create, ...]:
    taken = {_index(pods[0]) for pods in found.values()}
    creates: list[Create] = []
    index = 0
    for _ in range(count):
        while index in taken:
            index += 1
        taken.add(index)
        replica, pod_names = name(index)
        creates += [Create(pod, group.group_name, group, Replica(index, replica, host)) for host, pod in enumerate(pod_names)]
    return tuple(creates)


def _index(pod: Pod) -> int:
    text = label(pod, names.WORKER_GROUP_REPLICA_INDEX_LABEL)
    return int(text) if text.isdigit() else -1
