"""discovery.k8s.io/v1 as read views: EndpointSlice."""

from __future__ import annotations

from typing import Final

from raysail.api.core.service import ObjectReference
from raysail.api.meta import Object, View

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"


class EndpointConditions(View, frozen=True):
    """Whether an endpoint takes traffic. None means unknown, to be read as true (`terminating`: as false)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(View, frozen=True):
    """One Pod behind a Service."""

    addresses: list[str] | None = None
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: ObjectReference | None = None
    deprecated_topology: dict[str, str] | None = None


class EndpointPort(View, frozen=True):
    """A port that all endpoints of the slice have."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(Object, frozen=True):
    """Some of the addresses behind a Service."""

    address_type: str = ""
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None
