"""From a finished object to the store, and refusals that name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, StatusError, already_exists, invalid
from raysail.apiserver.admission import Operation
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.options import dry_run
from raysail.apiserver.store import Record
from raysail.apiserver.strategy import Definition

_TYPE: Final = ("kind", "apiVersion")


def operation_of(call: Call, verb: str, obj: dict[str, Any] | None, old: dict[str, Any] | None, *, name: str = "") -> Operation:
    """What admission is told."""
    return Operation(
        verb,
        call.definition,
        call.target.namespace if call.definition.resource.namespaced else "",
        name or call.target.name,
        call.target.subresource,
        call.user,
        obj,
        old,
        call.now,
        dry_run(call) if verb != "delete" else False,
        call.warnings,
    )


async def persist(call: Call, key: str, obj: dict[str, Any]) -> bytes:
    """Writes the object; gives its JSON text in the request's version, once it is on disk. Raises StatusError."""
    change = await call.store.put(call.definition.collection, key, _bounded(call, encoder(call.definition, obj)))
    if call.definition.conversion is None:
        return change.last.data
    return encode_object(call.definition, decoded(call.definition, change.last.object()))


def _bounded(call: Call, encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
    limit = call.shared.limits.object_bytes

    def bounded(revision: str) -> bytes:
        data = encode(revision)
        if len(data) > limit:
            raise StatusError("RequestEntityTooLarge", f"the object has {len(data)} bytes as stored; at most {limit} are kept", 413)
        return data

    return bounded


def encoder(definition: Definition, obj: dict[str, Any]) -> Callable[[str], bytes]:
    """How the store writes the object once it knows the revision."""

    def encode(revision: str) -> bytes:
        obj["metadata"]["resourceVersion"] = revision
        kept = definition.conversion.to_storage(dict(obj)) if definition.conversion else obj
        return encode_object(definition, kept)

    return encode


def encode_object(definition: Definition, obj: Mapping[str, Any]) -> bytes:
    """JSON text; kind and apiVersion stand first for built-in kinds, so that lists can leave them out without decoding."""
    if definition.custom:
        return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)  # as Go writes maps
    if tuple(islice(obj, 2)) == _TYPE:
        return orjson.dumps(obj)
    rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    return orjson.dumps({"kind": obj["kind"], "apiVersion": obj["apiVersion"], **rest})


def refused(definition: Definition, obj: Mapping[str, Any], causes: list[Cause]) -> StatusError:
    """422 of the kind that the object says it is."""
    group = definition.resource.group if definition.storage_group is None else definition.storage_group
    return invalid(group, obj.get("kind") or definition.resource.kind, obj["metadata"].get("name", ""), causes)


def taken(call: Call, name: str, present: Record) -> StatusError:
    """409: the name is taken, maybe by an object that is on its way out."""
    resource = call.definition.resource
    if present.meta.deletionTimestamp:
        return StatusError(
            "AlreadyExists",
            f'object is being deleted: {call.definition.group_resource} "{name}" already exists',
            details={key: value for key, value in (("name", name), ("group", resource.group), ("kind", resource.plural)) if value},
        )
    return already_exists(resource.group, resource.plural, name)
