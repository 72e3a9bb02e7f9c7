"""The embedded API over its Unix socket and over TLS: reads, durable writes, fan-out to watchers.

The server is its own process; so is the load (bench.load). On two cores each has one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figure import Figure

TOKEN = "bench-token"
SERVER = """
import sys
from pathlib import Path
from raysail.apiserver.process import main
from raysail.apiserver.settings import ApiSettings
folder = Path(sys.argv[1])
main(ApiSettings(data=folder / "data", socket=folder / "api.sock", port=0, pki=folder / "pki", admin_tokens=(sys.argv[2],)))
"""
SECONDS = 4
EVENTS = 31


@contextmanager
def server():  # type: ignore[no-untyped-def]
    """A running API: (socket, host:port, pid)."""
    with tempfile.TemporaryDirectory(prefix="rsail-") as name:
        process = subprocess.Popen([sys.executable, "-c", SERVER, name, TOKEN], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield str(Path(name) / "api.sock"), line.strip().rsplit("https://", 1)[-1], process.pid
        finally:
            process.terminate()
            process.wait()


def load(*arguments: str) -> dict[str, Any]:
    """What the load generator found."""
    done = subprocess.run([sys.executable, "-m", "bench.load", *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found.get("failures"):
        raise RuntimeError(f"{found['failures']:.0f} requests failed: {arguments}")
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def per_cpu_second(pid: int, *arguments: str) -> tuple[dict[str, Any], str]:
    """What the load found, and what it cost: requests per second of the server's processor time, which a machine shared with others can still
    tell, and the processor time of the load generator, counted apart."""
    before = cpu_seconds(pid)
    found = load(*arguments)
    used = max(cpu_seconds(pid) - before, 0.01)
    count = found["rate"] * SECONDS
    text = f"{count / used:,.0f} per CPU second of the server ({used / SECONDS:.0%} of one); the load generator used {found['cpu_seconds']:.1f} s"
    return found, text


def prepare(socket: str) -> None:
    """One object to read."""
    body = json.dumps({"metadata": {"name": "bench"}, "data": {"key": "v" * 2000}})
    url = "http://localhost/api/v1/namespaces/default/configmaps"
    command = ["curl", "-sf", "--unix-socket", socket, "-H", "content-type: application/json", "-d", body, url]
    subprocess.run(command, check=True, capture_output=True)


def run() -> list[Figure]:
    """All figures of the API."""
    with server() as (socket, address, pid):
        prepare(socket)
        read, read_cost = per_cpu_second(pid, "get", socket, TOKEN, str(SECONDS), "16")
        tls, tls_cost = per_cpu_second(pid, "get", address, TOKEN, str(SECONDS), "16")
        write, write_cost = per_cpu_second(pid, "create", socket, TOKEN, str(SECONDS), "64")
    with server() as (socket, _, pid):
        load("watch", socket, TOKEN, "1", "1000")  # what a first time costs, and what opening the watches costs
        before = cpu_seconds(pid)
        load("watch", socket, TOKEN, "1", "1000")
        opened = cpu_seconds(pid)
        fan = load("watch", socket, TOKEN, str(EVENTS), "1000")
        per_event = (cpu_seconds(pid) - opened - (opened - before)) / (EVENTS - 1)
    return [
        Figure(
            "authenticated GET over the Unix socket",
            read["rate"],
            "/s",
            20_000,
            higher_is_better=True,
            rival=read_cost,
        ),
        Figure("authenticated GET over TLS", tls["rate"], "/s", rival=tls_cost),
        Figure(
            "durable creates, 64 clients",
            write["rate"],
            "/s",
            5_000,
            higher_is_better=True,
            rival=f"{write_cost}; p99 {write['p99_ms']:.1f} ms",
        ),
        Figure(
            "one event to 1,000 watchers, p50",
            fan["p50_ms"],
            "ms",
            15,
            rival=f"the last of them {fan['last_ms']:.1f} ms; {per_event * 1000:.1f} ms of the server's processor an event",
        ),
    ]
