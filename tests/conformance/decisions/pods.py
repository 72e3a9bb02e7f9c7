"""Plain Pods and groups of Pods: group jobs-pod."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from raysail.api.kueue import Workload
from raysail.api.kueue.admission.jobkinds import BY_OWNER
from raysail.api.kueue.names import ADMISSION_GATE
from raysail.api.meta import parse_time
from raysail.api.resources import NAMESPACES, PODS, RESOURCE_FLAVORS, WORKLOADS
from raysail.queue.jobs import KINDS, pod_group
from raysail.queue.jobs.kind import Job
from raysail.queue.jobs.pod import PodReconciler, info_for
from raysail.queue.jobs.pod_group import Pods, gather, group_of_pod
from raysail.queue.metrics.gates import gates_gone, seconds_since_admission
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo
from tests.conformance.decisions.corpus import Case, Json, Skip, differences, plain, view
from tests.conformance.decisions.reconcile import Scene, compare_error, compare_events, compare_objects

KIND = KINDS["pod"]
FLAVOR = {"metadata": {"name": "unit-test-flavor"}, "spec": {"nodeLabels": {"kubernetes.io/arch": "arm64"}}}
NOT_COMPARED = ("metadata.deletionTimestamp",)


def key_of(case: Case, pod: Json) -> tuple[str, str]:
    """Namespace and name under which a Pod is reconciled."""
    group = group_of_pod(view(pod, Job), by_annotation=case.gates.get("WorkloadIdentifierAnnotations", True))
    namespace = pod["metadata"].get("namespace", "")
    return (f"group/{namespace}", group) if group else (namespace, pod["metadata"]["name"])


def reconcile(case: Case) -> list[str]:
    if any(each["key"]["Name"] == key_of(case, case.given["pods"][0])[1] for each in case.given.get("excessPodsExpectations") or ()):
        raise Skip("writes are read back at once here: there are no expectations to wait for")
    scene = Scene(case)
    scene.put(NAMESPACES, [case.fixtures["namespace"]])
    scene.put(PODS, case.given.get("pods"))
    scene.put_any(case.given.get("initObjects"))
    scene.put(RESOURCE_FLAVORS, [FLAVOR])
    workloads = copy.deepcopy(case.given.get("workloads") or [])
    if case.given.get("deleteWorkloads"):
        for workload in workloads:
            workload["metadata"]["deletionTimestamp"] = case.now
    scene.put(WORKLOADS, workloads)
    wanted = case.given.get("reconcileKey")
    namespace, name = (wanted["Namespace"], wanted["Name"]) if wanted else key_of(case, case.given["pods"][0])
    outcome = scene.act(KIND.framework, lambda reconciler: reconciler.reconcile((namespace, name)))
    found = compare_error(outcome, case.want.get("wantErr"))
    if case.want.get("wantPods") is not None:
        found += compare_objects(outcome.all(PODS), case.want["wantPods"], "pods", without=NOT_COMPARED)
    workloads, wanted_workloads = outcome.all(WORKLOADS), case.want.get("wantWorkloads") or []
    if [w["metadata"]["name"] for w in wanted_workloads] == ["wl"] and not case.given.get("workloads"):
        # A stand-in for one with a generated name: only its annotations are compared.
        workloads, wanted_workloads = (
            [{"metadata": {**_only_annotations(w), "name": ""}} for w in each] for each in (workloads, wanted_workloads)
        )
    found += compare_objects(workloads, wanted_workloads, "workloads", without=NOT_COMPARED)
    return found + compare_events(outcome, case.want.get("wantEvents"))


def _only_annotations(workload: Json) -> Json:
    return {"annotations": workload["metadata"].get("annotations") or {}}


# --- questions ----------------------------------------------------------------------------------------------------------------------------


def pods_of(given: Json, now: str = "") -> Pods:
    """The corpus' inner form of a job that is made of Pods."""
    listed = [view(each, Job) for each in (given.get("list") or {}).get("items") or ()]
    first = view(given["pod"], Job) if given.get("pod") else (listed[0] if listed else Job())
    grouped = bool(given.get("isGroup") or listed)
    made = gather(listed or [first], (group_of_pod(first) or "group") if grouped else "", parse_time(now or "2026-01-01T00:00:00Z"))
    return msgspec.structs.replace(made, metadata=first.metadata, spec=first.spec, status=first.status)


