"""The embedded API over its Unix socket and over TLS: reads, durable writes, fan-out to watchers.

The server is its own process; so is the load (bench.load). On two cores each has one.
"""

from __future__ import annotations

import json
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


@contextmanager
def server():  # type: ignore[no-untyped-def]
    """A running API: (socket, host:port)."""
    with tempfile.TemporaryDirectory(prefix="rsail-") as name:
        process = subprocess.Popen([sys.executable, "-c", SERVER, name, TOKEN], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield str(Path(name) / "api.sock"), line.strip().rsplit("https://", 1)[-1]
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


def prepare(socket: str) -> None:
    """One object to read."""
    body = json.dumps({"metadata": {"name": "bench"}, "data": {"key": "v" * 2000}})
    url = "http://localhost/api/v1/namespaces/default/configmaps"
    command = ["curl", "-sf", "--unix-socket", socket, "-H", "content-type: application/json", "-d", body, url]
    subprocess.run(command, check=True, capture_output=True)


def run() -> list[Figure]:
    """All figures of the API."""
    with server() as (socket, address):
        prepare(socket)
        read = load("get", socket, TOKEN, str(SECONDS), "16")
        tls = load("get", address, TOKEN, str(SECONDS), "16")
        write = load("create", socket, TOKEN, str(SECONDS), "64")
    with server() as (socket, _):
        fan = load("watch", socket, TOKEN, "30", "1000")
    return [
        Figure("authenticated GET over the Unix socket", read["rate"], "/s", 20_000, higher_is_better=True, rival=f"over TLS {tls['rate']:,.0f}/s"),
        Figure("durable creates, 64 clients", write["rate"], "/s", 5_000, higher_is_better=True, rival=f"p99 {write['p99_ms']:.1f} ms"),
        Figure("one event to 1,000 watchers, p50", fan["p50_ms"], "ms", 15, rival=f"the last of them {fan['last_ms']:.1f} ms"),
    ]
