"""The kind CustomResourceDefinition itself: defaults, status, validation, warnings.

Rules: apiextensions pkg/registry/customresourcedefinition/strategy.go, pkg/apis/apiextensions/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from raysail.api.errors import Cause, bad_request
from raysail.api.openapi import SchemaNode, builtin_node
from raysail.apiserver.customresources.acceptance import is_established, stored_versions
from raysail.apiserver.schema import DecodeError, decode
from raysail.apiserver.schema.correlation import equal
from raysail.apiserver.schema.formats import checked_format
from raysail.apiserver.strategy import Decoded, JsonObject, Request

_KIND = "CustomResourceDefinition"


class DefinitionStrategy:
    """Strategy of apiextensions.k8s.io/v1 CustomResourceDefinition."""

    defaults_at_decoding = False
    prepares_creation = True

    @cached_property
    def schema(self) -> SchemaNode:
        """The published schema."""
        return builtin_node("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition")

    def decode(self, obj: JsonObject) -> Decoded:
        """As Go's decoder reads it."""
        try:
            decoded, unknown = decode(self.schema, obj, _KIND)
        except DecodeError as error:
            raise bad_request(f'{_KIND} in version "v1" cannot be handled as a {_KIND}: {error}') from error
        return Decoded(decoded, unknown=unknown)

    def default(self, obj: JsonObject) -> None:
        """Names and conversion that are not given."""
        spec = obj.setdefault("spec", {})
        names = spec.setdefault("names", {})
        kind = names.get("kind") or ""
        if not names.get("singular") and kind:
            names["singular"] = kind.lower()
        if not names.get("listKind") and kind:
            names["listKind"] = f"{kind}List"
        conversion = spec.setdefault("conversion", {"strategy": "None"})
        service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)
        if not spec.get("preserveUnknownFields"):
            spec.pop("preserveUnknownFields", None)  # false is what a CRD of this version says by saying nothing

    def prepare_for_create(self, obj: JsonObject, request: Request) -> None:
        """The status starts with the storage version alone."""
        versions = stored_versions({"spec": obj.get("spec") or {}})
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": versions}

    def prepare_for_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
        """Spec and status are written apart; a new storage version is noted."""
        if request.subresource == "status":
            obj["spec"] = old["spec"]
            return
        obj["status"] = dict(old.get("status") or {})
        obj["status"]["storedVersions"] = stored_versions(obj)

    def validate(self, obj: JsonObject, request: Request) -> list[Cause]:
        """The rules for CRDs; rules in CEL are compiled."""
        from raysail.apiserver.customresources.definition_rules import definition_causes  # with the first CRD of somebody else

        return definition_causes(obj)

    def validate_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> list[Cause]:
        """As `validate`, and what may not change."""
        if request.subresource == "status" or (equal(obj["spec"], dict(old["spec"])) and "deletionTimestamp" in obj["metadata"]):
            return []
        from raysail.apiserver.customresources.definition_rules import definition_update_causes

        return definition_update_causes(obj, old, established=is_established(old))

    def spec_changed(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Whether the spec is another one."""
        return not equal(obj.get("spec"), old.get("spec"))

    def warnings(self, obj: Mapping[str, Any]) -> list[str]:
        """Formats that nothing checks."""
        found: list[str] = []
        for version in (obj.get("spec") or {}).get("versions") or ():
            found += unrecognized_formats((version.get("schema") or {}).get("openAPIV3Schema") or {})
        return [f'unrecognized format "{name}"' for name in dict.fromkeys(found)]


def unrecognized_formats(schema: Mapping[str, Any]) -> Iterator[str]:
    """Formats anywhere in a schema that are not checked for the type they stand on."""
    name = schema.get("format")
    if name and not checked_format(schema.get("type", ""), name):
        yield name
    for key in ("items", "not", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from unrecognized_formats(schema[key])
    for key in ("allOf", "anyOf", "oneOf"):
        for sub in schema.get(key) or ():
            yield from unrecognized_formats(sub)
    for sub in (schema.get("properties") or {}).values():
        yield from unrecognized_formats(sub)
