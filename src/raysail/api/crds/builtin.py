"""Kubernetes' own types inside our kinds (pod templates and the like), as structural schemas.

References are inlined, since a CRD may not have any. Each definition is made once and shared: callers must not change what they get.
Descriptions are left out: `kubectl explain pod.spec` has them, and a RayJob would carry each of them three times.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from raysail.api.openapi import builtin_schemas
from raysail.api.structural import QUALIFIED_NAME

Schema = dict[str, Any]

QUANTITY: Final[Schema] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    "x-kubernetes-int-or-string": True,
}
_INT_OR_STRING: Final[Schema] = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
CONDITION: Final[Schema] = {
    "description": "One thing that is true or not.",
    "type": "object",
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "properties": {
        "lastTransitionTime": {"description": "Since when the status is what it is.", "type": "string", "format": "date-time"},
        "message": {"description": "Why, in a sentence.", "type": "string", "maxLength": 32768},
        "observedGeneration": {
            "description": "Generation of the object that this is about.",
            "type": "integer",
            "format": "int64",
            "minimum": 0,
        },
        "reason": {
            "description": "Why, in a word.",
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "status": {"description": "True, False or Unknown.", "type": "string", "enum": ["True", "False", "Unknown"]},
        "type": {"description": "What it is about.", "type": "string", "maxLength": 316, "pattern": QUALIFIED_NAME},
    },
}
_EMBEDDED_METADATA: Final[Schema] = {
    "type": "object",
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}
"""What of the metadata inside a template is kept, in KubeRay's and in Kueue's CRDs."""

_LEAVES: Final[dict[str, Schema]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _INT_OR_STRING,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": _TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": _TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": _EMBEDDED_METADATA,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Condition": CONDITION,
}
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "io.k8s.api.core.v1.GRPCAction": {"service": ""},
    "io.k8s.api.core.v1.FileKeySelector": {"optional": False},
    "io.k8s.api.core.v1.AzureDiskVolumeSource": {"readOnly": False, "cachingMode": None, "kind": None},
}
"""Where the defaults in CRDs made by controller-gen differ from those in Kubernetes' own OpenAPI; None means no default."""
_KEPT: Final = (
    "type",
    "format",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
_REFERENCE: Final = "#/components/schemas/"


@cache
def builtin_schema(name: str) -> Schema:
    """The structural schema of a Kubernetes definition such as `io.k8s.api.core.v1.PodTemplateSpec`. Raises KeyError."""
    if name in _LEAVES:
        return _LEAVES[name]
    made = _inlined(builtin_schemas()[name])
    for member, default in _DEFAULTS.get(name, {}).items():
        made["properties"][member] = {**made["properties"][member], "default": default}
        if default is None:
            del made["properties"][member]["default"]
    return made


def _inlined(schema: Schema) -> Schema:
    target = schema.get("$ref") or (schema["allOf"][0].get("$ref") if len(schema.get("allOf") or ()) == 1 else None)
    if target:
        found = builtin_schema(target.removeprefix(_REFERENCE))
        return {**found, "default": schema["default"]} if schema.get("default") else found
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("default"):  # an empty default only says that the Go field is not a pointer
        made["default"] = schema["default"]
    if "properties" in schema:
        made["properties"] = {name: _inlined(sub) for name, sub in schema["properties"].items()}
        name_schema = schema["properties"].get("name", {})
        if name_schema.get("default") == "" and "name" not in schema.get("required", ()):
            # LocalObjectReference and what embeds it: the one place where Go's types say +default="".
            made["properties"]["name"] = {**made["properties"]["name"], "default": ""}
            made["x-kubernetes-map-type"] = "atomic"
    if "items" in schema:
        made["items"] = _inlined(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _inlined(schema["additionalProperties"])
    return made
