"""Admission and conversion tables: groups webhooks, apis-kueue-v1beta1, the webhook tables of jobs-* and controller-jobframework, util-tas coding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from raysail.api.errors import Cause, StatusError
from raysail.api.kueue import configuration, conversion, topologycoding
from raysail.api.kueue.admission import AdmissionSettings, mutate, review
from raysail.api.kueue.admission.defaults import default_job, default_local_queue, default_priority_class
from raysail.api.kueue.admission.jobkinds import (
    APP_WRAPPER,
    BATCH_JOB,
    BY_GROUP_KIND,
    BY_OWNER,
    DEPLOYMENT,
    JOB_SET,
    LEADER_WORKER_SET,
    MPI_JOB,
    POD,
    RAY_CLUSTER,
    RAY_JOB,
    RAY_SERVICE,
    STATEFUL_SET,
    TRAINING_JOBS,
    JobKind,
)
from raysail.api.kueue.admission.jobs import job_create_causes, job_update_causes
from raysail.api.kueue.admission.rayjobs import cluster_causes
from raysail.api.kueue.admission.rolehash import role_hash
from raysail.api.kueue.admission.serving import spec_shape_causes
from raysail.api.kueue.admission.settings import DEFAULT_GATES, FRAMEWORKS
from raysail.api.kueue.admission.surroundings import Surroundings
from raysail.api.kueue.admission.topology import PodSetSource, slice_size_causes, topology_causes
from raysail.api.kueue.visibility import pending_workloads_options
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    COHORTS,
    LOCAL_QUEUES,
    NAMESPACES,
    RESOURCE_FLAVORS,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
    Resource,
)
from raysail.api.selectors import EVERYTHING, Requirement, Selector, from_object
from tests.conformance.decisions.corpus import Case, Skip, differences, plain

Json = dict[str, Any]


def settings_of(
    case: Case, *, manage_all: bool = False, frameworks: Iterable[str] = FRAMEWORKS, managed: Selector | None = EVERYTHING
) -> AdmissionSettings:
    gates = {gate: on for gate, on in case.gates.items() if gate in DEFAULT_GATES}
    return AdmissionSettings(manage_all, managed, frozenset(frameworks), gates)


class World:
    """Objects that a case names, as `lookup` finds them."""

    def __init__(self, objects: Iterable[tuple[Resource, Json]] = (), *, default_queue: bool = False) -> None:
        self._objects = {(resource.plural, o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for resource, o in objects}
        self._default_queue = default_queue

    def __call__(self, resource: Resource, namespace: str, name: str) -> Json | None:
        if resource == LOCAL_QUEUES and name == "default" and self._default_queue:
            return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterQueue": "none"}}
        return self._objects.get((resource.plural, namespace, name))


def resource_of(obj: Json) -> Resource:
    kind = BY_OWNER.get((obj.get("apiVersion", ""), obj.get("kind", "")))
    if kind is not None:
        return kind.resource
    known = (NAMESPACES, WORKLOAD_PRIORITY_CLASSES, WORKLOADS, LOCAL_QUEUES, CLUSTER_QUEUES, ADMISSION_CHECKS)
    found = next((r for r in known if r.kind == obj.get("kind")), None)
    group, _, version = obj.get("apiVersion", "").rpartition("/")
    return found or Resource(group, version, obj.get("kind", ""), obj.get("kind", "").lower() + "s")


def wanted_errors(case: Case, *names: str) -> Any:
    return next((case.want[name] for name in names if case.want.get(name)), None)


def compare_causes(found: Sequence[Cause], wanted: Any, *, details: bool = False) -> list[str]:
    """Type and field of each fault, in order; texts where `details` says so."""
    if wanted is None or isinstance(wanted, bool):
        return [] if bool(found) == bool(wanted) else [f"got {[(c.reason, c.field, c.message) for c in found]}, want {wanted}"]
    if isinstance(wanted, str):
        texts = list(dict.fromkeys(f"{c.field}: {c.message}" for c in found))
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return [] if text == wanted else [f"got {text!r}, want {wanted!r}"]
    errors = [wanted] if isinstance(wanted, Mapping) else wanted
    if errors and isinstance(errors[0], str):
        texts = [f"{c.field}: {c.message}" for c in found]
        return [] if texts == errors else [f"got {texts}, want {errors}"]
    got = [(c.reason, c.field) for c in found]
    want = [(e["type"], e.get("field", "")) for e in errors]
    if got != want:
        return [f"got {got}", f"want {want}", f"texts {[c.message for c in found]}"]
    if details:
        missing = [e["detail"] for e in errors if e.get("detail") and not any(c.message.endswith(e["detail"]) for c in found)]
        return [f"no fault says {text!r}, but {[c.message for c in found]}" for text in missing]
    return []


def reviewed(
    resource: Resource, obj: Json, old: Json | None, case: Case, *, world: World | None = None, settings: AdmissionSettings | None = None
) -> tuple[list[Cause], list[str]]:
    try:
        verdict = review(resource, obj, old, "UPDATE" if old is not None else "CREATE", world or World(), settings or settings_of(case))
    except StatusError as error:
        return [Cause("Error", error.message)], []
    return list(verdict.causes), list(verdict.warnings)


# --- webhooks -----------------------------------------------------------------------------------------------------------------------------


def cluster_queue(case: Case) -> list[str]:
    found, _ = reviewed(CLUSTER_QUEUES, case.given["clusterQueue"], None, case)
    wrong = compare_causes(found, case.want["wantErr"])
    if not wrong and case.want.get("wantDetail"):
        wrong = [] if found[0].message.endswith(case.want["wantDetail"]) else [f"{found[0].message!r} is not {case.want['wantDetail']!r}"]
    return wrong


def cluster_queue_update(case: Case) -> list[str]:
    found, _ = reviewed(CLUSTER_QUEUES, case.given["newClusterQueue"], case.given["oldClusterQueue"], case)
    return compare_causes(found, case.want["wantErr"], details=True)


def _sized(case: Case, groups: list[Json]) -> list[str]:
    queue = {"metadata": {"name": "q"}, "spec": {"namespaceSelector": {}, "resourceGroups": groups}}
    found, _ = reviewed(CLUSTER_QUEUES, queue, None, case)
    return compare_causes(found, case.want["wantErr"])


def _group(flavors: Sequence[str], resources: Sequence[str]) -> Json:
    quotas = [{"name": resource, "nominalQuota": "1"} for resource in resources]
    return {"coveredResources": list(resources), "flavors": [{"name": flavor, "resources": quotas} for flavor in flavors]}


def total_flavors(case: Case) -> list[str]:
    return _sized(case, [_group([f"f{n:03}" for n in range(case.given["numFlavors"])], ["cpu"])])


def total_covered(case: Case) -> list[str]:
    count = case.given["numCoveredRes"]
    return _sized(case, [_group([f"f{start}"], [f"r{n}" for n in range(start, min(start + 16, count))]) for start in range(0, count, 16)])


def combinations(case: Case) -> list[str]:
    flavors = [f"f{n}" for n in range(case.given["numFlavors"])]
    return _sized(case, [_group(flavors, [f"r{n}" for n in range(case.given["numResources"])])])


def workload(case: Case) -> list[str]:
    found, _ = reviewed(WORKLOADS, case.given["workload"], None, case)
    return compare_causes(found, case.want["wantErr"])


def workload_update(case: Case) -> list[str]:
    found, _ = reviewed(WORKLOADS, case.given["after"], case.given["before"], case)
    return compare_causes(found, case.want["wantErr"])


# --- jobs ---------------------------------------------------------------------------------------------------------------------------------


def _manage_all(case: Case) -> bool:
    return bool(case.given.get("manageJobsWithoutQueueName") or case.given.get("manageAll"))


def _first(case: Case, *names: str) -> Json:
    return next((case.given[name] for name in names if case.given.get(name) is not None), {})


def creates(kind: JobKind, *names: str) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        obj = _first(case, *names)
        settings = settings_of(case, manage_all=_manage_all(case))
        found, warnings = reviewed(kind.resource, obj, None, case, settings=settings)
        wrong = compare_causes(found, wanted_errors(case, "wantValidationErrs", "wantErr"))
        return wrong + _warned(case, warnings)

    return run


def updates(kind: JobKind, new: Sequence[str], old: Sequence[str]) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        settings = settings_of(case, manage_all=_manage_all(case))
        if case.given.get("integrations"):
            settings = settings_of(case, manage_all=_manage_all(case), frameworks={*case.given["integrations"], kind.framework})
        world = World(((resource_of(o), o) for o in case.given.get("objs") or ()), default_queue=bool(case.given.get("defaultLqExist")))
        found, warnings = reviewed(kind.resource, _first(case, *new), _first(case, *old), case, world=world, settings=settings)
        wrong = compare_causes(found, wanted_errors(case, "wantValidationErrs", "wantErr"))
        return wrong + _warned(case, warnings)

    return run


def _warned(case: Case, warnings: list[str]) -> list[str]:
    wanted = case.want.get("wantWarns") or case.want.get("wantWarnings") or []
    return [] if warnings == wanted else [f"warned {warnings}, want {wanted}"]


def defaults(kind: JobKind, given: str, wanted: str) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        if case.given.get("podSelector"):
            raise Skip("podOptions: nothing in Kueue's Configuration sets a selector of Pods any more")
        obj = copy.deepcopy(case.given.get(given) or {})
        namespace = (obj.get("metadata") or {}).get("namespace", "")
        objects = [(resource_of(o), o) for key in ("objs", "initObjects", "initObjs") for o in case.given.get(key) or ()]
        objects += [(CLUSTER_QUEUES, q) for q in case.given.get("clusterQueues") or ()]
        objects += [(LOCAL_QUEUES, q) for q in case.given.get("queues") or ()]
        if case.given.get("admissionCheck"):
            objects.append((ADMISSION_CHECKS, _check_object(case.given["admissionCheck"])))
        if not any(r == NAMESPACES for r, _ in objects):
            objects.append((NAMESPACES, {"metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}}}))
        selector = case.given.get("managedJobsNamespaceSelector") or case.given.get("namespaceSelector")
        frameworks = case.given.get("enableIntegrations") or ()
        settings = settings_of(
            case,
            manage_all=_manage_all(case),
            managed=_selector(selector) if selector is not None else EVERYTHING,
            frameworks=frozenset(frameworks) | {kind.framework},
        )
        try:
            mutate(kind.resource, obj, None, "CREATE", World(objects, default_queue=bool(case.given.get("defaultLqExist"))), settings)
        except StatusError as error:
            return [] if case.want.get("wantErr") else [f"refused: {error.message}"]
        if case.want.get("wantErr"):
            return [f"not refused, want {case.want['wantErr']}"]
        want = case.want.get(wanted)
        if want is None and "wantManagedBy" in case.want:
            spec = obj.get("spec") or {}
            managed_by = (spec.get("runPolicy") or {}).get("managedBy") if kind.managed_by[1] == "runPolicy" else spec.get("managedBy")
            return [] if managed_by == case.want["wantManagedBy"] else [f"managedBy {managed_by}, want {case.want['wantManagedBy']}"]
        return differences(_without_role_hash(plain(obj)), _without_role_hash(plain(want or {})))

    return run


def _without_role_hash(obj: Json) -> Json:
    """The tables' Pods have `requests: {}`, which the corpus dropped: their hashes cannot come out (those of the recordings do)."""
    annotations = dict((obj.get("metadata") or {}).get("annotations") or {})
    if "kueue.x-k8s.io/role-hash" in annotations:
        annotations["kueue.x-k8s.io/role-hash"] = "some"
        obj = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
    return obj


