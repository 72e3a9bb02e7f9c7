"""Real Ray in Pods as KubeRay writes them: a head and two workers run a job, and are gone without a trace."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson
import pytest

from raysail.api.resources import ENDPOINT_SLICES, PODS, SERVICES
from tests.node.running import Machine, machine, phase
from tests.node.test_crash import marked

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TOKEN = "0123456789abcdef0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
HEAD = "head-svc.default.svc.cluster.local"
PROGRAM = (
    "import ray; ray.init(); print(ray.get([ray.remote(lambda x: x * x).remote(i) for i in range(4)]), int(ray.cluster_resources()['CPU']))"
)


def ray_container(name: str, arguments: str) -> dict[str, Any]:
    """As KubeRay builds it, its probes shortened."""
    probe = "wget --tries 1 -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz | grep success"
    return {
        "name": name,
        "image": "rayproject/ray:2.60.0",
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"ulimit -n 65536; ray start  {arguments}  --block  --dashboard-agent-listen-port=52365  --metrics-export-port=8080 "],
        "env": [{"name": "RAY_AUTH_MODE", "value": "token"}, {"name": "RAY_AUTH_TOKEN", "value": TOKEN}],
        "readinessProbe": {"exec": {"command": ["bash", "-c", probe]}, "periodSeconds": 1, "timeoutSeconds": 3},
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "200m", "memory": "1Gi"}},
        "volumeMounts": [{"name": "shared-mem", "mountPath": "/dev/shm"}],
    }


async def head_service(here: Machine, address: str) -> None:
    spec = {"clusterIP": "None", "ports": [{"name": "gcs", "port": 6379}]}
    await here.client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "head-svc"}, "spec": spec}, "default")
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "head-svc-x", "labels": {"kubernetes.io/service-name": "head-svc"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "gcs", "port": 6379, "protocol": "TCP"}],
    }
    await here.client.create(ENDPOINT_SLICES, body, "default")


async def alive_nodes(session: aiohttp.ClientSession, wanted: int) -> None:
    async with asyncio.timeout(90):
        while True:
            try:
                async with session.get("/api/v0/nodes") as answer:
                    nodes = orjson.loads(await answer.read())["data"]["result"]["result"]
                    if sum(node["state"] == "ALIVE" for node in nodes) == wanted:
                        return
            except (aiohttp.ClientError, KeyError, TypeError, ValueError):
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
async def test_a_cluster_runs_a_job_and_leaves_nothing(warm: bool) -> None:
    volumes = [{"name": "shared-mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
    async with asyncio.timeout(300), machine(warm_ray=warm) as here:
        begun = time.monotonic()
        await here.create(
            "head", [ray_container("ray-head", "--head  --dashboard-host=0.0.0.0  --num-cpus=1  --port=6379")], volumes=volumes
        )
        head = await here.until("head", phase("Running"))
        address = head["status"]["podIP"]
        await head_service(here, address)
        wait = f"until ray health-check --address {HEAD}:6379 > /dev/null 2>&1; do sleep 0.2; done"
        waits = {**ray_container("wait-gcs-ready", ""), "args": [wait], "readinessProbe": None, "volumeMounts": []}
        for name in ("worker-a", "worker-b"):
            worker = ray_container("ray-worker", f"--address={HEAD}:6379  --num-cpus=1")
            await here.create(name, [worker], initContainers=[waits], volumes=volumes)
        async with aiohttp.ClientSession(f"http://{address}:8265", headers=HEADERS) as session:
            await alive_nodes(session, 3)
            print(f"three nodes after {time.monotonic() - begun:.1f} s")
            async with session.post("/api/jobs/", json={"entrypoint": f'python -c "{PROGRAM}"'}) as answer:
                job = (await answer.json())["submission_id"]
            state: dict[str, Any] = {}
            async with asyncio.timeout(120):
                while state.get("status") not in ("SUCCEEDED", "FAILED"):
                    await asyncio.sleep(0.1)
                    async with session.get(f"/api/jobs/{job}") as answer:
                        state = await answer.json()
            async with session.get(f"/api/jobs/{job}/logs") as answer:
                log = (await answer.json())["logs"]
        assert state["status"] == "SUCCEEDED", log
        assert "[0, 1, 4, 9] 3" in log
        pods = [await here.until(name, lambda p: p["status"].get("phase") == "Running") for name in ("head", "worker-a", "worker-b")]
        for pod in pods:
            await here.client.delete(PODS, pod["metadata"]["name"], "default")
        for pod in pods:
            await here.gone(pod["metadata"]["name"], 40)
            assert not marked(pod["metadata"]["uid"])
