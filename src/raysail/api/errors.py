"""What the API refuses, and why: one exception that is a Kubernetes `Status`.

Every layer raises these; the REST edge turns them into a `Status` body, the client turns such a body back into one.
Reasons, codes and shapes: k8s.io/apimachinery/pkg/api/errors and pkg/apis/meta/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CODES: Final[Mapping[str, int]] = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Gone": 410,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One field at fault. `reason` is a CauseType such as `FieldValueInvalid`; `field` a path such as `spec.ports[0].port`."""

    reason: str
    message: str
    field: str = ""

    def to_dict(self) -> dict[str, str]:
        """The wire form, without empty members."""
        return {k: v for k, v in (("reason", self.reason), ("message", self.message), ("field", self.field)) if v}


@dataclass(slots=True)
class StatusError(Exception):
    """A refused request. `reason` is a Kubernetes StatusReason; `code` its HTTP status (derived from the reason when 0).

    `empty_details`: send `details: {}` where there is nothing to say, as Go's NewGenericServerResponse does.
    `metadata`: the Status' own, such as the `continue` of an expired list.
    """

    reason: str
    message: str
    code: int = 0
    causes: tuple[Cause, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    empty_details: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.code:
            self.code = CODES.get(self.reason, 500)
        Exception.__init__(self, self.message)

    def __str__(self) -> str:
        return self.message

    def to_status(self) -> dict[str, Any]:
        """The `Status` object that goes over the wire."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [cause.to_dict() for cause in self.causes]
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if details or self.empty_details:
            status["details"] = details
        status["code"] = self.code
        return status

    @classmethod
    def from_status(cls, status: Mapping[str, Any], code: int = 0) -> StatusError:
        """The error that a server's `Status` body tells of; `code` is the HTTP status where the body has none."""
        details = dict(status.get("details") or {})
        causes = tuple(Cause(c.get("reason", ""), c.get("message", ""), c.get("field", "")) for c in details.pop("causes", None) or ())
        return cls(status.get("reason", ""), status.get("message", ""), int(status.get("code") or code or 500), causes, details)


def not_found(group: str, plural: str, name: str) -> StatusError:
    """404 in the words of apimachinery's NewNotFound; `plural` is the resource, as in `rayclusters`."""
    return StatusError("NotFound", f'{_qualified(plural, group)} "{name}" not found', details=_details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> StatusError:
    """409 for a create whose name is taken."""
    return StatusError("AlreadyExists", f'{_qualified(plural, group)} "{name}" already exists', details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, message: str) -> StatusError:
    """409 for an update that was computed from an old version, or whose precondition fails."""
    text = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {message}'
    return StatusError("Conflict", text, details=_details(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422 with the fields at fault. The message joins the causes as field.ErrorList.ToAggregate does."""
    found = tuple(causes)
    texts = list(dict.fromkeys(f"{c.field}: {c.message}" if c.field else c.message for c in found))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    return StatusError(
        "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {joined}', causes=found, details=_details(group, kind, name)
    )


def bad_request(message: str) -> StatusError:
    """400: the request cannot be read."""
    return StatusError("BadRequest", message)


def is_not_found(error: BaseException) -> bool:
    """Whether the error says that the object is not there."""
    return isinstance(error, StatusError) and error.code == 404


def is_conflict(error: BaseException) -> bool:
    """Whether the error is an optimistic-locking conflict (not AlreadyExists)."""
    return isinstance(error, StatusError) and error.reason == "Conflict"


def is_already_exists(error: BaseException) -> bool:
    """Whether the error says that the name is taken."""
    return isinstance(error, StatusError) and error.reason == "AlreadyExists"


def _qualified(name: str, group: str) -> str:
    return f"{name}.{group}" if group else name


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}
