"""What the controllers process can be told, whatever way it was told: flags, environment, files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from raysail.builtin import CONTROLLERS as BUILTIN_CONTROLLERS
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.connection import Connection
from raysail.queue.settings import QueueSettings
from raysail.ray.settings import RaySettings

RAY: Final = "ray"
QUEUE: Final = "queue"
KNOWN: Final = (RAY, QUEUE, *BUILTIN_CONTROLLERS)


class SettingsError(Exception):
    """A flag, variable or file that cannot be followed; the text names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSettings:
    """Where the Lease is that only one of several processes may hold."""

    name: str = "ray-operator-leader"
    namespace: str = "default"
    lease_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """Everything. `controllers` are names of KNOWN; `namespaces` limits what is watched (empty: all); addresses are `host:port`, empty for none."""

    connection: Connection
    controllers: frozenset[str]
    namespaces: tuple[str, ...] = ()
    ray: RaySettings = field(default_factory=RaySettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    builtin: BuiltinSettings = field(default_factory=BuiltinSettings)
    leader: LeaderSettings | None = None
    health_address: str = ""
    metrics_address: str = ""
    log_file: Path | None = None
    log_level: str = "INFO"


def parse_controllers(text: str) -> frozenset[str]:
    """`ray,queue,gc`, `all`, `*`, or with exceptions as kube-controller-manager has them: `*,-binder`. Raises SettingsError."""
    chosen: set[str] = set()
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name in ("all", "*"):
            chosen.update(KNOWN)
        elif name.startswith("-"):
            chosen.discard(_known(name[1:]))
        else:
            chosen.add(_known(name))
    if not chosen:
        raise SettingsError(f"--controllers={text}: no controller is left to run")
    return frozenset(chosen)


def _known(name: str, known: Collection[str] = KNOWN) -> str:
    if name not in known:
        raise SettingsError(f"--controllers: there is no controller {name!r}; known: {', '.join(known)}")
    return name
