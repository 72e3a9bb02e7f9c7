"""The fields that a write to a resource or subresource cannot change, and therefore nobody gets to own by it.

From GetResetFields and GetResetFieldsFilter of pkg/registry/*/strategy.go and apiextensions pkg/registry/customresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysail.apiserver.apply.fields import ANY, FieldSet, from_paths
from raysail.apiserver.apply.typed import Exclude, Filter, Include

_STATUS: Final = Exclude(from_paths([("f:status",)]))
_SPEC: Final = Exclude(from_paths([("f:spec",)]))
_ALL_BUT_STATUS: Final = Exclude(from_paths([("f:metadata",), ("f:spec",)]))
_CONTAINER_SIZES: Final[FieldSet] = {ANY: {"f:resources": {}, "f:resizePolicy": {}}}

_SUBRESOURCES: Final[Mapping[tuple[str, str], Filter]] = {
    ("Deployment", "status"): Exclude(from_paths([("f:spec",), ("f:metadata", "f:labels")])),
    ("Pod", "status"): Exclude(from_paths([("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")])),
    ("Pod", "ephemeralcontainers"): Include({"f:spec": {"f:ephemeralContainers": {}}}),
    ("Pod", "resize"): Include({"f:spec": {"f:containers": _CONTAINER_SIZES, "f:initContainers": _CONTAINER_SIZES}}),
    ("Namespace", "finalize"): _STATUS,
    ("ValidatingAdmissionPolicy", "status"): _ALL_BUT_STATUS,
    ("CustomResourceDefinition", "status"): _ALL_BUT_STATUS,
    ("APIService", "status"): _ALL_BUT_STATUS,
    ("ServiceCIDR", "status"): _ALL_BUT_STATUS,
    ("VolumeAttachment", "status"): _ALL_BUT_STATUS,
}


def reset_fields(kind: str, subresource: str, *, has_status: bool, custom: bool) -> Filter | None:
    """The filter of a resource (`subresource` empty) or of one of its subresources. `has_status`: it has a status subresource."""
    if not subresource:
        return _STATUS if has_status else None
    if custom:
        return _ALL_BUT_STATUS if subresource == "status" else None
    return _SUBRESOURCES.get((kind, subresource)) or (_SPEC if subresource == "status" else None)
