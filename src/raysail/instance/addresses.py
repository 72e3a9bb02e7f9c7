"""Each instance's own part of 127.0.0.0/8, so that several run side by side without configuration.

A slot S in 100..254 stands for 127.S.0.0/16. Slots are claimed by a file that names the state directory, under a lock in the user's runtime folder.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raysail.instance.home import Home, InstanceError, secure_runtime_folder

API_PORT: Final = 6443
_FIRST, _LAST = 100, 254


@dataclass(frozen=True, slots=True)
class Addresses:
    """What lies where in an instance's slot."""

    slot: int

    @property
    def api(self) -> str:
        """The API's own address."""
        return f"127.{self.slot}.0.1"

    @property
    def server(self) -> str:
        """The API's URL."""
        return f"https://{self.api}:{API_PORT}"

    @property
    def services(self) -> str:
        """Addresses of ClusterIP Services."""
        return f"127.{self.slot}.0.0/20"

    @property
    def pods(self) -> str:
        """Addresses of Pods."""
        return f"127.{self.slot}.128.0/17"


def claim(home: Home, wanted: int = 0) -> Addresses:
    """The instance's slot: `wanted` (what it had before) if nobody else took it, else a free one. Raises InstanceError when all are taken."""
    folder = secure_runtime_folder() / "slots"
    folder.mkdir(mode=0o700, exist_ok=True)
    with _locked(folder / "lock"):
        mine = os.fsencode(home.path)
        for slot in _candidates(wanted):
            file = folder / str(slot)
            owner = file.read_bytes() if file.exists() else b""
            if owner == mine or (not _in_use(owner) and _free(slot)):
                file.write_bytes(mine)
                return Addresses(slot)
    raise InstanceError(
        f"all {_LAST - _FIRST + 1} address ranges for raysail instances are taken; see {folder} and stop one with `raysail down`"
    )


def release(home: Home, slot: int) -> None:
    """Gives the slot back."""
    folder = secure_runtime_folder() / "slots"
    file = folder / str(slot)
    if not folder.exists():
        return
    with _locked(folder / "lock"):
        if file.exists() and file.read_bytes() == os.fsencode(home.path):
            file.unlink()


def _candidates(wanted: int) -> Iterator[int]:
    if _FIRST <= wanted <= _LAST:
        yield wanted
    # Users start at different places: their runtime folders do not know of each other.
    start = os.getuid() % (_LAST - _FIRST + 1)
    for offset in range(_LAST - _FIRST + 1):
        yield _FIRST + (start + offset) % (_LAST - _FIRST + 1)


def _in_use(owner: bytes) -> bool:
    return bool(owner) and (Path(os.fsdecode(owner)) / "version").exists()


def _free(slot: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((f"127.{slot}.0.1", API_PORT))
        except OSError:
            return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
