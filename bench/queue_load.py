"""Kueue's scalability loads: durable store, real controllers, a mimic instead of Pods; on the embedded API, or on a real kube-apiserver.

    python -m bench queue_load            # SHAPE=baseline|large|topology SCALE=0.1 (1 is Kueue's own size) HOST=kube-apiserver

Targets are those of the whole load, scaled. Wall time includes that of the load generator, which shares the machine; its processor time is told apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figure import Figure
from bench.instance import api_and_queue, kubernetes_and_queue
from bench.workloads import SHAPES

TARGET_SECONDS = {"baseline": 80.0, "large": 60.0, "topology": 120.0}
KUBERNETES_TARGET_SECONDS = {"baseline": 185.0}
"""Half of Kueue's wall time; what the API server itself needs bounds it."""
KUEUE = {"baseline": "Kueue, its client limits raised, with kube-apiserver on 2 cores: 369 s", "large": "Kueue's published mean: 1,179 s"}


@contextmanager
def embedded() -> Iterator[tuple[Path, dict[str, int]]]:
    """Where the API is, and the processes whose time counts."""
    with api_and_queue() as (home, processes):
        yield home.api_socket, {name: process.pid for name, process in processes.items()}


def run() -> list[Figure]:
    shape, scale = os.environ.get("SHAPE", "baseline"), float(os.environ.get("SCALE", "0.1"))
    real = os.environ.get("HOST") == "kube-apiserver"
    with (kubernetes_and_queue if real else embedded)() as (where, processes):
        before = {name: cpu_seconds(pid) for name, pid in processes.items()}
        done = subprocess.run(
            [sys.executable, "-m", "bench.workloads", str(where), shape, str(scale)], capture_output=True, text=True, check=True
        )
        used = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
    outcome = json.loads(done.stdout)
    count = outcome["workloads"]
    target = (KUBERNETES_TARGET_SECONDS if real else TARGET_SECONDS).get(shape)
    host = " on kube-apiserver" if real else ""
    title = f"{shape} x {scale:g}{host} ({SHAPES[shape].scaled(scale).workloads:,} workloads)"
    waits = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome["wait_seconds"].items())
    return [
        Figure(f"{title}: wall", outcome["wall_seconds"], "s", target * scale if target else None, rival=KUEUE.get(shape, "")),
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
