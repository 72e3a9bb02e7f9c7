"""The end of a RayService's reconcile: promotion of a pending cluster, preparation of another, endpoints, conditions (calculateStatus). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raysail.api.conditions import find, is_true
from raysail.api.meta import format_time, parse_time
from raysail.api.ray import AppStatus, RayCluster, RayClusterStatus, RayService, RayServiceStatus, ServeDeploymentStatus, names
from raysail.api.ray import cluster as cluster_states
from raysail.api.ray import service as states
from raysail.ray.cluster.actions import Event
from raysail.ray.service import clusters
from raysail.ray.service.draft import Draft
from raysail.ray.settings import RaySettings

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What this reconcile saw. `points_at`: the cluster that head and serve Service select, None where they were not looked at;
    `weights`: shares of traffic of the active and the pending cluster in the HTTPRoute, -1 for none.
    """

    active: RayCluster | None = None
    pending: RayCluster | None = None
    active_apps: Mapping[str, AppStatus] | None = None
    pending_apps: Mapping[str, AppStatus] | None = None
    points_at: str | None = None
    weights: tuple[int, int] = (-1, -1)
    endpoints: int = 0
    new_name: str = ""


def applications(details: Mapping[str, Any]) -> tuple[bool, dict[str, AppStatus]]:
    """Ray Serve's word as it stands in the status, and whether all of it runs (and there is some of it)."""
    found = {
        name or "default": AppStatus(
            status=app.get("status") or "",
            message=app.get("message") or "",
            deployments={
                key: ServeDeploymentStatus(status=value.get("status") or "", message=value.get("message") or "")
                for key, value in (app.get("deployments") or {}).items()
            },
        )
        for name, app in details.items()
    }
    return bool(found) and all(app.status == states.APP_RUNNING for app in found.values()), found


def conclude(service: RayService, draft: Draft, seen: Seen, settings: RaySettings, now: datetime) -> list[Event]:
    """Completes the draft. The caller has changed target capacities and the rollback condition already."""
    incremental = clusters.is_incremental(service.spec, settings)
    draft.generation = service.metadata.generation
    active, pending = seen.active, seen.pending
    draft.change_active(ray_cluster_status=active.status if active else RayClusterStatus(), applications=_apps(seen.active_apps))
    draft.change_pending(ray_cluster_status=pending.status if pending else RayClusterStatus(), applications=_apps(seen.pending_apps))
    pending_serves = False
    if seen.points_at is not None:
        if incremental:
            _record_traffic(draft, seen, now)
        pending_serves = seen.points_at == draft.pending.ray_cluster_name
        if _is_promoted(draft, seen, incremental=incremental):
            draft.active, draft.pending = draft.pending, RayServiceStatus()
    if is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS) and _is_rolled_back(draft, pending):
        draft.pending, pending = RayServiceStatus(), None
        draft.remove(states.ROLLBACK_IN_PROGRESS)
        text = "Rollback complete, active Ray cluster exists and no pending Ray cluster"
        draft.set(states.UPGRADE_IN_PROGRESS, False, states.NO_PENDING_CLUSTER, text)
    rolling_back = is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS)
    if not pending_serves and clusters.wants_new_cluster(service, active, pending, settings, rolling_back=rolling_back):
        capacity = (0 if draft.active.ray_cluster_name else 100) if incremental else None
        draft.pending = RayServiceStatus(ray_cluster_name=seen.new_name, target_capacity=capacity)
    draft.endpoints = seen.endpoints
    events = _conditions(service, draft, now)
    draft.service_status = states.RUNNING if is_true(draft.conditions, states.READY) else ""
    return events


def initializing_timeout_seconds(annotations: Mapping[str, str] | None) -> float | None:
    """How long a service may take to become ready: a Go duration or whole seconds; None where nothing is said. Raises ValueError."""
    text = (annotations or {}).get(names.INITIALIZING_TIMEOUT_ANNOTATION, "")
    if not text:
        return None
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    raise ValueError(
        f"annotation {names.INITIALIZING_TIMEOUT_ANNOTATION} has invalid format: {text}. "
        "Expected Go duration format (e.g., '5m', '1h') or positive integer seconds"
    )


def has_timed_out(service: RayService) -> bool:
    """Whether the service has given up: only deleting it helps."""
    ready = find(service.status.conditions, states.READY)
    return ready is not None and ready.status == "False" and ready.reason == states.INITIALIZING_TIMEOUT


def _apps(found: Mapping[str, AppStatus] | None) -> dict[str, AppStatus] | None:
    return dict(found) if found else None


