"""kueuectl's commands through the real command line, against a real API and real controllers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml

from raysail.cli.queues.pod_selectors import pods_of
from raysail.cli.queues.quotas import QuotaSpecError, resource_groups
from raysail.cli.queues.taints import TaintSpecError, taints, tolerations
from raysail.instance.home import Home
from raysail.instance.processes import wait_until
from tests.cli.test_commands import Cli


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """An API and the queue's controllers; nothing that runs Pods."""
    home = Home(tmp_path_factory.mktemp("queues") / "home")
    found = Cli(home)
    processes = []
    try:
        for arguments in (["apiserver"], ["operator", "--home", str(home.path), "--controllers=queue,gc"]):
            with (home.path.parent / f"{arguments[0]}.log").open("wb") as log:
                process = subprocess.Popen([sys.executable, "-m", "raysail", *arguments], env=found.environment, stdout=log, stderr=log)
            processes.append(process)
            assert wait_until(lambda process=process: home.api_socket.exists() or process.poll() is not None, 20)  # type: ignore[misc]
        yield found
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def rows(text: str) -> list[list[str]]:
    """A table's rows as cells, without the header; columns are where the header's words begin."""
    header, *lines = text.rstrip("\n").split("\n")
    starts = [0] + [at for at in range(3, len(header)) if header[at - 3 : at] == "   " and header[at] != " "]
    return [[line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)] for line in lines]


def settles(look: Callable[[], bool]) -> None:
    assert wait_until(look, 30)


def job(name: str, cpu: str) -> str:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    labels = {"kueue.x-k8s.io/queue-name": "lq"}
    return yaml.safe_dump(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": {"template": template}}
    )


def test_a_queue_from_nothing_to_its_jobs(cli: Cli) -> None:
    assert cli("create", "rf", "rf") == "resourceflavor.kueue.x-k8s.io/rf created\n"
    assert cli("create", "cq", "cq", "--cohort", "co", "--nominal-quota", "rf:cpu=4") == "clusterqueue.kueue.x-k8s.io/cq created\n"
    assert "not found" in cli("create", "lq", "lq", "-c", "other", code=1)
    assert cli("create", "localqueue", "lq", "-c", "cq") == "localqueue.kueue.x-k8s.io/lq created\n"
    assert cli("create", "lq", "later", "-c", "other", "-i", "--dry-run", "server").endswith("created (server dry run)\n")
    for name, cpu in (("runs", "4"), ("waits", "3")):
        cli("apply", "-f", "-", text=job(name, cpu))
        settles(lambda name=name: name in cli("list", "workload", "--for", f"job/{name}"))  # type: ignore[misc]
    settles(lambda: "ADMITTED" in cli("list", "wl"))
    settles(lambda: [line for line in rows(cli("list", "wl")) if line[5:7] == ["PENDING", "0"]] != [])

    found = {line[2]: line for line in rows(cli("list", "workload"))}
    assert found["runs"][1:6] == ["job", "runs", "lq", "cq", "ADMITTED"]
    assert found["runs"][6] == ""
    assert found["runs"][7] != ""
    assert found["waits"][1:8] == ["job", "waits", "lq", "cq", "PENDING", "0", ""]
    assert [line[2] for line in rows(cli("list", "wl", "--status", "pending", "-q", "lq", "-c", "cq"))] == ["waits"]
    assert cli("list", "wl", "-A").startswith("NAMESPACE   NAME")
    assert cli("list", "wl", "-q", "none") == ""

    settles(lambda: rows(cli("list", "cq"))[0][:5] == ["cq", "co", "1", "1", "true"])
    assert rows(cli("list", "lq"))[0][:4] == ["lq", "cq", "1", "1"]
    assert cli("list", "lq", "-c", "other") == ""
    assert json.loads(cli("list", "cq", "-o", "json"))["items"][0]["metadata"]["name"] == "cq"
    assert cli("list", "rf", "-o", "name") == "resourceflavor.kueue.x-k8s.io/rf\n"

    name = found["waits"][0]
    assert cli("stop", "workload", name) == f"workload.kueue.x-k8s.io/{name} stopped\n"
    assert yaml.safe_load(cli("get", "kwl", name, "-o", "yaml"))["spec"]["active"] is False
    assert cli("resume", "workload", name) == f"workload.kueue.x-k8s.io/{name} resumed\n"
    assert cli("stop", "cq", "cq", "--keep-already-running", "--dry-run", "client", "-o", "name") == "clusterqueue.kueue.x-k8s.io/cq\n"
    assert cli("list", "cq", "--active", "false") == ""
    cli("stop", "cq", "cq", "--keep-already-running")
    assert yaml.safe_load(cli("get", "cq", "cq", "-o", "yaml"))["spec"]["stopPolicy"] == "Hold"
    settles(lambda: cli("list", "cq", "--active", "false") != "")
    cli("resume", "cq", "cq")
    cli("stop", "lq", "lq")
    assert yaml.safe_load(cli("get", "lq", "lq", "-o", "yaml"))["spec"]["stopPolicy"] == "HoldAndDrain"
    cli("resume", "lq", "lq")

    asked = cli("delete", "workload", name, text="n\n")
    assert "jobs.batch/waits associated with the default" in asked
    assert asked.endswith("Deletion is canceled\n")
    assert cli("delete", "wl", name).endswith("Deletion is canceled\n")
    assert cli("delete", "workload", name, "--dry-run", "server") == "jobs.batch/waits deleted (server dry run)\n"
    assert cli("delete", "workload", name, "-y") == "jobs.batch/waits deleted\n"
    settles(lambda: "waits" not in cli("list", "workload"))


