"""Node: a machine (or a share of one) that runs Pods."""

from __future__ import annotations

from typing import Final

from msgspec import field

from raysail.api.core.scheduling import Taint
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity

NODE_READY: Final = "Ready"
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
KUBELET_SOCKET_ANNOTATION: Final = "raysail.io/kubelet-socket"
"""Path of the Unix socket on which the agent of this Node serves logs, exec, attach and port-forward."""

UNSCHEDULABLE_TAINT: Final = "node.kubernetes.io/unschedulable"
NOT_READY_TAINT: Final = "node.kubernetes.io/not-ready"
UNREACHABLE_TAINT: Final = "node.kubernetes.io/unreachable"


class NodeSpec(View, frozen=True):
    """What the Node should accept."""

    unschedulable: bool = False
    taints: list[Taint] | None = None
    pod_cidr: str = field(default="", name="podCIDR")
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")
    provider_id: str = field(default="", name="providerID")


class NodeCondition(Condition, frozen=True):
    """A condition with a heartbeat."""

    last_heartbeat_time: str | None = None


class NodeAddress(View, frozen=True):
    """`type` is Hostname, InternalIP, ExternalIP, InternalDNS or ExternalDNS."""

    type: str = ""
    address: str = ""


class NodeSystemInfo(View, frozen=True):
    """What the agent found on the machine."""

    machine_id: str = field(default="", name="machineID")
    system_uuid: str = field(default="", name="systemUUID")
    boot_id: str = field(default="", name="bootID")
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""
    operating_system: str = ""
    architecture: str = ""


class NodeStatus(View, frozen=True):
    """What was observed."""

    capacity: dict[str, Quantity] | None = None
    allocatable: dict[str, Quantity] | None = None
    conditions: list[NodeCondition] | None = None
    addresses: list[NodeAddress] | None = None
    node_info: NodeSystemInfo = NodeSystemInfo()
    phase: str = ""


class Node(Object, frozen=True):
    """A place where Pods run."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
