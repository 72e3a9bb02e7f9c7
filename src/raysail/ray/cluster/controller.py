"""Reconciling RayClusters: looks, asks the pure planner, does what it says, writes the status.

What can fail, wait or race is here; what is decided is in `planner`, `status` and the builders.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any, Final

from raysail.api.core.pod import Pod
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.meta import Object
from raysail.api.ray import RayCluster, names
from raysail.api.ray import cluster as states
from raysail.api.resources import PODS, RAY_CLUSTERS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.ray.cluster import planner, status
from raysail.ray.cluster.actions import Create, Delete, Plan, Rewrite
from raysail.ray.cluster.deletion import Deletion
from raysail.ray.cluster.pods import ROLES_SELECTOR
from raysail.ray.cluster.spec_hash import spec_hash
from raysail.ray.cluster.surroundings import ObstacleError, Surroundings
from raysail.ray.pods.build import Pod as PodBody
from raysail.ray.pods.build import head_pod, with_default_authentication, worker_pod
from raysail.ray.settings import RaySettings
from raysail.ray.validation import InvalidError
from raysail.ray.validation import cluster as validation

logger = logging.getLogger(__name__)

PODS_OF_CLUSTER: Final = "pods of a cluster"
_WRITES_AT_ONCE: Final = 50
_CONTROLLER: Final = "raycluster-controller"


def owning_cluster(obj: Object) -> list[Key]:
    """The RayCluster that controls an object, if one does."""
    owner = obj.metadata.controller_owner()
    return (
        [(obj.metadata.namespace, owner.name)] if owner and owner.kind == "RayCluster" and owner.api_version.startswith("ray.io/") else []
    )


def cluster_of_pod(pod: Pod) -> list[Key]:
    """Index: (namespace, cluster) of Ray Pods. A Pod that only bears a cluster's label is a stranger: neither counted nor deleted."""
    return owning_cluster(pod)


