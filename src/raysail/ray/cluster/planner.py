"""Which Pods of a RayCluster to make and which to delete: one pure decision (KubeRay raycluster_controller.go reconcilePods).

Names are chosen here, from the cluster's uid, the group, the place in it and how often that place has been filled: the same world gives the same
names, so a plan that is carried out twice (a crash between, a cache behind) collides with itself instead of making Pods twice. A Pod on its way out
still holds its place until it is gone, and is the first to count when a group shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from raysail.api.conditions import is_true
from raysail.api.core.pod import Pod
from raysail.api.ray import RayCluster, WorkerGroupSpec, names
from raysail.api.ray import cluster as states
from raysail.ray import naming
from raysail.ray.cluster import multi_host, replicas
from raysail.ray.cluster.actions import Create, Delete, Event, Plan, Rewrite, delete_lost, delete_worker
from raysail.ray.cluster.pods import describe, is_head, is_lost, is_terminating, label
from raysail.ray.pods import autoscaler
from raysail.ray.pods.build import worker_prefix
from raysail.ray.pods.template import Replica
from raysail.ray.settings import VERSION, RaySettings


@dataclass(frozen=True, slots=True)
class World:
    """What a plan is made from. `pods`: all of this cluster; `used_names`: names that its Pods have or ever had, as far as known."""

    cluster: RayCluster
    pods: Sequence[Pod]
    used_names: Collection[str]
    spec_hash: str
    settings: RaySettings


def plan(world: World) -> Plan:
    """What to do about the cluster's Pods now. Order of questions as in KubeRay."""
    cluster, gates = world.cluster, world.settings.gates
    suspending = suspend_status(cluster)
    if suspending == states.RAY_CLUSTER_SUSPENDING or (not gates.ray_cluster_status_conditions and cluster.spec.suspend):
        return _delete_all(world.pods, f"Deleted Pods for RayCluster {_key(cluster)} due to suspension")
    if gates.ray_cluster_status_conditions and (suspending == states.RAY_CLUSTER_SUSPENDED or cluster.spec.suspend):
        return Plan()
    heads = [pod for pod in world.pods if is_head(pod)]
    rewrite = None
    if _recreates(cluster) and heads:
        rewrite = _adopt_hash(heads[0], world.spec_hash)
        written = (heads[0].metadata.annotations or {}).get(names.UPGRADE_STRATEGY_RECREATE_HASH_ANNOTATION, "")
        if rewrite is None and written not in ("", world.spec_hash):
            text = f"Deleted all Pods for RayCluster {_key(cluster)} due to spec change with Recreate upgradeStrategy"
            return _delete_all(world.pods, text)
    head = _plan_head(world, heads)
    if head.final:
        return head
    workers = [_plan_group(world, group) for group in replicas.groups(cluster)]
    merged = Plan.merged([head, *workers])
    return Plan(merged.creates, merged.deletes, merged.events, merged.obstacle, rewrite=rewrite)


def suspend_status(cluster: RayCluster) -> str:
    """RayClusterSuspending or RayClusterSuspended, whichever is True; empty where neither is."""
    conditions = cluster.status.conditions
    return next((t for t in (states.RAY_CLUSTER_SUSPENDING, states.RAY_CLUSTER_SUSPENDED) if is_true(conditions, t)), "")


def _recreates(cluster: RayCluster) -> bool:
    return cluster.spec.upgrade_strategy is not None and cluster.spec.upgrade_strategy.type == "Recreate"


def _adopt_hash(head: Pod, spec_hash: str) -> Rewrite | None:
    """A head made by another operator hashes otherwise: its annotations are taken over, nothing is recreated."""
    version = (head.metadata.annotations or {}).get(names.KUBERAY_VERSION_ANNOTATION, "")
    if version in ("", VERSION):
        return None
    return Rewrite(
        head.metadata.name,
        head.metadata.uid,
        {names.UPGRADE_STRATEGY_RECREATE_HASH_ANNOTATION: spec_hash, names.KUBERAY_VERSION_ANNOTATION: VERSION},
    )


def _delete_all(pods: Sequence[Pod], text: str, *, event: str = "DeletedPod", failure: str = states.FAILED_DELETE_ALL_PODS) -> Plan:
    deletes = [
        Delete(pod.metadata.name, pod.metadata.uid, failure, failure_event="FailedToDeletePodCollection")
        for pod in pods
        if not is_terminating(pod)
    ]
    return Plan(deletes=tuple(deletes), events=(Event("Normal", event, text, "Delete"),), final=True)


def _plan_head(world: World, heads: Sequence[Pod]) -> Plan:
    cluster = world.cluster
    if len(heads) > 1:
        found = " ".join(pod.metadata.name for pod in heads)
        return Plan(obstacle=f"{len(heads)} head pods found [{found}]. Please delete extra head pods", final=True)
    if heads:
        head = heads[0]
        if not is_lost(head):
            return Plan()
        if is_terminating(head):
            return Plan(obstacle=f"the head Pod {head.metadata.name} is being deleted")
        event = Event("Normal", "DeletedHeadPod", f"Deleted head Pod {_key(head)}; {describe(head)}", "Delete")
        doomed = Delete(
            head.metadata.name, head.metadata.uid, states.FAILED_DELETE_HEAD_POD, event=event, failure_event="FailedToDeleteHeadPod"
        )
        return Plan(deletes=(doomed,), obstacle=f"the head Pod {head.metadata.name} is {head.status.phase} and is replaced", final=True)
    keeps_down = (cluster.metadata.annotations or {}).get(names.DISABLE_PROVISIONED_HEAD_RESTART_ANNOTATION) == "true"
    if keeps_down and is_true(cluster.status.conditions, states.RAY_CLUSTER_PROVISIONED):
        # a new head knows nothing of the job that the sidecar of the old one submitted: it would not help the RayJob
        return Plan(final=True)
    return Plan(creates=(Create(_head_name(world), names.HEAD_GROUP, None, Replica()),))


