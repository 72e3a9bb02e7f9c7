"""The refusal of an apply that would change what others own.

Texts: k8s.io/apimachinery pkg/util/managedfields/internal/conflict.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from raysail.api.errors import Cause, StatusError
from raysail.apiserver.apply.fields import FieldSet, path_text, paths
from raysail.apiserver.apply.managers import Manager


class ConflictsError(Exception):
    """What an apply would take from whom."""

    def __init__(self, conflicts: Mapping[Manager, FieldSet]) -> None:
        super().__init__("conflicts")
        self.conflicts = dict(conflicts)

    def status(self) -> StatusError:
        """The 409 that the client sees."""
        listed = [(manager, path_text(path)) for manager in sorted(self.conflicts) for path in paths(self.conflicts[manager])]
        causes = tuple(Cause("FieldManagerConflict", f"conflict with {_shown(manager)}", path) for manager, path in listed)
        if len(listed) == 1:
            text = f"Apply failed with 1 conflict: conflict with {_shown(listed[0][0])}: {listed[0][1]}"
        else:
            lines: list[str] = []
            for manager in sorted(self.conflicts):
                lines.append(f"conflicts with {_shown(manager)}:")
                lines += [f"- {path}" for owner, path in listed if owner is manager]
            text = f"Apply failed with {len(listed)} conflicts: " + "\n".join(lines)
        return StatusError("Conflict", text, causes=causes)


def _shown(manager: Manager) -> str:
    text = json.dumps(manager.name, ensure_ascii=False)
    if manager.subresource:
        text += f" with subresource {json.dumps(manager.subresource)}"
    if manager.operation == "Update":
        text += f" using {manager.api_version}"
    return text
