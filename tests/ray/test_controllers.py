"""The controllers over the embedded API: a job from its creation to its end, with a token, through crashes, and its removal."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from raysail.api.errors import StatusError
from raysail.api.resources import EVENTS, NAMESPACES, PODS, RAY_CLUSTERS, RAY_JOBS, SECRETS, SERVICES, Resource
from raysail.kube.client import Client
from raysail.ray.settings import RaySettings
from tests.ray.builders import cluster_spec, container, group, template
from tests.ray.live import CrashingClient, FakeKubelet, FakeRay, controllers
from tests.support.embedded import embedded_api

SETTINGS = RaySettings(
    resolve_services=True, submit_when_head_answers=True, job_poll_seconds=0.1, eager_poll_seconds=0.05, retry_seconds=0.1
)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[tuple[Client, FakeRay, FakeKubelet]]:
    async with (
        embedded_api(port=None, disabled_admission=frozenset({"ServiceAccounts", "QueueRules"})) as api,
        FakeRay().serving() as dashboard,
    ):
        kubelet = FakeKubelet(api.client, lambda: datetime.now(UTC))
        task = asyncio.create_task(kubelet.run())
        try:
            yield api.client, dashboard, kubelet
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def ray_job(dashboard: FakeRay, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "dashboard", "containerPort": dashboard.port}]
    body = cluster_spec(group(replicas=2), head={"template": template(container(ports=ports))})
    given = {"entrypoint": "python a.py", "submissionMode": "HTTPMode", "rayClusterSpec": body, **spec}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "rj", "namespace": "default"}, "spec": given}


async def status_of(client: Client, namespace: str = "default") -> dict[str, Any]:
    return (await client.get(RAY_JOBS, "rj", namespace)).get("status") or {}


async def wait_for(client: Client, deployment_status: str, seconds: float = 20, namespace: str = "default") -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        while (status := await status_of(client, namespace)).get("jobDeploymentStatus") != deployment_status:
            await asyncio.sleep(0.03)
    return status


async def names_of(client: Client, resource: Resource, namespace: str = "default") -> list[str]:
    return sorted(orjson.loads(item)["metadata"]["name"] for item in (await client.list(resource, namespace)).items)


async def test_a_job_runs_and_its_cluster_goes() -> None:
    async with world() as (client, dashboard, _), controllers(client, SETTINGS):
        await client.create(RAY_JOBS, ray_job(dashboard, shutdownAfterJobFinishes=True), "default")
        status = await wait_for(client, "Complete")
        assert (status["jobStatus"], status["succeeded"], status["message"]) == ("SUCCEEDED", 1, "done")
        (body,) = dashboard.submitted
        assert (body["submission_id"], body["entrypoint"]) == (status["jobId"], "python a.py")
        async with asyncio.timeout(10):
            while await names_of(client, RAY_CLUSTERS):
                await asyncio.sleep(0.03)


async def test_a_cluster_is_made_with_the_name_of_a_finished_job() -> None:
    async with world() as (client, dashboard, _), controllers(client, SETTINGS):
        job = ray_job(dashboard, shutdownAfterJobFinishes=True)
        await client.create(RAY_JOBS, job, "default")
        await wait_for(client, "Complete")
        async with asyncio.timeout(10):
            while await names_of(client, RAY_CLUSTERS):
                await asyncio.sleep(0.03)
        left = await client.get(SERVICES, "rj-head-svc", "default")
        cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "rj"}, "spec": job["spec"]["rayClusterSpec"]}
        await client.create(RAY_CLUSTERS, cluster, "default")
        async with asyncio.timeout(10):
            while (await client.get(RAY_CLUSTERS, "rj", "default")).get("status", {}).get("state") != "ready":
                await asyncio.sleep(0.03)
        service = await client.get(SERVICES, "rj-head-svc", "default")
        assert service["metadata"]["uid"] != left["metadata"]["uid"]
        assert service["spec"]["selector"]["ray.io/cluster"] == "rj"


async def test_the_service_of_a_job_that_runs_is_not_taken_from_it() -> None:
    async with world() as (client, dashboard, _), controllers(client, SETTINGS):
        dashboard.answers = [{"status": "RUNNING"}]
        job = ray_job(dashboard)
        await client.create(RAY_JOBS, job, "default")
        status = await wait_for(client, "Running")
        async with asyncio.timeout(10):
            while "rj-head-svc" not in await names_of(client, SERVICES):
                await asyncio.sleep(0.03)
        cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "rj"}, "spec": job["spec"]["rayClusterSpec"]}
        await client.create(RAY_CLUSTERS, cluster, "default")
        async with asyncio.timeout(10):
            while not (
                events := [orjson.loads(item) for item in (await client.list(EVENTS, "default")).items if b"FailedToCreateService" in item]
            ):
                await asyncio.sleep(0.03)
        assert "already exists" in events[0]["note"]
        service = await client.get(SERVICES, "rj-head-svc", "default")
        assert service["spec"]["selector"]["ray.io/cluster"] == status["rayClusterName"]


async def test_the_token_of_the_clusters_secret_is_shown() -> None:
    settings = RaySettings(
        **{f: getattr(SETTINGS, f) for f in SETTINGS.__dataclass_fields__ if f != "token_authentication"}, token_authentication=True
    )
    async with world() as (client, dashboard, _), controllers(client, settings):
        await client.create(RAY_JOBS, ray_job(dashboard), "default")
        status = await wait_for(client, "Complete")
        secret = await client.get(SECRETS, status["rayClusterName"], "default")
        token = base64.b64decode(secret["data"]["auth_token"]).decode()
        assert set(dashboard.tokens) == {f"Bearer {token}"}


async def test_a_job_that_is_deleted_is_stopped_once() -> None:
    async with world() as (client, dashboard, _), controllers(client, SETTINGS):
        dashboard.answers = [{"status": "RUNNING"}]
        await client.create(RAY_JOBS, ray_job(dashboard), "default")
        async with asyncio.timeout(20):
            while (await status_of(client)).get("jobStatus") != "RUNNING":
                await asyncio.sleep(0.03)
        job_id = (await status_of(client))["jobId"]
        await client.delete(RAY_JOBS, "rj", "default")
        async with asyncio.timeout(10):
            while await names_of(client, RAY_JOBS):
                await asyncio.sleep(0.03)
        assert dashboard.stopped == [job_id]


async def test_suspension_takes_everything_and_a_resume_begins_anew() -> None:
    async with world() as (client, dashboard, _), controllers(client, SETTINGS):
        dashboard.answers = [{"status": "RUNNING"}]
        await client.create(RAY_JOBS, ray_job(dashboard, shutdownAfterJobFinishes=True), "default")
        first = await wait_for(client, "Running")
        await client.patch(RAY_JOBS, "rj", {"spec": {"suspend": True}}, "default")
        await wait_for(client, "Suspended")
        assert await names_of(client, RAY_CLUSTERS) == []
        await client.patch(RAY_JOBS, "rj", {"spec": {"suspend": False}}, "default")
        second = await wait_for(client, "Running")
        assert second["rayClusterName"] != first["rayClusterName"]
        assert second["jobId"] != first["jobId"]


@pytest.mark.slow
async def test_a_crash_after_any_write_starts_nothing_twice() -> None:
    """The process dies right after its n-th write, for every n; another one takes over and knows nothing of it."""
    crashes = 0
    async with world() as (client, dashboard, kubelet):
        for writes in range(1, 40):
            place = f"crash-{writes}"
            await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
            before = len(dashboard.submitted)
            crashing = CrashingClient(client, writes)
            job = ray_job(dashboard)
            job["metadata"]["namespace"] = place
            await client.create(RAY_JOBS, job, place)
            async with controllers(crashing, SETTINGS, namespace=place):
                done = asyncio.create_task(wait_for(client, "Complete", namespace=place))
                crashed = asyncio.create_task(crashing.crashed.wait())
                await asyncio.wait((done, crashed), return_when=asyncio.FIRST_COMPLETED)
                finished = done.done()
                for task in (done, crashed):
                    task.cancel()
            if not finished:
                crashes += 1
                async with controllers(client, SETTINGS, namespace=place):
                    await wait_for(client, "Complete", namespace=place)
            roles = Counter(name.split("-")[2] for namespace, name in kubelet.seen.values() if namespace == place)
            assert roles == {"head": 1, "small": 2}, f"after {writes} writes"
            assert len(dashboard.submitted) == before + 1
            assert len(await names_of(client, RAY_CLUSTERS, place)) == 1
            if finished:
                break
    assert crashes > 5


async def test_a_lost_worker_is_replaced() -> None:
    async with world() as (client, dashboard, kubelet), controllers(client, SETTINGS):
        body = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {"name": "rc", "namespace": "default"},
            "spec": cluster_spec(group(replicas=2)),
        }
        await client.create(RAY_CLUSTERS, body, "default")

        async def state() -> str:
            return str(((await client.get(RAY_CLUSTERS, "rc", "default")).get("status") or {}).get("state"))

        async with asyncio.timeout(20):
            while await state() != "ready":
                await asyncio.sleep(0.03)
        victim = next(name for name in await names_of(client, PODS) if "worker" in name)
        await client.patch(PODS, victim, {"status": {"phase": "Failed"}}, "default", subresource="status")
        async with asyncio.timeout(20):
            while victim in (names := await names_of(client, PODS)) or len(names) != 3:
                await asyncio.sleep(0.03)
        assert len(kubelet.seen) == 4
        assert not dashboard.submitted


async def test_what_the_api_refuses_is_told() -> None:
    async with world() as (client, _, _), controllers(client, SETTINGS):
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
        await client.create(Resource("", "v1", "ResourceQuota", "resourcequotas"), quota, "default")
        body = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "rc", "namespace": "default"}, "spec": cluster_spec()}
        await client.create(RAY_CLUSTERS, body, "default")
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(StatusError):
                    status = (await client.get(RAY_CLUSTERS, "rc", "default")).get("status") or {}
                    found = [c for c in status.get("conditions", ()) if c["type"] == "ReplicaFailure"]
                    if found:
                        break
                await asyncio.sleep(0.03)
        assert found[0]["reason"] == "FailedCreateHeadPod"
        assert "quota" in found[0]["message"]
