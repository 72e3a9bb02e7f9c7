"""The pure parts: settings, environment, volumes' files, probes' counting, logs, addresses, Ray's arguments."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raysail.api.core.containers import Container, Probe
from raysail.api.core.pod import Pod
from raysail.node import wget
from raysail.node.addresses import AddressesExhaustedError, AddressPool
from raysail.node.devices import Gpu, assign
from raysail.node.environment import ConfigError, Sources, build, command_line, expand
from raysail.node.files import File, write_folder
from raysail.node.kubelet.logs import LogOptionsError, parse_line, parse_options, read_log
from raysail.node.launcher import runs_ray
from raysail.node.probes import Counted, Health
from raysail.node.resources import nominal_cpus, object_store_bytes, oom_score_adjustment, qos_class
from raysail.node.settings import NodesError, parse_nodes
from raysail.node.supervisor.logfile import LogFile
from raysail.node.warm.protocol import cold_reason, with_nominal_sizes

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def container(**fields: Any) -> Container:
    return msgspec.convert({"name": "main", **fields}, Container)


def pod(*containers: Container, **meta: Any) -> Pod:
    body = {"metadata": {"name": "p", "namespace": "default", "uid": "u", **meta}}
    made = msgspec.convert(body, Pod)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, containers=list(containers)))


def sources(**objects: dict[str, str]) -> Sources:
    return Sources(
        lambda name: objects.get(name), lambda name: objects.get(name), {"status.podIP": "127.1.128.5"}, {"cpu": "4", "memory": "8Gi"}
    )


@pytest.mark.parametrize(
    ("text", "names", "capacity"),
    [
        ("", ["box"], {}),
        ("cpu=2", ["box"], {"cpu": "2"}),
        ("3x cpu=4,memory=16398656Ki", ["box-0", "box-1", "box-2"], {"cpu": "4", "memory": "16398656Ki"}),
        ("2x", ["box-0", "box-1"], {}),
    ],
)
def test_nodes(text: str, names: list[str], capacity: dict[str, str]) -> None:
    nodes = parse_nodes(text, "Box")
    assert [n.name for n in nodes] == names
    assert nodes[0].capacity == capacity


def test_nodes_of_several_sizes() -> None:
    assert [n.capacity for n in parse_nodes("cpu=1; 1x cpu=8,nvidia.com/gpu=1", "box")] == [
        {"cpu": "1"},
        {"cpu": "8", "nvidia.com/gpu": "1"},
    ]


@pytest.mark.parametrize("text", ["cpu", "cpu=four", "3x =4"])
def test_nodes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(NodesError, match="--nodes"):
        parse_nodes(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$(A", "$(A"), ("a$b", "a$b")],
)
def test_expansion(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1"}) == wanted


def test_later_variables_see_earlier_ones_and_own_ones_win() -> None:
    one = container(
        env=[
            {"name": "A", "value": "x"},
            {"name": "B", "value": "$(A)$(HOME)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "settings"}}],
        command=["run", "$(B)"],
    )
    env = build(pod(one), one, {"HOME": "/h", "A": "base"}, [], sources(settings={"K": "v"}))
    assert env == {"HOME": "/h", "A": "x", "B": "x/h", "IP": "127.1.128.5", "P_K": "v"}
    assert command_line(one, env) == ["run", "x/h"]


def test_what_is_missing_is_said_unless_it_is_optional() -> None:
    reference: dict[str, Any] = {"name": "absent", "key": "k"}
    one = container(env=[{"name": "A", "valueFrom": {"secretKeyRef": reference}}])
    with pytest.raises(ConfigError, match='secret "absent" not found'):
        build(pod(one), one, {}, [], sources())
    one = container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {**reference, "optional": True}}}])
    assert build(pod(one), one, {}, [], sources()) == {}
    one = container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}])
    with pytest.raises(ConfigError, match="couldn't find key k in ConfigMap default/settings"):
        build(pod(one), one, {}, [], sources(settings={}))


def test_a_limit_that_is_not_there_is_what_the_node_has() -> None:
    selector = {"resource": "limits.memory", "divisor": "1Mi"}
    one = container(env=[{"name": "MEMORY", "valueFrom": {"resourceFieldRef": selector}}])
    assert build(pod(one), one, {}, [], sources()) == {"MEMORY": "8192"}


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    one = container(resources=resources)
    assert qos_class(pod(one)) == quality
    assert 0 <= oom_score_adjustment(pod(one), one, 16 << 30) <= 1000


def test_nominal_sizes() -> None:
    assert nominal_cpus(container(resources={"limits": {"cpu": "1500m"}}), 1) == 2
    assert nominal_cpus(container(), 1) == 1
    assert object_store_bytes(100 << 20) == 78643200


def test_an_update_swaps_all_files_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    assert write_folder(folder, {"a": File(b"1"), "sub/b": File(b"2", 0o600)})
    assert (folder / "a").read_text() == "1"
    assert (folder / "sub" / "b").stat().st_mode & 0o777 == 0o600
    before = (folder / "..data").readlink()
    assert not write_folder(folder, {"a": File(b"1"), "sub/b": File(b"2", 0o600)})
    assert write_folder(folder, {"a": File(b"3")})
    assert (folder / "..data").readlink() != before
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith("..")) == ["a"]
    with pytest.raises(ValueError, match="not a relative path inside"):
        write_folder(folder, {"../x": File(b"")})


def test_probes_turn_at_their_thresholds() -> None:
    probe = Probe(failure_threshold=2, success_threshold=2)
    state = Counted()
    seen = []
    for success in (True, True, False, True, False, False, True, True):
        state = state.count(probe, success)
        seen.append(state.verdict)
    assert seen == [None, True, True, True, True, False, False, True]


def test_readiness_waits_for_the_startup_probe() -> None:
    one = container(startupProbe={"exec": {"command": ["true"]}})
    health = Health()
    assert not health.ready(one)
    health = health.count("startup", Probe(), True)
    assert (health.started(one), health.ready(one), health.unhealthy(one)) == (True, True, "")
    failed = Health().count("startup", Probe(failure_threshold=1), False)
    assert failed.unhealthy(one) == "Container main failed startup probe, will be restarted"


async def test_logs_are_cut_rotated_and_read_back(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    log = LogFile(folder, "0.log", 400, 3)
    for number in range(30):
        log.write("stdout", f"line {number}\n".encode())
    log.write("stderr", b"half")
    log.write("stderr", b" and half\n" + b"x" * 20000)
    log.close("stderr")
    os.close(folder)
    assert len(list(tmp_path.iterdir())) == 3
    options = parse_options({"tailLines": "2"}, NOW)
    lines = [line.shown(timestamps=False) async for line in read_log(tmp_path, 0, options, lambda: False)]
    assert b"".join(lines) == b"half and half\n" + b"x" * 20000 + b"\n"


def test_log_lines_and_options() -> None:
    line = parse_line(b"2026-01-01T00:00:00.000000001Z stdout F hello  there\n")
    assert line is not None
    assert line.shown(timestamps=True) == b"2026-01-01T00:00:00.000000001Z hello  there\n"
    assert parse_line(b"garbage") is None
    assert parse_options({"sinceSeconds": "60", "follow": "true"}, NOW).since == "2026-01-01T11:59:00.000000000Z"
    with pytest.raises(LogOptionsError, match="tailLines"):
        parse_options({"tailLines": "-1"}, NOW)


def test_addresses_are_given_in_turn_and_once() -> None:
    pool = AddressPool("127.9.128.0/30")
    assert [pool.take(), pool.take()] == ["127.9.128.1", "127.9.128.2"]
    with pytest.raises(AddressesExhaustedError):
        pool.take()
    pool.release("127.9.128.1")
    assert pool.take() == "127.9.128.1"


def test_gpus_are_given_once() -> None:
    gpus = [Gpu(0, "GPU-a", "x", 1), Gpu(1, "GPU-b", "x", 1)]
    assert assign(gpus, {"GPU-a"}, 1) == ("GPU-b",)
    with pytest.raises(ValueError, match="2 GPUs are asked for, 1 are free"):
        assign(gpus, {"GPU-a"}, 2)


def test_ray_start_gets_the_pods_sizes_where_nothing_is_said() -> None:
    env = {
        "RAYSAIL_RAY_CPUS": "2",
        "RAYSAIL_RAY_MEMORY_BYTES": "100",
        "RAYSAIL_RAY_OBJECT_STORE_BYTES": "30",
        "RAYSAIL_POD_IP": "127.1.128.1",
    }
    assert with_nominal_sizes(["start", "--head", "--num-cpus=0"], env) == [
        "start",
        "--head",
        "--num-cpus=0",
        "--memory=100",
        "--object-store-memory=30",
        "--node-ip-address=127.1.128.1",
    ]
    assert (
        with_nominal_sizes(["start", "--num-cpus", "1", "--memory", "7", "--object-store-memory", "9", "--node-ip-address", "x"], env)[-1]
        == "x"
    )
    assert with_nominal_sizes(["status"], env) == ["status"]


def test_what_is_run_warm() -> None:
    assert not cold_reason(["start"], {})
    assert cold_reason(["microbenchmark"], {})
    assert cold_reason(["start"], {"RAY_USE_TLS": "1"}) == "RAY_USE_TLS is set"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [(["ulimit -n 65536; ray start --head"], True), (["ray", "start"], True), (["python train.py"], False), (["echo array start"], False)],
)
def test_ray_pods_are_told_from_others(command: list[str], wanted: bool) -> None:
    assert runs_ray(pod(container(command=command))) is wanted


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["--tries", "1", "-T", "2", "-q", "-O-", "http://localhost:52365/x"], ("http://localhost:52365/x", 2.0, "-")),
        (["-qO-", "--timeout=3", "localhost/y"], ("http://localhost/y", 3.0, "-")),
        (["-q", "-O", "file", "-T5", "http://a/b"], ("http://a/b", 5.0, "file")),
    ],
)
def test_wget_of_probes(argv: list[str], wanted: tuple[str, float, str]) -> None:
    assert wget.parse(argv) == wanted
