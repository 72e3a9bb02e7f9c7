"""Kinds that serve: groups jobs-statefulset and jobs-leaderworkerset."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysail.api.kueue import Workload
from raysail.api.resources import NAMESPACES, PODS, STATEFUL_SETS, WORKLOAD_PRIORITY_CLASSES, WORKLOADS
from raysail.queue.jobs import KINDS
from raysail.queue.jobs.kind import Job
from raysail.queue.jobs.leader_worker_set import LEADER_WORKER_SETS, workload_index
from raysail.queue.jobs.stateful_set import StatefulSetReconciler
from tests.conformance.decisions.corpus import Case, Skip, differences, view
from tests.conformance.decisions.reconcile import Scene, compare_error, compare_events, compare_objects, settings_of

STATEFUL_SET = "statefulset"
LEADER_WORKER_SET = KINDS["leaderworkerset.x-k8s.io/leaderworkerset"].framework


def scene_of(case: Case, **settings: Any) -> Scene:
    scene = Scene(case, dataclasses.replace(settings_of(case), **settings))
    namespaces = {"ns", "test-ns", "default"}
    scene.put(NAMESPACES, [{"metadata": {"name": name}} for name in sorted(namespaces)])
    scene.put(PODS, case.given.get("pods"))
    scene.put(WORKLOADS, case.given.get("workloads"))
    scene.put_any(case.given.get("priorityClasses"))
    scene.put(WORKLOAD_PRIORITY_CLASSES, case.given.get("workloadPriorityClasses"))
    return scene


def stateful_set(case: Case) -> list[str]:
    scene = scene_of(case)
    scene.put(STATEFUL_SETS, [case.given.get("statefulSet")])
    key = case.given["stsKey"]
    outcome = scene.reconcile(STATEFUL_SET, key["Namespace"], key["Name"])
    want = case.want
    found = compare_error(outcome, want.get("wantErr"))
    found += compare_objects(outcome.all(STATEFUL_SETS), [want["wantStatefulSet"]] if want.get("wantStatefulSet") else [], "statefulsets")
    found += compare_objects(outcome.all(PODS), want.get("wantPods"), "pods")
    found += compare_objects(outcome.all(WORKLOADS), want.get("wantWorkloads"), "workloads")
    return found + compare_events(outcome, want.get("wantEvents"))


def stateful_set_pod(case: Case) -> list[str]:
    """A Pod of a StatefulSet becomes a member of its group."""
    scene = scene_of(case, manage_jobs_without_queue_name=bool(case.given.get("manageJobsWithoutQueueName")))
    stateful, pod = case.given.get("sts"), case.given["pod"]
    scene.put(STATEFUL_SETS, [stateful])
    scene.put(PODS, [pod])

    async def act(reconciler: StatefulSetReconciler) -> None:
        here = reconciler.pods.get(pod["metadata"]["namespace"], pod["metadata"]["name"])
        key = reconciler.key_of_pod(here) if here is not None else None
        job = reconciler.informer.get(*key) if key is not None else None
        if here is not None and job is not None:
            await reconciler.keep(job, reconciler.workload_of(job)[0], here)

    outcome = scene.act(STATEFUL_SET, act)
    return compare_error(outcome, case.want.get("wantErr")) + compare_objects(outcome.all(PODS), case.want.get("wantPods"), "pods")


def stateful_set_names(case: Case) -> list[str]:
    names: list[str] = []

    async def act(reconciler: StatefulSetReconciler) -> None:
        for at in "12":
            job = view({"metadata": {"name": case.given[f"name{at}"], "uid": case.given[f"uid{at}"]}}, Job)
            names.append(reconciler.workload_name(job, job.metadata.uid))

    scene_of(case).act(STATEFUL_SET, act)
    return differences(names[0] == names[1], bool(case.want.get("wantEqual")))


def stateful_set_handled(case: Case) -> list[str]:
    """Whether the reconciler leaves it to another framework."""
    given = case.given["obj"]
    if given.get("apiVersion") != "apps/v1":
        raise Skip("only StatefulSets come to this reconciler")
    held: list[bool] = []

    async def act(reconciler: StatefulSetReconciler) -> None:
        job = view({**given, "metadata": {**given["metadata"], "labels": {"kueue.x-k8s.io/queue-name": "lq"}}}, Job)
        held.append(reconciler._is_held(job))

    scene_of(case).act(STATEFUL_SET, act)
    return differences(held, [bool(case.want.get("want"))])


def scale_down(case: Case) -> list[str]:
    scene = scene_of(case)
    scene.put(WORKLOADS, [case.given["workload"]])
    meta = case.given["workload"]["metadata"]

    async def act(reconciler: StatefulSetReconciler) -> None:
        workload = reconciler.cache.workloads.get(meta["namespace"], meta["name"])
        assert workload is not None
        await reconciler.hold(workload)

    left = scene.act(STATEFUL_SET, act).one(WORKLOADS, meta["namespace"], meta["name"]) or {}
    status = left.get("status") or {}
    reserved = next((c for c in status.get("conditions") or () if c["type"] == "QuotaReserved"), None)
    wanted = case.want.get("wantQuotaReserved")
    return differences(status.get("admission") is None, bool(case.want["wantAdmissionNil"])) + differences(
        (reserved["status"], reserved["reason"]) if reserved else None, (wanted["status"], wanted["reason"]) if wanted else None
    )


def leader_worker_set(case: Case) -> list[str]:
    scene = scene_of(case, label_keys_to_copy=tuple(case.given.get("labelKeysToCopy") or ()))
    scene.put(LEADER_WORKER_SETS, [case.given.get("leaderWorkerSet")])
    scene.put(STATEFUL_SETS, case.given.get("statefulSets"))
    key = case.fixtures["request"]["NamespacedName"]
    want = case.want
    if want.get("wantErr") == case.fixtures.get("workloadUpdateErr"):

        def refuse(verb: str, resource: Any, name: str, subresource: str) -> None:
            if verb in ("patch", "update") and resource == WORKLOADS:
                raise RuntimeError(want["wantErr"])

        scene.bench.client.refuse = refuse
    outcome = scene.reconcile(LEADER_WORKER_SET, key["Namespace"], key["Name"])
    found = compare_error(outcome, want.get("wantErr"))
    found += compare_objects(outcome.all(LEADER_WORKER_SETS), want.get("wantLeaderWorkerSets"), "leaderworkersets")
    found += compare_objects(outcome.all(PODS), want.get("wantPods"), "pods")
    found += compare_objects(outcome.all(WORKLOADS), want.get("wantWorkloads"), "workloads")
    return found + compare_events(outcome, want.get("wantEvents"))


def index_of(case: Case) -> list[str]:
    given = case.given.get("workload")
    return differences(workload_index(view(given, Workload) if given is not None else None), case.want.get("wantIndex", 0))


RUNNERS = {
    "jobs-statefulset": {
        "TestReconciler": stateful_set,
        "TestPodReconciler": stateful_set_pod,
        "TestGetWorkloadName": stateful_set_names,
        "TestHandle": stateful_set_handled,
        "TestReleaseScaleDownReservation": scale_down,
    },
    "jobs-leaderworkerset": {"TestReconciler": leader_worker_set, "TestGetWorkloadIndex": index_of},
}
