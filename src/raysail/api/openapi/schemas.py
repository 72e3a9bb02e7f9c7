"""Kubernetes' published schemas, loaded once from package data (see tools/openapi_schemas.py)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from raysail.api.openapi.node import SchemaNode

Schema = dict[str, Any]


@cache
def _document() -> Mapping[str, Any]:
    data = resources.files(__package__).joinpath("kubernetes.json.gz").read_bytes()
    document: Mapping[str, Any] = msgspec.json.decode(gzip.decompress(data))
    return document


def builtin_schemas() -> Mapping[str, Schema]:
    """All definitions by name, e.g. `io.k8s.api.core.v1.Pod`. Do not change them."""
    schemas: Mapping[str, Schema] = _document()["schemas"]
    return schemas


@cache
def _names() -> Mapping[tuple[str, str, str], str]:
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in builtin_schemas().items()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
        if name.endswith("." + gvk["kind"])
    }


def schema_name(group: str, version: str, kind: str) -> str | None:
    """The definition of a built-in kind, or None."""
    return _names().get((group, version, kind))


def builtin_node(name: str) -> SchemaNode:
    """The root of one definition. Raises KeyError."""
    return SchemaNode(builtin_schemas()[name], builtin_schemas())


KUBERNETES_VERSION: Final = "v1.36.3"
