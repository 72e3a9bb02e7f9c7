"""Kinds held through their Pods, as a user has them: the examples of `examples/queue-kinds` on a whole instance, with real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raysail.api.resources import DEPLOYMENTS, PODS, STATEFUL_SETS, WORKLOADS, Resource
from raysail.instance.processes import wait_until
from tests.system.instance import Instance, instance

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "queue-kinds"
PATIENCE_SECONDS = 60

Objects = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def here() -> Iterator[Instance]:
    with instance() as found:
        found.run("apply", "-f", str(EXAMPLES / "queue.yaml"))
        yield found


def apply(here: Instance, name: str) -> None:
    here.run("apply", "-f", str(EXAMPLES / name))


def objects(here: Instance, resource: Resource, prefix: str = "") -> Objects:
    listed = here.api.request("GET", resource.path("default"))["items"]
    return {each["metadata"]["name"]: each for each in listed if each["metadata"]["name"].startswith(prefix)}


def until(here: Instance, resource: Resource, prefix: str, what: Callable[[Objects], bool]) -> Objects:
    found: Objects = {}

    def seen() -> bool:
        found.clear()
        found.update(objects(here, resource, prefix))
        return what(found)

    if not wait_until(seen, PATIENCE_SECONDS, 0.1):
        state = {name: (each["spec"].get("schedulingGates"), each.get("status")) for name, each in found.items()}
        pytest.fail(f"{resource.plural} {prefix}*: {state}\n{here.logs()}")
    return dict(found)


def phases(pods: Objects) -> list[str]:
    return sorted(pod["status"].get("phase", "") for pod in pods.values())


def gates(pod: dict[str, Any]) -> list[str]:
    return [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()]


def condition(obj: dict[str, Any], type_: str) -> tuple[str, str]:
    found = next((each for each in (obj.get("status") or {}).get("conditions") or () if each["type"] == type_), None)
    return (found["status"], found["reason"]) if found else ("", "")


def scale(here: Instance, resource: Resource, name: str, replicas: int) -> None:
    here.api.merge(resource.path("default", name), {"spec": {"replicas": replicas}})


def remove(here: Instance, name: str) -> None:
    """The example's objects, and what they held."""
    here.run("delete", "-f", str(EXAMPLES / name))
    until(here, WORKLOADS, "", lambda found: all(condition(each, "Admitted")[0] != "True" or _over(each) for each in found.values()))


def _over(workload: dict[str, Any]) -> bool:
    return condition(workload, "Finished")[0] == "True"


def test_a_pod_runs_and_its_workload_finishes(here: Instance) -> None:
    apply(here, "pod.yaml")
    until(here, PODS, "single", lambda pods: phases(pods) == ["Succeeded"])
    workloads = until(
        here, WORKLOADS, "pod-single", lambda found: [condition(w, "Finished") for w in found.values()] == [("True", "Succeeded")]
    )
    assert [w["status"]["admission"]["clusterQueue"] for w in workloads.values()] == ["kinds"]
    pod = until(here, PODS, "single", lambda pods: all("finalizers" not in pod["metadata"] for pod in pods.values()))["single"]
    assert pod["metadata"]["labels"]["kueue.x-k8s.io/cluster-queue-name"] == "kinds"
    remove(here, "pod.yaml")


def test_a_group_of_pods_waits_until_it_is_complete(here: Instance) -> None:
    first, second = (EXAMPLES / "pod-group.yaml").read_text().split("---\n")
    here.run("apply", "-f", "-", text=first)
    until(here, PODS, "pair", lambda pods: bool(pods))
    assert not objects(here, WORKLOADS, "pair")
    assert [gates(pod) != [] for pod in objects(here, PODS, "pair").values()] == [True]
    assert "waits for its group pair: none of it starts before 2 Pods are made" in here.run("why", "pair-a").stdout
    here.run("apply", "-f", "-", text=second)
    until(here, PODS, "pair", lambda pods: phases(pods) == ["Succeeded", "Succeeded"])
    workload = until(here, WORKLOADS, "pair", lambda found: all(_over(w) for w in found.values()) and bool(found))["pair"]
    assert next(c["message"] for c in workload["status"]["conditions"] if c["type"] == "Finished") == "Pods succeeded: 2/2."
    remove(here, "pod-group.yaml")


def test_a_deployment_scaled_beyond_its_quota_waits_with_the_last_pod(here: Instance) -> None:
    apply(here, "deployment.yaml")
    running = until(here, PODS, "web", lambda pods: phases(pods) == ["Running", "Running"])
    assert not any(gates(pod) for pod in running.values())
    scale(here, DEPLOYMENTS, "web", 3)  # 3 x 150m do not fit into 400m
    waits = until(
        here,
        WORKLOADS,
        "pod-web",
        lambda found: sorted(condition(w, "QuotaReserved")[0] for w in found.values()) == ["False", "True", "True"],
    )
    assert [condition(w, "QuotaReserved")[1] for w in waits.values()].count("WaitingForQuota") == 1
    held = until(here, PODS, "web", lambda pods: phases(pods) == ["Pending", "Running", "Running"])
    assert "Deployment default/web is queued Pod by Pod" in here.run("why", "web").stdout
    (last,) = (pod for pod in held.values() if pod["status"]["phase"] == "Pending")
    assert "kueue.x-k8s.io/admission" in gates(last)
    assert not last["spec"].get("nodeName")
    (gone, *_) = (name for name, pod in held.items() if pod["status"]["phase"] == "Running")
    here.api.delete(PODS.path("default", gone))  # the Pod that takes its place stands behind the one that waits
    until(here, PODS, "web", lambda pods: pods.get(last["metadata"]["name"], {}).get("status", {}).get("phase") == "Running")
    scale(here, DEPLOYMENTS, "web", 1)
    until(here, WORKLOADS, "pod-web", lambda found: len(found) == 1)  # those of Pods that are gone go with them
    remove(here, "deployment.yaml")
    until(here, PODS, "web", lambda pods: not pods)
    until(here, WORKLOADS, "pod-web", lambda found: not found)


def test_a_stateful_set_is_one_group_and_is_on_hold_at_zero(here: Instance) -> None:
    apply(here, "stateful-set.yaml")
    pods = until(here, PODS, "store", lambda pods: phases(pods) == ["Running", "Running"])
    (name,) = {pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-name"] for pod in pods.values()}
    assert list(objects(here, WORKLOADS, "statefulset-store")) == [name]
    assert here.run("why", "store").stdout.startswith("StatefulSet default/store admitted")
    scale(here, STATEFUL_SETS, "store", 0)
    until(here, PODS, "store", lambda pods: not pods)
    until(here, WORKLOADS, name, lambda found: condition(found[name], "QuotaReserved") == ("False", "OnHold"))
    scale(here, STATEFUL_SETS, "store", 2)
    until(here, PODS, "store", lambda pods: phases(pods) == ["Running", "Running"])
    assert condition(objects(here, WORKLOADS, name)[name], "Admitted")[0] == "True"
    remove(here, "stateful-set.yaml")
    until(here, PODS, "store", lambda pods: not pods)
    until(here, WORKLOADS, "statefulset-store", lambda found: not found)
