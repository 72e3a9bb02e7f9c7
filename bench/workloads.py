"""Kueue's scalability loads (test/performance/scheduler), rebuilt: bare Workloads in many ClusterQueues, run by a mimic that finishes what was admitted long enough.

    python -m bench.workloads SOCKET|KUBECONFIG SHAPE SCALE

Runs in a process of its own, so that its processor time is counted apart. Prints one JSON line: see `Outcome`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import uvloop

from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.resources import (
    CLUSTER_QUEUES,
    COHORTS,
    LOCAL_QUEUES,
    NAMESPACES,
    NODES,
    RESOURCE_FLAVORS,
    TOPOLOGIES,
    WORKLOADS,
    Resource,
)
from raysail.kube import kubeconfig
from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient


@dataclass(frozen=True, slots=True)
class WorkloadClass:
    """`count` Workloads in each ClusterQueue, one every `interval_seconds`; each needs `cpu` for each of its `pods` for `run_seconds`."""

    name: str
    count: int
    cpu: float
    run_seconds: float
    priority: int
    interval_seconds: float
    pods: int = 1
    topology: tuple[tuple[str, str | int], ...] = ()
    """What its pod set asks of the topology."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Cohorts of equal ClusterQueues (20 CPUs each, 100 to borrow, preemption on). `racks` of 64 nodes, if topology is to place."""

    cohorts: int
    queues_per_cohort: int
    classes: tuple[WorkloadClass, ...]
    racks: int = 0

    def scaled(self, scale: float) -> Shape:
        classes = tuple(replace(c, count=max(1, round(c.count * scale))) for c in self.classes)
        return replace(self, classes=classes)

    @property
    def workloads(self) -> int:
        return self.cohorts * self.queues_per_cohort * sum(c.count for c in self.classes)


BLOCK, RACK, HOST = "cloud.provider.com/topology-block", "cloud.provider.com/topology-rack", "kubernetes.io/hostname"
NODES_PER_RACK = 64


def _placed() -> Iterator[WorkloadClass]:
    """Each class in three parts: a rack required, a rack preferred, and (Kueue: balanced) a rack preferred in slices of a host."""
    for name, counts, pods, cpu, run_seconds, priority, interval_seconds, size in (
        ("small", (120, 120, 110), 2, 0.5, 0.2, 50, 0.1, 1),
        ("medium", (34, 33, 33), 4, 1.25, 0.5, 100, 0.5, 2),
        ("large", (17, 17, 16), 8, 2.5, 1.0, 200, 1.2, 4),
    ):
        sliced = (("preferred", RACK), ("podSetSliceRequiredTopology", HOST), ("podSetSliceSize", size))
        requests = ((("required", RACK),), (("preferred", RACK),), sliced)
        for kind, count, request in zip(("required", "preferred", "balanced"), counts, requests, strict=True):
            yield WorkloadClass(f"{name}-{kind}", count, cpu, run_seconds, priority, interval_seconds, pods, request)


SHAPES = {
    "baseline": Shape(
        5,
        6,
        (
            WorkloadClass("small", 350, 1, 0.2, 50, 0.1),
            WorkloadClass("medium", 100, 5, 0.5, 100, 0.5),
            WorkloadClass("large", 50, 20, 1.0, 200, 1.2),
        ),
    ),
    "large": Shape(
        10,
        100,
        (
            WorkloadClass("small", 35, 1, 0.15, 50, 0.06),
            WorkloadClass("medium", 11, 5, 0.35, 100, 0.3),
            WorkloadClass("large", 4, 20, 0.7, 200, 0.7),
        ),
    ),
    "topology": Shape(5, 6, tuple(_placed()), racks=10),
}


@dataclass(slots=True)
class Outcome:
    """`wall_seconds`: from the first creation to the last end. `wait_seconds`: mean time to (the last) admission by class. `evictions`: how many were stopped."""

    workloads: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    wait_seconds: dict[str, float] = field(default_factory=dict)
    evictions: int = 0


