"""What the node agent is told at its start."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from raysail.api.quantity import QuantityError, canonical

FAST_FAILURE_DETECTION: Final[Mapping[str, str]] = {
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "1500",
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_initial_delay_ms": "1000",
}
"""A dead Ray node is noticed in about a second instead of 15; on one machine the network cannot be the reason for silence."""


class NodesError(ValueError):
    """The text of `--nodes` cannot be read."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One Node to present. `capacity` holds quantities as Kubernetes writes them; empty: the machine's real size."""

    name: str
    capacity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything the agent depends on. `home` is the state directory, `run` a short folder for sockets, `api_socket` the API's Unix socket."""

    home: Path
    run: Path
    api_socket: Path
    pod_cidr: str = "127.100.128.0/17"
    service_cidr: str = "127.100.0.0/20"
    api_host: str = "127.100.0.1"
    """What Pods are given as KUBERNETES_SERVICE_HOST."""
    api_port: int = 6443
    nodes: tuple[NodeSpec, ...] = ()
    python: str = sys.executable
    """The interpreter of Pods that name none by annotation."""
    cluster_domain: str = "cluster.local"
    pod_environment: Mapping[str, str] = field(default_factory=lambda: {**FAST_FAILURE_DETECTION, "RAY_USAGE_STATS_ENABLED": "0"})
    """Variables for all containers; a container's own ones win."""
    default_cpus: int = 1
    """What a Ray node counts with where its container names neither limit nor request."""
    default_memory_bytes: int = 2 << 30
    log_max_bytes: int = 10 << 20
    log_files: int = 5
    warm_ray: bool = True
    warm_idle_seconds: float = 120.0
    heartbeat_seconds: float = 10.0

    @property
    def pods(self) -> Path:
        """One folder a Pod."""
        return self.home / "pods"

    @property
    def socket(self) -> Path:
        """Where the kubelet-like API is served."""
        return self.run / "node.sock"


def parse_nodes(text: str, hostname: str = "") -> tuple[NodeSpec, ...]:
    """`3x cpu=4,memory=16398656Ki; 1x cpu=8,nvidia.com/gpu=1` as Nodes. Empty text: one Node of the machine's size. Raises NodesError."""
    host = _node_name(hostname or os.uname().nodename)
    nodes: list[NodeSpec] = []
    for group in filter(None, (part.strip() for part in text.split(";"))):
        match = re.fullmatch(r"(?:(\d+)\s*x\s*)?(\S.*)?", group)
        count, rest = (int(match.group(1) or 1), match.group(2) or "") if match else (1, group)
        capacity = {}
        for pair in filter(None, (p.strip() for p in rest.split(","))):
            name, equals, value = pair.partition("=")
            try:
                capacity[name.strip()] = canonical(value.strip())
            except QuantityError as error:
                raise NodesError(f"--nodes: {pair!r}: {error}") from error
            if not equals or not name.strip():
                raise NodesError(f"--nodes: {pair!r} is not NAME=QUANTITY; write for example '3x cpu=4,memory=16Gi'")
        nodes += [NodeSpec("", capacity) for _ in range(count)]
    if not nodes:
        nodes = [NodeSpec("")]
    if len(nodes) == 1:
        return (NodeSpec(host, nodes[0].capacity),)
    return tuple(NodeSpec(f"{host}-{number}", node.capacity) for number, node in enumerate(nodes))


def _node_name(hostname: str) -> str:
    """The host's name as a DNS-1123 subdomain."""
    return re.sub(r"[^a-z0-9.-]+", "-", hostname.lower()).strip("-.") or "node"
