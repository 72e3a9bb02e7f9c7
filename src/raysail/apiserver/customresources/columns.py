"""How custom objects are printed: the CRD's additionalPrinterColumns, or NAME and AGE.

Source: apiextensions pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from raysail.api.meta import parse_time
from raysail.api.openapi import builtin_node
from raysail.apiserver.customresources.json_path import Find, JsonPathError, compile_path, printed

_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


class CustomColumns:
    """The columns of one version of a custom kind."""

    def __init__(self, columns: Sequence[Mapping[str, Any]] | None) -> None:
        self.columns = columns or [_AGE]

    @cached_property
    def _paths(self) -> list[tuple[str, Find]]:
        return [(column["type"], _path(column["jsonPath"])) for column in self.columns]

    def definitions(self) -> list[dict[str, Any]]:
        """NAME and the additional ones."""
        name = {"name": "Name", "type": "string", "format": "name", "description": _described("name"), "priority": 0}
        return [name, *(_definition(column) for column in self.columns)]

    def cells(self, obj: Mapping[str, Any], now: datetime) -> list[Any]:
        """One row; a path that finds nothing gives null. Of several results the first is shown."""
        row: list[Any] = [obj["metadata"].get("name", "")]
        for kind, path in self._paths:
            found = path(obj)
            row.append(_cell(kind, found[0], now) if found else None)
        return row


def _path(text: str) -> Find:
    try:
        return compile_path(text)
    except JsonPathError:
        return lambda _: []  # stored before we checked paths: the column stays empty rather than the list unreadable


def _definition(column: Mapping[str, Any]) -> dict[str, Any]:
    path = column["jsonPath"]
    fallback = f"Custom resource definition column (in JSONPath format): {path}"
    if column is _AGE:
        fallback = _described("creationTimestamp")
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description") or fallback,
        "priority": column.get("priority", 0),
    }


def _described(field: str) -> str:
    described: str = builtin_node("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").properties[field].schema["description"]
    return described


def _cell(kind: str, value: Any, now: datetime) -> Any:
    if value is None:
        return None
    if kind == "string":
        return printed(value)
    if kind == "date":
        return _age(value, now) if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else float(value) if kind == "number" else None


def _age(text: str, now: datetime) -> str:
    try:
        moment = parse_time(text)
    except ValueError:
        return "<invalid>"
    if moment.tzinfo is None:
        return "<invalid>"
    return human_duration((now - moment).total_seconds())


def human_duration(seconds: float) -> str:
    """A span in two units at most: 5m30s, 3h, 2d4h (k8s.io/apimachinery pkg/util/duration.HumanDuration)."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    if days < 365 * 8:
        return f"{years}y{days % 365}d" if days % 365 else f"{years}y"
    return f"{years}y"
