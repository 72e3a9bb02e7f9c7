"""What the built-in controllers can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinSettings:
    """`root_ca_pem` is published in every namespace; `volumes_folder` is where claims get their folders (none: claims stay pending)."""

    root_ca_pem: str = ""
    volumes_folder: Path | None = None
    event_ttl_seconds: float = 3600.0
