"""The chain of admission plugins and what each is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from raysail.api.resources import Resource
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
    """One rule set. `admit` and `validate` raise StatusError to refuse."""

    @property
    def mutating(self) -> bool:
        """Whether `admit` may change objects."""
        ...

    def concerns(self, resource: Resource) -> bool:
        """Whether it has anything to say about objects of that kind: it is only asked about those."""
        ...

    def admit(self, operation: Operation) -> None:
        """May change `operation.object` in place."""
        ...

    def validate(self, operation: Operation) -> None:
        """Sees the final object."""
        ...


class OfKinds:
    """What plugins for a few kinds share: `kinds` are theirs, by group and kind."""

    mutating: ClassVar[bool] = True
    kinds: ClassVar[frozenset[tuple[str, str]]]

    def concerns(self, resource: Resource) -> bool:
        """Whether the kind is one of theirs."""
        return (resource.group, resource.kind) in self.kinds


@dataclass(frozen=True, slots=True)
class _Concerned:
    plugins: tuple[Plugin, ...]
    mutating: bool


class Admission:
    """Plugins in order."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._plugins = tuple(plugins)
        self._by_kind: dict[tuple[str, str], _Concerned] = {}

    def _concerned(self, resource: Resource) -> _Concerned:
        place = (resource.group, resource.kind)
        found = self._by_kind.get(place)
        if found is None:
            plugins = tuple(plugin for plugin in self._plugins if plugin.concerns(resource))
            found = self._by_kind[place] = _Concerned(plugins, any(plugin.mutating for plugin in plugins))
        return found

    def may_change(self, resource: Resource) -> bool:
        """Whether any plugin may change such objects."""
        return self._concerned(resource).mutating

    def admit(self, operation: Operation) -> None:
        """Lets each plugin change the object."""
        for plugin in self._concerned(operation.definition.resource).plugins:
            plugin.admit(operation)

    def validate(self, operation: Operation) -> None:
        """Lets each plugin look at the final object."""
        for plugin in self._concerned(operation.definition.resource).plugins:
            plugin.validate(operation)
