"""Group `controller-jobframework`: what holds for jobs of all kinds. Its webhook tables are in `webhooks`."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from raysail.api.errors import StatusError
from raysail.api.kueue.admission.jobkinds import BATCH_JOB, BY_OWNER
from raysail.api.kueue.admission.surroundings import Surroundings
from raysail.api.kueue.external import external_framework
from raysail.api.kueue.names import MULTIKUEUE_CONTROLLER
from raysail.api.kueue.workloadname import MAX_NAME, MAX_SHORT_NAME, variant_name, workload_name
from raysail.api.meta import parse_time
from raysail.api.resources import NAMESPACES, REPLICA_SETS, WORKLOADS, Resource
from raysail.api.selectors import EVERYTHING, Requirement, Selector
from raysail.queue.cache import QueueCache
from raysail.queue.jobs import KINDS
from raysail.queue.jobs.gates import JobGates
from raysail.queue.jobs.kind import InvalidJobError, Job, topology_request
from raysail.queue.jobs.shared import Jobs, LookAgain, NestingTooDeepError
from raysail.queue.jobs.workloads import MissingPriorityClassError, pod_sets_of, priority_of
from raysail.queue.model.podset import equal_pod_sets
from raysail.queue.settings import QueueSettings, WaitForPodsReady
from tests.conformance.decisions.corpus import Case, Json, Skip, differences, plain, view
from tests.conformance.decisions.elastic import GivenPodSets
from tests.conformance.decisions.jobkinds import normal
from tests.conformance.decisions.memory import Bench
from tests.conformance.decisions.reconcile import NOW, Scene, compare_error, compare_events, compare_objects
from tests.conformance.decisions.webhooks import World, defaults, resource_of
from tests.conformance.decisions.webhooks import settings_of as admission_settings_of

BATCH = KINDS["batch/job"]


def reconcile(case: Case) -> list[str]:
    """A job whose pod sets the case says; where it is started, with what."""
    started: list[Any] = []

    class Kind(GivenPodSets):
        def start(self, job: Job, infos: Any) -> Any:
            started.append(infos)
            return super().start(job, infos)

    kind = Kind(case.given.get("podSets") or [])
    request = case.given["req"]
    scene = Scene(case)
    scene.put(NAMESPACES, [{"metadata": {"name": request["Namespace"]}}])
    scene.put_any(case.given.get("objs"))
    scene.put(kind.resource, [case.given["job"]])
    outcome = scene.reconcile(kind.framework, request["Namespace"], request["Name"], kind=kind)
    found = compare_error(outcome, None)
    found += compare_objects(outcome.all(WORKLOADS), case.want.get("wantWorkloads"), "workloads")
    if case.want.get("wantEvents"):
        found += compare_events(outcome, case.want["wantEvents"])
    wanted = case.want.get("wantPodSets")
    if wanted:
        got = [
            {"Name": i.name, "Count": i.count, "Labels": i.labels, "Annotations": i.annotations, "NodeSelector": i.node_selector}
            for infos in started
            for i in infos
        ]
        keys = ("Name", "Count", "Labels", "Annotations", "NodeSelector")
        found += differences(plain(got), plain([{key: each.get(key) for key in keys} for each in wanted]), "infos")
    return found


def activation(case: Case) -> list[str]:
    active = bool(case.given.get("jobActive"))

    class Kind(GivenPodSets):
        def workload_active(self, job: Job) -> bool | None:
            return active

    kind = Kind(case.fixtures["basePodSets"])
    request = case.fixtures["req"]
    scene = Scene(case)
    scene.put(NAMESPACES, [{"metadata": {"name": request["Namespace"]}}])
    scene.put(WORKLOADS, [case.fixtures["wl"]])
    scene.put(kind.resource, [case.fixtures["job"]])
    outcome = scene.reconcile(kind.framework, request["Namespace"], request["Name"], kind=kind)
    (workload,) = outcome.all(WORKLOADS)
    return compare_error(outcome, None) + differences(workload["spec"].get("active", True), case.want["expectedActive"], "active")


def pods_ready(case: Case) -> list[str]:
    """A refused write of the status is raised."""
    settings = QueueSettings(managed_jobs_namespace_selector=EVERYTHING, wait_for_pods_ready=WaitForPodsReady(), feature_gates=case.gates)
    scene = Scene(case, settings)
    job = copy.deepcopy(case.given["job"])
    scene.put(NAMESPACES, [case.fixtures["managedNamespace"]])
    scene.put(WORKLOADS, [case.given["workload"]])
    scene.put(BATCH.resource, [{key: value for key, value in job.items() if key not in ("kind", "apiVersion")}])
    wanted = case.want.get("wantError")
    if wanted:

        def refuse(verb: str, resource: Resource, name: str, subresource: str) -> None:
            if resource == WORKLOADS and subresource == "status":
                raise StatusError("InternalError", wanted)

        scene.bench.client.refuse = refuse
    outcome = scene.reconcile(BATCH.framework, job["metadata"]["namespace"], job["metadata"]["name"])
    return compare_error(outcome, wanted)


def ancestor(case: Case) -> list[str]:
    return asyncio.run(_ancestor(case))


async def _ancestor(case: Case) -> list[str]:
    bench = Bench(parse_time(case.now or NOW))
    external = tuple(external_framework(text) for text in case.given.get("externalFrameworks") or ())
    settings = QueueSettings(
        frameworks=tuple(case.given.get("integrations") or ()),
        external_frameworks=external,
        manage_jobs_without_queue_name=bool(case.given.get("manageJobsWithoutQueueName")),
        managed_jobs_namespace_selector=EVERYTHING,
        feature_gates=case.gates,
    )
    jobs = Jobs(bench.manager, QueueCache(bench.manager, settings), settings, KINDS.values())
    objects = [*(case.given.get("ancestors") or ()), case.given["job"]]
    called = {
        (reference["name"], reference["kind"]): reference["apiVersion"]
        for each in objects
        for reference in each["metadata"].get("ownerReferences") or ()
    }
    for obj in case.given.get("ancestors") or ():
        api_version = called.get((obj["metadata"]["name"], obj["kind"]), obj["apiVersion"])
        kind = BY_OWNER.get((api_version, obj["kind"]))
        other = next((each for each in external if (each.api_version, each.kind) == (api_version, obj["kind"])), REPLICA_SETS)
        resource = kind.resource if kind is not None else other
        if kind is not None and kind.framework == "deployment":
            raise Skip("a Pod of a Deployment says itself that it is held back: its owners are not asked")
        bench.add(resource, [{**obj, "apiVersion": api_version}])
    want = case.want
    try:
        found = jobs.ancestor(view(case.given["job"], Job))
    except (LookAgain, NestingTooDeepError) as error:
        wanted = want.get("wantErr")
        return [] if wanted and (wanted in str(error) or "limit" in wanted) else [f"got {error}, want {wanted}"]
    if want.get("wantErr"):
        return [f"got {found}, want {want['wantErr']}"]
    name = found[1].metadata.name if found is not None else None
    return differences(name, ((want.get("wantManaged") or {}).get("metadata") or {}).get("name"), "ancestor")


def external_kind(case: Case) -> list[str]:
    wanted = case.want.get("wantError")
    try:
        found = external_framework(case.given["kindArg"])
    except ValueError as error:
        return [] if wanted and wanted in str(error) else [f"got {error}, want {wanted}"]
    gvk = {"Group": found.group, "Version": found.version, "Kind": found.kind}
    return [f"want {wanted}"] if wanted else differences(gvk, case.want.get("wantGVK"), "kind")


def _longest(case: Case) -> int:
    return MAX_SHORT_NAME if JobGates.of(QueueSettings(feature_gates=case.gates)).short_workload_names else MAX_NAME


def name_with_extra(case: Case) -> list[str]:
    if "ownerName" not in case.given:
        return names_differ(case)
    given, gvk = case.given, case.given["ownerGVK"]
    found = workload_name(
        gvk["Kind"], gvk.get("Group", ""), given["ownerName"], given["ownerUID"], given.get("extra", ""), longest=_longest(case)
    )
    if case.want.get("wantPrefix"):
        return [] if found.startswith(case.want["wantPrefix"]) else [f"{found} does not start with {case.want['wantPrefix']}"]
    return differences(found, case.want["want"], "name")


def names_differ(case: Case) -> list[str]:
    given, gvk = case.given, case.fixtures["gvk"]
    one, other = (
        workload_name(
            gvk["Kind"],
            gvk["Group"],
            given.get(f"ownerName{n}", "job"),
            given.get(f"uid{n}", "uid"),
            str(given.get(f"generation{n}", given.get(f"extra{n}", ""))),
        )
        for n in (1, 2)
    )
    return differences(one == other, bool(case.want.get("wantEqual")), "equal")


def name_of_variant(case: Case) -> list[str]:
    given, gvk = case.given, case.given["ownerGVK"]
    found = variant_name(gvk["Kind"], gvk["Group"], given["parentName"], given["ownerUID"], given["flavor"], longest=_longest(case))
    return differences(found, case.want["want"], "name")


def names_of_variants_differ(case: Case) -> list[str]:
    given, gvk = case.given, case.fixtures["gvk"]
    one, other = (
        variant_name(
            gvk["Kind"],
            gvk["Group"],
            given.get(f"parentName{n}") or given.get("parentName") or "job-my-job-12345",
            given.get(f"uid{n}") or "uid",
            given[f"flavor{n}"],
        )
        for n in (1, 2)
    )
    return differences(one == other, bool(case.want.get("wantEqual")), "equal")


def priority(case: Case) -> list[str]:
    given = case.given
    wanted = case.want.get("wantErr")
    job = view({**given["job"], "kind": "Job", "apiVersion": "batch/v1"}, Job)
    try:
        priority_of(job, BATCH, given.get("podSets") or [], lambda name: None, lambda name: None, None)
    except MissingPriorityClassError as error:
        found = differences(str(error), wanted, "error")
        return found + differences(error.workload_class, bool(case.want.get("wantEvents")), "event")
    return [f"want {wanted}"] if wanted else []


def sanitized(case: Case) -> list[str]:
    kind = GivenPodSets(case.given.get("podSets") or [])
    return differences(normal(pod_sets_of(kind, Job())), normal(case.want.get("expectedPodSets")), "podSets")


def topology(case: Case) -> list[str]:
    given = case.given
    wanted = case.want.get("wantErr")
    try:
        found = topology_request(
            {"metadata": given.get("meta") or {}},
            pod_index_label=given.get("podIndexLabel") or "",
            sub_group_index_label=given.get("subGroupIndexLabel") or "",
            sub_group_count=given.get("subGroupCount"),
        )
    except InvalidJobError as error:
        return [] if wanted and wanted in str(error) else [f"got {error}, want {wanted}"]
    return [f"want {wanted}"] if wanted else differences(plain(found or {}), plain(case.want.get("wantReq") or {}), "request")


def equal(case: Case) -> list[str]:
    given = case.given
    found = equal_pod_sets(given.get("a") or [], given.get("b") or [], ignore_tolerations=bool(given.get("ignoreTolerations")))
    return differences(found, bool(case.want["wantEquivalent"]), "equivalent")


def has_no_counterpart(why: str) -> Callable[[Case], list[str]]:
    """For tables of what is only there in Go."""

    def run(case: Case) -> list[str]:
        raise Skip(why)

    return run


_REGISTRY = has_no_counterpart("how Go code registers integrations; here a kind is an entry of KINDS")
_UNUSED = has_no_counterpart("a function that Kueue itself does not use")


def base_default(case: Case) -> list[str]:
    """The defaults of a job of any kind. The test builds two LocalQueues, of which one hands on to other clusters."""
    if case.given.get("withoutIntegrationManager"):
        raise Skip("a webhook without integrations does not exist here")
    check = {"metadata": {"name": "admission-check"}, "spec": {"controllerName": MULTIKUEUE_CONTROLLER}}
    strategy = {"admissionChecks": [{"name": "admission-check"}]}
    case.given["objs"] = [
        {**check, "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "AdmissionCheck"},
        _queue("ClusterQueue", "cluster-queue", {"admissionChecksStrategy": strategy}),
        _queue("LocalQueue", "multikueue", {"clusterQueue": "cluster-queue"}),
    ]
    return defaults(BATCH_JOB, "job", "want")(case)


def _queue(kind: str, name: str, spec: Json) -> Json:
    namespace = {"namespace": "default"} if kind == "LocalQueue" else {}
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name, **namespace}, "spec": spec}


def should_suspend(case: Case) -> list[str]:
    """Where a job that is going is not tolerated, none of the table is going."""
    (requirement,) = case.fixtures["namespaceSelector"]
    operator = {"notin": "NotIn", "in": "In"}[requirement["operator"]]
    selector = Selector((Requirement(requirement["key"], operator, frozenset(requirement["strValues"])),))
    settings = admission_settings_of(case, manage_all=bool(case.given.get("manageJobsWithoutQueueName")), managed=selector)
    objects = [(NAMESPACES, case.fixtures[name]) for name in ("managedNamespace", "unmanagedNamespace")]
    parent = {"apiVersion": "batch/v1", "kind": "Job", **case.fixtures["parent"]}
    world = Surroundings(World([*objects, (resource_of(parent), parent)]), settings)
    wanted = case.want.get("wantErr")
    try:
        found = world.should_suspend(case.given["obj"])
    except StatusError as error:
        return [] if wanted and wanted in error.message else [f"got {error.message}, want {wanted}"]
    return [f"want {wanted}"] if wanted else differences(found, bool(case.want.get("wantSuspend")), "suspend")


RUNNERS = {
    "controller-jobframework": {
        "TestBaseWebhookDefault": base_default,
        "TestExtractPriorityReportsMissingWorkloadPriorityClass": priority,
        "TestFindAncestorJobManagedByKueue": ancestor,
        "TestGenerateWorkloadNameWithExtra": name_with_extra,
        "TestGenerateWorkloadNameWithExtra.2": name_with_extra,
        "TestGenerateWorkloadNameWithGeneration": names_differ,
        "TestGetWorkloadNameForVariant": name_of_variant,
        "TestGetWorkloadNameForVariant.2": names_of_variants_differ,
        "TestPodSetTopologyRequestBuilder": topology,
        "TestReconcileGenericJob": reconcile,
        "TestReconcileGenericJobWithCustomWorkloadActivation": activation,
        "TestReconcileGenericJobWithWaitForPodsReady": pods_ready,
        "TestSanitizePodSets": sanitized,
        "TestWorkloadShouldBeSuspended": should_suspend,
        "TestEnabledIntegrationsDependencies": _REGISTRY,
        "TestForEach": _REGISTRY,
        "TestGetJobTypeForOwner": _REGISTRY,
        "TestImplicitlyEnabledIntegrations": _REGISTRY,
        "TestProcessOptions": _REGISTRY,
        "TestRegisterExternal": external_kind,
        "TestSetupControllers": _REGISTRY,
        "TestValidateOnCreate": has_no_counterpart("how a Go interface adds its faults to those of all jobs"),
        "TestValidateOnUpdate": has_no_counterpart("how a Go interface adds its faults to those of all jobs"),
    },
    "jobs-raycluster": {"TestComparePodSetCounts": _UNUSED, "TestParsePodSetReplicaSizes": _UNUSED},
    "util-equality": {"TestComparePodSetSlices": equal},
}
