"""The rules of one version of a custom kind, from its schema.

Rules: apiextensions pkg/registry/customresource/{strategy,status_strategy,validator}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysail.api import causes
from raysail.api.errors import Cause, bad_request
from raysail.api.openapi import SchemaNode
from raysail.api.resources import Resource
from raysail.apiserver.customresources.scale import ScalePaths
from raysail.apiserver.schema import DecodeError, StructuralSchema
from raysail.apiserver.schema.correlation import equal
from raysail.apiserver.schema.embedded import coerce_metadata
from raysail.apiserver.strategy import Decoded, JsonObject, Request

if TYPE_CHECKING:
    from raysail.apiserver.cel import SchemaRules

_NOT_CHECKED = causes.invalid(
    causes.ROOT,
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
)


class CustomStrategy:
    """What a custom kind decides about its objects in one version. Nothing is compiled before the first object comes."""

    defaults_at_decoding = False
    prepares_creation = True

    def __init__(
        self,
        resource: Resource,
        schema: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        *,
        has_status: bool,
        scale: ScalePaths | None = None,
        preserve: bool = False,
    ) -> None:
        self.resource = resource
        self.has_status = has_status
        self.scale = scale
        self.preserve = preserve
        self.structural = StructuralSchema(schema)

    @property
    def schema(self) -> SchemaNode:
        """What objects of the kind look like."""
        return self.structural.node

    @cached_property
    def _rules(self) -> SchemaRules:
        from raysail.apiserver.cel import SchemaRules  # with the first object: most starts see none

        return SchemaRules(self.structural.node)

    def _is_own_kind(self, obj: Mapping[str, Any]) -> bool:
        return obj.get("kind") == self.resource.kind

    def decode(self, obj: JsonObject) -> Decoded:
        """Metadata as ObjectMeta, unknown fields and meaningless nulls gone. An object of another kind is left for `validate` to refuse."""
        try:
            unknown = coerce_metadata(obj)
            if self._is_own_kind(obj) and not self.preserve:
                unknown += self.structural.prune(obj)
        except DecodeError as error:
            kind = self.resource.kind
            raise bad_request(f'{kind} in version "{self.resource.version}" cannot be handled as a {kind}: {error}') from error
        return Decoded(obj, unknown=unknown)

    def default(self, obj: JsonObject) -> None:
        """The schema's defaults."""
        if self._is_own_kind(obj):
            self.structural.default(obj)

    def prepare_for_create(self, obj: JsonObject, request: Request) -> None:
        """A creator does not set the status where it is a subresource."""
        if self.has_status:
            obj.pop("status", None)

    def prepare_for_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
        """Status and the rest are written apart where status is a subresource."""
        if request.subresource == "status":
            # Everything but status and the record of who manages it is as it was.
            managed = obj.get("metadata", {}).get("managedFields")
            status = obj.get("status")
            kept = {**old, "metadata": dict(old["metadata"])}
            kept.pop("status", None)
            if managed is None:
                kept["metadata"].pop("managedFields", None)
            else:
                kept["metadata"]["managedFields"] = managed
            if "status" in obj:
                kept["status"] = status
            obj.clear()
            obj.update(kept)
        elif self.has_status:
            if "status" in old:
                obj["status"] = old["status"]
            else:
                obj.pop("status", None)

    def validate(self, obj: JsonObject, request: Request) -> list[Cause]:
        """Schema, lists, scale, then CEL rules."""
        found = self._type_causes(obj) or [*self.structural.faults(obj), *self._scale_causes(obj)]
        return found + self._rule_causes(obj, None, found)

    def validate_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> list[Cause]:
        """As `validate`, with faults in unchanged parts forgiven, and transition rules."""
        found = self._type_causes(obj)
        if not found and request.subresource == "status":
            found = self.structural.status_faults(obj, old)
            found += self.scale.status_causes(obj) if self.scale else []
        elif not found:
            found = [*self.structural.faults(obj, old), *self._scale_causes(obj)]
        return found + self._rule_causes(obj, old, found)

    def _type_causes(self, obj: Mapping[str, Any]) -> list[Cause]:
        wanted = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return [causes.invalid(name, obj.get(name, ""), f"must be {text}") for name, text in wanted.items() if obj.get(name) != text]

    def _scale_causes(self, obj: Mapping[str, Any]) -> list[Cause]:
        return [*self.scale.spec_causes(obj), *self.scale.status_causes(obj)] if self.scale else []

    def _rule_causes(self, obj: JsonObject, old: Mapping[str, Any] | None, found: list[Cause]) -> list[Cause]:
        if not self._rules:
            return []
        if any(cause.reason in causes.BLOCKING_REASONS for cause in found):
            return [_NOT_CHECKED]
        return self._rules.check(obj, old)

    def spec_changed(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Whether anything but metadata (and the status, where it is a subresource) changed."""
        skipped = {"metadata", "status"} if self.has_status else {"metadata"}
        return not equal({k: v for k, v in obj.items() if k not in skipped}, {k: v for k, v in old.items() if k not in skipped})

    def warnings(self, obj: Mapping[str, Any]) -> list[str]:
        """None of its own."""
        return []
