"""Kueue's scalability loads on the embedded API: durable store, real controllers, a mimic instead of Pods.

    python -m bench queue_load            # SHAPE=baseline|large SCALE=0.1 (1 is Kueue's own size)

Targets are those of the whole load, scaled. Wall time includes that of the load generator, which shares the machine; its processor time is told apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.figure import Figure
from bench.instance import api_and_queue
from bench.workloads import SHAPES

TARGET_SECONDS = {"baseline": 80.0, "large": 60.0}
KUEUE = {"baseline": "Kueue, its client limits raised, with kube-apiserver on 2 cores: 369 s", "large": "Kueue's published mean: 1,179 s"}


def run() -> list[Figure]:
    shape, scale = os.environ.get("SHAPE", "baseline"), float(os.environ.get("SCALE", "0.1"))
    with api_and_queue() as (home, processes):
        before = {name: cpu_seconds(process.pid) for name, process in processes.items()}
        done = subprocess.run(
            [sys.executable, "-m", "bench.workloads", str(home.api_socket), shape, str(scale)], capture_output=True, text=True, check=True
        )
        used = {name: cpu_seconds(process.pid) - before[name] for name, process in processes.items()}
    outcome = json.loads(done.stdout)
    count = outcome["workloads"]
    title = f"{shape} x {scale:g} ({SHAPES[shape].scaled(scale).workloads:,} workloads)"
    waits = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome["wait_seconds"].items())
    return [
        Figure(f"{title}: wall", outcome["wall_seconds"], "s", TARGET_SECONDS[shape] * scale, rival=KUEUE[shape]),
        Figure(
            f"{title}: decided a second of wall",
            count / outcome["wall_seconds"],
            "/s",
            rival=f"mean time to admission: {waits}; {outcome['evictions']} evicted",
        ),
        *(Figure(f"{title}: CPU of the {name} a workload", 1000 * seconds / count, "ms") for name, seconds in used.items()),
        Figure(f"{title}: CPU of the load generator a workload", 1000 * outcome["cpu_seconds"] / count, "ms"),
    ]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
