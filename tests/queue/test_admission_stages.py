"""The stages after quota was reserved: checks, time-outs, deactivation; ProvisioningRequests; variants. Tables of pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.kueue import LocalQueue, ProvisioningRequestConfig, Workload
from raysail.api.meta import format_time
from raysail.queue.checks.provisioning import judge, to_create
from raysail.queue.checks.requests import ProvisioningRequest, last_requests, limited, merged_pod_sets, request_name
from raysail.queue.concurrent.family import Rules, gate_to_open, to_activate, to_deactivate
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.next_step import Step, next_step
from raysail.queue.lifecycle.surroundings import Seen
from raysail.queue.settings import QueueSettings, RequeuingStrategy, WaitForPodsReady

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> str:
    return format_time(NOW - timedelta(seconds=seconds))


def condition(type_: str, value: str = "True", reason: str = "ByTest", message: str = "", since: float = 60) -> dict[str, Any]:
    return {"type": type_, "status": value, "reason": reason, "message": message, "lastTransitionTime": ago(since)}


def check(state: str, name: str = "check", message: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "message": message, "lastTransitionTime": ago(10), **more}


def workload(*conditions: dict[str, Any], spec: dict[str, Any] | None = None, annotations: Any = None, **status: Any) -> Workload:
    given = {"podSets": [{"name": "main", "count": 2, "template": {"spec": {"containers": [{"name": "c"}]}}}], "queueName": "lq"}
    meta = {"name": "w", "namespace": "ns", "uid": "u", "ownerReferences": [{"kind": "Job", "name": "j"}], "annotations": annotations}
    admission = {"clusterQueue": "cq", "podSetAssignments": [{"name": "main", "count": 2}]}
    held = any(each["type"] == "QuotaReserved" and each["status"] == "True" for each in conditions)
    told = {"conditions": list(conditions), **({"admission": admission} if held else {}), **status}
    return msgspec.convert({"metadata": meta, "spec": {**given, **(spec or {})}, "status": told}, Workload)


ADMITTED = (condition("QuotaReserved"), condition("Admitted", since=600))
OPEN = Seen(
    msgspec.convert({"metadata": {"name": "lq", "namespace": "ns"}, "spec": {"clusterQueue": "cq"}}, LocalQueue),
    "cq",
    cluster_queue_exists=True,
    cluster_queue_active=True,
    checks=("check",),
)
SETTINGS = QueueSettings(wait_for_pods_ready=WaitForPodsReady(300, 60, False, RequeuingStrategy("Eviction", 2, 10, 3600)))


@dataclass
class Case:
    name: str
    workload: Workload
    evicted: str = ""
    target: str = ""
    """Reason of DeactivationTarget."""
    again: float | None = None
    deactivate: bool = False
    requeued: str = ""
    seen: Seen = field(default_factory=lambda: OPEN)

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("a rejected check deactivates", workload(*ADMITTED, admissionChecks=[check("Rejected")]), target="AdmissionCheck"),
    Case("a check to be tried again evicts at once", workload(*ADMITTED, admissionChecks=[check("Retry")]), evicted="AdmissionCheck"),
    Case(
        "but only when its time is over",
        workload(*ADMITTED, admissionChecks=[check("Retry", requeueAfterSeconds=30)], requeueState={"requeueAt": ago(-20)}),
        again=20,
    ),
    Case(
        "what is to be deactivated is",
        workload(*ADMITTED, condition("DeactivationTarget"), admissionChecks=[check("Ready")]),
        deactivate=True,
    ),
    Case(
        "deactivated, it is evicted for the cause",
        workload(*ADMITTED, condition("DeactivationTarget", reason="AdmissionCheck", message="m"), spec={"active": False}),
        evicted="DeactivatedDueToAdmissionCheck",
    ),
    Case("Pods that are late evict", workload(*ADMITTED, admissionChecks=[check("Ready")]), evicted="PodsReadyTimeout"),
    Case(
        "late too often deactivates",
        workload(*ADMITTED, admissionChecks=[check("Ready")], requeueState={"count": 2}),
        target="RequeuingLimitExceeded",
    ),
    Case(
        "a lost Pod has the time to recover",
        workload(*ADMITTED, condition("PodsReady", "False", "WaitForRecovery", since=20), admissionChecks=[check("Ready")]),
        again=40,
    ),
    Case(
        "ready Pods may run for so long",
        workload(*ADMITTED, condition("PodsReady"), admissionChecks=[check("Ready")], spec={"maximumExecutionTimeSeconds": 900}),
        again=300,
    ),
    Case(
        "earlier runs count",
        workload(
            *ADMITTED,
            condition("PodsReady"),
            admissionChecks=[check("Ready")],
            spec={"maximumExecutionTimeSeconds": 900},
            accumulatedPastExecutionTimeSeconds=300,
        ),
        target="MaximumExecutionTimeExceeded",
    ),
    Case(
        "after the back-off it may be tried again",
        workload(condition("Requeued", "False", "PodsReadyTimeout"), requeueState={"count": 1}),
        requeued="BackoffFinished",
    ),
    Case(
        "a queue that drains evicts what runs",
        workload(*ADMITTED, condition("PodsReady"), admissionChecks=[check("Ready")]),
        evicted="ClusterQueueStopped",
        seen=replace(OPEN, cluster_queue_stop="HoldAndDrain"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_step(case: Case) -> None:
    step = next_step(case.workload, case.seen, SETTINGS, NOW)
    assert (_true(step, "Evicted"), _true(step, "DeactivationTarget")) == (case.evicted, case.target)
    assert step.deactivate == case.deactivate
    assert _true(step, "Requeued") == case.requeued
    assert step.again == (pytest.approx(case.again) if case.again is not None else None)


def _true(step: Step, type_: str) -> str:
    for each in (step.status or {}).get("conditions") or ():
        if each["type"] == type_ and each["status"] == "True":
            return str(each["reason"])
    return ""


def test_what_the_api_requires_is_written_though_it_is_empty() -> None:
    first = workload(*ADMITTED, schedulingStats={"evictions": [{"reason": "Preempted", "underlyingCause": "", "count": 1}]})
    status = transitions.complete(msgspec.to_builtins(first.status))
    transitions.evict(status, "AdmissionCheck", "m", NOW, 1)
    assert [each["underlyingCause"] for each in status["schedulingStats"]["evictions"]] == ["", ""]
    assert all("message" in each for each in status["conditions"])


# ProvisioningRequests

CONFIG = msgspec.convert(
    {
        "metadata": {"name": "c"},
        "spec": {
            "provisioningClassName": "class",
            "retryStrategy": {"backoffLimitCount": 1, "backoffBaseSeconds": 60, "backoffMaxSeconds": 100},
            "podSetUpdates": {"nodeSelector": [{"key": "pool", "valueFromProvisioningClassDetail": "id"}]},
        },
    },
    ProvisioningRequestConfig,
)


def request(attempt: int, *conditions: dict[str, Any], **details: str) -> ProvisioningRequest:
    name = request_name("w", "check", attempt)
    pods = [{"podTemplateRef": {"name": f"ppt-{name}-main"}, "count": 2}]
    status = {"conditions": list(conditions), "provisioningClassDetails": details}
    spec = {"provisioningClassName": "class", "podSets": pods}
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": spec, "status": status}, ProvisioningRequest)


@pytest.mark.parametrize(
    ("conditions", "attempt", "wanted"),
    [
        ([], 1, ("Pending", "")),
        ([condition("Accepted"), condition("Provisioned", "False", message="in 5 min")], 1, ("Pending", "in 5 min")),
        ([condition("Accepted"), condition("Provisioned", message="there")], 1, ("Ready", "there")),
        ([condition("Failed", message="no")], 1, ("Retry", "Retrying after failure: no")),
        ([condition("Failed", message="no")], 2, ("Rejected", "no")),
        ([condition("Provisioned"), condition("BookingExpired", message="late")], 1, ("Retry", "Retrying after booking expired: late")),
        ([condition("Provisioned"), condition("CapacityRevoked", message="gone")], 1, ("Rejected", "gone")),
    ],
    ids=["nothing said", "estimate", "provisioned", "failed", "failed too often", "booking expired", "capacity revoked"],
)
def test_a_request_decides_its_check(conditions: list[dict[str, Any]], attempt: int, wanted: tuple[str, str]) -> None:
    held = workload(condition("QuotaReserved"), admissionChecks=[check("Pending", message="earlier")])
    status: dict[str, Any] = msgspec.to_builtins(held.status)
    judge(held, status, {"check": CONFIG}, {"check": request(attempt, *conditions, id="n1")}, NOW)
    told = status["admissionChecks"][0]
    assert (told["state"], told["message"]) == wanted
    if told["state"] == "Ready":
        assert told["podSetUpdates"][0]["nodeSelector"] == {"pool": "n1"}
    assert told.get("requeueAfterSeconds") == (60 if told["state"] == "Retry" else None)


def test_the_next_request_comes_once_the_check_is_pending_again() -> None:
    failed = request(1, condition("Failed"))
    waiting = workload(condition("QuotaReserved"), admissionChecks=[check("Retry")])
    last = last_requests(waiting, {"check": CONFIG}, [failed])
    assert to_create(waiting, {"check": CONFIG}, last) == {}
    again = workload(condition("QuotaReserved"), admissionChecks=[check("Pending", retryCount=1)])
    assert to_create(again, {"check": CONFIG}, last) == {"check": "w-check-2"}
    assert to_create(again, {"check": CONFIG}, {}) == {"check": "w-check-2"}


def test_pods_that_are_alike_are_asked_for_together() -> None:
    def pod_set(name: str, cpu: str, priority: str) -> dict[str, Any]:
        container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
        return {"name": name, "count": 1, "template": {"spec": {"containers": [container], "priorityClassName": priority}}}

    sets = [pod_set("a", "1", "x"), pod_set("b", "1000m", "y"), pod_set("c", "2", "x")]
    assigned = [{"name": each["name"], "count": 1} for each in sets]
    held = workload(condition("QuotaReserved"), spec={"podSets": sets}, admission={"clusterQueue": "cq", "podSetAssignments": assigned})
    merging = msgspec.structs.replace(CONFIG.spec, pod_set_merge_policy="IdenticalWorkloadSchedulingRequirements")
    found = merged_pod_sets(held, msgspec.structs.replace(CONFIG, spec=merging))
    assert [(each.pod_set.name, each.count) for each in found] == [("a", 2), ("c", 1)]


def test_long_names_end_in_a_hash() -> None:
    assert limited("x" * 247) == "x" * 247
    assert len(limited("x" * 248)) == 253


# variants

RULES = Rules(("reserved", "on-demand", "spot"))


def variant(flavor: str, *conditions: dict[str, Any], **status: Any) -> Workload:
    made = workload(*conditions, annotations={"kueue.x-k8s.io/workload-allowed-resource-flavors": flavor}, **status)
    return msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, name=flavor))


def test_below_what_runs_nothing_is_tried_and_above_it_everything() -> None:
    family = [variant("reserved"), variant("on-demand", *ADMITTED), variant("spot")]
    assert [each.metadata.name for each, _ in to_deactivate(workload(), family, RULES)] == ["spot"]
    idle = [msgspec.structs.replace(each, spec=msgspec.structs.replace(each.spec, active=False)) for each in family]
    assert [each.metadata.name for each, _ in to_activate(workload(), idle, RULES)] == ["reserved"]
    stays = replace(RULES, mode="RetainFirstAdmission")
    assert [each.metadata.name for each, _ in to_deactivate(workload(), family, stays)] == ["reserved", "spot"]
    assert to_activate(workload(), idle, stays) == []


def test_one_variant_at_a_time_may_preempt() -> None:
    blocked = condition("BlockedOnPreemptionGates")
    told = condition("QuotaReserved", "False", "WaitingForQuota")
    gate = {"name": "kueue.x-k8s.io/concurrent-admission", "position": "Open", "lastTransitionTime": ago(100)}
    first, second = variant("reserved", told, blocked), variant("on-demand", told, blocked)
    assert gate_to_open([first, second], NOW) == (first, 300)
    opened = variant("reserved", told, blocked, preemptionGates=[gate])
    assert gate_to_open([opened, second], NOW) == (None, 200)
    late = variant("reserved", told, blocked, preemptionGates=[{**gate, "lastTransitionTime": ago(301)}])
    assert gate_to_open([late, second], NOW) == (second, 300)
    assert gate_to_open([variant("reserved"), second], NOW) == (None, None)
