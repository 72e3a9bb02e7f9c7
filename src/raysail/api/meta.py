"""What every object has: metadata, owners, conditions; as frozen read views.

Views are `msgspec.Struct`s for controllers: null tolerant (Go writes `creationTimestamp: null`), enums as `str`, unknown fields ignored.
They are never written back whole; a controller writes patches of the fields it owns.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec


class View(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Base of all read views: attributes in snake_case, JSON in camelCase, immutable."""


class OwnerReference(View, frozen=True):
    """Who an object belongs to."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(View, frozen=True):
    """metadata of an object. Times are RFC 3339 text in UTC, whole seconds, as stored."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name): what work queues and caches use. The namespace of a cluster-scoped object is empty."""
        return self.namespace, self.name

    def controller_owner(self) -> OwnerReference | None:
        """The one owner that manages this object, if any (metav1.GetControllerOf)."""
        return next((o for o in self.owner_references or () if o.controller), None)


class Condition(View, frozen=True):
    """One entry of status.conditions. `status` is True, False or Unknown."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int = 0


class Object(View, frozen=True):
    """Any object: only its identity is read."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()


def format_time(moment: datetime) -> str:
    """metav1.Time: UTC, whole seconds, `Z`."""
    return _second(int(moment.timestamp()))


@lru_cache(maxsize=256)  # an API server writes the same second thousands of times
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """metav1.MicroTime: UTC with six digits of fraction."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """An aware datetime from RFC 3339 text. Raises ValueError."""
    return datetime.fromisoformat(text)


def owner_reference(owner: dict[str, Any], *, controller: bool = True, block_owner_deletion: bool = True) -> dict[str, Any]:
    """The reference that a dependent of `owner` (a complete object) carries."""
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": controller,
        "blockOwnerDeletion": block_owner_deletion,
    }
