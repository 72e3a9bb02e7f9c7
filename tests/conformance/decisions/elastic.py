"""Elastic jobs: groups `workloadslicing` (which slice stands for a job) and `controller-elasticjobs` (which Pods may run)."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from typing import Any

from raysail.api.errors import StatusError
from raysail.api.kueue import Workload
from raysail.api.meta import parse_time
from raysail.api.resources import PODS, WORKLOADS, Resource
from raysail.queue.cache import QueueCache
from raysail.queue.jobs import KINDS
from raysail.queue.jobs.batch_job import BatchJob
from raysail.queue.jobs.elastic_pods import may_ungate
from raysail.queue.jobs.elastic_ungater import ElasticJobUngater
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import Job, JsonObject
from raysail.queue.jobs.reconciler import JobReconciler
from raysail.queue.jobs.shared import Jobs
from raysail.queue.model.slices import latest_with_quota, normalize, replaced_slice, replacement_for, scaled_down, unfinished
from raysail.queue.settings import QueueSettings
from tests.conformance.decisions.corpus import Case, Json, Skip, differences, view
from tests.conformance.decisions.memory import Bench
from tests.conformance.decisions.reconcile import comparable, compare_objects

NOW = "2026-11-23T07:44:40Z"


def settings_of(case: Case) -> QueueSettings:
    return QueueSettings(wait_for_pods_ready=None, feature_gates=case.gates)


def workloads_of(objects: Any) -> list[Workload]:
    return [view(obj, Workload) for obj in objects or ()]


def stored(case: Case) -> list[Json]:
    """The Workloads of the case that its job owns."""
    args = case.given["args"]
    found: list[Json] = (args.get("clnt") or {}).get("$client", {}).get("Workload") or []
    name = args["jobObject"]["metadata"]["name"]
    return [each for each in found if any(owner["name"] == name for owner in each["metadata"].get("ownerReferences") or ())]


class GivenPodSets(BatchJob):
    """A batch Job whose pod sets the case says."""

    def __init__(self, pod_sets: list[JsonObject]) -> None:
        self._given = pod_sets

    def pod_sets(self, job: Job) -> list[JsonObject]:
        return copy.deepcopy(self._given)


def enabled(case: Case) -> list[str]:
    gates = JobGates.of(settings_of(case))
    annotations = ((case.given.get("args", {}).get("object") or {}).get("metadata") or {}).get("annotations")
    return differences(gates.elastic(annotations), bool(case.want.get("want")), "enabled")


def ensure(case: Case) -> list[str]:
    return asyncio.run(_ensure(case))


async def _ensure(case: Case) -> list[str]:
    """Where an error is wanted the API of the case refuses writes, which its data do not show. The scheduler has had time to do its part."""
    bench = Bench(parse_time(case.now or NOW) + timedelta(minutes=1))
    kind = GivenPodSets(case.given["args"].get("jobPodSets") or [])
    kinds = {**KINDS, kind.framework: kind}
    settings = settings_of(case)
    reconciler = JobReconciler(Jobs(bench.manager, QueueCache(bench.manager, settings), settings, kinds.values()), kind)
    bench.add(WORKLOADS, stored(case))
    want = case.want["want"]
    if want.get("error"):

        def refuse(verb: str, resource: Resource, name: str, subresource: str) -> None:
            raise StatusError("InternalError", f"{verb} {resource.kind} {name}")

        bench.client.refuse = refuse
    try:
        fits, workload = await reconciler._ensure_slices(view(case.given["args"]["jobObject"], Job))
    except StatusError as error:
        return [] if want.get("error") else [str(error)]
    if want.get("error"):
        return ["an error is wanted"]
    found = differences(fits, bool(want.get("compatible")), "compatible")
    got = next((o for o in bench.client.of(WORKLOADS) if workload is not None and o["metadata"]["name"] == workload.metadata.name), None)
    found += differences(comparable(got, without=("metadata.creationTimestamp",)), _wanted(want.get("workload")), "workload")
    if case.want.get("wantWorkloads"):
        found += compare_objects(
            bench.client.of(WORKLOADS), case.want["wantWorkloads"], "workloads", without=("metadata.creationTimestamp",)
        )
    return found


def _wanted(obj: Json | None) -> Any:
    return comparable(obj, without=("metadata.creationTimestamp",))


def find_not_finished(case: Case) -> list[str]:
    if case.want.get("wantErr"):
        raise Skip("listing fails; here Workloads are read from memory")
    found = [each.metadata.name for each in unfinished(workloads_of(stored(case)))]
    return differences(found, [each["metadata"]["name"] for each in case.want.get("want") or ()], "names")


def find_latest(case: Case) -> list[str]:
    found = latest_with_quota(workloads_of(case.given.get("workloads")))
    return differences(found.metadata.name if found is not None else "", case.want.get("want") or "", "latest")


def normalized(case: Case) -> list[str]:
    """`survivor` stands for the job, `keptAdmitted` is kept beside it; all others are finished."""
    slices = unfinished(workloads_of(case.given.get("workloads")))
    selected, finish = normalize(slices)
    over = {each.workload.metadata.name for each in finish}
    name = selected.metadata.name if selected is not None else ""
    kept = [each.metadata.name for each in slices if each.metadata.name not in over and each.metadata.name != name]
    want = case.want["want"]
    found = differences(name, want.get("survivor") or "", "survivor")
    found += differences(kept, [want["keptAdmitted"]] if want.get("keptAdmitted") else [], "kept")
    for reason in ("wantReplaced", "replaced"):
        if want.get(reason):
            found += differences(
                sorted(each.workload.metadata.name for each in finish if each.reason == "WorkloadSliceReplaced"),
                sorted(want[reason]),
                reason,
            )
    return found


def preemptible_key(case: Case) -> list[str]:
    wl = case.given["args"]["wl"]
    return differences(replacement_for(view({"metadata": {}, **wl}, Workload)), case.want.get("want"), "key")


def replaced(case: Case) -> list[str]:
    """The cases build their snapshot in ways that the data show only in part: the holders of the Workload's own ClusterQueue."""
    args = case.given.get("args") or {}
    info = args.get("wl") or {}
    queues = ((args.get("snap") or {}).get("Manager") or {}).get("clusterQueues") or {}
    holders = ((queues.get(info.get("ClusterQueue", "")) or {}).get("Workloads")) or {}
    gates = JobGates.of(settings_of(case))
    found = replaced_slice(view(info["Obj"], Workload), holders) if gates.elastic_jobs and info.get("Obj") else None
    name = found["Obj"]["metadata"]["name"] if found is not None else None
    want = case.want.get("want") or {}
    obj = (want.get("replaced") or want.get("info") or {}).get("Obj") or {}
    return differences(name, (obj.get("metadata") or {}).get("name"), "replaced")


