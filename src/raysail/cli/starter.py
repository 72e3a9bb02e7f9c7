"""What a fresh instance gets so that the first `raysail submit` just works: a flavor, a ClusterQueue of the machine's size, a LocalQueue, priorities.

Objects that are there already are left as they are: people change them.
"""

from __future__ import annotations

from typing import Any, Final

from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.quantity import amount, format_amount
from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, RESOURCE_FLAVORS, WORKLOAD_PRIORITY_CLASSES, Resource
from raysail.cli.connection import Api
from raysail.node.capabilities import find_capabilities
from raysail.node.presence import capacity_of
from raysail.node.settings import parse_nodes

_PRIORITIES: Final = {
    "high": (1000, "Before everything else."),
    "normal": (0, "The usual."),
    "low": (-1000, "When nothing else wants to run."),
}


def starter_objects(nodes: str) -> list[tuple[Resource, dict[str, Any]]]:
    """What a fresh instance presenting those nodes (the text of --nodes) should have."""
    objects: list[tuple[Resource, dict[str, Any]]] = [
        (RESOURCE_FLAVORS, {"metadata": {"name": "default-flavor"}}),
        (CLUSTER_QUEUES, _cluster_queue(_totals(nodes))),
        (LOCAL_QUEUES, {"metadata": {"name": "default", "namespace": "default"}, "spec": {"clusterQueue": "default"}}),
    ]
    for name, (value, description) in _PRIORITIES.items():
        objects.append((WORKLOAD_PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value, "description": description}))
    return objects


def create_all(api: Api, objects: list[tuple[Resource, dict[str, Any]]]) -> None:
    """Creates those that are not there yet."""
    for resource, body in objects:
        if _is_there(api, resource, body["metadata"]["name"], body["metadata"].get("namespace")):
            continue  # asked for first: a creation is judged whole before the API says that the name is taken
        try:
            api.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind} | body, body["metadata"].get("namespace"))
        except StatusError as error:
            if not is_already_exists(error):
                raise


def _is_there(api: Api, resource: Resource, name: str, namespace: str | None) -> bool:
    try:
        api.get(resource, name, namespace)
    except StatusError as error:
        if is_not_found(error):
            return False
        raise
    return True


def _totals(nodes: str) -> dict[str, str]:
    sums: dict[str, int] = {}
    presented = parse_nodes(nodes)
    for node in presented:
        for resource, quantity in capacity_of(node, find_capabilities(), sole=len(presented) == 1).items():
            sums[resource] = sums.get(resource, 0) + amount(resource, quantity)
    return {
        resource: format_amount(resource, units)
        for resource, units in sums.items()
        if resource in ("cpu", "memory", "nvidia.com/gpu") and units
    }


def _cluster_queue(totals: dict[str, str]) -> dict[str, Any]:
    resources = [{"name": name, "nominalQuota": quantity} for name, quantity in totals.items()]
    return {
        "metadata": {"name": "default"},
        "spec": {
            "namespaceSelector": {},
            "queueingStrategy": "BestEffortFIFO",
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [{"coveredResources": list(totals), "flavors": [{"name": "default-flavor", "resources": resources}]}],
        },
    }
