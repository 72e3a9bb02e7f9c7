"""The supervisor's loop: starts containers when told, remembers how they ended in files, and answers on a socket in the Pod's folder.

One JSON line per connection asks; descriptors travel beside it. Requests (`op`):

- `hello` → `{"containers": {NAME: {ATTEMPT: state}}}`.
- `watch` → the same, then one line `{"name", "attempt", "state"}` for each change, until the connection closes.
- `start` name attempt spec (path of a JSON file) → `{"started": true}` or `{"error", "reason"}`.
- `signal` name attempt number → `{}`; number 9 ends every process of the container.
- `exec` name spec (object; argv, env, cwd, tty), with three descriptors (stdin, stdout, stderr) → `{"started": true}`, later `{"exit": code}`.
  Closing the connection before that kills the program.
- `input` name → `{}` with a descriptor: the writing end of the container's stdin, or its terminal's master side.
  With `stdin_once` it is the only one, given once: the program's stdin ends with it.
- `shutdown` → ends all containers and itself, then closes the connection.

State files: `containers/NAME/ATTEMPT.state`, JSON `{"running", "pid", "started_at", "finished_at", "exit_code", "oom_killed"}`, times in seconds
since the epoch. They are what an agent that starts anew reads when the supervisor has died as well.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import signal
import socket
import termios
import time
from typing import Any, Final

from . import container, joining, linux

SOCKET: Final = "supervisor.sock"
_MOST_FDS: Final = 4


class _Container:
    """One attempt at running a container: its first process and how to talk to it."""

    def __init__(self, name: str, attempt: int, spec: dict[str, Any], pid: int, link: socket.socket) -> None:
        self.name = name
        self.attempt = attempt
        self.spec = spec
        self.pid = pid
        self.link = link
        self.input = -1
        self.state: dict[str, Any] = {"running": True, "pid": pid, "started_at": time.time()}


class _Exec:
    """A program that was started inside a container, and who waits for it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection


