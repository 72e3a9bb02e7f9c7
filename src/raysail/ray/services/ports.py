"""Which ports a cluster's Services have: those of the head's Ray container, or Ray's own where it names none (getServicePorts)."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.ray import RayCluster, names

DEFAULT_PORTS: Final = {
    names.CLIENT_PORT_NAME: names.CLIENT_PORT,
    names.GCS_SERVER_PORT_NAME: names.GCS_SERVER_PORT,
    names.DASHBOARD_PORT_NAME: names.DASHBOARD_PORT,
    names.METRICS_PORT_NAME: names.METRICS_PORT,
    names.SERVING_PORT_NAME: names.SERVING_PORT,
}


def head_ports(cluster: RayCluster) -> dict[str, int]:
    """Name -> number, sorted by name. An unnamed port is called `<number>-port`; metrics is always there."""
    containers = (cluster.spec.head_group_spec.template.get("spec") or {}).get("containers") or [{}]
    given = containers[0].get("ports") or ()
    ports = {port.get("name") or f"{port['containerPort']}-port": int(port["containerPort"]) for port in given} or dict(DEFAULT_PORTS)
    ports.setdefault(names.METRICS_PORT_NAME, names.METRICS_PORT)
    return dict(sorted(ports.items()))


def serve_ports(cluster: RayCluster) -> dict[str, int]:
    """The ports of Ray Serve's proxies: `serve` and those that begin with `serve-`."""
    return {name: port for name, port in head_ports(cluster).items() if name == "serve" or name.startswith("serve-")}


def service_ports(ports: dict[str, int], *, app_protocol: str = "") -> list[dict[str, Any]]:
    """As they stand in a Service. The protocol is TCP whatever the container says."""
    return [{"name": name, "port": port, **({"appProtocol": app_protocol} if app_protocol else {})} for name, port in ports.items()]
