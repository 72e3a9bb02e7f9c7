"""Static types of CEL expressions, with a schema's objects among them.

A type is a name with parameters: `list(string)`, `map(string, int)`, `optional(int)`. `dyn` is anything. An `object` carries the schema it stands for.
Which schemas CEL sees, and as what: k8s.io/apiserver pkg/cel/common/schemas.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from raysail.api.openapi import SchemaNode


@dataclass(frozen=True, slots=True)
class Type:
    """One type. Lists remember whether they are sets or maps of items: that changes what equal means."""

    name: str
    parameters: tuple[Type, ...] = ()
    node: SchemaNode | None = field(default=None, compare=False)
    root: bool = field(default=False, compare=False)
    identity: int = 0

    def __str__(self) -> str:
        if self.name in ("optional", "type") and self.parameters:
            return f"{self.name}_type({self.parameters[0]})" if self.name == "optional" else f"type({self.parameters[0]})"
        return f"{self.name}({', '.join(map(str, self.parameters))})" if self.parameters else _SHOWN.get(self.name, self.name)

    @property
    def is_dyn(self) -> bool:
        """Whether nothing is known."""
        return self.name == "dyn"


_SHOWN: Final = {
    "null": "null",
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "quantity": "kubernetes.Quantity",
    "url": "kubernetes.URL",
    "ip": "net.IP",
    "cidr": "net.CIDR",
    "semver": "kubernetes.Semver",
    "format": "kubernetes.NamedFormat",
}

DYN: Final = Type("dyn")
BOOL: Final = Type("bool")
INT: Final = Type("int")
UINT: Final = Type("uint")
DOUBLE: Final = Type("double")
STRING: Final = Type("string")
BYTES: Final = Type("bytes")
NULL: Final = Type("null")
TIMESTAMP: Final = Type("timestamp")
DURATION: Final = Type("duration")
TYPE: Final = Type("type")


def list_of(item: Type, node: SchemaNode | None = None) -> Type:
    """list(item)."""
    return Type("list", (item,), node)


def map_of(key: Type, value: Type) -> Type:
    """map(key, value)."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """optional(value)."""
    return Type("optional", (value,))


RESERVED: Final = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_ESCAPES: Final = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


@cache
def escape(name: str) -> str | None:
    """A property's name as CEL writes it; None where it cannot be written (pkg/cel/escaping.go)."""
    if not name or name[0].isdigit() or not re.fullmatch(r"[A-Za-z0-9_./-]+", name, re.ASCII):
        return None
    if name in RESERVED:
        return f"__{name}__"
    return re.sub(r"__|[.\-/]", lambda m: dict(_ESCAPES)[m[0]], name)


def type_of_schema(node: SchemaNode, *, root: bool = False) -> Type | None:
    """The type of values of a schema; None where CEL does not see them."""
    schema = node.schema
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    embedded = root or bool(schema.get("x-kubernetes-embedded-resource"))
    kind = node.type or ("object" if root else "")
    if kind == "array":
        item = type_of_schema(node.items) if node.items is not None else None
        return None if item is None else list_of(item, node)
    if kind == "object":
        if node.values is not None:
            value = type_of_schema(node.values)
            return None if value is None else map_of(STRING, value)
        return Type("object", (), node, embedded, id(node))
    if kind == "string":
        return {"byte": BYTES, "duration": DURATION, "date": TIMESTAMP, "date-time": TIMESTAMP}.get(schema.get("format", ""), STRING)
    return {"boolean": BOOL, "number": DOUBLE, "integer": INT}.get(kind)


_METADATA: Final = SchemaNode(
    {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}},
)
_TEXT: Final = SchemaNode({"type": "string"})


def fields(object_type: Type) -> Mapping[str, tuple[str, Type]]:
    """What can be selected from an object: by CEL name the property and its type."""
    node = object_type.node
    if node is None:
        return {}
    found = _FIELDS.get(id(node))
    if found is None or found[0] is not node or found[1] is not object_type.root:
        found = _FIELDS[id(node)] = (node, object_type.root, _fields(node, root=object_type.root))
        if len(_FIELDS) > _MOST_FIELDS:
            _FIELDS.pop(next(iter(_FIELDS)))
    return found[2]


_FIELDS: Final[dict[int, tuple[SchemaNode, bool, Mapping[str, tuple[str, Type]]]]] = {}
_MOST_FIELDS: Final = 4096


def _says_metadata(node: SchemaNode) -> bool:
    """Whether a resource's schema itself says all of type and names; then what it says counts."""
    metadata = node.properties.get("metadata")
    if metadata is None or metadata.type != "object":
        return False
    texts = [
        node.properties.get("kind"),
        node.properties.get("apiVersion"),
        *(metadata.properties.get(n) for n in ("name", "generateName")),
    ]
    return all(child is not None and child.type == "string" for child in texts)


def field_schema(object_type: Type, name: str) -> SchemaNode | None:
    """The schema of a field, by its CEL name."""
    known = fields(object_type).get(name)
    return None if known is None or object_type.node is None else _properties(object_type.node, root=object_type.root).get(known[0])


def _properties(node: SchemaNode, *, root: bool) -> Mapping[str, SchemaNode]:
    """The fields of an object; a resource has type and names whether its schema says so or not."""
    if root and not _says_metadata(node):
        return {**node.properties, "kind": _TEXT, "apiVersion": _TEXT, "metadata": _METADATA}
    return node.properties


def _fields(node: SchemaNode, *, root: bool) -> Mapping[str, tuple[str, Type]]:
    found: dict[str, tuple[str, Type]] = {}
    for name, child in _properties(node, root=root).items():
        escaped = escape(name)
        if escaped is not None and (kind := type_of_schema(child)) is not None:
            found[escaped] = name, kind
            if name in RESERVED:
                found[name] = name, kind  # keywords may be selected as they are since Kubernetes 1.33
    return found
