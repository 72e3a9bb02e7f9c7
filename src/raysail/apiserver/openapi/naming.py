"""What a kind's schema is called in an OpenAPI document: `io.k8s.api.core.v1.Pod`, `io.ray.v1.RayCluster`."""

from __future__ import annotations

from raysail.api.openapi import schema_name
from raysail.apiserver.strategy import Definition


def kind_name(definition: Definition) -> str:
    """The name of a kind's schema; custom groups are written backwards, as packages are."""
    resource = definition.resource
    if not definition.custom and (known := schema_name(resource.group, resource.version, resource.kind)):
        return known
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
