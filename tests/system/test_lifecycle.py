"""`raysail up` and `down` as a person meets them: twice, with other options, while jobs run, beside another instance, and again with what was there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from raysail.api.resources import CONFIG_MAPS, JOBS, PODS, RAY_JOBS
from raysail.instance.processes import read_pid_file, wait_until
from tests.system.instance import Instance, instance

pytestmark = [pytest.mark.slow]

NODES = "1x cpu=4,memory=8Gi"


@pytest.fixture
def up() -> Iterator[Instance]:
    with instance("--nodes", NODES) as found:
        yield found


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_up_twice_tells_what_runs_and_other_options_are_refused(up: Instance) -> None:
    assert "runs already" in up.run("up").stderr
    quiet = up.run("up", "-q")
    assert quiet.stdout + quiet.stderr == ""
    refused = up.run("up", "--nodes", "2x cpu=1,memory=1Gi", check=False)
    assert refused.returncode != 0
    assert "with other options: `raysail down` first" in refused.stderr


def test_nonsense_in_options_is_refused_before_anything_starts(up: Instance) -> None:
    up.run("down", "--force")
    refused = up.run("up", "--nodes", "many", check=False)
    assert refused.returncode == 2
    assert "--nodes" in refused.stderr
    assert not up.processes()


def test_what_was_there_is_there_after_down_and_up(up: Instance) -> None:
    up.api.create(CONFIG_MAPS, config_map("kept"), "default")
    assert "are kept in" in up.run("down").stderr
    assert "not running" in up.run("get", "configmaps", check=False).stderr
    assert up.run("status", check=False).returncode == 3
    up.run("up", "-q")
    assert "kept" in up.run("get", "configmaps").stdout
    assert up.run("status").returncode == 0


def test_down_does_not_end_running_jobs_unasked(up: Instance) -> None:
    submitted = up.run("submit", "--no-wait", "--name", "busy", "--", "sleep", "600")
    assert submitted.returncode == 0
    assert wait_until(lambda: bool((up.api.get(RAY_JOBS, "busy", "default").get("status") or {}).get("jobDeploymentStatus")), 30)
    refused = up.run("down", check=False)
    assert refused.returncode != 0
    assert "1 jobs run (busy): `raysail down --force` ends them" in refused.stderr
    assert read_pid_file(up.home.run / "supervisor.pid") is not None


def test_two_instances_side_by_side_do_not_see_each_other(up: Instance) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i", "command": ["sleep", "600"]}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "same"}, "spec": {"suspend": False, "template": {"spec": pod}}}
    with instance("--nodes", NODES) as other:
        addresses = set()
        for each in (up, other):
            each.api.create(JOBS, job, "default")
            assert wait_until(lambda each=each: any((p.get("status") or {}).get("podIP") for p in each.api.list(PODS, "default")), 30), (
                each.run("get", "jobs,workloads,pods").stdout + each.logs()
            )
            addresses |= {p["status"]["podIP"] for p in each.api.list(PODS, "default")}
        assert len(addresses) == 2
        other.run("down", "--force")
        assert up.api.list(PODS, "default")[0]["status"]["phase"] == "Running"
