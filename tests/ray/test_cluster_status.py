"""A RayCluster's status from what is seen."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.api.core.pod import Pod
from raysail.api.ray import RayCluster
from raysail.ray.cluster import status as statuses
from raysail.ray.cluster.status import Outcome, StatusUnknownError, differs, new_status, patch
from tests.ray.builders import NOW, ago, cluster, group, head, pod, service

FINE = Outcome()


def status_of(made: RayCluster, pods: list[Pod], outcome: Outcome = FINE, **options: Any) -> dict[str, Any]:
    return new_status(made, pods, [service()], outcome, NOW, **options)


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: f"{c['status']}/{c['reason']}" for c in status["conditions"]}


def test_all_up() -> None:
    status = status_of(cluster(group(replicas=2)), [head(ip="10.0.0.9"), pod("a"), pod("b")])
    assert status["state"] == "ready"
    assert status["stateTransitionTimes"] == {"ready": ago(0)}
    assert (status["readyWorkerReplicas"], status["availableWorkerReplicas"], status["desiredWorkerReplicas"]) == (2, 2, 2)
    assert status["maxWorkerReplicas"] == 10
    assert (status["desiredCPU"], status["desiredMemory"], status["desiredGPU"]) == ("3", "6Gi", "0")
    assert status["endpoints"] == {"dashboard": "8265"}
    assert status["head"] == {"podIP": "10.0.0.9", "podName": "rc-head-abcde", "serviceIP": "10.0.0.9", "serviceName": "rc-head-svc"}
    assert conditions(status) == {
        "HeadPodReady": "True/HeadPodRunningAndReady",
        "RayClusterProvisioned": "True/AllPodRunningAndReadyFirstTime",
        "RayClusterSuspended": "False/RayClusterSuspended",
        "RayClusterSuspending": "False/RayClusterSuspending",
    }


@pytest.mark.parametrize(
    ("rule", "pods", "outcome"),
    [
        ("a worker is missing", [head()], FINE),
        ("one too many", [head(), pod("a"), pod("b")], FINE),
        ("one is not ready", [head(), pod("a", ready=False)], FINE),
        ("one is pending", [head(), pod("a", phase="Pending", ready=None)], FINE),
        ("something is in the way", [head(), pod("a")], Outcome(problem="x")),
    ],
)
def test_not_ready_while(rule: str, pods: list[Pod], outcome: Outcome) -> None:
    assert "state" not in status_of(cluster(group(replicas=1)), pods, outcome), rule


def test_ready_stays_and_provisioned_stays() -> None:
    old = {
        "state": "ready",
        "conditions": [{"type": "RayClusterProvisioned", "status": "True", "reason": "x", "lastTransitionTime": ago(60)}],
    }
    status = status_of(cluster(group(replicas=1), status=old), [head(ready=False)])
    assert status["state"] == "ready"
    assert conditions(status)["RayClusterProvisioned"] == "True/x"
    assert conditions(status)["HeadPodReady"].startswith("False/")


def test_a_failure_is_a_condition_until_all_is_well() -> None:
    failed = status_of(cluster(), [head()], Outcome("no", "FailedCreateHeadPod", "FailedCreateHeadPod\nno"))
    assert conditions(failed)["ReplicaFailure"] == "True/FailedCreateHeadPod"
    then = cluster(status=failed)
    assert "ReplicaFailure" in conditions(status_of(then, [head()], Outcome(problem="still")))
    assert "ReplicaFailure" not in conditions(status_of(then, [head()]))


def test_the_heads_trouble_is_told() -> None:
    trouble = [{"name": "ray", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]
    seen = head(ready=None, containers=trouble)
    waiting = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [ray]"}
    import msgspec

    seen = msgspec.convert({**msgspec.to_builtins(seen), "status": {**msgspec.to_builtins(seen.status), "conditions": [waiting]}}, Pod)
    (condition,) = [c for c in status_of(cluster(), [seen])["conditions"] if c["type"] == "HeadPodReady"]
    assert condition["reason"] == "ImagePullBackOff"
    assert condition["message"] == "containers with unready status: [ray]; ray: no such image"


class TestSuspension:
    def test_step_by_step(self) -> None:
        asked = cluster(group(), suspend=True)
        first = status_of(asked, [head(), pod("a")])
        assert conditions(first)["RayClusterSuspending"].startswith("True")
        second = status_of(cluster(group(), suspend=True, status=first), [head()])
        assert conditions(second)["RayClusterSuspending"].startswith("True")
        third = status_of(cluster(group(), suspend=True, status=second), [])
        assert third["state"] == "suspended"
        assert conditions(third)["RayClusterSuspended"].startswith("True")
        assert conditions(third)["RayClusterSuspending"].startswith("False")
        assert conditions(third)["RayClusterProvisioned"] == "False/RayClusterPodsProvisioning"
        resumed = status_of(cluster(group(), suspend=False, status=third), [])
        assert conditions(resumed)["RayClusterSuspended"].startswith("False")

    def test_without_the_gate_there_are_no_conditions(self) -> None:
        status = status_of(cluster(suspend=True), [], conditions=False)
        assert status["state"] == "suspended"
        assert "conditions" not in status


def test_nothing_can_be_said_without_one_head_service() -> None:
    with pytest.raises(StatusUnknownError):
        new_status(cluster(), [head()], [], FINE, NOW)
    with pytest.raises(StatusUnknownError):
        new_status(cluster(), [head("a"), head("b")], [service()], FINE, NOW)


def test_endpoints_are_node_ports_where_there_are_any() -> None:
    ports: list[dict[str, Any]] = [
        {"name": "a", "port": 1, "targetPort": 2, "nodePort": 30001},
        {"name": "b", "port": 3, "targetPort": "x"},
        {"port": 5},
    ]
    assert statuses.endpoints(service(ports=ports)) == {"a": "30001", "b": "x"}


def test_a_services_own_address() -> None:
    status = new_status(cluster(), [head(ip="1.1.1.1")], [service(cluster_ip="10.96.0.1")], FINE, NOW)
    assert status["head"]["serviceIP"] == "10.96.0.1"


def test_only_what_says_something_new_is_written() -> None:
    status = status_of(cluster(group(replicas=1)), [head(), pod("a")])
    written = cluster(group(replicas=1), status=status)
    assert not differs(written, status_of(written, [head(), pod("a")]))
    later = status_of(written, [head(name="rc-head-other"), pod("a")])
    assert differs(written, later)
    changes = patch(written, later, NOW)
    assert changes["metadata"] == {"resourceVersion": "7"}
    assert changes["status"]["head"] == {"podName": "rc-head-other"}


def test_suspended_groups_ask_for_nothing() -> None:
    status = status_of(cluster(group(replicas=2, suspend=True)), [head()])
    assert status["state"] == "ready"
    assert "desiredWorkerReplicas" not in status
    assert status["desiredCPU"] == "1"
