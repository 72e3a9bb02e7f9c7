"""Where an API server is and how to get there: address, TLS, credentials. What a kubeconfig says, in one value."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from raysail.kube.credentials import Credentials, StaticHeaders


class ConnectionConfigError(Exception):
    """The address, certificate or key cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`server` is `https://host:port[/path]`, `http://…` or `unix:///path/of/socket`. PEM material is text, whatever file it came from."""

    server: str
    ca_pem: str = ""
    client_certificate_pem: str = ""
    client_key_pem: str = field(default="", repr=False)
    insecure: bool = False
    tls_server_name: str = ""
    credentials: Credentials = field(default_factory=StaticHeaders, repr=False)
    impersonate: str = ""
    impersonate_groups: tuple[str, ...] = ()
    namespace: str = "default"

    @property
    def socket_path(self) -> str:
        """The Unix socket's path, empty for TCP."""
        return self.server.removeprefix("unix://") if self.server.startswith("unix://") else ""

    @property
    def base_url(self) -> str:
        """What request paths are appended to."""
        return "http://localhost" if self.socket_path else self.server.rstrip("/")

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings; None when the connection has none. Raises ConnectionConfigError."""
        if not self.server.startswith("https://"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca_pem or None)
        except ssl.SSLError as error:
            raise ConnectionConfigError(f"the certificate authority for {self.server} is not a PEM certificate: {error}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        # Kubernetes' own CAs (kubeadm, k3s) often lack the extensions that Python 3.13 began to insist on.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if self.client_certificate_pem:
            _load_client_certificate(context, self.client_certificate_pem, self.client_key_pem)
        return context


def unix_socket(path: Path | str) -> Connection:
    """The API server behind a local socket; whoever may open the socket is trusted by it."""
    return Connection(f"unix://{path}")


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # ssl reads certificates only from files; this one is ours alone and gone as soon as it is read.
    descriptor, name = tempfile.mkstemp(prefix="raysail-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(certificate.rstrip("\n") + "\n" + key)
        context.load_cert_chain(name)
    except ssl.SSLError as error:
        raise ConnectionConfigError(f"the client certificate and key do not fit together or are not PEM: {error}") from error
    finally:
        Path(name).unlink()
