"""Ray Serve on a RayService's clusters: what is to run is told to it, how it is asked for, and the head's place in the serve Service kept right."""

from __future__ import annotations

from typing import Any

from raysail.api.conditions import is_true
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.ray import AppStatus, RayCluster, RayService, names
from raysail.api.ray import cluster as cluster_states
from raysail.api.ray import service as states
from raysail.api.resources import PODS
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.ray import naming
from raysail.ray.cluster.controller import PODS_OF_CLUSTER
from raysail.ray.cluster.pods import is_head, is_ready, label
from raysail.ray.dashboard import Dashboard, DashboardError
from raysail.ray.go_yaml import parse_mapping
from raysail.ray.job.machine import dashboard_url
from raysail.ray.pods.build import with_default_authentication
from raysail.ray.service import clusters, gateway
from raysail.ray.service.draft import Draft
from raysail.ray.service.routing import CONTROLLER, GATEWAYS, HTTP_ROUTES, Routing
from raysail.ray.service.status import applications
from raysail.ray.settings import RaySettings
from raysail.ray.tokens import Tokens


class HeadMissingError(Exception):
    """The cluster has no head, or several: nothing can be said about what it serves."""


class Serving:
    """Remembers which configuration each cluster was given; after a restart each is given it again, which changes nothing."""

    def __init__(
        self,
        manager: Manager,
        settings: RaySettings,
        dashboard: Dashboard,
        tokens: Tokens,
        pods: Informer[Pod],
        services: Informer[Service],
        routing: Routing,
    ) -> None:
        self._manager, self._client, self._settings = manager, manager.client, settings
        self._dashboard, self._tokens, self._pods, self._services, self._routing = dashboard, tokens, pods, services, routing
        self._given: dict[Key, dict[str, str]] = {}

    def forget(self, key: Key, keep: tuple[str, ...] = ()) -> None:
        """Forgets what clusters other than those were given."""
        given = {name: text for name, text in self._given.get(key, {}).items() if name in keep}
        if given:
            self._given[key] = given
        else:
            self._given.pop(key, None)

    async def label_head(self, service: RayService, cluster: RayCluster) -> None:
        """The head takes requests while its proxy is healthy, unless it shall take none. Raises HeadMissingError."""
        head = self._head(cluster)
        if not head.status.pod_ip and not service.spec.exclude_head_pod_from_serve_svc:
            healthy = False
        else:
            ports = head.spec.containers[0].ports or []
            port = next((port.container_port for port in ports if port.name == names.SERVING_PORT_NAME), names.SERVING_PORT)
            healthy = not service.spec.exclude_head_pod_from_serve_svc and await self._dashboard.proxy_is_healthy(head.status.pod_ip, port)
        wanted = "true" if healthy else "false"
        if label(head, names.SERVE_LABEL) == wanted:
            return
        patch = {"metadata": {"uid": head.metadata.uid, "labels": {names.SERVE_LABEL: wanted}}}
        self._pods.absorb(await self._client.patch(PODS, head.metadata.name, patch, head.metadata.namespace))
        text = f'Updated the serve label to "{wanted}" for the Head Pod {head.metadata.namespace}/{head.metadata.name}'
        self._event(service, "Normal", "UpdatedHeadPodServeLabel", text, "Update")

    async def reconcile(self, service: RayService, draft: Draft, cluster: RayCluster) -> tuple[bool, dict[str, AppStatus] | None]:
        """Whether all applications run there, and how each is. Raises DashboardError, TokenError or ValueError (configuration that is no YAML)."""
        if not self._head_is_ready(cluster):
            return False, None
        name = naming.head_service(cluster.metadata.name, cluster.spec.head_group_spec.head_service)
        url = dashboard_url(self._services.get(cluster.metadata.namespace, name), self._settings)
        if not url:
            raise DashboardError(f"dashboard port is not found in the head service {name}")
        token = await self._tokens.of(with_default_authentication(cluster, self._settings))
        ready, apps = applications(await self._dashboard.serve_details(url, token))
        given = self._given.get(service.metadata.key, {}).get(cluster.metadata.name, "")
        wanted = service.spec.serve_config_v2
        if (not given or not apps or given != wanted) and not self._is_frozen(service, draft, cluster):
            await self._give(service, draft, cluster, url, token)
        if clusters.is_incremental(service.spec, self._settings) and is_true(draft.conditions, states.UPGRADE_IN_PROGRESS):
            await self._move_capacity(service, draft, cluster, url, token)
        return ready, apps

    def _is_frozen(self, service: RayService, draft: Draft, cluster: RayCluster) -> bool:
        """During a step-by-step upgrade a new configuration goes to the cluster that traffic moves to, and to no other."""
        if not clusters.is_incremental(service.spec, self._settings):
            return False
        is_active = cluster.metadata.name == draft.active.ray_cluster_name
        back = is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS)
        return not is_active if back else is_active and is_true(draft.conditions, states.UPGRADE_IN_PROGRESS)

    async def _give(self, service: RayService, draft: Draft, cluster: RayCluster, url: str, token: str) -> None:
        key = f"{cluster.metadata.namespace}/{cluster.metadata.name}"
        try:
            config = parse_mapping(service.spec.serve_config_v2)
            if clusters.is_incremental(service.spec, self._settings):
                capacity = self._capacity(draft, cluster)
                if capacity is not None:
                    config["target_capacity"] = capacity
            await self._dashboard.put_serve_config(url, token, config)
        except (DashboardError, ValueError) as error:
            text = f"Failed to update serve applications to the RayCluster {key}: {error}"
            self._event(service, "Warning", "FailedToUpdateServeApplications", text, "Update")
            raise
        if service.spec.serve_config_v2:
            self._given.setdefault(service.metadata.key, {})[cluster.metadata.name] = service.spec.serve_config_v2
        self._event(service, "Normal", "UpdatedServeApplications", f"Updated serve applications to the RayCluster {key}", "Update")

    async def _move_capacity(self, service: RayService, draft: Draft, cluster: RayCluster, url: str, token: str) -> None:
        if not gateway.is_capacity_moving(draft) or not await self._routes_are_ready(service):
            return
        if draft.active.target_capacity is None:
            draft.change_active(target_capacity=100)
        if draft.pending.target_capacity is None:
            draft.change_pending(target_capacity=0)
        goal = gateway.next_capacity(service, draft, cluster.metadata.name)
        if goal is None or goal == self._capacity(draft, cluster):
            return
        key = f"{cluster.metadata.namespace}/{cluster.metadata.name}"
        given = self._given.get(service.metadata.key, {}).get(cluster.metadata.name) or service.spec.serve_config_v2
        try:
            config: dict[str, Any] = {**parse_mapping(given), "target_capacity": goal}
            await self._dashboard.put_serve_config(url, token, config)
        except (DashboardError, ValueError) as error:
            text = f"Failed to update target_capacity of serve applications to the RayCluster {key}: {error}"
            self._event(service, "Warning", "FailedToUpdateTargetCapacity", text, "Update")
            raise
        if cluster.metadata.name == draft.active.ray_cluster_name:
            draft.change_active(target_capacity=goal)
        else:
            draft.change_pending(target_capacity=goal)
        text = f"Updated target_capacity of serve applications to to the RayCluster {key}"
        self._event(service, "Normal", "UpdatedServeTargetCapacity", text, "Update")

    async def _routes_are_ready(self, service: RayService) -> bool:
        found = await self._routing.find(GATEWAYS, service, gateway.gateway_name(service))
        if not gateway.is_gateway_ready(found):
            return False
        return gateway.is_route_ready(await self._routing.find(HTTP_ROUTES, service, gateway.route_name(service)), service)

    @staticmethod
    def _capacity(draft: Draft, cluster: RayCluster) -> int | None:
        name = cluster.metadata.name
        if name == draft.active.ray_cluster_name:
            return draft.active.target_capacity
        return draft.pending.target_capacity if name == draft.pending.ray_cluster_name else None

    def _head(self, cluster: RayCluster) -> Pod:
        heads = [pod for pod in self._pods.by_index(PODS_OF_CLUSTER, cluster.metadata.key) if is_head(pod)]
        if len(heads) != 1:
            raise HeadMissingError(f"found {len(heads)} head. cluster name {cluster.metadata.name}, namespace {cluster.metadata.namespace}")
        return heads[0]

    def _head_is_ready(self, cluster: RayCluster) -> bool:
        if self._settings.gates.ray_cluster_status_conditions:
            return is_true(cluster.status.conditions, cluster_states.HEAD_POD_READY)
        return is_ready(self._head(cluster))

    def _event(self, service: RayService, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(service, type_, reason, message, action, controller=CONTROLLER)
