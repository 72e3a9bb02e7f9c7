"""Definitions of the built-in kinds, from the table of names and each kind's strategy and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from raysail.api.resources import Resource
from raysail.apiserver.registry.builtin_kinds import BUILTIN_KINDS, SELECTABLE_FIELDS
from raysail.apiserver.strategy import Conversion, Definition, Strategy, TableColumns

StrategyOf = Callable[[Resource], Strategy]
ColumnsOf = Callable[[Resource], TableColumns]

_DEPRECATED: Final = {
    "ComponentStatus": "v1 ComponentStatus is deprecated in v1.19+",
    "Endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}


def builtin_definitions(strategy_of: StrategyOf, columns_of: ColumnsOf, event_conversion: Conversion) -> Iterator[Definition]:
    """All built-in kinds. Kinds that are only spoken (reviews, bindings) have `create` as their one verb and are never stored."""
    for row in BUILTIN_KINDS:
        resource = row.resource
        events = (row.group, row.kind) == ("events.k8s.io", "Event")
        yield Definition(
            resource=resource,
            strategy=strategy_of(resource),
            columns=columns_of(resource),
            singular=row.singular or row.kind.lower(),
            short_names=tuple(row.short.split()),
            categories=tuple(row.categories.split()),
            subresources=tuple(row.subresources.split()),
            verbs=tuple(row.verbs.split()),
            selectable_fields=SELECTABLE_FIELDS.get((row.group, row.kind), ()),
            storage_group="" if events else None,
            conversion=event_conversion if events else None,
            list_kind=f"{row.kind}List",
            deprecation_warning=_DEPRECATED.get(row.kind, ""),
        )
