"""What can be set: environment variables, feature gates and the configuration file, as KubeRay reads them."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.ray.settings import FeatureGates, RaySettings


@pytest.mark.parametrize(
    ("environment", "attribute", "value"),
    [
        ({}, "cluster_domain", "cluster.local"),
        ({"CLUSTER_DOMAIN": "k8s.example"}, "cluster_domain", "k8s.example"),
        ({"CLUSTER_DOMAIN": ""}, "cluster_domain", "cluster.local"),
        ({"ENABLE_INIT_CONTAINER_INJECTION": "false"}, "inject_init_container", False),
        ({"ENABLE_INIT_CONTAINER_INJECTION": "FALSE"}, "inject_init_container", False),
        ({"ENABLE_INIT_CONTAINER_INJECTION": "no"}, "inject_init_container", True),
        ({"ENABLE_PROBES_INJECTION": "false"}, "inject_probes", False),
        ({"ENABLE_GCS_FT_REDIS_CLEANUP": "false"}, "redis_cleanup", False),
        ({"ENABLE_RANDOM_POD_DELETE": "true"}, "random_pod_delete", True),
        ({"ENABLE_RANDOM_POD_DELETE": "yes"}, "random_pod_delete", False),
        ({"ENABLE_RAY_HEAD_CLUSTER_IP_SERVICE": "true"}, "head_cluster_ip_service", True),
        ({"ENABLE_DETERMINISTIC_HEAD_POD_NAME": "true"}, "deterministic_head_pod_name", True),
        ({"ENABLE_LOGIN_SHELL": "true"}, "login_shell", True),
        ({"DELETE_RAYJOB_CR_AFTER_JOB_FINISHES": "true"}, "delete_ray_job_after_finish", True),
        ({"ENABLE_ZERO_DOWNTIME": "false"}, "zero_downtime", False),
        ({"RAYCLUSTER_DEFAULT_REQUEUE_SECONDS_ENV": "7"}, "cluster_resync_seconds", 7),
        ({"RAYCLUSTER_DEFAULT_REQUEUE_SECONDS_ENV": "soon"}, "cluster_resync_seconds", 300),
        ({"RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS": "5"}, "status_check_timeout_seconds", 5),
        ({"RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS": "0"}, "status_check_timeout_seconds", 300),
        ({"RAYJOB_DEPLOYMENT_STATUS_TRANSITION_GRACE_PERIOD_SECONDS": "2"}, "transition_grace_period_seconds", 2),
    ],
)
def test_environment(environment: dict[str, str], attribute: str, value: Any) -> None:
    assert getattr(RaySettings().with_environment(environment), attribute) == value


def test_gates_change_by_name_and_keep_the_rest() -> None:
    gates = FeatureGates().with_text("RayCronJob=true, RayJobDeletionPolicy=false,")
    assert (gates.ray_cron_job, gates.ray_job_deletion_policy, gates.ray_multi_host_indexing) == (True, False, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [("RayCornJob=true", "unrecognized feature gate: RayCornJob"), ("RayCronJob=maybe", "invalid value of RayCronJob=maybe")],
)
def test_gates_that_make_no_sense_are_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FeatureGates().with_text(text)


def test_configuration_file() -> None:
    document = {
        "apiVersion": "config.ray.io/v1alpha1",
        "kind": "Configuration",
        "reconcileConcurrency": 4,
        "defaultContainerEnvs": [{"name": "A", "value": "1"}],
        "defaultPodLabels": {"team": "ml"},
        "deleteRayJobAfterJobFinishes": True,
        "metricsAddr": ":9999",
    }
    settings = RaySettings().with_configuration(document)
    assert settings.concurrency == 4
    assert settings.default_container_envs == ({"name": "A", "value": "1"},)
    assert settings.default_pod_labels == {"team": "ml"}
    assert settings.delete_ray_job_after_finish


@pytest.mark.parametrize("document", [{"kind": "Deployment"}, {"apiVersion": "v1", "kind": "Configuration"}])
def test_a_file_of_another_kind_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected apiVersion config\.ray\.io/v1alpha1, kind Configuration"):
        RaySettings().with_configuration(document)
