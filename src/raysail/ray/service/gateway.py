"""Step-by-step upgrades: Gateway and HTTPRoute, and how capacity and traffic move between two clusters. Pure.

Capacity first, in steps of maxSurgePercent; then traffic follows up to that capacity, in steps of stepSizePercent every intervalSeconds; then the other
cluster gives up capacity; and so on. A rollback is the same the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from raysail.api.conditions import is_true
from raysail.api.meta import parse_time
from raysail.api.ray import ClusterUpgradeOptions, RayCluster, RayService, names
from raysail.api.ray import service as states
from raysail.ray import naming
from raysail.ray.pods.build import controller_reference
from raysail.ray.pods.container import port_named
from raysail.ray.service.draft import Draft

Object = dict[str, Any]


def options_of(service: RayService) -> ClusterUpgradeOptions:
    """The steps."""
    strategy = service.spec.upgrade_strategy
    return (strategy.cluster_upgrade_options if strategy else None) or ClusterUpgradeOptions()


def gateway_name(service: RayService) -> str:
    """The Gateway of a service."""
    return f"{service.metadata.name}-gateway"


def route_name(service: RayService) -> str:
    """The HTTPRoute of a service."""
    return f"{service.metadata.name}-httproute"


def gateway(service: RayService) -> Object:
    """One HTTP listener."""
    return _object(
        "Gateway",
        gateway_name(service),
        service,
        {"gatewayClassName": options_of(service).gateway_class_name, "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
    )


def route(service: RayService, active: RayCluster, pending: RayCluster | None, weights: tuple[int, int]) -> Object:
    """Everything below `/`, shared out between the clusters' own serve Services."""
    namespace = service.metadata.namespace

    def backend(cluster: RayCluster, weight: int) -> Object:
        containers = (cluster.spec.head_group_spec.template.get("spec") or {}).get("containers") or [{}]
        port = port_named(containers[0], names.SERVING_PORT_NAME) or names.SERVING_PORT
        return {"name": naming.serve_service(cluster.metadata.name), "namespace": namespace, "port": port, "weight": weight}

    backends = [backend(active, weights[0])] + ([backend(pending, weights[1])] if pending else [])
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}
    parents = [{"name": gateway_name(service), "namespace": namespace}]
    return _object("HTTPRoute", route_name(service), service, {"parentRefs": parents, "rules": [rule]})


def says_the_same(found: Any, wanted: Any) -> bool:
    """Whether what is there has all that is wanted; what the API or a gateway's controller added does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(says_the_same(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(says_the_same, found, wanted))
    return bool(found == wanted)


def weights_in(route_: Object | None, active: str, pending: str) -> tuple[int, int]:
    """The shares of two clusters in a route; -1 where a cluster is not in it."""
    rules = ((route_ or {}).get("spec") or {}).get("rules") or [{}]
    found = {ref.get("name"): int(ref.get("weight", 0)) for ref in rules[0].get("backendRefs") or ()}
    active_weight, pending_weight = (found.get(naming.serve_service(name), -1) if name else -1 for name in (active, pending))
    return active_weight, pending_weight


def is_gateway_ready(gateway_: Object | None) -> bool:
    """Whether a Gateway takes traffic."""
    return _all_true(((gateway_ or {}).get("status") or {}).get("conditions"), "Accepted", "Programmed")


def is_route_ready(route_: Object | None, service: RayService) -> bool:
    """Whether the Gateway has taken the route."""
    parents = ((route_ or {}).get("status") or {}).get("parents") or ()
    return any(
        _all_true(parent.get("conditions"), "Accepted", "ResolvedRefs")
        for parent in parents
        if (parent.get("parentRef") or {}).get("name") == gateway_name(service)
    )


def next_weights(service: RayService, draft: Draft, now: datetime, *, pending_ready: bool) -> tuple[int, int]:
    """Shares of traffic of the active and the pending cluster from now on."""
    active = 100 if draft.active.traffic_routed_percent is None else draft.active.traffic_routed_percent
    pending = draft.pending.traffic_routed_percent or 0
    active_capacity = 100 if draft.active.target_capacity is None else draft.active.target_capacity
    pending_capacity = draft.pending.target_capacity or 0
    back = is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS)
    if (active == active_capacity) if back else (pending == pending_capacity):
        return active, pending
    options = options_of(service)
    moved = (draft.active if back else draft.pending).last_traffic_migrated_time
    if moved is not None and now < parse_time(moved) + timedelta(seconds=options.interval_seconds or 0):
        return active, pending
    step = options.step_size_percent or 0
    if back:
        active = min(100, active + step, active_capacity)
        return active, 100 - active
    if pending_ready:
        pending = min(100, pending + step, pending_capacity)
        return 100 - pending, pending
    return active, pending


def next_capacity(service: RayService, draft: Draft, cluster: str) -> int | None:
    """The capacity that a cluster should have from now on; None where it stays, or the other one comes first."""
    active = 100 if draft.active.target_capacity is None else draft.active.target_capacity
    pending = draft.pending.target_capacity or 0
    surge = options_of(service).max_surge_percent
    surge = 100 if surge is None else surge
    is_active, is_pending = cluster == draft.active.ray_cluster_name, cluster == draft.pending.ray_cluster_name
    if is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS):
        if active != (draft.active.traffic_routed_percent or 0):
            return None
        if active + pending > 100:
            return max(0, pending - surge) if is_pending else None
        return min(100, active + surge) if is_active else None
    if pending != (draft.pending.traffic_routed_percent or 0):
        return None
    if active + pending > 100:
        return max(0, active - surge) if is_active else None
    return min(100, pending + surge) if is_pending else None


def is_capacity_moving(draft: Draft) -> bool:
    """Whether some capacity still has to move."""
    if not draft.active.ray_cluster_name or not draft.pending.ray_cluster_name:
        return False
    if None in (
        draft.active.target_capacity,
        draft.active.traffic_routed_percent,
        draft.pending.target_capacity,
        draft.pending.traffic_routed_percent,
    ):
        return True
    goal = (100, 0) if is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS) else (0, 100)
    return (draft.active.target_capacity, draft.pending.target_capacity) != goal


def _all_true(conditions: Any, *types: str) -> bool:
    held = {condition.get("type") for condition in conditions or () if condition.get("status") == "True"}
    return set(types) <= held


def _object(kind: str, name: str, service: RayService, spec: Object) -> Object:
    owner = controller_reference("RayService", service.metadata.name, service.metadata.uid)
    metadata = {"name": name, "namespace": service.metadata.namespace, "ownerReferences": [owner]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
