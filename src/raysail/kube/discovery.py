"""Which kinds an API server serves: aggregated discovery (apidiscovery.k8s.io/v2), and the older one document per group version where that is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.errors import StatusError
from raysail.api.resources import Resource
from raysail.kube.client import Client

_AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True, slots=True)
class ServedKind:
    """One kind in the version its group prefers, and what may be done with it."""

    resource: Resource
    verbs: frozenset[str]


async def served_kinds(client: Client) -> list[ServedKind]:
    """Every kind once (subresources aside), in the most preferred version that has it. Raises StatusError, ConnectionError."""
    core, named = await asyncio.gather(_document(client, "/api"), _document(client, "/apis"))
    found: list[ServedKind] = []
    for root, document in (("/api", core), ("/apis", named)):
        if document.get("kind") == "APIGroupDiscoveryList":
            found += _aggregated(document)
        else:
            found += await _legacy(client, root, document)
    first: dict[tuple[str, str], ServedKind] = {}
    for kind in found:
        first.setdefault((kind.resource.group, kind.resource.plural), kind)
    return list(first.values())


async def _document(client: Client, path: str) -> Mapping[str, Any]:
    status, _, body = await client.raw("GET", path, headers={"Accept": _AGGREGATED})
    document: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {}
    if status >= 400:
        raise StatusError.from_status(document, status)
    return document


def _aggregated(document: Mapping[str, Any]) -> list[ServedKind]:
    found = []
    for group in document.get("items") or ():
        group_name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                continue
            for entry in version.get("resources") or ():
                kind = (entry.get("responseKind") or {}).get("kind", "")
                if kind:
                    resource = Resource(group_name, version["version"], kind, entry["resource"], entry.get("scope") != "Cluster")
                    found.append(ServedKind(resource, frozenset(entry.get("verbs") or ())))
    return found


async def _legacy(client: Client, root: str, document: Mapping[str, Any]) -> list[ServedKind]:
    if root == "/api":
        versions = [("", version) for version in document.get("versions") or ()]
    else:
        versions = [
            (group["name"], version["version"])
            for group in document.get("groups") or ()
            for version in sorted(
                group.get("versions") or (), key=lambda v, g=group: v["version"] != (g.get("preferredVersion") or {}).get("version")
            )
        ]
    paths = [f"{root}/{version}" if not group else f"{root}/{group}/{version}" for group, version in versions]
    answers = await asyncio.gather(*(_document(client, path) for path in paths))
    return [
        ServedKind(
            Resource(group, version, entry["kind"], entry["name"], bool(entry.get("namespaced"))), frozenset(entry.get("verbs") or ())
        )
        for (group, version), answer in zip(versions, answers, strict=True)
        for entry in answer.get("resources") or ()
        if "/" not in entry["name"]
    ]