def _check_object(check: Json) -> Json:
    if "metadata" in check:
        return check
    return {"metadata": {"name": check.get("Name") or check.get("name")}, "spec": {"controllerName": check.get("Controller") or ""}}


def framework_create(case: Case) -> list[str]:
    gvk = case.given["gvk"]
    kind = next((k for k in BY_GROUP_KIND.values() if (k.resource.group, k.resource.kind) == (gvk.get("Group", ""), gvk["Kind"])), None)
    resource = Resource(gvk.get("Group", ""), gvk["Version"], gvk["Kind"], gvk["Kind"].lower() + "s")
    kind = kind or JobKind(gvk["Kind"].lower(), gvk["Kind"].lower(), resource, ("spec", "suspend"))
    return compare_causes(job_create_causes(case.given["job"], kind, settings_of(case)), wanted_errors(case, "wantErr"))


def framework_update(case: Case) -> list[str]:
    world = Surroundings(World(default_queue=bool(case.given.get("nsHasDefaultQueue"))), settings_of(case))
    new, old = case.given["newJob"], case.given["oldJob"]
    suspended, was_suspended = BATCH_JOB.is_suspended(new), BATCH_JOB.is_suspended(old)
    found = job_update_causes(new, old, BATCH_JOB, world, suspended=suspended, was_suspended=was_suspended)
    return compare_causes(found, wanted_errors(case, "wantErr"))


