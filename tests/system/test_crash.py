"""kill -9 at random moments while jobs come and go: nothing acknowledged is lost, nothing runs twice at once, no quota is exceeded, nothing is orphaned."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from raysail.api.resources import PODS
from raysail.instance.processes import read_pid_file, wait_until
from tests.system.crash_load import ROLE, Load
from tests.system.instance import Instance, instance

KILLS = 50
SEED = 20261124
OURS = ("apiserver", "operator", "node")


@pytest.mark.slow
def test_fifty_kills_under_a_load_of_jobs(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with instance("--nodes", "2x cpu=8,memory=16Gi") as subject:
        load = Load(subject, tmp_path, dice, quota_milli=3000)
        with load.running(load.submit_jobs):
            killed = kill_at_random(subject, dice, dict.fromkeys((*OURS, "job"), 1), (0.2, 1.5))
        load.check()
        leaves_nothing_behind(subject)
    assert len(killed) == 4, killed


@pytest.mark.slow
@pytest.mark.ray
def test_fifty_kills_under_a_load_of_ray_jobs(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with instance("--nodes", "2x cpu=8,memory=16Gi") as subject:
        load = Load(subject, tmp_path, dice, quota_milli=6000)
        with load.running(load.submit_jobs, load.submit_ray_jobs):
            killed = kill_at_random(subject, dice, dict.fromkeys((*OURS, "head", "worker"), 1), (0.5, 2.5))
        load.check()
        leaves_nothing_behind(subject)
    assert len(killed) == 5, killed


def kill_at_random(subject: Instance, dice: random.Random, weights: dict[str, int], pause_seconds: tuple[float, float]) -> Counter[str]:
    """Ends `KILLS` processes, each one of ours or one of a container of the named role; how many of each."""
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        victim = dice.choices(list(weights), list(weights.values()))[0]
        if victim in OURS:
            process = read_pid_file(subject.home.run / f"{victim}.pid")
            if process is not None:
                process.signal(signal.SIGKILL)
                killed[victim] += 1
        elif marked := of_role(subject, victim):
            with suppress(ProcessLookupError):  # it may have ended by itself meanwhile
                os.kill(dice.choice(marked), signal.SIGKILL)
                killed[victim] += 1
        time.sleep(dice.uniform(*pause_seconds))  # the moment of the next kill is meant to be random
    return killed


def of_role(subject: Instance, role: str) -> list[int]:
    """The processes of the load's containers of this role, known by their environment."""
    mark = f"{ROLE}={role}".encode()
    found = []
    for pid in subject.processes():
        try:
            if mark in (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue  # it ended meanwhile
    return found


def leaves_nothing_behind(subject: Instance) -> None:
    subject.run("delete", "jobs", "--all")
    subject.run("delete", "rayjobs", "--all")
    assert wait_until(lambda: not subject.api.list(PODS, "default"), 60, 0.5), subject.run("get", "pods").stdout
    assert wait_until(lambda: not [pid for role in ("job", "head", "worker") for pid in of_role(subject, role)], 10)
    subject.run("down", "--force")
    assert wait_until(lambda: not subject.processes(), 15), f"orphans: {subject.processes()}"
