"""Flags, environment and files become settings; what cannot be followed is said with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from raysail.api.selectors import Requirement
from raysail.operator.arguments import parse
from raysail.operator.documents import parse_duration
from raysail.operator.queue_configuration import queue_settings
from raysail.operator.settings import KNOWN, SettingsError, parse_controllers
from raysail.queue.settings import QueueSettings


def settings(*flags: str, **environment: str) -> Any:
    return parse(["--socket=/run/api.sock", *flags], environment)


def test_what_runs_by_default_is_what_kuberay_and_kueue_are() -> None:
    found = settings()
    assert found.controllers == {"ray", "queue"}
    assert found.connection.server == "unix:///run/api.sock"
    assert found.leader is None


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("ray", {"ray"}), ("ray, gc", {"ray", "gc"}), ("*", set(KNOWN)), ("all,-binder,-queue", set(KNOWN) - {"binder", "queue"})],
)
def test_choosing_controllers(text: str, chosen: set[str]) -> None:
    assert parse_controllers(text) == chosen


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--controllers=nonsense"], "there is no controller 'nonsense'"),
        (["--controllers=-gc"], "no controller is left"),
        (["--only=ray", "--controllers=gc"], "keep one"),
        (["--only=else"], "invalid choice: 'else'"),
        (["--no-such-flag"], "unrecognized arguments"),
        (["--feature-gates=Nonsense=true"], "unrecognized feature gate: Nonsense"),
        (["--feature-gates=RayCronJob=perhaps"], "expected true or false"),
        (["--reconcile-concurrency=0"], "must be at least 1"),
        (["--enable-leader-election=maybe"], "neither true nor false"),
        (["--metrics-addr=nowhere"], "not an address"),
        (["--config=/nonexistent.yaml"], "cannot read /nonexistent.yaml"),
        (["--queue-feature-gates=A"], "expected NAME=true"),
        (["--queue-feature-gates=KueueDRAIntegration=false"], "depends on features that are disabled: [KueueDRAIntegration]"),
    ],
)
def test_faults(flags: list[str], text: str) -> None:
    with pytest.raises(SettingsError) as fault:
        settings(*flags)
    assert text in str(fault.value)


def test_kuberays_flags() -> None:
    found = settings(
        "-feature-gates=RayCronJob=true,RayJobDeletionPolicy=false",
        "--reconcile-concurrency", "4",
        "--watch-namespace=a, b",
        "--enable-leader-election=true",
        "--leader-election-namespace=ray",
        "--metrics-addr=:8080",
        "--health-probe-bind-address=0",
        "--use-kubernetes-proxy",
        "--log-stdout-encoder=console", "--qps=500", "--burst=1000",
    )  # fmt: skip
    assert found.ray.gates.ray_cron_job
    assert not found.ray.gates.ray_job_deletion_policy
    assert found.ray.concurrency == 4
    assert found.namespaces == ("a", "b")
    assert found.leader is not None
    assert (found.leader.name, found.leader.namespace) == ("ray-operator-leader", "ray")
    assert (found.metrics_address, found.health_address) == (":8080", "")
    assert found.ray.use_kubernetes_proxy


def test_kuberays_environment() -> None:
    found = settings(ENABLE_PROBES_INJECTION="false", CLUSTER_DOMAIN="example.local", RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS="6")
    assert not found.ray.inject_probes
    assert found.ray.cluster_domain == "example.local"
    assert found.ray.status_check_timeout_seconds == 6


def test_kuberays_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    document = {
        "apiVersion": "config.ray.io/v1alpha1",
        "kind": "Configuration",
        "metricsAddr": ":9090",
        "probeAddr": "0",
        "enableLeaderElection": True,
        "reconcileConcurrency": 3,
        "watchNamespace": "x",
        "headSidecarContainers": [{"name": "side"}],
        "defaultPodLabels": {"a": "b"},
    }
    file.write_text(yaml.safe_dump(document))
    found = settings(f"--config={file}")
    assert found.ray.concurrency == 3
    assert found.ray.head_sidecar_containers == ({"name": "side"},)
    assert found.ray.default_pod_labels == {"a": "b"}
    assert found.namespaces == ("x",)
    assert found.metrics_address == ":9090"
    assert found.leader is not None
    assert settings(f"--config={file}", "--reconcile-concurrency=7", "--enable-leader-election=false").ray.concurrency == 7, "a flag wins"


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\n")
    with pytest.raises(SettingsError, match=r"config\.ray\.io"):
        settings(f"--config={file}")


def test_our_own_switches() -> None:
    found = settings("--ray-token", "--submit-early=true", "--resolve-services=false")
    assert found.ray.token_authentication
    assert found.ray.submit_when_head_answers
    assert not found.ray.resolve_services


def test_kueues_own_flags_when_only_the_queue_runs(tmp_path: Path) -> None:
    file = tmp_path / "kueue.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": V1BETA2, "kind": "Configuration", "manageJobsWithoutQueueName": True}))
    found = settings("--only=queue", f"--config={file}", "--feature-gates=PartialAdmission=false")
    assert found.controllers == {"queue"}
    assert found.queue.manage_jobs_without_queue_name
    assert not found.queue.gate("PartialAdmission", True)


V1BETA1 = "config.kueue.x-k8s.io/v1beta1"
V1BETA2 = "config.kueue.x-k8s.io/v1beta2"


def queue(version: str = V1BETA2, **fields: Any) -> QueueSettings:
    return queue_settings({"apiVersion": version, "kind": "Configuration", **fields})


def test_an_empty_configuration_is_kueues_default() -> None:
    assert queue() == QueueSettings()


def test_a_full_configuration() -> None:
    found = queue(
        manageJobsWithoutQueueName=True,
        managedJobsNamespaceSelector={"matchExpressions": [{"key": "team", "operator": "Exists"}]},
        controller={"groupKindConcurrency": {"Job.batch": 5}},
        integrations={"frameworks": ["batch/job", "pod"], "labelKeysToCopy": ["x"]},
        waitForPodsReady={
            "timeout": "6s", "recoveryTimeout": "1m30s", "blockAdmission": True,
            "requeuingStrategy": {"timestamp": "Creation", "backoffBaseSeconds": 2, "backoffLimitCount": 2},
        },
        fairSharing={"preemptionStrategies": ["LessThanInitialShare"]},
        admissionFairSharing={"usageHalfLifeTime": "10m", "resourceWeights": {"cpu": 2}},
        resources={
            "excludeResourcePrefixes": ["ignored.example.com"],
            "transformations": [{"input": "example.com/mig", "strategy": "Replace", "outputs": {"example.com/memory": "5Gi"}}],
        },
        objectRetentionPolicies={"workloads": {"afterFinished": "15s"}},
        featureGates={"PartialAdmission": False},
        clientConnection={"qps": 300}, webhook={"port": 9443}, internalCertManagement={"enable": False},
    )  # fmt: skip
    assert found.manage_jobs_without_queue_name
    assert found.managed_jobs_namespace_selector.requirements == (Requirement("team", "Exists"),)
    assert found.parallel("Job.batch", 1) == 5
    assert found.frameworks == ("batch/job", "pod")
    ready = found.wait_for_pods_ready
    assert ready is not None
    assert (ready.timeout_seconds, ready.recovery_timeout_seconds, ready.block_admission) == (6.0, 90.0, True)
    assert (ready.requeuing.timestamp, ready.requeuing.backoff_limit_count, ready.requeuing.backoff_max_seconds) == ("Creation", 2, 3600)
    assert found.fair_sharing_strategies == ("LessThanInitialShare",)
    assert found.admission_fair_sharing is not None
    assert found.admission_fair_sharing.usage_half_life_seconds == 600
    rule = found.resources.transformations["example.com/mig"]
    assert (rule.replace, rule.outputs) == (True, {"example.com/memory": 5 * 2**30 * 10**9})
    assert (found.retention_after_finished_seconds, found.retention_after_deactivated_seconds) == (15.0, None)
    assert not found.gate("PartialAdmission", True)


def test_v1beta1_switches_waiting_and_sharing_on_by_enable() -> None:
    assert queue(V1BETA1).wait_for_pods_ready is None
    assert queue(V1BETA1, waitForPodsReady={"timeout": "5m"}).wait_for_pods_ready is None
    on = queue(V1BETA1, waitForPodsReady={"enable": True}).wait_for_pods_ready
    assert on is not None
    assert (on.timeout_seconds, on.block_admission) == (300.0, True)
    assert queue(V1BETA1, fairSharing={}).fair_sharing_strategies is None
    assert queue(V1BETA1, fairSharing={"enable": True}).fair_sharing_strategies == ("LessThanOrEqualToFinalShare", "LessThanInitialShare")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"waitForPodsReady": {"timeout": "soon"}}, "waitForPodsReady.timeout: 'soon' is not a duration"),
        ({"fairSharing": {}}, "fairSharing.preemptionStrategies: Required value"),
        ({"fairSharing": {"preemptionStrategies": ["Nonsense"]}}, "fairSharing.preemptionStrategies"),
        ({"integrations": {"frameworks": ["pod", "pod"]}}, 'integrations.frameworks[1]: Duplicate value: "pod"'),
        ({"manageJobsWithoutQueueName": "yes"}, "'yes' is not true or false"),
        ({"resources": {"quotaCheckStrategy": "IgnoreUndeclared", "excludeResourcePrefixes": ["x"]}}, "excludeResourcePrefixes"),
        ({"resources": {"transformations": [{"input": "a", "outputs": {"b": "much"}}]}}, "resources.transformations[0].outputs.b"),
        ({"controller": {"groupKindConcurrency": {"Job.batch": 0}}}, "controller.groupKindConcurrency.Job.batch"),
        ({"kind": "Other"}, "kind: 'Other' is not one of Configuration"),
    ],
)
def test_faults_of_a_queue_configuration(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as fault:
        queue_settings({"apiVersion": V1BETA2, **fields}, "queue.yaml")
    assert text in str(fault.value)
    assert str(fault.value).startswith("queue.yaml: ")


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("15s", 15), ("1m30s", 90), ("1.5h", 5400), ("500ms", 0.5), ("-2m", -120)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1m 5s", "abc"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
