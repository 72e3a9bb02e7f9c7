"""The first process of one container: prepares its namespaces and file system, starts its program, keeps its log, and reaps what it leaves behind.

It is forked from the supervisor and never executes anything else, so it shares the supervisor's memory. In a PID namespace it is process 1: when it
ends, the kernel ends all others. Where there is none it is a subreaper and ends them itself.

It talks with the supervisor over a socket pair: to the supervisor one JSON line (`{"started": true}` or `{"error": ..., "reason": ...}`), from the
supervisor single bytes, each the number of a signal for the program (255: end everything).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import termios
import time
from typing import Any, Final

from . import linux, rootfs
from .logfile import LogFile

END_ALL: Final = 255
_CHUNK: Final = 64 * 1024


class StartError(Exception):
    """The program cannot be started; `reason` is the container status' reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def run(spec: dict[str, Any], link: socket.socket, log_folder: int, stdin: int, own_pids: bool) -> int:
    """Everything from the fork to the container's end. Returns the exit code as Kubernetes counts it (128 + signal).

    `stdin`: what the program reads, -1 for nothing. With a terminal (`spec["tty"]`) stdin is the terminal's slave side and `spec["tty_master"]` its
    master's descriptor.
    """
    linux.set_process_name("raysail-init")
    linux.die_with_parent()
    linux.become_subreaper()
    log = LogFile(log_folder, str(spec["log_name"]), int(spec["log_max_bytes"]), int(spec["log_files"]))
    try:
        _join_cgroups(spec.get("cgroups") or [])
        if spec.get("mount_namespace"):
            linux.unshare(linux.CLONE_NEWNS)
            rootfs.enter(spec.get("mounts") or [], new_proc=own_pids)
    except OSError as error:
        _say(link, {"error": str(error), "reason": "CreateContainerError"})
        return 128
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    streams: dict[int, str] = {}
    if spec.get("tty"):
        outputs = (stdin, stdin)
        streams[int(spec["tty_master"])] = "stdout"
        os.set_blocking(int(spec["tty_master"]), False)
    else:
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        outputs = (out_write, err_write)
        for fd, name in ((out_read, "stdout"), (err_read, "stderr")):
            os.set_blocking(fd, False)
            streams[fd] = name
    try:
        program = _start_program(spec, stdin, outputs)
    except StartError as error:
        _say(link, {"error": str(error), "reason": error.reason})
        return 128
    for fd in {*outputs, stdin}:
        if fd >= 0:
            os.close(fd)
    _say(link, {"started": True})
    code = _watch(program, link, streams, log, wake_read)
    if not own_pids:
        _end_descendants()
    _drain(streams, log)
    return code


def _watch(program: int, link: socket.socket, streams: dict[int, str], log: LogFile, wake: int) -> int:
    """Until the program ends: copies output, passes signals on, reaps orphans."""
    poll = select.poll()
    for fd in (*streams, wake, link.fileno()):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake:
                _empty(wake)
            elif fd == link.fileno():
                numbers = link.recv(16)
                for number in numbers:
                    if number == END_ALL:
                        _end_descendants()
                    else:
                        _signal(program, number)
                if not numbers:
                    # The supervisor is gone. So are we in a moment (die_with_parent); until then do not spin.
                    poll.unregister(fd)
            elif not _copy(fd, streams[fd], log):
                poll.unregister(fd)
        code = _reap(program)
        if code is not None:
            return code


def _reap(program: int) -> int | None:
    """Collects ended children; the program's exit code if it was among them."""
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result if result is not None else 137
        if pid == 0:
            return result
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            result = code if code >= 0 else 128 - code


def _start_program(spec: dict[str, Any], stdin: int, outputs: tuple[int, int]) -> int:
    """Forks and executes; the pid. Raises StartError."""
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            execute(spec, stdin, outputs)
        except StartError as error:
            os.write(report_write, json.dumps([error.reason, str(error)]).encode())
        except BaseException as error:  # this process must not go on as a copy of its parent
            os.write(report_write, json.dumps(["StartError", repr(error)]).encode())
        finally:
            os._exit(128)
    os.close(report_write)
    report = b""
    while chunk := os.read(report_read, _CHUNK):
        report += chunk
    os.close(report_read)
    if report:
        os.waitpid(pid, 0)
        reason, message = json.loads(report)
        raise StartError(reason, message)
    return pid


def execute(spec: dict[str, Any], stdin: int, outputs: tuple[int, int]) -> None:
    """In the child: becomes the program. Raises StartError; returns never."""
    os.setsid()
    if stdin < 0:
        stdin = os.open("/dev/null", os.O_RDONLY)
    elif spec.get("tty"):
        fcntl.ioctl(stdin, termios.TIOCSCTTY, 0)
    # Lifted above 2 first: one of them may be what another one is to become.
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (stdin, *outputs)]
    for number, fd in enumerate(lifted):
        os.dup2(fd, number)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if spec.get("oom_score_adj") is not None:
        _write("/proc/self/oom_score_adj", str(spec["oom_score_adj"]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    argv, environment, folder = spec["argv"], spec["env"], str(spec["cwd"])
    try:
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
    except OSError as error:
        raise StartError("StartError", f'chdir to working directory "{folder}": {error.strerror}') from error
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - the Pod's own command
    except FileNotFoundError as error:
        place = "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
        raise StartError("StartError", f'exec: "{argv[0]}": {place}') from error
    except OSError as error:
        raise StartError("StartError", f'exec: "{argv[0]}": {(error.strerror or str(error)).lower()}') from error


def _join_cgroups(folders: list[str]) -> None:
    for folder in folders:
        _write(f"{folder}/cgroup.procs", "0")


def _copy(fd: int, stream: str, log: LogFile) -> bool:
    """Moves what is there into the log; False when the stream has ended."""
    try:
        data = os.read(fd, _CHUNK)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno != errno.EIO:  # a terminal whose other side is closed
            raise
        data = b""
    if data:
        log.write(stream, data)
        return True
    log.close(stream)
    return False


def _drain(streams: dict[int, str], log: LogFile) -> None:
    """What the program wrote before it ended. Stops at what is there: an orphan may hold the pipe open for ever."""
    for fd, stream in streams.items():
        try:
            while data := os.read(fd, _CHUNK):
                log.write(stream, data)
        except (BlockingIOError, OSError):
            pass  # nothing more is there, or the terminal is closed
        log.close(stream)


def _end_descendants() -> None:
    """Kills everything below this process. Loops, since what is being killed may still fork; ended parents' children come to us."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = children_of(os.getpid())
        if not children:
            return
        for pid in children:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.005)
        # The program's own status is left for `_reap`; everything else may go at once.
        if all(_is_zombie(pid) for pid in children):
            return


def children_of(root: int) -> list[int]:
    """All living or dead descendants of a process, from /proc."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has ended meanwhile


def _empty(fd: int) -> None:
    try:
        while os.read(fd, 512):
            pass
    except BlockingIOError:
        return


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _say(link: socket.socket, message: dict[str, Any]) -> None:
    link.sendall(json.dumps(message).encode() + b"\n")
