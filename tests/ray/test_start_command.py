"""`ray start` from rayStartParams and resources."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from raysail.ray.pods import start_command


class Case(NamedTuple):
    rule: str
    params: dict[str, str]
    resources: dict[str, Any]
    flags: str

    def __str__(self) -> str:
        return self.rule


@pytest.mark.parametrize(
    "case",
    [
        Case("nothing said, nothing passed", {}, {}, ""),
        Case("cpu limit, rounded up", {}, {"limits": {"cpu": "1500m"}}, " --num-cpus=2 "),
        Case("cpu request where there is no limit", {}, {"requests": {"cpu": "3"}}, " --num-cpus=3 "),
        Case("memory from the limit only", {}, {"requests": {"memory": "1Gi"}}, ""),
        Case("memory in bytes", {}, {"limits": {"memory": "1Gi"}}, " --memory=1073741824 "),
        Case(
            "what the user says wins",
            {"num-cpus": "0", "memory": "5"},
            {"limits": {"cpu": "4", "memory": "1Gi"}},
            " --memory=5  --num-cpus=0 ",
        ),
        Case("the first GPU resource by name", {}, {"limits": {"z.com/gpu": "2", "nvidia.com/gpu": "1"}}, " --num-gpus=1 "),
        Case("MIG slices are GPUs", {}, {"limits": {"nvidia.com/mig-1g.5gb": "3"}}, " --num-gpus=3 "),
        Case("TPUs become a custom resource", {}, {"limits": {"google.com/tpu": "4"}}, " --resources='{\"TPU\":4}' "),
        Case(
            "one accelerator only, beside the user's own resources",
            {"resources": "'{\"special\": 2}'"},
            {"limits": {"aws.amazon.com/neuroncore": "4", "google.com/tpu": "1"}},
            ' --resources=\'{"neuron_cores":4,"special":2}\' ',
        ),
        Case("flags are sorted", {"b": "2", "a": "1"}, {}, " --a=1  --b=2 "),
        Case("true is a switch, false is left out", {"block": "true", "verbose": "False"}, {}, " --block "),
        Case(
            "some flags want the word",
            {"include-dashboard": "false", "log-color": "true"},
            {},
            " --include-dashboard=false  --log-color=true ",
        ),
    ],
    ids=str,
)
def test_command(case: Case) -> None:
    params = dict(case.params)
    start_command.with_container_resources(params, case.resources)
    assert start_command.command(params, "head") == f"ray start --head {case.flags}"
    assert start_command.command(params, "worker") == f"ray start {case.flags}"


def test_group_resources_stand_above_the_container() -> None:
    params: dict[str, str] = {}
    start_command.with_group_resources(params, {"CPU": "4", "memory": "1Gi", "GPU": "1", "special": "2", "half": "500m", "broken": "x"})
    start_command.with_container_resources(params, {"limits": {"cpu": "1", "memory": "2Gi"}})
    assert params == {"num-cpus": "4", "memory": "1073741824", "num-gpus": "1", "resources": '\'{"half":0.5,"special":2}\''}


def test_labels_are_sorted() -> None:
    params: dict[str, str] = {}
    start_command.with_group_labels(params, {"b": "2", "a/x": "1"})
    assert params == {"labels": "a/x=1,b=2"}


def test_what_kuberay_always_passes() -> None:
    head: dict[str, str] = {}
    start_command.with_defaults(head, "head")
    assert head == {"dashboard-host": "0.0.0.0", "metrics-export-port": "8080", "block": "true", "dashboard-agent-listen-port": "52365"}
    worker = {"metrics-export-port": "9", "block": "false"}
    start_command.with_defaults(worker, "worker", head_address="h:1")
    assert worker == {"address": "h:1", "metrics-export-port": "9", "block": "true", "dashboard-agent-listen-port": "52365"}
