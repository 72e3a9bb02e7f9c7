"""Where the keys and certificates of an instance lie, and whether they are still good.

Made once (`certificates`) and kept in RAYSAIL_HOME/pki. A note beside the server's certificate says what it was made for, so that a start that finds it
good need not load `cryptography`, which costs more than the rest of this.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_RENEW_BEFORE_SECONDS: Final = 30 * 86400


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the keys and certificates of one instance lie."""

    folder: Path

    @property
    def ca_certificate(self) -> Path:
        """The CA's certificate: what clients trust."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The CA's private key."""
        return self.folder / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """The API's certificate."""
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        """The API's private key."""
        return self.folder / "server.key"

    @property
    def service_account_key(self) -> Path:
        """The private key that signs service-account tokens."""
        return self.folder / "service-account.key"

    @property
    def server_note(self) -> Path:
        """What the API's certificate was made for."""
        return self.folder / "server.json"


def prepare(folder: Path, server_names: list[str]) -> Pki:
    """Makes what is missing; renews the server certificate when a name is missing or it ends soon. `server_names`: DNS names and IP addresses."""
    pki = Pki(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _is_known_good(pki, server_names):
        from raysail.apiserver.access import certificates

        ends = certificates.make_missing(pki, server_names, _RENEW_BEFORE_SECONDS)
        note = {"names": server_names, "ends": ends, "digest": _digest(pki)}
        write_private(pki.server_note, json.dumps(note).encode())
    return pki


def _is_known_good(pki: Pki, server_names: list[str]) -> bool:
    try:
        note = json.loads(pki.server_note.read_bytes())
        fits = set(server_names) <= set(note["names"]) and note["ends"] - time.time() > _RENEW_BEFORE_SECONDS
        return bool(fits and note["digest"] == _digest(pki))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest(pki: Pki) -> str:
    """Of all that has to belong together."""
    files = (pki.ca_certificate, pki.ca_key, pki.server_certificate, pki.server_key, pki.service_account_key)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    # Renamed into place: a crash leaves the old file or the new one, never half of it.
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
