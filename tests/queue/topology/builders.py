"""Racks of nodes, workloads with topology requests, and where they were placed."""

from __future__ import annotations

from typing import Any

import msgspec

from raysail.api.core.node import Node
from raysail.api.kueue import ResourceFlavor, Topology, Workload
from raysail.api.kueue.topologycoding import Domain
from raysail.queue.answers.snapshot import Snapshot
from raysail.queue.planner.decisions import Admit, Plan
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.pods import Pod
from tests.queue.builders import flavor, wl

HOST = "kubernetes.io/hostname"
LEVELS = ("block", "rack", HOST)


def topology(*levels: str, name: str = "default") -> Topology:
    """A Topology; block, rack and host where no levels are given."""
    body = {"metadata": {"name": name}, "spec": {"levels": [{"nodeLabel": level} for level in levels or LEVELS]}}
    return msgspec.convert(body, Topology)


def tas_flavor(name: str = "default", **spec: Any) -> ResourceFlavor:
    """A flavor on the Topology `default` with the nodes labelled pool=default."""
    return flavor(name, topologyName="default", nodeLabels={"pool": "default"}, **spec)


def node(place: str, cpu: float = 4, *, pods: int = 110, ready: bool = True, **more: Any) -> Node:
    """`place` is block/rack/host."""
    block, rack, host = place.split("/")
    body = {
        "metadata": {"name": host, "labels": {"block": block, "rack": rack, HOST: host, "pool": "default", **more.pop("labels", {})}},
        "spec": more,
        "status": {"allocatable": {"cpu": str(cpu), "pods": str(pods)}, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }
    return msgspec.convert(body, Node)


def pod(name: str, host: str, cpu: float) -> Pod:
    """A Pod that topology knows nothing about."""
    containers = [{"name": "c", "resources": {"requests": {"cpu": str(cpu)}}}]
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": {"nodeName": host, "containers": containers}}, Pod)


def asks(name: str, queue: str, cpu: float = 1, *, at: dict[str, int] | None = None, unhealthy: str = "", **given: Any) -> Workload:
    """A workload with a topology request (the arguments that begin with `topology_`). `at`: it was placed there, Pods by host."""
    request = {key.removeprefix("topology_"): given.pop(key) for key in list(given) if key.startswith("topology_")}
    made: dict[str, Any] = msgspec.to_builtins(wl(name, queue, cpu, **({"holds": "default", **given} if at else given)))
    made["spec"]["podSets"][0]["topologyRequest"] = request or None
    if at:
        assignment = TopologyAssignment((HOST,), [Domain((host,), pods) for host, pods in sorted(at.items())])
        made["status"]["admission"]["podSetAssignments"][0]["topologyAssignment"] = assignment.to_api()
    if unhealthy:
        made["status"]["unhealthyNodes"] = [{"name": unhealthy}]
    return msgspec.convert(made, Workload)


def places(result: Plan) -> dict[str, dict[str, int]]:
    """Admitted workloads with their Pods by host."""
    found: dict[str, dict[str, int]] = {}
    for decision in result.decisions:
        if isinstance(decision, Admit):
            given = decision.assignment.pod_sets[0].topology
            found[decision.info.name] = {domain.values[-1]: domain.count for domain in given.domains} if given is not None else {}
    return found


def free_on(snapshot: Snapshot, host: str, flavor_name: str = "default") -> dict[str, int]:
    """What is left on a host."""
    found = snapshot.world.topologies.flavor(flavor_name)
    assert found is not None
    return found.free[found.tree.leaf_of[host]]
