"""The rules that follow from a built-in kind's schema alone: which fields exist, and what belongs to status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from raysail.api.errors import Cause
from raysail.api.openapi import SchemaNode
from raysail.apiserver.strategy import Decoded, JsonObject, Request


class SchemaStrategy:
    """A kind without rules of its own."""

    def __init__(self, schema: SchemaNode, *, has_status: bool) -> None:
        self.schema = schema
        self._has_status = has_status

    def decode(self, obj: JsonObject) -> Decoded:
        """Prunes what the schema does not have."""
        unknown: list[str] = []
        return Decoded(_pruned(obj, self.schema, "", unknown), unknown)

    def default(self, obj: JsonObject) -> None:
        """Nothing to fill in."""

    def prepare_for_create(self, obj: JsonObject, request: Request) -> None:
        """Status is not for creators."""
        if self._has_status:
            obj.pop("status", None)

    def prepare_for_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
        """Status changes through its subresource only, all else not through it."""
        if request.subresource == "status":
            kept = {key: value for key, value in old.items() if key != "status"}
            status = obj.get("status")
            labels = obj["metadata"]
            obj.clear()
            obj |= {**kept, "metadata": {**old["metadata"], "managedFields": labels.get("managedFields")}}
            if status is not None:
                obj["status"] = status
        elif self._has_status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]

    def validate(self, obj: JsonObject, request: Request) -> list[Cause]:
        """No faults beyond the schema's."""
        return []

    def validate_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> list[Cause]:
        """Nothing is immutable."""
        return []

    def spec_changed(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Whether `spec` differs."""
        return obj.get("spec") != old.get("spec")

    def warnings(self, obj: Mapping[str, Any]) -> list[str]:
        """None."""
        return []


class NameAndAge:
    """The columns of a kind without columns of its own."""

    def definitions(self) -> list[JsonObject]:
        """Name and age."""
        return [
            {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
        ]

    def cells(self, obj: Mapping[str, Any], now: datetime) -> list[Any]:
        """Of one row."""
        return [obj["metadata"].get("name", ""), obj["metadata"].get("creationTimestamp")]


def _pruned(value: Any, node: SchemaNode | None, path: str, unknown: list[str]) -> Any:
    if isinstance(value, dict):
        if node is None or node.preserves_unknown or not (node.properties or node.values):
            return value
        result = {}
        for key, member in value.items():
            child = node.child(key)
            at = f"{path}.{key}" if path else key
            if child is None:
                unknown.append(at)
            elif member is not None:
                result[key] = _pruned(member, child, at, unknown)
        return result
    if isinstance(value, list):
        items = node.items if node is not None else None
        return [_pruned(item, items, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    return value
