"""A schema as server-side apply sees it: what merges by key, what is one leaf.

Rules: k8s.io/kube-openapi pkg/schemaconv/openapi.go (schema → types) and structured-merge-diff typed/helpers.go (which form a value takes).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

from raysail.api.openapi import SchemaNode, builtin_node
from raysail.apiserver.apply.fields import key_element, value_text

Form = Literal["map", "scalar", "list", ""]

_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_RAW_EXTENSION: Final = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS: Final[Mapping[str, str]] = {"integer": "numeric", "number": "numeric", "boolean": "boolean"}
_ACCEPTED: Final[Mapping[str, frozenset[type]]] = {
    "": frozenset(),
    "numeric": frozenset((int, float)),
    "string": frozenset((str,)),
    "boolean": frozenset((bool,)),
    "untyped": frozenset((int, float, str, bool)),
}


class ItemError(ValueError):
    """A list item has no identity."""


class Type:
    """One place in an object. `scalar` is numeric, string, boolean, untyped or empty (no scalar allowed).

    `accepts` are the Python types of those scalars, `element` is what undeclared keys of a map hold, None where there may be none; `item` what a list holds.
    """

    __slots__ = (
        "_declared",
        "_fields",
        "_prefix",
        "accepts",
        "atomic_list",
        "atomic_map",
        "element",
        "has_list",
        "has_map",
        "item",
        "keys",
        "preserving",
        "scalar",
    )

    def __init__(self) -> None:
        self.scalar = ""
        self.accepts: frozenset[type] = frozenset()
        self._prefix = ""
        self.has_map = self.has_list = False
        self.atomic_map = self.atomic_list = False
        self.preserving = False
        self.element: Type | None = None
        self.item: Type | None = None
        self.keys: tuple[str, ...] = ()
        self._declared: Mapping[str, SchemaNode] = {}
        self._fields: dict[str, Type] = {}

    def declared(self, name: str) -> Type | None:
        """The type of a field that the schema names."""
        found = self._fields.get(name)
        if found is None:
            node = self._declared.get(name)
            if node is not None:
                found = self._fields[name] = of_schema(node, preserving=self.preserving)
        return found

    def child(self, name: str) -> Type | None:
        """The type of a field or map value; None where there is no place for it."""
        return self.declared(name) or self.element

    def form(self, value: Any) -> Form:
        """What a value is taken for here; a null and a misfit take the first form that the type has."""
        if isinstance(value, dict):
            if self.has_map:
                return "map"
        elif isinstance(value, list):
            if self.has_list:
                return "list"
        elif value is not None and self.scalar:
            return "scalar"
        if self.has_map:
            return "map"
        if self.scalar:
            return "scalar"
        return "list" if self.has_list else ""

    def element_of(self, item: Any) -> str:
        """The path element of a list's item. Raises ItemError."""
        if not self.keys:
            if isinstance(item, dict):
                raise ItemError("associative list without keys has an element that's a map type")
            if isinstance(item, list):
                raise ItemError("not supported: associative list with lists as elements")
            if item is None:
                raise ItemError("associative list without keys has an element that's an explicit null")
            return "v:" + value_text(item)
        if not isinstance(item, dict):
            kind = "a null element" if item is None else "non-map elements"
            raise ItemError(f"associative list with keys may not have {kind}")
        if len(self.keys) == 1 and self.keys[0] in item:
            return f"{self._prefix}{value_text(item[self.keys[0]])}}}"
        found: dict[str, Any] = {}
        for name in self.keys:
            if name in item:
                found[name] = item[name]
            elif self.item is not None and (node := self.item._declared.get(name)) is not None and node.default is not None:
                found[name] = node.default
        if not found:
            names = " ".join(f'"{name}"' for name in self.keys)
            text = f"associative list with keys has an element that omits all key fields [{names}]"
            raise ItemError(f"{text} (and doesn't have default values for any key fields)")
        return key_element(found)


def of_schema(node: SchemaNode, *, preserving: bool = False) -> Type:
    """The type of a schema's root. `preserving`: a schema above keeps unknown fields, so this one does too."""
    if node.definition == _QUANTITY:
        return _untyped_scalar()
    if node.definition == _RAW_EXTENSION:
        return _untyped()
    result = Type()
    result.preserving = (preserving and not node.definition) or bool(node.schema.get("x-kubernetes-preserve-unknown-fields"))
    kind = node.type
    if kind in ("", "object"):
        _describe_map(result, node)
    if kind in ("", "array"):
        _describe_list(result, node)
    if kind == "":
        result.scalar = "untyped"
    elif kind == "string":
        result.scalar = "string" if node.schema.get("format", "") in ("", "byte") else "untyped"
    elif kind in _SCALARS:
        result.scalar = _SCALARS[kind]
    result.accepts = _ACCEPTED[result.scalar]
    return result


def of_object(node: SchemaNode) -> Type:
    """The type of a whole object: its apiVersion, kind and metadata are what they are everywhere, whatever a custom schema says of them."""
    result = of_schema(node)
    result.has_map = True
    result._declared = {**result._declared, **_object_fields()}
    return result


@cache
def _object_fields() -> Mapping[str, SchemaNode]:
    text = SchemaNode({"type": "string"})
    return {"apiVersion": text, "kind": text, "metadata": builtin_node(_OBJECT_META)}


def _describe_map(result: Type, node: SchemaNode) -> None:
    result.has_map = True
    result.atomic_map = node.schema.get("x-kubernetes-map-type") == "atomic"
    result._declared = node.properties
    if node.schema.get("x-kubernetes-embedded-resource"):
        result._declared = {**node.properties, **_object_fields()}
    values = node.schema.get("additionalProperties")
    if isinstance(values, Mapping) and node.values is not None:
        result.element = of_schema(node.values, preserving=result.preserving)
    elif values is True or (values is None and (result.preserving or not node.schema.get("properties"))):
        result.element = _deduced()


def _describe_list(result: Type, node: SchemaNode) -> None:
    result.has_list = True
    list_type = node.schema.get("x-kubernetes-list-type")
    result.atomic_list = True
    if list_type == "set":
        result.atomic_list = False
    elif list_type == "map":
        result.atomic_list, result.keys = False, node.list_map_keys
    elif list_type is None and "merge" in node.patch_strategies:
        result.atomic_list = False
        result.keys = (node.patch_merge_key,) if node.patch_merge_key else ()
    if result.keys:
        result._prefix = f'k:{{"{result.keys[0]}":'
    result.item = of_schema(node.items, preserving=result.preserving) if node.items is not None else _untyped()


@cache
def _untyped_scalar() -> Type:
    result = Type()
    result.scalar, result.accepts = "untyped", _ACCEPTED["untyped"]
    return result


@cache
def _untyped() -> Type:
    """Anything, as one leaf."""
    result = _untyped_scalar_copy()
    result.has_map = result.has_list = result.atomic_map = result.atomic_list = True
    result.element = result.item = result
    return result


@cache
def _deduced() -> Type:
    """Anything; objects merge by key, lists are one leaf."""
    result = _untyped_scalar_copy()
    result.has_map = result.has_list = result.atomic_list = True
    result.element, result.item = result, _untyped()
    return result


def _untyped_scalar_copy() -> Type:
    result = Type()
    result.scalar, result.accepts = "untyped", _ACCEPTED["untyped"]
    return result
