"""A whole raysail instance for a test: the three processes, started by `raysail up`, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raysail.cli.connection import Api
from raysail.instance.home import Home


class Instance:
    """Runs commands against one state directory."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.api = Api(home)
        self.environment = os.environ | {"RAYSAIL_HOME": str(home.path), "NO_COLOR": "1", "KUBECONFIG": str(home.kubeconfig)}

    def run(self, *arguments: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """`raysail ...`."""
        command = [sys.executable, "-m", "raysail", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, input=text, check=False)
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stderr}\n{done.stdout}"
        return done

    def kubectl(self, *arguments: str, check: bool = True, text: str = "", environment: dict[str, str] | None = None) -> str:
        """`kubectl ...` with the instance's kubeconfig; what it printed."""
        done = subprocess.run(
            ["kubectl", *arguments], env=self.environment | (environment or {}), capture_output=True, text=True, input=text, check=False
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}\n{done.stdout}"
        return done.stdout if done.returncode == 0 else done.stderr

    def processes(self) -> list[int]:
        """Every process on this machine that belongs to the instance or to its Pods."""
        found = []
        mark = os.fsencode(self.home.path)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue  # gone, or not ours to look at
            if mark in text:
                found.append(int(entry.name))
        return found

    def logs(self) -> str:
        """The ends of our own logs, for a failure's report."""
        parts = []
        for log in sorted(self.home.logs.glob("*.log")):
            parts.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-30:]))
        return "\n".join(parts)


@contextmanager
def instance(*up_options: str) -> Iterator[Instance]:
    """`raysail up` with these options; `raysail down --force` and no state directory afterwards."""
    # Short and outside of pytest's folders: what Pods of other tests see is not this one's.
    home = Home(Path(tempfile.mkdtemp(prefix="raysail-test-")) / "home")
    found = Instance(home)
    try:
        found.run("up", "--quiet", *up_options)
        yield found
    finally:
        found.run("down", "--force", check=False)
        shutil.rmtree(home.path.parent, ignore_errors=True)
