"""Processes known by pid and start time, and the supervisor that keeps an instance's three running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from raysail.instance.processes import Process, read_pid_file, start_detached, start_time, write_pid_file


def sleeper(tmp_path: Path) -> subprocess.Popen[bytes]:
    return start_detached([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", os.environ)


def test_a_pid_file_names_the_very_process_that_it_was_written_for(tmp_path: Path) -> None:
    child = sleeper(tmp_path)
    file = tmp_path / "x.pid"
    process = write_pid_file(file, child.pid)
    assert read_pid_file(file) == process
    file.write_text(f"{child.pid} 1\n")  # the same pid, another life
    assert read_pid_file(file) is None
    assert process.stop(5)
    child.wait()
    assert not process.alive()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    process = Process(child.pid, start_time(child.pid))
    assert not process.stop(0.2)
    assert child.wait() == -signal.SIGKILL


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    process = Process(child.pid, start_time(child.pid))
    process.wait(5)
    assert not process.alive()
    child.wait()
