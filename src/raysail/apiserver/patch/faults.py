"""Refusals that patches share, in kube-apiserver's words (k8s.io/apiserver pkg/endpoints/handlers/patch.go)."""

from __future__ import annotations

import json
from typing import Any, Final

from raysail.api.errors import Cause, StatusError, invalid

_GO_TYPES: Final = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def json_type(value: Any) -> str:
    """What Go's JSON decoder calls the type of a value."""
    return _GO_TYPES.get(type(value), "null")


def go_text(value: Any) -> str:
    """A JSON value as Go prints it with %v: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def bad_patch(value: Any, go_type: str) -> StatusError:
    """400: the body is JSON, but not a patch."""
    return StatusError("BadRequest", f"error decoding patch: json: cannot unmarshal {json_type(value)} into Go value of type {go_type}")


def rejected() -> StatusError:
    """422 with the fixed text of NewGenericServerResponse: an operation could not be done."""
    return StatusError("Invalid", "the server rejected our request due to an error in our request", empty_details=True)


def internal(message: str) -> StatusError:
    """A plain Go error: 500 without a reason."""
    return StatusError("", message, 500)


def unreadable(result: Any, message: str, *, strategic: bool = False) -> StatusError:
    """422: the patched object is none of its kind, `message` says why.

    `result` is the patched object, or for a strategic merge patch the patch itself, which is what kube-apiserver shows.
    """
    shown = go_text(result) if strategic else json.dumps(result, separators=(",", ":"), ensure_ascii=False)
    value = json.dumps(shown, ensure_ascii=False)
    return invalid("", "", "", [Cause("FieldValueInvalid", f"Invalid value: {value}: {message}", "patch")])
