"""Objects and lists in the form that was asked for: as they are, as metadata only, as a Table; JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import StatusError, bad_request
from raysail.apiserver.rest.accept import PARTIAL, PARTIAL_LIST, PLAIN, TABLE
from raysail.apiserver.rest.answer import JSON, Answer, as_yaml, encode
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.store import Record
from raysail.apiserver.strategy import Definition

__all__ = ["PLAIN", "list_answer", "object_answer", "partial", "table"]
_INCLUDES: Final = ("", "Object", "Metadata", "None")


def object_answer(call: Call, data: bytes, status: int = HTTPStatus.OK, *, stored: bool = False) -> Answer:
    """One object. `stored`: in the stored version (else in the request's)."""
    form = call.form
    if stored and call.definition.conversion:
        data = encode(decoded(call.definition, orjson.loads(data)))
    if form.kind == PARTIAL:
        data = encode(partial(orjson.loads(data)))
    elif form.kind == TABLE:
        data = encode(table(call, [orjson.loads(data)], {"resourceVersion": orjson.loads(data)["metadata"].get("resourceVersion", "")}))
    elif form.kind == PARTIAL_LIST:
        raise StatusError("NotAcceptable", f"the object is not a list: {call.definition.resource.kind}", 406)
    answer = Answer(status, data, JSON, warnings=call.warnings)
    return as_yaml(answer) if form.yaml else answer


def list_answer(call: Call, records: Sequence[Record], metadata: Mapping[str, Any]) -> Answer:
    """A list; without any decoding where objects are wanted as they are stored."""
    definition = call.definition
    resource = definition.resource
    match call.form.kind:
        case "PartialObjectMetadataList" | "PartialObjectMetadata":
            items = [partial(decoded(definition, record.object())) for record in records]
            body = encode({"kind": PARTIAL_LIST, "apiVersion": f"meta.k8s.io/{call.form.version}", "metadata": metadata, "items": items})
        case "Table":
            body = encode(table(call, [decoded(definition, record.object()) for record in records], metadata))
        case _:
            kind = definition.list_kind or f"{resource.kind}List"
            head = encode({"kind": kind, "apiVersion": resource.api_version, "metadata": metadata})
            body = b"".join((head[:-1], b',"items":[', b",".join(list_items(definition, records)), b"]}"))
    answer = Answer(HTTPStatus.OK, body, JSON, warnings=call.warnings)
    return as_yaml(answer) if call.form.yaml else answer


def list_items(definition: Definition, records: Iterable[Record]) -> Iterable[bytes]:
    """Each object's JSON text in the version of the Definition. Items of built-in lists bear no kind and apiVersion of their own."""
    if definition.conversion and definition.custom:
        return (encode(decoded(definition, record.object())) for record in records)
    if definition.conversion:
        return (encode(_untyped(decoded(definition, record.object()))) for record in records)
    if definition.custom:
        return (record.data for record in records)
    head = type_head(definition)
    cut = len(head)
    return (b"{" + record.data[cut:] if record.data.startswith(head) else record.data for record in records)


def _untyped(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def type_head(definition: Definition) -> bytes:
    """How the stored text of a built-in object begins (see writing.encoder)."""
    resource = definition.resource
    return f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}",'.encode()


def partial(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Only the metadata."""
    return {"kind": PARTIAL, "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata", {})}


def table(call: Call, objects: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any], *, definitions: bool = True) -> dict[str, Any]:
    """A meta.k8s.io Table. `includeObject` says how much of each object goes with its row."""
    include = call.query.get("includeObject", "") or "Metadata"
    if include not in _INCLUDES:
        raise bad_request(f'unrecognized includeObject value: "{include}"')
    columns, now = call.definition.columns, call.shared.now()
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": columns.cells(obj, now), "object": None}
        if include == "Object":
            row["object"] = obj
        elif include == "Metadata":
            row["object"] = partial(obj)
        rows.append(row)
    return {
        "kind": TABLE,
        "apiVersion": f"meta.k8s.io/{call.form.version or 'v1'}",
        "metadata": metadata,
        "columnDefinitions": columns.definitions() if definitions else None,
        "rows": rows,
    }