class Server:
    """All state of one supervisor. `settings` is `sandbox.json`, see `__main__`."""

    def __init__(self, folder: str, settings: dict[str, Any]) -> None:
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._own_pids = bool(settings["pid_namespace"])
        self._containers: dict[tuple[str, int], _Container] = {}
        self._states: dict[str, dict[str, dict[str, Any]]] = {}
        self._execs: dict[int, _Exec] = {}
        self._starting: dict[int, tuple[_Exec, bytes]] = {}
        self._watchers: list[socket.socket] = []
        self._connections: dict[int, socket.socket] = {}
        self._partial: dict[int, tuple[bytes, list[int]]] = {}
        self._poll = select.poll()
        self._wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # The path may be longer than a socket's address can be; by way of the folder's descriptor it never is.
        self._listener.bind(f"/proc/self/fd/{self._folder_fd}/{SOCKET}")
        self._listener.listen(64)
        self._listener.setblocking(False)
        for fd in (self._wake, self._listener.fileno()):
            self._poll.register(fd, select.POLLIN)

    def run(self) -> None:
        """Serves until `shutdown`."""
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._wake:
                    self._empty_wake()
                elif fd == self._listener.fileno():
                    self._accept()
                elif fd in self._starting:
                    self._exec_reported(fd)
                elif fd in self._connections and not self._serve(self._connections[fd]):
                    return
            self._reap()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(10)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.POLLIN)

    def _serve(self, connection: socket.socket) -> bool:
        """Reads from one connection; False when told to shut down."""
        fd = connection.fileno()
        begun, fds = self._partial.pop(fd, (b"", []))
        try:
            data, received = _receive(connection)
        except OSError:
            data, received = b"", []
        fds += received
        if not data:
            self._forget(connection)
            return True
        begun += data
        if not begun.endswith(b"\n"):
            self._partial[fd] = (begun, fds)
            return True
        request = json.loads(begun)
        if request["op"] == "shutdown":
            self._shutdown()
            connection.close()
            return False
        try:
            answer = self._perform(request, fds, connection)
        except (OSError, KeyError, ValueError) as error:
            answer = {"error": f"{type(error).__name__}: {error}", "reason": "SupervisorError"}
        finally:
            for received_fd in fds:
                os.close(received_fd)
        if answer is not None:
            self._answer(connection, answer)
        return True

    def _perform(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> dict[str, Any] | None:
        op, name = request["op"], request.get("name", "")
        if op == "hello":
            return {"containers": self._states}
        if op == "watch":
            self._watchers.append(connection)
            return {"containers": self._states}
        if op == "start":
            with open(request["spec"]) as file:
                return self._start(name, int(request["attempt"]), json.load(file))
        if op == "signal":
            return self._signal(self._containers.get((name, int(request["attempt"]))), int(request["number"]))
        if op == "exec":
            return self._exec(name, request["spec"], fds, connection)
        if op == "input":
            return self._give_input(name, connection)
        raise ValueError(f"unknown op {op!r}")

    def _start(self, name: str, attempt: int, spec: dict[str, Any]) -> dict[str, Any]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        log_folder = os.open(spec["log_folder"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stdin, kept = self._stdin_of(spec)
        pid = linux.fork_into_pid_namespace() if self._own_pids else os.fork()
        if pid == 0:
            code = 128
            try:
                ours.close()
                # Of a pipe's ends only the reading one: a second writer would keep the program's stdin open for ever.
                self._close_all_but({theirs.fileno(), log_folder, stdin, kept if spec.get("tty") else -1})
                code = container.run(spec, theirs, log_folder, stdin, self._own_pids)
            finally:
                os._exit(code)
        theirs.close()
        os.close(log_folder)
        if stdin >= 0:
            os.close(stdin)
        ours.settimeout(60)
        line = b""
        while not line.endswith(b"\n"):
            chunk = ours.recv(65536)
            if not chunk:
                break
            line += chunk
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its first process was killed", "reason": "StartError"}
        if "error" in answer:
            os.waitpid(pid, 0)
            ours.close()
            if kept >= 0:
                os.close(kept)
            return answer
        started = _Container(name, attempt, spec, pid, ours)
        started.input = kept
        self._containers[name, attempt] = started
        self._record(started)
        return answer

    def _stdin_of(self, spec: dict[str, Any]) -> tuple[int, int]:
        """(what the program reads, what we keep to write to it); a terminal's two sides, a pipe's two ends, or nothing."""
        if spec.get("tty"):
            master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")
            spec["tty_master"] = master
            return slave, master
        if spec.get("stdin"):
            return os.pipe2(os.O_CLOEXEC)
        return -1, -1

    def _close_all_but(self, kept: set[int]) -> None:
        """In a forked child: lets go of everything that belongs to the supervisor."""
        kept |= {0, 1, 2}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in kept:
                try:
                    os.close(int(name))
                except OSError:
                    continue  # the descriptor by which the folder was read

    def _signal(self, target: _Container | None, number: int) -> dict[str, Any]:
        if target is not None:
            if number == signal.SIGKILL and self._own_pids:
                os.kill(target.pid, signal.SIGKILL)
            else:
                target.link.send(bytes([container.END_ALL if number == signal.SIGKILL else number]))
        return {}

    def _exec(self, name: str, spec: dict[str, Any], fds: list[int], connection: socket.socket) -> dict[str, Any] | None:
        target = self._running(name)
        if target is None:
            return {"error": f"container {name} is not running", "reason": "NotRunning"}
        if len(fds) != 3:
            raise ValueError("exec needs three descriptors")
        whole = {**target.spec, "oom_score_adj": target.spec.get("oom_score_adj"), **spec}
        pid, report = joining.start(whole, target.pid, (fds[0], fds[1], fds[2]), self._own_pids)
        waiting = _Exec(pid, connection)
        self._execs[pid] = waiting
        self._starting[report] = (waiting, b"")
        self._poll.register(report, select.POLLIN)
        return None

    def _exec_reported(self, fd: int) -> None:
        waiting, begun = self._starting[fd]
        data = os.read(fd, 65536)
        if data:
            self._starting[fd] = (waiting, begun + data)
            return
        self._poll.unregister(fd)
        os.close(fd)
        del self._starting[fd]
        if begun:
            reason, message = json.loads(begun)
            self._execs.pop(waiting.pid, None)
            self._answer(waiting.connection, {"error": message, "reason": reason})
        else:
            self._answer(waiting.connection, {"started": True})

    def _give_input(self, name: str, connection: socket.socket) -> dict[str, Any] | None:
        target = self._running(name)
        if target is None or target.input < 0:
            return {"error": f"container {name} has no open stdin", "reason": "NoInput"}
        socket.send_fds(connection, [b"{}\n"], [target.input])
        if target.spec.get("stdin_once") and not target.spec.get("tty"):
            # The program's stdin ends when the first client's does: from now on only that client holds it open.
            os.close(target.input)
            target.input = -1
        return None

    def _running(self, name: str) -> _Container | None:
        return next((c for c in self._containers.values() if c.name == name), None)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
            if pid in self._execs:
                waiting = self._execs.pop(pid)
                report = next((fd for fd, (w, _) in self._starting.items() if w is waiting), None)
                if report is not None:
                    self._execs[pid] = waiting
                    self._exec_reported(report)
                    if report in self._starting:
                        self._exec_reported(report)
                    if self._execs.pop(pid, None) is None:
                        continue
                self._answer(waiting.connection, {"exit": code})
                continue
            ended = next((c for c in self._containers.values() if c.pid == pid), None)
            if ended is not None:
                self._ended(ended, code)

    def _ended(self, ended: _Container, code: int) -> None:
        ended.link.close()
        if ended.input >= 0:
            os.close(ended.input)
        del self._containers[ended.name, ended.attempt]
        ended.state = {
            **ended.state,
            "running": False,
            "finished_at": time.time(),
            "exit_code": code,
            "oom_killed": code == 137 and _oom_kills(ended.spec.get("cgroups") or []) > 0,
        }
        self._record(ended)

    def _record(self, changed: _Container) -> None:
        """On disk first, then to whoever watches."""
        self._states.setdefault(changed.name, {})[str(changed.attempt)] = changed.state
        path = f"containers/{changed.name}/{changed.attempt}.state"
        fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._folder_fd)
        os.write(fd, json.dumps(changed.state).encode())
        os.close(fd)
        os.rename(path + ".new", path, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        for watcher in list(self._watchers):
            self._answer(watcher, {"name": changed.name, "attempt": changed.attempt, "state": changed.state})

    def _answer(self, connection: socket.socket, message: dict[str, Any]) -> None:
        try:
            connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._forget(connection)  # whoever asked is gone

    def _forget(self, connection: socket.socket) -> None:
        fd = connection.fileno()
        if fd < 0:
            return
        self._poll.unregister(fd)
        del self._connections[fd]
        _, fds = self._partial.pop(fd, (b"", []))
        for received in fds:
            os.close(received)
        if connection in self._watchers:
            self._watchers.remove(connection)
        for waiting in self._execs.values():
            if waiting.connection is connection:
                os.kill(waiting.pid, signal.SIGKILL)
        connection.close()

    def _shutdown(self) -> None:
        for waiting in self._execs.values():
            os.kill(waiting.pid, signal.SIGKILL)
        for running in list(self._containers.values()):
            self._signal(running, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while self._containers and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)

    def _empty_wake(self) -> None:
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            return


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    fds = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(_MOST_FDS * fds.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    received = list(fds)
    for fd in received:
        os.set_inheritable(fd, False)
    return data, received


def _oom_kills(cgroups: list[str]) -> int:
    """How many processes of the container the kernel has killed for memory (v1: memory.oom_control, v2: memory.events)."""
    for folder in cgroups:
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(f"{folder}/{name}") as file:
                    for line in file:
                        key, _, value = line.partition(" ")
                        if key == "oom_kill":
                            return int(value)
            except OSError:
                continue  # the other version's file
    return 0
