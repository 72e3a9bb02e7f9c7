"""What is counted when a Workload changes, and what is told of the world."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from raysail.api.kueue import ClusterQueue, Cohort, Workload
from raysail.api.prometheus import Counter, Family, Histogram
from raysail.queue.jobs.kind import Job
from raysail.queue.metrics import families
from raysail.queue.metrics.gates import gates_gone, seconds_since_admission
from raysail.queue.metrics.gauges import LocalQueueState, QueueState, local_queue_samples, queue_samples
from raysail.queue.metrics.settings import MetricsSettings
from raysail.queue.metrics.transitions import observe, unadmitted
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending

NOW = datetime(2026, 1, 1, 0, 10, 0, tzinfo=UTC)


def at(minute: int, second: int = 0) -> str:
    return f"2026-01-01T00:{minute:02}:{second:02}Z"


def condition(type_: str, status: str = "True", reason: str = "", when: str = at(0)) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason or type_, "message": "", "lastTransitionTime": when}


def workload(*conditions: dict[str, Any], held: bool = False, **status: Any) -> Workload:
    if held:
        pod_set = {"name": "main", "count": 1, "flavors": {"cpu": "rf"}, "resourceUsage": {"cpu": "2"}}
        status["admission"] = {"clusterQueue": "cq", "podSetAssignments": [pod_set]}
    template = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}}
    reference = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "high"}
    return msgspec.convert(
        {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {"name": "w", "namespace": "ns", "uid": "u", "creationTimestamp": at(8)},
            "spec": {"queueName": "lq", "priorityClassRef": reference, "podSets": [{"name": "main", "count": 1, "template": template}]},
            "status": {"conditions": list(conditions), **status},
        },
        Workload,
    )


def told(old: Workload, new: Workload) -> dict[str, tuple[tuple[str, ...], float | None]]:
    return {seen.family.name: (seen.labels, seen.value) for seen in observe(old, new, NOW)}


WAITING = workload(condition("QuotaReserved", "False", "WaitingForQuota"))
ADMITTED = workload(condition("QuotaReserved", when=at(5)), condition("Admitted", when=at(6)), held=True)


def test_an_admission_at_once_counts_reservation_and_admission_but_no_checks() -> None:
    found = told(WAITING, ADMITTED)
    assert found["kueue_quota_reserved_workloads_total"] == (("cq", "high"), None)
    assert found["kueue_admitted_workloads_total"] == (("cq", "high"), None)
    assert found["kueue_admission_wait_time_seconds"] == (("cq", "high"), 120.0)
    assert found["kueue_local_queue_admitted_workloads_total"] == (("lq", "ns", "high"), None)
    assert "kueue_admission_checks_wait_time_seconds" not in found


def test_after_checks_the_wait_for_them_is_counted() -> None:
    checks = [{"name": "c", "state": "Ready", "message": "", "lastTransitionTime": at(9)}]
    reserved = workload(condition("QuotaReserved", when=at(5)), held=True, admissionChecks=checks)
    admitted = workload(condition("QuotaReserved", when=at(5)), condition("Admitted", when=at(9)), held=True, admissionChecks=checks)
    found = told(reserved, admitted)
    assert found["kueue_admission_checks_wait_time_seconds"] == (("cq", "high"), 300.0)
    assert "kueue_quota_reserved_workloads_total" not in found


def test_ready_counts_the_first_time_only() -> None:
    ready = workload(*map(_plain, ADMITTED.status.conditions or ()), condition("PodsReady", reason="Started", when=at(7)), held=True)
    found = told(ADMITTED, ready)
    assert found["kueue_ready_wait_time_seconds"] == (("cq", "high"), 120.0)
    assert found["kueue_admitted_until_ready_wait_time_seconds"] == (("cq", "high"), 60.0)
    recovered = workload(*map(_plain, ADMITTED.status.conditions or ()), condition("PodsReady", reason="Recovered", when=at(7)), held=True)
    assert told(ADMITTED, recovered) == {}


def _plain(found: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def test_evictions_are_counted_by_cause_and_their_latency_when_quota_comes_back() -> None:
    stats = {"evictions": [{"reason": "Preempted", "underlyingCause": "", "count": 1}]}
    running = [*map(_plain, ADMITTED.status.conditions or ()), condition("PodsReady", when=at(7))]
    evicted = workload(*running, condition("Evicted", reason="Preempted", when=at(9)), held=True, schedulingStats=stats)
    found = told(workload(*running, held=True), evicted)
    assert found["kueue_evicted_workloads_total"] == (("cq", "Preempted", "", "high"), None)
    assert found["kueue_evicted_workloads_once_total"] == (("cq", "Preempted", "", "high"), None)
    assert found["kueue_pods_ready_to_evicted_time_seconds"] == (("cq", "Preempted", ""), 120.0)
    released = workload(condition("QuotaReserved", "False"), condition("Evicted", reason="Preempted", when=at(9)), schedulingStats=stats)
    assert told(evicted, released) == {"kueue_workload_eviction_latency_seconds": (("cq", "Preempted"), 60.0)}
    again = workload(
        *running, condition("Evicted", reason="Preempted", when=at(9)), held=True,
        schedulingStats={"evictions": [{"reason": "Preempted", "underlyingCause": "", "count": 2}]},
    )  # fmt: skip
    assert "kueue_evicted_workloads_once_total" not in told(workload(*running, held=True, schedulingStats=stats), again)


def test_a_finish_counts_all_the_time_that_it_was_admitted() -> None:
    done = workload(
        *map(_plain, ADMITTED.status.conditions or ()), condition("Finished", when=at(8)), held=True, accumulatedPastExecutionTimeSeconds=30
    )
    found = told(ADMITTED, done)
    assert found["kueue_finished_workloads_total"] == (("cq", "high"), None)
    assert found["kueue_execution_time_seconds"] == (("cq", "high"), 150.0)
    replaced = workload(condition("Finished", reason="WorkloadSliceReplaced"), held=True)
    assert told(ADMITTED, replaced)["kueue_replaced_workload_slices_total"] == (("cq",), None)


def test_nothing_is_counted_for_a_change_that_says_nothing() -> None:
    assert told(ADMITTED, ADMITTED) == {}
    assert told(WAITING, WAITING) == {}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (workload(), ("NoReservation", "PendingEvaluation")),
        (WAITING, ("NoReservation", "WaitingForQuota")),
        (workload(condition("QuotaReserved"), condition("Admitted", "False", "UnsatisfiedAdmissionChecks"), held=True), ("UnsatisfiedAdmissionChecks", "")),
        (ADMITTED, None),
        (workload(condition("Finished")), None),
    ],
)  # fmt: skip
def test_why_a_workload_is_not_admitted(found: Workload, why: tuple[str, str] | None) -> None:
    assert unadmitted(found) == why


def test_the_world_as_gauges() -> None:
    world, pending = World(), Pending()
    world.set_cohort(msgspec.convert({"metadata": {"name": "co"}, "spec": {}}, Cohort))
    quota = {"name": "cpu", "nominalQuota": "4", "lendingLimit": "1"}
    groups = [{"coveredResources": ["cpu"], "flavors": [{"name": "rf", "resources": [quota]}]}]
    world.set_cluster_queue(
        msgspec.convert(
            {"metadata": {"name": "cq"}, "spec": {"cohortName": "co", "namespaceSelector": {}, "resourceGroups": groups}}, ClusterQueue
        )
    )
    pending.queue("cq", "BestEffortFIFO")
    pending.local_queues["ns/lq"] = "cq"
    world.add_workload(WorkloadInfo(ADMITTED))
    pending.push(WorkloadInfo(msgspec.structs.replace(WAITING, metadata=msgspec.structs.replace(WAITING.metadata, name="x", uid="x"))), 0.0)
    samples, waiting = queue_samples(world, pending, {"cq": QueueState(True, False)}, resources=True, fair_sharing=False, role="standalone")
    samples |= local_queue_samples(world, waiting, [LocalQueueState("ns", "lq", "cq", "True")], "standalone")

    def value(family: Family, *labels: str) -> float:
        return dict(samples[family])[(*labels, "standalone")]

    assert value(families.PENDING, "cq", "active") == 1
    assert value(families.PENDING, "cq", "inadmissible") == 0
    assert value(families.QUEUE_STATUS, "cq", "active") == 1
    assert value(families.QUEUE_INFO, "cq", "co", "co") == 1
    assert value(families.NOMINAL, "co", "cq", "rf", "cpu") == 4
    assert value(families.LENDING_LIMIT, "co", "cq", "rf", "cpu") == 1
    assert value(families.BORROWING_LIMIT, "co", "cq", "rf", "cpu") == float("inf")
    assert value(families.USAGE, "co", "cq", "rf", "cpu") == 2
    assert value(families.RESOURCE_PENDING, "cq", "cpu") == 2
    assert value(families.SUBTREE_QUOTA, "co", "rf", "cpu") == 1
    assert value(families.SUBTREE_ADMITTED_ACTIVE, "co") == 1
    assert value(families.LOCAL_PENDING, "lq", "ns", "active") == 1
    assert value(families.LOCAL_STATUS, "lq", "ns", "True") == 1
    assert families.WEIGHTED_SHARE not in samples
    held_up, _ = queue_samples(world, pending, {"cq": QueueState(False, False)}, resources=False, fair_sharing=True, role="r")
    assert dict(held_up[families.PENDING])["cq", "inadmissible", "r"] == 1
    assert families.NOMINAL not in held_up
    assert dict(held_up[families.WEIGHTED_SHARE])["cq", "co", "r"] == 0


def test_which_local_queues_are_told() -> None:
    from raysail.api.selectors import from_object

    assert MetricsSettings().tells(None)
    chosen = MetricsSettings(local_queue_selector=from_object({"matchLabels": {"team": "a"}}))
    assert chosen.tells({"team": "a"})
    assert not chosen.tells({"team": "b"})
    assert not MetricsSettings(local_queues=False).tells(None)


def test_a_gate_that_goes_is_timed_from_admission() -> None:
    def pod(*gates: str) -> Job:
        return msgspec.convert({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": gate} for gate in gates]}}, Job)

    assert list(gates_gone(pod("kueue.x-k8s.io/topology", "other"), pod())) == ["kueue.x-k8s.io/topology"]
    assert seconds_since_admission(ADMITTED, NOW) == 240.0
    assert seconds_since_admission(WAITING, NOW) is None


def test_prometheus_text() -> None:
    family = Family("x_seconds", "histogram", "told", ("q",), (1.0, 2.5))
    histogram = Histogram(family)
    for seconds in (0.5, 1.0, 2.0, 9.0):
        histogram.observe(('a"b',), seconds)
    assert list(histogram.lines()) == [
        "# HELP x_seconds told",
        "# TYPE x_seconds histogram",
        'x_seconds_bucket{q="a\\"b",le="1"} 2',
        'x_seconds_bucket{q="a\\"b",le="2.5"} 3',
        'x_seconds_bucket{q="a\\"b",le="+Inf"} 4',
        'x_seconds_sum{q="a\\"b"} 12.5',
        'x_seconds_count{q="a\\"b"} 4',
    ]
    counter = Counter(Family("x_total", "counter", "told", ("q",)))
    assert list(counter.lines()) == []
    counter.add(("a",))
    counter.add(("b",), 2)
    counter.forget(lambda labels: labels["q"] == "a")
    assert list(counter.lines())[2:] == ['x_total{q="b"} 2']
