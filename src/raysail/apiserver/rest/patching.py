"""PATCH in its four kinds: JSON patch, merge patch, strategic merge patch, apply."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import StatusError, bad_request, conflict
from raysail.api.openapi import SchemaNode
from raysail.apiserver.patch import (
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_patch,
    json_patch_unknown_fields,
    unreadable,
)
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest import forms, metadata
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.objects import check_type, field_texts, read_yaml
from raysail.apiserver.rest.options import check_patch_options, force, validation
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.rest.writing import replace, store_new

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


async def patch(call: Call) -> Answer:
    """PATCH in any of its four kinds."""
    media = bodies.media_type(call.header(b"content-type"))
    served = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH] if call.definition.custom else [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
    if media not in served:
        if not call.definition.custom:
            raise StatusError("UnsupportedMediaType", "415: Unsupported Media Type", empty_details=True)
        raise bodies.unsupported(media, ", ".join(served))
    check_patch_options(call, apply=media == APPLY_PATCH)
    if media == APPLY_PATCH:
        return await _apply(call)
    record = call.store.latest(call.definition.collection, call.key)
    if record is None:
        raise absent(call)
    document = _document(call)
    old = decoded(call.definition, record.object())
    strategic = media == STRATEGIC_PATCH
    new, unknown = patched(call.definition.strategy.schema, old, document, media)
    new = orjson.loads(orjson.dumps(new))  # a patch shares subtrees with the old object
    shown = document if strategic else new
    if not isinstance(new, dict):
        raise unreadable(shown, "the patched document is not an object", strategic=strategic)
    if not isinstance(new.get("metadata"), dict):
        new["metadata"] = {}
    try:
        result = call.definition.strategy.decode(new)
    except StatusError as error:
        raise unreadable(shown, error.message, strategic=strategic) from error
    texts = [*unknown, *field_texts(result)]
    if texts and validation(call) == "Strict":
        raise unreadable(shown, f"strict decoding error: {', '.join(texts)}", strategic=strategic)
    if validation(call) == "Warn":
        call.warnings += texts
    new = result.object
    check_type(call.definition, new)
    return await replace(call, record, old, _same_place(call, new))


def _same_place(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    """Raises StatusError (400) when a patch would move the object."""
    name = new["metadata"].get("name", "")
    if name != call.target.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.target.name})")
    metadata.check_namespace(new["metadata"], call.definition, call.target.namespace)
    return new


async def _apply(call: Call) -> Answer:
    """Server-side apply: what the configuration says, others' fields as they are. Creates what is not there."""
    config = read_yaml(call)
    record = call.store.latest(call.definition.collection, call.key)
    if record is None and call.target.subresource:
        raise absent(call)
    config.setdefault("metadata", {})
    if isinstance(config["metadata"], dict):
        name = config["metadata"].setdefault("name", call.target.name)
        if name != call.target.name:
            raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.target.name})")
        if call.definition.resource.namespaced:
            config["metadata"].setdefault("namespace", call.target.namespace)
    old = decoded(call.definition, record.object()) if record is not None else None
    manager = call.shared.ownership.manager(call.definition, call.target.subresource)
    merged = manager.apply(old, config, manager=call.query["fieldManager"], force=force(call), now=call.shared.now())
    new = orjson.loads(orjson.dumps(merged))
    new.setdefault("metadata", {})
    result = call.definition.strategy.decode(new)
    new = result.object
    if old is None or record is None:
        new["metadata"].pop("resourceVersion", None)
        if new["metadata"].get("uid"):
            resource, uid = call.definition.resource, new["metadata"]["uid"]
            text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(resource.group, resource.plural, call.target.name, text)
        # Whoever applies what is not there creates it, and needs the right to.
        call.authorize_create()
        return forms.object_answer(call, await store_new(call, new, track=False), HTTPStatus.CREATED)
    return await replace(call, record, old, _same_place(call, new), track=False)


def _document(call: Call) -> Any:
    try:
        return orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def patched(node: SchemaNode, old: Mapping[str, Any], document: Any, media: str) -> tuple[Any, list[str]]:
    """The object after the patch, and what strict validation has to say about the patch itself."""
    if media == JSON_PATCH:
        return apply_json_patch(old, document), json_patch_unknown_fields(document)
    if media == MERGE_PATCH:
        return apply_merge_patch(old, document), []
    return apply_strategic_patch(old, document, node), []


def patched_by(call: Call, old: Mapping[str, Any], media: str, node: SchemaNode) -> Any:
    """What the request's patch makes of an object that is not the stored one (a Scale). Raises StatusError."""
    return patched(node, old, _document(call), media)[0]
