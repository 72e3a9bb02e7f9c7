"""The faults a field can have, in Kubernetes' words.

One constructor for each ErrorType of k8s.io/apimachinery/pkg/util/validation/field: reason and message are what a client sees in a Status.
`field` is a path such as `spec.ports[0].name`; `ROOT` stands for the object itself (Go prints a nil path as `<nil>`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raysail.api.errors import Cause
from raysail.api.go_text import json_text, quote, value_text

ROOT: Final = "<nil>"

BLOCKING_REASONS: Final = frozenset(
    {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)
"""Faults after which CEL rules are not run: they could only stumble over the same value."""


def _with_detail(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text


def invalid(field: str, value: Any, detail: str) -> Cause:
    """A malformed value."""
    return Cause("FieldValueInvalid", _with_detail(f"Invalid value: {value_text(value)}", detail), field)


def invalid_without_value(field: str, detail: str) -> Cause:
    """A malformed value that is not worth printing (objects in CEL faults)."""
    return Cause("FieldValueInvalid", _with_detail("Invalid value", detail), field)


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """A value of the wrong type."""
    return Cause("FieldValueTypeInvalid", _with_detail(f"Invalid value: {value_text(value)}", detail), field)


def required(field: str, detail: str = "") -> Cause:
    """A value that is not there."""
    return Cause("FieldValueRequired", _with_detail("Required value", detail), field)


def forbidden(field: str, detail: str) -> Cause:
    """A well-formed value that is not permitted here."""
    return Cause("FieldValueForbidden", _with_detail("Forbidden", detail), field)


def not_found(field: str, value: Any) -> Cause:
    """A name that leads nowhere."""
    return Cause("FieldValueNotFound", f"Not found: {value_text(value)}", field)


def duplicate(field: str, value: Any) -> Cause:
    """A value that must be unique and is there twice."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {value_text(value)}", field)


def not_supported(field: str, value: Any, supported: Iterable[Any]) -> Cause:
    """A value outside an enumeration; the order of `supported` is kept."""
    texts = ", ".join(quote(v if isinstance(v, str) else json_text(v)) for v in supported)
    return Cause(
        "FieldValueNotSupported",
        _with_detail(f"Unsupported value: {value_text(value)}", f"supported values: {texts}" if texts else ""),
        field,
    )


def too_long(field: str, maximum: int) -> Cause:
    """Text longer than `maximum`; Kubernetes says bytes even where it counts characters."""
    if maximum < 0:
        return Cause("FieldValueTooLong", "Too long: value is too long", field)
    return Cause("FieldValueTooLong", f"Too long: may not be more than {maximum} {'byte' if maximum == 1 else 'bytes'}", field)


def too_many(field: str, actual: int, maximum: int) -> Cause:
    """More items or entries than `maximum`."""
    return Cause("FieldValueTooMany", f"Too many: {actual}: must have at most {maximum} {'item' if maximum == 1 else 'items'}", field)
