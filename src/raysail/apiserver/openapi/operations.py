"""The paths of an OpenAPI document: what can be asked of each resource.

Clients read three things here: which paths belong to which kind (`kubectl explain`), whether a PATCH knows `fieldValidation` and `dryRun` (`kubectl apply`), and
what verbs a path has. Shape: k8s.io/apiserver pkg/endpoints/installer.go as published in kubernetes api/openapi-spec/v3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from raysail.apiserver.openapi.naming import kind_name
from raysail.apiserver.strategy import Definition

JsonObject = dict[str, Any]

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_ACTIONS: Final = {"get": "get", "post": "post", "put": "put", "patch": "patch", "delete": "delete"}


def _query(name: str, kind: str, description: str) -> JsonObject:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": True}}


_DRY_RUN: Final = _query(
    "dryRun", "string", "When present, the request is checked and answered but nothing is stored. The one valid value is All."
)
_MANAGER: Final = _query("fieldManager", "string", "Who is changing the object; up to 128 printable characters. Required for apply.")
_VALIDATION: Final = _query(
    "fieldValidation",
    "string",
    "What to do with unknown and duplicate fields: Ignore drops them, Warn drops them and says so, Strict refuses the request.",
)
_FORCE: Final = _query("force", "boolean", "Take over fields that other managers own. Only for apply.")
_PRETTY: Final = _query("pretty", "string", "If 'true', the output is indented.")
_LIST: Final = (
    _query("allowWatchBookmarks", "boolean", "Ask for events of type BOOKMARK while watching."),
    _query("continue", "string", "Go on with the list that gave this token."),
    _query("fieldSelector", "string", "Only objects whose fields match."),
    _query("labelSelector", "string", "Only objects whose labels match."),
    _query("limit", "integer", "Most objects of one answer."),
    _query("resourceVersion", "string", "How new the answer must be."),
    _query("resourceVersionMatch", "string", "How resourceVersion is to be understood: Exact or NotOlderThan."),
    _query("sendInitialEvents", "boolean", "Begin a watch with events for what is there already."),
    _query("timeoutSeconds", "integer", "End the call after this time."),
    _query("watch", "boolean", "Answer with a stream of changes."),
)
_DELETE: Final = (
    _DRY_RUN,
    _query("gracePeriodSeconds", "integer", "How long the object may take to end."),
    _query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    _query("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
)
_PATCH_TYPES: Final = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_JSON: Final = "application/json"


def resource_paths(definition: Definition) -> Iterator[tuple[str, JsonObject]]:
    """Each path of a resource with its operations: collection, object, subresources."""
    resource = definition.resource
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    builder = _Builder(definition)
    collection = builder.operations((("list", "get"), ("create", "post"), ("deletecollection", "delete")))
    if collection:
        yield f"{scope}/{resource.plural}", {**collection, "parameters": builder.parameters(named=False)}
    if resource.namespaced and "list" in definition.verbs:
        across = {"get": builder.operation("list", "get", across=True), "parameters": [_PRETTY]}
        yield f"{root}/{resource.plural}", across
    single = builder.operations((("get", "get"), ("update", "put"), ("patch", "patch"), ("delete", "delete")))
    if not single:
        return
    path = f"{scope}/{resource.plural}/{{name}}"
    yield path, {**single, "parameters": builder.parameters(named=True)}
    for name in definition.subresources:
        if name in ("status", "scale", "resize", "ephemeralcontainers", "finalize"):
            operations = {
                method: builder.operation(verb, method, subresource=name)
                for verb, method in (("get", "get"), ("update", "put"), ("patch", "patch"))
            }
            yield f"{path}/{name}", {**operations, "parameters": builder.parameters(named=True)}


class _Builder:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        resource = definition.resource
        self.kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
        group = "".join(part.capitalize() for part in (resource.group or "core").removesuffix(".k8s.io").split("."))
        self.suffix = f"{group}{resource.version.capitalize()}{'Namespaced' if resource.namespaced else ''}{resource.kind}"
        self.tag = f"{(resource.group or 'core').removesuffix('.k8s.io').replace('.', '')}_{resource.version}"
        self.schema = kind_name(definition)

    def parameters(self, *, named: bool) -> list[JsonObject]:
        found = []
        if named:
            found.append(_path_parameter("name", f"name of the {self.definition.resource.kind}"))
        if self.definition.resource.namespaced:
            found.append(_path_parameter("namespace", "object name and auth scope, such as for teams and projects"))
        return [*found, _PRETTY]

    def operations(self, wanted: tuple[tuple[str, str], ...]) -> JsonObject:
        return {method: self.operation(verb, method) for verb, method in wanted if verb in self.definition.verbs}

    def operation(self, verb: str, method: str, *, subresource: str = "", across: bool = False) -> JsonObject:
        names = {"get": "read", "update": "replace", "deletecollection": "deleteCollection"}
        name = subresource.capitalize()
        suffix = self.suffix.replace("Namespaced", "") + "ForAllNamespaces" if across else self.suffix
        kind = self.kind
        if subresource == "scale":
            kind = {"group": "autoscaling", "kind": "Scale", "version": "v1"}
        operation: JsonObject = {
            "tags": [self.tag],
            "description": f"{verb} {subresource + ' of ' if subresource else ''}{self.definition.resource.kind}",
            "operationId": f"{names.get(verb, verb)}{suffix}{name}",
            "responses": self.responses(verb, subresource),
            "x-kubernetes-action": verb if verb in ("list", "deletecollection") else _ACTIONS[method],
            "x-kubernetes-group-version-kind": kind,
        }
        if parameters := self.query(verb):
            operation["parameters"] = parameters
        if body := self.body(verb, subresource):
            operation["requestBody"] = body
        return operation

    def query(self, verb: str) -> list[JsonObject]:
        if verb in ("create", "update"):
            return [_DRY_RUN, _MANAGER, _VALIDATION]
        if verb == "patch":
            return [_DRY_RUN, _MANAGER, _VALIDATION, _FORCE]
        if verb == "delete":
            return list(_DELETE)
        return list(_LIST) if verb in ("list", "deletecollection") else []

    def body(self, verb: str, subresource: str) -> JsonObject | None:
        if verb in ("create", "update"):
            return {"content": {"*/*": _content(self.object_schema(subresource))}, "required": True}
        if verb == "patch":
            types = _PATCH_TYPES if self.definition.custom else (*_PATCH_TYPES, _STRATEGIC)
            return {"content": {kind: _content(f"{_META}Patch") for kind in types}, "required": True}
        if verb in ("delete", "deletecollection"):
            return {"content": {"*/*": _content(f"{_META}DeleteOptions")}}
        return None

    def object_schema(self, subresource: str) -> str:
        return "io.k8s.api.autoscaling.v1.Scale" if subresource == "scale" else self.schema

    def responses(self, verb: str, subresource: str) -> JsonObject:
        schema = self.object_schema(subresource)
        if verb == "list":
            schema = f"{self.schema}List"
        elif verb in ("delete", "deletecollection"):
            schema = f"{_META}Status"
        found = {"200": {"description": "OK", "content": {_JSON: _content(schema), "application/yaml": _content(schema)}}}
        if verb in ("create", "update", "patch"):
            found["201"] = {"description": "Created", "content": {_JSON: _content(schema)}}
        return {**found, "401": {"description": "Unauthorized"}}


def _path_parameter(name: str, description: str) -> JsonObject:
    return {"name": name, "in": "path", "description": description, "required": True, "schema": {"type": "string", "uniqueItems": True}}


def _content(schema: str) -> JsonObject:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}