def scaled(case: Case) -> list[str]:
    args = case.given["args"]
    found = scaled_down(args.get("oldCounts") or {}, args.get("newCounts") or {})
    return differences(found, bool(case.want.get("want")), "scaled down")


def ungate(case: Case) -> list[str]:
    return asyncio.run(_ungate(case))


async def _ungate(case: Case) -> list[str]:
    bench = Bench(parse_time(case.now or NOW))
    settings = settings_of(case)
    ungater = ElasticJobUngater(bench.manager, QueueCache(bench.manager, settings), settings)
    pods = copy.deepcopy(case.given.get("pods") or [])
    workloads = case.given.get("workloads") or []
    if not case.given.get("skipDefaultPodSetLabels"):
        pods = [_labelled(pod) for pod in pods]
    bench.add(WORKLOADS, workloads)
    bench.add(PODS, pods)
    if case.given.get("expectUIDs") or case.want.get("expectUIDs"):
        raise Skip("waits for writes to be seen; here each is seen with its answer")
    key = case.given.get("reconcileKey") or {}
    name = key.get("Name") or (workloads[0]["metadata"]["name"] if workloads else "missing")
    await ungater.reconcile((key.get("Namespace") or "ns", name))
    wanted = [_labelled(pod) for pod in case.want.get("wantPods") or ()] if not case.given.get("skipDefaultPodSetLabels") else None
    return compare_objects(bench.client.of(PODS), wanted if wanted is not None else case.want.get("wantPods"), "pods")


def should_ungate(case: Case) -> list[str]:
    given = case.given.get("args") or case.given
    workload = given.get("workload") or given.get("wl") or {}
    found = may_ungate(view({"metadata": {}, **workload}, Workload), JobGates.of(settings_of(case)))
    return differences(found, bool(case.want.get("want")), "ungate")


def _labelled(pod: Json) -> Json:
    """The tables leave the pod set's label out where it is `main`."""
    labelled = copy.deepcopy(pod)
    labelled["metadata"].setdefault("labels", {}).setdefault("kueue.x-k8s.io/podset", "main")
    return labelled


RUNNERS = {
    "workloadslicing": {
        "TestEnabled": enabled,
        "TestEnsureWorkloadSlices": ensure,
        "TestFindLatestActiveWorkload": find_latest,
        "TestFindNotFinishedWorkloads": find_not_finished,
        "TestNormalizeActiveSlices": normalized,
        "TestPreemptibleSliceKey": preemptible_key,
        "TestReplacedWorkloadSlice": replaced,
        "TestScaledDown": scaled,
    },
    "controller-elasticjobs": {"TestReconcile": ungate, "TestShouldUngate": should_ungate},
}
