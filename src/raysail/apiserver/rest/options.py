"""Parameters that all writes share: fieldValidation, dryRun, fieldManager, force."""

from __future__ import annotations

from typing import Final

import orjson

from raysail.api.errors import Cause, invalid
from raysail.apiserver.rest.call import Call

_VALIDATIONS: Final = ("Ignore", "Warn", "Strict")
_MANAGER_BYTES: Final = 128


def validation(call: Call) -> str:
    """fieldValidation: Ignore, Warn (the default) or Strict. Raises StatusError (422)."""
    given = call.query.get("fieldValidation", "") or "Warn"
    if given not in _VALIDATIONS:
        text = f'Unsupported value: "{given}": supported values: "", "Ignore", "Strict", "Warn"'
        raise invalid("meta.k8s.io", options_kind(call), "", [Cause("FieldValueNotSupported", text, "fieldValidation")])
    return given


def options_kind(call: Call) -> str:
    """The kind that a refusal of parameters names."""
    return {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}.get(call.verb, "CreateOptions")


def dry_run(call: Call) -> bool:
    """Whether nothing is to be stored. Raises StatusError (422) for anything but All."""
    given = call.query.get("dryRun", "")
    if given not in ("", "All"):
        text = f'Unsupported value: "{given}": supported values: "All"'
        raise invalid("meta.k8s.io", options_kind(call), "", [Cause("FieldValueNotSupported", text, "dryRun")])
    return given == "All"


def force(call: Call) -> bool:
    """Whether an apply takes over what others own."""
    return call.query.get("force", "") in ("1", "t", "T", "true", "TRUE", "True")


def check_manager(call: Call) -> None:
    """Raises StatusError (422) for a field manager whose name is too long or cannot be printed."""
    name = call.query.get("fieldManager", "")
    causes = []
    if len(name.encode()) > _MANAGER_BYTES:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {_MANAGER_BYTES} bytes", "fieldManager"))
    if not name.isprintable():
        causes.append(
            Cause(
                "FieldValueInvalid",
                f"Invalid value: {orjson.dumps(name).decode()}: should only contain printable characters",
                "fieldManager",
            )
        )
    if causes:
        raise invalid("meta.k8s.io", options_kind(call), "", causes)


def check_patch_options(call: Call, *, apply: bool) -> None:
    """Raises StatusError (422) for parameters that do not belong to this kind of patch."""
    check_manager(call)
    causes = []
    if apply and not call.query.get("fieldManager"):
        causes.append(Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager"))
    if not apply and "force" in call.query:
        causes.append(Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"))
    if causes:
        raise invalid("meta.k8s.io", "PatchOptions", "", causes)
