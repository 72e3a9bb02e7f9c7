"""Namespace, and what bounds it: LimitRange and ResourceQuota."""

from __future__ import annotations

from typing import Any

from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity


class NamespaceSpec(View, frozen=True):
    """What must be done before the Namespace goes."""

    finalizers: list[str] | None = None


class NamespaceStatus(View, frozen=True):
    """`phase` is Active or Terminating."""

    phase: str = ""
    conditions: list[Condition] | None = None


class Namespace(Object, frozen=True):
    """A scope for names."""

    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class LimitRangeItem(View, frozen=True):
    """Limits of one type: Container, Pod or PersistentVolumeClaim."""

    type: str = ""
    max: dict[str, Quantity] | None = None
    min: dict[str, Quantity] | None = None
    default: dict[str, Quantity] | None = None
    default_request: dict[str, Quantity] | None = None
    max_limit_request_ratio: dict[str, Quantity] | None = None


class LimitRangeSpec(View, frozen=True):
    """All limits."""

    limits: list[LimitRangeItem] | None = None


class LimitRange(Object, frozen=True):
    """Bounds and defaults for requests and limits in a namespace."""

    spec: LimitRangeSpec = LimitRangeSpec()


class ResourceQuotaSpec(View, frozen=True):
    """How much a namespace may hold."""

    hard: dict[str, Quantity] | None = None
    scopes: list[str] | None = None
    scope_selector: dict[str, Any] | None = None


class ResourceQuotaStatus(View, frozen=True):
    """How much it holds."""

    hard: dict[str, Quantity] | None = None
    used: dict[str, Quantity] | None = None


class ResourceQuota(Object, frozen=True):
    """A cap on what a namespace holds in total."""

    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()
