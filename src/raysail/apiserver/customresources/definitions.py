"""From a CustomResourceDefinition to what the API serves: one Definition for each served version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from raysail.api.resources import Resource
from raysail.apiserver.customresources.columns import CustomColumns
from raysail.apiserver.customresources.scale import ScalePaths
from raysail.apiserver.customresources.strategy import CustomStrategy
from raysail.apiserver.strategy import Conversion, Definition, JsonObject, Strategy

StrategyFactory = Callable[[CustomStrategy], Strategy]


class VersionChange:
    """Conversion strategy None: all versions have the same fields, only apiVersion says which one it is.

    An object is read as it was stored: with the defaults that the schema of its stored version has by now, and without what the version asked for does
    not know. Source: crdConversionRESTOptionsGetter in apiextensions pkg/apiserver/customresource_handler.go.
    """

    def __init__(self, strategy: CustomStrategy, storage: str, strategies: Mapping[str, CustomStrategy]) -> None:
        self._strategy = strategy
        self._storage = strategies.get(storage, strategy)
        self._strategies = strategies

    def from_storage(self, obj: JsonObject) -> JsonObject:
        """The stored object as this version shows it."""
        stored = self._strategies.get(str(obj.get("apiVersion", "")).rpartition("/")[2])
        if stored is not None:
            stored.default(obj)
        obj["apiVersion"] = self._strategy.resource.api_version
        if not self._strategy.preserve:
            self._strategy.structural.prune(obj)
        return obj

    def to_storage(self, obj: JsonObject) -> JsonObject:
        """The object as the storage version keeps it."""
        obj["apiVersion"] = self._storage.resource.api_version
        if self._storage is not self._strategy and not self._storage.preserve:
            self._storage.structural.prune(obj)
        return obj


def definitions(crd: Mapping[str, Any]) -> Iterator[Definition]:
    """What an accepted CRD (or its `outline`) serves. Cheap: schemas are read and compiled when the first object of a version comes.

    Names are the accepted ones (`status.acceptedNames`), as long as there are any. Webhook conversion is the caller's to replace.
    """
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or {}
    names = names if names.get("plural") else spec["names"]
    strategies = {version["name"]: _strategy(spec, names, version) for version in spec["versions"]}
    storage = next((version["name"] for version in spec["versions"] if version.get("storage")), "")
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        strategy = strategies[version["name"]]
        # While a CRD is as it was created, its storage version's objects are stored just as they are shown.
        as_stored = version["name"] == storage and crd["metadata"].get("generation", 1) == 1
        conversion: Conversion | None = None if as_stored else VersionChange(strategy, storage, strategies)
        subresources = version.get("subresources") or {}
        yield Definition(
            resource=strategy.resource,
            strategy=strategy,
            columns=CustomColumns(version.get("additionalPrinterColumns")),
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(name for name in ("status", "scale") if name in subresources),
            storage_version=storage,
            selectable_fields=tuple(f["jsonPath"].removeprefix(".") for f in version.get("selectableFields") or ()),
            deprecation_warning=_deprecation(strategy.resource, version),
            custom=True,
            conversion=conversion,
            list_kind=names.get("listKind") or f"{names['kind']}List",
        )


def _strategy(spec: Mapping[str, Any], names: Mapping[str, Any], version: Mapping[str, Any]) -> CustomStrategy:
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    return CustomStrategy(
        Resource(spec["group"], version["name"], names["kind"], names["plural"], namespaced=spec.get("scope") == "Namespaced"),
        partial(_schema, version.get("schema")),
        has_status="status" in subresources,
        scale=ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or "") if scale else None,
        preserve=bool(spec.get("preserveUnknownFields")),
    )


def _schema(source: Mapping[str, Any] | msgspec.Raw | None) -> Mapping[str, Any]:
    """The schema of a version, which may still be text."""
    found: Mapping[str, Any] | None = msgspec.json.decode(source) if isinstance(source, msgspec.Raw) else source
    return (found or {}).get("openAPIV3Schema") or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _deprecation(resource: Resource, version: Mapping[str, Any]) -> str:
    """What a `Warning:` header says on every request of a deprecated version."""
    if not version.get("deprecated"):
        return ""
    said: str = version.get("deprecationWarning") or f"{resource.api_version} {resource.kind} is deprecated"
    return said
