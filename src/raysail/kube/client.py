"""The one protocol by which every part of raysail reads and writes objects.

Implementations: `raysail.kube.http` (any Kubernetes API, over TLS or a Unix socket). Reads give plain dicts, or bytes where a caller decodes
into a view itself; writes are patches of the fields that the caller owns (never a whole-object PUT).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from raysail.api.resources import Resource

JsonObject = dict[str, Any]
JsonArray = list[dict[str, Any]]


class PatchType(StrEnum):
    """Media types of PATCH."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Propagation(StrEnum):
    """What happens to the dependents of a deleted object."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a list: each item's JSON text, and the list's own version to watch from."""

    items: list[bytes]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One change seen by a watch. `type` is ADDED, MODIFIED, DELETED, BOOKMARK; `object` the JSON text."""

    type: str
    object: bytes


class Client(Protocol):
    """Typed requests against one API server. All raise raysail.api.errors.StatusError when refused, ConnectionError when out of reach.

    `namespace` is None for cluster-scoped kinds (and for list and watch over all namespaces).
    """

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> JsonObject:
        """The object."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Page:
        """One page of objects (all of them when limit is 0); as PartialObjectMetadata when only their metadata is asked for."""
        ...

    async def create(
        self,
        resource: Resource,
        body: JsonObject,
        namespace: str | None = None,
        *,
        name: str = "",
        subresource: str = "",
        field_manager: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """POST; with `name` and `subresource` for the likes of pods/NAME/binding, serviceaccounts/NAME/token."""
        ...

    async def update(
        self, resource: Resource, body: JsonObject, namespace: str | None = None, *, subresource: str = "", field_manager: str = ""
    ) -> JsonObject:
        """PUT of a whole object. Only for objects that are wholly ours and small, such as Leases."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonObject | JsonArray,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the field's word
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        """The object after the patch. Put metadata.resourceVersion (or uid) into a merge patch to make it conditional."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """DELETE; `uid` and `resource_version` are preconditions."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
        metadata_only: bool = False,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Changes after that version until the server ends the stream. An ERROR event is raised as StatusError (410 Expired: list again).

        `on_open` is called when the server has accepted the watch, which may be long before the first event.
        """
        ...

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Any request, unraised: (HTTP status, headers, body)."""
        ...
