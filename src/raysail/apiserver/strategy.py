"""What a kind decides about its own objects: the seam between the generic write path and each kind.

The write path (`apiserver.rest`) does what is the same for all kinds: metadata, uid, generation, resourceVersion, finalizers, conflicts, storage.
A `Strategy` does what differs: which fields exist, what is filled in, what is refused, what an update may change. Built-in kinds have theirs in
`apiserver.kinds`, custom ones theirs in `apiserver.customresources`. All methods are pure; times come in through `Request.now`.

Order of a create: decode → default → (owners noted) → (admission) → prepare_for_create → default (of what was put in) → validate → store.
Order of an update or patch: decode → prepare_for_update → default → (owners noted) → (admission) → validate_update → store.
As in k8s.io/apiserver pkg/registry/rest/{create,update}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from raysail.api.errors import Cause
from raysail.api.openapi import SchemaNode
from raysail.api.resources import Resource

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what, as far as a kind may care. `subresource` is empty, `status`, `scale`, `resize`, ..."""

    now: datetime
    subresource: str = ""
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object as its kind understands it. `unknown` and `duplicate` are paths of fields it does not know or that came twice, e.g. `spec.foo`."""

    object: JsonObject
    unknown: Sequence[str] = ()
    duplicate: Sequence[str] = ()


class Strategy(Protocol):
    """The rules of one kind in one version. Objects handed in may be changed in place and are handed back."""

    @property
    def schema(self) -> SchemaNode:
        """What objects of the kind look like."""
        ...

    @property
    def defaults_at_decoding(self) -> bool:
        """Whether `decode` fills in defaults, too: then a new object needs no `default` of its own."""
        ...

    @property
    def prepares_creation(self) -> bool:
        """Whether `prepare_for_create` may change anything."""
        ...

    def decode(self, obj: JsonObject) -> Decoded:
        """Prunes fields that the kind does not have, drops nulls that Go would drop, canonicalises quantities. Raises StatusError (BadRequest) on a wrong type."""
        ...

    def default(self, obj: JsonObject) -> None:
        """Fills in what the kind's defaults say."""
        ...

    def prepare_for_create(self, obj: JsonObject, request: Request) -> None:
        """Drops what a creator may not set (status where it is a subresource), sets initial status and generated values."""
        ...

    def prepare_for_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
        """Carries over what this (sub)resource may not change: status on the main resource, everything but status on `status`."""
        ...

    def validate(self, obj: JsonObject, request: Request) -> list[Cause]:
        """The faults of a new object; metadata's common rules are checked by the write path."""
        ...

    def validate_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> list[Cause]:
        """The faults of a changed object: `validate` and what is immutable."""
        ...

    def spec_changed(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Whether metadata.generation grows."""
        ...

    def warnings(self, obj: Mapping[str, Any]) -> list[str]:
        """Texts for `Warning:` headers."""
        ...


class TableColumns(Protocol):
    """How a kind is printed by `kubectl get`."""

    def definitions(self) -> list[JsonObject]:
        """The `columnDefinitions` of a Table."""
        ...

    def cells(self, obj: Mapping[str, Any], now: datetime) -> list[Any]:
        """The cells of one row."""
        ...


class Conversion(Protocol):
    """Between the version a client speaks and the one that is stored. Pure; the given object may be changed and handed back."""

    def from_storage(self, obj: JsonObject) -> JsonObject:
        """The stored object in the version of the Definition."""
        ...

    def to_storage(self, obj: JsonObject) -> JsonObject:
        """An object of the Definition's version as it is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Definition:
    """One resource that the API serves in one version.

    `subresources` names those beside the main one (`status`, `scale`, `log`, `exec`, ...). `storage_version` is the version objects are kept in
    (empty: the resource's own); `conversion` brings them from there and back, where that is another one. `storage_group` is set where another
    group's kind keeps the objects (events.k8s.io/v1 Event is kept as core/v1 Event).
    `selectable_fields` the paths a field selector may use besides metadata.name and metadata.namespace.
    """

    resource: Resource
    strategy: Strategy
    columns: TableColumns
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ("status",)
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    storage_version: str = ""
    selectable_fields: tuple[str, ...] = ()
    deprecation_warning: str = ""
    custom: bool = False
    conversion: Conversion | None = None
    storage_group: str | None = None
    list_kind: str = ""

    @property
    def group_resource(self) -> str:
        """`pods`, `jobs.batch`: as messages name it."""
        resource = self.resource
        return f"{resource.plural}.{resource.group}" if resource.group else resource.plural

    @property
    def collection(self) -> str:
        """Where the store keeps the objects; all versions of a kind share it."""
        group = self.resource.group if self.storage_group is None else self.storage_group
        return f"{self.resource.plural}.{group}" if group else self.resource.plural
