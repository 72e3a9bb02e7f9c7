"""One request while it is worked on, and what all requests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from raysail.apiserver.access.users import ANONYMOUS, User
from raysail.apiserver.apply import name_from_user_agent
from raysail.apiserver.registry import Registry
from raysail.apiserver.rest.accept import PLAIN, Form
from raysail.apiserver.rest.target import Target
from raysail.apiserver.store import Store
from raysail.apiserver.strategy import Definition, Request

if TYPE_CHECKING:
    from raysail.apiserver.admission.chain import Admission
    from raysail.apiserver.rest.ownership import Ownership

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Push = Callable[[bytes], bool]
PUSH: Final = "raysail.push"
"""The key of a scope under which a connection may offer to send a part of an answer at once; False when it cannot, then `send` waits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask of the server, in bytes and seconds. Sizes as in kube-apiserver (3 MiB) and etcd (1.5 MiB)."""

    body_bytes: int = 3 * 1024 * 1024
    object_bytes: int = 1536 * 1024
    watch_seconds: tuple[float, float] = (1800.0, 3600.0)
    bookmark_seconds: float = 60.0
    future_version_seconds: float = 3.0


@dataclass(slots=True)
class Shared:
    """What every request works with."""

    store: Store
    registry: Registry
    admission: Admission
    ownership: Ownership
    now: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Call:
    """One resource request. `warnings` gather on the way and leave as headers."""

    shared: Shared
    target: Target
    verb: str
    definition: Definition
    query: Mapping[str, str]
    headers: list[tuple[bytes, bytes]]
    user: User = ANONYMOUS
    form: Form = PLAIN
    body: bytes = b""
    authorize_create: Callable[[], None] = lambda: None  # raises StatusError (403) for who may not create such objects
    warnings: list[str] = field(default_factory=list)
    _now: datetime | None = field(default=None, init=False)

    @property
    def now(self) -> datetime:
        """The moment at which the request is worked on: the same in all that it writes."""
        if self._now is None:
            self._now = self.shared.now()
        return self._now

    @property
    def store(self) -> Store:
        """The store."""
        return self.shared.store

    def header(self, name: bytes) -> str:
        """A request header's value, empty where it was not sent. `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    @property
    def key(self) -> str:
        """Where the store keeps the named object."""
        return key_of(self.definition, self.target.namespace, self.target.name)

    def request(self) -> Request:
        """What a Strategy may know of it."""
        return Request(self.now, self.target.subresource, self.user.name)

    @property
    def manager(self) -> str:
        """The field manager: as given, else the first part of the User-Agent (managedfields.go)."""
        return self.query.get("fieldManager", "") or name_from_user_agent(self.header(b"user-agent"))


def key_of(definition: Definition, namespace: str, name: str) -> str:
    """The store's key of an object."""
    return f"{namespace}/{name}" if definition.resource.namespaced else name


def decoded(definition: Definition, obj: dict[str, Any]) -> dict[str, Any]:
    """A stored object in the version of the Definition."""
    return definition.conversion.from_storage(obj) if definition.conversion else obj