def _head_name(world: World) -> str:
    name = world.cluster.metadata.name
    if world.settings.deterministic_head_pod_name:
        return naming.fixed_head_pod(name)
    if given := (world.cluster.spec.head_group_spec.template.get("metadata") or {}).get("name"):
        return str(given)  # KubeRay lets a name in the head's template win over the one it generates
    prefix = naming.pod_prefix(name, names.HEAD)
    return unused(world, lambda attempt: [prefix + naming.suffix(world.cluster.metadata.uid, names.HEAD, attempt)])[1][0]


def _plan_group(world: World, group: WorkerGroupSpec) -> Plan:
    pods = [pod for pod in world.pods if label(pod, names.GROUP_LABEL) == group.group_name]
    if group.suspend:
        text = f"Deleted all pods for suspended worker group {group.group_name} in RayCluster {_key(world.cluster)}"
        gone = _delete_all(pods, text, event="DeletedWorkerPod", failure=states.FAILED_DELETE_WORKER_POD)
        return Plan(deletes=gone.deletes, events=gone.events)
    shrinks = not autoscaler.is_enabled(world.cluster.spec) or world.settings.random_pod_delete
    if replicas.hosts(group) > 1 and world.settings.gates.ray_multi_host_indexing:
        namer = _replica_namer(world, group)
        return multi_host.plan_group(group, pods, shrinks=shrinks, name=namer)
    return _plan_single_host(world, group, pods, shrinks=shrinks)


def _plan_single_host(world: World, group: WorkerGroupSpec, pods: Sequence[Pod], *, shrinks: bool) -> Plan:
    lost = [pod for pod in pods if is_lost(pod)]
    if lost:
        # nothing is made in the same step: a lost Pod holds its place until it is gone
        replaced = tuple(delete_lost(pod) for pod in lost if not is_terminating(pod))
        return Plan(deletes=replaced, obstacle=f"{len(lost)} lost worker Pods of group {group.group_name} are replaced")
    named = set(group.scale_strategy.workers_to_delete or ())
    doomed = [pod for pod in world.pods if pod.metadata.name in named and not is_terminating(pod)]
    deletes = [delete_worker(pod) for pod in doomed]
    doomed_names = {pod.metadata.name for pod in doomed}
    kept = [pod for pod in pods if pod.metadata.name not in doomed_names]
    missing = replicas.desired_pods(group) - len(kept)
    if missing < 0 and shrinks:
        leaving = sum(is_terminating(pod) for pod in kept)
        deletes += [delete_worker(pod) for pod in dispensable(kept)[: max(0, -missing - leaving)]]
    creates = _create_workers(world, group, kept, missing) if missing > 0 else ()
    return Plan(creates=creates, deletes=tuple(deletes))


def dispensable(pods: Sequence[Pod]) -> list[Pod]:
    """The Pods that are not leaving yet, those first that cost least to lose: not running, then not ready, then the newest."""

    def cost(pod: Pod) -> tuple[int, int]:
        up = 2 if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()) else int(pod.status.phase == "Running")
        return up, -replica_index(pod)

    return sorted((pod for pod in pods if not is_terminating(pod)), key=cost)


def replica_index(pod: Pod) -> int:
    """The Pod's index within its group; -1 where it has none."""
    text = label(pod, names.WORKER_GROUP_REPLICA_INDEX_LABEL)
    return int(text) if text.isdigit() else -1


def _create_workers(world: World, group: WorkerGroupSpec, kept: Sequence[Pod], count: int) -> tuple[Create, ...]:
    taken = {replica_index(pod) for pod in kept}
    creates: list[Create] = []
    index = 0
    for _ in range(count):
        while index in taken:
            index += 1
        taken.add(index)
        name = _worker_name(world, group, index, {create.name for create in creates})
        creates.append(Create(name, group.group_name, group, Replica(index)))
    return tuple(creates)


def _worker_name(world: World, group: WorkerGroupSpec, index: int, just_given: Collection[str]) -> str:
    prefix, uid = worker_prefix(world.cluster, group), world.cluster.metadata.uid
    return unused(world, lambda attempt: [prefix + naming.suffix(uid, group.group_name, index, attempt)], also=just_given)[1][0]


def _replica_namer(world: World, group: WorkerGroupSpec) -> Callable[[int], tuple[str, list[str]]]:
    """For a replica's index: the replica's name and the names of its Pods, host by host."""
    prefix, uid, count = worker_prefix(world.cluster, group), world.cluster.metadata.uid, replicas.hosts(group)

    def name(index: int) -> tuple[str, list[str]]:
        def pods(attempt: int) -> list[str]:
            return [prefix + naming.suffix(uid, group.group_name, index, attempt, host) for host in range(count)]

        attempt, pod_names = unused(world, pods)
        return f"{group.group_name}-{naming.suffix(uid, group.group_name, index, attempt)}", pod_names

    return name


def unused(world: World, make: Callable[[int], list[str]], *, also: Collection[str] = ()) -> tuple[int, list[str]]:
    """The first attempt whose names no Pod of this cluster has had."""
    attempt = 0
    while True:
        made = make(attempt)
        if not any(name in world.used_names or name in also for name in made):
            return attempt, made
        attempt += 1


def _key(obj: RayCluster | Pod) -> str:
    return f"{obj.metadata.namespace}/{obj.metadata.name}"
