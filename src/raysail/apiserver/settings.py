"""What the API process is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from raysail.api.kueue.admission import AdmissionSettings
from raysail.apiserver.rest.call import Limits


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """PEM files of the TCP listener; `client_ca` verifies client certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`data` is the folder of the store. Who may open `socket` is an administrator; over TCP everybody shows a token or certificate.

    `secure`: TLS on TCP, with the certificate in `pki` where `tls` names none. `admission` switches on what comes on top of Kubernetes' own rules: `ray`, `queue` (with
    `queue_admission` as Kueue's Configuration says it). `admin_tokens` are members of system:masters.
    """

    data: Path
    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    tls: TlsSettings | None = None
    secure: bool = True
    pki: Path | None = None
    admin_tokens: tuple[str, ...] = ()
    service_cidr: str = "10.96.0.0/16"
    node_ports: tuple[int, int] = (30000, 32767)
    admission: frozenset[str] = frozenset({"ray", "queue"})
    disabled_admission: frozenset[str] = frozenset()
    """Class names of Kubernetes' own plugins to leave out, as kube-apiserver's --disable-admission-plugins (tests of recordings made without)."""
    queue_admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    install_crds: bool = True
    limits: Limits = field(default_factory=Limits)
    history_changes: int = 50_000
