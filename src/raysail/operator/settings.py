"""What the controllers process can be told, whatever way it was told: flags, environment, files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from raysail.api.kueue.admission import AdmissionSettings
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


class RegistrationError(Exception):
    """The API server refuses what has to be installed or registered there; the text says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSettings:
    """Where the Lease is that only one of several processes may hold."""

    name: str = "ray-operator-leader"
    namespace: str = "default"
    lease_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """A Service in the cluster that leads to this process."""

    namespace: str
    name: str
    port: int = 443

    def names(self) -> list[str]:
        """What a certificate must be for."""
        return [f"{self.name}.{self.namespace}.svc", f"{self.name}.{self.namespace}.svc.cluster.local"]


OUTSIDE: Final = ServiceReference("default", "raysail-extension")
"""The Service that is made for a process outside of the cluster: aggregation knows Services only, no URLs."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where admission and conversion are served to an API server that is not ours, and how it reaches us: by `url`, by `service`, or at the address itself.

    The certificate is one of our own unless it lies in a folder or (for several replicas) in a Secret, (namespace, name).
    """

    host: str
    port: int
    url: str = ""
    service: ServiceReference | None = None
    certificate_folder: Path | None = None
    certificate_secret: tuple[str, str] | None = None
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    ray: bool = False
    """KubeRay's webhooks too; off as there (ENABLE_WEBHOOKS)."""

    @property
    def reached_host(self) -> str:
        """The host of the address for who is on this machine."""
        return "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 - compared, not listened on

    def names(self) -> list[str]:
        """What the certificate must be for."""
        host = urlsplit(self.url).hostname if self.url else None
        return [*(self.service or OUTSIDE).names(), *([host] if host else []), self.reached_host, "localhost"]


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
    install: bool = False
    """Brings the CustomResourceDefinitions of the chosen controllers."""
    webhooks: WebhookSettings | None = None
    extension_socket: Path | None = None
    """Unix socket on which the embedded API finds the API groups that this process answers for."""
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
