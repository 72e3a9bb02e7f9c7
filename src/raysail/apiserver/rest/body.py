"""Reading a request body: JSON, YAML or protobuf into a dict, with the fields that came twice."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from raysail.api.errors import StatusError, bad_request
from raysail.apiserver.protobuf import decode_object

JSON_TYPE: Final = "application/json"
YAML_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
PROTOBUF_TYPE: Final = "application/vnd.kubernetes.protobuf"


def media_type(header: str) -> str:
    """`application/json` of `application/json; charset=utf-8`; JSON where nothing is said."""
    return header.partition(";")[0].strip().lower() or JSON_TYPE


def unsupported(media: str, served: str = "application/json, application/yaml") -> StatusError:
    """415 in Kubernetes' words (runtime/negotiation)."""
    text = f"the body of the request was in an unknown format - accepted media types include: {served}"
    return StatusError("UnsupportedMediaType", text, 415)


def decode(body: bytes, media: str, *, find_duplicates: bool) -> tuple[Any, list[str]]:
    """The value, and the paths of keys that came twice (empty unless asked for). Raises StatusError (400, 415)."""
    if media in YAML_TYPES:
        from raysail.apiserver.rest.yaml_body import decode_yaml  # with the first who sends it

        return decode_yaml(body)
    if media == PROTOBUF_TYPE:
        return decode_object(body), []
    if media != JSON_TYPE:
        raise unsupported(media)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the request body is not valid JSON: {error}") from error
    return value, duplicate_keys(body) if find_duplicates and may_repeat_keys(body, value) else []


def may_repeat_keys(body: bytes, value: Any) -> bool:
    """Whether JSON text may say more than the value that was read from it: a key that comes twice takes its quotes with it.

    Exact but for a quote that is written as an escape, in text or value.
    """
    return b"u0022" in body or body.count(b'"') != orjson.dumps(value).count(b'"')


def duplicate_keys(body: bytes) -> list[str]:
    """Paths of object keys that are given more than once, such as `spec.replicas`."""
    found: list[str] = []
    # Pairs are only seen from the inside out, so a fault marks its object, and the paths are read off afterwards.
    marked: dict[int, list[str]] = {}

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [key for key, _ in pairs]
            marked[id(result)] = sorted({key for key in keys if keys.count(key) > 1})
        return result

    value = json.loads(body, object_pairs_hook=collect)
    if marked:
        _walk(value, "", marked, found)
    return found


def _walk(value: Any, path: str, marked: dict[int, list[str]], found: list[str]) -> None:
    if isinstance(value, dict):
        found += [f"{path}.{key}" if path else key for key in marked.get(id(value), ())]
        for key, member in value.items():
            _walk(member, f"{path}.{key}" if path else key, marked, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, f"{path}[{index}]", marked, found)
