"""Pods as topology-aware scheduling sees them: where they wait, where they run, whose they are."""

from __future__ import annotations

from typing import Any, Final

from msgspec import field

from raysail.api.core.node import HOSTNAME_LABEL
from raysail.api.kueue import names
from raysail.api.meta import Object
from raysail.queue.topology.nodes import is_placed, pod_amounts

ENDED: Final = ("Succeeded", "Failed")


class Pod(Object, frozen=True):
    """A Pod; spec and status as they are stored."""

    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The node that it is bound to; empty: none yet."""
        return str(self.spec.get("nodeName") or "")

    @property
    def selected_host(self) -> str:
        """The host that its node selector names; empty: none."""
        return str((self.spec.get("nodeSelector") or {}).get(HOSTNAME_LABEL) or "")

    @property
    def gated(self) -> bool:
        """Whether it waits for its place."""
        return any(gate.get("name") == names.TOPOLOGY_GATE for gate in self.spec.get("schedulingGates") or ())

    @property
    def phase(self) -> str:
        """status.phase."""
        return str(self.status.get("phase") or "")

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more, ever."""
        return self.phase in ENDED

    @property
    def placed(self) -> bool:
        """Whether topology places it."""
        return is_placed(self.metadata.annotations)

    @property
    def workload(self) -> str:
        """Name of the Workload that it runs for; empty: none."""
        return (self.metadata.annotations or {}).get(names.WORKLOAD_ANNOTATION, "")

    @property
    def chain(self) -> str:
        """The name that it shares with all Pods of its Workload, or of the chain of slices that the Workload is in."""
        return (self.metadata.annotations or {}).get(names.WORKLOAD_SLICE_NAME_ANNOTATION) or self.workload


def uses_node(pod: Pod | None) -> bool:
    """Whether it takes capacity of a node."""
    return pod is not None and bool(pod.node) and not pod.ended


def counts_beside(pod: Pod | None) -> bool:
    """Whether it takes capacity of a node without topology having placed it there."""
    return pod is not None and uses_node(pod) and not pod.placed


def usage_changed(old: Pod | None, new: Pod) -> bool:
    """Whether a Pod that counts beside the topology takes something else, or somewhere else, than it did."""
    return (
        old is None
        or not counts_beside(old)
        or old.node != new.node
        or (old.spec != new.spec and pod_amounts(old.spec) != pod_amounts(new.spec))
    )
