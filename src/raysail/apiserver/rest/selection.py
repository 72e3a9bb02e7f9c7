"""Label and field selectors of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api import selectors
from raysail.api.errors import bad_request
from raysail.api.selectors import EVERYTHING, FieldRequirement, Selector
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.store import Record
from raysail.apiserver.strategy import Definition

_METADATA_FIELDS: Final = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch shows. `name` is set where only one object can match."""

    labels: Selector = EVERYTHING
    fields: tuple[FieldRequirement, ...] = ()
    everything: bool = True

    def matcher(self, definition: Definition) -> Callable[[Record], bool]:
        """A test for stored records of the kind."""
        metadata = tuple(r for r in self.fields if r.path in _METADATA_FIELDS)
        others = tuple(r for r in self.fields if r.path not in _METADATA_FIELDS)

        def matches(record: Record) -> bool:
            if self.labels.requirements and not self.labels.matches(record.labels):
                return False
            for requirement in metadata:
                value = record.meta.name if requirement.path == "metadata.name" else record.meta.namespace
                if (value == requirement.value) != requirement.equal:
                    return False
            if not others:
                return True
            obj = decoded(definition, record.object())
            return all((field_value(obj, r.path) == r.value) == r.equal for r in others)

        return matches


def selection_of(call: Call) -> Selection:
    """The request's selectors, checked. Raises StatusError (400)."""
    labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
    if not labels and not fields:
        return Selection()
    try:
        selector = selectors.parse_labels(labels)
        terms = selectors.parse_fields(fields)
    except selectors.SelectorError as error:
        raise bad_request(str(error)) from error
    definition = call.definition
    for term in terms:
        if term.path in _METADATA_FIELDS or term.path in definition.selectable_fields:
            continue
        # Two sets of words: conversion functions of built-in kinds, the converter of custom ones.
        if definition.custom or not definition.selectable_fields:
            raise bad_request(
                f'Unable to find "{definition.resource.api_version}, Resource={definition.resource.plural}" that match label selector "{labels}", field selector "{fields}": field label not supported: {term.path}'
            )
        raise bad_request(f"field label not supported: {term.path}")
    return Selection(selector, terms, not selector.requirements and not terms)


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """The text that a field selector compares: empty for what is not there, true/false for booleans."""
    special = _SPECIAL.get((obj.get("apiVersion", ""), obj.get("kind", ""), path))
    if special is not None:
        return special(obj)
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _event_source(obj: Mapping[str, Any]) -> str:
    return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")


def _pod_ips(obj: Mapping[str, Any]) -> str:
    addresses = (obj.get("status") or {}).get("podIPs") or ()
    return str(addresses[0].get("ip", "")) if addresses else ""


def _flag(*path: str) -> Callable[[Mapping[str, Any]], str]:
    def value(obj: Mapping[str, Any]) -> str:
        found: Any = obj
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return "true" if found else "false"

    return value


def _number(*path: str) -> Callable[[Mapping[str, Any]], str]:
    def value(obj: Mapping[str, Any]) -> str:
        found: Any = obj
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return str(found or 0)

    return value


# Selectable fields that are more than the value at their path (pkg/registry/*/strategy.go).
_SPECIAL: Final[dict[tuple[str, str, str], Callable[[Mapping[str, Any]], str]]] = {
    ("v1", "Event", "source"): _event_source,
    ("v1", "Pod", "status.podIPs"): _pod_ips,
    ("v1", "Pod", "spec.hostNetwork"): _flag("spec", "hostNetwork"),
    ("v1", "Node", "spec.unschedulable"): _flag("spec", "unschedulable"),
    ("v1", "ReplicationController", "status.replicas"): _number("status", "replicas"),
    ("apps/v1", "ReplicaSet", "status.replicas"): _number("status", "replicas"),
    ("batch/v1", "Job", "status.successful"): _number("status", "succeeded"),
}
