"""Other objects that a decision asks about: decide with what is known, fetch what was missing, decide again.

The decisions are pure and ask through a plain function; so nothing is fetched for nothing, and what is fetched is as new as the API has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from raysail.api.errors import is_not_found
from raysail.api.kueue.admission import Lookup
from raysail.api.resources import Resource
from raysail.kube.client import Client

T = TypeVar("T")
Key = tuple[Resource, str, str]
_MOST_OBJECTS: Final = 64


class _Unknown(BaseException):
    """Not an Exception: a decision that catches errors must not catch this."""

    def __init__(self, key: Key) -> None:
        self.key = key


async def decide(decision: Callable[[Lookup], T], client: Client) -> T:
    """What the decision comes to. It may be started several times and must leave its inputs as they are. Raises StatusError, ConnectionError."""
    known: dict[Key, Mapping[str, Any] | None] = {}

    def lookup(resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        key = (resource, namespace, name)
        if key not in known:
            raise _Unknown(key)
        return known[key]

    for _ in range(_MOST_OBJECTS):
        try:
            return decision(lookup)
        except _Unknown as asked:
            known[asked.key] = await _get(client, *asked.key)
    raise RuntimeError(f"a decision asked for more than {_MOST_OBJECTS} objects")


async def _get(client: Client, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
    if not name or (resource.namespaced and not namespace):
        return None
    try:
        return await client.get(resource, name, namespace or None)
    except Exception as error:
        if is_not_found(error):  # also where the kind is not served at all
            return None
        raise
