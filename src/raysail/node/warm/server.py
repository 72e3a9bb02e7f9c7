"""The launcher's loop: accepts requests, forks, waits for idleness. One thread only: namespaces can be joined and memory shared only so."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, Final

from raysail.node.supervisor import linux
from raysail.node.warm import program
from raysail.node.warm.protocol import cold_reason, encode, is_warm_program

_MODULES: Final = ("ray.scripts.scripts", "ray._private.node", "ray._private.parameter", "ray._private.state")
_UNWANTED: Final = "ray.serve.scripts"
_LATER: Final = (
    "ray.dashboard.modules.aggregator.aggregator_agent",
    "ray.dashboard.modules.event.event_agent",
    "ray.dashboard.modules.job.job_agent",
    "ray.dashboard.modules.log.log_agent",
    "ray.dashboard.modules.reporter.healthz_agent",
    "ray.dashboard.modules.reporter.reporter_agent",
    "ray.dashboard.agent",
    "ray.dashboard.dashboard",
    "ray.dashboard.head",
    "ray.dashboard.subprocesses.module",
    "ray.dashboard.modules.node.node_head",
    "ray.dashboard.modules.job.job_head",
    "ray.dashboard.modules.state.state_head",
    "ray.dashboard.modules.reporter.reporter_head",
    "ray.dashboard.modules.event.event_head",
    "ray.dashboard.modules.metrics.metrics_head",
    "ray.dashboard.modules.data.data_head",
    "ray.dashboard.modules.train.train_head",
    "ray.dashboard.modules.usage_stats.usage_stats_head",
    "ray.dashboard.modules.healthz.healthz_head",
    "ray.dashboard.modules.api.api_head",
    "ray._private.runtime_env.agent.main",
    "ray._private.log_monitor",
    "ray.autoscaler._private.monitor",
    "ray.autoscaler.v2.monitor",
    "ray.util.client.server.proxier",
    "ray.util.client.server.server",
    "ray.dashboard.modules.serve.serve_head",
)
"""What Ray's own programs need besides; imported one by one while nobody asks, so that the first `ray start` does not wait for them."""
_RAYLET_GONE_SECONDS: Final = 3.0
"""`ray start --block` does not notice a raylet that has ended in good order (drained); after this long we end it."""


def serve(path: str, idle_seconds: float) -> int | None:
    """Until idle for so long. In a forked process it returns the exit code of the `ray` command it has become; None in the launcher itself."""
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None  # another one serves
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(128)
    linux.set_process_name("raysail-warm")
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    # Not needed here, and half of the time that the command line's import takes.
    sys.modules[_UNWANTED] = None  # type: ignore[assignment]
    try:
        for name in _MODULES:
            importlib.import_module(name)
    except Exception:  # no Ray here, or one that cannot be imported: the real command says it better
        os.unlink(path)
        raise
    del sys.modules[_UNWANTED]
    # What is alive now is shared with all children: the collector must not touch (and so copy) it.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    later = list(_LATER)
    children: set[int] = set()
    last = time.monotonic()
    while True:
        ready, _, _ = select.select([listener], [], [], 0.0 if later else 1.0)
        if later and not ready:
            _import_one(later.pop(0))
            continue
        children -= _ended(children)
        if children:
            last = time.monotonic()
        if not ready:
            if time.monotonic() - last > idle_seconds:
                os.unlink(path)
                return None
            continue
        link, _ = listener.accept()
        last = time.monotonic()
        pid = os.fork()
        if pid == 0:
            listener.close()
            os.close(lock)  # held through the fork too, it would keep a later launcher away
            return _handle(link)
        link.close()
        children.add(pid)


def _import_one(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception:  # another Ray version has it elsewhere: its program imports what it needs itself
        return
    gc.collect()
    gc.freeze()


def _ended(children: set[int]) -> set[int]:
    return {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}


def _handle(link: socket.socket) -> int:
    """In the first fork: joins the Pod, forks the program, passes signals on, waits for its end. In the second fork: returns the program's code."""
    linux.set_process_name("raysail-ray")
    link.settimeout(30)
    data = b""
    fds: list[int] = []
    while not data.endswith(b"\n"):
        chunk, received, _, _ = socket.recv_fds(link, 1 << 20, 3)
        if not chunk:
            os._exit(1)
        data += chunk
        fds += received
    request: dict[str, Any] = json.loads(data)
    script: str = request["script"]
    reason = "" if script and is_warm_program(script) else cold_reason(request["argv"], request["env"])
    peer = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    machine_proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not reason:
            program.join_pod(peer)
    except OSError as error:
        reason = f"its namespaces cannot be joined: {error}"
    if reason:
        link.sendall(encode({"cold": reason}))
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        link.close()
        os.close(machine_proc)
        program.become(request, fds)
        return program.run_script(script) if script else program.run()
    for fd in fds:
        os.close(fd)
    link.settimeout(None)
    link.sendall(encode({"started": True}))
    blocks = not script and request["argv"][:1] == ["start"] and "--block" in request["argv"]
    code = _wait(link, pid, machine_proc if blocks else -1)
    with contextlib.suppress(OSError):  # whoever asked has been killed
        link.sendall(encode({"exit": code}))
    os._exit(0)


def _wait(link: socket.socket, pid: int, machine_proc: int) -> int:
    """The program's exit code, negative for a signal."""
    pidfd = os.pidfd_open(pid)
    listening = [pidfd, link.fileno()]
    had_raylet = False
    gone_since = 0.0
    while True:
        ready, _, _ = select.select(listening, [], [], 1.0 if machine_proc >= 0 else None)
        if pidfd in ready:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if link.fileno() in ready:
            numbers = link.recv(16)
            for number in numbers:
                os.kill(pid, number)
            if not numbers:
                # The command in the Pod was killed: a program without its parent goes the same way, with its group.
                os.killpg(pid, signal.SIGKILL)
                listening = [pidfd]
        if machine_proc >= 0:
            has_raylet = _has_raylet(machine_proc, pid)
            had_raylet = had_raylet or has_raylet
            gone_since = 0.0 if has_raylet or not had_raylet else gone_since or time.monotonic()
            if gone_since and time.monotonic() - gone_since > _RAYLET_GONE_SECONDS:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return 0


def _has_raylet(machine_proc: int, pid: int) -> bool:
    """Whether the program has a living raylet among its children, seen from outside its namespaces."""
    try:
        for child in _read(machine_proc, f"{pid}/task/{pid}/children").split():
            name, _, rest = _read(machine_proc, f"{child}/stat").partition("(")[2].rpartition(")")
            if name == "raylet" and rest.split()[0] != "Z":
                return True
    except OSError:
        return True  # it is ending, or the kernel has no such file: nothing can be said
    return False


def _read(folder: int, name: str) -> str:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def main() -> int:
    """`python warm/__main__.py SOCKET IDLE_SECONDS`."""
    code = serve(sys.argv[1], float(sys.argv[2]))
    return 0 if code is None else code
