"""Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs: defaults, refusals, what stays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kinds import changed, made, put, strategy, texts, valid

TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": "app"}]}}
SELECTOR: dict[str, Any] = {"matchLabels": {"app": "a"}}
DEPLOYMENT: dict[str, Any] = {"spec": {"selector": SELECTOR, "template": TEMPLATE}}
STATEFUL_SET: dict[str, Any] = {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s"}}
JOB_TEMPLATE: dict[str, Any] = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app"}]}}
JOB: dict[str, Any] = {"spec": {"template": JOB_TEMPLATE}}
CRON_JOB: dict[str, Any] = {"spec": {"schedule": "*/5 * * * *", "jobTemplate": JOB}}
UID = "0b5c6a3e-0000-4000-8000-000000000001"


def test_deployment_defaults() -> None:
    spec = valid("Deployment", DEPLOYMENT)["spec"]
    assert {key: value for key, value in spec.items() if key not in ("selector", "template")} == {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_replica_set_and_daemon_set_defaults() -> None:
    assert valid("ReplicaSet", DEPLOYMENT)["spec"]["replicas"] == 1
    spec = valid("DaemonSet", DEPLOYMENT)["spec"]
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert spec["revisionHistoryLimit"] == 10


def test_stateful_set_defaults() -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    spec = valid("StatefulSet", put(STATEFUL_SET, "spec.volumeClaimTemplates", [claim]))["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["volumeClaimTemplates"][0]["status"] == {"phase": "Pending"}
    assert spec["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"


@pytest.mark.parametrize(
    ("kind", "obj", "path", "value", "expected"),
    [
        ("Deployment", DEPLOYMENT, "spec.replicas", -1, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.selector",
            ...,
            [
                "spec.selector: Required value",
                'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
            ],
        ),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.selector.matchLabels.app",
            "b",
            ['spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`'],
        ),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.template.spec.restartPolicy",
            "Never",
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.strategy",
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}},
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.strategy",
            {"type": "Recreate", "rollingUpdate": {}},
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            "Deployment",
            DEPLOYMENT,
            "spec.template.spec.containers.0.image",
            ...,
            ["spec.template.spec.containers[0].image: Required value"],
        ),
        (
            "StatefulSet",
            STATEFUL_SET,
            "spec.podManagementPolicy",
            "Fast",
            ["spec.podManagementPolicy: Invalid value: \"Fast\": must be 'OrderedReady' or 'Parallel'"],
        ),
        (
            "Job",
            JOB,
            "spec.template.spec.restartPolicy",
            "Always",
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        ("Job", JOB, "spec.parallelism", -1, ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"]),
        (
            "Job",
            JOB,
            "spec",
            {"template": JOB_TEMPLATE, "completionMode": "Indexed", "parallelism": 2},
            ["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            "Job",
            JOB,
            "spec.backoffLimitPerIndex",
            1,
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
        ("Job", JOB, "spec.managedBy", "x", ['spec.managedBy: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")']),
        ("CronJob", CRON_JOB, "spec.concurrencyPolicy", "Maybe", None),
        ("CronJob", CRON_JOB, "spec.schedule", ..., ["spec.schedule: Required value"]),
        ("CronJob", CRON_JOB, "spec.schedule", "TZ=UTC 0 0 * * *", None),
        (
            "CronJob",
            CRON_JOB,
            "metadata",
            {"name": "n" * 53},
            [f'metadata.name: Invalid value: "{"n" * 53}": must be no more than 52 characters'],
        ),
    ],
)
def test_refused(kind: str, obj: dict[str, Any], path: str, value: Any, expected: list[str] | None) -> None:
    found = texts(made(kind, put(obj, path, value))[1])
    if expected is None:
        assert found
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("kind", "obj", "path", "value", "fault"),
    [
        ("Deployment", DEPLOYMENT, "spec.selector.matchLabels", {"app": "a", "b": "c"}, "field is immutable"),
        ("ReplicaSet", DEPLOYMENT, "spec.selector.matchLabels", {"app": "a", "b": "c"}, "field is immutable"),
        ("DaemonSet", DEPLOYMENT, "spec.selector.matchLabels", {"app": "a", "b": "c"}, "field is immutable"),
        ("StatefulSet", STATEFUL_SET, "spec.serviceName", "t", "updates to statefulset spec for fields other than"),
        ("StatefulSet", STATEFUL_SET, "spec.podManagementPolicy", "Parallel", "updates to statefulset spec for fields other than"),
        ("Job", JOB, "spec.completions", 4, "field is immutable"),
        ("Job", JOB, "spec.template.spec.containers.0.image", "other", "field is immutable"),
        ("Job", JOB, "spec.completionMode", "Indexed", "field is immutable"),
        ("Job", JOB, "spec.managedBy", "a.io/b", "field is immutable"),
    ],
)
def test_immutable(kind: str, obj: dict[str, Any], path: str, value: Any, fault: str) -> None:
    before = valid(kind, obj)
    wanted = put(before, path, value)
    if kind != "StatefulSet" and "selector" in path:
        wanted = put(wanted, "spec.template.metadata.labels", {"app": "a", "b": "c"})
    found = texts(changed(kind, before, wanted)[1])
    assert any(fault in text for text in found), found


@pytest.mark.parametrize(
    ("kind", "obj", "path", "value", "grows"),
    [
        ("Deployment", DEPLOYMENT, "spec.replicas", 3, True),
        ("Deployment", DEPLOYMENT, "metadata.annotations", {"a": "b"}, True),
        ("Deployment", DEPLOYMENT, "metadata.labels", {"a": "b"}, False),
        ("ReplicaSet", DEPLOYMENT, "metadata.annotations", {"a": "b"}, False),
        ("StatefulSet", STATEFUL_SET, "spec.replicas", 3, True),
        ("DaemonSet", DEPLOYMENT, "spec.minReadySeconds", 3, True),
        ("Job", JOB, "spec.parallelism", 3, True),
        ("Job", JOB, "metadata.labels.a", "b", False),
        ("CronJob", CRON_JOB, "spec.suspend", True, True),
    ],
)
def test_generations(kind: str, obj: dict[str, Any], path: str, value: Any, *, grows: bool) -> None:
    before = valid(kind, obj)
    after, faults = changed(kind, before, put(before, path, value))
    assert texts(faults) == []
    assert strategy(kind).spec_changed(after, before) is grows


def test_job_defaults() -> None:
    job = valid("Job", JOB)
    assert {key: value for key, value in job["spec"].items() if key not in ("template", "selector")} == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }
    names = {
        "batch.kubernetes.io/controller-uid": UID,
        "batch.kubernetes.io/job-name": "it",
        "controller-uid": UID,
        "job-name": "it",
    }
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}}
    assert job["spec"]["template"]["metadata"]["labels"] == names
    assert job["metadata"].get("labels") == names, "a Job without labels shares its template's, as in Kubernetes"


@pytest.mark.parametrize(
    ("given", "parallelism", "completions"),
    [({}, 1, 1), ({"parallelism": 3}, 3, None), ({"completions": 5}, 1, 5), ({"parallelism": 2, "completions": 5}, 2, 5)],
)
def test_job_counts(given: dict[str, int], parallelism: int, completions: int | None) -> None:
    spec = valid("Job", {"spec": {**JOB["spec"], **given}})["spec"]
    assert (spec["parallelism"], spec.get("completions")) == (parallelism, completions)


def test_a_job_with_a_selector_of_its_own() -> None:
    spec = {
        "manualSelector": True,
        "selector": SELECTOR,
        "template": put(JOB_TEMPLATE, "metadata", {"labels": {"app": "a"}}),
    }
    job = valid("Job", {"spec": spec})
    assert job["spec"]["selector"] == SELECTOR
    assert "controller-uid" not in job["spec"]["template"]["metadata"]["labels"]


def test_a_selector_without_saying_so() -> None:
    _, faults = made("Job", put(JOB, "spec.selector", SELECTOR))
    assert "spec.selector" in {fault.field for fault in faults}


@pytest.mark.parametrize("path", ["spec.template.spec.nodeSelector", "spec.template.metadata.annotations"])
def test_a_suspended_job_may_change_where_its_pods_go(path: str) -> None:
    before = valid("Job", put(JOB, "spec.suspend", True))
    assert texts(changed("Job", before, put(before, path, {"a": "b"}))[1]) == []
    running = valid("Job", JOB)
    assert texts(changed("Job", running, put(running, path, {"a": "b"}))[1])


@pytest.mark.parametrize(("completions", "parallelism", "fine"), [(4, 4, True), (4, 3, False), (2, 2, True)])
def test_an_indexed_job_scales_with_its_parallelism(completions: int, parallelism: int, *, fine: bool) -> None:
    before = valid("Job", {"spec": {**JOB["spec"], "completionMode": "Indexed", "completions": 3, "parallelism": 3}})
    wanted = put(put(before, "spec.completions", completions), "spec.parallelism", parallelism)
    assert (texts(changed("Job", before, wanted)[1]) == []) is fine


@pytest.mark.parametrize(
    ("status", "fine"),
    [
        ({"active": 1, "ready": 0, "startTime": "2026-01-01T00:00:00Z"}, True),
        ({"active": -1}, False),
        ({"succeeded": 1, "completionTime": "2026-01-01T00:00:00Z"}, False),
        (
            {
                "startTime": "2026-01-01T00:00:00Z",
                "completionTime": "2026-01-01T00:01:00Z",
                "succeeded": 1,
                "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
            },
            True,
        ),
        (
            {
                "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Complete", "status": "True"}, {"type": "Failed", "status": "True"}],
            },
            False,
        ),
    ],
)
def test_job_status(status: dict[str, Any], *, fine: bool) -> None:
    before = valid("Job", JOB)
    _, faults = changed("Job", before, put(before, "status", status), "status")
    assert (texts(faults) == []) is fine, texts(faults)


def test_a_status_write_of_a_workload_leaves_the_spec_alone() -> None:
    before = valid("Deployment", DEPLOYMENT)
    after, faults = changed("Deployment", before, put(put(before, "spec.replicas", 9), "status.replicas", 2), "status")
    assert (after["spec"], after["status"], faults) == (before["spec"], {"replicas": 2}, [])


@pytest.mark.parametrize(
    ("schedule", "fine"),
    [
        ("* * * * *", True),
        ("0 0 1 1 *", True),
        ("@daily", True),
        ("@every 1h30m", True),
        ("0-30/5,40 1-3 * JAN-MAR mon", True),
        ("60 * * * *", False),
        ("* * * *", False),
        ("@never", False),
        ("* * 0 * *", False),
    ],
)
def test_schedules(schedule: str, *, fine: bool) -> None:
    assert (texts(made("CronJob", put(CRON_JOB, "spec.schedule", schedule))[1]) == []) is fine


def test_cron_job_defaults() -> None:
    spec = valid("CronJob", CRON_JOB)["spec"]
    assert {key: value for key, value in spec.items() if key != "jobTemplate"} == {
        "schedule": "*/5 * * * *",
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }
    assert "parallelism" not in spec["jobTemplate"]["spec"], "a template's Job gets its defaults when it is made"
