"""What the controllers refuse: a case a rule, with the words that tell of it."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.ray.settings import FeatureGates, RaySettings
from raysail.ray.validation import InvalidError
from raysail.ray.validation import cluster as cluster_validation
from raysail.ray.validation import job as job_validation
from raysail.ray.validation import service as service_validation
from tests.ray.builders import cluster, container, group, job, ray_service, template

Fields = dict[str, Any]

V2 = {"enableInTreeAutoscaling": True, "autoscalerOptions": {"version": "v2"}}
REDIS = {"gcsFaultToleranceOptions": {"redisAddress": "redis:6379"}}
ROCKSDB: Fields = {"backend": "rocksdb"}


def with_env(name: str, value: str = "1") -> Fields:
    return {"template": template(container(env=[{"name": name, "value": value}]))}


CLUSTERS: list[tuple[str, Fields, str]] = [
    ("a head needs a container", {"head": {"template": {"spec": {"containers": []}}}}, "headGroupSpec should have at least one container"),
    ("so does a group", {"groups": [group(template={"spec": {}})]}, "workerGroupSpec should have at least one container"),
    ("bounds without autoscaling", {"groups": [group(minReplicas=None)]}, "must set both minReplicas and maxReplicas"),
    ("negative minimum", {"groups": [group(minReplicas=-1)]}, "has negative minReplicas -1"),
    ("negative maximum", {"groups": [group(maxReplicas=-1, minReplicas=None), group()], **V2}, "has negative maxReplicas -1"),
    ("bounds that cross", {"groups": [group(minReplicas=3, maxReplicas=2)]}, "has minReplicas 3 greater than maxReplicas 2"),
    ("resources twice", {"head": {"rayStartParams": {"num-cpus": "1"}, "resources": {"CPU": "2"}}}, "should not be set in both rayStart"),
    ("labels as parameter", {"head": {"rayStartParams": {"labels": "a=b"}}}, "please use the top-level Labels field"),
    ("label key", {"groups": [group(labels={"-a": "b"})]}, "invalid label key for small group: '-a'"),
    ("label value", {"groups": [group(labels={"a": "b c"})]}, "invalid label value for key 'a' in small group"),
    ("idle time without v2", {"groups": [group(idleTimeoutSeconds=5)]}, "idleTimeoutSeconds is set, but autoscaler v2 is not enabled"),
    ("negative idle time", {"groups": [group(idleTimeoutSeconds=-5)], **V2}, "idleTimeoutSeconds must be non-negative, got -5"),
    ("priority needs a Ray", {"groups": [group(priority=1)], **V2}, "minimum Ray version is 2.56.0, got 2.46.0"),
    ("priority needs v2", {"groups": [group(priority=1)], "rayVersion": "2.56.0"}, "Priority is only supported with autoscaler v2"),
    ("priority needs a version", {"groups": [group(priority=1)], "rayVersion": ""}, "RayVersion was not specified"),
    ("priority, no version", {"groups": [group(priority=1)], "rayVersion": "nightly"}, "RayVersion format is invalid: nightly"),
    ("fault tolerance twice", {**REDIS, "annotations": {"ray.io/ft-enabled": "true"}}, "are both set"),
    ("redis by environment", {"head": with_env("RAY_REDIS_ADDRESS")}, "implicitly enables GCS fault tolerance"),
    ("password by parameter", {**REDIS, "head": {"rayStartParams": {"redis-password": "x"}}}, "cannot set `redis-password` in rayStartPar"),
    ("password by environment", {**REDIS, "head": with_env("REDIS_PASSWORD")}, "cannot set `REDIS_PASSWORD` env var in head Pod"),
    ("redis user by environment", {"head": with_env("REDIS_USERNAME")}, "cannot set redis username in rayStartParams or env"),
    (
        "storage with redis",
        {"gcsFaultToleranceOptions": {"redisAddress": "r", "storage": {}}},
        "cannot set GcsFaultToleranceOptions.Storage",
    ),
    ("rocksdb needs its gate", {"gcsFaultToleranceOptions": ROCKSDB}, "requires the GCSFaultToleranceEmbeddedStorage feature gate"),
    ("suspended, autoscaled", {"groups": [group(suspend=True)], **V2}, "cannot be suspended with Autoscaler enabled"),
    ("two words for v2", {**V2, "head": with_env("RAY_enable_autoscaler_v2")}, "please only use the former"),
    ("v2 restarts nothing", {**V2, "head": {"template": template(restartPolicy="Always")}}, "restartPolicy for head Pod should be Never"),
    ("nor in groups", {**V2, "groups": [group(template=template(restartPolicy="Always"))]}, "restartPolicy for worker group small should"),
    (
        "v2 without autoscaling",
        {"head": with_env("RAY_enable_autoscaler_v2")},
        "cannot be set to '1' when enableInTreeAutoscaling is false",
    ),
    ("autoscaler's idle time", {"autoscalerOptions": {"idleTimeoutSeconds": -1}}, "autoscalerOptions.idleTimeoutSeconds must be non-neg"),
    ("history needs its gate", {"historyServerOptions": {}}, "RayClusterHistoryServer feature gate is not enabled"),
    ("tokens need a Ray", {"authOptions": {"mode": "token"}}, "minimum Ray version is 2.52.0, got 2.46.0"),
    ("policy needs its gate", {"networkPolicy": {}}, "requires the RayClusterNetworkPolicy feature gate"),
    ("TLS needs its gate", {"tlsOptions": {}}, "requires the RayClusterMTLS feature gate"),
]


def check_cluster(fields: Fields, gates: FeatureGates | None = None) -> None:
    fields = dict(fields)
    annotations = fields.pop("annotations", None)
    spec = cluster(*fields.pop("groups", [group()]), **fields).spec
    cluster_validation.check_spec(spec, annotations, gates or FeatureGates())


@pytest.mark.parametrize(("rule", "fields", "told"), CLUSTERS, ids=[case[0] for case in CLUSTERS])
def test_clusters_that_are_refused(rule: str, fields: Fields, told: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        check_cluster(fields)
    assert told in str(refusal.value), rule


@pytest.mark.parametrize(
    ("fields", "gates"),
    [
        ({}, FeatureGates()),
        (V2, FeatureGates()),
        (REDIS, FeatureGates()),
        ({"gcsFaultToleranceOptions": ROCKSDB}, FeatureGates(gcs_fault_tolerance_embedded_storage=True)),
        ({"authOptions": {"mode": "token"}, "rayVersion": "2.52.0"}, FeatureGates()),
        ({"networkPolicy": {}}, FeatureGates(ray_cluster_network_policy=True)),
        ({"groups": [group(suspend=True)]}, FeatureGates()),
        ({"groups": [group(labels={"example.com/zone": "a", "b": ""})]}, FeatureGates()),
    ],
)
def test_clusters_that_are_accepted(fields: Fields, gates: FeatureGates) -> None:
    check_cluster(fields, gates)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({**ROCKSDB, "redisAddress": "r"}, "cannot set GcsFaultToleranceOptions.RedisAddress when backend is 'rocksdb'"),
        ({**ROCKSDB, "externalStorageNamespace": "n"}, "cannot set GcsFaultToleranceOptions.ExternalStorageNamespace when"),
        ({**ROCKSDB, "storage": {"claimName": "c", "size": "1Gi"}}, "ClaimName is mutually exclusive with size"),
    ],
)
def test_the_embedded_store_is_told_nothing_of_redis(options: Fields, told: str) -> None:
    with pytest.raises(InvalidError, match=told):
        check_cluster({"gcsFaultToleranceOptions": options}, FeatureGates(gcs_fault_tolerance_embedded_storage=True))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"workerGroups": [{"groupName": "big"}]}, r'workerGroups\["big"\] does not match any group name'),
        ({"mode": "DenyAllEgress", "head": {"ingressRules": [{}]}}, "head.ingressRules cannot be set"),
        ({"mode": "DenyAllIngress", "worker": {"egressRules": [{}]}}, "worker.egressRules cannot be set"),
    ],
)
def test_network_policies_allow_only_what_is_denied(policy: Fields, told: str) -> None:
    with pytest.raises(InvalidError, match=told):
        check_cluster({"networkPolicy": policy}, FeatureGates(ray_cluster_network_policy=True))


@pytest.mark.parametrize("name", ["x" * 64, "1rc", "a.b"])
def test_names_leave_room_and_name_services(name: str) -> None:
    with pytest.raises(InvalidError, match="RayCluster name should be"):
        cluster_validation.check_metadata(cluster(name=name))


def test_only_clusters_of_their_own_say_how_they_are_upgraded() -> None:
    cluster_validation.check_upgrade_strategy(cluster(upgradeStrategy={"type": "Recreate"}))
    of_job = cluster(upgradeStrategy={"type": "Recreate"}, metadata={"labels": {"ray.io/originated-from-crd": "RayJob"}})
    with pytest.raises(InvalidError, match="cannot be set when RayCluster is created by RayJob"):
        cluster_validation.check_upgrade_strategy(of_job)


def rule(policy: str, ttl: int = 0, **condition: str) -> Fields:
    return {"policy": policy, "condition": {"ttlSeconds": ttl, **(condition or {"jobStatus": "SUCCEEDED"})}}


def rules(*given: Fields) -> Fields:
    return {"deletionStrategy": {"deletionRules": list(given)}}


def legacy(success: str | None, failure: str | None, **fields: Any) -> Fields:
    policies = {"onSuccess": success, "onFailure": failure}
    return {"deletionStrategy": {key: {"policy": value} for key, value in policies.items() if value}, **fields}


SELECTED = {"clusterSelector": {"ray.io/cluster": "rc"}}
JOBS: list[tuple[str, Fields, str]] = [
    ("suspend needs shutdown", {"suspend": True}, "is not allowed to be suspended"),
    ("negative ttl", {"ttlSecondsAfterFinished": -1}, "TTLSecondsAfterFinished must be a non-negative integer"),
    ("ttl needs shutdown", {"ttlSecondsAfterFinished": 5}, "cannot have TTLSecondsAfterFinished"),
    ("no cluster", {"rayClusterSpec": None}, "one of RayClusterSpec or ClusterSelector must be set"),
    ("nameless selector", {"clusterSelector": {"a": "b"}}, "cluster name in ClusterSelector should not be empty"),
    ("selected in SidecarMode", {**SELECTED, "submissionMode": "SidecarMode"}, "ClusterSelector is not supported in SidecarMode"),
    ("retries on a selected one", {**SELECTED, "backoffLimit": 1}, "BackoffLimit is incompatible with ClusterSelector mode"),
    ("retries with a human", {"submissionMode": "InteractiveMode", "backoffLimit": 1}, "BackoffLimit is incompatible with InteractiveMode"),
    ("template in SidecarMode", {"submissionMode": "SidecarMode", "submitterPodTemplate": template()}, "doesn't support SubmitterPodTempl"),
    ("config in SidecarMode", {"submissionMode": "SidecarMode", "submitterConfig": {}}, "doesn't support SubmitterConfig"),
    ("YAML", {"runtimeEnvYAML": "a: ["}, "failed to unmarshal RuntimeEnvYAML"),
    ("deadline", {"activeDeadlineSeconds": 0}, "activeDeadlineSeconds must be a positive integer"),
    ("deadline before running", {"preRunningDeadlineSeconds": -1}, "preRunningDeadlineSeconds must be a positive integer"),
    ("negative retries", {"backoffLimit": -1}, "backoffLimit must be a positive integer"),
    ("empty strategy", {"deletionStrategy": {}}, "requires either BOTH onSuccess and onFailure, OR the deletionRules field"),
    ("half a strategy", legacy("DeleteSelf", None), "both DeletionStrategy.OnSuccess and DeletionStrategy.OnFailure must be set"),
    ("nothing to shut down", legacy("DeleteNone", "DeleteSelf", shutdownAfterJobFinishes=True), "deletion policy is 'DeleteNone'"),
    ("not ours to delete", legacy("DeleteCluster", "DeleteSelf", **SELECTED), "doesn't support DeletionStrategy=DeleteCluster on success"),
    ("old and new", {"deletionStrategy": {**legacy("DeleteSelf", "DeleteSelf")["deletionStrategy"], **rules(rule("DeleteSelf"))["deletionStrategy"]}}, "Cannot use both legacy"),
    ("rules and shutdown", {**rules(rule("DeleteSelf")), "shutdownAfterJobFinishes": True}, "are mutually exclusive"),
    ("two conditions", rules(rule("DeleteSelf", jobStatus="FAILED", jobDeploymentStatus="Failed")), "cannot set both JobStatus and"),
    ("no condition", rules({"policy": "DeleteSelf", "condition": {}}), "exactly one of JobStatus and JobDeploymentStatus must be set"),
    ("negative rule ttl", rules(rule("DeleteSelf", -1)), "deletionRules[0]: TTLSeconds must be non-negative"),
    ("a rule twice", rules(rule("DeleteSelf"), rule("DeleteSelf", 3)), "deletionRules[1]: duplicate rule for DeletionPolicyType 'DeleteSelf'"),
    ("order of rules", rules(rule("DeleteCluster", 9), rule("DeleteSelf", 3)), "DeleteSelf TTL (3) must be >= DeleteCluster TTL (9)"),
    ("rules on a selected one", {**rules(rule("DeleteWorkers")), **SELECTED}, "not supported when ClusterSelector is set"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fields", "told"), JOBS, ids=[case[0] for case in JOBS])
def test_jobs_that_are_refused(what: str, fields: Fields, told: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        job_validation.check_spec(job(**fields).spec, None, FeatureGates())
    assert told in str(refusal.value), what


def test_all_faults_of_rules_are_told_at_once() -> None:
    spec = job(**rules(rule("DeleteSelf", -1), rule("DeleteCluster", 9), rule("DeleteSelf", 3))).spec
    with pytest.raises(InvalidError) as refusal:
        job_validation.check_spec(spec, None, FeatureGates())
    assert str(refusal.value).splitlines() == [
        "deletionRules[0]: TTLSeconds must be non-negative",
        "for JobStatus 'SUCCEEDED': DeleteSelf TTL (3) must be >= DeleteCluster TTL (9)",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        SELECTED,
        rules(rule("DeleteWorkers", 1), rule("DeleteCluster", 2), rule("DeleteSelf", 2), rule("DeleteSelf", 0, jobStatus="FAILED")),
        legacy("DeleteNone", "DeleteSelf"),
        {"suspend": True, "shutdownAfterJobFinishes": True},
    ],
)
def test_jobs_that_are_accepted(fields: Fields) -> None:
    job_validation.check_spec(job(**fields).spec, None, FeatureGates())


def test_a_strategy_needs_its_gate() -> None:
    with pytest.raises(InvalidError, match="RayJobDeletionPolicy feature gate must be enabled"):
        job_validation.check_spec(job(**rules(rule("DeleteSelf"))).spec, None, FeatureGates(ray_job_deletion_policy=False))


def steps(**changes: Any) -> Fields:
    options = {"maxSurgePercent": 50, "stepSizePercent": 10, "intervalSeconds": 5, "gatewayClassName": "nginx", **changes}
    return {
        "upgradeStrategy": {"type": "NewClusterWithIncrementalUpgrade", "clusterUpgradeOptions": options},
        "cluster_config": {"enableInTreeAutoscaling": True},
    }


SERVICES: list[tuple[str, Fields, str]] = [
    ("its cluster", {"cluster_config": {"workerGroupSpecs": [group(minReplicas=-1)]}}, "The RayService spec is invalid: worker group small"),
    ("head service's name", {"cluster_config": {"headGroupSpec": {"template": template(), "headService": {"metadata": {"name": "x"}}}}}, "headService.metadata.name should not be set"),
    ("strategy", {"upgradeStrategy": {"type": "Recreate"}}, "Spec.UpgradeStrategy.Type value Recreate is invalid"),
    ("delay", {"rayClusterDeletionDelaySeconds": -1}, "should be a non-negative integer, got -1"),
    ("steps need the autoscaler", {**steps(), "cluster_config": {}}, "Ray Autoscaler is required"),
    ("steps need options", {**steps(), "upgradeStrategy": {"type": "NewClusterWithIncrementalUpgrade"}}, "ClusterUpgradeOptions are required"),
    ("surge", steps(maxSurgePercent=101), "maxSurgePercent must be between 0 and 100"),
    ("step", steps(stepSizePercent=None), "stepSizePercent must be between 0 and 100"),
    ("step and surge", steps(stepSizePercent=60), "stepSizePercent must be less than or equal to maxSurgePercent"),
    ("interval", steps(intervalSeconds=0), "intervalSeconds must be greater than 0"),
    ("gateway class", steps(gatewayClassName=""), "gatewayClassName is required"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fields", "told"), SERVICES, ids=[case[0] for case in SERVICES])
def test_services_that_are_refused(what: str, fields: Fields, told: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        service_validation.check_spec(ray_service(**fields), RaySettings())
    assert told in str(refusal.value), what


def test_services_that_are_accepted() -> None:
    service_validation.check_spec(ray_service(), RaySettings())
    service_validation.check_spec(ray_service(**steps()), RaySettings())
    service_validation.check_spec(ray_service(**steps(maxSurgePercent=None)), RaySettings())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0s", "must be a positive duration, got: 0s"),
        ("-5", r"must be a positive integer \(seconds\), got: -5"),
        ("soon", "has invalid format: soon"),
    ],
)
def test_the_time_to_initialize_makes_sense(text: str, told: str) -> None:
    with pytest.raises(InvalidError, match=told):
        service_validation.check_metadata(ray_service(metadata={"annotations": {"ray.io/initializing-timeout": text}}))
