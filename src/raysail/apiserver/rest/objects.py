"""An object as it comes in a body: read, pruned, its type checked, and what there is to say about its fields."""

from __future__ import annotations

from typing import Any

from raysail.api.errors import StatusError, bad_request
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest.call import Call
from raysail.apiserver.rest.options import validation
from raysail.apiserver.strategy import Decoded, Definition


def read_object(call: Call) -> tuple[dict[str, Any], list[str]]:
    """The body as an object of the call's kind, and texts about fields that are unknown or came twice. Raises StatusError (400, 415)."""
    media = bodies.media_type(call.header(b"content-type"))
    value, twice = bodies.decode(call.body, media, find_duplicates=validation(call) != "Ignore")
    definition = call.definition
    kind, version = definition.resource.kind, definition.resource.version
    if not isinstance(value, dict):
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: the body is not an object')
    check_type(definition, value, call.body)
    if value.get("metadata") is None:
        value["metadata"] = {}
    try:
        result = definition.strategy.decode(value)
    except StatusError as error:
        if "cannot be handled" in error.message:
            raise
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error.message}') from error
    return result.object, [*field_texts(result), *(f'duplicate field "{path}"' for path in twice)]


def read_yaml(call: Call) -> dict[str, Any]:
    """An apply's configuration. Raises StatusError (400)."""
    config, twice = bodies.decode(call.body, bodies.YAML_TYPES[0], find_duplicates=True)
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration is not an object")
    if twice and validation(call) == "Strict":
        raise bad_request(f"error decoding YAML: {', '.join(f'key {path!r} already set in map' for path in twice)}")
    return config


def field_texts(result: Decoded) -> list[str]:
    """What strict validation says about fields that the kind does not have or that came twice."""
    return [f'unknown field "{path}"' for path in result.unknown] + [f'duplicate field "{path}"' for path in result.duplicate]


def check_type(definition: Definition, obj: dict[str, Any], text: bytes = b"") -> None:
    """Sees to kind and apiVersion; `text` is the body as it came, shown where a custom object lacks them. Raises StatusError (400)."""
    resource = definition.resource
    given_version, given_kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    if definition.custom and text and not (given_version and given_kind):
        # Custom objects have no Go type to fall back on.
        missing, shown = ("Kind" if not given_kind else "apiVersion"), text.decode("utf-8", "replace")
        brief = shown if len(shown) <= 35 else shown[:35] + " ..."
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object '{missing}' is missing in '{shown}' ({brief})"
        )
    if given_version and given_version != resource.api_version:
        message = f"the API version in the data ({given_version}) does not match the expected API version ({resource.api_version})"
        raise bad_request(message)
    if definition.custom and given_kind:
        return  # another kind is a fault of the object, found by validation
    if given_kind and given_kind != resource.kind:
        raise bad_request(
            f'{given_kind} in version "{resource.version}" cannot be handled as a {resource.kind}: no kind "{given_kind}" is registered here'
        )
    obj["kind"], obj["apiVersion"] = resource.kind, resource.api_version


def report_fields(call: Call, texts: list[str]) -> None:
    """Refuses or warns about fields that the kind does not have, as the request's fieldValidation says."""
    if not texts:
        return
    if validation(call) == "Strict":
        kind, version = call.definition.resource.kind, call.definition.resource.version
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {", ".join(texts)}')
    if validation(call) == "Warn":
        call.warnings += texts


def prepare_identity(call: Call, obj: dict[str, Any]) -> None:
    """What a creation may not say. Raises StatusError."""
    if obj["metadata"].get("resourceVersion"):
        raise StatusError("", "resourceVersion should not be set on objects to be created", 500)
