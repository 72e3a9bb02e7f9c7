"""Kueue's webhooks as functions: each test is one rule."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest

from raysail.api.errors import StatusError
from raysail.api.kueue.admission import FRAMEWORKS, AdmissionSettings, mutate, review
from raysail.api.kueue.admission.rolehash import role_hash
from raysail.api.kueue.workloadname import workload_name
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    COHORTS,
    DEPLOYMENTS,
    JOBS,
    LOCAL_QUEUES,
    NAMESPACES,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
    RAY_SERVICES,
    RESOURCE_FLAVORS,
    STATEFUL_SETS,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
    Resource,
)

Json = dict[str, Any]
ALL = AdmissionSettings(frameworks=FRAMEWORKS)
QUEUE = "kueue.x-k8s.io/queue-name"


class World:
    """Other objects, found by resource, namespace and name."""

    def __init__(self, *objects: tuple[Resource, Json]) -> None:
        self.objects = {(r.plural, o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for r, o in objects}

    def __call__(self, resource: Resource, namespace: str, name: str) -> Json | None:
        if resource == NAMESPACES:
            return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
        return self.objects.get((resource.plural, namespace, name))


EMPTY = World()


def meta(name: str = "a", queue: str = "", **more: Any) -> Json:
    labels = {QUEUE: queue} if queue else {}
    return {"name": name, "namespace": "ns", "labels": {**labels, **more.pop("labels", {})}, **more}


def batch_job(
    queue: str = "", *, annotations: Json | None = None, labels: Json | None = None, metadata: Json | None = None, **spec: Any
) -> Json:
    return {
        "metadata": {**meta(queue=queue, labels=labels or {}, annotations=annotations or {}), **(metadata or {})},
        "spec": {"parallelism": 2, "completions": 2, "template": {"metadata": {}, "spec": {"containers": [{"name": "c"}]}}, **spec},
    }


def ray_cluster_spec(**more: Any) -> Json:
    return {
        "headGroupSpec": {"template": {"spec": {"containers": [{"name": "head"}]}}},
        "workerGroupSpecs": [{"groupName": "small", "replicas": 1, "template": {"spec": {"containers": [{"name": "worker"}]}}}],
        **more,
    }


def ray_job(queue: str = "", **spec: Any) -> Json:
    return {"metadata": meta(queue=queue), "spec": {"shutdownAfterJobFinishes": True, "rayClusterSpec": ray_cluster_spec(), **spec}}


def created(resource: Resource, obj: Json, world: World = EMPTY, settings: AdmissionSettings = ALL) -> Json:
    made = copy.deepcopy(obj)
    mutate(resource, made, None, "CREATE", world, settings)
    return made


def faults(
    resource: Resource, obj: Json, old: Json | None = None, world: World = EMPTY, settings: AdmissionSettings = ALL, subresource: str = ""
) -> list[tuple[str, str]]:
    verdict = review(resource, obj, old, "UPDATE" if old else "CREATE", world, settings, subresource)
    return [(cause.field, cause.message) for cause in verdict.causes]


def default_queue() -> tuple[Resource, Json]:
    return LOCAL_QUEUES, {"metadata": {"name": "default", "namespace": "ns"}, "spec": {"clusterQueue": "cq"}}


# --- what is filled in ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "obj", "path"),
    [
        (JOBS, batch_job("lq"), ("suspend",)),
        (RAY_JOBS, ray_job("lq"), ("suspend",)),
        (RAY_CLUSTERS, {"metadata": meta(queue="lq"), "spec": ray_cluster_spec()}, ("suspend",)),
        (RAY_SERVICES, {"metadata": meta(queue="lq"), "spec": {"rayClusterConfig": ray_cluster_spec()}}, ("rayClusterConfig", "suspend")),
    ],
    ids=lambda v: v.kind if isinstance(v, Resource) else "",
)
def test_a_job_with_a_queue_name_is_suspended_at_creation(resource: Resource, obj: Json, path: tuple[str, ...]) -> None:
    value: Any = created(resource, obj)["spec"]
    for key in path:
        value = value[key]
    assert value is True


def test_a_job_without_a_queue_name_is_left_alone() -> None:
    assert created(JOBS, batch_job()) == batch_job()
    assert created(RAY_JOBS, ray_job()) == ray_job()


def test_an_update_fills_nothing_in() -> None:
    job = batch_job("lq")
    mutate(JOBS, job, batch_job("lq"), "UPDATE", EMPTY, ALL)
    assert "suspend" not in job["spec"]


def test_jobs_of_the_default_queue_get_its_name_and_are_suspended() -> None:
    job = created(JOBS, batch_job(), World(default_queue()))
    assert job["metadata"]["labels"][QUEUE] == "default"
    assert job["spec"]["suspend"] is True


def test_all_jobs_are_held_back_where_the_configuration_says_so() -> None:
    settings = AdmissionSettings(manage_jobs_without_queue_name=True)
    assert created(JOBS, batch_job(), settings=settings)["spec"]["suspend"] is True
    elsewhere = batch_job(metadata={"namespace": "kube-system"})
    assert created(JOBS, elsewhere, settings=settings) == elsewhere


def test_kinds_that_are_not_configured_are_left_alone() -> None:
    settings = AdmissionSettings(frameworks=frozenset({"ray.io/rayjob"}))
    assert created(JOBS, batch_job("lq"), settings=settings) == batch_job("lq")
    assert faults(JOBS, batch_job("Not_A_Name"), settings=settings) == []


def owned(owner: str = "ray", uid: str = "u1") -> Json:
    reference = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": owner, "uid": uid, "controller": True}
    return {"metadata": {**meta("child"), "ownerReferences": [reference]}, "spec": ray_cluster_spec()}


def test_a_child_of_a_held_back_job_is_not_held_back_itself() -> None:
    parent = (RAY_JOBS, {"metadata": {**meta("ray", queue="lq"), "uid": "u1"}, "spec": {}})
    assert created(RAY_CLUSTERS, owned(), World(parent, default_queue())) == owned()


def test_an_owner_that_is_gone_refuses_the_child() -> None:
    with pytest.raises(StatusError) as refused:
        created(RAY_CLUSTERS, owned())
    assert refused.value.code == 403
    assert refused.value.message.startswith('admission webhook "mraycluster.kb.io" denied the request: workload owner not found')


def test_an_owner_reference_to_an_object_that_was_replaced_does_not_count() -> None:
    replaced = (RAY_JOBS, {"metadata": {**meta("ray", queue="lq"), "uid": "u2"}, "spec": {}})
    child = owned()
    child["metadata"]["labels"] = {QUEUE: "lq"}
    assert created(RAY_CLUSTERS, child, World(replaced))["spec"]["suspend"] is True


def test_the_default_workload_priority_class_is_given_where_it_exists() -> None:
    world = World((WORKLOAD_PRIORITY_CLASSES, {"metadata": {"name": "default"}, "value": 1}))
    assert created(JOBS, batch_job("lq"), world)["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "default"


def test_a_job_in_a_multikueue_queue_is_handed_to_multikueue() -> None:
    world = World(
        (LOCAL_QUEUES, {"metadata": {"name": "lq", "namespace": "ns"}, "spec": {"clusterQueue": "cq"}}),
        (CLUSTER_QUEUES, {"metadata": {"name": "cq"}, "spec": {"admissionChecksStrategy": {"admissionChecks": [{"name": "mk"}]}}}),
        (ADMISSION_CHECKS, {"metadata": {"name": "mk"}, "spec": {"controllerName": "kueue.x-k8s.io/multikueue"}}),
    )
    assert created(JOBS, batch_job("lq"), world)["spec"]["managedBy"] == "kueue.x-k8s.io/multikueue"
    assert created(JOBS, batch_job("lq", managedBy="mine"), world)["spec"]["managedBy"] == "mine"


def test_an_elastic_job_s_pods_are_gated() -> None:
    elastic = {"kueue.x-k8s.io/elastic-job": "true"}
    job = created(JOBS, batch_job("lq", annotations=elastic))
    assert job["spec"]["template"]["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/elastic-job"}]
    cluster = created(RAY_CLUSTERS, {"metadata": meta(queue="lq", annotations=elastic), "spec": ray_cluster_spec()})
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert group["template"]["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/elastic-job"}]


def test_a_pod_in_a_queue_is_gated_marked_and_hashed() -> None:
    pod = {"metadata": meta(queue="lq"), "spec": {"containers": [{"name": "c"}]}}
    made = created(PODS, pod)
    assert [gate["name"] for gate in made["spec"]["schedulingGates"]] == ["kueue.x-k8s.io/admission", "kueue.x-k8s.io/topology"]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/managed"] == "true"
    assert made["metadata"]["finalizers"] == ["kueue.x-k8s.io/managed"]
    assert made["metadata"]["annotations"]["kueue.x-k8s.io/role-hash"] == role_hash(pod["spec"])


def test_the_role_hash_is_the_one_kueue_computes() -> None:
    # a Pod as kube-apiserver hands it to the webhook: priority and default tolerations filled in
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("not-ready", "unreachable")
    ]
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}], "tolerations": tolerations, "priority": 0}
    assert role_hash(spec) == "4b0469f7"
    assert role_hash({**spec, "containers": [{"name": "other", "image": "x", "resources": {"requests": {"cpu": "1000m"}}}]}) == "4b0469f7"


def test_a_deployment_passes_its_queue_on_to_its_pods() -> None:
    deployment = created(DEPLOYMENTS, {"metadata": meta(queue="lq"), "spec": {"template": {"spec": {}}}})
    template = deployment["spec"]["template"]["metadata"]
    assert template["labels"] == {QUEUE: "lq", "kueue.x-k8s.io/managed": "true"}
    assert template["annotations"] == {"kueue.x-k8s.io/pod-suspending-parent": "deployment"}


@pytest.mark.parametrize("resource", [CLUSTER_QUEUES, RESOURCE_FLAVORS], ids=lambda r: r.kind)
def test_queues_and_flavors_get_a_finalizer_once(resource: Resource) -> None:
    made = created(resource, {"metadata": {"name": "a"}, "spec": {}})
    assert made["metadata"]["finalizers"] == ["kueue.x-k8s.io/resource-in-use"]
    assert created(resource, made) == made


# --- what is refused ------------------------------------------------------------------------------------------------------------------------


def quota_queue(quotas: Iterable[Json] = ({"name": "cpu", "nominalQuota": "4"},), covered: Iterable[str] = ("cpu",), **spec: Any) -> Json:
    group = {"coveredResources": list(covered), "flavors": [{"name": "default", "resources": list(quotas)}]}
    return {"metadata": {"name": "q"}, "spec": {"namespaceSelector": {}, "resourceGroups": [group], **spec}}


CELL = "spec.resourceGroups[0].flavors[0].resources[0]"


@pytest.mark.parametrize(
    ("queue", "wanted"),
    [
        (quota_queue(), []),
        (
            quota_queue([{"name": "cpu", "nominalQuota": "-1"}]),
            [(f"{CELL}.nominalQuota", 'Invalid value: "-1": must be greater than or equal to 0')],
        ),
        (
            quota_queue([{"name": "cpu", "nominalQuota": "4", "lendingLimit": "1"}]),
            [(f"{CELL}.lendingLimit", 'Invalid value: "1": must be nil when cohort is empty')],
        ),
        (
            quota_queue([{"name": "cpu", "nominalQuota": "4", "lendingLimit": "5"}], cohortName="x"),
            [(f"{CELL}.lendingLimit", 'Invalid value: "5": must be less than or equal to the nominalQuota')],
        ),
        (quota_queue(covered=("memory",)), [(f"{CELL}.name", 'Invalid value: "cpu": must match the name in coveredResources')]),
        (
            quota_queue(fairSharing={"weight": "1n"}),
            [("spec.fairSharing", 'Invalid value: "1n": When not 0, weight must be > 10e-9')],
        ),
        (
            quota_queue(admissionChecksStrategy={"admissionChecks": [{"name": "c", "onFlavors": ["none"]}]}),
            [("spec.admissionChecksStrategy.admissionChecks[0].onFlavors[0]", 'Unsupported value: "none": supported values: "default"')],
        ),
    ],
    ids=["fine", "negative", "lending without cohort", "lending more than nominal", "order of resources", "tiny weight", "unknown flavor"],
)
def test_cluster_queues(queue: Json, wanted: list[tuple[str, str]]) -> None:
    assert faults(CLUSTER_QUEUES, queue) == wanted


def test_a_cluster_queue_in_v1beta1_is_held_to_the_same_rules() -> None:
    old_version = Resource("kueue.x-k8s.io", "v1beta1", "ClusterQueue", "clusterqueues", namespaced=False)
    queue = quota_queue([{"name": "cpu", "nominalQuota": "4", "borrowingLimit": "1"}])
    queue |= {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "ClusterQueue"}
    assert faults(old_version, queue) != []
    queue["spec"]["cohort"] = "x"
    assert faults(old_version, queue) == []


def test_a_cohort_at_the_root_neither_borrows_nor_lends() -> None:
    cohort = quota_queue([{"name": "cpu", "nominalQuota": "4", "borrowingLimit": "1"}])
    assert faults(COHORTS, cohort) == [(f"{CELL}.borrowingLimit", 'Invalid value: "1": must be nil when parent is empty')]


def test_a_flavor_has_real_labels_and_distinct_taints() -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]
    found = faults(RESOURCE_FLAVORS, {"metadata": {"name": "f"}, "spec": {"nodeLabels": {"@abc": "x"}, "nodeTaints": taints}})
    assert [field for field, _ in found] == ["spec.nodeLabels", "spec.nodeTaints[1]"]


def workload(count: int = 2, status: Json | None = None, **spec: Any) -> Json:
    pod_sets = [{"name": "main", "count": count, "template": {"spec": {"containers": [{"name": "c"}]}}}]
    return {"metadata": {"name": "w", "namespace": "ns"}, "spec": {"podSets": pod_sets, "queueName": "lq", **spec}, "status": status or {}}


def reserved(count: int = 2, **more: Any) -> Json:
    condition = {"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    admission = {"clusterQueue": "cq", "podSetAssignments": [{"name": "main", "count": count, "resourceUsage": {"cpu": "2"}}]}
    return {"conditions": [condition], "admission": admission, **more}


def test_pod_sets_stay_while_quota_is_reserved_but_may_shrink() -> None:
    before = workload(2, reserved())
    assert [field for field, _ in faults(WORKLOADS, workload(3, reserved()), before)] == ["spec.podSets.0"]
    assert faults(WORKLOADS, workload(1, reserved()), before) == []
    assert faults(WORKLOADS, workload(3), workload(2)) == []


def test_an_admission_is_given_and_taken_back_but_not_changed() -> None:
    before, other = workload(2, reserved()), workload(2, reserved())
    other["status"]["admission"]["clusterQueue"] = "other"
    assert [field for field, _ in faults(WORKLOADS, other, before, subresource="status")] == ["status.admission"]
    without = workload(2, {"conditions": []})
    assert faults(WORKLOADS, without, before, subresource="status") == []
    placed = copy.deepcopy(before)
    placed["status"]["admission"]["podSetAssignments"][0]["topologyAssignment"] = {"levels": ["x"], "slices": []}
    assert faults(WORKLOADS, placed, before, subresource="status") == []


def test_reserved_quota_needs_an_admission() -> None:
    status = reserved()
    del status["admission"]
    wanted = [("status.admission", "Required value: must be set while the QuotaReserved condition is true")]
    assert faults(WORKLOADS, workload(2, status), workload(2, reserved()), subresource="status") == wanted


def test_reclaimed_pods_only_grow() -> None:
    before = workload(2, reserved(reclaimablePods=[{"name": "main", "count": 1}]))
    after = workload(2, reserved(reclaimablePods=[{"name": "main", "count": 0}]))
    assert faults(WORKLOADS, after, before, subresource="status") == [
        ("status.reclaimablePods[main].count", "Invalid value: 0: cannot be less than 1")
    ]


def test_a_queue_name_stays_while_the_job_may_run() -> None:
    field = f"metadata.labels[{QUEUE}]"
    assert faults(JOBS, batch_job("b"), batch_job("a")) == [(field, 'Invalid value: "b": field is immutable')]
    assert faults(JOBS, batch_job("b", suspend=True), batch_job("a", suspend=True)) == []


def test_a_queue_name_may_not_go_where_there_is_a_default_queue() -> None:
    found = faults(JOBS, batch_job(suspend=True), batch_job("a", suspend=True), World(default_queue()))
    assert found == [(f"metadata.labels[{QUEUE}]", 'Invalid value: "": queue-name must not be empty in namespace with default queue')]


@pytest.mark.parametrize(
    ("annotations", "labels", "wanted"),
    [
        ({"kueue.x-k8s.io/job-min-parallelism": "1"}, {}, ""),
        ({"kueue.x-k8s.io/job-min-parallelism": "2"}, {}, "Invalid value: 2: should be between 0 and 1"),
        ({"kueue.x-k8s.io/job-min-parallelism": "x"}, {}, 'Invalid value: "x": strconv.Atoi: parsing "x": invalid syntax'),
        ({}, {"kueue.x-k8s.io/max-exec-time-seconds": "0"}, "Invalid value: 0: should be greater than 0"),
        (
            {"kueue.x-k8s.io/admission-gated-by": "gate"},
            {},
            'Invalid value: "gate": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        (
            {"kueue.x-k8s.io/job-completions-equal-parallelism": "true"},
            {},
            'Invalid value: "true": should not be enabled for NonIndexed jobs',
        ),
    ],
)
def test_annotations_and_labels_of_batch_jobs(annotations: Json, labels: Json, wanted: str) -> None:
    assert [message for _, message in faults(JOBS, batch_job("lq", annotations=annotations, labels=labels))] == ([wanted] if wanted else [])


def test_topology_annotations_exclude_each_other() -> None:
    job = batch_job("lq")
    job["spec"]["template"]["metadata"]["annotations"] = {
        "kueue.x-k8s.io/podset-required-topology": "rack",
        "kueue.x-k8s.io/podset-preferred-topology": "rack",
    }
    ((field, message),) = faults(JOBS, job)
    assert field == "spec.template.metadata.annotations"
    assert message.startswith("Invalid value: must not contain more than one topology annotation")


def test_a_ray_job_in_a_queue_brings_its_own_cluster_and_deletes_it() -> None:
    assert faults(RAY_JOBS, ray_job("lq")) == []
    assert [f for f, _ in faults(RAY_JOBS, ray_job("lq", shutdownAfterJobFinishes=False))] == ["spec.shutdownAfterJobFinishes"]
    assert [f for f, _ in faults(RAY_JOBS, ray_job("lq", clusterSelector={"ray.io/cluster": "x"}))] == ["spec.clusterSelector"]
    assert faults(RAY_JOBS, ray_job("lq", clusterSelector={"ray.io/cluster": "x"}, rayClusterSpec=None)) == []
    assert faults(RAY_JOBS, ray_job(shutdownAfterJobFinishes=False)) == []


def test_kuberays_sample_in_a_namespace_with_a_default_queue_is_refused_with_the_way_out() -> None:
    sample = ray_job(shutdownAfterJobFinishes=False)
    ((field, message),) = faults(RAY_JOBS, created(RAY_JOBS, sample, World(default_queue())))
    assert field == "spec.shutdownAfterJobFinishes"
    assert "set spec.shutdownAfterJobFinishes: true, or use a namespace without a LocalQueue named default" in message


def test_a_ray_cluster_in_a_queue_has_no_autoscaler_unless_elastic_and_few_groups() -> None:
    def cluster(**spec: Any) -> Json:
        return {"metadata": meta(queue="lq"), "spec": ray_cluster_spec(**spec)}

    assert [f for f, _ in faults(RAY_CLUSTERS, cluster(enableInTreeAutoscaling=True))] == ["spec.enableInTreeAutoscaling"]
    many = [{"groupName": f"g{n}", "template": {}} for n in range(18)]
    assert faults(RAY_CLUSTERS, cluster(workerGroupSpecs=many)) == [("spec.workerGroupSpecs", "Too many: 19: must have at most 18 items")]
    assert faults(RAY_CLUSTERS, cluster(workerGroupSpecs=[{"groupName": "head", "template": {}}])) == [
        ("spec.workerGroupSpecs[0].groupName", 'Forbidden: "head" is reserved for the head group')
    ]


def test_taking_a_running_ray_cluster_out_of_its_queue_is_refused() -> None:
    inside, outside = ({"metadata": meta(queue=queue), "spec": ray_cluster_spec()} for queue in ("lq", ""))
    assert [f for f, _ in faults(RAY_CLUSTERS, outside, inside)] == [f"metadata.labels[{QUEUE}]"]
    assert faults(RAY_CLUSTERS, outside, outside) == []


def test_a_pod_group_is_named_and_counted() -> None:
    def pod(labels: Json, annotations: Json) -> Json:
        return {"metadata": meta(queue="lq", labels=labels, annotations=annotations), "spec": {"containers": []}}

    name, count = {"kueue.x-k8s.io/pod-group-name": "g"}, {"kueue.x-k8s.io/pod-group-total-count": "2"}
    assert faults(PODS, pod(name, count)) == []
    assert [f for f, _ in faults(PODS, pod(name, {}))] == ["metadata.annotations[kueue.x-k8s.io/pod-group-total-count]"]
    assert [f for f, _ in faults(PODS, pod({}, count))] == ["metadata.labels[kueue.x-k8s.io/pod-group-name]"]


def test_a_stateful_set_in_a_queue_scales_only_to_and_from_zero() -> None:
    def sts(replicas: int) -> Json:
        return {"metadata": {**meta(queue="lq"), "uid": "u"}, "spec": {"replicas": replicas, "template": {"spec": {"containers": []}}}}

    assert [f for f, _ in faults(STATEFUL_SETS, sts(3), sts(2))] == ["spec.replicas"]
    assert faults(STATEFUL_SETS, sts(0), sts(2)) == []
    name = workload_name("StatefulSet", "apps", "a", "u")
    going = World((WORKLOADS, {"metadata": {"name": name, "namespace": "ns"}}))
    assert faults(STATEFUL_SETS, sts(2), sts(0), going) == [
        ("spec.replicas", "Forbidden: workload from previous scale-down is still being deleted")
    ]


def test_a_refusal_reads_as_kube_apiserver_passes_it_on() -> None:
    error = review(COHORTS, quota_queue([{"name": "cpu", "nominalQuota": "-1"}]), None, "CREATE", EMPTY).error()
    assert error is not None
    assert error.to_status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'admission webhook "vcohort.kb.io" denied the request: {CELL}.nominalQuota: Invalid value: "-1": '
        "must be greater than or equal to 0",
        "reason": "Forbidden",
        "code": 403,
    }


def test_settings_come_from_kueue_s_configuration() -> None:
    settings = AdmissionSettings.from_configuration(
        {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "manageJobsWithoutQueueName": True,
            "managedJobsNamespaceSelector": {"matchLabels": {"team": "a"}},
            "integrations": {"frameworks": ["pod"]},
            "featureGates": {"PartialAdmission": False, "VisibilityOnDemand": False},
        }
    )
    assert settings.manage_jobs_without_queue_name
    assert settings.frameworks == {"pod"}
    assert settings.gates == {"PartialAdmission": False}
    assert settings.managed_namespaces is not None
    assert settings.managed_namespaces.matches({"team": "a"})
    assert AdmissionSettings.from_configuration({}) == AdmissionSettings()


def test_a_job_below_a_kind_that_others_hold_back_follows_it() -> None:
    settings = AdmissionSettings.from_configuration({"integrations": {"externalFrameworks": ["Sweep.v1.example.org"]}})
    owner = {"apiVersion": "example.org/v1", "kind": "Sweep", "name": "s", "uid": "s", "controller": True}
    sweep = {"metadata": {"name": "s", "namespace": "ns", "uid": "s", "labels": {QUEUE: "lq"}}}
    world = World((Resource("example.org", "v1", "Sweep", "sweeps"), sweep), default_queue())
    made = created(JOBS, batch_job(metadata={"ownerReferences": [owner]}), world, settings)
    assert "suspend" not in made["spec"]
    assert QUEUE not in made["metadata"]["labels"]
    with pytest.raises(ValueError, match="misformatted external framework name"):
        AdmissionSettings.from_configuration({"integrations": {"externalFrameworks": ["batch/job"]}})
