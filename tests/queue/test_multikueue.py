"""MultiKueue on three embedded APIs: one manager, two workers, each with its own queue controllers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from raysail.api.kueue.configuration import INCREMENTAL_DISPATCHER
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    MULTI_KUEUE_CLUSTERS,
    MULTI_KUEUE_CONFIGS,
    NAMESPACES,
    RESOURCE_FLAVORS,
    SECRETS,
    WORKLOADS,
    Resource,
)
from raysail.kube.manager import Manager
from raysail.queue import QueueSettings, register
from raysail.queue.multikueue.settings import MultiKueueSettings
from tests.support.embedded import EmbeddedApi, embedded_api

PATIENCE_SECONDS = 30
NOW = "2026-01-01T00:00:00Z"


@dataclass(slots=True)
class Cluster:
    """One embedded API with a ClusterQueue `cq` and a LocalQueue `lq`."""

    api: EmbeddedApi

    async def create(self, resource: Resource, name: str, namespace: str = "default", **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        return await self.api.client.create(resource, body, namespace if resource.namespaced else None)

    async def queues(self, cpu: str, checks: tuple[str, ...] = ()) -> None:
        flavors = [{"name": "rf", "resources": [{"name": "cpu", "nominalQuota": cpu}]}]
        await self.create(RESOURCE_FLAVORS, "rf", spec={})
        spec: dict[str, Any] = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": flavors}]}
        if checks:
            spec["admissionChecksStrategy"] = {"admissionChecks": [{"name": name} for name in checks]}
        await self.create(CLUSTER_QUEUES, "cq", spec=spec)
        await self.create(LOCAL_QUEUES, "lq", spec={"clusterQueue": "cq"})

    async def objects(self, resource: Resource) -> dict[str, dict[str, Any]]:
        page = await self.api.client.list(resource, "default" if resource.namespaced else None)
        return {obj["metadata"]["name"]: obj for obj in map(json.loads, page.items)}

    async def until(self, resource: Resource, what: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
        """The objects once they are as wanted; they are asked for again and again, as the test stands outside."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            found = await self.objects(resource)
            if what(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, json.dumps(found, indent=1)[:6000]
            await asyncio.sleep(0.05)

    async def status(self, name: str, **status: Any) -> None:
        await self.api.client.patch(JOBS, name, {"status": status}, "default", subresource="status")


def holds(obj: dict[str, Any], type_: str) -> bool:
    return any(c["type"] == type_ and c["status"] == "True" for c in (obj.get("status") or {}).get("conditions") or ())


def check_state(obj: dict[str, Any]) -> str:
    return next((str(check["state"]) for check in (obj.get("status") or {}).get("admissionChecks") or ()), "")


@dataclass(slots=True)
class Fleet:
    manager: Cluster
    workers: dict[str, Cluster]
    running: dict[str, contextlib.AsyncExitStack]
    """Each worker with its controllers, to be ended early."""

    async def job(self, name: str, cpu: str = "1") -> None:
        containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
        spec = {"parallelism": 1, "completions": 1, "template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
        labels = {"kueue.x-k8s.io/queue-name": "lq"}
        await self.manager.create(JOBS, name, metadata={"labels": labels}, spec={**spec, "managedBy": "kueue.x-k8s.io/multikueue"})

    async def admitted(self, job: str = "") -> dict[str, Any]:
        """The Workload here once a worker has taken it."""
        found = await self.manager.until(WORKLOADS, lambda all_: any(holds(w, "Admitted") and _is_for(w, job) for w in all_.values()))
        return next(w for w in found.values() if holds(w, "Admitted") and _is_for(w, job))


def _is_for(workload: dict[str, Any], job: str) -> bool:
    return not job or workload["metadata"]["ownerReferences"][0]["name"] == job


def kubeconfig(api: EmbeddedApi) -> str:
    """Access that holds everything itself, as a Secret must."""
    ca = base64.b64encode(api.ca.read_bytes()).decode()
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": api.url, "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": {"token": api.token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@contextlib.asynccontextmanager
async def controllers(api: EmbeddedApi, settings: QueueSettings) -> AsyncIterator[None]:
    manager = Manager(api.client, component="kueue")
    register(manager, settings)
    async with manager:
        yield


@contextlib.asynccontextmanager
async def fleet(cpu: dict[str, str], dispatcher: str = "", lost_seconds: float = 900) -> AsyncIterator[Fleet]:
    """A manager and a worker for each entry, with so many cores of quota there."""
    async with contextlib.AsyncExitStack() as stack:
        home = Cluster(await stack.enter_async_context(embedded_api()))
        multi = MultiKueueSettings(gc_interval_seconds=0.5, worker_lost_seconds=lost_seconds)
        if dispatcher:
            multi = MultiKueueSettings(gc_interval_seconds=0.5, dispatcher=dispatcher, step_size=1)
        await home.create(NAMESPACES, "kueue-system")
        workers, running = {}, {}
        for name, cores in cpu.items():
            own = running[name] = await stack.enter_async_context(contextlib.AsyncExitStack())
            worker = workers[name] = Cluster(await own.enter_async_context(embedded_api()))
            await worker.queues(cores)
            await own.enter_async_context(controllers(worker.api, QueueSettings()))
            data = {"kubeconfig": base64.b64encode(kubeconfig(worker.api).encode()).decode()}
            await home.create(SECRETS, name, "kueue-system", data=data)
            source = {"kubeConfig": {"location": name, "locationType": "Secret"}}
            await home.create(MULTI_KUEUE_CLUSTERS, name, spec={"clusterSource": source})
        await home.create(MULTI_KUEUE_CONFIGS, "config", spec={"clusters": list(cpu)})
        parameters = {"apiGroup": "kueue.x-k8s.io", "kind": "MultiKueueConfig", "name": "config"}
        await home.create(ADMISSION_CHECKS, "multi", spec={"controllerName": "kueue.x-k8s.io/multikueue", "parameters": parameters})
        await home.queues("100", checks=("multi",))
        await stack.enter_async_context(controllers(home.api, QueueSettings(multi_kueue=multi)))
        await home.until(MULTI_KUEUE_CLUSTERS, lambda clusters: all(holds(each, "Active") for each in clusters.values()))
        await home.until(ADMISSION_CHECKS, lambda checks: holds(checks["multi"], "Active"))
        yield Fleet(home, workers, running)


async def test_a_job_runs_where_there_is_room_and_its_end_comes_back() -> None:
    async with fleet({"small": "1", "large": "8"}) as all_:
        await all_.job("a", cpu="4")
        workload = await all_.admitted()
        assert workload["status"]["clusterName"] == "large"
        assert check_state(workload) == "Ready"
        large = all_.workers["large"]
        job = (await large.until(JOBS, lambda jobs: "a" in jobs and not jobs["a"]["spec"].get("suspend")))["a"]
        assert "managedBy" not in job["spec"]
        assert job["metadata"]["labels"]["kueue.x-k8s.io/prebuilt-workload-name"] == workload["metadata"]["name"]
        await all_.workers["small"].until(WORKLOADS, lambda found: not found)
        await all_.manager.until(JOBS, lambda jobs: not jobs["a"]["spec"].get("suspend"))

        await large.status("a", startTime=NOW, active=1)
        await all_.manager.until(JOBS, lambda jobs: jobs["a"]["status"].get("active") == 1)
        conditions = [
            {"type": type_, "status": "True", "reason": "CompletionsReached", "message": "done", "lastTransitionTime": NOW}
            for type_ in ("SuccessCriteriaMet", "Complete")
        ]
        await large.status("a", active=None, startTime=NOW, completionTime=NOW, succeeded=1, conditions=conditions)
        await all_.manager.until(JOBS, lambda jobs: holds(jobs["a"], "Complete"))
        await all_.manager.until(WORKLOADS, lambda found: all(holds(each, "Finished") for each in found.values()))
        await large.until(WORKLOADS, lambda found: not found)
        await large.until(JOBS, lambda jobs: not jobs)


async def test_a_deleted_job_goes_from_its_worker_too() -> None:
    async with fleet({"one": "8"}) as all_:
        await all_.job("a")
        await all_.admitted()
        await all_.workers["one"].until(JOBS, lambda jobs: "a" in jobs)
        await all_.manager.api.client.delete(JOBS, "a", "default")
        # Here it is the garbage collector's turn, which does not run in this test: the Workload goes by hand.
        for name in await all_.manager.objects(WORKLOADS):
            await all_.manager.api.client.delete(WORKLOADS, name, "default")
        await all_.workers["one"].until(WORKLOADS, lambda found: not found)
        await all_.workers["one"].until(JOBS, lambda jobs: not jobs)


async def test_the_incremental_dispatcher_asks_in_the_order_of_the_configuration() -> None:
    async with fleet({"second": "8", "first": "8"}, dispatcher=INCREMENTAL_DISPATCHER) as all_:
        await all_.job("a")
        assert (await all_.admitted())["status"]["clusterName"] == "second"
        assert not await all_.workers["first"].objects(WORKLOADS)


async def test_a_job_that_a_worker_gives_up_is_handed_on_anew() -> None:
    async with fleet({"one": "8"}) as all_:
        await all_.job("a")
        first = await all_.admitted()
        worker = all_.workers["one"]
        await worker.api.client.patch(WORKLOADS, first["metadata"]["name"], {"spec": {"active": False}}, "default")
        found = await all_.manager.until(
            WORKLOADS, lambda all_: any((w["status"].get("schedulingStats") or {}).get("evictions") for w in all_.values())
        )
        assert [e["reason"] for w in found.values() for e in w["status"]["schedulingStats"]["evictions"]] == ["AdmissionCheck"]
        await all_.admitted()


async def test_a_lost_worker_loses_its_jobs_to_another() -> None:
    async with fleet({"one": "8", "two": "8"}, lost_seconds=1) as all_:
        await all_.job("a")
        first = str((await all_.admitted())["status"]["clusterName"])
        second = "two" if first == "one" else "one"
        await all_.running[first].aclose()
        clusters = await all_.manager.until(MULTI_KUEUE_CLUSTERS, lambda found: not holds(found[first], "Active"))
        assert holds(clusters[second], "Active")
        found = await all_.manager.until(WORKLOADS, lambda all_: any(w["status"].get("clusterName") == second for w in all_.values()))
        assert [e["reason"] for w in found.values() for e in w["status"]["schedulingStats"]["evictions"]] == ["AdmissionCheck"]
        active = (await all_.manager.objects(ADMISSION_CHECKS))["multi"]["status"]["conditions"][0]
        assert (active["status"], active["reason"]) == ("True", "SomeActiveClusters")


async def test_an_unmanaged_job_is_rejected() -> None:
    async with fleet({"one": "8"}) as all_:
        containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
        spec = {"managedBy": "example.com/other", "template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
        await all_.manager.create(JOBS, "a", metadata={"labels": {"kueue.x-k8s.io/queue-name": "lq"}}, spec=spec)
        found = await all_.manager.until(WORKLOADS, lambda all_: any(w["spec"].get("active") is False for w in all_.values()))
        text = 'The owner is not managed by Kueue: Expecting spec.managedBy to be "kueue.x-k8s.io/multikueue" not "example.com/other"'
        evicted = next(c for w in found.values() for c in w["status"]["conditions"] if c["type"] in ("DeactivationTarget", "Evicted"))
        assert text in evicted["message"]


async def test_without_a_cluster_that_answers_the_queue_says_so() -> None:
    async with embedded_api() as api:
        home = Cluster(api)
        await home.create(NAMESPACES, "kueue-system")
        source = {"kubeConfig": {"location": "none", "locationType": "Secret"}}
        await home.create(MULTI_KUEUE_CLUSTERS, "away", spec={"clusterSource": source})
        await home.create(MULTI_KUEUE_CONFIGS, "config", spec={"clusters": ["away", "nowhere"]})
        parameters = {"apiGroup": "kueue.x-k8s.io", "kind": "MultiKueueConfig", "name": "config"}
        await home.create(ADMISSION_CHECKS, "multi", spec={"controllerName": "kueue.x-k8s.io/multikueue", "parameters": parameters})
        async with controllers(api, QueueSettings()):
            found = await home.until(
                ADMISSION_CHECKS,
                lambda checks: any("Inactive" in c["message"] for c in (checks["multi"].get("status") or {}).get("conditions") or ()),
            )
        active = found["multi"]["status"]["conditions"][0]
        assert (active["status"], active["reason"]) == ("False", "NoUsableClusters")
        assert active["message"] == "Missing clusters: [nowhere], Inactive clusters: [away]"


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
