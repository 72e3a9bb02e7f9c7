"""OpenAPI v2 (`/openapi/v2`) from the v3 pieces: one document for everything, in the older dialect.

What v2 cannot say is left out (anyOf, oneOf, not, nullable with its type), as kube-apiserver does for custom kinds.
Source: k8s.io/kube-openapi pkg/builder, apiextensions pkg/controller/openapi/v2/conversion.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from raysail.api.openapi import KUBERNETES_VERSION
from raysail.apiserver.openapi.operations import resource_paths
from raysail.apiserver.openapi.schemas import component_schemas
from raysail.apiserver.strategy import Definition

Swagger = dict[str, Any]

_V3: Final = "#/components/schemas/"
_V2: Final = "#/definitions/"
_DROPPED: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "nullable"})
_FORMS: Final = ["application/json", "application/yaml"]


def swagger(definitions: Iterable[Definition]) -> Swagger:
    """The v2 document of all resources."""
    resources = list(definitions)
    paths: dict[str, Any] = {}
    for definition in resources:
        for path, item in resource_paths(definition):
            paths[path] = _path_item(item)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": dict(sorted(paths.items())),
        "definitions": {name: _schema(schema) for name, schema in component_schemas(resources).items()},
    }


def _schema(schema: Mapping[str, Any]) -> Any:
    """A schema in v2. Walks schemas as schemas, so that a property may be called anything."""
    all_of: list[Any] = schema.get("allOf") or []
    if len(all_of) == 1 and "$ref" in all_of[0]:
        described = {key: schema[key] for key in ("description", "default") if key in schema}
        return {**described, "$ref": all_of[0]["$ref"].replace(_V3, _V2)}
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_V3, _V2)}
    found = {key: value for key, value in schema.items() if key not in _DROPPED}
    if schema.get("nullable"):
        # A null cannot be said: the field may be anything.
        for key in ("type", "items", "properties", "additionalProperties"):
            found.pop(key, None)
        return found
    if schema.get("format") == "int-or-string" or (schema.get("oneOf") and "type" not in schema):
        found["type"] = "string"
    if "properties" in found:
        found["properties"] = {name: _schema(child) for name, child in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), Mapping):
            found[key] = _schema(found[key])
    return found


def _path_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: [_parameter(p) for p in value] if key == "parameters" else _operation(value) for key, value in item.items()}


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in operation.items() if key not in ("requestBody", "responses", "parameters")}
    parameters = [_parameter(p) for p in operation.get("parameters") or ()]
    body = operation.get("requestBody")
    if body is not None:
        content = body["content"]
        schema = next(iter(content.values()))["schema"]
        one = {"name": "body", "in": "body", "schema": _schema(schema)}
        parameters.insert(0, {**one, "required": True} if body.get("required") else one)
        found["consumes"] = list(content)
    if parameters:
        found["parameters"] = parameters
    found["produces"] = _FORMS
    found["responses"] = {code: _response(answer) for code, answer in operation["responses"].items()}
    return found


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in parameter.items() if key != "schema"}
    return {**found, **(parameter.get("schema") or {})}


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    content = response.get("content")
    if not content:
        return {"description": response["description"]}
    return {"description": response["description"], "schema": _schema(next(iter(content.values()))["schema"])}
