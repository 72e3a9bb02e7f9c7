"""Submit to admitted: a queued Job is created, and a watch tells when its Workload is admitted. Real API, real controllers, durable writes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from bench.figure import Figure, percentile
from bench.instance import api_and_queue
from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, RESOURCE_FLAVORS, WORKLOADS, Resource
from raysail.instance.home import Home
from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient

SUBMISSIONS = 200


def run() -> list[Figure]:
    with api_and_queue() as (home, _):
        seconds = asyncio.run(_measure(home))
    milliseconds = [1000 * s for s in seconds]
    return [
        Figure(f"submit to admitted, p50 of {SUBMISSIONS}", percentile(milliseconds, 0.5), "ms", 20),
        Figure(
            f"submit to admitted, p99 of {SUBMISSIONS}",
            percentile(milliseconds, 0.99),
            "ms",
            150,
            rival="Kueue in production: 12 s and more at depth 536",
        ),
    ]


async def _measure(home: Home) -> list[float]:
    async with HttpClient(unix_socket(home.api_socket)) as client:
        await _create(client, RESOURCE_FLAVORS, {"metadata": {"name": "any"}})
        flavor = {"name": "any", "resources": [{"name": "cpu", "nominalQuota": "1000000"}]}
        spec = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}]}
        await _create(client, CLUSTER_QUEUES, {"metadata": {"name": "cq"}, "spec": spec})
        await _create(client, LOCAL_QUEUES, {"metadata": {"name": "lq"}, "spec": {"clusterQueue": "cq"}}, "default")
        version = (await client.list(WORKLOADS, "default")).resource_version
        admitted: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        watch = asyncio.create_task(_watch(client, version, admitted))
        await _create(client, JOBS, _job("warm-up"), "default")
        await asyncio.wait_for(admitted.get(), 30)
        taken = []
        for number in range(SUBMISSIONS):
            started = time.perf_counter()
            await _create(client, JOBS, _job(f"job-{number}"), "default")
            name, moment = await asyncio.wait_for(admitted.get(), 30)
            if name != f"job-{number}":
                raise RuntimeError(f"{name} was admitted, job-{number} was expected")
            taken.append(moment - started)
        watch.cancel()
        return taken


async def _create(client: HttpClient, resource: Resource, body: dict[str, Any], namespace: str | None = None) -> None:
    await client.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind} | body, namespace)


async def _watch(client: HttpClient, version: str, admitted: asyncio.Queue[tuple[str, float]]) -> None:
    seen = set()
    async for event in client.watch(WORKLOADS, "default", resource_version=version):
        moment = time.perf_counter()
        workload: dict[str, Any] = msgspec.json.decode(event.object)
        owner = workload["metadata"]["ownerReferences"][0]["name"]
        conditions = (workload.get("status") or {}).get("conditions") or ()
        if owner not in seen and any(c["type"] == "Admitted" and c["status"] == "True" for c in conditions):
            seen.add(owner)
            admitted.put_nowait((owner, moment))


def _job(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "any", "command": ["true"], "resources": {"requests": {"cpu": "1"}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    labels = {"kueue.x-k8s.io/queue-name": "lq"}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"suspend": True, "template": template}}


if __name__ == "__main__":
    from bench.figure import report

    report(run())
