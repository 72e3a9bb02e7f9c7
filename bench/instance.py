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
from raysail.instance.processes import wait_until


def command(home: Home, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs `raysail` for that instance."""
    environment = os.environ | {"RAYSAIL_HOME": str(home.path)}
    return subprocess.run([sys.executable, "-m", "raysail", *arguments], env=environment, capture_output=True, text=True, check=check)


@contextmanager
def api_and_queue() -> Iterator[tuple[Home, dict[str, subprocess.Popen[bytes]]]]:
    """The API and the controllers of the queue alone, as processes called `API` and `controllers`."""
    home = Home(Path(tempfile.mkdtemp(prefix="raysail-bench-")) / "home")
    environment = os.environ | {"RAYSAIL_HOME": str(home.path)}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with (home.path.parent / "log").open("wb") as log:

        def start(name: str, *arguments: str) -> None:
            processes[name] = subprocess.Popen([sys.executable, "-m", "raysail", *arguments], env=environment, stdout=log, stderr=log)

        try:
            start("API", "apiserver")
            if not wait_until(home.api_socket.exists, 20):
                raise TimeoutError("the API did not start")
            start("controllers", "operator", f"--socket={home.api_socket}", "--controllers=queue,gc,namespace")
            yield home, processes
        finally:
            for process in reversed(processes.values()):
                process.terminate()
                process.wait(20)
            shutil.rmtree(home.path.parent, ignore_errors=True)


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
