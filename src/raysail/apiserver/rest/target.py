"""What a request's path and method name: which resource, which object, which verb (apiserver pkg/endpoints/request/requestinfo.go)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Below /namespaces/NAME these are the namespace's own, not resources inside it.
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


@dataclass(slots=True)
class Target:
    """A resource request. `rest` is what follows a subresource (`proxy/a/b`); `old_watch` marks the deprecated /watch/ form."""

    method: str
    path: str
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    old_watch: bool = False

    @property
    def is_collection(self) -> bool:
        """Whether no single object is named."""
        return not self.name


@lru_cache(maxsize=1024)
def parse_target(method: str, path: str) -> Target | None:
    """The resource that the path names, or None where it is no resource path (/version, /apis, /api/v1, ...). Asked again, the same Target."""
    parts = path.split("/")
    if len(parts) > 3 and parts[-1] == "":
        parts.pop()
    if len(parts) > 3 and parts[1] == "api":
        target, at = Target(method, path, "", parts[2]), 3
    elif len(parts) > 4 and parts[1] == "apis":
        target, at = Target(method, path, parts[2], parts[3]), 4
    else:
        return None
    if parts[at] == "watch" and len(parts) > at + 1:
        target.old_watch = True
        at += 1
    count = len(parts) - at
    if parts[at] == "namespaces" and count > 2 and not (count == 3 and parts[at + 2] in _NAMESPACE_SUBRESOURCES):
        target.namespace = parts[at + 1]
        at += 2
        count -= 2
    elif parts[at] == "namespaces" and count > 1:
        # A namespace is authorised in itself.
        target.namespace = parts[at + 1]
    target.plural = parts[at]
    if count > 1:
        target.name = parts[at + 1]
    if count > 2:
        target.subresource = parts[at + 2]
    if count > 3:
        target.rest = "/".join(parts[at + 3 :])
    return target


def verb_of(target: Target, query: Mapping[str, str]) -> str:
    """The API verb: get, list, watch, create, update, patch, delete, deletecollection. Empty for methods that have none (HEAD, OPTIONS)."""
    method = target.method
    if method == "GET":
        if target.old_watch or (target.is_collection and _true(query.get("watch"))):
            return "watch"
        return "list" if target.is_collection else "get"
    if method == "DELETE" and target.is_collection:
        return "deletecollection"
    return _VERBS.get(method, "")


@lru_cache(maxsize=1024)
def parse_query(query_string: bytes) -> Mapping[str, str]:
    """Parameters; of repeated ones the first counts, as in Go's conversion of query values."""
    found: dict[str, str] = {}
    for key, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        found.setdefault(key, value)
    return MappingProxyType(found)


def unescape(part: str) -> str:
    """A path segment as text."""
    return unquote(part)


def _true(value: str | None) -> bool:
    # Go's conversion takes "" as true for a present parameter (?watch), and "0" and "false" as false.
    return value is not None and value not in ("0", "false", "False", "FALSE", "F", "f")
