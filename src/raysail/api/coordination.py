"""coordination.k8s.io/v1 as read views: Lease."""

from __future__ import annotations

from raysail.api.meta import Object, View


class LeaseSpec(View, frozen=True):
    """Who holds the lease, until when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None
    strategy: str | None = None
    preferred_holder: str | None = None


class Lease(Object, frozen=True):
    """A lock with a time limit, or a heartbeat."""

    spec: LeaseSpec = LeaseSpec()
