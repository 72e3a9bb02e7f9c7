"""The queue's controllers on the embedded API: jobs wait, run, give way and finish; restarts and refused writes change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, RESOURCE_FLAVORS, WORKLOAD_PRIORITY_CLASSES, WORKLOADS, Resource
from raysail.kube.client import Propagation
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from raysail.queue import QueueSettings, register
from tests.support.embedded import embedded_api

PATIENCE_SECONDS = 20


class Stage:
    """The embedded API with one ClusterQueue `cq` of some cores, and a hand on namespace `default`."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @contextlib.asynccontextmanager
    async def controllers(self) -> AsyncIterator[Manager]:
        manager = Manager(self.client, component="kueue")
        register(manager, QueueSettings())
        async with manager:
            yield manager

    async def create(self, resource: Resource, name: str, *, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name, "labels": labels or {}}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        made: dict[str, Any] = await self.client.create(resource, body, "default" if resource.namespaced else None)
        return made

    async def queues(self, cpu: str) -> None:
        flavors = [{"name": "rf", "resources": [{"name": "cpu", "nominalQuota": cpu}]}]
        await self.create(RESOURCE_FLAVORS, "rf", spec={"nodeLabels": {"pool": "p"}})
        spec = {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [{"coveredResources": ["cpu"], "flavors": flavors}],
        }
        await self.create(CLUSTER_QUEUES, "cq", spec=spec)
        await self.create(LOCAL_QUEUES, "lq", spec={"clusterQueue": "cq"})
        await self.create(WORKLOAD_PRIORITY_CLASSES, "high", value=100)

    async def job(self, name: str, cpu: str = "1", priority: str = "") -> dict[str, Any]:
        labels = {"kueue.x-k8s.io/queue-name": "lq", **({"kueue.x-k8s.io/priority-class": priority} if priority else {})}
        containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
        spec = {"parallelism": 1, "completions": 1, "template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
        return await self.create(JOBS, name, labels=labels, spec=spec)

    async def objects(self, resource: Resource) -> dict[str, dict[str, Any]]:
        listed = await self.client.list(resource, "default" if resource.namespaced else None)
        found = [json.loads(item) for item in listed.items]
        return {each["metadata"]["name"]: each for each in found}

    async def until(self, resource: Resource, what: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
        """Objects of this kind, as soon as they are as wanted. They are asked for again and again: the test stands outside of the process."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            found = await self.objects(resource)
            if what(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, json.dumps(found, indent=1)[:4000]
            await asyncio.sleep(0.02)

    async def running(self, *names: str) -> dict[str, dict[str, Any]]:
        """Waits until exactly these Jobs run."""
        return await self.until(JOBS, lambda jobs: {name for name, job in jobs.items() if not job["spec"].get("suspend")} == set(names))

    async def finish(self, name: str) -> None:
        """The Job's controller says that it is done."""
        now = "2026-01-01T00:00:00Z"
        conditions = [
            {"type": type_, "status": "True", "reason": "CompletionsReached", "message": "done", "lastTransitionTime": now}
            for type_ in ("SuccessCriteriaMet", "Complete")
        ]
        status = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
        await self.client.patch(JOBS, name, {"status": status}, namespace="default", subresource="status")


@contextlib.asynccontextmanager
async def stage(cpu: str) -> AsyncIterator[Stage]:
    async with embedded_api(port=None) as api:
        made = Stage(api.client)
        await made.queues(cpu)
        yield made


def condition(obj: dict[str, Any], type_: str) -> tuple[str, str]:
    found = next((each for each in obj.get("status", {}).get("conditions", ()) if each["type"] == type_), None)
    return (found["status"], found["reason"]) if found else ("", "")


async def test_a_job_waits_for_quota_and_runs_when_another_finishes() -> None:
    async with stage("1") as here, here.controllers():
        await here.job("a")
        jobs = await here.running("a")
        assert jobs["a"]["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "p"}
        await here.job("b")
        name = next(iter({*(await here.until(WORKLOADS, lambda found: len(found) == 2))} - {_workload(await here.objects(WORKLOADS), "a")}))
        await here.until(WORKLOADS, lambda found: condition(found[name], "QuotaReserved") == ("False", "WaitingForQuota"))
        await here.finish("a")
        await here.running("a", "b")
        done = await here.until(WORKLOADS, lambda found: condition(found[_workload(found, "a")], "Finished")[0] == "True")
        assert condition(done[_workload(done, "a")], "Finished") == ("True", "Succeeded")


async def test_a_job_gives_way_to_a_higher_priority_and_comes_back() -> None:
    async with stage("1") as here, here.controllers():
        await here.job("low")
        await here.running("low")
        await here.job("high", priority="high")
        jobs = await here.running("high")
        assert "nodeSelector" not in jobs["low"]["spec"]["template"]["spec"]
        found = await here.objects(WORKLOADS)
        assert condition(found[_workload(found, "low")], "Preempted") == ("True", "InClusterQueue")
        await here.finish("high")
        await here.running("high", "low")


def _counts(queue: dict[str, Any]) -> tuple[int, int]:
    """Admitted and pending, as the status says (it follows a moment later)."""
    return queue["status"].get("admittedWorkloads", 0), queue["status"].get("pendingWorkloads", 0)


async def test_after_a_restart_nothing_is_admitted_twice_and_nothing_over_quota() -> None:
    async with stage("2") as here:
        async with here.controllers():
            for number in range(5):
                await here.job(f"j{number}")
            await here.until(JOBS, lambda jobs: sum(not job["spec"].get("suspend") for job in jobs.values()) == 2)
        before = {name for name, job in (await here.objects(JOBS)).items() if not job["spec"].get("suspend")}
        versions = {
            name: each["status"]["admission"]
            for name, each in (await here.objects(WORKLOADS)).items()
            if "admission" in each.get("status", {})  # of those that wait nothing need have been said yet
        }
        assert len(versions) == 2
        async with here.controllers():
            for name in sorted(before):
                await here.finish(name)
            await here.until(JOBS, lambda jobs: sum(not job["spec"].get("suspend") for job in jobs.values()) == 4)
            status = (await here.until(CLUSTER_QUEUES, lambda found: _counts(found["cq"]) == (2, 1)))["cq"]["status"]
        assert status["flavorsReservation"][0]["resources"][0]["total"] == "2"


async def test_two_schedulers_at_once_do_not_exceed_the_quota() -> None:
    """No leader election here on purpose: every admission carries the resourceVersion it was decided on, so one of the two writes is refused."""
    async with stage("8") as here, here.controllers(), here.controllers():
        for number in range(8):
            await here.job(f"j{number}")
        await here.running(*[f"j{number}" for number in range(8)])
        found = await here.objects(WORKLOADS)
        assert len(found) == 8
        assert all(condition(each, "Admitted")[0] == "True" for each in found.values())


async def test_a_deleted_job_gives_its_quota_back() -> None:
    async with stage("1") as here, here.controllers():
        await here.job("a")
        await here.running("a")
        await here.job("b")
        await here.client.delete(JOBS, "a", "default", propagation=Propagation.BACKGROUND)
        await here.running("b")


def _workload(found: dict[str, dict[str, Any]], job: str) -> str:
    """The name of the job's Workload."""
    return next(name for name, each in found.items() if each["metadata"]["ownerReferences"][0]["name"] == job)
