"""Kinds with pod templates and a switch: groups jobs-jobset, jobs-mpijob, jobs-pytorchjob, jobs-trainjob."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from raysail.api.kueue.admission import mutate
from raysail.api.kueue.names import MULTIKUEUE_CONTROLLER
from raysail.api.meta import ObjectMeta
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    NAMESPACES,
    RESOURCE_FLAVORS,
    WORKLOADS,
    Resource,
)
from raysail.api.scheduling import PriorityClass
from raysail.api.trainer import CLUSTER_TRAINING_RUNTIMES, TRAINING_RUNTIMES
from raysail.queue.jobs import KINDS
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import Job
from raysail.queue.jobs.templated import TemplatedKind
from raysail.queue.jobs.training import TrainingKind
from raysail.queue.jobs.workloads import pod_sets_of, priority_of
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo
from tests.conformance.decisions.corpus import Case, Json, differences, plain, view
from tests.conformance.decisions.reconcile import Scene, comparable, compare_error, compare_events, settings_of
from tests.conformance.decisions.webhooks import World, compare_causes, reviewed, wanted_errors
from tests.conformance.decisions.webhooks import settings_of as admission_settings

Runner = Callable[[Case], list[str]]
_JOBS = ("job", "jobSet", "trainJob")


def job_of(case: Case) -> Json:
    return copy.deepcopy(next((case.given[name] for name in _JOBS if case.given.get(name)), {}))


def infos_of(case: Case) -> list[PodSetInfo]:
    given = case.given.get("podSetsInfo") or case.given.get("podsetsInfo") or ()
    return [
        PodSetInfo(
            each.get("Name", ""),
            each.get("Count", 0),
            dict(each.get("Labels") or {}),
            dict(each.get("Annotations") or {}),
            dict(each.get("NodeSelector") or {}),
            list(each.get("Tolerations") or ()),
            list(each.get("SchedulingGates") or ()),
        )
        for each in given
    ]


def pod_sets(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        made = pod_sets_of(KINDS[framework], view(job_of(case), Job), JobGates.of(settings_of(case)))
        want = case.want.get("wantPodSets") or (case.want.get("observed") or {}).get("gotPodSets")
        return differences(plain(made), plain(want or []))

    return run


def pods_ready(framework: str) -> Runner:
    return lambda case: differences(KINDS[framework].pods_ready(view(job_of(case), Job)), bool(case.want.get("want")))


def reclaimable(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        found = KINDS[framework].reclaimable(view(job_of(case), Job)) or {}
        return differences(found, {each["name"]: each["count"] for each in case.want.get("want") or ()})

    return run


def priority(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        kind, job = KINDS[framework], view(job_of(case), Job)
        named = lambda name: PriorityClass(metadata=ObjectMeta(name=name), value=1)  # noqa: E731 - every class is there
        reference, _ = priority_of(job, kind, kind.pod_sets(job), lambda name: None, named, None)
        return differences((reference or {}).get("name", ""), case.want.get("wantPriorityClassName", ""))

    return run


def order(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        kind = KINDS[framework]
        assert isinstance(kind, TrainingKind)
        return differences([name for name, _ in kind.replicas(job_of(case).get("spec") or {})], case.want.get("wantReplicaTypes") or [])

    return run


def starts(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        try:
            step = KINDS[framework].start(view(job_of(case), Job), infos_of(case))
        except PodSetConflictError as error:
            return [] if case.want.get("wantErr") else [f"refused: {error}"]
        if case.want.get("wantErr"):
            return ["it starts"]
        assert step.spec is not None
        return _selected(framework, step.spec, case.want.get("wantAssignedTo"), {"assigned": "true"})

    return run


def restores(framework: str) -> Runner:
    """Of a job that runs: the corpus calls the restoring alone."""

    def run(case: Case) -> list[str]:
        kind = KINDS[framework]
        assert isinstance(kind, TemplatedKind)
        given = job_of(case)
        kind.switch(given.setdefault("spec", {}))["suspend"] = False
        steps = kind.stop(view(given, Job), infos_of(case))
        spec: Json = steps[0].spec or {}
        stopped = copy.deepcopy(given["spec"])
        kind.switch(stopped)["suspend"] = True
        changed = plain(spec) != plain(stopped)
        return differences(changed, bool(case.want.get("wantChanged"))) + _selected(
            framework, spec, case.want.get("wantRestoredFor"), {"restored": "true"}
        )

    return run


def _selected(framework: str, spec: Json, replica: Any, wanted: Json) -> list[str]:
    if not replica:
        return []
    kind = KINDS[framework]
    assert isinstance(kind, TrainingKind)
    return differences(dict(kind.replicas(spec))[replica]["template"]["spec"].get("nodeSelector"), wanted)


def reconciler(framework: str) -> Runner:
    def run(case: Case) -> list[str]:
        kind = KINDS[framework]
        scene = Scene(case)
        job = job_of(case)
        scene.put(kind.resource, [job])
        scene.put(NAMESPACES, [case.fixtures["testNamespace"]])
        scene.put(RESOURCE_FLAVORS, [{"metadata": {"name": "default"}, "spec": {}}])
        scene.put(CLUSTER_TRAINING_RUNTIMES, [case.fixtures.get("testCtr")])
        scene.put_any(case.given.get("priorityClasses"))
        scene.put_workloads(case.given.get("workloads"), job, kind)
        key = job["metadata"]["namespace"], job["metadata"]["name"]
        outcome = scene.reconcile(framework, *key)
        without = ("metadata", "status") if framework == "kubeflow.org/mpijob" else ("metadata",)
        found = compare_error(outcome, case.want.get("wantErr"))
        found += differences(
            comparable(outcome.one(kind.resource, *key), without=without),
            comparable(case.want.get("wantJob") or case.want.get("wantTrainJob"), without=without),
        )
        found += differences([_essence(w) for w in outcome.all(WORKLOADS)], [_essence(w) for w in case.want.get("wantWorkloads") or ()])
        return found + (compare_events(outcome, case.want["wantEvents"]) if case.want.get("wantEvents") else [])

    return run


def train_job(case: Case) -> Job:
    """With its runtime as companion."""
    return msgspec.structs.replace(view(job_of(case), Job), companion=view(case.fixtures.get("testCtr") or {}, Job))


def train_job_starts(case: Case) -> list[str]:
    job = train_job(case)
    try:
        step = KINDS[TRAIN_JOB].start(job, infos_of(case))
    except PodSetConflictError as error:
        return [] if case.want.get("wantErr") else [f"refused: {error}"]
    if case.want.get("wantErr"):
        return ["it starts"]
    return differences(plain({**job_of(case), "spec": step.spec}), plain(case.want.get("wantTrainJob") or {}))


def train_job_restores(case: Case) -> list[str]:
    given = job_of(case)
    given.setdefault("spec", {})["suspend"] = False
    steps = KINDS[TRAIN_JOB].stop(view(given, Job), infos_of(case))
    wanted = copy.deepcopy(case.want.get("wantTrainJob") or {})
    wanted.setdefault("spec", {})["suspend"] = True
    return differences(plain(steps[-1].spec), plain(wanted["spec"]))


def train_job_default(case: Case) -> list[str]:
    """The corpus wraps the objects around this table; `with...` says which of them are there."""
    around = {kind: obj for wrapped in case.fixtures.values() for kind, obj in wrapped.items()}
    objects: list[tuple[Resource, Json]] = [(NAMESPACES, around["Namespace"])]
    queue, local = copy.deepcopy(around["ClusterQueue"]), copy.deepcopy(around["LocalQueue"])
    if case.given.get("withMultiKueueAdmissionCheck"):
        queue["spec"]["admissionChecksStrategy"] = {"admissionChecks": [{"name": "check"}]}
        objects.append((ADMISSION_CHECKS, {"metadata": {"name": "check"}, "spec": {"controllerName": MULTIKUEUE_CONTROLLER}}))
    objects += [(CLUSTER_QUEUES, queue), (LOCAL_QUEUES, local)]
    obj = copy.deepcopy(case.given["trainJob"])
    settings = admission_settings(case, manage_all=bool(case.given.get("manageJobsWithoutQueueName")), frameworks={TRAIN_JOB})
    world = World(objects, default_queue=bool(case.given.get("withDefaultLocalQueue")))
    mutate(KINDS[TRAIN_JOB].resource, obj, None, "CREATE", world, settings)
    return differences(plain(obj), plain(case.want.get("wantTrainJob") or {}))


def train_job_creation(case: Case) -> list[str]:
    runtimes = [(CLUSTER_TRAINING_RUNTIMES, case.given[name]) for name in ("clusterTrainingRuntime",) if case.given.get(name)]
    runtimes += [(TRAINING_RUNTIMES, case.given[name]) for name in ("trainingRuntime",) if case.given.get(name)]
    settings = admission_settings(case)
    if not case.given.get("topologyAwareScheduling", True):
        settings = dataclasses.replace(settings, gates={**settings.gates, "TopologyAwareScheduling": False})
    found, _ = reviewed(KINDS[TRAIN_JOB].resource, case.given["trainJob"], None, case, world=World(runtimes), settings=settings)
    return compare_causes(found, wanted_errors(case, "wantErr"), details=True)


def _essence(workload: Json) -> Any:
    """A Workload without its metadata, priority and templates."""
    kept = copy.deepcopy(workload)
    kept["spec"].pop("priority", None)
    for each in kept["spec"].get("podSets") or ():
        each.pop("template", None)
    return comparable(kept, without=("metadata",))


TRAIN_JOB = "trainer.kubeflow.org/trainjob"
MPI = "kubeflow.org/mpijob"
PYTORCH = "kubeflow.org/pytorchjob"
JOB_SET = "jobset.x-k8s.io/jobset"
RUNNERS: dict[str, dict[str, Runner]] = {
    "jobs-mpijob": {
        "TestCalcPriorityClassName": priority(MPI),
        "TestPodSets": pod_sets(MPI),
        "TestReconciler": reconciler(MPI),
        "TestRestorePodSetsInfo": restores(MPI),
        "TestRunWithPodSetsInfo": starts(MPI),
    },
    "jobs-jobset": {
        "TestPodSets": pod_sets(JOB_SET),
        "TestPodsReady": pods_ready(JOB_SET),
        "TestReclaimablePods": reclaimable(JOB_SET),
        "TestReconciler": reconciler(JOB_SET),
        "TestRestorePodSetsInfo": restores(JOB_SET),
    },
    "jobs-trainjob": {
        "TestDefault": train_job_default,
        "TestReconciler": reconciler(TRAIN_JOB),
        "TestRestorePodSetsInfo": train_job_restores,
        "TestRunWithPodsetsInfo": train_job_starts,
        "TestValidateCreate": train_job_creation,
    },
    "jobs-pytorchjob": {
        "TestOrderedReplicaTypes": order(PYTORCH),
        "TestPodSets": pod_sets(PYTORCH),
        "TestPriorityClass": priority(PYTORCH),
        "TestRestorePodSetsInfo": restores(PYTORCH),
    },
}
