"""Pods and groups of Pods as jobs: which of them count, when a group ends, who is replaced; and on the embedded API, held and let go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.kueue import Workload
from raysail.api.resources import PODS, WORKLOADS
from raysail.queue.jobs import pod_group
from raysail.queue.jobs.kind import InvalidJobError, Job
from raysail.queue.jobs.pod_group import Pods, gather
from tests.queue.test_controllers import Stage, condition, stage

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GATE = [{"name": "kueue.x-k8s.io/admission"}]
PREFIX = "kueue.x-k8s.io/"


def at(seconds: int) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, phase: str = "Running", *, role: str = "a", total: int = 2, created: int = 0, gated: bool = False, **more: Any) -> Job:
    annotations = {f"{PREFIX}role-hash": role, f"{PREFIX}pod-group-total-count": str(total), **more.pop("annotations", {})}
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": name,
        "labels": {f"{PREFIX}pod-group-name": "g", f"{PREFIX}queue-name": more.pop("queue", "lq")},
        "annotations": annotations,
        "creationTimestamp": at(created),
        "finalizers": [f"{PREFIX}managed"],
        **more.pop("metadata", {}),
    }
    spec = {"nodeName": "n", "containers": [{"name": "c"}], **({"schedulingGates": GATE} if gated else {})}
    return msgspec.convert({"metadata": metadata, "spec": spec, "status": {"phase": phase, **more}}, Job)


def group(*members: Job) -> Pods:
    return gather(members, "g", NOW)


def workload(*places: tuple[str, int], **status: Any) -> Workload:
    pod_sets = [{"name": name, "count": count, "template": {}} for name, count in places]
    return msgspec.convert({"metadata": {"name": "g", "namespace": "ns"}, "spec": {"podSets": pod_sets}, "status": status}, Workload)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((pod("p", "Succeeded"), pod("q", "Succeeded")), "Pods succeeded: 2/2."),
        ((pod("p", "Succeeded"), pod("q")), None),
        ((pod("p", "Succeeded"), pod("q", "Failed")), None),  # somebody may still replace it
        ((pod("p", "Failed", annotations={f"{PREFIX}retriable-in-group": "false"}), pod("q", "Succeeded")), "Pods succeeded: 1/2."),
        ((pod("p", "Failed", annotations={f"{PREFIX}retriable-in-group": "false"}), pod("q")), None),
        ((pod("p", "Succeeded", total=0),), None),
        ((pod("p", "Succeeded", total=1, annotations={f"{PREFIX}pod-group-serving": "true"}),), None),
    ],
    ids=["all succeeded", "one runs", "one failed", "failed for good", "failed for good, one runs", "no size", "serves"],
)
def test_a_group_ends(members: tuple[Job, ...], message: str | None) -> None:
    ended = pod_group.finished(group(*members))
    assert (ended.message if ended is not None else None) == message


def test_a_pod_that_will_not_run_any_more_does_not_count() -> None:
    going = {"deletionTimestamp": at(-5), "deletionGracePeriodSeconds": 30}
    assert pod_group.counts(pod("p", metadata=going))
    assert not pod_group.counts(msgspec.structs.replace(pod("p", metadata=going), spec={}))
    assert not pod_group.counts(pod("p", "Failed"))
    assert pod_group.active(group(pod("p", metadata=going)))
    assert not pod_group.active(group(pod("p", metadata={**going, "deletionTimestamp": at(-31)})))  # stuck, as on a lost node
    assert not pod_group.active(group(pod("p", "Pending", gated=True)))


def test_the_youngest_gated_pods_are_the_ones_too_many() -> None:
    members = pod("old", created=0), pod("young", created=9), pod("gated", "Pending", created=1, gated=True)
    fit = pod_group.fit_to(group(*members), workload(("a", 2)))
    assert fit is not None
    assert [each.metadata.name for each in fit.kept] == ["old", "young"]
    assert [each.metadata.name for each in fit.excess] == ["gated"]
    fit = pod_group.fit_to(group(*members), workload(("a", 1)))
    assert fit is not None
    assert [each.metadata.name for each in fit.excess] == ["young", "gated"]


def test_a_failed_pod_keeps_its_place_until_it_is_replaced() -> None:
    failed = [pod("f", "Failed", created=0), pod("g", "Failed", created=1)]
    fit = pod_group.fit_to(group(*failed, pod("r")), workload(("a", 2)))
    assert fit is not None
    assert ([each.metadata.name for each in fit.kept], [each.metadata.name for each in fit.replaced], fit.absent) == (["r", "f"], ["g"], 1)
    fit = pod_group.fit_to(group(*failed, pod("r"), pod("s", "Pending", gated=True)), workload(("a", 2)))
    assert fit is not None
    assert ({each.metadata.name for each in fit.replaced}, fit.absent) == ({"f", "g"}, 0)


def test_a_workload_without_a_place_for_a_role_is_not_the_groups() -> None:
    members = pod("p"), pod("q", role="b")
    assert pod_group.fit_to(group(*members), workload(("a", 1), ("b", 1))) is not None
    assert pod_group.fit_to(group(pod("q", role="b")), workload(("a", 1))) is None
    assert not pod_group.covers(workload(("a", 1)), pod_group.pod_sets(group(*members)))
    over = workload(("a", 1), conditions=[{"type": "Finished", "status": "True"}])
    assert pod_group.covers(over, pod_group.pod_sets(group(pod("p"), pod("q"))))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ((pod("p"),), "'g' group has fewer runnable pods than expected"),
        ((pod("p"), pod("q", queue="other")), "pods 'p' and 'q' has different queue names: lq!=other"),
        ((pod("p"), pod("q", total=3)), f"pods 'p' and 'q' has different '{PREFIX}pod-group-total-count' values: 2!=3"),
    ],
    ids=["too few", "two queues", "two sizes"],
)
def test_pods_must_agree_about_their_group(members: tuple[Job, ...], text: str) -> None:
    made = group(*members)
    with pytest.raises(InvalidJobError) as refused:
        pod_group.check_members(made, made.members)
    assert str(refused.value) == text


def test_a_group_that_may_start_early_has_its_whole_size() -> None:
    first = pod("p", "Pending", total=5, gated=True, annotations={f"{PREFIX}pod-group-fast-admission": "true"})
    pod_group.check_members(group(first), [first])
    assert [(each["name"], each["count"]) for each in pod_group.pod_sets(group(first))] == [("a", 5)]


# --- on the embedded API ------------------------------------------------------------------------------------------------------------------


async def make(here: Stage, name: str, cpu: str = "1", *, of: str = "", total: int = 2) -> None:
    labels = {f"{PREFIX}queue-name": "lq", **({f"{PREFIX}pod-group-name": of} if of else {})}
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
    annotations = {f"{PREFIX}pod-group-total-count": str(total)} if of else {}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"restartPolicy": "Never", "containers": containers}}
    await here.client.create(PODS, body, "default")


async def ends(here: Stage, name: str, phase: str) -> None:
    """What the kubelet would say."""
    await here.client.patch(PODS, name, {"status": {"phase": phase}}, "default", subresource="status")


def is_gated(obj: dict[str, Any]) -> bool:
    return any(gate["name"] == GATE[0]["name"] for gate in obj["spec"].get("schedulingGates") or ())


async def test_a_pod_waits_for_another_ones_quota() -> None:
    async with stage("1") as here, here.controllers():
        await make(here, "a")
        found = await here.until(PODS, lambda pods: not is_gated(pods["a"]))
        assert found["a"]["spec"]["nodeSelector"] == {"pool": "p"}
        await make(here, "b")
        await here.until(WORKLOADS, lambda made: len(made) == 2)
        assert is_gated((await here.objects(PODS))["b"])
        await ends(here, "a", "Succeeded")
        found = await here.until(PODS, lambda pods: not is_gated(pods["b"]) and "finalizers" not in pods["a"]["metadata"])
        assert f"{PREFIX}managed" in found["b"]["metadata"]["finalizers"]


async def test_a_failed_pod_of_a_group_is_replaced() -> None:
    async with stage("2") as here, here.controllers():
        await make(here, "a", of="g")
        await make(here, "b", of="g")
        await here.until(PODS, lambda pods: not any(map(is_gated, pods.values())))
        await ends(here, "a", "Failed")
        await here.until(WORKLOADS, lambda made: condition(made["g"], "WaitingForReplacementPods") == ("True", "PodsFailed"))
        await make(here, "c", of="g")
        found = await here.until(PODS, lambda pods: not is_gated(pods["c"]) and "finalizers" not in pods["a"]["metadata"])
        assert set(found) == {"a", "b", "c"}
        await make(here, "d", of="g")
        await here.until(PODS, lambda pods: "d" not in pods)  # one too many
        for name in "bc":
            await ends(here, name, "Succeeded")
        made = await here.until(WORKLOADS, lambda made: condition(made["g"], "Finished") == ("True", "Succeeded"))
        assert condition(made["g"], "WaitingForReplacementPods")[0] == "False"


async def test_with_its_workload_a_group_goes_too() -> None:
    async with stage("2") as here, here.controllers():
        await make(here, "a", of="g")
        await make(here, "b", of="g")
        await here.until(WORKLOADS, lambda made: condition(made.get("g", {}), "Admitted")[0] == "True")
        await here.client.delete(WORKLOADS, "g", "default")
        await here.until(PODS, lambda pods: not pods)
        await here.until(WORKLOADS, lambda made: not made)
