"""One custom kind's schema, ready to prune, default and judge objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from raysail.api.errors import Cause
from raysail.api.openapi import SchemaNode
from raysail.apiserver.schema.acceptance import Accept, compile_acceptance
from raysail.apiserver.schema.defaulting import Default, compile_defaulting
from raysail.apiserver.schema.embedded import coerce_embedded, embedded_resources_causes, has_embedded
from raysail.apiserver.schema.explanation import NO_OLD, explain
from raysail.apiserver.schema.pruning import Prune, compile_pruning
from raysail.apiserver.schema.uniqueness import uniqueness_causes


class StructuralSchema:
    """A structural schema (openAPIV3Schema of one version, or what gives it). Nothing is read or compiled before the first object comes."""

    def __init__(self, schema: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        self._source = schema

    @cached_property
    def node(self) -> SchemaNode:
        """The schema to walk."""
        return SchemaNode(self._source() if callable(self._source) else self._source)

    @cached_property
    def _prune(self) -> Prune:
        return compile_pruning(self.node)

    @cached_property
    def _default(self) -> Default | None:
        return compile_defaulting(self.node)

    @cached_property
    def _accept(self) -> Accept:
        return compile_acceptance(self.node)

    @cached_property
    def _accept_status(self) -> Accept:
        return compile_acceptance(self.node.properties["status"])

    @cached_property
    def _has_embedded(self) -> bool:
        return has_embedded(self.node)

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Drops unknown fields and meaningless nulls in place; returns the paths of the unknown ones, sorted. Raises DecodeError (embedded metadata)."""
        unknown = sorted(self._prune(obj) or ())
        return unknown + sorted(coerce_embedded(self.node, obj)) if self._has_embedded else unknown

    def default(self, obj: dict[str, Any]) -> None:
        """Fills in defaults in place."""
        if self._default is not None:
            self._default(obj)

    def faults(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> list[Cause]:
        """What is wrong with a defaulted object. Against `old`, faults in unchanged parts are forgiven."""
        if self._accept(obj):
            return []
        found = explain(self.node, obj, NO_OLD if old is None else old)
        found += embedded_resources_causes(self.node, obj) if self._has_embedded else []
        return found + self.list_faults(obj, old)

    def status_faults(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
        """What is wrong with a written status; the rest of the object was not written and is not judged."""
        status = self.node.properties.get("status")
        if status is None or "status" not in obj or self._accept_status(obj["status"]):
            return []
        found = explain(status, obj["status"], old.get("status", NO_OLD), "status")
        return found + self.list_faults(obj, old)

    def list_faults(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[Cause]:
        """Duplicates in sets and maps; forgiven altogether where the old object had some."""
        found = uniqueness_causes(obj, self.node)
        return [] if found and old is not None and uniqueness_causes(old, self.node) else found
