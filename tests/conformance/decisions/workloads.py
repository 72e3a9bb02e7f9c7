"""Group `workload`: what a workload asks for and holds, its order, its transitions of status, predicates on it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from raysail.api.kueue import AdmissionCheckState, ClusterQueue, Workload, names
from raysail.api.meta import parse_time
from raysail.api.quantity import NANO, parse_nano
from raysail.queue.checks.states import checks_for, retry_time
from raysail.queue.lifecycle import status as transitions
from raysail.queue.metrics import families
from raysail.queue.metrics.transitions import observe
from raysail.queue.model.cluster_queue import ClusterQueue as QueueNode
from raysail.queue.model.quota import Journal
from raysail.queue.model.requests import (
    ResourceRules,
    Transformation,
    adjusted_template,
    limit_range_errors,
    resource_errors,
    summarize_limits,
)
from raysail.queue.model.slices import _any_fewer, counts_of, workload_counts
from raysail.queue.model.usage_ledger import weighted_usage
from raysail.queue.model.workload import (
    FlavorScan,
    PodSetRequests,
    WorkloadInfo,
    is_on_hold,
    limited_reclaim,
    priority_changed,
    queue_order_time,
    reclaimed_pods,
    seconds,
)
from raysail.queue.multikueue.dispatch import is_settled
from raysail.queue.planner.second_pass import assigned_nodes, needs_second_pass
from raysail.queue.topology.request import is_explicit

from .corpus import Case, Json, Skip, amount, amounts, by_value, differences, plain, seconds_of, view
from .worlds import Scene

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _view(obj: Json | None) -> Workload:
    given = obj or {}
    return view({"metadata": {"name": "wl"}, **given, "spec": {"podSets": [], **(given.get("spec") or {})}}, Workload)


def _rules(case: Case) -> ResourceRules:
    excluded: tuple[str, ...] = ()
    rules: dict[str, Transformation] = {}
    for option in case.given.get("infoOptions") or ():
        fields = option["$option"]
        excluded += tuple(fields.get("excludedResourcePrefixes") or ())
        for name, rule in (fields.get("resourceTransformations") or {}).items():
            outputs = {output: parse_nano(factor) for output, factor in (rule.get("outputs") or {}).items()}
            rules[name] = Transformation(name, outputs, rule.get("strategy") == "Replace", rule.get("multiplyBy", ""))
    return ResourceRules(excluded, rules)


def _asked(info: WorkloadInfo) -> Any:
    return plain([{"Name": p.name, "Count": p.count, "Requests": p.requests, "Flavors": p.flavors} for p in info.pod_sets])


def _wanted(listed: Any) -> Any:
    kept = [{**each, "Name": each.get("Name") or "main"} for each in listed or ()]
    return plain([{key: each.get(key) for key in ("Name", "Count", "Requests", "Flavors")} for each in kept])


def info(case: Case) -> list[str]:
    """What a workload asks for or holds."""
    made = WorkloadInfo(_view(case.given["workload"]), _rules(case))
    return differences(_asked(made), _wanted(case.want["wantInfo"].get("TotalRequests")), "requests")


def rebuilt(case: Case) -> list[str]:
    """The same after an update."""
    return differences(_asked(WorkloadInfo(_view(case.given["updated"]))), _wanted(case.want.get("wantRequests")), "requests")


def usage(case: Case) -> list[str]:
    """Assigned amounts per flavor and resource."""
    made = WorkloadInfo(_view(None))
    made.pod_sets = [
        PodSetRequests("main", 1, {name: amount(value) for name, value in (each.get("Requests") or {}).items()}, each.get("Flavors"))
        for each in (case.given.get("info") or {}).get("TotalRequests") or ()
    ]
    wanted = amounts(case.want["want"].get("Assigned"))
    return differences({"/".join(key): value for key, value in made.usage().items()}, {"/".join(k): v for k, v in wanted.items()}, "usage")


def adjusted(case: Case) -> list[str]:
    """Templates completed by RuntimeClasses and LimitRanges."""
    given = case.given
    namespace = given["wl"]["metadata"].get("namespace", "")
    specs = [each["spec"] for each in given.get("limitranges") or () if each["metadata"].get("namespace", "") == namespace]
    overheads = {each["metadata"]["name"]: (each.get("overhead") or {}).get("podFixed") or {} for each in given.get("runtimeClasses") or ()}
    got = [
        adjusted_template(copy.deepcopy(pod_set["template"]), summarize_limits(specs), overheads)
        for pod_set in given["wl"]["spec"]["podSets"]
    ]
    wanted = [pod_set["template"] for pod_set in case.want["wantWl"]["spec"]["podSets"]]
    return differences(plain(by_value(got)), plain(by_value(wanted)), "templates")


def _faults(wanted: Any) -> list[str]:
    return [
        "{}: {}: [{}]: {}".format(each["field"], each["typeText"], ",".join(f'"{name}"' for name in each["badValue"]), each["detail"])
        for each in wanted or ()
    ]


def valid_resources(case: Case) -> list[str]:
    """Requests above limits."""
    found: list[str] = []
    for at, pod_set in enumerate(case.given["workloadInfo"]["Obj"]["spec"]["podSets"]):
        found += resource_errors(pod_set["template"]["spec"], f"spec.podSets[{at}].template.spec")
    return differences(found, _faults(case.want.get("wantError")), "errors")


def valid_limits(case: Case) -> list[str]:
    """What lies outside of the LimitRanges."""
    given = case.given
    limit = given.get("limitRange")
    same = limit is not None and limit["metadata"].get("namespace", "") == given["workload"]["metadata"].get("namespace", "")
    limits = summarize_limits([limit["spec"]] if same else [])
    found: list[str] = []
    for at, pod_set in enumerate(given["workload"]["spec"]["podSets"]):
        found += limit_range_errors(pod_set["template"]["spec"], limits, f"spec.podSets[{at}].template.spec")
    return differences(found, _faults(case.want.get("wantError")), "errors")


def order_time(case: Case) -> list[str]:
    """By what time it is ordered."""
    obj = _view(case.given["wl"])
    wrong = []
    for ordering, wanted in case.want["want"]:
        by_eviction = ordering.get("PodsReadyRequeuingTimestamp") == "Eviction"
        by_priority = case.gates.get("PrioritySortingWithinCohort", True)
        got = queue_order_time(obj, by_eviction=by_eviction, by_priority=by_priority)
        wrong += differences(round(got, 6), round(seconds(wanted), 6), f"by eviction {by_eviction}")
    return wrong


def same_shape(case: Case) -> list[str]:
    """Whether two workloads are alike for the planner."""
    one, other = WorkloadInfo(_view(case.given["wl1"])), WorkloadInfo(_view(case.given["wl2"]))
    return differences(one.shape_hash == other.shape_hash, bool(case.want.get("wantSame")), "same")


def _conditions(listed: Any) -> Any:
    kept = ("type", "status", "reason", "observedGeneration")
    return plain({each["type"]: {key: each.get(key) for key in kept} for each in listed or ()})


def sync_admitted(case: Case) -> list[str]:
    """Admitted follows quota, checks and topology."""
    given = case.given
    obj = (given.get("local") or {}).get("wl") or {}
    status: Json = copy.deepcopy(obj.get("status") or {})
    status["conditions"] = copy.deepcopy(given.get("conditions") or status.get("conditions") or [])
    if given.get("checkStates"):
        status["admissionChecks"] = copy.deepcopy(given["checkStates"])
    if given.get("pastAdmittedTime"):
        status["accumulatedPastExecutionTimeSeconds"] = given["pastAdmittedTime"]
    if given.get("admission"):
        status["admission"] = given["admission"]
    generation = (obj.get("metadata") or {}).get("generation", 0)
    changed = transitions.sync_admitted(status, parse_time(case.fixtures["testTime"]), generation)
    want = case.want
    wrong = differences(changed, bool(want.get("wantChange")), "changed")
    wrong += differences(_conditions(status["conditions"]), _conditions(want.get("wantConditions")), "conditions")
    if want.get("wantAdmittedTime"):  # 0 is not checked: the reference adds the second of "reservation and check lost" up too
        wrong += differences(status.get("accumulatedPastExecutionTimeSeconds"), want["wantAdmittedTime"], "time admitted")
    return wrong


def reserve(case: Case) -> list[str]:
    """Quota is reserved."""
    obj = case.given["args"]["workload"]
    status: Json = copy.deepcopy(obj.get("status") or {})
    now = parse_time(case.fixtures["now"])
    transitions.reserve(status, copy.deepcopy(case.given["args"]["admission"]), now, obj["metadata"].get("generation", 0))
    wanted = case.want["want"]["status"]
    kept = ("type", "status", "reason", "message", "observedGeneration")
    got = {each["type"]: {key: each.get(key) for key in kept} for each in status["conditions"]}
    expected = {each["type"]: {key: each.get(key) for key in kept} for each in wanted["conditions"]}
    return differences(plain(got), plain(expected), "conditions") + differences(
        plain(status["admission"]), plain(wanted["admission"]), "admission"
    )


def requeue_at(case: Case) -> list[str]:
    """Until when it waits, and how often it did."""
    status: Json = copy.deepcopy((case.given["workload"] or {}).get("status") or {})
    changed = transitions.set_requeue_at(status, parse_time(case.given["waitUntil"]), count=bool(case.given.get("incrementCount")))
    state = status.get("requeueState") or {}
    want = case.want
    wrong = differences(changed, bool(want.get("wantUpdated")), "updated")
    wrong += differences(state.get("count") or 0, want.get("wantCount") or 0, "count")
    return wrong + differences(seconds(state.get("requeueAt")), seconds(want.get("wantRequeueAt")), "requeueAt")


def tell_requests(case: Case) -> list[str]:
    """Whether status.resourceRequests has to be written."""
    status = copy.deepcopy((case.given["wl"] or {}).get("status") or {})
    made = WorkloadInfo(_view(None))
    made.pod_sets = [
        PodSetRequests(
            each.get("Name", ""), each.get("Count", 0), {name: amount(value) for name, value in (each.get("Requests") or {}).items()}
        )
        for each in (case.given.get("info") or {}).get("TotalRequests") or ()
    ]
    return differences(transitions.tell_requests(status, made), bool(case.want.get("want")), "changed")


def set_condition(case: Case) -> list[str]:
    """A condition is set (what an API that refuses the write does is the writer's affair)."""
    given = case.given
    if given.get("err"):
        raise Skip("an API that refuses the write: the writer's affair (tests/queue/test_writes.py)")
    status: Json = copy.deepcopy(given.get("oldStatus") or {})
    generation = case.fixtures["workload"]["metadata"].get("generation", 0)
    transitions.put(
        status,
        given["condType"],
        given.get("condStatus") == "True",
        given.get("reason", ""),
        given.get("message", ""),
        parse_time(case.fixtures["now"]),
        generation,
    )
    kept = ("type", "status", "reason", "message", "observedGeneration")
    wanted = {each["type"]: {key: each.get(key) for key in kept} for each in case.want["wantStatus"].get("conditions") or ()}
    got = {each["type"]: {key: each.get(key) for key in kept} for each in status["conditions"]}
    return differences(plain(got), plain(wanted), "conditions")


def _predicate(function: Any, field: str = "wl") -> Any:
    def run(case: Case) -> list[str]:
        return differences(function(_view(case.given.get(field))), bool(case.want.get("want")), "holds")

    return run


def used_nodes(case: Case) -> list[str]:
    """Nodes of its topology assignment."""
    return differences(sorted(assigned_nodes(_view(case.given["wl"]))), sorted(case.want.get("want") or []), "nodes")


def explicit_topology(case: Case) -> list[str]:
    """Whether some pod set asks for a topology."""
    got = any(is_explicit(each.get("topologyRequest")) for each in case.given.get("podSets") or ())
    return differences(got, bool(case.want.get("want")), "explicit")


def flavors_left(case: Case) -> list[str]:
    """Whether there are flavors that were not tried."""
    state = case.given.get("state") or {}
    scan = FlavorScan(state.get("LastTriedFlavorIdx") or [], 0, 0, "")
    return differences(scan.flavors_left(), bool(case.want.get("wantPendingFlavors")), "left")


def _queue(obj: Json) -> QueueNode:
    queue = QueueNode("cq", Journal())
    queue.configure(view(obj, ClusterQueue))
    return queue


def checks(case: Case) -> list[str]:
    """Checks that apply to it."""
    queue = _queue(case.given["cq"])
    got = checks_for(_view(case.given["wl"]), queue.checks, queue.all_flavors())
    wanted = case.want.get("wantAdmissionChecks") or case.want.get("want") or []
    return differences(sorted(got), sorted(wanted), "checks")


def latest_retry(case: Case) -> list[str]:
    """The latest time that checks in Retry ask for."""
    found = retry_time(_view(case.given["local"]["wl"]), EPOCH)
    return differences(found.timestamp() if found else 0.0, seconds(case.want.get("wantRetryTime")), "time")


def lost(case: Case) -> list[str]:
    """An eviction is over when the workload holds nothing any more: how long it took."""
    given = case.given
    seen = list(observe(_view(given["oldWl"]), _view(given["newWl"]), parse_time(given["now"])))
    found = [each for each in seen if each.family is families.EVICTION_LATENCY]
    want = case.want
    if not want.get("wantOK"):
        return differences(len(found), 0, "latencies")
    wanted = [want["wantCQ"], want.get("wantReason", ""), seconds_of(want.get("wantLatency", "0s"))]
    return differences([*found[0].labels, found[0].value] if found else [], wanted, "latency")


_STATES = {
    "pending": (),
    "quotaReserved": ("QuotaReserved",),
    "admitted": ("QuotaReserved", "Admitted"),
    "finished": ("Finished",),
}


def back_to_pending(case: Case) -> list[str]:
    """Which changes of state give quota back."""

    def in_state(name: str, *more: str) -> Workload:
        held = [{"type": each, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"} for each in (*_STATES[name], *more)]
        return _view({"status": {"conditions": held, "admission": {"clusterQueue": "cq"}}})

    seen = observe(in_state(case.given["prev"]), in_state(case.given["new"], "Evicted"), parse_time("2026-01-01T00:00:01Z"))
    got = any(each.family is families.EVICTION_LATENCY for each in seen)
    return differences(got, bool(case.want.get("want")), "given back")


def execution_time(case: Case) -> list[str]:
    """How long it was admitted, all in all."""
    obj = _view(case.given["wl"])
    before = _view({})
    found = [each for each in observe(before, obj, Scene(case.now).now) if each.family is families.EXECUTION]
    wanted = case.want.get("want")
    return differences(found[0].value if found else None, seconds_of(wanted) if wanted else None, "seconds")


def class_changed(case: Case) -> list[str]:
    """Whether its priority class is another."""
    old, new = (
        WorkloadInfo(_view(case.given[name]), priority_boost=case.gates.get("PriorityBoost", False))
        for name in ("oldWorkload", "newWorkload")
    )
    return differences(priority_changed(old, new), bool(case.want.get("wantChanged")), "changed")


def limit_reclaim(case: Case) -> list[str]:
    """Never more than the pod set has."""
    reclaimed = {each["name"]: each.get("count", 0) for each in case.given.get("reclaimablePods") or ()}
    wanted = {each["name"]: each.get("count", 0) for each in case.want.get("want") or ()}
    return differences(limited_reclaim(_view(case.fixtures["wl"]), reclaimed), wanted, "reclaimable")


def equal_reclaim(case: Case) -> list[str]:
    """In whatever order."""
    one, other = (reclaimed_pods(_view({"status": {"reclaimablePods": case.given.get(name)}})) for name in ("a", "b"))
    return differences(one == other, bool(case.want.get("wantResult")), "equal")


def counts(case: Case) -> list[str]:
    """Pods by pod set."""
    args = case.given.get("args") or {}
    got = workload_counts(_view(args["workload"])) if "workload" in args else counts_of(args.get("podSets") or ())
    return differences(got, case.want.get("want") or {}, "counts")


def fewer(case: Case) -> list[str]:
    """Whether some pod set has fewer."""
    return differences(_any_fewer(case.given.get("c") or {}, case.given["args"].get("in") or {}), bool(case.want.get("want")), "fewer")


def skips_nomination(case: Case) -> list[str]:
    """Whether no clusters are to be nominated for it."""
    given = case.given
    obj = dict(given.get("wl") or {})
    if given.get("isElastic"):
        obj["metadata"] = {"name": "wl", **(obj.get("metadata") or {}), "annotations": {names.ELASTIC_JOB_ANNOTATION: "true"}}
    check = view(given["acs"], AdmissionCheckState) if given.get("acs") is not None else None
    return differences(is_settled(check, _view(obj)), bool(case.want.get("want")), "skipped")


def local_usage(case: Case) -> list[str]:
    """The use of its LocalQueue; one that is gone counts with weight 1. An API that cannot be read has no counterpart: weights are cached."""
    if "not found" not in (case.given.get("err") or "not found").lower():
        raise Skip("an API that cannot be read: weights come from the cache")
    return differences(weighted_usage({"cpu": 10 * NANO}, {}, 1.0, {"cpu": 5.0}), float(case.want.get("wantUsage", 0)), "usage")


RUNNERS = {
    "workload": {
        "TestNewInfo": info,
        "TestUpdateWithRebuild": rebuilt,
        "TestResourceUsage": usage,
        "TestAdjustResources": adjusted,
        "TestValidateResources": valid_resources,
        "TestValidateLimitRange": valid_limits,
        "TestGetQueueOrderTimestamp": order_time,
        "TestSchedulingHash": same_shape,
        "TestSyncAdmittedCondition": sync_admitted,
        "TestSetQuotaReservation": reserve,
        "TestSetRequeueState": requeue_at,
        "TestPropagateResourceRequests": tell_requests,
        "TestSetConditionAndUpdate": set_condition,
        "TestNeedsSecondPass": _predicate(needs_second_pass),
        "TestIsOnHold": _predicate(is_on_hold),
        "TestUsedNodes": used_nodes,
        "TestIsExplicitlyRequestingTAS": explicit_topology,
        "TestAssignmentClusterQueueState": flavors_left,
        "TestFilterChecksForAdmission": checks,
        "TestAdmissionChecksForWorkload": checks,
        "TestGetMaxRetryTime": latest_retry,
        "TestEvictionPendingLatency": lost,
        "TestFromQuotaReservedOrAdmittedToPending": back_to_pending,
        "TestTotalExecutionTime": execution_time,
        "TestWorkloadPriorityClassChanged": class_changed,
        "TestLimitReclaimablePodsToPodSetSizes": limit_reclaim,
        "TestReclaimablePodsAreEqual": equal_reclaim,
        "TestShouldSkipClusterNomination": skips_nomination,
        "TestCalcLocalQueueFSUsage": local_usage,
        "TestExtractPodSetCounts": counts,
        "TestExtractPodSetCountsFromWorkload": counts,
        "TestPodSetsCounts_HasFewerReplicasThan": fewer,
    }
}
