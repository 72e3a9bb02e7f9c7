"""In the forked process: becomes the `ray` command that a Pod asked for, inside that Pod's namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import os
import random
import resource
import runpy
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from raysail.node.supervisor import linux
from raysail.node.warm import order
from raysail.node.warm.protocol import is_warm_program

_CONSTANTS: Final = "ray._private.ray_constants"
_TRUE: Final = ("1", "true", "True", "TRUE")


def join_pod(peer: int) -> None:
    """Joins cgroups and namespaces of the process that asked. The next fork is in its PID namespace. Raises OSError."""
    _join_cgroups(peer)
    with contextlib.suppress(OSError):  # lowering takes rights; it is then the launcher's own
        _copy(f"/proc/{peer}/oom_score_adj", "/proc/self/oom_score_adj")
    wanted = [
        ("user", linux.CLONE_NEWUSER),
        ("uts", linux.CLONE_NEWUTS),
        ("ipc", linux.CLONE_NEWIPC),
        ("pid", linux.CLONE_NEWPID),
        ("mnt", linux.CLONE_NEWNS),
    ]
    opened = []
    for name, flag in wanted:
        path = f"/proc/{peer}/ns/{name}"
        if os.readlink(path) != os.readlink(f"/proc/self/ns/{name}"):
            opened.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), flag))
    for fd, flag in opened:
        linux.setns(fd, flag)
        os.close(fd)


def become(request: Mapping[str, Any], fds: list[int]) -> None:
    """Environment, streams, folder and limits of the one that asked; then Ray's settings as if Ray had been imported with them."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for at, fd in enumerate(fds):
        os.dup2(fd, at)
        os.close(fd)
    old, new = dict(os.environ), dict(request["env"])
    os.environ.clear()
    os.environ.update(new)
    os.umask(int(request["umask"]))
    os.chdir(request["cwd"])
    for name, (soft, hard) in request["limits"].items():
        with contextlib.suppress(ValueError, OSError):  # a hard limit above ours takes rights
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (soft, hard))
    sys.argv = [request["script"] or "ray", *request["argv"]]
    sys.path[:] = [*(p for p in new.get("PYTHONPATH", "").split(os.pathsep) if p), *sys.path]
    random.seed()
    _use_address()
    _reconfigure(old, new)
    _draw_new_ids()


def run() -> int:
    """Ray's own command line; its exit code."""
    if sys.argv[1:2] == ["start"]:
        _start_parts_warm()
        order.improve()
    return _finished(importlib.import_module("ray.scripts.scripts").main)


def run_script(path: str) -> int:
    """One of Ray's own programs, as `python path` (or `python -m path`) would; its exit code."""
    watcher: Any = importlib.import_module("ray._private.process_watcher")

    async def parent_is_watched_elsewhere(*_: Any) -> None:
        # Our parent is the launcher. That the raylet lives is watched by the process which the raylet has started in our place.
        await asyncio.Event().wait()

    watcher._check_parent = parent_is_watched_elsewhere
    if path.endswith("/dashboard/dashboard.py"):
        _fork_server_by_fork()
    if "/" not in path:
        return _finished(lambda: runpy.run_module(path, run_name="__main__", alter_sys=True))
    return _finished(lambda: runpy.run_path(path, run_name="__main__"))


def _fork_server_by_fork() -> None:
    """Starts multiprocessing's fork server as a fork of this process instead of a new interpreter.

    The dashboard runs each of its modules in a process made by that server; so they too have all that the launcher has imported. It must be now, while
    there is one thread only.
    """
    from multiprocessing import forkserver, util

    spawn = util.spawnv_passfds

    def fork(_executable: bytes, arguments: list[str], _fds: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                exec(arguments[-1], {})  # noqa: S102 - multiprocessing's own `-c` program
            finally:
                os._exit(0)
        return pid

    util.spawnv_passfds = fork  # type: ignore[assignment]
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = spawn


def _start_parts_warm() -> None:
    """Has `ray start` name our `raysail-python` as the interpreter of Ray's own programs."""
    services: Any = importlib.import_module("ray._private.services")
    python = str(Path(__file__).parents[1] / "shims" / "ray" / "raysail-python")
    start_process, build_command = services.start_ray_process, services._build_python_executable_command_memory_profileable

    def start(command: list[str], *rest: Any, **named: Any) -> Any:
        if command[0] != sys.executable:
            return start_process(command, *rest, **named)
        if command[2:3] == ["-m"] and not any(part.startswith("--serialized-runtime-env-context") for part in command):
            # By way of a script that only prepares a runtime environment, which there is none of here.
            command = [command[0], *command[2:]]
        warm = any(is_warm_program(part) for part in command[1:3])
        return start_process([python, *command[1:]] if warm else command, *rest, **named)

    def build(*arguments: Any, **named: Any) -> list[str]:
        command: list[str] = build_command(*arguments, **named)
        return [python, *command[1:]] if "memray" not in command else command

    services.start_ray_process, services._build_python_executable_command_memory_profileable = start, build


def _finished(call: Callable[[], Any]) -> int:
    try:
        call()
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code
        print(end.code, file=sys.stderr)
        return 1
    return 0


def _use_address() -> None:
    """Tells the preload library, which was loaded before there was an address."""
    reload = getattr(ctypes.CDLL(None), "raysail_preload_reload", None)
    if reload is not None:
        reload()


def _draw_new_ids() -> None:
    """Ray's C++ generator has been seeded before the fork: each `ray start` would draw the same node id."""
    ray: Any = importlib.import_module("ray")
    real = ray.NodeID

    class NodeID(real):  # type: ignore[misc, valid-type]
        @classmethod
        def from_random(cls) -> Any:
            return real(os.urandom(real.size()))

    ray.NodeID = NodeID


def _reconfigure(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """What Ray has read from the environment when it was imported is read again."""
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if any("RAY" in name for name in changed):
        _reload_constants()
    config = importlib.import_module("ray._raylet").Config  # Ray's C++ settings, read once at import
    settings: dict[str, Any] = {}
    for name in changed:
        key = name.removeprefix("RAY_")
        if name.startswith("RAY_") and name in new and hasattr(config, key) and not key.startswith("_") and key != "initialize":
            present = getattr(config, key)()
            settings[key] = _typed(new[name], present)
    if "RAY_AUTH_MODE" in changed:
        settings["AUTH_MODE"] = new.get("RAY_AUTH_MODE", "disabled")
    if settings:
        config.initialize(json.dumps(settings))


def _typed(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        return text in _TRUE
    if isinstance(like, int):
        return int(text)
    if isinstance(like, float):
        return float(text)
    return text


def _reload_constants() -> None:
    """ray_constants anew, also where other modules have taken values out of it by name."""
    module = sys.modules.get(_CONSTANTS)
    if module is None:
        return
    before = dict(vars(module))
    importlib.reload(module)
    moved = {
        name: (before[name], value) for name, value in vars(module).items() if name.isupper() and name in before and before[name] != value
    }
    if not moved:
        return
    for name, other in list(sys.modules.items()):
        if other is module or not name.startswith("ray."):
            continue
        for constant, (was, now) in moved.items():
            if vars(other).get(constant, module) == was:
                setattr(other, constant, now)


def _join_cgroups(peer: int) -> None:
    with open(f"/proc/{peer}/cgroup") as file:
        lines = file.read().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "/raysail" not in path:
            continue
        folder = f"/sys/fs/cgroup/{controllers}{path}" if controllers else f"/sys/fs/cgroup{path}"
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write("0")


def _copy(source: str, target: str) -> None:
    with open(source) as reading, open(target, "w") as writing:
        writing.write(reading.read())
