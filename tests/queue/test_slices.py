"""Elastic jobs: which slice stands for a job, what a change of its size does, which Pods may run."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from raysail.api.kueue import Workload, names
from raysail.queue.jobs.elastic_pods import ConflictingUpdatesError, active_slice, gated, pods_to_ungate
from raysail.queue.jobs.kind import Job
from raysail.queue.model.slices import REPLACED, chain_name, latest_with_quota, plan_slices, replaced_slice, slice_annotations


def condition(type_: str) -> dict[str, str]:
    return {"type": type_, "status": "True", "reason": "Test", "lastTransitionTime": "2026-11-24T00:00:00Z"}


def workload(
    name: str,
    count: int = 1,
    *states: str,
    replaces: str = "",
    age: int = 0,
    checks: list[dict[str, Any]] | None = None,
    namespace: str = "ns",
) -> Workload:
    annotations = {names.WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION: replaces} if replaces else {}
    obj = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": f"2026-11-24T00:00:{50 - age:02}Z",
            "annotations": annotations,
        },
        "spec": {"podSets": [{"name": "main", "count": count, "template": {}}]},
        "status": {"conditions": [condition(state) for state in states], "admissionChecks": checks or []},
    }
    if "QuotaReserved" in states:
        obj["status"]["admission"] = {"clusterQueue": "cq", "podSetAssignments": [{"name": "main", "count": count}]}  # type: ignore[index]
    return msgspec.convert(obj, Workload)


class Case(NamedTuple):
    rule: str
    wanted: int
    slices: list[Workload]
    stands: str | None
    resized: bool = False
    finished: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.rule


HELD = "QuotaReserved"
CASES = (
    Case("a job without a slice needs one", 3, [], None),
    Case("a slice of the same size stands for it", 3, [workload("a", 3, HELD)], "a"),
    Case("one that waits is resized", 3, [workload("a", 2)], "a", resized=True),
    Case("one that shrinks is resized", 1, [workload("a", 2, HELD)], "a", resized=True),
    Case("one that grows needs another slice", 3, [workload("a", 2, HELD)], None),
    Case("a finished one does not count", 3, [workload("a", 3, HELD, "Finished")], None),
    Case("the one that waits to replace stands for the job", 3, [workload("a", 2, HELD, age=9), workload("b", 3, replaces="ns/a")], "b"),
    Case(
        "the replaced one is finished when both hold quota",
        3,
        [workload("a", 2, HELD, age=9), workload("b", 3, HELD, replaces="ns/a")],
        "b",
        finished=(("a", "WorkloadSliceReplaced"),),
    ),
    Case(
        "one that replaces nothing is out of step",
        2,
        [workload("a", 2, HELD, age=9), workload("b", 3)],
        "a",
        finished=(("b", "OutOfSync"),),
    ),
    Case(
        "an evicted one is over",
        3,
        [workload("a", 2, HELD, "Evicted", age=9), workload("b", 3, replaces="ns/a")],
        "b",
        finished=(("a", "WorkloadSliceReplaced"),),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_slice_stands_for_the_job(case: Case) -> None:
    plan = plan_slices({"main": case.wanted}, case.slices)
    assert plan.fits
    assert (plan.workload.metadata.name if plan.workload is not None else None) == case.stands
    assert (plan.resize is not None) == case.resized
    assert tuple((each.workload.metadata.name, each.reason) for each in plan.finish) == case.finished


def test_slices_with_other_pod_sets_are_none_of_this_job() -> None:
    assert not plan_slices({"other": 1}, [workload("a")]).fits


def test_a_chain_keeps_the_name_of_its_first_slice() -> None:
    first = slice_annotations("a", [])
    assert first[names.WORKLOAD_SLICE_NAME_ANNOTATION] == "a"
    second = slice_annotations("b", [workload("a", 2, HELD)])
    assert second[names.WORKLOAD_SLICE_NAME_ANNOTATION] == "a"
    assert second[names.WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION] == "ns/a"
    with pytest.raises(ValueError, match="unexpected workload-slices count: 2"):
        slice_annotations("c", [workload("a"), workload("b")])
    assert chain_name(workload("a")) == "a"
    assert REPLACED[0] == "WorkloadSliceReplaced"


def test_a_slice_cannot_claim_what_another_namespace_holds() -> None:
    holders = {"other/a": "theirs", "ns/a": "ours"}
    assert replaced_slice(workload("b", replaces="ns/a"), holders) == "ours"
    assert replaced_slice(workload("b", replaces="other/a"), holders) is None
    assert replaced_slice(workload("b"), holders) is None


def test_a_slice_that_loses_its_quota_is_not_the_active_one() -> None:
    leaving, staying = workload("b", 2, HELD, "Admitted", "Evicted"), workload("a", 1, HELD, "Admitted", age=9)
    assert latest_with_quota([staying, leaving]) is staying
    assert active_slice([workload("a", 1, HELD)]) is None  # its checks are still out


def pod(name: str, *, waits: bool = True, phase: str = "Pending", pod_set: str = "main", selector: dict[str, str] | None = None) -> Job:
    gates = [{"name": names.TOPOLOGY_GATE}, *([{"name": names.ELASTIC_JOB_GATE}] if waits else [])]
    obj = {
        "metadata": {"name": name, "namespace": "ns", "labels": {names.POD_SET_LABEL: pod_set}},
        "spec": {"schedulingGates": gates, "nodeSelector": selector or {}},
        "status": {"phase": phase},
    }
    return msgspec.convert(obj, Job)


def let_go(active: Workload, *pods: Job) -> list[str]:
    return [found.metadata.name for found, _ in pods_to_ungate(active, pods)]


def test_as_many_pods_run_as_were_granted() -> None:
    active = workload("a", 2, HELD, "Admitted")
    assert let_go(active, pod("p3"), pod("p1"), pod("p2")) == ["p1", "p2"]
    assert let_go(active, pod("p1", waits=False), pod("p2"), pod("p3")) == ["p2"]
    assert let_go(active, pod("p1", waits=False, phase="Succeeded"), pod("p2"), pod("p3")) == ["p2", "p3"]
    assert let_go(active, pod("p1", pod_set="other")) == []


def test_only_the_jobs_own_gate_is_taken_off() -> None:
    ((waiting, patch),) = pods_to_ungate(workload("a", 1, HELD, "Admitted"), [pod("p")])
    assert gated(waiting)
    assert patch == {"spec": {"schedulingGates": [{"name": names.TOPOLOGY_GATE}]}}


def test_what_checks_ask_for_reaches_the_pod_and_never_changes_it() -> None:
    def check(name: str, zone: str) -> dict[str, Any]:
        return {"name": name, "state": "Ready", "podSetUpdates": [{"name": "main", "nodeSelector": {"zone": zone}}]}

    active = workload("a", 2, HELD, "Admitted", checks=[check("one", "z1")])
    ((_, patch),) = pods_to_ungate(active, [pod("p")])
    assert patch["spec"]["nodeSelector"] == {"zone": "z1"}
    assert let_go(active, pod("p", selector={"zone": "z2"})) == []
    with pytest.raises(ConflictingUpdatesError, match="conflicting"):
        pods_to_ungate(workload("a", 2, HELD, "Admitted", checks=[check("one", "z1"), check("two", "z2")]), [pod("p")])
