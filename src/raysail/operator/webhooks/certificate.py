"""The certificate with which we answer the API server: our own, made at each start; one kept in a Secret for several replicas; or one given as files."""

from __future__ import annotations

import base64
import logging
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from raysail.api.errors import is_already_exists, is_not_found
from raysail.api.resources import SECRETS
from raysail.apiserver.access.certificates import throw_away_authority
from raysail.kube.client import Client

logger = logging.getLogger(__name__)

_RENEW_BEFORE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM. `authority` signed the certificate; empty where others tell the API server whom to trust (cert-manager's CA injection)."""

    authority: bytes
    certificate: bytes
    key: bytes

    def server_context(self) -> ssl.SSLContext:
        """For a listener. Raises ssl.SSLError for a certificate and key that do not belong together."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory(prefix="raysail-tls-") as folder:  # OpenSSL reads files only; the folder is ours alone
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            certificate.write_bytes(self.certificate)
            key.touch(0o600)
            key.write_bytes(self.key)
            context.load_cert_chain(certificate, key)
        return context

    def lasts_for(self, names: list[str]) -> bool:
        """Whether it is for all these names, and not about to end."""
        certificate = x509.load_pem_x509_certificate(self.certificate)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = {str(value) for kind in (x509.DNSName, x509.IPAddress) for value in alternatives.get_values_for_type(kind)}
        return known >= set(names) and certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def own(names: list[str]) -> Certificate:
    """A new one. `names`: DNS names and IP addresses."""
    return Certificate(*throw_away_authority(names, "raysail-webhooks"))


def from_folder(folder: Path) -> Certificate:
    """tls.crt, tls.key and, where there is one, ca.crt: the form of a mounted Secret. Raises OSError."""
    authority = folder / "ca.crt"
    return Certificate(
        authority.read_bytes() if authority.exists() else b"", (folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes()
    )


async def shared(client: Client, namespace: str, name: str, names: list[str]) -> Certificate:
    """The one in that Secret, made where it is missing or no longer fits: all replicas answer with the same. Raises StatusError, ConnectionError."""
    while True:
        try:
            secret = await client.get(SECRETS, name, namespace)
        except Exception as error:
            if not is_not_found(error):
                raise
            secret = {}
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        if {"ca.crt", "tls.crt", "tls.key"} <= data.keys():
            found = Certificate(data["ca.crt"], data["tls.crt"], data["tls.key"])
            if found.lasts_for(names):
                return found
            logger.info("the certificate in Secret %s/%s ends soon or lacks a name: making a new one", namespace, name)
            await client.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
        made = own(names)
        parts = {"ca.crt": made.authority, "tls.crt": made.certificate, "tls.key": made.key}
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in parts.items()},
        }
        try:
            await client.create(SECRETS, body, namespace)
        except Exception as error:
            if not is_already_exists(error):  # another replica was quicker: its certificate is as good
                raise
            continue
        return made
