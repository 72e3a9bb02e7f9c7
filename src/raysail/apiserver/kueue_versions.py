"""kueue.x-k8s.io/v1beta1 objects, kept as v1beta2: what Kueue's conversion webhook does, in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.kueue import conversion
from raysail.api.kueue.names import GROUP
from raysail.apiserver.strategy import Conversion, Definition


class KueueConversion:
    """For one kind in v1beta1."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def from_storage(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The stored object as v1beta1 says it."""
        return conversion.to_v1beta1(obj, self._kind)

    def to_storage(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A v1beta1 object as it is kept."""
        return conversion.to_v1beta2(obj, self._kind)


def conversion_of(definition: Definition, crd: Mapping[str, Any]) -> Conversion | None:
    """The conversion of a version of one of Kueue's kinds; None where a change of apiVersion is all."""
    resource = definition.resource
    if resource.group != GROUP or resource.version != "v1beta1" or definition.storage_version != "v1beta2":
        return None
    return KueueConversion(resource.kind)
