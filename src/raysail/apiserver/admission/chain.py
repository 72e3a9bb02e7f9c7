"""The chain of admission plugins and what each is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from raysail.apiserver.access.users import User
from raysail.apiserver.strategy import Definition


@dataclass(slots=True)
class Operation:
    """One write. `verb` is create, update, delete or connect; `object` is None for a deletion, `old` for a creation."""

    verb: str
    definition: Definition
    namespace: str
    name: str
    subresource: str
    user: User
    object: dict[str, Any] | None
    old: dict[str, Any] | None
    now: datetime
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)

    def concerns(self, group: str, kind: str, subresource: str = "") -> bool:
        """Whether it is about that kind's (sub)resource."""
        resource = self.definition.resource
        return resource.kind == kind and resource.group == group and self.subresource == subresource


class Plugin(Protocol):
    """One rule set. Both methods raise StatusError to refuse."""

    def admit(self, operation: Operation) -> None:
        """May change `operation.object` in place."""
        ...

    def validate(self, operation: Operation) -> None:
        """Sees the final object."""
        ...


class Admission:
    """Plugins in order."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._plugins = tuple(plugins)

    def admit(self, operation: Operation) -> None:
        """Lets each plugin change the object."""
        for plugin in self._plugins:
            plugin.admit(operation)

    def validate(self, operation: Operation) -> None:
        """Lets each plugin look at the final object."""
        for plugin in self._plugins:
            plugin.validate(operation)