def pod_sets(case: Case) -> list[str]:
    made = KIND.pod_sets(pods_of(case.given["pod"]))
    if not case.gates.get("TopologyAwareScheduling", True):
        for each in made:
            each.pop("topologyRequest", None)
    return differences(plain(made), plain(case.want["observed"]["gotPodSets"]))


def is_active(case: Case) -> list[str]:
    pods = pods_of(case.given.get("fields") or {}, case.fixtures["now"])
    pods = msgspec.structs.replace(pods, fast_release=bool(case.given.get("enableFastQuotaRelease")))
    return differences(KIND.active(pods), bool(case.want.get("want")))


def pods_ready(case: Case) -> list[str]:
    return differences(KIND.pods_ready(pods_of(case.given["pod"])), bool(case.want.get("want")))


def role_limit(case: Case) -> list[str]:
    count = case.given["roleCount"]
    scene = Scene(case)
    scene.put(NAMESPACES, [{"metadata": {"name": "ns"}}])
    for at in range(count):
        annotations = {
            "kueue.x-k8s.io/pod-group-total-count": str(count),
            "kueue.x-k8s.io/role-hash": f"role-{at:02}",
            "kueue.x-k8s.io/pod-group-name": "test-group",
        }
        labels = {"kueue.x-k8s.io/queue-name": "user-queue", "kueue.x-k8s.io/managed": "true"}
        metadata = {"name": f"pod-{at}", "namespace": "ns", "uid": f"test-uid-{at}", "labels": labels, "annotations": annotations}
        gates = [{"name": "kueue.x-k8s.io/admission"}]
        scene.put(PODS, [{"metadata": metadata, "spec": {"schedulingGates": gates, "containers": [{"name": "c"}]}}])
    outcome = scene.reconcile(KIND.framework, "group/ns", "test-group")  # an attempt: it raises what a reconcile only tells
    if case.want["wantErr"]:
        return compare_error(outcome, case.want["wantErr"])
    made = outcome.one(WORKLOADS, "ns", "test-group")
    wanted = (case.given.get("local") or {}).get("wl") or {}
    if made is None:
        return [f"no Workload: {outcome.error}"]
    return differences(len(made["spec"]["podSets"]), count) + differences(
        sorted(plain(made["metadata"])["ownerReferences"], key=str), sorted(wanted["metadata"]["ownerReferences"], key=str)
    )


def run(case: Case) -> list[str]:
    """A single Pod does not start with what is meant for two."""
    pod = case.given["pods"][0]
    infos = [PodSetInfo(each.get("Name", ""), each.get("Count", 0)) for each in case.given["runInfo"]]
    try:
        info_for(gather([view(pod, Job)], "", parse_time("2026-01-01T00:00:00Z")), view(pod, Job), infos)
    except PodSetConflictError as error:
        return [] if str(case.want["wantErr"]) in str(error) else [f"got {error}, want {case.want['wantErr']}"]
    return [] if not case.want.get("wantErr") else ["it starts"]


def same_role(case: Case) -> list[str]:
    hashes = {pod_group.role_of(view(each["pod"], Job)) for each in case.given["pods"]}
    return differences(len(hashes) == 1, bool(case.want.get("wantEqualHash")))


def group_index(case: Case) -> list[str]:
    given = case.given["object"]
    if given.get("kind") != "Pod":
        raise Skip("only Pods come to the index")
    group = group_of_pod(view(given, Job), by_annotation=case.gates.get("WorkloadIdentifierAnnotations", True))
    return differences([group] if group else [], case.want.get("wantKeys") or [])


def owner_is_managed(case: Case) -> list[str]:
    owner = case.given["ownerReference"]
    return differences((owner["apiVersion"], owner["kind"]) in BY_OWNER, bool(case.want.get("wantRes")))


