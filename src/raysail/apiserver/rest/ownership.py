"""Which manager owns which field of what is written here: `apiserver.apply` for each kind, version and subresource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.openapi import SchemaNode
from raysail.apiserver.apply import FieldManager, reset_fields
from raysail.apiserver.registry import Registry
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.strategy import Definition


class SiblingVersions:
    """The other versions of a kind, as the registry has them now."""

    def __init__(self, registry: Registry, definition: Definition) -> None:
        self._registry = registry
        self._definition = definition

    def _find(self, api_version: str) -> Definition | None:
        group, _, version = api_version.rpartition("/")
        found = self._registry.find(group, version, self._definition.resource.plural)
        return found if found is not None and found.collection == self._definition.collection else None

    def schema(self, api_version: str) -> SchemaNode | None:
        """The schema in that version, None if it is not served."""
        found = self._find(api_version)
        return found.strategy.schema if found else None

    def convert(self, obj: Mapping[str, Any], api_version: str) -> dict[str, Any]:
        """An object of this version in that one."""
        found = self._find(api_version)
        if found is None:
            raise KeyError(api_version)
        stored = dict(obj)
        if self._definition.conversion:
            stored = self._definition.conversion.to_storage(stored)
        return decoded(found, stored)


class Ownership:
    """Field managers, made when first needed and kept for as long as their definition is served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: dict[tuple[str, str, str, str], tuple[Definition, FieldManager]] = {}

    def manager(self, definition: Definition, subresource: str) -> FieldManager:
        """The bookkeeper of writes to that (sub)resource."""
        resource = definition.resource
        key = (resource.group, resource.version, resource.plural, subresource)
        kept = self._kept.get(key)
        if kept is not None and kept[0] is definition:
            return kept[1]
        has_status = "status" in definition.subresources
        reset = reset_fields(resource.kind, subresource, has_status=has_status, custom=definition.custom)
        versions = SiblingVersions(self._registry, definition)
        made = FieldManager(definition.strategy.schema, resource.api_version, resource.kind, subresource, reset, versions)
        self._kept[key] = (definition, made)
        return made

    def track(self, call: Call, live: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Notes in `new` what this write owns."""
        manager = self.manager(call.definition, call.target.subresource)
        entries = manager.track(live, new, manager=call.manager, now=call.now)
        if entries:
            new["metadata"]["managedFields"] = entries
        else:
            new["metadata"].pop("managedFields", None)
