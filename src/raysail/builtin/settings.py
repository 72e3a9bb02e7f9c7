"""What the built-in controllers can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinSettings:
    """`root_ca_file` is published in every namespace; `volumes_folder` is where claims get their folders (none: claims stay pending).

    The certificate is read when it is first needed, not at the start: on a new machine the API may still be making it.
    """

    root_ca_file: Path | None = None
    volumes_folder: Path | None = None
    event_ttl_seconds: float = 3600.0
