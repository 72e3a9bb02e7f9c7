"""Starting one more program inside a running container (`exec`, hooks and exec probes), as nsenter would."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from . import linux
from .container import StartError, execute


def start(spec: dict[str, Any], first_process: int, fds: tuple[int, int, int], own_pids: bool) -> tuple[int, int]:
    """Forks a process that joins the container whose first process is given, and starts `spec["argv"]` there.

    Returns (pid of a process that ends with the program's exit code, a descriptor that becomes readable: empty when the program runs, else a JSON
    [reason, message]). Killing that process kills the program.
    """
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        code = 128
        try:
            code = _joined(spec, first_process, fds, own_pids, report_write)
        except OSError as error:
            os.write(report_write, json.dumps(["StartError", str(error)]).encode())
        finally:
            os._exit(code)
    os.close(report_write)
    return pid, report_read


def _joined(spec: dict[str, Any], first_process: int, fds: tuple[int, int, int], own_pids: bool, report: int) -> int:
    linux.set_process_name("raysail-exec")
    linux.die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    for folder in spec.get("cgroups") or []:
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write("0")
    names = [(linux.CLONE_NEWPID, "pid")] if own_pids else []
    names += [(linux.CLONE_NEWNS, "mnt")] if spec.get("mount_namespace") else []
    opened = [(flag, os.open(f"/proc/{first_process}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)) for flag, name in names]
    for flag, fd in opened:
        linux.setns(fd, flag)
    program = os.fork()
    if program == 0:
        try:
            linux.die_with_parent()
            execute(spec, fds[0], (fds[1], fds[2]))
        except StartError as error:
            os.write(report, json.dumps([error.reason, str(error)]).encode())
        except BaseException as error:  # this process must not go on as a copy of its parent
            os.write(report, json.dumps(["StartError", repr(error)]).encode())
        finally:
            os._exit(128)
    os.close(report)
    for fd in fds:
        if fd >= 0:
            os.close(fd)
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
