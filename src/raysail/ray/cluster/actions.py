"""What a plan for Pods consists of. The planner makes these, the controller carries them out and reports back what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysail.api.core.pod import Pod
from raysail.api.ray import WorkerGroupSpec
from raysail.api.ray import cluster as states
from raysail.ray.cluster.pods import describe
from raysail.ray.pods.template import Replica


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the user. `type` is Normal or Warning."""

    type: str
    reason: str
    message: str
    action: str


@dataclass(frozen=True, slots=True)
class Create:
    """A Pod to make under a name chosen beforehand. `worker` is its group; None for the head."""

    name: str
    group: str
    worker: WorkerGroupSpec | None
    replica: Replica


@dataclass(frozen=True, slots=True)
class Delete:
    """A Pod to delete, if it is still that one. `failure` is the reason of the condition ReplicaFailure if it cannot be."""

    name: str
    uid: str
    failure: str
    event: Event | None = None
    failure_event: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Annotations to set on a Pod."""

    name: str
    uid: str
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """Creations and deletions may be carried out side by side.

    `obstacle`: why the cluster is not as wanted even when all of this succeeds; it keeps the state from becoming ready. `final`: nothing else is to be
    decided about this cluster's Pods now.
    """

    creates: tuple[Create, ...] = ()
    deletes: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    obstacle: str = ""
    final: bool = False
    rewrite: Rewrite | None = None

    @staticmethod
    def merged(plans: Iterable[Plan]) -> Plan:
        """All of them; a Pod that two of them delete is deleted once (groups of one name share their Pods)."""
        found = list(plans)
        creates = {create.name: create for plan in found for create in plan.creates}
        deletes = {delete.name: delete for plan in found for delete in plan.deletes}
        events = tuple(event for plan in found for event in plan.events)
        obstacle = next((plan.obstacle for plan in found if plan.obstacle), "")
        return Plan(tuple(creates.values()), tuple(deletes.values()), events, obstacle)


def delete_lost(pod: Pod) -> Delete:
    """A worker that cannot come back."""
    text = f"Deleted worker Pod {pod.metadata.namespace}/{pod.metadata.name}; {describe(pod)}"
    return _delete(pod, text)


def delete_worker(pod: Pod) -> Delete:
    """A worker that is not wanted any more."""
    return _delete(pod, f"Deleted pod {pod.metadata.namespace}/{pod.metadata.name}")


def delete_with_replica(pod: Pod, group: str, why: str) -> Delete:
    """A host of a replica that goes as a whole."""
    return _delete(pod, f"Deleted worker Pod {pod.metadata.namespace}/{pod.metadata.name} for group {group}: {why}")


def _delete(pod: Pod, text: str) -> Delete:
    event = Event("Normal", "DeletedWorkerPod", text, "Delete")
    return Delete(
        pod.metadata.name, pod.metadata.uid, states.FAILED_DELETE_WORKER_POD, event=event, failure_event="FailedToDeleteWorkerPod"
    )
