"""JSON patch (RFC 6902) as kube-apiserver's library does it (gopkg.in/evanphx/json-patch.v4, patch.go).

It differs from the RFC and from Python's `jsonpatch`: `replace` of an absent member adds it, `test` of an absent member for null passes, indices
may be negative, `add` needs no value, numbers are equal only if written alike. Containers along a path are copied, the rest is shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api.errors import StatusError
from raysail.apiserver.patch.faults import bad_patch, json_type, rejected

MAX_OPERATIONS: Final = 10_000
_INDEX: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MEMBERS: Final = ("op", "path", "from", "value")


class _ImpossibleError(Exception):
    """An operation cannot be done; the reason is never shown."""


def apply_json_patch(current: Mapping[str, Any], patch: Any) -> Any:
    """The patched object. Raises StatusError: 400 for what is no patch, 413 for too many operations, 422 for one that fails."""
    if patch is None:
        return dict(current)
    if not isinstance(patch, list):
        raise bad_patch(patch, "[]handlers.jsonPatchOp")
    for operation in patch:
        _check_form(operation)
    if len(patch) > MAX_OPERATIONS:
        raise StatusError(
            "RequestEntityTooLarge",
            f"Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}",
        )
    document = _Document(current)
    try:
        for operation in patch:
            perform = _OPERATIONS.get(operation.get("op"))
            if perform is None:
                raise _ImpossibleError
            perform(document, operation)
    except _ImpossibleError:
        raise rejected() from None
    return document.root


def json_patch_unknown_fields(patch: Any) -> list[str]:
    """What strict field validation says about members that operations do not have."""
    if not isinstance(patch, list):
        return []
    return [
        f'json patch unknown field "[{index}].{member}"'
        for index, operation in enumerate(patch)
        if isinstance(operation, dict)
        for member in operation
        if member not in _MEMBERS
    ]


def _check_form(operation: Any) -> None:
    if operation is not None and not isinstance(operation, dict):
        raise bad_patch(operation, "handlers.jsonPatchOp")
    for member in ("op", "path", "from"):
        value = (operation or {}).get(member)
        if value is not None and not isinstance(value, str):
            text = (
                f"error decoding patch: json: cannot unmarshal {json_type(value)} into Go struct field jsonPatchOp.{member} of type string"
            )
            raise StatusError("BadRequest", text)
    if operation is None:
        raise rejected()


class _Document:
    """A JSON document whose containers are copied when first changed."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._owned: set[int] = set()
        self._keep: list[Any] = []  # an id stays unique only while its object lives

    def container(self, path: str, *, change: bool) -> tuple[dict[str, Any] | list[Any], str]:
        """What holds the place that the path names, and the last token; a container of our own if it is to be changed."""
        tokens = path.split("/")
        if len(tokens) < 2:
            raise _ImpossibleError
        if change:
            self.root = self._own(self.root)
        found = self.root
        for token in map(_unescape, tokens[1:-1]):
            key: Any = _index(found, token) if isinstance(found, list) else token
            child = found[key] if isinstance(found, list) else found.get(key)
            if not isinstance(child, dict | list):
                raise _ImpossibleError
            if change:
                child = found[key] = self._own(child)
            found = child
        return found, _unescape(tokens[-1])

    def _own(self, value: Any) -> Any:
        if id(value) in self._owned:
            return value
        copy = value.copy()
        self._owned.add(id(copy))
        self._keep.append(copy)
        return copy

    def get(self, path: str) -> Any:
        """The value there; None for an absent member of an object."""
        found, key = self.container(path, change=False)
        return found[_index(found, key)] if isinstance(found, list) else found.get(key)

    def add(self, path: str, value: Any) -> None:
        found, key = self.container(path, change=True)
        if isinstance(found, dict):
            found[key] = value
        elif key == "-":
            found.append(value)
        else:
            index = _integer(key)
            size = len(found) + 1
            if not -size <= index < size:
                raise _ImpossibleError
            found.insert(index + size if index < 0 else index, value)

    def remove(self, path: str) -> None:
        found, key = self.container(path, change=True)
        if isinstance(found, list):
            del found[_index(found, key)]
        elif key in found:
            del found[key]
        else:
            raise _ImpossibleError

    def replace(self, path: str, value: Any) -> None:
        found, key = self.container(path, change=True)
        if isinstance(found, list):
            found[_index(found, key)] = value
        else:
            found[key] = value


def _unescape(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _integer(token: str) -> int:
    if _INDEX.fullmatch(token) is None:
        raise _ImpossibleError
    return int(token)


def _index(values: list[Any], token: str) -> int:
    index = _integer(token)
    if not -len(values) <= index < len(values):
        raise _ImpossibleError
    return index


def _text(operation: Mapping[str, Any], member: str) -> str:
    value = operation.get(member)
    if not isinstance(value, str):
        raise _ImpossibleError
    return value


def _add(document: _Document, operation: Mapping[str, Any]) -> None:
    document.add(_text(operation, "path"), operation.get("value"))


def _remove(document: _Document, operation: Mapping[str, Any]) -> None:
    document.remove(_text(operation, "path"))


def _replace(document: _Document, operation: Mapping[str, Any]) -> None:
    path, value = _text(operation, "path"), operation.get("value")
    if path:
        document.replace(path, value)
    elif isinstance(value, dict | list):
        document.root = value
    else:
        raise _ImpossibleError


def _move(document: _Document, operation: Mapping[str, Any]) -> None:
    source = _text(operation, "from")
    value = document.get(source)
    document.remove(source)
    document.add(_text(operation, "path"), value)


def _copy(document: _Document, operation: Mapping[str, Any]) -> None:
    value = document.get(_text(operation, "from"))
    # The copied containers are no longer ours alone: both places must copy before they change.
    document._owned.clear()
    document.add(_text(operation, "path"), value)


def _test(document: _Document, operation: Mapping[str, Any]) -> None:
    path = _text(operation, "path")
    found = document.get(path) if path else document.root
    if not _equal(found, operation.get("value")):
        raise _ImpossibleError


def _equal(left: Any, right: Any) -> bool:
    """As text would be: 1 is neither 1.0 nor true."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


_OPERATIONS: Final[Mapping[Any, Callable[[_Document, Mapping[str, Any]], None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
