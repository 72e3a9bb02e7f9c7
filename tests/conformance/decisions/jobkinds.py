"""Kinds of jobs, pure questions: pod sets, starting and stopping, readiness, ends. Groups jobs-job, jobs-rayjob, jobs-raycluster, jobs-rayservice."""

from __future__ import annotations

import copy
from typing import Any

from raysail.queue.jobs import KINDS, ray_autoscaling
from raysail.queue.jobs.batch_job import ended_indexes
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import InvalidJobError, Job, JobKind
from raysail.queue.jobs.ray_cluster import cluster_pod_sets, inject_all
from raysail.queue.jobs.workloads import pod_sets_of
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo
from raysail.queue.settings import QueueSettings
from tests.conformance.decisions.corpus import Case, Json, by_value, differences, plain, view

BATCH, RAY_JOB, RAY_CLUSTER, RAY_SERVICE = (
    KINDS[name] for name in ("batch/job", "ray.io/rayjob", "ray.io/raycluster", "ray.io/rayservice")
)


def gates_of(case: Case) -> JobGates:
    return JobGates.of(QueueSettings(feature_gates=case.gates))


def job_of(obj: Json, cluster: Json | None = None) -> Job:
    """A job as the kinds see it, with the RayCluster that runs it."""
    job = view({"metadata": {}, **obj}, Job)
    return view({**obj, "metadata": obj.get("metadata") or {}, "companion": cluster}, Job) if cluster is not None else job


def infos_of(given: Any) -> list[PodSetInfo]:
    return [
        PodSetInfo(
            each.get("Name", ""),
            each.get("Count", 0),
            dict(each.get("Labels") or {}),
            dict(each.get("Annotations") or {}),
            dict(each.get("NodeSelector") or {}),
            list(each.get("Tolerations") or []),
            list(each.get("SchedulingGates") or []),
        )
        for each in given or ()
    ]


def normal(obj: Any) -> Any:
    return plain(by_value(obj))


def wanted_pod_sets(case: Case) -> Any:
    return case.want.get("wantPodSets") or (case.want.get("observed") or {}).get("gotPodSets")


def running_cluster(case: Case) -> Json | None:
    """The RayCluster that runs the case's object; the tables give it where the object names it."""
    found: Json | None = case.given.get("rayCluster") if case.given.get("rayJob") or case.given.get("rayService") else None
    return found


def pod_sets(kind: JobKind, field: str) -> Any:
    def run(case: Case) -> list[str]:
        job = job_of(case.given[field], running_cluster(case))
        return differences(normal(pod_sets_of(kind, job, gates_of(case))), normal(wanted_pod_sets(case)), "podSets")

    return run


def build_pod_sets(case: Case) -> list[str]:
    try:
        found = cluster_pod_sets(copy.deepcopy(case.given["rayClusterSpec"]), case.given.get("annotations") or {})
    except InvalidJobError as error:
        return [] if case.want.get("wantErr") else [str(error)]
    wrong = ["an error is wanted"] if case.want.get("wantErr") else []
    return wrong + differences(normal(found), normal(case.want.get("wantPodSets")), "podSets")


def update_pod_sets(case: Case) -> list[str]:
    """The pod sets of an object, as the RayCluster of its name counts them."""
    given = case.given
    cluster = given.get("rayClusterInClient")
    cluster = cluster if cluster is not None and cluster["metadata"]["name"] == given.get("rayClusterName") else None
    job = job_of(given["object"], cluster)
    try:
        spec = {"enableInTreeAutoscaling": given.get("enableInTreeAutoscaling")}
        found = ray_autoscaling.follow_autoscaler(copy.deepcopy(given.get("podSets") or []), job, spec)
    except InvalidJobError as error:
        return [] if case.want.get("wantErr") else [str(error)]
    wrong = ["an error is wanted"] if case.want.get("wantErr") else []
    return wrong + differences(normal(found), normal(case.want.get("wantPodSets")), "podSets")


def run_cluster(case: Case) -> list[str]:
    spec = copy.deepcopy(case.given["rayClusterSpec"])
    try:
        inject_all(spec, infos_of(case.given["podSetsInfo"]))
    except PodSetConflictError as error:
        return [] if case.want.get("wantErr") else [str(error)]
    wrong = ["an error is wanted"] if case.want.get("wantErr") else []
    return wrong + differences(normal(spec), normal(case.want.get("wantSpec")), "spec")


def restored(kind: JobKind, field: str) -> Any:
    """Whether stopping puts something back in the templates."""

    def run(case: Case) -> list[str]:
        obj = copy.deepcopy(case.given.get(field) or case.given.get("job") or {"spec": case.given.get("rayClusterSpec")})
        kind_spec = obj["spec"]["rayClusterConfig"] if kind is RAY_SERVICE else obj["spec"]
        kind_spec["suspend"] = False
        job = job_of(obj)
        (step,) = kind.stop(job, infos_of(case.given.get("podSetsInfo") or case.given.get("podsetsInfo")))
        before, after = copy.deepcopy(obj["spec"]), copy.deepcopy(step.spec or {})
        for each in (before, after):
            (each["rayClusterConfig"] if kind is RAY_SERVICE else each).pop("suspend")
        return differences(normal(before) != normal(after), bool(case.want.get("wantChanged")), "changed")

    return run


