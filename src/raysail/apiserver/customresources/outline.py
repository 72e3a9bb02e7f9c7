"""A stored CustomResourceDefinition without its schemas: they are most of it, and are read when the first object of a version comes."""

from __future__ import annotations

from typing import Any

import msgspec

from raysail.apiserver.strategy import JsonObject


class _Version(msgspec.Struct, gc=False):
    """All of a version; UNSET is what is not there."""

    name: str
    served: Any = msgspec.UNSET
    storage: Any = msgspec.UNSET
    deprecated: Any = msgspec.UNSET
    deprecationWarning: Any = msgspec.UNSET  # noqa: N815 - the wire's name
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    subresources: Any = msgspec.UNSET
    additionalPrinterColumns: Any = msgspec.UNSET  # noqa: N815
    selectableFields: Any = msgspec.UNSET  # noqa: N815


class _Spec(msgspec.Struct, gc=False):
    group: str
    names: dict[str, Any]
    versions: list[_Version]
    scope: Any = msgspec.UNSET
    conversion: Any = msgspec.UNSET
    preserveUnknownFields: Any = msgspec.UNSET  # noqa: N815


class _Definition(msgspec.Struct, gc=False):
    metadata: dict[str, Any]
    spec: _Spec
    status: Any = None


_decode = msgspec.json.Decoder(_Definition).decode


def outline(data: bytes) -> JsonObject:
    """The CRD as a dict, its versions' `schema` as text (msgspec.Raw, which keeps `data` alive)."""
    found = _decode(data)
    versions = [_fields(version) for version in found.spec.versions]
    outlined: JsonObject = {"metadata": found.metadata, "spec": {**_fields(found.spec), "versions": versions}}
    if found.status is not None:
        outlined["status"] = found.status
    return outlined


def _fields(part: msgspec.Struct) -> JsonObject:
    return {name: value for name in part.__struct_fields__ if (value := getattr(part, name)) is not msgspec.UNSET}
