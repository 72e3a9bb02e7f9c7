"""One reconcile of a job against an API in memory: what waits, what is told, and who decides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from raysail.api.kueue import names
from raysail.api.resources import JOBS, NAMESPACES, RAY_CLUSTERS, RAY_JOBS, WORKLOADS, Resource
from raysail.queue.cache import QueueCache
from raysail.queue.jobs import KINDS, reconciler_of
from raysail.queue.jobs.shared import Jobs
from raysail.queue.settings import QueueSettings
from tests.conformance.decisions.memory import Bench

Json = dict[str, Any]
QUEUE = "kueue.x-k8s.io/queue-name"


class Scene:
    """Objects, one reconcile of a job, what is there afterwards."""

    def __init__(self, *objects: tuple[Resource, Json], settings: QueueSettings | None = None) -> None:
        self.objects = [(NAMESPACES, {"metadata": {"name": "ns"}}), *objects]
        self.settings = settings or QueueSettings(wait_for_pods_ready=None)
        self.bench: Bench

    def reconcile(self, framework: str, name: str = "j", times: int = 1) -> float | None:
        async def run() -> float | None:
            self.bench = Bench(datetime(2026, 11, 24, tzinfo=UTC))
            jobs = Jobs(self.bench.manager, QueueCache(self.bench.manager, self.settings), self.settings, KINDS.values())
            reconciler = reconciler_of(KINDS[framework])(jobs, KINDS[framework])
            for resource, obj in self.objects:
                self.bench.add(resource, [obj])
            again = None
            for _ in range(times):
                again = await reconciler.reconcile(("ns", name))
            return again

        return asyncio.run(run())

    def workloads(self) -> list[Json]:
        return self.bench.client.of(WORKLOADS)

    def said(self) -> list[str]:
        return [said["reason"] for said in self.bench.events.said]


def job(count: int = 2, *, suspend: bool = True, owners: Iterable[Json] = (), generation: int = 1, annotations: Json | None = None) -> Json:
    meta = {
        "name": "j",
        "namespace": "ns",
        "uid": "j-uid",
        "generation": generation,
        "labels": {QUEUE: "lq"},
        "annotations": annotations or {},
        "ownerReferences": list(owners),
    }
    spec = {"suspend": suspend, "parallelism": count, "template": {"spec": {"containers": [{"name": "c"}]}}}
    return {"metadata": meta, "spec": spec}


ELASTIC = {names.ELASTIC_JOB_ANNOTATION: "true"}


def admitted(workload: Json) -> Json:
    count = workload["spec"]["podSets"][0]["count"]
    workload["status"] = {
        "admission": {"clusterQueue": "cq", "podSetAssignments": [{"name": "main", "count": count}]},
        "conditions": [{"type": type_, "status": "True"} for type_ in ("QuotaReserved", "Admitted")],
    }
    return workload


def test_an_elastic_job_that_grows_gets_a_slice_beside_the_one_that_runs() -> None:
    first = Scene((JOBS, job(2, annotations=ELASTIC)))
    first.reconcile("batch/job")
    (slice_one,) = first.workloads()
    grown = Scene((JOBS, job(3, suspend=False, generation=2, annotations=ELASTIC)), (WORKLOADS, admitted(slice_one)))
    grown.reconcile("batch/job")
    old, new = sorted(grown.workloads(), key=lambda each: each["spec"]["podSets"][0]["count"])
    assert old["metadata"]["name"] == slice_one["metadata"]["name"]
    assert new["spec"]["podSets"][0]["count"] == 3
    assert new["metadata"]["annotations"][names.WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION] == f"ns/{old['metadata']['name']}"
    assert grown.bench.client.of(JOBS)[0]["spec"]["suspend"] is False


def test_without_the_gate_such_a_job_is_like_any_other() -> None:
    settings = QueueSettings(wait_for_pods_ready=None, feature_gates={"ElasticJobsViaWorkloadSlices": False})
    scene = Scene((JOBS, job(2, annotations=ELASTIC)), settings=settings)
    scene.reconcile("batch/job")
    assert names.ELASTIC_JOB_ANNOTATION not in (scene.workloads()[0]["metadata"].get("annotations") or {})


def test_a_ray_job_follows_the_cluster_that_its_autoscaler_grows() -> None:
    group = {"groupName": "w", "replicas": 1, "template": {"spec": {"containers": [{"name": "c"}]}}}
    head = {"template": {"spec": {"containers": [{"name": "h"}]}}}
    spec = {"enableInTreeAutoscaling": True, "headGroupSpec": head, "workerGroupSpecs": [group]}
    ray_job = {
        "metadata": {"name": "j", "namespace": "ns", "uid": "u", "generation": 1, "labels": {QUEUE: "lq"}, "annotations": ELASTIC},
        "spec": {"suspend": False, "rayClusterSpec": spec},
        "status": {"rayClusterName": "c", "jobDeploymentStatus": "Running"},
    }
    cluster = {
        "metadata": {"name": "c", "namespace": "ns", "uid": "c", "generation": 7},
        "spec": {**spec, "workerGroupSpecs": [{**group, "replicas": 4}]},
    }
    scene = Scene((RAY_JOBS, ray_job), (RAY_CLUSTERS, cluster))
    scene.reconcile("ray.io/rayjob")
    (workload,) = scene.workloads()
    assert [each["count"] for each in workload["spec"]["podSets"]] == [1, 4]
    (told,) = scene.bench.client.of(RAY_JOBS)
    assert told["metadata"]["annotations"][names.RAY_CLUSTER_GENERATION_ANNOTATION] == "7"


def test_a_job_waits_for_its_prebuilt_workload_without_asking_again_and_again() -> None:
    scene = Scene((JOBS, job(suspend=False, annotations={names.PREBUILT_WORKLOAD_NAME: "mine"})))
    assert scene.reconcile("batch/job") is None
    assert scene.workloads() == []
    assert scene.bench.client.of(JOBS)[0]["spec"]["suspend"] is True
    assert scene.said() == ["Stopped"]


def test_a_job_whose_owner_is_not_seen_yet_is_not_taken_for_its_own_master() -> None:
    owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "parent", "uid": "p", "controller": True}
    scene = Scene((JOBS, job(owners=[owner])))
    assert scene.reconcile("batch/job") == 1.0
    assert scene.workloads() == []


def test_what_checks_still_wait_for_is_told_to_the_jobs_user() -> None:
    first = Scene((JOBS, job()))
    first.reconcile("batch/job")
    (workload,) = first.workloads()
    admitted(workload)["status"]["conditions"].pop()
    workload["status"]["admissionChecks"] = [{"name": "capacity", "state": "Pending", "message": "ETA 10 min"}]
    scene = Scene((JOBS, job()), (WORKLOADS, workload))
    scene.reconcile("batch/job")
    assert [said["message"] for said in scene.bench.events.said] == ["capacity: ETA 10 min"]
