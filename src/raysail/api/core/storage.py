"""Claims on storage and the volumes behind them."""

from __future__ import annotations

from typing import Any

from raysail.api.core.service import ObjectReference
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity


class VolumeResources(View, frozen=True):
    """How much storage is asked for."""

    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class PersistentVolumeClaimSpec(View, frozen=True):
    """Which storage is wanted."""

    access_modes: list[str] | None = None
    resources: VolumeResources = VolumeResources()
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str = ""
    selector: dict[str, Any] | None = None


class PersistentVolumeClaimStatus(View, frozen=True):
    """`phase` is Pending, Bound or Lost."""

    phase: str = ""
    access_modes: list[str] | None = None
    capacity: dict[str, Quantity] | None = None
    conditions: list[Condition] | None = None


class PersistentVolumeClaim(Object, frozen=True):
    """A request for storage."""

    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class PersistentVolumeSpec(View, frozen=True):
    """Which storage there is. Only what a machine provides is typed."""

    capacity: dict[str, Quantity] | None = None
    access_modes: list[str] | None = None
    persistent_volume_reclaim_policy: str = ""
    storage_class_name: str = ""
    volume_mode: str | None = None
    claim_ref: ObjectReference | None = None
    local: dict[str, Any] | None = None
    host_path: dict[str, Any] | None = None
    node_affinity: dict[str, Any] | None = None


class PersistentVolumeStatus(View, frozen=True):
    """`phase` is Pending, Available, Bound, Released or Failed."""

    phase: str = ""
    reason: str = ""
    message: str = ""


class PersistentVolume(Object, frozen=True):
    """A piece of storage."""

    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()
