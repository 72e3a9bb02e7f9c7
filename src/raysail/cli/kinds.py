"""From what people type (`rayjobs`, `rj.ray.io/x`, `pod/a`, `cq`) to a Resource, by asking the API what it serves."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from raysail.api.resources import Resource
from raysail.cli.connection import Api

_AGGREGATED = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Served:
    """One resource of the API with the names it goes by."""

    resource: Resource
    names: frozenset[str]
    categories: frozenset[str]


class Kinds:
    """What the API serves, read once a command. The first version of a group that has a resource is the preferred one."""

    def __init__(self, api: Api) -> None:
        self._served = list(_served(api))

    def find(self, text: str) -> Resource:
        """The resource for `pods`, `po`, `Pod`, `rayjobs.ray.io`, `rayjobs.v1.ray.io`. Raises click.UsageError with near names."""
        wanted, _, group = text.lower().partition(".")
        for served in self._served:
            resource = served.resource
            if wanted in served.names and group in ("", resource.group, f"{resource.version}.{resource.group}"):
                return resource
        names = sorted({name for served in self._served for name in served.names})
        near = difflib.get_close_matches(wanted, names, 3)
        hint = f" Did you mean {' or '.join(near)}?" if near else " See `raysail kubectl api-resources`."
        raise click.UsageError(f'the server doesn\'t have a resource type "{text}".{hint}')

    def of_object(self, obj: dict[str, Any]) -> Resource:
        """The resource of a manifest's kind and version. Raises click.UsageError when it is not served."""
        api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
        for resource in self.all_versions():
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        raise click.UsageError(f'no matches for kind "{kind}" in version "{api_version}": check the spelling, or install its CRD first')

    def all_versions(self) -> Iterator[Resource]:
        """Every resource in every version."""
        for served in self._served:
            yield served.resource

    def category(self, name: str) -> list[Resource]:
        """The resources of a category such as `all`."""
        return [served.resource for served in self._served if name in served.categories]


def targets(kinds: Kinds, arguments: Sequence[str]) -> list[tuple[Resource, list[str]]]:
    """The ways of kubectl to name objects: `kind`, `kind,kind`, `kind name...`, `kind/name...`, `all`. An empty list of names means all of the kind."""
    if not arguments:
        raise click.UsageError("say what: a kind, `kind name`, or `kind/name`")
    if any("/" in argument for argument in arguments):
        grouped: dict[Resource, list[str]] = {}
        for argument in arguments:
            kind, slash, name = argument.partition("/")
            if not slash:
                raise click.UsageError(
                    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form"
                )
            grouped.setdefault(kinds.find(kind), []).append(name)
        return list(grouped.items())
    named = [resource for kind in arguments[0].split(",") for resource in kinds.category(kind) or [kinds.find(kind)]]
    return [(resource, list(arguments[1:])) for resource in named]


def _served(api: Api) -> Iterator[Served]:
    for root in ("/api", "/apis"):
        document = api.request("GET", root, headers={"Accept": _AGGREGATED})
        for group in document.get("items", ()):
            name = group["metadata"].get("name", "")
            for version in group.get("versions", ()):
                for item in version.get("resources", ()):
                    kind = item["responseKind"]
                    resource = Resource(name, version["version"], kind["kind"], item["resource"], item["scope"] == "Namespaced")
                    names = {
                        item["resource"],
                        item.get("singularResource") or kind["kind"].lower(),
                        kind["kind"].lower(),
                        *item.get("shortNames", ()),
                    }
                    yield Served(resource, frozenset(names), frozenset(item.get("categories", ())))
