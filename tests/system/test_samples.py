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

from raysail.api.resources import NAMESPACES, PODS, RAY_CLUSTERS, RAY_JOBS, SERVICES
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


@pytest.mark.parametrize("name", ["ray-cluster-sample", "ray-cluster-complete", "ray-cluster-overwrite-command"])
def test_ray_cluster(up: Instance, name: str) -> None:
    apply(up, name)

    def ready() -> bool:
        clusters = [cluster.get("status") or {} for cluster in up.api.list(RAY_CLUSTERS, PLACE)]
        return [(s.get("state"), s.get("readyWorkerReplicas"), s.get("desiredWorkerReplicas")) for s in clusters] == [("ready", 1, 1)]

    assert wait_until(ready, 120, 0.2), up.run("get", "rayclusters,pods", "-n", PLACE).stdout + up.logs()
    delete(up, name)


@pytest.fixture(scope="module")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The job samples' runtime environments install packages with pip."""
    folder = tmp_path_factory.mktemp("download")
    installs = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "requests==2.26.0"]
    if subprocess.run(installs, capture_output=True, check=False).returncode != 0:
        pytest.skip("the samples' runtime environments install packages with pip, which needs a package index in reach")


@pytest.mark.usefixtures("package_index")
@pytest.mark.parametrize(
    ("name", "job", "says"),
    [
        ("ray-job-sample", "rayjob-sample", "test_counter got 5"),
        ("ray-job-custom-head-svc", "rayjob-sample", "test_counter got 5"),
        ("ray-job-resources", "rayjob-sample", ""),
        ("ray-job-shutdown", "rayjob-sample-shutdown", "test_counter got 5"),
    ],
)
def test_ray_job(up: Instance, name: str, job: str, says: str) -> None:
    apply(up, name)

    def ended() -> bool:
        status = up.api.get(RAY_JOBS, job, PLACE).get("status") or {}
        return status.get("jobDeploymentStatus") in ("Complete", "Failed")

    assert wait_until(ended, 240, 0.5), up.run("describe", "rayjob", job, "-n", PLACE).stdout + up.logs()
    assert up.api.get(RAY_JOBS, job, PLACE)["status"]["jobStatus"] == "SUCCEEDED", up.run("logs", "-n", PLACE, job, check=False).stdout
    assert says in up.run("logs", "-n", PLACE, job).stdout
    if name == "ray-job-custom-head-svc":
        assert up.api.get(SERVICES, "custom-ray-head-service-name", PLACE)["spec"]["ports"]
    if name == "ray-job-shutdown":
        assert wait_until(lambda: not up.api.list(RAY_CLUSTERS, PLACE), 60, 0.2), "shutdownAfterJobFinishes leaves the cluster"
    delete(up, name)
