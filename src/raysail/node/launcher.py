"""Keeps a warm launcher for Ray running while there are Ray Pods: started with the first one, gone by itself when idle. See `raysail.node.warm`."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
from pathlib import Path
from typing import Final

from raysail.api.core.pod import Pod
from raysail.node.agent import Agent
from raysail.node.capabilities import Capabilities
from raysail.node.environment import ConfigError
from raysail.node.launching import launcher_folder, launcher_socket, python_of
from raysail.node.settings import NodeSettings

logger = logging.getLogger(__name__)

_PROGRAM: Final = str(Path(__file__).parent / "warm" / "__main__.py")
_RAY: Final = re.compile(r"(^|[\s;&|(])ray(\s|$)")


def runs_ray(pod: Pod) -> bool:
    """Whether a container of the Pod calls `ray`."""
    containers = (*pod.spec.containers, *(pod.spec.init_containers or ()))
    return any(_RAY.search(part) for c in containers for part in (*(c.command or ()), *(c.args or ())))


async def keep_launcher(agent: Agent) -> None:
    """Until cancelled: sees to it that a launcher is there when a Ray Pod starts."""
    arrived: asyncio.Queue[Pod] = asyncio.Queue()

    def changed(old: Pod | None, new: Pod | None) -> None:
        if old is None and new is not None and new.metadata.deletion_timestamp is None and runs_ray(new):
            arrived.put_nowait(new)

    agent.pods.on_change(changed)
    try:
        while True:
            pod = await arrived.get()
            try:
                python = python_of(pod, agent.settings)
            except ConfigError:
                continue  # the Pod says so itself
            path = launcher_socket(agent.settings, python)
            if not await asyncio.to_thread(_answers, path):
                await _start(python, path, agent.settings, agent.host.capabilities)
    finally:
        _end_all(agent.settings)


def _end_all(settings: NodeSettings) -> None:
    """Ends the launchers; what they have started does not depend on them."""
    for lock in launcher_folder(settings).glob("*.lock"):
        try:
            pid = int(lock.read_text())
            if "/warm/__main__.py" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            continue  # it has ended by itself


def _answers(path: Path) -> bool:
    """Whether a launcher listens. A connection that sends nothing is dropped by it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(1)
        try:
            link.connect(str(path))
        except OSError:
            return False
    return True


async def _start(python: str, path: Path, settings: NodeSettings, capabilities: Capabilities) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RAYSAIL_", "PYTHON"))}
    # Threads of a numeric library would be lost in each fork.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if capabilities.preload:
        # Loaded without an address: each forked process learns its own.
        environment["LD_PRELOAD"] = capabilities.preload
    log = os.open(settings.run / "ray-launcher.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            python,
            _PROGRAM,
            str(path),
            str(settings.warm_idle_seconds),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    logger.info("warm launcher for %s started, pid %d", python, process.pid)
    # Pods connect as soon as the socket is there, long before Ray is imported.
    for _ in range(200):
        if process.returncode is not None or await asyncio.to_thread(path.exists):
            return
        await asyncio.sleep(0.01)
