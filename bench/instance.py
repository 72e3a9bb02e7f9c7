"""A fresh instance for a measurement, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
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
def kubernetes_and_queue() -> Iterator[tuple[Path, dict[str, int]]]:
    """A real kube-apiserver with etcd (`make envtest`), and `raysail operator --only queue` as Kueue's load test would start it: its kubeconfig, process ids."""
    from tests.support.kubernetes import Kubernetes, free_port

    from raysail.api.crds import KUEUE_KINDS
    from raysail.operator.webhooks.registration import install_crds

    folder = Path(tempfile.mkdtemp(prefix="raysail-bench-"))
    api = Kubernetes(folder)
    port = free_port()
    with asyncio.Runner() as runner:
        controllers: subprocess.Popen[bytes] | None = None
        try:
            runner.run(api.start())

            async def prepare() -> None:
                async with api.client() as client:
                    await install_crds(client, [kind.crd_name for kind in KUEUE_KINDS], None)

            runner.run(prepare())
            arguments = ["operator", "--only=queue", "--kubeconfig", str(api.kubeconfig()), "--metricsPort", str(port), "--enableTAS"]
            with (folder / "log").open("wb") as log:
                controllers = subprocess.Popen([sys.executable, "-m", "raysail", *arguments], stdout=log, stderr=log)
            if not wait_until(lambda: _ready(port), 60):
                raise TimeoutError(f"the controllers are not ready: {(folder / 'log').read_text()[-2000:]}")
            yield api.kubeconfig(), {"controllers": controllers.pid, **api.pids()}
        finally:
            if controllers is not None:
                controllers.send_signal(signal.SIGINT)
                if controllers.wait(20):
                    raise RuntimeError("the controllers did not end with 0 at SIGINT")
            runner.run(api.stop())
            shutil.rmtree(folder, ignore_errors=True)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


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
