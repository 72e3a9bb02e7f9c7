"""Which resources the API serves right now. CRDs come and go at run time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from raysail.apiserver.strategy import Definition

_VERSION: Final = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_STABILITY: Final = {None: 3, "beta": 2, "alpha": 1}


class Registry:
    """Definitions by group, version and plural. `generation` grows with every change, for what is derived from it (discovery, OpenAPI)."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], dict[str, Definition]] = {}
        self._listeners: list[Callable[[], None]] = []
        self.generation = 0

    def find(self, group: str, version: str, plural: str) -> Definition | None:
        """The definition behind a path."""
        resources = self._versions.get((group, version))
        return resources.get(plural) if resources is not None else None

    def of_kind(self, group: str, version: str, kind: str) -> Definition | None:
        """The definition of an object that says this apiVersion and kind."""
        return next((d for d in self._versions.get((group, version), {}).values() if d.resource.kind == kind), None)

    def add(self, definition: Definition) -> None:
        """Serves it from now on, in place of an older definition of the same resource."""
        resource = definition.resource
        self._versions.setdefault((resource.group, resource.version), {})[resource.plural] = definition
        self._changed()

    def remove(self, group: str, version: str, plural: str) -> None:
        """Serves it no longer."""
        resources = self._versions.get((group, version), {})
        if resources.pop(plural, None) is not None:
            if not resources:
                del self._versions[group, version]
            self._changed()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls back after every change."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        self.generation += 1
        for listener in self._listeners:
            listener()

    def groups(self) -> list[str]:
        """Named groups (not core): Kubernetes' own first, in the order they were added, then custom ones."""
        return list(dict.fromkeys(group for group, _ in self._versions if group))

    def versions(self, group: str) -> list[str]:
        """The versions of a group, most stable and newest first: the first one is preferred."""
        return sorted((version for other, version in self._versions if other == group), key=version_order)

    def resources(self, group: str, version: str) -> list[Definition]:
        """What a version serves, by plural name."""
        found = self._versions.get((group, version), {})
        return [found[plural] for plural in sorted(found)]

    def serves(self, group: str, version: str) -> bool:
        """Whether the group version exists."""
        return (group, version) in self._versions

    def serves_group(self, group: str) -> bool:
        """Whether any version of the group exists."""
        return any(other == group for other, _ in self._versions)

    def definitions(self) -> Iterator[Definition]:
        """All of them."""
        for resources in self._versions.values():
            yield from resources.values()


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key: v2 before v1 before v1beta2 before v1alpha1 before what is no Kubernetes version (k8s.io/apimachinery pkg/version)."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (0, 0, 0, version)
    major, stability, minor = match.groups()
    return (-_STABILITY[stability], -int(major), -int(minor or 0), "")
