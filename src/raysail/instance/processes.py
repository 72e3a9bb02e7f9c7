"""Processes that outlive the command that started them, known again by pid and start time.

A pid file holds `PID STARTTIME`; the start time (from /proc) tells a process from another that later got the same pid.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was alive when we looked."""

    pid: int
    start_time: str

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return start_time(self.pid) == self.start_time

    def signal(self, number: int) -> None:
        """Sends a signal unless the process is gone."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return  # it ended between the look and the signal

    def wait(self, timeout_seconds: float | None) -> bool:
        """Waits for the end, without polling; False when the time (None: any) is over."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            ended = bool(select.select([descriptor], [], [], timeout_seconds)[0])
        finally:
            os.close(descriptor)
        return ended

    def stop(self, timeout_seconds: float) -> bool:
        """SIGTERM, then SIGKILL when the time is over; True if it ended by itself."""
        self.signal(signal.SIGTERM)
        if self.wait(timeout_seconds):
            return True
        self.signal(signal.SIGKILL)
        self.wait(5)
        return False


def start_time(pid: int) -> str:
    """The kernel's start time of the process in clock ticks; empty when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def read_pid_file(path: Path) -> Process | None:
    """The process a pid file names, if it is the one that wrote it and still runs."""
    try:
        pid, _, started = path.read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    if not pid.isdigit():
        return None
    process = Process(int(pid), started)
    return process if process.alive() else None


def write_pid_file(path: Path, pid: int) -> Process:
    """Notes a running process."""
    process = Process(pid, start_time(pid))
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{process.pid} {process.start_time}\n")
    temporary.replace(path)
    return process


def start_detached(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own, its output appended to the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment), start_new_session=True
        )


def wait_until(condition: Callable[[], bool], timeout_seconds: float, interval_seconds: float = 0.02) -> bool:
    """Polls something that gives no event to wait for (another process's file or port) until it holds; False when the time is over."""
    end = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval_seconds)
    return True
