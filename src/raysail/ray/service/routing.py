"""What leads to a RayService's cluster of the day: head and serve Service, and for step-by-step upgrades Gateway and HTTPRoute."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.core.service import Service
from raysail.api.errors import StatusError, is_not_found
from raysail.api.ray import RayCluster, RayService, names
from raysail.api.resources import SERVICES, Resource
from raysail.kube.client import Propagation
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager
from raysail.ray.service import gateway
from raysail.ray.services.head import owner_head_service
from raysail.ray.services.serve import service_serve_service
from raysail.ray.settings import RaySettings

CONTROLLER: Final = "rayservice-controller"
GATEWAYS: Final = Resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
HTTP_ROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")


class Routing:
    """Makes and redirects them."""

    def __init__(self, manager: Manager, settings: RaySettings, services: Informer[Service]) -> None:
        self._manager, self._client, self._settings, self._services = manager, manager.client, settings, services

    async def point_at(self, service: RayService, cluster: RayCluster, *, incremental: bool) -> str:
        """Lets head and serve Service select that cluster; the cluster's name. Raises ValueError where there is no port to serve at."""
        head = owner_head_service("RayService", service.metadata.name, service.metadata.uid, cluster, self._settings)
        await self._ensure_service(service, cluster, head)
        await self._ensure_service(service, cluster, service_serve_service(service, cluster, per_cluster=incremental))
        return cluster.metadata.name

    async def ensure_own_serve_service(self, service: RayService, cluster: RayCluster) -> None:
        """The serve Service that a cluster has for itself while traffic is shared out."""
        body = service_serve_service(service, cluster, per_cluster=True)
        if self._services.get(cluster.metadata.namespace, body["metadata"]["name"]) is None:
            self._services.absorb(await self._client.create(SERVICES, body, cluster.metadata.namespace))

    async def ensure_gateway(self, service: RayService) -> dict[str, Any]:
        """The Gateway as it is."""
        return await self._ensure(service, GATEWAYS, gateway.gateway(service))

    async def ensure_route(self, service: RayService, wanted: dict[str, Any]) -> dict[str, Any]:
        """The HTTPRoute as it is, with the wanted shares."""
        return await self._ensure(service, HTTP_ROUTES, wanted)

    async def find(self, resource: Resource, service: RayService, name: str) -> dict[str, Any] | None:
        """A Gateway or HTTPRoute, if it is there (and its kind is served)."""
        try:
            return await self._client.get(resource, name, service.metadata.namespace)
        except StatusError as error:
            if is_not_found(error):
                return None
            raise

    async def remove_gateway(self, service: RayService) -> bool:
        """Deletes Gateway and HTTPRoute; whether both were gone already."""
        gone = True
        for resource, name in ((GATEWAYS, gateway.gateway_name(service)), (HTTP_ROUTES, gateway.route_name(service))):
            found = await self.find(resource, service, name)
            if found is None:
                continue
            gone = False
            if "deletionTimestamp" not in found["metadata"]:
                await self._client.delete(resource, name, service.metadata.namespace, propagation=Propagation.BACKGROUND)
                text = f"Deleted the {resource.kind} {service.metadata.namespace}/{name} during suspend"
                self._event(service, "Normal", f"Deleted{resource.kind}", text, "Delete")
        return gone

    async def _ensure_service(self, service: RayService, cluster: RayCluster, wanted: dict[str, Any]) -> None:
        name, namespace = wanted["metadata"]["name"], service.metadata.namespace
        found = self._services.get(namespace, name)
        if found is not None and (found.spec.selector or {}).get(names.CLUSTER_LABEL) == cluster.metadata.name:
            return
        verb, done = ("create", "Created") if found is None else ("update", "Updated")
        try:
            if found is None:
                made = await self._client.create(SERVICES, wanted, namespace)
            else:
                spec = {key: value for key, value in wanted["spec"].items() if key != "clusterIP"}
                made = await self._client.patch(SERVICES, name, {"metadata": {"uid": found.metadata.uid}, "spec": spec}, namespace)
        except StatusError as error:
            text = f"Failed to {verb} the service {namespace}/{name}, {error}"
            self._event(service, "Warning", f"FailedTo{verb.title()}Service", text, verb.title())
            raise
        self._services.absorb(made)
        self._event(service, "Normal", f"{done}Service", f"{done} the service {namespace}/{name}", verb.title())

    async def _ensure(self, service: RayService, resource: Resource, wanted: dict[str, Any]) -> dict[str, Any]:
        kind, name, namespace = resource.kind, wanted["metadata"]["name"], service.metadata.namespace
        found = await self.find(resource, service, name)
        if found is not None and gateway.says_the_same(found.get("spec"), wanted["spec"]):
            return found
        verb, done = ("create", "Created") if found is None else ("update", "Updated")
        try:
            if found is None:
                made = await self._client.create(resource, wanted, namespace)
            else:
                made = await self._client.patch(resource, name, {"spec": wanted["spec"]}, namespace)
        except StatusError as error:
            self._event(
                service,
                "Warning",
                f"FailedTo{verb.title()}{kind}",
                f"Failed to {verb} the {kind} {namespace}/{name}: {error}",
                verb.title(),
            )
            raise
        self._event(service, "Normal", f"{done}{kind}", f"{done} {kind} for RayService {namespace}/{name}", verb.title())
        return made

    def _event(self, service: RayService, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(service, type_, reason, message, action, controller=CONTROLLER)
