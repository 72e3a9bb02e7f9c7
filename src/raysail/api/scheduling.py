"""scheduling.k8s.io/v1 and node.k8s.io/v1 as read views: PriorityClass and RuntimeClass."""

from __future__ import annotations

from typing import Final

from raysail.api.meta import Object, View
from raysail.api.quantity import Quantity

SYSTEM_CLUSTER_CRITICAL: Final = "system-cluster-critical"
SYSTEM_NODE_CRITICAL: Final = "system-node-critical"


class PriorityClass(Object, frozen=True):
    """A name for a priority of Pods."""

    value: int = 0
    global_default: bool = False
    preemption_policy: str | None = None
    description: str = ""


class RuntimeOverhead(View, frozen=True):
    """What the runtime itself uses per Pod."""

    pod_fixed: dict[str, Quantity] | None = None


class RuntimeClass(Object, frozen=True):
    """A named container runtime; raysail uses its overhead."""

    handler: str = ""
    overhead: RuntimeOverhead | None = None