def test_without_a_kind_the_words_mean_what_they_meant(cli: Cli) -> None:
    assert cli("list") == ""
    assert cli("list", "-A") == ""
    assert "no job called nobody" in cli("stop", "nobody", code=2)
    assert "which pods?" in cli("delete", "pods", code=2)
    assert "clusterqueue" in cli("list", "--help")
    assert "My jobs, newest first." in cli("list", "--help")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "cq", "x", "--nominal-quota", "alpha"), "is not FLAVOR:RESOURCE=QUANTITY"),
        (("create", "cq", "x", "--nominal-quota", "alpha:cpu=many"), "not a quantity"),
        (("create", "rf", "x", "--node-taints", "a=b:Never"), "unsupported taint effect"),
        (("create", "rf", "x", "--node-labels", "a"), "must be formatted as key=value"),
        (("create", "lq", "x"), "Missing option '-c'"),
        (("list", "cq", "--active", "true", "--active", "false"), "only one active flag"),
        (("list", "pods", "--for", "job"), "must be in the format TYPE"),
        (("list", "pods", "--for", "namespace/default"), "unsupported kind: Namespace"),
        (("delete", "workload"), "which Workloads?"),
    ],
)
def test_mistakes_are_told(cli: Cli, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in cli(*arguments, code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Cli, shell: str) -> None:
    assert "_RAYSAIL_COMPLETE" in cli("completion", shell)


def test_kinds_and_names_are_completed(cli: Cli) -> None:
    def completed(words: str, at: int) -> str:
        environment = cli.environment | {"_RAYSAIL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return subprocess.run([sys.executable, "-m", "raysail"], env=environment, capture_output=True, text=True, check=True).stdout

    assert "plain,clusterqueue" in completed("raysail create cl", 2)
    assert "plain,cq\n" in completed("raysail stop clusterqueue c", 3)
    assert "plain,localqueue" in completed("raysail list lo", 2)
    assert "plain,--all-namespaces" in completed("raysail list --all", 2)


def test_quotas_become_groups() -> None:
    groups = resource_groups(
        {
            "nominal-quota": ["alpha:cpu=9;memory=36Gi,beta:memory=72Gi;cpu=18", "gpu:nvidia.com/gpu=2"],
            "lending-limit": ["alpha:memory=1Gi;cpu=1"],
        }
    )
    assert [group["coveredResources"] for group in groups] == [["cpu", "memory"], ["nvidia.com/gpu"]]
    alpha, beta = groups[0]["flavors"]
    assert alpha["resources"][0] == {"name": "cpu", "nominalQuota": "9", "lendingLimit": "1"}
    assert [each["name"] for each in beta["resources"]] == ["cpu", "memory"]
    assert resource_groups({"borrowing-limit": ["alpha:cpu=1"]})[0]["flavors"][0]["resources"] == [
        {"name": "cpu", "nominalQuota": "0", "borrowingLimit": "1"}
    ]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"nominal-quota": ["alpha:cpu=1"], "lending-limit": ["alpha:memory=1"]}, "must list the same resources"),
        ({"nominal-quota": ["alpha:cpu=1;memory=1,beta:cpu=1"]}, "covered by another group"),
    ],
)
def test_quotas_that_do_not_fit_together(said: dict[str, list[str]], fault: str) -> None:
    with pytest.raises(QuotaSpecError, match=fault):
        resource_groups(said)


def test_taints_and_tolerations() -> None:
    assert taints(["key1=value:NoSchedule,key2:NoExecute"]) == [
        {"key": "key1", "value": "value", "effect": "NoSchedule"},
        {"key": "key2", "effect": "NoExecute"},
    ]
    assert tolerations(["key1=value:NoSchedule,key3=value,key4,:PreferNoSchedule"]) == [
        {"key": "key1", "operator": "Equal", "value": "value", "effect": "NoSchedule"},
        {"key": "key3", "operator": "Equal", "value": "value"},
        {"key": "key4", "operator": "Exists"},
        {"operator": "Exists", "effect": "PreferNoSchedule"},
    ]
    for wrong in ("a:b:NoSchedule", "a", "a:NoSchedule,a=b:NoSchedule"):
        with pytest.raises(TaintSpecError):
            taints([wrong])


def test_pods_of_a_job_by_its_kind() -> None:
    from raysail.api.resources import JOBS, RAY_JOBS, STATEFUL_SETS

    assert pods_of(JOBS, {"metadata": {"name": "a"}}) == "batch.kubernetes.io/job-name=a"
    assert pods_of(RAY_JOBS, {"metadata": {"name": "a"}, "status": {"rayClusterName": "a-x"}}) == "ray.io/cluster=a-x"
    assert pods_of(RAY_JOBS, {"metadata": {"name": "a"}}) == ""
    assert pods_of(STATEFUL_SETS, {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "x"}}}}) == "app=x"
