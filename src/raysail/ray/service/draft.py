"""A RayService's status while a reconcile works it out: changed step by step, written once at the end, if it says anything new."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from raysail.api.conditions import set_condition
from raysail.api.meta import Condition, format_time
from raysail.api.ray import RayService, RayServiceStatus, RayServiceStatuses
from raysail.ray.patches import merge_patch, wire


class Draft:
    """Begins as the status that is stored."""

    def __init__(self, service: RayService, now: datetime) -> None:
        self._service, self._now = service, now
        self._conditions: list[dict[str, Any]] = wire(service.status).get("conditions", [])
        self.active = service.status.active_service_status
        self.pending = service.status.pending_service_status
        self.endpoints = service.status.num_serve_endpoints
        self.service_status = service.status.service_status
        self.generation = service.status.observed_generation

    @property
    def conditions(self) -> list[Condition]:
        """As they are now."""
        return msgspec.convert(self._conditions, list[Condition])

    def set(self, type_: str, status: bool | str, reason: str, message: str) -> None:
        """Sets a condition."""
        set_condition(self._conditions, type_, status, reason, message, self._now, self.generation)

    def remove(self, type_: str) -> None:
        """Removes a condition."""
        self._conditions = [condition for condition in self._conditions if condition["type"] != type_]

    def change_active(self, **changes: Any) -> None:
        """Changes fields of activeServiceStatus."""
        self.active = msgspec.structs.replace(self.active, **changes)

    def change_pending(self, **changes: Any) -> None:
        """Changes fields of pendingServiceStatus."""
        self.pending = msgspec.structs.replace(self.pending, **changes)

    def says_anything_new(self) -> bool:
        """Whether it is worth a write. The copies of the clusters' statuses are for looking at only and do not count."""
        old = self._service.status
        return (
            (old.service_status, old.num_serve_endpoints) != (self.service_status, self.endpoints)
            or wire(old).get("conditions", []) != self._conditions
            or _essence(old.active_service_status) != _essence(self.active)
            or _essence(old.pending_service_status) != _essence(self.pending)
        )

    def patch(self) -> dict[str, Any]:
        """The merge patch of the status subresource, good only for the version that the draft began with."""
        status = RayServiceStatuses(
            conditions=self.conditions,
            last_update_time=format_time(self._now),
            service_status=self.service_status,
            active_service_status=self.active,
            pending_service_status=self.pending,
            num_serve_endpoints=self.endpoints,
            observed_generation=self.generation,
        )
        version = self._service.metadata.resource_version
        return {"metadata": {"resourceVersion": version}, "status": merge_patch(wire(self._service.status), wire(status))}


def _essence(status: RayServiceStatus) -> tuple[Any, ...]:
    return (
        status.ray_cluster_name,
        status.applications or {},
        status.traffic_routed_percent,
        status.target_capacity,
        status.last_traffic_migrated_time,
    )
