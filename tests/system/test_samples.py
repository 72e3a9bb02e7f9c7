"""KubeRay's own samples, unchanged, on real Ray. Images are ignored; everything else counts.

They are applied in a namespace of their own: in one with a LocalQueue `default`, Kueue's rule that a queued RayJob deletes its cluster holds,
and some samples keep theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysail.api.resources import NAMESPACES, PODS, RAY_CLUSTERS, RAY_JOBS
from raysail.instance.processes import wait_until
from tests.system.instance import Instance, instance

RECORDED = Path(__file__).parents[3] / "shared" / "conformance" / "ray" / "recorded" / "samples"
PLACE = "samples"

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDED.is_dir(), reason="KubeRay's samples come from ../shared/conformance, which is not here"),
]


@pytest.fixture(scope="module")
def up() -> Iterator[Instance]:
    with instance("--nodes", "2x cpu=16,memory=32Gi") as found:
        found.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
        yield found


def sample(name: str) -> str:
    """The sample's objects as YAML, as they were applied on the real KubeRay."""
    steps: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text())["steps"]
    return yaml.safe_dump_all(next(step["apply"] for step in steps if "apply" in step))


def apply(up: Instance, name: str) -> None:
    up.run("apply", "-n", PLACE, "-f", "-", text=sample(name))


def delete(up: Instance, name: str) -> None:
    up.run("delete", "-n", PLACE, "-f", "-", text=sample(name))
    assert wait_until(lambda: not up.api.list(PODS, PLACE), 90, 0.2), up.run("get", "pods", "-n", PLACE).stdout


def test_ray_cluster_sample(up: Instance) -> None:
    apply(up, "ray-cluster-sample")

    def ready() -> bool:
        status = up.api.get(RAY_CLUSTERS, "raycluster-kuberay", PLACE).get("status") or {}
        return bool(status.get("state") == "ready" and status.get("readyWorkerReplicas") == 1)

    assert wait_until(ready, 120, 0.2), up.run("get", "pods", "-n", PLACE).stdout + up.logs()
    delete(up, "ray-cluster-sample")


def test_ray_job_sample(up: Instance, tmp_path: Path) -> None:
    installs = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "requests==2.26.0"]
    if subprocess.run(installs, capture_output=True, check=False).returncode != 0:
        pytest.skip("the sample's runtime environment installs packages with pip, which needs a package index in reach")
    apply(up, "ray-job-sample")

    def ended() -> bool:
        status = up.api.get(RAY_JOBS, "rayjob-sample", PLACE).get("status") or {}
        return status.get("jobDeploymentStatus") in ("Complete", "Failed")

    assert wait_until(ended, 240, 0.5), up.run("describe", "rayjob", "rayjob-sample", "-n", PLACE).stdout + up.logs()
    assert up.api.get(RAY_JOBS, "rayjob-sample", PLACE)["status"]["jobStatus"] == "SUCCEEDED"
    output = up.run("logs", "-n", PLACE, "rayjob-sample").stdout
    assert "test_counter got 5" in output
    delete(up, "ray-job-sample")
