"""Service and the addresses behind it (Endpoints; EndpointSlice is in `api.discovery`)."""

from __future__ import annotations

from typing import Any, Final

from msgspec import field

from raysail.api.meta import Condition, Object, View

HEADLESS: Final = "None"


class ServicePort(View, frozen=True):
    """A port of the Service. `target_port` is a number or the name of a container's port; the Service's own port where absent."""

    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    port: int = 0
    target_port: int | str | None = None
    node_port: int = 0


class ServiceSpec(View, frozen=True):
    """Which Pods the Service stands for, and under which address."""

    type: str = ""
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    external_name: str = ""
    load_balancer_ip: str = field(default="", name="loadBalancerIP")
    load_balancer_class: str | None = None
    load_balancer_source_ranges: list[str] | None = None
    allocate_load_balancer_node_ports: bool | None = None
    external_traffic_policy: str = ""
    internal_traffic_policy: str | None = None
    health_check_node_port: int = 0
    ip_families: list[str] | None = None
    ip_family_policy: str | None = None
    publish_not_ready_addresses: bool = False
    session_affinity: str = ""
    session_affinity_config: dict[str, Any] | None = None
    traffic_distribution: str | None = None

    @property
    def headless(self) -> bool:
        """Whether names resolve to the Pods themselves."""
        return self.cluster_ip == HEADLESS


class LoadBalancerIngress(View, frozen=True):
    """An address given by a load balancer."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(View, frozen=True):
    """What a load balancer gave."""

    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(View, frozen=True):
    """What was observed."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: list[Condition] | None = None


class Service(Object, frozen=True):
    """A name and address for a set of Pods."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class ObjectReference(View, frozen=True):
    """A reference to any object."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class EndpointAddress(View, frozen=True):
    """One address of Endpoints."""

    ip: str = ""
    hostname: str = ""
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(View, frozen=True):
    """One port of Endpoints."""

    name: str = ""
    port: int = 0
    protocol: str = ""
    app_protocol: str | None = None


class EndpointSubset(View, frozen=True):
    """Addresses that share their ports."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(Object, frozen=True):
    """All addresses of a Service (the older form of EndpointSlice)."""

    subsets: list[EndpointSubset] | None = None
