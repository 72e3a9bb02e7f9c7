"""Jobs on the embedded API; the test plays the node agent."""

from __future__ import annotations

from typing import Any

from raysail.api.batch import JOB_TRACKING_FINALIZER
from raysail.api.resources import EVENTS, JOBS
from raysail.kube.client import Propagation
from tests.builtin.conftest import Cluster, cluster


async def make(c: Cluster, **spec: Any) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    await c.create(JOBS, "j", spec={"template": template, **spec})


def has(type_: str) -> Any:
    return lambda o: o and any(c["type"] == type_ and c["status"] == "True" for c in (o.get("status") or {}).get("conditions") or ())


async def test_runs_to_completion() -> None:
    async with cluster("job") as c:
        await make(c, parallelism=2, completions=3)
        for done in range(3):
            pods = await c.pods_until(lambda pods, done=done: len([p for p in pods if p.status.phase != "Succeeded"]) == min(2, 3 - done))
            await c.set_pod(next(p for p in pods if p.status.phase != "Succeeded").metadata.name, "Succeeded", ready=False)
            await c.pods_until(lambda pods, done=done: len([p for p in pods if p.status.phase == "Succeeded"]) == done + 1)
        job = await c.until(JOBS, "j", has("Complete"))
        assert job is not None
        status = job["status"]
        assert (status["succeeded"], status.get("active", 0), status.get("failed", 0)) == (3, 0, 0)
        assert status["completionTime"]
        assert status["uncountedTerminatedPods"] == {}
        assert [cond["type"] for cond in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
        pods = await c.pods_until(lambda pods: not any(JOB_TRACKING_FINALIZER in (p.metadata.finalizers or ()) for p in pods))
        assert len(pods) == 3
        await c.manager.events.flush()
        reasons = {event["reason"] for event in await c.listed(EVENTS)}
        assert {"SuccessfulCreate", "Completed"} <= reasons


async def test_fails_at_its_limit() -> None:
    async with cluster("job") as c:
        await make(c, backoffLimit=0)
        (pod,) = await c.pods_until(lambda pods: len(pods) == 1)
        await c.set_pod(pod.metadata.name, "Failed", ready=False, exit_code=1)
        job = await c.until(JOBS, "j", has("Failed"))
        assert job is not None
        assert job["status"]["failed"] == 1
        failed = next(cond for cond in job["status"]["conditions"] if cond["type"] == "Failed")
        assert failed["reason"] == "BackoffLimitExceeded"


async def test_suspension_stops_pods_and_resuming_brings_them_back() -> None:
    async with cluster("job") as c:
        await make(c, parallelism=2, completions=2)
        first = await c.pods_until(lambda pods: len(pods) == 2)
        for pod in first:
            await c.set_pod(pod.metadata.name)
        await c.client.patch(JOBS, "j", {"spec": {"suspend": True}}, "ns")
        job = await c.until(JOBS, "j", has("Suspended"))
        assert job is not None
        assert "startTime" not in job["status"]
        for pod in await c.pods_until(lambda pods: all(p.metadata.deletion_timestamp for p in pods)):
            await c.end_pod(pod.metadata.name)
        await c.pods_until(lambda pods: not pods)
        await c.client.patch(JOBS, "j", {"spec": {"suspend": False}}, "ns")
        await c.pods_until(lambda pods: len(pods) == 2)
        job = await c.until(JOBS, "j", lambda o: o and o["status"].get("active") == 2)
        assert job is not None
        assert job["status"].get("failed", 0) == 0, "Pods stopped for a suspension are no failures"
        assert job["status"]["startTime"]


async def test_indexed() -> None:
    async with cluster("job") as c:
        await make(c, parallelism=3, completions=3, completionMode="Indexed")
        pods = await c.pods_until(lambda pods: len(pods) == 3)
        for pod in pods:
            await c.set_pod(pod.metadata.name, "Succeeded", ready=False)
        job = await c.until(JOBS, "j", has("Complete"))
        assert job is not None
        assert job["status"]["completedIndexes"] == "0-2"


async def test_a_finished_job_goes_after_its_time() -> None:
    async with cluster("job", "gc") as c:
        await make(c, ttlSecondsAfterFinished=0)
        (pod,) = await c.pods_until(lambda pods: len(pods) == 1)
        await c.set_pod(pod.metadata.name, "Succeeded", ready=False)
        await c.gone(JOBS, "j")
        await c.pods_until(lambda pods: not pods)


async def test_pods_of_a_deleted_job_are_let_go() -> None:
    async with cluster("job", "gc") as c:
        await make(c)
        await c.pods_until(lambda pods: len(pods) == 1)
        await c.client.delete(JOBS, "j", "ns", propagation=Propagation.BACKGROUND)
        await c.pods_until(lambda pods: not pods)


async def test_a_job_that_somebody_else_manages_is_left_alone() -> None:
    async with cluster("job") as c:
        await make(c, managedBy="example.com/other")
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
        await c.create(JOBS, "ours", spec={"template": template})
        pods = await c.pods_until(lambda pods: pods)
        assert [p.metadata.name[:5] for p in pods] == ["ours-"]
