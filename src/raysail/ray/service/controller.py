"""Reconciling RayServices, in KubeRay's order: clusters that nobody needs go, then clusters, Serve, routes, status.

Requests to dashboards are made here, and many services are reconciled side by side: a slow dashboard holds up its own service only.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any, Final

from raysail.api.conditions import is_true
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.discovery import EndpointSlice
from raysail.api.errors import StatusError, is_not_found
from raysail.api.meta import Object
from raysail.api.ray import RayCluster, RayService, names
from raysail.api.ray import service as states
from raysail.api.resources import ENDPOINT_SLICES, PODS, RAY_CLUSTERS, RAY_SERVICES, SERVICES, Resource
from raysail.kube.client import PatchType, Propagation
from raysail.kube.controller import Controller
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.ray import naming
from raysail.ray.cluster.controller import PODS_OF_CLUSTER, cluster_of_pod
from raysail.ray.cluster.pods import ROLES_SELECTOR
from raysail.ray.cluster.surroundings import HEAD_SERVICES, head_service_keys
from raysail.ray.dashboard import Addresses, Dashboard, DashboardError
from raysail.ray.job.controller import random_suffix
from raysail.ray.service import clusters, gateway, suspension
from raysail.ray.service.draft import Draft
from raysail.ray.service.routing import CONTROLLER, Routing
from raysail.ray.service.serving import HeadMissingError, Serving
from raysail.ray.service.status import Seen, conclude, has_timed_out
from raysail.ray.settings import RaySettings
from raysail.ray.tokens import TokenError, Tokens
from raysail.ray.validation import InvalidError
from raysail.ray.validation import service as validation

logger = logging.getLogger(__name__)

_OF_SERVICE: Final = "made for a ray service"
_SLICES_OF_SERVICE: Final = "slices of a service"
_DELETION_DELAY_SECONDS: Final = 60
_SIDE_BY_SIDE: Final = 64


def made_for(obj: Object) -> list[Key]:
    """Index: (namespace, RayService) of clusters and Services that bear its labels."""
    labels = obj.metadata.labels or {}
    if labels.get(names.ORIGINATED_FROM_CRD_LABEL) != "RayService" or names.ORIGINATED_FROM_CR_NAME_LABEL not in labels:
        return []
    return [(obj.metadata.namespace, labels[names.ORIGINATED_FROM_CR_NAME_LABEL])]


def slice_of(slice_: EndpointSlice) -> list[Key]:
    """Index: (namespace, Service) of EndpointSlices."""
    name = (slice_.metadata.labels or {}).get("kubernetes.io/service-name")
    return [(slice_.metadata.namespace, name)] if name else []


class ServiceController:
    """One for all RayServices."""

    def __init__(self, manager: Manager, settings: RaySettings, addresses: Addresses | None) -> None:
        self._manager, self._client, self._settings = manager, manager.client, settings
        self._rays = manager.informer(RAY_SERVICES, RayService)
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster, {_OF_SERVICE: made_for})
        self._services = manager.informer(SERVICES, Service, {HEAD_SERVICES: head_service_keys, _OF_SERVICE: made_for})
        self._slices = manager.informer(ENDPOINT_SLICES, EndpointSlice, {_SLICES_OF_SERVICE: slice_of})
        pods = manager.informer(PODS, Pod, {PODS_OF_CLUSTER: cluster_of_pod}, label_selector=ROLES_SELECTOR)
        self.dashboard = Dashboard(
            timeout_seconds=settings.dashboard_timeout_seconds,
            addresses=addresses,
            proxy=manager.client if settings.use_kubernetes_proxy else None,
        )
        self._routing = Routing(manager, settings, self._services)
        self._serving = Serving(manager, settings, self.dashboard, Tokens(manager.client), pods, self._services, self._routing)
        self._doomed: dict[str, datetime] = {}
        self.controller = Controller(CONTROLLER, self.reconcile, max(_SIDE_BY_SIDE, settings.concurrency))
        self.controller.watches(self._rays)
        self.controller.watches(self._clusters, made_for)
        self.controller.watches(self._services, made_for)

    async def reconcile(self, key: Key) -> float | None:
        """One look at one service."""
        service = self._rays.get(*key)
        if service is None:
            self._serving.forget(key)
            return None
        if service.spec.managed_by not in (None, "", names.KUBERAY_CONTROLLER):
            return None
        now = self._manager.clock.now()
        active, pending = service.status.active_service_status.ray_cluster_name, service.status.pending_service_status.ray_cluster_name
        self._serving.forget(key, (active, pending))
        cleaning = await self._clean_up(service, now)
        if service.metadata.deletion_timestamp is not None:
            return await self._let_go(service, cleaning=cleaning)
        if names.RAY_SERVICE_FINALIZER not in (service.metadata.finalizers or ()):
            await self._set_finalizers(service, [*(service.metadata.finalizers or ()), names.RAY_SERVICE_FINALIZER])
            return None
        draft = Draft(service, now)
        if not await self._is_valid(service, draft):
            return None
        gone = await self._delete_all(service) if suspension.is_deleting(service) else False
        suspension.advance(service, draft, all_gone=gone)
        if draft.says_anything_new():
            await self._write(service, draft)
            return self._settings.service_poll_seconds
        if suspension.is_operative(draft):
            return self._settings.service_poll_seconds if suspension.is_deleting(service) else None
        if has_timed_out(service):
            return self._settings.service_poll_seconds if cleaning else None
        try:
            await self._serve(service, draft, now)
        except (DashboardError, HeadMissingError, TokenError, ValueError) as error:
            # nothing can be said about what is served: the status keeps its last word
            logger.info("RayService %s/%s: %s", *key, error)
        return self._settings.service_poll_seconds

    async def _serve(self, service: RayService, draft: Draft, now: datetime) -> None:
        incremental = clusters.is_incremental(service.spec, self._settings)
        active, pending = await self._reconcile_clusters(service)
        if incremental and active is not None and pending is not None and is_true(draft.conditions, states.UPGRADE_IN_PROGRESS):
            self._decide_rollback(service, draft, active, pending)
        for cluster in (active, pending):
            if cluster is not None:
                await self._serving.label_head(service, cluster)
        active_ready = pending_ready = False
        active_apps = pending_apps = None
        if pending is not None:
            pending_ready, pending_apps = await self._serving.reconcile(service, draft, pending)
        alone = pending is None and not clusters.wants_new_cluster(service, active, None, self._settings)
        if active is not None and (alone or (incremental and pending is not None)):
            active_ready, active_apps = await self._serving.reconcile(service, draft, active)
        weights = (-1, -1)
        if incremental:
            weights = await self._share_out(service, draft, active, pending, now, pending_ready=pending_ready)
        points_at = None
        if pending_ready or active_ready:
            upgrading = incremental and is_true(draft.conditions, states.UPGRADE_IN_PROGRESS)
            target = pending if pending_ready and not upgrading else active
            if target is not None:
                points_at = await self._routing.point_at(service, target, incremental=incremental)
        seen = Seen(
            active=active,
            pending=pending,
            active_apps=active_apps,
            pending_apps=pending_apps,
            points_at=points_at,
            weights=weights,
            endpoints=self._count_endpoints(service, active, pending, incremental=incremental),
            new_name=f"{service.metadata.name}-{random_suffix()}",
        )
        for event in conclude(service, draft, seen, self._settings, now):
            self._event(service, event.type, event.reason, event.message, event.action)
        if draft.says_anything_new():
            await self._write(service, draft)

    async def _reconcile_clusters(self, service: RayService) -> tuple[RayCluster | None, RayCluster | None]:
        """Makes the pending cluster under the name in the status, or brings in place what can be."""
        namespace, status = service.metadata.namespace, service.status
        active_name, pending_name = status.active_service_status.ray_cluster_name, status.pending_service_status.ray_cluster_name
        active = self._clusters.get(namespace, active_name) if active_name else None
        pending = self._clusters.get(namespace, pending_name) if pending_name else None
        if pending_name and pending is None:
            return active, await self._create_cluster(service, pending_name)
        if active is not None and clusters.wants_update(service, active, status.conditions, active=True):
            active = await self._update_cluster(service, active, "active")
        if pending is not None and clusters.wants_update(service, pending, status.conditions, active=False):
            pending = await self._update_cluster(service, pending, "pending")
        return active, pending

    async def _create_cluster(self, service: RayService, name: str) -> RayCluster | None:
        key = f"{service.metadata.namespace}/{name}"
        try:
            made = await self._client.create(RAY_CLUSTERS, clusters.cluster_for(service, name, self._settings), service.metadata.namespace)
        except StatusError as error:
            self._event(service, "Warning", "FailedToCreateRayCluster", f"Failed to create the RayCluster {key}: {error}", "Create")
            raise
        self._event(service, "Normal", "CreatedRayCluster", f"Created the RayCluster {key}", "Create")
        return self._clusters.absorb(made)

    async def _update_cluster(self, service: RayService, cluster: RayCluster, which: str) -> RayCluster:
        key = f"{cluster.metadata.namespace}/{cluster.metadata.name}"
        patch = clusters.update_patch(service, cluster, self._settings)
        try:
            answer = await self._client.patch(RAY_CLUSTERS, cluster.metadata.name, patch, cluster.metadata.namespace, type=PatchType.JSON)
        except StatusError as error:
            self._event(service, "Warning", "FailedToUpdateRayCluster", f"Failed to update the {which} RayCluster {key}: {error}", "Update")
            raise
        self._event(service, "Normal", "UpdatedRayCluster", f"Updated the {which} RayCluster {key}", "Update")
        return self._clusters.absorb(answer) or cluster

    def _decide_rollback(self, service: RayService, draft: Draft, active: RayCluster, pending: RayCluster) -> None:
        """Back to where traffic came from when the spec does not lead to the pending cluster any more."""
        rolling_back = is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS)
        if clusters.has_goal_spec(service, pending) and not clusters.has_goal_spec(service, active):
            if rolling_back:
                draft.remove(states.ROLLBACK_IN_PROGRESS)
        elif not rolling_back:
            reverted = clusters.has_goal_spec(service, active)
            text = (
                "Goal state reverted to original cluster, rolling back."
                if reverted
                else "Goal state changed mid-upgrade, rolling back to original cluster."
            )
            draft.set(states.ROLLBACK_IN_PROGRESS, True, states.DESIRED_CLUSTER_SPEC_CHANGED, text)

    async def _share_out(
        self,
        service: RayService,
        draft: Draft,
        active: RayCluster | None,
        pending: RayCluster | None,
        now: datetime,
        *,
        pending_ready: bool,
    ) -> tuple[int, int]:
        """Keeps the route between two clusters; the shares that it has now."""
        for cluster in (active, pending):
            if cluster is not None:
                await self._routing.ensure_own_serve_service(service, cluster)
        await self._routing.ensure_gateway(service)
        if active is None:
            return -1, -1
        weights = gateway.next_weights(service, draft, now, pending_ready=pending_ready)
        made = await self._routing.ensure_route(service, gateway.route(service, active, pending, weights))
        return gateway.weights_in(made, draft.active.ray_cluster_name, draft.pending.ray_cluster_name)

    def _count_endpoints(self, service: RayService, active: RayCluster | None, pending: RayCluster | None, *, incremental: bool) -> int:
        """Pods that take requests now."""
        model = (service.spec.serve_service or {}).get("metadata") or {}
        found = [model.get("name") or naming.serve_service(service.metadata.name)]
        if incremental:
            found = [naming.serve_service(cluster.metadata.name) for cluster in (active, pending) if cluster is not None] or found
        return sum(len(self._ready_pods(service.metadata.namespace, name)) for name in found)

    def _ready_pods(self, namespace: str, service: str) -> set[str]:
        return {
            endpoint.target_ref.uid
            for slice_ in self._slices.by_index(_SLICES_OF_SERVICE, (namespace, service))
            for endpoint in slice_.endpoints or ()
            if endpoint.conditions.ready and endpoint.target_ref is not None and endpoint.target_ref.uid
        }

    async def _clean_up(self, service: RayService, now: datetime) -> bool:
        """Deletes clusters that are neither active nor pending, some time after they were left; whether there are any."""
        status, deleting = service.status, service.metadata.deletion_timestamp is not None
        kept = {status.active_service_status.ray_cluster_name, status.pending_service_status.ray_cluster_name}
        delay = service.spec.ray_cluster_deletion_delay_seconds
        found = [c for c in self._clusters.by_index(_OF_SERVICE, service.metadata.key) if deleting or c.metadata.name not in kept]
        for cluster in found:
            if deleting:
                due = now
            else:
                seconds = _DELETION_DELAY_SECONDS if delay is None else delay
                due = self._doomed.setdefault(cluster.metadata.uid, now + timedelta(seconds=seconds))
            if now >= due and cluster.metadata.deletion_timestamp is None:
                await self._delete(service, RAY_CLUSTERS, cluster, self._clusters, "")
        present = {cluster.metadata.uid for cluster in self._clusters.list()} if self._doomed else set()
        self._doomed = {uid: due for uid, due in self._doomed.items() if uid in present}
        return bool(found)

    async def _delete_all(self, service: RayService) -> bool:
        """Everything that the service made; whether it was all gone already."""
        gone = True
        for cluster in self._clusters.by_index(_OF_SERVICE, service.metadata.key):
            gone = False
            if cluster.metadata.deletion_timestamp is None:
                await self._delete(service, RAY_CLUSTERS, cluster, self._clusters, " during suspend")
        for made in self._services.by_index(_OF_SERVICE, service.metadata.key):
            gone = False
            if made.metadata.deletion_timestamp is None:
                await self._delete(service, SERVICES, made, self._services, " during suspend")
        if clusters.is_incremental(service.spec, self._settings):
            gone = await self._routing.remove_gateway(service) and gone
        return gone

    async def _delete(self, service: RayService, resource: Resource, obj: Object, informer: Informer[Any], during: str) -> None:
        kind, key = resource.kind, f"{obj.metadata.namespace}/{obj.metadata.name}"
        try:
            answer = await self._client.delete(
                resource, obj.metadata.name, obj.metadata.namespace, uid=obj.metadata.uid, propagation=Propagation.BACKGROUND
            )
        except StatusError as error:
            if is_not_found(error):
                return
            self._event(service, "Warning", f"FailedToDelete{kind}", f"Failed to delete the {kind} {key}{during}: {error}", "Delete")
            raise
        if answer.get("kind") == kind:
            informer.absorb(answer)
        self._event(service, "Normal", f"Deleted{kind}", f"Deleted the {kind} {key}{during}", "Delete")

    async def _let_go(self, service: RayService, *, cleaning: bool) -> float | None:
        if cleaning:
            return self._settings.service_poll_seconds
        if names.RAY_SERVICE_FINALIZER in (service.metadata.finalizers or ()):
            await self._set_finalizers(service, [f for f in service.metadata.finalizers or () if f != names.RAY_SERVICE_FINALIZER])
        return None

    async def _set_finalizers(self, service: RayService, finalizers: list[str]) -> None:
        patch = {"metadata": {"resourceVersion": service.metadata.resource_version, "finalizers": finalizers}}
        self._rays.absorb(await self._client.patch(RAY_SERVICES, service.metadata.name, patch, service.metadata.namespace))

    async def _is_valid(self, service: RayService, draft: Draft) -> bool:
        reason = "InvalidRayServiceMetadata"
        try:
            validation.check_metadata(service)
            reason = "InvalidRayServiceSpec"
            validation.check_spec(service, self._settings)
        except InvalidError as error:
            self._event(service, "Warning", reason, f"{service.metadata.namespace}/{service.metadata.name}: {error}", "Validate")
            draft.set(states.READY, False, states.VALIDATION_FAILED, str(error))
            if draft.says_anything_new():
                await self._write(service, draft)
            return False
        return True

    async def _write(self, service: RayService, draft: Draft) -> None:
        """Only on the version that the draft began with: a conflict raises, and the next look decides anew."""
        name, namespace = service.metadata.name, service.metadata.namespace
        self._rays.absorb(await self._client.patch(RAY_SERVICES, name, draft.patch(), namespace, subresource="status"))

    def _event(self, service: RayService, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(service, type_, reason, message, action, controller=CONTROLLER)
