"""Real Pods: what the kubelet promises, on processes of this machine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from raysail.api.resources import CONFIG_MAPS, PODS, SECRETS
from tests.node.running import Machine, machine, phase, ready, shell


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Machine]:
    async with machine() as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_program_runs_to_its_end_and_its_pod_succeeds(here: Machine) -> None:
    await here.create("ends", [shell("echo hello; echo oops >&2")], restartPolicy="Never")
    pod = await here.until("ends", phase("Succeeded"))
    status = pod["status"]["containerStatuses"][0]
    assert status["state"]["terminated"]["exitCode"] == 0
    assert status["state"]["terminated"]["reason"] == "Completed"
    assert here.log(pod) == "hello\noops\n"
    assert "is not pulled" in await here.event("ImageNotPulled")
    await here.client.delete(PODS, "ends", "default")
    await here.gone("ends")
    assert not (here.settings.pods / pod["metadata"]["uid"]).exists()


async def test_a_pod_has_an_address_a_name_and_a_file_system_of_its_own(here: Machine) -> None:
    script = "hostname; echo $RAYSAIL_POD_IP; touch /tmp/mine; ls /tmp; cat /etc/hosts; echo done; sleep 60"
    await here.create("own", [shell(script)])
    pod = await here.until("own", ready)
    assert pod["status"]["podIP"].startswith("127.98.128.")
    log = await here.until_log(pod, "done")
    await here.client.delete(PODS, "own", "default", grace_seconds=1)
    # /tmp is the Pod's own; it shows of the machine's only the way to what runs from there.
    listed = log.partition("# Kept current")[0].split()
    assert listed[:2] == ["own", pod["status"]["podIP"]]
    assert "mine" in listed
    assert not Path("/tmp/mine").exists()
    assert f"{pod['status']['podIP']}\town" in log


async def test_a_failing_program_is_restarted_with_back_off(here: Machine) -> None:
    await here.create("fails", [shell("exit 3")])
    pod = await here.until("fails", lambda p: "CrashLoopBackOff" in str(p.get("status")))
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main pod=fails_default(")
    assert pod["status"]["phase"] == "Running"
    await here.client.delete(PODS, "fails", "default")


async def test_a_missing_command_is_a_start_error(here: Machine) -> None:
    await here.create("missing", [{"name": "main", "image": "x", "command": ["no-such-program"]}], restartPolicy="Never")
    pod = await here.until("missing", phase("Failed"))
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "executable file not found in $PATH" in ended["message"]


async def test_environment_and_volumes_come_from_other_objects(here: Machine) -> None:
    await here.client.create(
        CONFIG_MAPS,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"color": "red", "file.txt": "text"}},
        "default",
    )
    secret = {"password": base64.b64encode(b"sesame").decode()}
    await here.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": secret}, "default")
    container = shell(
        "echo $COLOR $PASSWORD $NAME $GREETING $CPU; cat /etc/settings/file.txt /keys/p; echo; cat /home/ray/samples/file.txt; echo; cat /pod/labels; "
        "ls -d /dev/shm; echo x > /scratch/y && cat /scratch/y; touch /etc/settings/z || true",
        env=[
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "GREETING", "value": "hello-$(NAME)-$$(NAME)"},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "main"}}},
        ],
        resources={"limits": {"cpu": "1500m", "memory": "100Mi"}},
        volumeMounts=[
            {"name": "settings", "mountPath": "/etc/settings"},
            {"name": "settings", "mountPath": "/home/ray/samples"},
            {"name": "keys", "mountPath": "/keys"},
            {"name": "pod", "mountPath": "/pod"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    )
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys", "items": [{"key": "password", "path": "p"}]}},
        {"name": "pod", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    await here.create("reads", [container], volumes=volumes, restartPolicy="Never", metadata={"labels": {"app": "x"}})
    pod = await here.until("reads", lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
    assert here.log(pod).splitlines() == [
        "red sesame reads hello-reads-$(NAME) 2",
        "textsesame",
        "text",
        'app="x"/dev/shm',
        "x",
        "touch: cannot touch '/etc/settings/z': Read-only file system",
    ]


async def test_init_containers_come_first_and_sidecars_stay(here: Machine) -> None:
    inits = [
        shell("echo one > /shared/order", "first", volumeMounts=[{"name": "s", "mountPath": "/shared"}]),
        shell(
            "echo side >> /shared/order; trap 'exit 0' TERM; sleep 100 & wait",
            "side",
            restartPolicy="Always",
            volumeMounts=[{"name": "s", "mountPath": "/shared"}],
        ),
        shell("echo two >> /shared/order", "second", volumeMounts=[{"name": "s", "mountPath": "/shared"}]),
    ]
    main = shell("cat /shared/order", volumeMounts=[{"name": "s", "mountPath": "/shared"}])
    await here.create("ordered", [main], initContainers=inits, volumes=[{"name": "s", "emptyDir": {}}], restartPolicy="Never")
    pod = await here.until("ordered", phase("Succeeded"))
    lines = here.log(pod).split()
    assert (lines[0], sorted(lines[1:])) == ("one", ["side", "two"])


async def test_a_liveness_probe_restarts_and_a_readiness_probe_gates(here: Machine) -> None:
    probe = {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = shell(
        "touch /tmp/alive; sleep 0.5; rm /tmp/alive; sleep 60", livenessProbe={**probe, "initialDelaySeconds": 1}, readinessProbe=probe
    )
    await here.create("probed", [container], terminationGracePeriodSeconds=1)
    await here.until("probed", ready)
    pod = await here.until("probed", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] in (137, 143)
    await here.client.delete(PODS, "probed", "default", grace_seconds=0)


async def test_out_of_memory_is_an_oom_kill(here: Machine) -> None:
    if not here.agent.host.capabilities.cgroups.memory:
        pytest.skip("no memory cgroup can be written here")
    hog = {
        "name": "main",
        "image": "x",
        "command": ["python", "-c", "x = bytearray(200 << 20); print(len(x))"],
        "resources": {"limits": {"memory": "64Mi"}},
    }
    await here.create("hog", [hog], restartPolicy="Never")
    pod = await here.until("hog", phase("Failed"))
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
