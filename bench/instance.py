"""A fresh instance for a measurement, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raysail.instance.home import Home


def command(home: Home, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs `raysail` for that instance."""
    environment = os.environ | {"RAYSAIL_HOME": str(home.path)}
    return subprocess.run([sys.executable, "-m", "raysail", *arguments], env=environment, capture_output=True, text=True, check=check)


@contextmanager
def instance(*up_options: str) -> Iterator[Home]:
    """`raysail up` with these options; `down --force` and no directory afterwards."""
    home = Home(Path(tempfile.mkdtemp(prefix="raysail-bench-")) / "home")
    try:
        command(home, "up", "--quiet", *up_options)
        yield home
    finally:
        command(home, "down", "--force", check=False)
        shutil.rmtree(home.path.parent, ignore_errors=True)
