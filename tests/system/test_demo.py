"""The live demo as a user runs it: on real Ray, with its timeline, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raysail.instance.processes import wait_until

DEMO = Path(__file__).parents[2] / "examples" / "live-demo" / "demo.py"


@pytest.mark.ray
@pytest.mark.slow
def test_the_live_demo() -> None:
    # A short folder of its own: it marks every process of this demo.
    with tempfile.TemporaryDirectory(prefix="raysail-demo-test-") as folder:
        environment = {key: value for key, value in os.environ.items() if key not in ("KEEP", "RAYSAIL_HOME")}
        done = subprocess.run(
            [sys.executable, str(DEMO)], env=environment | {"TMPDIR": folder}, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(re.findall(r"succeeded: Ray printed \[0, 1, 4, 9\]", done.stdout)) == 5
        preempted = re.search(r"(low-\d) +PREEMPTED: (.+)", done.stdout)
        assert preempted is not None, done.stdout
        assert "due to prioritization in the ClusterQueue" in preempted[2]
        assert f"{preempted[1]} had been preempted" in done.stdout
        assert wait_until(lambda: not _processes_of(folder), 15), _processes_of(folder)


def _processes_of(folder: str) -> list[str]:
    """Command lines of what still knows the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue  # gone, or not ours to look at
            if os.fsencode(folder) in line + environment:
                found.append(f"{entry.name} {line.replace(bytes(1), b' ').decode(errors='replace')}")
    return found
