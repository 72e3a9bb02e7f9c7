"""Keeps a RayCluster's NetworkPolicies as its spec says. Like KubeRay's it does not ask whether the rest of the spec is valid."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.errors import StatusError, is_not_found
from raysail.api.meta import Object
from raysail.api.ray import RayCluster, names
from raysail.api.resources import NETWORK_POLICIES, RAY_CLUSTERS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.ray.cluster.controller import owning_cluster
from raysail.ray.network.policies import Policy, policies
from raysail.ray.settings import RaySettings

_CONTROLLER: Final = "networkpolicy-controller"
_OF_CLUSTER: Final = "policies of a cluster"


class NetworkPolicy(Object, frozen=True):
    """As much of a NetworkPolicy as is compared."""

    spec: dict[str, Any] | None = None


class NetworkPolicyController:
    """One for all RayClusters."""

    def __init__(self, manager: Manager, settings: RaySettings) -> None:
        self._manager, self._client = manager, manager.client
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster)
        self._policies = manager.informer(
            NETWORK_POLICIES, NetworkPolicy, {_OF_CLUSTER: owning_cluster}, label_selector=names.CLUSTER_LABEL
        )
        self.controller = Controller(_CONTROLLER, self.reconcile, settings.concurrency)
        self.controller.watches(self._clusters)
        self.controller.watches(self._policies, owning_cluster)

    async def reconcile(self, key: Key) -> None:
        """One look at one cluster."""
        cluster = self._clusters.get(*key)
        if cluster is None or cluster.metadata.deletion_timestamp is not None:
            return
        if cluster.spec.managed_by not in (None, "", names.KUBERAY_CONTROLLER):
            return
        wanted = policies(cluster)
        for policy in wanted:
            await self._ensure(cluster, policy)
        kept = {policy["metadata"]["name"] for policy in wanted}
        for found in self._policies.by_index(_OF_CLUSTER, key):
            if found.metadata.name not in kept and _owned(found, cluster):
                await self._delete(cluster, found)

    async def _ensure(self, cluster: RayCluster, wanted: Policy) -> None:
        name, namespace = wanted["metadata"]["name"], cluster.metadata.namespace
        found = self._policies.get(namespace, name)
        if found is None:
            await self._create(cluster, wanted)
            return
        if not _owned(found, cluster):
            self._collision(cluster, name)
        labels = wanted["metadata"]["labels"]
        if found.spec == wanted["spec"] and found.metadata.labels == labels:
            return
        patch = {
            "metadata": {"uid": found.metadata.uid, "labels": {**dict.fromkeys(found.metadata.labels or {}), **labels}},
            "spec": {**dict.fromkeys(found.spec or {}), **wanted["spec"]},
        }
        try:
            self._policies.absorb(await self._client.patch(NETWORK_POLICIES, name, patch, namespace))
        except StatusError as error:
            text = f"Failed to update NetworkPolicy {namespace}/{name}: {error}"
            self._event(cluster, "Warning", "FailedToUpdateNetworkPolicy", text, "Update")
            raise
        self._event(cluster, "Normal", "UpdatedNetworkPolicy", f"Updated NetworkPolicy {namespace}/{name}", "Update")

    async def _create(self, cluster: RayCluster, wanted: Policy) -> None:
        name, namespace = wanted["metadata"]["name"], cluster.metadata.namespace
        try:
            made = await self._client.create(NETWORK_POLICIES, wanted, namespace)
        except StatusError as error:
            if error.reason == "AlreadyExists":  # not in our copy, which holds what bears the cluster's label: somebody else's
                self._collision(cluster, name)
            text = f"Failed to create NetworkPolicy {namespace}/{name}: {error}"
            self._event(cluster, "Warning", "FailedToCreateNetworkPolicy", text, "Create")
            raise
        self._policies.absorb(made)
        self._event(cluster, "Normal", "CreatedNetworkPolicy", f"Created NetworkPolicy {namespace}/{name}", "Create")

    def _collision(self, cluster: RayCluster, name: str) -> None:
        key = f"{cluster.metadata.namespace}/{name}"
        text = (
            f"NetworkPolicy {key} already exists and is not owned by this RayCluster, network isolation will not be applied. "
            "Rename the existing NetworkPolicy or use a different RayCluster name to avoid the collision"
        )
        self._event(cluster, "Warning", "NetworkPolicyNameCollision", text, "Validate")
        raise StatusError("AlreadyExists", f"NetworkPolicy {key} already exists and is not owned by this RayCluster")

    async def _delete(self, cluster: RayCluster, found: NetworkPolicy) -> None:
        name, namespace = found.metadata.name, found.metadata.namespace
        try:
            await self._client.delete(NETWORK_POLICIES, name, namespace, uid=found.metadata.uid)
        except StatusError as error:
            if is_not_found(error):
                return
            text = f"Failed to delete NetworkPolicy {namespace}/{name}: {error}"
            self._event(cluster, "Warning", "FailedToDeleteNetworkPolicy", text, "Delete")
            raise
        self._event(cluster, "Normal", "DeletedNetworkPolicy", f"Deleted NetworkPolicy {namespace}/{name}", "Delete")

    def _event(self, cluster: RayCluster, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(cluster, type_, reason, message, action, controller=_CONTROLLER)


def _owned(found: NetworkPolicy, cluster: RayCluster) -> bool:
    owner = found.metadata.controller_owner()
    return owner is not None and owner.uid == cluster.metadata.uid