def run_and_restore(kind: JobKind) -> Any:
    """Started with what admission gives, then stopped again."""

    def run(case: Case) -> list[str]:
        given = copy.deepcopy(case.given["job"])
        job = job_of(given)
        after_run = case.want.get("wantUnsuspended") or case.want.get("wantAfterRun") or {}
        try:
            step = kind.start(job, infos_of(case.given.get("runInfo")))
        except PodSetConflictError as error:
            wanted = case.want.get("wantRunError")
            return [] if wanted and (wanted == "any error" or wanted in str(error)) else [f"got {error}, want {wanted}"]
        found = ["an error is wanted"] if case.want.get("wantRunError") else []
        found += differences(normal(step.spec), normal(after_run.get("spec")), "started")
        running = job_of({**given, "spec": step.spec})
        back = kind.stop(running, infos_of(case.given.get("restoreInfo")))
        final = case.want.get("wantFinal")
        stopped = normal(back[-1].spec if back else step.spec)
        wanted_spec = normal((final or given)["spec"])
        return found + differences({**stopped, "suspend": 0}, {**wanted_spec, "suspend": 0}, "stopped")

    return run


def clean_labels(case: Case) -> list[str]:
    job = job_of({"metadata": {}, "spec": {"parallelism": 1, "template": {"metadata": {"labels": case.given["labels"]}}}})
    (found,) = BATCH.pod_sets(job)
    return differences((found["template"].get("metadata") or {}).get("labels"), case.want["wantLabels"], "labels")


def terminal_indexes(case: Case) -> list[str]:
    given = case.given
    found = ended_indexes(given.get("completedIndexes") or "", given.get("failedIndexes") or "", given.get("completions") or 0)
    return differences(found, case.want.get("want") or 0, "count")


def reclaimable(case: Case) -> list[str]:
    found = BATCH.reclaimable(job_of(case.given["job"])) or {}
    return differences(found, {each["name"]: each["count"] for each in case.want.get("want") or ()}, "reclaimable")


def asked(kind: JobKind, field: str, question: str) -> Any:
    """A yes-or-no question about an object."""

    def run(case: Case) -> list[str]:
        found = bool(getattr(kind, question)(job_of(case.given[field])))
        return differences(found, bool(case.want.get("want")), question)

    return run


def _with_status(case: Case) -> Job:
    base = case.fixtures["rayJob"]
    deployment = {"jobDeploymentStatus": case.given["jobDeploymentStatus"]} if "jobDeploymentStatus" in case.given else {}
    return job_of({**base, "status": case.given.get("status") or deployment})


def ray_job_finished(case: Case) -> list[str]:
    ended = RAY_JOB.finished(_with_status(case))
    found = differences(ended is not None, bool(case.want.get("expectedFinished")), "finished")
    return found + differences(ended is not None and ended.success, bool(case.want.get("expectedSuccess")), "success")


def ray_job_on_hold(case: Case) -> list[str]:
    return differences(RAY_JOB.on_hold(_with_status(case)), bool(case.want.get("expectedOnHold")), "on hold")


def ray_job_annotations(case: Case) -> list[str]:
    job = job_of(case.given["rayJob"], running_cluster(case))
    found = dict(RAY_JOB.own_annotations(job)) if gates_of(case).elastic(job.annotations) else {}
    wrong = differences(found, case.want.get("wantCustomAnnotation") or {}, "annotations")
    if case.want.get("wantGroupCount"):
        count = next(each["count"] for each in RAY_JOB.pod_sets(job) if each["name"] == "group1")
        wrong += differences(count, case.want["wantGroupCount"], "count of group1")
    return wrong


def cluster_annotations(case: Case) -> list[str]:
    """What an elastic object says about the RayCluster that runs it; a RayCluster says nothing about itself."""
    given = case.given
    cluster = {"metadata": {"name": given.get("rayClusterName"), "namespace": "ns"}, "spec": {}} if given.get("createRayCluster") else None
    job = job_of({"metadata": {"name": "object", "namespace": "ns", "annotations": given.get("annotations") or {}}}, cluster)
    kind = RAY_CLUSTER if given.get("standalone") else RAY_JOB
    found = dict(kind.own_annotations(job)) if gates_of(case).elastic(job.annotations) else {}
    return differences(plain(found), plain(case.want.get("wantAnnotation") or {}), "annotations")


RUNNERS = {
    "jobs-job": {
        "TestCleanLabels": clean_labels,
        "TestPodSets": pod_sets(BATCH, "job"),
        "TestPodSetsInfo": run_and_restore(BATCH),
        "TestPodsReady": asked(BATCH, "job", "pods_ready"),
        "TestReclaimablePods": reclaimable,
        "TestTerminalIndexesCount": terminal_indexes,
    },
    "jobs-rayjob": {
        "TestGetCustomAnnotations": ray_job_annotations,
        "TestNodeSelectors": run_and_restore(RAY_JOB),
        "TestPodSets": pod_sets(RAY_JOB, "rayJob"),
        "TestRestorePodSetsInfo": restored(RAY_JOB, "job"),
        "Test_RayJobFinished": ray_job_finished,
        "Test_RayJobIsOnHold": ray_job_on_hold,
    },
    "jobs-raycluster": {
        "TestBuildPodSets": build_pod_sets,
        "TestGetWorkloadslicingCustomAnnotations": cluster_annotations,
        "TestPodSets": pod_sets(RAY_CLUSTER, "rayCluster"),
        "TestRestorePodSetsInfo": restored(RAY_CLUSTER, "rayCluster"),
        "TestUpdatePodSets": update_pod_sets,
        "TestUpdateRayClusterSpecToRunWithPodSetsInfo": run_cluster,
    },
    "jobs-rayservice": {
        "TestIsActive": asked(RAY_SERVICE, "rayService", "active"),
        "TestIsSuspended": asked(RAY_SERVICE, "rayService", "suspended"),
        "TestPodSets": pod_sets(RAY_SERVICE, "rayService"),
        "TestPodsReady": asked(RAY_SERVICE, "rayService", "pods_ready"),
    },
}
