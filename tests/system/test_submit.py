"""`raysail submit` as a user meets it, on real Ray: output, exit codes, detaching, coming back, and what is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raysail.api.resources import PODS, RAY_JOBS
from raysail.instance.processes import wait_until
from tests.system.instance import Instance, instance

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_SECONDS = 120

# Runs until somebody who is connected to its cluster lets it go on.
WAITS = """
import os, time
print("begun", flush=True)
while not os.path.exists("/tmp/go"):
    time.sleep(0.1)
print("ended", flush=True)
"""
LETS_GO = """
import ray
ray.init()
@ray.remote
def let_go():
    open("/tmp/go", "w").close()
    return "let go"
print(ray.get(let_go.remote()))
"""


@pytest.fixture(scope="module")
def up() -> Iterator[Instance]:
    with instance("--nodes", "1x cpu=8,memory=16Gi") as found:
        yield found


@contextmanager
def started(up: Instance, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`raysail ...` in the background; ended by force if it takes far too long."""
    command = [sys.executable, "-m", "raysail", *arguments]
    process = subprocess.Popen(
        command,
        env=up.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C works as in a terminal, also where the tests run in the background, which ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    limit = threading.Timer(LIMIT_SECONDS, process.kill)
    limit.start()
    try:
        yield process
    finally:
        limit.cancel()
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_hello_prints_and_its_output_outlives_cluster_and_job(up: Instance) -> None:
    folder = str(EXAMPLES / "submit")
    done = up.run("submit", "--name", "hello", "--working-dir", folder, "--", "python", "hello.py")
    assert "[0, 1, 4, 9]" in done.stdout.splitlines()
    assert "succeeded" in done.stderr
    assert wait_until(lambda: not up.api.list(PODS, "default"), LIMIT_SECONDS, 0.2), up.run("get", "pods").stdout
    assert "[0, 1, 4, 9]" in up.run("logs", "hello").stdout.splitlines()
    up.run("delete", "rayjob", "hello")
    assert wait_until(lambda: not up.api.list(RAY_JOBS, "default"), LIMIT_SECONDS, 0.2)
    assert "[0, 1, 4, 9]" in up.run("logs", "hello").stdout.splitlines()


def test_a_program_that_fails_makes_submit_fail(up: Instance) -> None:
    program = "print('so far so good'); raise SystemExit(7)"
    done = up.run("submit", "--working-dir", "", "--", "python", "-c", program, check=False)
    assert done.returncode == 1
    assert "so far so good" in done.stdout.splitlines()
    assert "exit code 7" in done.stderr or "failed" in done.stderr


def test_detaches_and_comes_back(up: Instance) -> None:
    with started(up, "submit", "--name", "slow", "--working-dir", "", "--", "python", "-c", WAITS) as submit:
        assert submit.stdout is not None
        assert submit.stderr is not None
        assert any("begun" in line for line in submit.stdout), up.logs()
        submit.send_signal(signal.SIGINT)
        assert submit.wait(20) == 130
        assert "raysail logs -f slow" in submit.stderr.read()
    with started(up, "dashboard", "slow", "--port", "0") as dashboard:
        assert dashboard.stdout is not None
        address = next(word for word in dashboard.stdout.readline().split() if word.startswith("http://"))
        with urllib.request.urlopen(f"{address.rstrip('/')}/api/version", timeout=20) as answer:
            assert json.loads(answer.read())["ray_version"]
        dashboard.send_signal(signal.SIGINT)
        dashboard.wait(20)
    with started(up, "logs", "-f", "slow") as logs:
        assert "let go" in up.run("connect", "slow", "--", sys.executable, "-c", LETS_GO).stdout
        assert logs.wait(LIMIT_SECONDS) == 0
        assert logs.stdout is not None
        assert logs.stdout.read().splitlines()[-1] == "ended"
    assert up.api.get(RAY_JOBS, "slow", "default")["status"]["jobStatus"] == "SUCCEEDED"