class ClusterController:
    """One for all RayClusters. `controller` is what the manager runs."""

    def __init__(self, manager: Manager, settings: RaySettings) -> None:
        self._manager, self._client, self._settings = manager, manager.client, settings
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster)
        self._pods = manager.informer(PODS, Pod, {PODS_OF_CLUSTER: cluster_of_pod}, label_selector=ROLES_SELECTOR)
        self._surroundings = Surroundings(manager, settings)
        self._deletion = Deletion(manager, settings, self.pods_of)
        self._used_names: dict[Key, set[str]] = defaultdict(set)
        self._writes = asyncio.Semaphore(_WRITES_AT_ONCE)
        self._pods.on_change(self._note_name)
        self.controller = Controller(_CONTROLLER, self.reconcile, settings.concurrency)
        self.controller.watches(self._clusters)
        self.controller.watches(self._pods, cluster_of_pod)
        self.controller.watches(self._surroundings.services, owning_cluster)
        self.controller.watches(self._surroundings.secrets, owning_cluster)
        self.controller.watches(self._deletion.jobs, owning_cluster)

    def pods_of(self, cluster: RayCluster) -> list[Pod]:
        """The cluster's Pods, by name."""
        return sorted(self._pods.by_index(PODS_OF_CLUSTER, cluster.metadata.key), key=lambda pod: pod.metadata.name)

    async def reconcile(self, key: Key) -> float | None:
        """One look at one cluster."""
        cluster = self._clusters.get(*key)
        if cluster is None:
            self._used_names.pop(key, None)
            return None
        if cluster.spec.managed_by not in (None, "", names.KUBERAY_CONTROLLER):
            return None
        if not self._is_valid(cluster):
            return None
        again = await self._deletion.step(cluster)
        if again is not None:
            return again or None
        return await self._converge(cluster)

    def _is_valid(self, cluster: RayCluster) -> bool:
        """Tells what is wrong with a cluster, in KubeRay's order."""

        def refuse(reason: str, what: str, error: object) -> bool:
            text = f"The RayCluster {what} {cluster.metadata.namespace}/{cluster.metadata.name}: {error}"
            self._event(cluster, "Warning", reason, text, "Validate")
            return False

        try:
            validation.check_metadata(cluster)
        except InvalidError as error:
            return refuse("InvalidRayClusterMetadata", "metadata is invalid", error)
        try:
            validation.check_spec(cluster.spec, cluster.metadata.annotations, self._settings.gates)
            if warning := validation.restart_policy_warning(cluster.spec):
                text = f"RayCluster spec warning {cluster.metadata.namespace}/{cluster.metadata.name}: {warning}"
                self._event(cluster, "Warning", "InvalidRayClusterSpec", text, "Validate")
            if cluster.spec.tls_options is not None and cluster.spec.tls_options.enabled:
                return refuse(
                    "InvalidRayClusterSpec", "spec is invalid", "tlsOptions requires cert-manager, but cert-manager is not installed"
                )
            validation.check_upgrade_strategy(cluster)
        except InvalidError as error:
            return refuse("InvalidRayClusterSpec", "spec is invalid", error)
        try:
            validation.check_status(cluster)
        except InvalidError as error:
            return refuse("InvalidRayClusterStatus", "status is invalid", error)
        return True

    async def _converge(self, written: RayCluster) -> float:
        cluster = with_default_authentication(written, self._settings)
        outcome = status.Outcome()
        error: StatusError | None = None
        try:
            await self._surroundings.ensure(cluster)
            outcome = await self._converge_pods(written, cluster)
        except ObstacleError as obstacle:
            outcome = status.Outcome(problem=str(obstacle))
        except StatusError as refused:
            outcome, error = status.Outcome(problem=str(refused)), refused
        changed = await self._write_status(written, outcome)
        if error is not None:
            raise error  # backs off
        return self._settings.retry_seconds if outcome.problem or changed else self._settings.cluster_resync_seconds

    async def _converge_pods(self, written: RayCluster, cluster: RayCluster) -> status.Outcome:
        """Plans and acts. What the API refuses becomes part of the outcome, so that the status can tell it."""
        digest = spec_hash(written.spec)
        world = planner.World(cluster, self.pods_of(cluster), self._used_names[cluster.metadata.key], digest, self._settings)
        plan = planner.plan(world)
        if plan.rewrite is not None:
            await self._rewrite(cluster, plan.rewrite)
        failures = await self._carry_out(cluster, plan, digest)
        for event in plan.events:
            self._event(cluster, event.type, event.reason, event.message, event.action)
        if failures:
            failure, error = failures[0]
            return status.Outcome(problem=str(error), failure=failure, message=f"{failure}\n{error}")
        return status.Outcome(problem=plan.obstacle)

    async def _carry_out(self, cluster: RayCluster, plan: Plan, digest: str) -> list[tuple[str, StatusError]]:
        """All creations and deletions at the same time; (reason, error) of those that were refused, in the plan's order."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._delete(cluster, delete)) for delete in plan.deletes]
            tasks += [group.create_task(self._create(cluster, create, digest)) for create in plan.creates]
        return [result for task in tasks if (result := task.result()) is not None]

    async def _create(self, cluster: RayCluster, create: Create, digest: str) -> tuple[str, StatusError] | None:
        is_head = create.worker is None
        body = self._body(cluster, create, digest)
        try:
            async with self._writes:
                made = await self._client.create(PODS, body, cluster.metadata.namespace)
        except StatusError as error:
            if is_already_exists(error):
                await self._adopt(cluster, create)
                return None
            reason = "FailedToCreateHeadPod" if is_head else "FailedToCreateWorkerPod"
            what = f"head Pod {cluster.metadata.namespace}/{create.name}" if is_head else f"worker Pod for the cluster {_name(cluster)}"
            self._event(cluster, "Warning", reason, f"Failed to create {what}, {error}", "Create")
            return states.FAILED_CREATE_HEAD_POD if is_head else states.FAILED_CREATE_WORKER_POD, error
        self._pods.absorb(made)
        reason, what = ("CreatedHeadPod", "head Pod") if is_head else ("CreatedWorkerPod", "worker Pod")
        self._event(cluster, "Normal", reason, f"Created {what} {cluster.metadata.namespace}/{create.name}", "Create")
        return None

    def _body(self, cluster: RayCluster, create: Create, digest: str) -> PodBody:
        if create.worker is None:
            return head_pod(cluster, create.name, digest, self._settings)
        return worker_pod(cluster, create.worker, create.replica, create.name, self._settings)

    async def _adopt(self, cluster: RayCluster, create: Create) -> None:
        """The name is taken: by our own Pod of an earlier try that we have not seen yet, or by a stranger, whose name we then avoid."""
        self._used_names[cluster.metadata.key].add(create.name)
        try:
            found = await self._client.get(PODS, create.name, cluster.metadata.namespace)
        except StatusError as error:
            if not is_not_found(error):
                raise
            return
        if any(owner.get("uid") == cluster.metadata.uid for owner in found["metadata"].get("ownerReferences") or ()):
            self._pods.absorb(found)

    async def _delete(self, cluster: RayCluster, delete: Delete) -> tuple[str, StatusError] | None:
        try:
            async with self._writes:
                answer = await self._client.delete(PODS, delete.name, cluster.metadata.namespace, uid=delete.uid)
        except StatusError as error:
            if is_not_found(error) or error.reason == "Conflict":  # gone, or another Pod has its name by now
                return None
            text = f"Failed deleting Pod {cluster.metadata.namespace}/{delete.name}, {error}"
            self._event(cluster, "Warning", delete.failure_event, text, "Delete")
            return delete.failure, error
        if answer.get("kind") == "Pod":
            self._pods.absorb(answer)
        if delete.event is not None:
            self._event(cluster, delete.event.type, delete.event.reason, delete.event.message, delete.event.action)
        return None

    async def _rewrite(self, cluster: RayCluster, rewrite: Rewrite) -> None:
        patch: dict[str, Any] = {"metadata": {"uid": rewrite.uid, "annotations": dict(rewrite.annotations)}}
        self._pods.absorb(await self._client.patch(PODS, rewrite.name, patch, cluster.metadata.namespace))

    async def _write_status(self, cluster: RayCluster, outcome: status.Outcome) -> bool:
        """Whether anything was written. Conflicts raise: the next look decides anew."""
        now, services = self._manager.clock.now(), self._surroundings.head_services(cluster)
        gate = self._settings.gates.ray_cluster_status_conditions
        try:
            new = status.new_status(cluster, self.pods_of(cluster), services, outcome, now, conditions=gate)
        except status.StatusUnknownError as error:
            logger.info("RayCluster %s keeps its status: %s", _name(cluster), error)
            return True
        if not status.differs(cluster, new):
            return False
        patch = status.patch(cluster, new, now)
        name, namespace = cluster.metadata.name, cluster.metadata.namespace
        self._clusters.absorb(await self._client.patch(RAY_CLUSTERS, name, patch, namespace, subresource="status"))
        return True

    def _note_name(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            if pod is not None:
                for key in cluster_of_pod(pod):
                    self._used_names[key].add(pod.metadata.name)

    def _event(self, cluster: RayCluster, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(cluster, type_, reason, message, action, controller=_CONTROLLER)


def _name(cluster: RayCluster) -> str:
    return f"{cluster.metadata.namespace}/{cluster.metadata.name}"