class Load:
    """One load on one API."""

    def __init__(self, client: HttpClient, shape: Shape) -> None:
        self._client, self._shape = client, shape
        self._created: dict[str, float] = {}
        self._waited: dict[str, tuple[str, float]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: set[str] = set()
        self._latest: dict[str, dict[str, Any]] = {}
        self._over = asyncio.Event()
        self._writes: set[asyncio.Task[None]] = set()
        self.outcome = Outcome(shape.workloads)

    async def run(self) -> Outcome:
        await self._make_queues()
        version = (await self._client.list(WORKLOADS, limit=1)).resource_version
        watching = asyncio.create_task(self._watch(version))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for queue in self._queues():
                for one in self._shape.classes:
                    group.create_task(self._submit(queue, one))
        await self._over.wait()
        self.outcome.wall_seconds = time.perf_counter() - started
        watching.cancel()
        for one in self._shape.classes:
            waits = [seconds for name, seconds in self._waited.values() if name == one.name]
            self.outcome.wait_seconds[one.name] = sum(waits) / len(waits)
        self.outcome.cpu_seconds = time.process_time()
        return self.outcome

    def _queues(self) -> Iterator[str]:
        for cohort in range(self._shape.cohorts):
            for number in range(self._shape.queues_per_cohort):
                yield f"cohort-{cohort}-queue-{number}"

    async def _make_queues(self) -> None:
        if self._shape.racks:
            await self._make_topology()
        else:
            await self._create(RESOURCE_FLAVORS, "any", {})
        for cohort in range(self._shape.cohorts):
            await self._create(COHORTS, f"cohort-{cohort}", {})
        quota = {"name": "cpu", "nominalQuota": "20", "borrowingLimit": "100"}
        for name in self._queues():
            spec = {
                "cohortName": name.rpartition("-queue-")[0],
                "namespaceSelector": {},
                "preemption": {"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
                "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [{"name": "any", "resources": [quota]}]}],
            }
            await self._create(CLUSTER_QUEUES, name, {"spec": spec})
            await self._create(NAMESPACES, name, {})
            await self._create(LOCAL_QUEUES, name, {"spec": {"clusterQueue": name}}, name)

    async def _make_topology(self) -> None:
        """One block of racks of nodes of 96 cores, and the flavor `any` on them."""
        await self._create(TOPOLOGIES, "default", {"spec": {"levels": [{"nodeLabel": label} for label in (BLOCK, RACK, HOST)]}})
        await self._create(RESOURCE_FLAVORS, "any", {"spec": {"nodeLabels": {"tas-node-group": "tas"}, "topologyName": "default"}})
        amounts = {"cpu": "96", "memory": "256Gi", "pods": "110"}
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }
        for rack in range(self._shape.racks):
            for number in range(NODES_PER_RACK):
                name = f"node-{rack}-{number}"
                labels = {"tas-node-group": "tas", BLOCK: "b0", RACK: f"r{rack}", HOST: name}
                await self._create(NODES, name, {"metadata": {"name": name, "labels": labels}})
                await self._client.patch(NODES, name, {"spec": {"taints": None}})
                await self._client.patch(NODES, name, {"status": status}, subresource="status")

    async def _create(self, resource: Resource, name: str, body: dict[str, Any], namespace: str | None = None) -> None:
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}} | body
        await self._client.create(resource, whole, namespace)

    async def _submit(self, queue: str, one: WorkloadClass) -> None:
        container = {"name": "c", "image": "any", "resources": {"requests": {"cpu": str(one.cpu)}}}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        pod_set: dict[str, Any] = {"name": "main", "count": one.pods, "template": template}
        if one.topology:
            pod_set["topologyRequest"] = dict(one.topology)
        spec = {"active": True, "queueName": queue, "priority": one.priority, "podSets": [pod_set]}
        due = time.perf_counter()
        for number in range(one.count):
            due += one.interval_seconds
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            name = f"{one.name}-{number}"
            self._created[f"{queue}/{name}"] = time.perf_counter()
            await self._create(WORKLOADS, name, {"spec": spec}, queue)

    async def _watch(self, version: str) -> None:
        """An API server may end a watch when it likes (kube-apiserver does where a CRD is young): it goes on from what was seen last."""
        seen = version
        while True:
            async for event in self._client.watch(WORKLOADS, resource_version=seen):
                workload: dict[str, Any] = msgspec.json.decode(event.object)
                seen = workload["metadata"]["resourceVersion"]
                self._seen(workload)

    def _seen(self, workload: dict[str, Any]) -> None:
        run_seconds = {one.name: one.run_seconds for one in self._shape.classes}
        key = f"{workload['metadata']['namespace']}/{workload['metadata']['name']}"
        if key in self._ended:
            return
        self._latest[key] = workload
        holds = {c["type"] for c in (workload.get("status") or {}).get("conditions") or () if c["status"] == "True"}
        kind = workload["metadata"]["name"].rpartition("-")[0]
        if "Evicted" in holds and "QuotaReserved" in holds:
            if running := self._running.pop(key, None):
                running.cancel()
            self.outcome.evictions += 1
            self._write(self._let_go(key))
        elif "Admitted" in holds and key not in self._running:
            self._waited[key] = (kind, time.perf_counter() - self._created[key])
            self._running[key] = asyncio.create_task(self._finish(key, run_seconds[kind]))

    def _write(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _finish(self, key: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if await self._set(key, "Finished", "True", "ByTest"):
            self._ended.add(key)
            del self._latest[key]
            if len(self._ended) == self._shape.workloads:
                self._over.set()

    async def _let_go(self, key: str) -> None:
        await self._set(key, "QuotaReserved", "False", "Pending", admission=None)

    async def _set(self, key: str, condition: str, value: str, reason: str, **more: Any) -> bool:
        """Sets a condition of what was seen last; again after a conflict, until it is there or the Workload moved on."""
        namespace, name = key.split("/")
        while True:
            seen = self._latest[key]
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            wanted = {"type": condition, "status": value, "reason": reason, "message": "By the test runner", "lastTransitionTime": now}
            conditions = [c for c in seen["status"]["conditions"] if c["type"] != condition] + [wanted]
            body = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, "status": {"conditions": conditions, **more}}
            try:
                await self._client.patch(WORKLOADS, name, body, namespace, subresource="status")
                return True
            except StatusError as error:
                if is_not_found(error):
                    return False
                if not is_conflict(error):
                    raise
                self._latest[key] = await self._client.get(WORKLOADS, name, namespace)


async def _main(where: str, shape: str, scale: str) -> None:
    connection = unix_socket(where) if where.endswith(".sock") else kubeconfig.load(where)
    async with HttpClient(connection) as client:
        outcome = await Load(client, SHAPES[shape].scaled(float(scale))).run()
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
