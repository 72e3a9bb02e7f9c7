"""Up to serving, idle cost, and how fast a command answers."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench.figure import Figure
from bench.instance import command
from raysail.instance.home import Home
from raysail.instance.processes import read_pid_file
from raysail.instance.supervisor import COMPONENTS

IDLE_SECONDS = 20.0


def run() -> list[Figure]:
    home = Home(Path(tempfile.mkdtemp(prefix="raysail-bench-")) / "home")
    try:
        started = time.monotonic()
        command(home, "up", "--quiet")
        first = time.monotonic() - started
        command(home, "down", "--force")
        started = time.monotonic()
        command(home, "up", "--quiet")
        again = time.monotonic() - started
        time.sleep(5)  # the measurement is of what comes after starting
        memory, share = _idle(home)
        command(home, "get", "pods")
        answers = [_timed(home) for _ in range(9)]
        return [
            Figure("up to serving, first time", first, "s", 1.5),
            Figure("up to serving, again", again, "s", 1.5),
            Figure("idle memory of all processes (PSS)", memory, "MiB", 150),
            Figure("idle CPU of all processes", share, "% core", 1),
            Figure("raysail get pods, median of 9", statistics.median(answers) * 1000, "ms", 150),
        ]
    finally:
        command(home, "down", "--force", check=False)
        shutil.rmtree(home.path.parent, ignore_errors=True)


def _timed(home: Home) -> float:
    started = time.monotonic()
    command(home, "get", "pods")
    return time.monotonic() - started


def _idle(home: Home) -> tuple[float, float]:
    """(PSS in MiB, percent of a core) of the instance's processes over a quiet while."""
    pids = [p.pid for name in ("supervisor", *COMPONENTS) if (p := read_pid_file(home.run / f"{name}.pid")) is not None]
    before = sum(_cpu_ticks(pid) for pid in pids)
    time.sleep(IDLE_SECONDS)
    used = sum(_cpu_ticks(pid) for pid in pids) - before
    return sum(_pss_kibibytes(pid) for pid in pids) / 1024, 100 * used / os.sysconf("SC_CLK_TCK") / IDLE_SECONDS


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def _pss_kibibytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