def framework_local_queue(case: Case) -> list[str]:
    job = copy.deepcopy(case.given["job"])
    names = [case.fixtures["managedNamespace"], case.fixtures["unmanagedNamespace"]]
    objects = [
        (NAMESPACES, n if isinstance(n, dict) else {"metadata": {"name": n, "labels": {"kubernetes.io/metadata.name": n}}}) for n in names
    ]
    settings = settings_of(case, managed=_selector(case.fixtures["namespaceSelector"]))
    default_local_queue(job, Surroundings(World(objects, default_queue=True), settings))
    got = (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name", "")
    return [] if got == case.want.get("wantQueueLabel", "") else [f"got {got!r}, want {case.want.get('wantQueueLabel')!r}"]


def _selector(value: Any) -> Selector:
    if isinstance(value, Mapping):
        return from_object(value)
    operators = {"in": "In", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}
    return Selector(tuple(Requirement(r["key"], operators[r["operator"]], frozenset(r.get("strValues") or ())) for r in value))


def framework_priority_class(case: Case) -> list[str]:
    job = copy.deepcopy(case.given["job"])
    objects = [(WORKLOAD_PRIORITY_CLASSES, o) for o in case.given.get("wpcObjects") or ()]
    default_priority_class(job, Surroundings(World(objects), settings_of(case)))
    got = (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/priority-class", "")
    return [] if got == case.want.get("wantPriorityClassLabel", "") else [f"got {got!r}"]


def slice_constraints(case: Case) -> list[str]:
    path = case.fixtures.get("replicaPath") or "spec.template.metadata"
    found = topology_causes(str(path), {"annotations": case.given.get("annotations")}, settings_of(case))
    wanted = case.want.get("wantErrNum", 0)
    return [] if len(found) == wanted else [f"{len(found)} faults, want {wanted}: {[(c.field, c.message) for c in found]}"]


def slice_bound(case: Case) -> list[str]:
    source = PodSetSource(
        "main", case.given.get("podSetCount", 0), {"annotations": case.given.get("annotations")}, "spec.template.metadata"
    )
    found = slice_size_causes(source)
    wanted = case.want.get("wantErrNum", 0)
    return [] if len(found) == wanted else [f"{len(found)} faults, want {wanted}: {[(c.field, c.message) for c in found]}"]


def immutable_pod_spec(case: Case) -> list[str]:
    found = spec_shape_causes(case.given.get("newPodSpec") or {}, case.given.get("oldPodSpec") or {}, "spec")
    return compare_causes(found, wanted_errors(case, "wantErr"))


def slice_gate(case: Case) -> list[str]:
    job = copy.deepcopy(case.given["args"]["job"])
    default_job(job, BATCH_JOB, Surroundings(World(), settings_of(case)))
    gates = ((job.get("spec") or {}).get("template") or {}).get("spec", {}).get("schedulingGates")
    return differences(plain(gates or []), plain(case.want["want"] or []))


def ray_cluster_spec(case: Case) -> list[str]:
    found = cluster_causes(case.given["object"], case.given["rayClusterSpec"], settings_of(case), "spec")
    return compare_causes(found, wanted_errors(case, "wantErrors"))


def pod_role_hash(case: Case) -> list[str]:
    same = role_hash(case.given["podSpec"]) == case.fixtures["baseHash"]
    return (
        [] if same == bool(case.want.get("wantBaseHash")) else [f"{role_hash(case.given['podSpec'])} against {case.fixtures['baseHash']}"]
    )


# --- conversion and coding ------------------------------------------------------------------------------------------------------------------


def converts(kind: str, version: str) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        before = copy.deepcopy(case.given["input"])
        made = conversion.convert(case.given["input"], version, kind)
        assert case.given["input"] == before
        return differences(plain(made), plain(case.want["expected"]))

    return run


def round_trip(kind: str) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        name = case.want["roundTripEqualsInput"]
        first, second = ("v1beta2", "v1beta1") if name == "v1beta1Obj" else ("v1beta1", "v1beta2")
        made = conversion.convert(conversion.convert(case.given[name], first, kind), second, kind)
        return differences(plain(made), plain(case.given[name]))

    return run


def configures(version: str) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        return differences(plain(configuration.with_defaults(case.given["original"], version)), plain(case.want["want"]))

    return run


def configuration_up(case: Case) -> list[str]:
    return differences(plain(configuration.to_v1beta2(case.given["input"])), plain(case.want["expected"]))


def configuration_down(case: Case) -> list[str]:
    return differences(plain(configuration.to_v1beta1(case.given["input"])), plain(case.want["expected"]))


def configuration_round_trip(case: Case) -> list[str]:
    made = configuration.to_v1beta1(configuration.to_v1beta2(case.given["v1beta1Obj"]))
    return differences(plain(made), plain(case.given["v1beta1Obj"]))


def pending_options(case: Case) -> list[str]:
    made = pending_workloads_options(case.given["inputQueryParams"])._asdict()
    return differences(plain(made), plain(case.want["wantPendingWorkloadOptions"]))


def _domains(internal: Any) -> tuple[list[str], list[topologycoding.Domain]]:
    internal = internal or {}
    return internal.get("Levels") or [], [
        topologycoding.Domain(tuple(d.get("Values") or ()), d.get("Count", 0)) for d in internal.get("Domains") or ()
    ]


def encodes(case: Case) -> list[str]:
    if case.given.get("internal") is None:
        return []
    made = topologycoding.encode(
        *_domains(case.given["internal"]), by_hostname_prefix=case.gates.get("TASAssignmentsEncodingByHostnamePrefix", True)
    )
    return differences(plain(made), plain(case.want["v1beta2"]))


def encodes_runs(case: Case) -> list[str]:
    return differences(
        plain(topologycoding.encode_by_prefix_runs(*_domains(case.given["internal"]))), plain(case.want.get("want", case.want))
    )


def decodes(case: Case) -> list[str]:
    given, internal = case.given.get("v1beta2"), case.want.get("internal")
    if given is None:
        return [] if internal is None else ["nothing to decode"]
    wanted = internal.get("Domains") or [] if isinstance(internal, Mapping) else internal or []
    return differences([{"Values": list(d.values), "Count": d.count} for d in topologycoding.decode(given)], wanted)


def pod_counts(case: Case) -> list[str]:
    return differences([d.count for d in topologycoding.decode(case.given.get("v1beta2") or {})], case.want.get("podCounts") or [])


def domain_count(case: Case) -> list[str]:
    got = topologycoding.domain_count(case.given.get("v1beta2"))
    return [] if got == case.want.get("totalDomainCount", 0) else [f"got {got}"]


def prefix_keys(case: Case) -> list[str]:
    _, domains = _domains({"Domains": case.given["domains"]})
    want = case.want.get("want", case.want)
    return differences(topologycoding.hostname_prefix_keys([d.values[-1] for d in domains]), want)


def domain_runs(case: Case) -> list[str]:
    _, domains = _domains({"Domains": case.given.get("domains")})
    made = [len(run) for run in topologycoding.runs(domains, case.given.get("prefixKeys") or [])]
    return differences(made, case.want.get("want") or [])


_NEW_OBJECTS = ("newJob", "newObj", "newService", "newDeployment", "newPod")
_OLD_OBJECTS = ("oldJob", "oldObj", "oldService", "oldDeployment", "oldPod")


def job_group(kind: JobKind, given: str, wanted: str = "want", default_test: str = "TestDefault") -> dict[str, Callable[[Case], list[str]]]:
    return {
        default_test: defaults(kind, given if default_test == "TestDefault" and wanted == "want" else "oldJob", wanted),
        "TestValidateCreate": creates(kind, given, "job"),
        "TestValidateUpdate": updates(kind, _NEW_OBJECTS, _OLD_OBJECTS),
    }


CONVERTED = ("ClusterQueue", "LocalQueue", "MultiKueueCluster", "Workload")
RUNNERS: dict[str, dict[str, Callable[[Case], list[str]]]] = {
    "webhooks": {
        "TestValidateClusterQueue": cluster_queue,
        "TestValidateClusterQueueUpdate": cluster_queue_update,
        "TestValidateTotalFlavors": total_flavors,
        "TestValidateTotalCoveredResources": total_covered,
        "TestValidateFlavorResourceCombinations": combinations,
        "TestValidateCohort": lambda case: compare_causes(reviewed(COHORTS, case.given["cohort"], None, case)[0], case.want["wantErr"]),
        "TestValidateResourceFlavor": lambda case: compare_causes(
            reviewed(RESOURCE_FLAVORS, case.given["rf"], None, case)[0], case.want["wantErr"]
        ),
        "TestValidateWorkload": workload,
        "TestValidateWorkloadUpdate": workload_update,
    },
    "apis-kueue-v1beta1": {
        **{f"Test{kind}ConvertTo": converts(kind, "v1beta2") for kind in CONVERTED},
        **{f"Test{kind}ConvertFrom": converts(kind, "v1beta1") for kind in CONVERTED},
        **{f"Test{kind}Conversion_RoundTrip": round_trip(kind) for kind in CONVERTED},
        **{f"Test{kind}Conversion_RoundTrip_Reverse": round_trip(kind) for kind in CONVERTED},
    },
    "apis-config-v1beta1": {
        "TestSetDefaults_Configuration": configures(configuration.V1BETA1),
        "TestConfigurationQueueConvertTo": configuration_up,
        "TestConfigurationQueueConvertFrom": configuration_down,
        "TestConfigurationQueueConversion_RoundTrip": configuration_round_trip,
    },
    "apis-config-v1beta2": {"TestSetDefaults_Configuration": configures(configuration.V1BETA2)},
    "apis-visibility-v1beta1": {"TestPendingWorkloadsOptions": pending_options},
    "apis-visibility-v1beta2": {"TestPendingWorkloadsOptions": pending_options},
    "jobs-job": {**job_group(BATCH_JOB, "job"), "Test_applyWorkloadSliceSchedulingGate": slice_gate},
    "jobs-rayjob": job_group(RAY_JOB, "job", "newJob"),
    "jobs-raycluster": {
        **job_group(RAY_CLUSTER, "job", "newJob", "TestValidateDefault"),
        "TestValidateCreateRayClusterSpec": ray_cluster_spec,
    },
    "jobs-rayservice": job_group(RAY_SERVICE, "service"),
    "jobs-pod": job_group(POD, "pod"),
    "jobs-deployment": job_group(DEPLOYMENT, "deployment"),
    "jobs-statefulset": {**job_group(STATEFUL_SET, "statefulset"), "TestValidateCreate": creates(STATEFUL_SET, "sts")},
    "jobs-leaderworkerset": job_group(LEADER_WORKER_SET, "lws"),
    "jobs-jobset": job_group(JOB_SET, "jobSet"),
    "jobs-mpijob": job_group(MPI_JOB, "mpiJob"),
    "jobs-pytorchjob": {"TestValidate": creates(TRAINING_JOBS[0], "job")},
    "jobs-appwrapper": job_group(APP_WRAPPER, "job"),
    "controller-jobframework": {
        "TestValidateJobOnCreate": framework_create,
        "TestValidateJobOnUpdate": framework_update,
        "TestApplyDefaultLocalQueue": framework_local_queue,
        "TestApplyDefaultWorkloadPriorityClass": framework_priority_class,
        "TestValidateSliceRequiredTopologyConstraintsAnnotation": slice_constraints,
        "TestValidateSliceSizeAnnotationUpperBound": slice_bound,
        "TestValidateImmutablePodSpec": immutable_pod_spec,
    },
    "util-pod": {"TestGenerateRoleHash": pod_role_hash},
    "util-tas": {
        "TestV1Beta2FromInternal": encodes,
        "TestCompactTopologyAssignmentEncodingWithHostnamePrefixRuns": encodes_runs,
        "TestInternalFromV1Beta2": decodes,
        "TestInternalSeqFromV1Beta2": decodes,
        "TestPodCounts": pod_counts,
        "TestTotalDomainCount": domain_count,
        "TestReusableHostnamePrefixKeys": prefix_keys,
        "TestCompactDomainRuns": domain_runs,
    },
}
