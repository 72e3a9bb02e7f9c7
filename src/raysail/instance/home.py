"""The state directory of one instance (`RAYSAIL_HOME`), and the short folder for its sockets.

Layout: docs/architecture.md. Unix socket paths are limited to 107 bytes, so sockets live in the user's runtime folder, however long the path of the
state directory is; `run` in the state directory links there. Only the standard library is imported: the supervisor stays small.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
"""Version of the layout. Raise it together with a migration in `Home.prepare`."""


class InstanceError(Exception):
    """Something about the instance that its owner can put right; the text says how."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `raysail up` was told; kept so that a restart is the same. `slot` S stands for the addresses 127.S.0.0/16."""

    slot: int = 0
    nodes: str = ""
    ray_token_authentication: bool = True
    tls: bool = True
    queue_config: str = ""
    operator_config: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one instance. Nothing is created before `prepare`."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """What `up` was told."""
        return self.path / "settings.json"

    @property
    def kubeconfig(self) -> Path:
        """Admin access for kubectl and raysail."""
        return self.path / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "pki"

    @property
    def admin_token(self) -> Path:
        """The bearer token of the instance's owner."""
        return self.pki / "admin-token"

    @property
    def database(self) -> Path:
        """The store."""
        return self.path / "data" / "store.db"

    @property
    def logs(self) -> Path:
        """Logs of our own processes."""
        return self.path / "logs"

    @property
    def pods(self) -> Path:
        """One folder a Pod."""
        return self.path / "pods"

    @property
    def packages(self) -> Path:
        """Working directories that `submit` shipped, by content."""
        return self.path / "packages"

    @property
    def volumes(self) -> Path:
        """Where claims of the local-path storage class lie."""
        return self.path / "volumes"

    @property
    def history(self) -> Path:
        """What outlives clusters: the logs of jobs' drivers."""
        return self.path / "history"

    @property
    def run(self) -> Path:
        """The short folder for sockets and pid files; the same for the same path."""
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:8]
        return runtime_folder() / digest

    @property
    def api_socket(self) -> Path:
        """Where the API listens for its owner."""
        return self.run / "apiserver.sock"

    @property
    def node_socket(self) -> Path:
        """Where the node agent serves the kubelet's API."""
        return self.run / "node.sock"

    def prepare(self) -> None:
        """Creates the directory (only its owner may enter) or checks that it is one of ours. Raises InstanceError."""
        version = self.path / "version"
        if version.exists():
            found = version.read_text().strip()
            if found != str(FORMAT):
                raise InstanceError(
                    f"{self.path} was written in format {found}, this raysail reads format {FORMAT}: use the raysail that made it, "
                    "or name a fresh directory with RAYSAIL_HOME"
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise InstanceError(f"{self.path} is not empty and not a raysail state directory: name another one with RAYSAIL_HOME")
        try:
            for folder in (self.path, self.pki, self.database.parent, self.logs, self.pods, self.packages, self.volumes, self.history):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            secure_runtime_folder()
            self.run.mkdir(exist_ok=True, mode=0o700)
            _write(version, f"{FORMAT}\n")
        except OSError as error:
            raise InstanceError(
                f"cannot write the state directory {self.path}: {error.strerror}. Free space or name another with RAYSAIL_HOME"
            ) from error
        link = self.path / "run"
        if not link.is_symlink() or link.readlink() != self.run:
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(self.run)

    def read_settings(self) -> Settings:
        """What the last `up` was told; defaults where there was none. Raises InstanceError for an unreadable file."""
        try:
            document = json.loads(self.settings_file.read_text())
        except FileNotFoundError:
            return Settings()
        except ValueError as error:
            raise InstanceError(
                f"{self.settings_file} is not JSON ({error}): mend it, or remove it and run `raysail up` with your options again"
            ) from error
        known = {f.name for f in fields(Settings)}
        return Settings(**{key: value for key, value in document.items() if key in known})

    def write_settings(self, settings: Settings) -> None:
        """Keeps what `up` was told."""
        _write(self.settings_file, json.dumps(asdict(settings), indent=2) + "\n")


def current(environ: Mapping[str, str] = os.environ) -> Home:
    """The instance that RAYSAIL_HOME names, else the one in the user's home directory."""
    named = environ.get("RAYSAIL_HOME")
    return Home(Path(named).expanduser().absolute() if named else Path.home() / ".raysail")


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """A short folder of this user's that need not outlive the machine's next start."""
    base = environ.get("XDG_RUNTIME_DIR")
    if base and len(base) <= 24 and os.access(base, os.W_OK):
        return Path(base) / "raysail"
    short = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108 - short paths are the point; the folder is made 0700 and checked
    return short / f"raysail-{os.getuid()}"


def secure_runtime_folder() -> Path:
    """The runtime folder, made if need be. Raises InstanceError where somebody else owns it: sockets in it would not be ours alone."""
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise InstanceError(f"{folder} is open to others or not yours: remove it, or set XDG_RUNTIME_DIR to a folder of your own")
    return folder


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.replace(path)
