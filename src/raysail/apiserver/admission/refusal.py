"""403 in the words of admission (k8s.io/apiserver pkg/admission/errors.go)."""

from __future__ import annotations

from raysail.api.errors import Cause, StatusError
from raysail.apiserver.admission.chain import Operation


def forbidden(operation: Operation, reason: str, *causes: Cause) -> StatusError:
    """The operation is refused; `reason` says why."""
    resource = operation.definition.resource
    qualified = operation.definition.group_resource
    name = operation.name or ((operation.object or {}).get("metadata") or {}).get("name", "")
    subject = f'{qualified} "{name}" is forbidden' if name else f"{qualified} is forbidden"
    details = {key: value for key, value in (("name", name), ("group", resource.group), ("kind", resource.plural)) if value}
    return StatusError("Forbidden", f"{subject}: {reason}", causes=causes, details=details)
