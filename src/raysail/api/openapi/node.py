"""One place in an OpenAPI v3 schema, references resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PREFIX: Final = "#/components/schemas/"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


class SchemaNode:
    """A schema with the table its references point into. Children are made once and kept, so a walk costs dictionary look-ups."""

    __slots__ = ("_definitions", "_items", "_properties", "_values", "definition", "schema")

    def __init__(self, schema: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._definitions = definitions or {}
        outer, self.definition = schema, ""
        while True:
            # Kubernetes wraps references as allOf: [$ref] beside a default or description.
            target = schema.get("$ref") or (schema["allOf"][0].get("$ref") if len(schema.get("allOf") or ()) == 1 else None)
            if not target:
                break
            self.definition = target.removeprefix(_PREFIX)
            schema = self._definitions[self.definition]
        self.schema: Mapping[str, Any] = (
            schema if schema is outer else {**schema, **{k: v for k, v in outer.items() if k not in ("$ref", "allOf")}}
        )
        self._properties: dict[str, SchemaNode] | None = None
        self._items: SchemaNode | None = None
        self._values: SchemaNode | None = None

    @property
    def type(self) -> str:
        """object, array, string, integer, number, boolean, or empty (int-or-string, any)."""
        found: str = self.schema.get("type", "")
        return found

    @property
    def properties(self) -> Mapping[str, SchemaNode]:
        """The named fields of an object."""
        if self._properties is None:
            self._properties = {name: SchemaNode(sub, self._definitions) for name, sub in (self.schema.get("properties") or {}).items()}
        return self._properties

    @property
    def items(self) -> SchemaNode | None:
        """What an array holds."""
        if self._items is None and isinstance(self.schema.get("items"), Mapping):
            self._items = SchemaNode(self.schema["items"], self._definitions)
        return self._items

    @property
    def values(self) -> SchemaNode | None:
        """What a map (additionalProperties) holds."""
        if self._values is None and isinstance(self.schema.get("additionalProperties"), Mapping):
            self._values = SchemaNode(self.schema["additionalProperties"], self._definitions)
        return self._values

    def child(self, key: str) -> SchemaNode | None:
        """The schema of that field or map value; None where the schema says nothing about it."""
        return self.properties.get(key) or self.values

    @property
    def list_type(self) -> str:
        """atomic, set or map (x-kubernetes-list-type); atomic where not said."""
        found: str = self.schema.get("x-kubernetes-list-type", "atomic")
        return found

    @property
    def list_map_keys(self) -> tuple[str, ...]:
        """The key fields of a list of type map."""
        return tuple(self.schema.get("x-kubernetes-list-map-keys") or ())

    @property
    def map_type(self) -> str:
        """How a map merges: granular (by key) or atomic."""
        found: str = self.schema.get("x-kubernetes-map-type", "granular")
        return found

    @property
    def patch_strategies(self) -> tuple[str, ...]:
        """Of a strategic merge patch: merge, replace, retainKeys."""
        return tuple(s for s in self.schema.get("x-kubernetes-patch-strategy", "").split(",") if s)

    @property
    def patch_merge_key(self) -> str:
        """The key by which a strategic merge patch matches list items."""
        found: str = self.schema.get("x-kubernetes-patch-merge-key", "")
        return found

    @property
    def preserves_unknown(self) -> bool:
        """Whether fields that the schema does not name are kept (also RawExtension-like objects without any description of content)."""
        if self.schema.get("x-kubernetes-preserve-unknown-fields"):
            return True
        return (
            self.type == "object"
            and not self.schema.get("properties")
            and "additionalProperties" not in self.schema
            and bool(self.definition)
        )

    @property
    def nullable(self) -> bool:
        """Whether null is a value."""
        return bool(self.schema.get("nullable"))

    @property
    def int_or_string(self) -> bool:
        """Whether both integers and text are allowed."""
        return (
            bool(self.schema.get("x-kubernetes-int-or-string"))
            or self.definition == _INT_OR_STRING
            or self.schema.get("format") == "int-or-string"
        )

    @property
    def quantity(self) -> bool:
        """Whether this is a built-in Quantity."""
        return self.definition == _QUANTITY

    @property
    def has_default(self) -> bool:
        """Whether `default` is given."""
        return "default" in self.schema

    @property
    def default(self) -> Any:
        """The default value, shared: copy before putting it into an object."""
        return self.schema.get("default")
