"""The command line against a real API process: kubectl's verbs, errors in words, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from raysail.instance.home import Home
from raysail.instance.processes import wait_until

JOB = Path(__file__).parents[2] / "examples" / "live-demo" / "ray-job.yaml"


class Cli:
    """Runs `raysail` for one instance."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.environment = os.environ | {"RAYSAIL_HOME": str(home.path), "NO_COLOR": "1"}

    def __call__(self, *arguments: str, code: int = 0, text: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "raysail", *arguments], env=self.environment, capture_output=True, text=True, input=text, check=False
        )
        assert done.returncode == code, f"exit {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    home = Home(tmp_path_factory.mktemp("cli") / "home")
    found = Cli(home)
    log = (home.path.parent / "api.log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "raysail", "apiserver"], env=found.environment, stdout=log, stderr=log)
    try:
        assert wait_until(lambda: home.api_socket.exists() or process.poll() is not None, 20)
        yield found
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_apply_creates_changes_and_leaves_alone(cli: Cli) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}}
    assert cli("apply", "-f", "-", text=yaml.safe_dump(manifest)) == "configmaps/a created\n"
    assert cli("apply", "-f", "-", text=yaml.safe_dump(manifest)) == "configmaps/a unchanged\n"
    manifest["data"] = {"k": "2"}
    assert cli("apply", "-f", "-", text=yaml.safe_dump(manifest)) == "configmaps/a configured\n"
    assert yaml.safe_load(cli("get", "cm", "a", "-o", "yaml"))["data"] == {"k": "2"}
    assert cli("get", "configmap/a", "-o", "name") == "configmap/a\n"


def test_one_refused_object_does_not_stop_the_others(cli: Cli) -> None:
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "good"}}
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not_A_Name"}}
    message = cli("apply", "-f", "-", text=yaml.safe_dump_all([bad, good]), code=1)
    assert "Not_A_Name" in message
    assert "good" in cli("get", "cm")


def test_a_job_is_listed_described_and_deleted(cli: Cli) -> None:
    cli("apply", "-f", str(JOB))
    assert "low-1" in cli("list")
    described = cli("describe", "rayjob", "low-1")
    assert "Kind:           RayJob" in described
    assert "user-queue" in described
    assert cli("get", "rayjobs", "--no-headers").startswith("low-1")
    assert 'rayjob.ray.io "low-1" deleted' in cli("delete", "rayjob", "low-1")
    assert "not found" in cli("get", "rayjob", "low-1", code=1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("get", "rayjbos"), "Did you mean rayjob"),
        (("gte", "pods"), "Did you mean get"),
        (("get", "pod/x", "rayjobs"), "no need to specify a resource type"),
        (("apply", "-f", "/nowhere.yaml"), "does not exist"),
        (("delete", "pods"), "which pods?"),
        (("submit", "--head-cpus", "0", "--", "python", "x.py"), "must be greater than zero"),
        (("submit", "--worker-memory", "2 GB", "--", "python", "x.py"), "not a quantity"),
        (("submit", "--working-dir", "/nowhere", "--", "python", "x.py"), "not a directory"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(cli: Cli, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in cli(*arguments, code=2)


def test_yaml_that_is_none_is_told_with_its_place(cli: Cli) -> None:
    assert "line 2, column 1" in cli("apply", "-f", "-", text="a: [\n", code=2)


def test_without_an_instance_the_way_to_start_one_is_told(tmp_path: Path) -> None:
    assert "start it with `raysail up`" in Cli(Home(tmp_path / "none"))("get", "pods", code=1)


def test_submit_dry_run_shows_the_job_and_stores_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("print('hello')")
    shown = cli(
        "submit",
        "--dry-run",
        "--working-dir",
        str(tmp_path),
        "--workers",
        "2",
        "--gpus",
        "1",
        "--priority",
        "high",
        "--",
        "python",
        "x.py",
        "--lr",
        "0.1",
    )
    job = yaml.safe_load(shown)
    assert job["spec"]["entrypoint"] == "python x.py --lr 0.1"
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "default", "kueue.x-k8s.io/priority-class": "high"}
    worker = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert (worker["replicas"], worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) == (2, "1")
    assert "No jobs yet" not in cli("get", "rayjobs", "--no-headers")
    assert not list(cli.home.packages.iterdir())


def test_a_queue_configuration_that_would_hold_jobs_for_ever_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    document = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "integrations": {"frameworks": ["batch/job", "sparkoperator.k8s.io/sparkapplication"]},
    }
    config.write_text(yaml.safe_dump(document))
    fresh = Cli(Home(tmp_path / "home"))
    assert "names sparkoperator.k8s.io/sparkapplication, which this raysail does not queue yet" in fresh(
        "up", "--queue-config", str(config), code=1
    )
    assert "sparkapplication" not in fresh("status", code=3)  # nothing was kept of it


def test_why_says_that_a_job_waits_for_the_workload_that_it_names(cli: Cli) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "planned",
            "labels": {"kueue.x-k8s.io/queue-name": "lq"},
            "annotations": {"kueue.x-k8s.io/prebuilt-workload-name": "plan"},
        },
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "any"}]}}},
    }
    cli("apply", "-f", "-", text=yaml.safe_dump(job))
    assert "Job default/planned waits for the Workload plan that it names" in cli("why", "planned")