def stop(case: Case) -> list[str]:
    """A Pod that is stopped gets the reason in its status and is deleted."""
    pod = copy.deepcopy(case.given["pod"])
    pod["metadata"].pop("resourceVersion", None)
    scene = Scene(case)
    scene.put(PODS, [] if case.given.get("deleteBeforePatch") else [pod])

    async def act(reconciler: Any) -> None:
        current = reconciler.informer.get(pod["metadata"]["namespace"], pod["metadata"]["name"])
        stopped = gather([current or view({**pod, "metadata": {**pod["metadata"], "uid": "gone"}}, Job)], "", scene.bench.clock.now())
        await reconciler._stop(stopped, None, case.given["eventMsg"], case.given["stopReason"])

    outcome = scene.act(KIND.framework, act)
    patched = any(verb == "patch" and kind == "Pod" for verb, kind, _ in outcome.api.writes)
    deleted = any(verb == "delete" and kind == "Pod" for verb, kind, _ in outcome.api.writes)
    expected = not case.given.get("deleteBeforePatch")
    wrong = differences((patched, deleted), (expected and bool(case.want["wantPatched"]), bool(case.want.get("wantDeleted"))))
    said = [event["Key"]["Name"] for event in outcome.events if event["Reason"] == "Stopped"]
    return wrong + differences(said, [each["metadata"]["name"] for each in case.want.get("wantStopped") or ()])


def gate_removal(case: Case) -> list[str]:
    """The Pods start, and how long after the admission is what the metric adds up."""
    scene = Scene(case)
    scene.put(NAMESPACES, [{"metadata": {"name": "default"}}])
    scene.put(PODS, case.given["pods"])
    scene.put(RESOURCE_FLAVORS, [{"metadata": {"name": "rf"}, "spec": {"nodeLabels": {"kubernetes.io/arch": "arm64"}}}])
    scene.put(WORKLOADS, case.given["workloads"])
    outcome = scene.reconcile(KIND.framework, *key_of(case, case.given["pods"][0]))
    found = compare_error(outcome, case.want.get("wantErr"))
    found += compare_objects(outcome.all(PODS), case.want["wantPods"], "pods", without=NOT_COMPARED)
    workload = view(case.given["workloads"][0], Workload)
    before = {pod["metadata"]["name"]: view(pod, Job) for pod in case.given["pods"]}
    removed = [
        gate for pod in outcome.all(PODS) for gate in gates_gone(before[pod["metadata"]["name"]], view(pod, Job)) if gate == ADMISSION_GATE
    ]
    waited = seconds_since_admission(workload, parse_time(case.now or case.fixtures["now"])) or 0
    wanted = (case.want.get("wantMetricsCount", 0), case.want.get("wantMetricsSeconds", 0))
    return found + differences([len(removed), waited * len(removed)], list(wanted))


def workload_deleted(case: Case) -> list[str]:
    """Which groups are looked at when a Workload is deleted."""
    scene = Scene(case)
    scene.put(WORKLOADS, [case.given["workload"]])
    keys: list[tuple[str, str]] = []

    async def act(reconciler: PodReconciler) -> None:
        meta = case.given["workload"]["metadata"]
        workload = reconciler.cache.workloads.get(meta["namespace"], meta["name"])
        reconciler.controller.enqueue = keys.append  # type: ignore[method-assign]
        reconciler._workload_changed(workload, None)

    scene.act(KIND.framework, act)
    wanted = [(each["NamespacedName"]["Namespace"], each["NamespacedName"]["Name"]) for each in case.want.get("wantRequests") or ()]
    return differences(sorted(set(keys)), sorted(wanted))


RUNNERS = {
    "jobs-pod": {
        "TestReconciler": reconcile,
        "TestPodSets": pod_sets,
        "TestPod_IsActive": is_active,
        "TestPodsReady": pods_ready,
        "TestConstructComposableWorkloadPodGroupRoleLimit": role_limit,
        "TestRun": run,
        "TestGetRoleHash": same_role,
        "TestIndexPodGroupName": group_index,
        "TestIsPodOwnerManagedByQueue": owner_is_managed,
        "TestStop": stop,
        "TestRecordPodSchedulingGateRemovalSeconds": gate_removal,
        "TestWorkloadHandlerDelete": workload_deleted,
    },
}