def _record_traffic(draft: Draft, seen: Seen, now: datetime) -> None:
    active_weight, pending_weight = seen.weights
    if active_weight >= 0:
        moved = {"last_traffic_migrated_time": format_time(now)} if active_weight != draft.active.traffic_routed_percent else {}
        draft.change_active(traffic_routed_percent=active_weight, **moved)
    if pending_weight >= 0 and seen.pending is not None:
        moved = {"last_traffic_migrated_time": format_time(now)} if pending_weight != draft.pending.traffic_routed_percent else {}
        draft.change_pending(traffic_routed_percent=pending_weight, **moved)


def _is_promoted(draft: Draft, seen: Seen, *, incremental: bool) -> bool:
    if not incremental:
        return seen.points_at == draft.pending.ray_cluster_name != draft.active.ray_cluster_name
    if is_true(draft.conditions, states.UPGRADE_IN_PROGRESS):
        complete = seen.pending is not None and draft.active.target_capacity == 0 and draft.pending.traffic_routed_percent == 100
        return complete and not is_true(draft.conditions, states.ROLLBACK_IN_PROGRESS)
    return not draft.active.ray_cluster_name and bool(draft.pending.ray_cluster_name)


def _is_rolled_back(draft: Draft, pending: RayCluster | None) -> bool:
    if (draft.active.target_capacity, draft.active.traffic_routed_percent) != (100, 100):
        return False
    healthy = pending is not None and is_true(pending.status.conditions, cluster_states.HEAD_POD_READY)
    return not healthy or (draft.pending.target_capacity, draft.pending.traffic_routed_percent) == (0, 0)


def _conditions(service: RayService, draft: Draft, now: datetime) -> list[Event]:
    events: list[Event] = []
    if not draft.conditions:
        draft.set(states.READY, False, states.INITIALIZING, "RayService is initializing")
        draft.set(states.UPGRADE_IN_PROGRESS, False, states.INITIALIZING, "RayService is initializing")
    if draft.endpoints > 0:
        draft.set(states.READY, True, states.NON_ZERO_SERVE_ENDPOINTS, "Number of serve endpoints is greater than 0")
    elif is_true(draft.conditions, states.READY):
        draft.set(states.READY, False, states.ZERO_SERVE_ENDPOINTS, "Number of serve endpoints dropped to 0")
    else:
        events = _give_up(service, draft, now)
    active, pending = draft.active.ray_cluster_name, draft.pending.ray_cluster_name
    if active and pending:
        text = "Both active and pending Ray clusters exist"
        draft.set(states.UPGRADE_IN_PROGRESS, True, states.BOTH_ACTIVE_PENDING_CLUSTERS_EXIST, text)
    elif active:
        text = "Active Ray cluster exists and no pending Ray cluster"
        draft.set(states.UPGRADE_IN_PROGRESS, False, states.NO_PENDING_CLUSTER, text)
    else:
        found = find(draft.conditions, states.UPGRADE_IN_PROGRESS)
        if found is None or found.reason not in (states.INITIALIZING, states.INITIALIZING_TIMEOUT):
            text = "No active Ray cluster exists, and the RayService is not initializing. Please open a GitHub issue in the KubeRay repository."
            draft.set(states.UPGRADE_IN_PROGRESS, "Unknown", states.NO_ACTIVE_CLUSTER, text)
    return events


def _give_up(service: RayService, draft: Draft, now: datetime) -> list[Event]:
    """After the time that the user allows for it, an initializing service fails for good, and its clusters go."""
    allowed = initializing_timeout_seconds(service.metadata.annotations)
    ready = find(draft.conditions, states.READY)
    if allowed is None or ready is None or ready.reason != states.INITIALIZING or not ready.last_transition_time:
        return []
    spent = (now - parse_time(ready.last_transition_time)).total_seconds()
    if spent < allowed:
        return []
    draft.change_active(ray_cluster_name="")
    draft.change_pending(ray_cluster_name="")
    text = f"RayService failed to become ready within the configured timeout of {_shown(allowed)}. Time spent initializing: {spent:.9f}s"
    draft.set(states.READY, False, states.INITIALIZING_TIMEOUT, text)
    told = f"RayService initializing timeout exceeded after {spent:.9f}s (configured timeout: {_shown(allowed)})"
    return [Event("Warning", "RayServiceInitializingTimeout", told, "Reconcile")]


def _shown(seconds: float) -> str:
    """As Go prints a duration of whole seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
