"""RayJobs on real Ray: an instance of raysail with its API, controllers and node agent, and Ray's own head, workers and job server in Pods."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "import ray; ray.init(); square = ray.remote(lambda x: x * x); print(ray.get([square.remote(i) for i in range(4)]))"
PATIENCE_SECONDS = 240


class Instance:
    """`raysail` on a state directory of its own."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "RAYSAIL_HOME": str(home)}

    def run(self, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "raysail", *arguments],
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"raysail {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, body: dict[str, Any], folder: Path) -> None:
        file = folder / f"{body['metadata']['name']}.json"
        file.write_text(json.dumps(body))
        self.run("apply", "-f", str(file))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", kind, name, "-n", "work", "-o", "json"))
        return found

    def wait_for_end(self, name: str) -> dict[str, Any]:
        """The job's status once it is over. There is no watch in the command line's JSON, so it is looked at every second."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            status: dict[str, Any] = self.get("rayjob", name).get("status") or {}
            if status.get("jobDeploymentStatus") in ("Complete", "Failed"):
                return status
            time.sleep(1)
        raise AssertionError(f"{name} did not end: {status}\n{self.run('get', 'pods', '-n', 'work', '-o', 'wide')}")


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    home = Path(tempfile.mkdtemp(prefix="rsail-ray-"))
    made = Instance(home)
    try:
        made.run("up", "--nodes", "1x cpu=4,memory=12Gi")
        made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "work"}}, home)
        yield made
    finally:
        made.run("down", "--force")
        shutil.rmtree(home, ignore_errors=True)


def ray_job(name: str, mode: str) -> dict[str, Any]:
    """One CPU for the head, one for a worker."""
    amounts = {"cpu": "1", "memory": "2Gi"}
    template = {
        "spec": {"containers": [{"name": "ray", "image": "rayproject/ray:2.60.0", "resources": {"limits": amounts, "requests": amounts}}]}
    }
    workers = {"groupName": "small", "replicas": 1, "minReplicas": 1, "maxReplicas": 1, "rayStartParams": {}, "template": template}
    cluster = {"rayVersion": "2.60.0", "headGroupSpec": {"rayStartParams": {}, "template": template}, "workerGroupSpecs": [workers]}
    spec = {"entrypoint": f'python -c "{PROGRAM}"', "submissionMode": mode, "shutdownAfterJobFinishes": True, "rayClusterSpec": cluster}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name, "namespace": "work"}, "spec": spec}


@pytest.mark.ray
@pytest.mark.parametrize("mode", ["HTTPMode", "K8sJobMode", "SidecarMode"])
def test_a_job_runs_on_real_ray(instance: Instance, mode: str, tmp_path: Path) -> None:
    name = mode.lower()
    instance.apply(ray_job(name, mode), tmp_path)
    status = instance.wait_for_end(name)
    assert (status["jobDeploymentStatus"], status["jobStatus"]) == ("Complete", "SUCCEEDED"), status
    assert status["succeeded"] == 1
    instance.run("delete", "rayjob", name, "-n", "work")
