"""managedFields as the scale subresource shows and changes them: only who owns the number of replicas.

Rules: k8s.io/apimachinery pkg/util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from raysail.apiserver.apply.fields import Path, difference, from_paths, has
from raysail.apiserver.apply.managers import Managed, Ownership, decode, encode

SCALE_API_VERSION: Final = "autoscaling/v1"
_REPLICAS: Final[Path] = ("f:spec", "f:replicas")
_REPLICAS_SET: Final = from_paths([_REPLICAS])

Entries = Sequence[Mapping[str, Any]]


def field_path(json_path: str) -> Path:
    """A CRD's `specReplicasPath`, e.g. `.spec.replicas`, as a path in a field set."""
    return tuple(f"f:{name}" for name in json_path.strip(".").split(".") if name)


def to_scale(parent: Entries, replicas_paths: Mapping[str, Path | None]) -> list[dict[str, Any]] | None:
    """The managedFields of the Scale object. `replicas_paths` names the path in each version of the parent. Raises ManagedFieldsError."""
    managed: Managed = {}
    for manager, owned in decode(parent, parent).items():
        path = replicas_paths.get(owned.api_version)
        if path and has(owned.fields, path):
            managed[manager] = Ownership(_REPLICAS_SET, SCALE_API_VERSION, owned.time)
    return encode(managed)


def from_scale(
    scale: Entries | None, parent: Entries, api_version: str, replicas_paths: Mapping[str, Path | None]
) -> list[dict[str, Any]] | None:
    """The parent's managedFields after the Scale object was written. Raises ManagedFieldsError."""
    scale_managed = decode(scale or [], scale or [])
    managed: Managed = {}
    for manager, owned in decode(parent, parent).items():
        if owned.api_version not in replicas_paths:
            continue
        path = replicas_paths[owned.api_version]
        if not path or not has(owned.fields, path):
            managed[manager] = owned
        elif manager in scale_managed:
            managed[manager] = owned
            del scale_managed[manager]
        elif rest := difference(owned.fields, from_paths([path])):
            managed[manager] = Ownership(rest, owned.api_version, owned.time)
    own_path = replicas_paths.get(api_version)
    for manager, owned in scale_managed.items():
        if own_path and has(owned.fields, _REPLICAS):
            managed[manager] = Ownership(from_paths([own_path]), api_version, owned.time)
    return encode(managed)
