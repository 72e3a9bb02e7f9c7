"""Each kind of job: its Workload, its start and its stop. The stop undoes the start."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from raysail.api.kueue import Workload
from raysail.api.kueue.admission import SERVED_FRAMEWORKS
from raysail.api.kueue.workloadname import workload_name
from raysail.queue.jobs import KINDS, reconciler_of
from raysail.queue.jobs.batch_job import ended_indexes
from raysail.queue.jobs.kind import Job
from raysail.queue.jobs.reconciler import JobReconciler
from raysail.queue.jobs.workloads import construct, matches
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo, equal_pod_sets, infos_of_workload
from raysail.queue.settings import QueueSettings

TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}], "nodeSelector": {"own": "x"}}}


def template() -> dict[str, Any]:
    return copy.deepcopy(TEMPLATE)


def cluster(**fields: Any) -> dict[str, Any]:
    worker = {"groupName": "W", "replicas": 2, "numOfHosts": 3, "template": template()}
    return {"headGroupSpec": {"template": template()}, "workerGroupSpecs": [worker], **fields}


def replicas(*names: str) -> dict[str, Any]:
    return {name: {"replicas": at + 1, "template": template()} for at, name in enumerate(names)}


SPECS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "batch/job": ({"parallelism": 3, "completions": 2, "template": template()}, {"main": 2}),
    "ray.io/raycluster": (cluster(), {"head": 1, "w": 6}),
    "ray.io/rayjob": ({"rayClusterSpec": cluster(), "submissionMode": "K8sJobMode"}, {"head": 1, "w": 6, "submitter": 1}),
    "ray.io/rayservice": ({"rayClusterConfig": cluster()}, {"head": 1, "w": 6}),
    "jobset.x-k8s.io/jobset": (
        {"replicatedJobs": [{"name": "a", "replicas": 2, "template": {"spec": {"parallelism": 3, "template": template()}}}]},
        {"a": 6},
    ),
    "kubeflow.org/pytorchjob": ({"pytorchReplicaSpecs": replicas("Worker", "Master")}, {"master": 2, "worker": 1}),
    "kubeflow.org/tfjob": ({"tfReplicaSpecs": replicas("Worker", "PS", "Chief")}, {"chief": 3, "ps": 2, "worker": 1}),
    "kubeflow.org/xgboostjob": ({"xgbReplicaSpecs": replicas("Master")}, {"master": 1}),
    "kubeflow.org/paddlejob": ({"paddleReplicaSpecs": replicas("Master", "Worker")}, {"master": 1, "worker": 2}),
    "kubeflow.org/jaxjob": ({"jaxReplicaSpecs": replicas("Worker")}, {"worker": 1}),
    "workload.codeflare.dev/appwrapper": (
        {
            "components": [
                {
                    "template": {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "spec": {"parallelism": 3, "completions": 2, "template": template()},
                    }
                }
            ]
        },
        {"j-0": 2},
    ),
    "kubeflow.org/mpijob": ({"mpiReplicaSpecs": replicas("Worker", "Launcher")}, {"launcher": 2, "worker": 1}),
}


def job(spec: dict[str, Any], *, status: dict[str, Any] | None = None, **metadata: Any) -> Job:
    labels = {"kueue.x-k8s.io/queue-name": "lq", **metadata.pop("labels", {})}
    meta = {"name": "j", "namespace": "ns", "uid": "u", "generation": 1, "labels": labels, **metadata}
    return msgspec.convert({"metadata": meta, "spec": copy.deepcopy(spec), "status": status or {}}, Job)


def suspended(framework: str) -> Job:
    """The job as admission leaves it."""
    kind, made = KINDS[framework], job(SPECS[framework][0])
    steps = kind.stop(made, ())
    return job(steps[-1].spec or {})


def test_what_admission_holds_back_by_default_is_let_go_by_default() -> None:
    assert set(QueueSettings().frameworks) == SERVED_FRAMEWORKS == {*KINDS, *HELD_THROUGH_PODS}
    assert set(SPECS) == {framework for framework, kind in KINDS.items() if reconciler_of(kind) is JobReconciler}


INFOS_APART = {"workload.codeflare.dev/appwrapper"}
"""Kinds that keep what admission gives beside their templates: their own controller puts it in."""
HELD_THROUGH_PODS = {"deployment"}
"""Kinds with nothing to reconcile: what admission writes into their pod template holds their Pods."""


@pytest.mark.parametrize("framework", SPECS)
def test_pod_sets_are_counted(framework: str) -> None:
    found = construct(KINDS[framework], suspended(framework))["spec"]["podSets"]
    assert {each["name"]: each["count"] for each in found} == SPECS[framework][1]
    assert [each["name"] for each in found] == list(SPECS[framework][1])


@pytest.mark.parametrize("framework", SPECS)
def test_stopping_undoes_what_starting_did(framework: str) -> None:
    kind, held = KINDS[framework], suspended(framework)
    assert kind.suspended(held)
    workload = msgspec.convert(construct(kind, held), Workload)
    infos = [PodSetInfo(each.name, each.count, labels={"a": "b"}, node_selector={"pool": "p"}) for each in workload.spec.pod_sets]
    running = job(kind.start(held, infos).spec or {})
    assert not kind.suspended(running)
    if framework in INFOS_APART:
        assert [each["nodeSelector"] for each in running.spec["components"][0]["podSetInfos"]] == [{"pool": "p"}]
    for pod_set in kind.pod_sets(running) if framework not in INFOS_APART else ():
        assert pod_set["template"]["metadata"]["labels"] == {"a": "b"}
        assert pod_set["template"]["spec"].get("nodeSelector", {})["pool"] == "p"
    stopped = job(kind.stop(running, infos_of_workload(workload))[-1].spec or {})
    assert kind.suspended(stopped)
    assert matches(kind, stopped, workload, {})
    assert "pool" not in str(stopped.spec)


@pytest.mark.parametrize("framework", SPECS)
def test_an_admission_with_other_pod_sets_is_refused(framework: str) -> None:
    with pytest.raises(PodSetConflictError, match="podset"):
        KINDS[framework].start(suspended(framework), [])


def test_a_changed_job_no_longer_matches_its_workload() -> None:
    kind, held = KINDS["batch/job"], suspended("batch/job")
    workload = msgspec.convert(construct(kind, held), Workload)
    assert matches(kind, held, workload, {})
    assert not matches(kind, job({**held.spec, "parallelism": 1}), workload, {})
    assert not matches(kind, job(held.spec, labels={"kueue.x-k8s.io/max-exec-time-seconds": "5"}), workload, {})


def test_quantities_are_compared_by_value() -> None:
    one, other = template(), template()
    one["spec"]["containers"][0]["resources"] = {"requests": {"cpu": 1, "memory": "1024Mi"}, "limits": {}}
    other["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000m", "memory": "1Gi"}}
    assert equal_pod_sets([{"name": "a", "count": 1, "template": one}], [{"name": "a", "count": 1, "template": other}])
    other["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1001m"
    assert not equal_pod_sets([{"name": "a", "count": 1, "template": one}], [{"name": "a", "count": 1, "template": other}])


def test_a_workloads_name_is_kueues() -> None:
    name = workload_name("Job", "batch", "sample", "uid")
    assert name == workload_name("Job", "batch", "sample", "uid")
    assert name.startswith("job-sample-")
    assert len(name) == len("job-sample-") + 5
    long = workload_name("RayCluster", "ray.io", "n" * 300, "uid")
    assert len(long) == 253


@pytest.mark.parametrize(
    ("completed", "failed", "count"),
    [("", "", 0), ("0-2", "", 3), ("1,3-5", "4-7", 6), ("0", "0", 1), ("8-12", "", 2), ("x,2", "", 1)],
)
def test_ended_indexes_are_counted_once(completed: str, failed: str, count: int) -> None:
    assert ended_indexes(completed, failed, 10) == count


@pytest.mark.parametrize(
    ("spec", "status", "free"),
    [
        ({"parallelism": 4, "completions": 4}, {}, {}),
        ({"parallelism": 4, "completions": 4}, {"succeeded": 1}, {"main": 1}),
        ({"parallelism": 4, "completions": 10}, {"succeeded": 5}, {}),
        ({"parallelism": 4, "completions": 10}, {"succeeded": 9}, {"main": 3}),
        ({"parallelism": 1, "completions": 3}, {"succeeded": 2}, {}),
        ({"parallelism": 3, "completions": 3, "completionMode": "Indexed"}, {"completedIndexes": "0", "failedIndexes": "2"}, {"main": 2}),
    ],
)
def test_pods_that_no_completion_needs_are_reclaimable(spec: dict[str, Any], status: dict[str, Any], free: dict[str, int]) -> None:
    assert KINDS["batch/job"].reclaimable(job(spec, status=status)) == free


def test_the_containers_that_kuberay_adds_count() -> None:
    spec = cluster(enableInTreeAutoscaling=True, gcsFaultToleranceOptions={"redisAddress": "r"})
    head = KINDS["ray.io/raycluster"].pod_sets(job(spec))[0]["template"]["spec"]["containers"]
    assert [each["name"] for each in head] == ["c", "autoscaler"]
    assert head[0]["resources"]["requests"] == {"cpu": "1", "memory": "256Mi"}
    sidecar = KINDS["ray.io/rayjob"].pod_sets(job({"rayClusterSpec": cluster(), "submissionMode": "SidecarMode"}))
    assert [each["name"] for each in sidecar] == ["head", "w"]
    assert sidecar[0]["template"]["spec"]["containers"][-1]["name"] == "ray-job-submitter"
