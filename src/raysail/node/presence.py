"""The agent's Nodes in the API: objects, capacity, heartbeat by Lease."""

from __future__ import annotations

import logging
import os
import platform
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from raysail import __version__
from raysail.api.core.node import HOSTNAME_LABEL, KUBELET_SOCKET_ANNOTATION
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.meta import format_micro_time, format_time
from raysail.api.resources import LEASES, NODES
from raysail.kube.client import PatchType
from raysail.kube.manager import Manager
from raysail.node.capabilities import Capabilities
from raysail.node.devices import GPU_RESOURCE
from raysail.node.host import HOST_ADDRESS
from raysail.node.settings import NodeSettings, NodeSpec

logger = logging.getLogger(__name__)

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40
MAX_PODS: Final = 110
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES: Final = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def machine_memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def capacity_of(node: NodeSpec, capabilities: Capabilities, sole: bool) -> dict[str, str]:
    """What the Node has: as told, else the machine's real size. GPUs belong to the only Node, or to those that were given some."""
    disk = os.statvfs("/")
    found = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{machine_memory_bytes() // 1024}Ki",
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "pods": str(MAX_PODS),
    }
    if capabilities.gpus and sole and GPU_RESOURCE not in node.capacity:
        found[GPU_RESOURCE] = str(len(capabilities.gpus))
    return found | dict(node.capacity)


class Presence:
    """Keeps the Nodes and their leases alive."""

    def __init__(self, manager: Manager, settings: NodeSettings, capabilities: Capabilities) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._settings = settings
        self._capabilities = capabilities
        self.capacities = {node.name: capacity_of(node, capabilities, len(settings.nodes) == 1) for node in settings.nodes}

    async def run(self) -> None:
        """Heartbeats until cancelled. While the API is away it tries more often, so that Nodes are Ready soon after."""
        while True:
            reached = True
            for node in self._settings.nodes:
                try:
                    await self._register(node)
                    await self._renew(node.name)
                except (StatusError, ConnectionError) as error:
                    logger.warning("node %s: no heartbeat: %s", node.name, error)
                    reached = False
            await self._clock.sleep(self._settings.heartbeat_seconds if reached else 1.0)

    async def _register(self, node: NodeSpec) -> None:
        now = self._clock.now()
        wanted = self._object(node)
        try:
            present = await self._client.get(NODES, node.name)
        except StatusError as error:
            if not is_not_found(error):
                raise
            present = await self._client.create(NODES, wanted, field_manager="kubelet")
        meta = present["metadata"]
        missing = {
            part: {key: value for key, value in wanted["metadata"][part].items() if (meta.get(part) or {}).get(key) != value}
            for part in ("labels", "annotations")
        }
        if any(missing.values()):
            await self._client.patch(NODES, node.name, {"metadata": missing}, type=PatchType.MERGE, field_manager="kubelet")
        patch = {"status": self._status(node, present.get("status") or {}, now)}
        await self._client.patch(NODES, node.name, patch, type=PatchType.STRATEGIC, subresource="status", field_manager="kubelet")

    async def _renew(self, name: str) -> None:
        spec: dict[str, Any] = {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format_micro_time(self._clock.now()),
        }
        try:
            await self._client.patch(LEASES, name, {"spec": spec}, LEASE_NAMESPACE, type=PatchType.MERGE)
        except StatusError as error:
            if not is_not_found(error):
                raise
            lease = {
                "apiVersion": LEASES.api_version,
                "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
                "spec": spec,
            }
            try:
                await self._client.create(LEASES, lease, LEASE_NAMESPACE)
            except StatusError as second:
                if not (is_already_exists(second) or is_conflict(second)):
                    raise  # somebody else made it meanwhile; the next beat renews it

    def _object(self, node: NodeSpec) -> dict[str, Any]:
        report = {c.name: c.present for c in self._capabilities.report()}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node.name,
                "labels": {
                    HOSTNAME_LABEL: node.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                    "beta.kubernetes.io/os": "linux",
                    "beta.kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                },
                "annotations": {
                    KUBELET_SOCKET_ANNOTATION: str(self._settings.socket),
                    "raysail.io/enforced": orjson.dumps(report).decode(),
                },
            },
        }

    def _status(self, node: NodeSpec, present: dict[str, Any], now: datetime) -> dict[str, Any]:
        before = {c.get("type"): c for c in present.get("conditions") or ()}

        def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
            old = before.get(kind) or {}
            since = old.get("lastTransitionTime") if old.get("status") == status else None
            heartbeat = format_time(now)
            return {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": heartbeat,
                "lastTransitionTime": since or heartbeat,
            }

        capacity = self.capacities[node.name]
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                *(condition(kind, "False", reason, message) for kind, reason, message in _PRESSURES),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [{"type": "InternalIP", "address": HOST_ADDRESS}, {"type": "Hostname", "address": node.name}],
            "nodeInfo": _node_info(),
        }


def _node_info() -> dict[str, str]:
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    pretty = next((line.split("=", 1)[1].strip('"') for line in text.splitlines() if line.startswith("PRETTY_NAME=")), "Linux")
    return {
        "machineID": _first_line("/etc/machine-id"),
        "systemUUID": _first_line("/etc/machine-id"),
        "bootID": _first_line("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": pretty,
        "containerRuntimeVersion": f"raysail://{__version__}",
        "kubeletVersion": f"v1.36.0-raysail.{__version__}",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    }


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""  # not every machine has one
