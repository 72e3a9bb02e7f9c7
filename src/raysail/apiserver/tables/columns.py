"""Columns as data: a title, where its help text stands in Kubernetes' schemas, and a function from the object to the cell.

Titles, order and cells follow k8s.io/kubernetes pkg/printers/internalversion/printers.go; help texts are those of the API's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from raysail.api.durations import human_duration
from raysail.api.openapi import builtin_schemas

JsonObject = dict[str, Any]
Cell = Callable[[Mapping[str, Any], datetime], Any]
NONE: Final = "<none>"
UNKNOWN: Final = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """`help` is a text, or `Definition.field` of a built-in schema (such as `core.v1.PodStatus.podIP`). Wide columns show with -o wide."""

    name: str
    help: str
    cell: Cell
    type: str = "string"
    format: str = ""
    wide: bool = False

    def definition(self) -> JsonObject:
        """The wire form (TableColumnDefinition)."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": help_text(self.help),
            "priority": int(self.wide),
        }


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind."""

    columns: tuple[Column, ...]
    _definitions: list[JsonObject] = field(default_factory=list)

    def definitions(self) -> list[JsonObject]:
        """The `columnDefinitions` of a Table; made at the first use, since help texts come from the schemas."""
        if not self._definitions:
            self._definitions.extend(column.definition() for column in self.columns)
        return self._definitions

    def cells(self, obj: Mapping[str, Any], now: datetime) -> list[Any]:
        """The cells of one row."""
        return [column.cell(obj, now) for column in self.columns]


def help_text(source: str) -> str:
    """The text itself, or a field's description where `source` names one."""
    package, dot, name = source.rpartition(".")
    if not dot or " " in source:
        return source
    schema = builtin_schemas().get(f"io.k8s.api.{package}") or builtin_schemas().get(f"io.k8s.apimachinery.pkg.apis.{package}")
    found: str = ((schema or {}).get("properties") or {}).get(name, {}).get("description", "")
    return found


def field_(path: str, default: Any = "") -> Cell:
    """A cell that shows the field at a dotted path."""
    keys = path.split(".")

    def read(obj: Mapping[str, Any], _: datetime) -> Any:
        return dig(obj, keys, default)

    return read


def dig(obj: Mapping[str, Any], keys: list[str], default: Any = "") -> Any:
    """The value at a path of keys, or the default."""
    value: Any = obj
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago (translateTimestampSince)."""
    return human_duration((now - datetime.fromisoformat(timestamp)).total_seconds()) if timestamp else UNKNOWN


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector as text (metav1.FormatLabelSelector)."""
    if selector is None:
        return NONE
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        terms.append(
            {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}.get(expression["operator"], f"!{key}")
        )
    return ",".join(sorted(terms)) or NONE


def map_text(labels: Mapping[str, str] | None) -> str:
    """Labels as text (labels.FormatLabels)."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def containers_and_images(path: str) -> tuple[Column, Column]:
    """The two wide columns of kinds that have a pod template; `path` is that of its containers."""
    keys = path.split(".")

    def names(obj: Mapping[str, Any], _: datetime) -> str:
        return ",".join(c.get("name", "") for c in dig(obj, keys, []))

    def images(obj: Mapping[str, Any], _: datetime) -> str:
        return ",".join(c.get("image", "") for c in dig(obj, keys, []))

    return (
        Column("Containers", "Names of each container in the template.", names, wide=True),
        Column("Images", "Images referenced by each container in the template.", images, wide=True),
    )


NAME: Final = Column("Name", "meta.v1.ObjectMeta.name", field_("metadata.name"), format="name")
AGE: Final = Column("Age", "meta.v1.ObjectMeta.creationTimestamp", lambda obj, now: since(obj["metadata"].get("creationTimestamp"), now))
CREATED_AT: Final = Column(
    "Created At", "meta.v1.ObjectMeta.creationTimestamp", lambda obj, _: obj["metadata"].get("creationTimestamp"), type="date"
)
PLAIN: Final = Columns((NAME, CREATED_AT))
"""For kinds without columns of their own (rest.DefaultTableConvertor)."""
