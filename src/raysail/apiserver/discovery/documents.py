"""Discovery documents, legacy and aggregated, made from the registry and kept until it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raysail.apiserver.registry import Registry
from raysail.apiserver.rest.answer import encode
from raysail.apiserver.strategy import Definition

AGGREGATED_TYPE: Final = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_READ_WRITE: Final = ("get", "patch", "update")
_CONNECT: Final = ("create", "get")
_PROXY: Final = ("create", "delete", "get", "patch", "update")
_SCALE: Final = ("autoscaling", "v1", "Scale")
# Subresources that do not speak the kind of their object: (group, version, kind) where it is another group's, the kind, the verbs.
_SPECIAL: Final[dict[tuple[str, str], tuple[str, str, str, tuple[str, ...]]]] = {
    ("namespaces", "finalize"): ("", "", "Namespace", ("update",)),
    ("nodes", "proxy"): ("", "", "NodeProxyOptions", _PROXY),
    ("pods", "attach"): ("", "", "PodAttachOptions", _CONNECT),
    ("pods", "binding"): ("", "", "Binding", ("create",)),
    ("pods", "eviction"): ("policy", "v1", "Eviction", ("create",)),
    ("pods", "exec"): ("", "", "PodExecOptions", _CONNECT),
    ("pods", "log"): ("", "", "Pod", ("get",)),
    ("pods", "portforward"): ("", "", "PodPortForwardOptions", _CONNECT),
    ("pods", "proxy"): ("", "", "PodProxyOptions", _PROXY),
    ("serviceaccounts", "token"): ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    ("services", "proxy"): ("", "", "ServiceProxyOptions", _PROXY),
}


def subresource_kind(definition: Definition, subresource: str) -> tuple[str, str, str, tuple[str, ...]]:
    """(group, version, kind, verbs) of a subresource; group and version are empty where they are the object's own."""
    if subresource == "scale":
        return (*_SCALE, _READ_WRITE)
    special = None if definition.custom else _SPECIAL.get((definition.resource.plural, subresource))
    return special or ("", "", definition.resource.kind, _READ_WRITE)


class Discovery:
    """The documents under /api and /apis."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._kept: dict[tuple[str, ...], bytes] = {}

    def _document(self, key: tuple[str, ...], make: Callable[[], Any]) -> bytes:
        if self._generation != self._registry.generation:
            self._kept.clear()
            self._generation = self._registry.generation
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = encode(make())
        return found

    def core_versions(self) -> bytes:
        """GET /api."""
        return self._document(("api",), lambda: {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})

    def group_list(self) -> bytes:
        """GET /apis."""
        return self._document(
            ("apis",),
            lambda: {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name) for name in self._registry.groups()]},
        )

    def group(self, name: str) -> bytes | None:
        """GET /apis/GROUP."""
        if not name or not self._registry.serves_group(name):
            return None
        return self._document(("apis", name), lambda: {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)})

    def resource_list(self, group: str, version: str) -> bytes | None:
        """GET /api/v1 or /apis/GROUP/VERSION."""
        if not self._registry.serves(group, version):
            return None
        return self._document(("resources", group, version), lambda: self._resource_list(group, version))

    def aggregated(self, *, core: bool) -> bytes:
        """GET /api or /apis in the aggregated form."""
        groups = [""] if core else self._registry.groups()
        return self._document(
            ("aggregated", str(core)),
            lambda: {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": [self._aggregated_group(group) for group in groups],
            },
        )

    def own_group(self, group: str) -> bool:
        """Whether it is one of Kubernetes' own groups."""
        return any(not definition.custom for definition in self._registry.definitions() if definition.resource.group == group)

    def paths(self) -> list[str]:
        """The roots of all groups and versions, for GET /."""
        found = ["/api", "/api/v1", "/apis"]
        for group in self._registry.groups():
            found += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in self._registry.versions(group))]
        return found

    def _group(self, name: str) -> dict[str, Any]:
        versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in self._registry.versions(name)]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> dict[str, Any]:
        resources = []
        for definition in self._registry.resources(group, version):
            resource = definition.resource
            entry: dict[str, Any] = {
                "name": resource.plural,
                "singularName": definition.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(definition.verbs),
            }
            if definition.short_names:
                entry["shortNames"] = list(definition.short_names)
            if definition.categories:
                entry["categories"] = list(definition.categories)
            resources.append(entry)
            for name in definition.subresources:
                other_group, other_version, kind, verbs = subresource_kind(definition, name)
                sub: dict[str, Any] = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
                if other_version:
                    sub |= {"group": other_group, "version": other_version}
                resources.append({**sub, "kind": kind, "verbs": list(verbs)})
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}

    def _aggregated_group(self, group: str) -> dict[str, Any]:
        versions = [
            {
                "version": version,
                "resources": [_aggregated_resource(definition) for definition in self._registry.resources(group, version)],
                "freshness": "Current",
            }
            for version in self._registry.versions(group)
        ]
        return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(definition: Definition) -> dict[str, Any]:
    resource = definition.resource
    # Kubernetes' own kinds leave group and version to the list they stand in.
    place = (resource.group, resource.version) if definition.custom else ("", "")
    own = {"group": place[0], "version": place[1], "kind": resource.kind}
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": own,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": definition.singular,
        "verbs": list(definition.verbs),
    }
    if definition.short_names:
        entry["shortNames"] = list(definition.short_names)
    if definition.categories:
        entry["categories"] = list(definition.categories)
    subresources = []
    for name in definition.subresources:
        group, version, kind, verbs = subresource_kind(definition, name)
        response = {"group": group, "version": version, "kind": kind} if version else {**own, "kind": kind}
        subresources.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry
