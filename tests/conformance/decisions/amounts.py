"""Groups `resources`, `podset`, `util-*`: amounts and quantities, what is put into pod templates, priorities, LimitRanges, back-off.

Without a runner on purpose: arithmetic on the second representation of request vectors (SliceRequests: we have one), the pause of Kueue's scheduling
loop (ours has no loop), which names are extended resources and taint look-ups (nothing here asks), int64 helpers (Python's ints do not overflow).
"""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.kueue import PodSet, PodSetAssignment
from raysail.api.quantity import NANO, format_amount, parse_nano
from raysail.queue.checks.states import wait_seconds
from raysail.queue.model.cluster_queue import read_weight
from raysail.queue.model.matching import same_toleration
from raysail.queue.model.podset import MissingFlavorError, PodSetConflictError, PodSetInfo, info_of_assignment, inject, restore
from raysail.queue.model.quota import UNLIMITED
from raysail.queue.model.requests import LimitSummary, limit_range_errors, summarize_limits, to_amount
from raysail.queue.model.usage_ledger import nanos, scaled, weighted_usage
from raysail.queue.model.workload import WorkloadInfo, boost_of
from raysail.queue.topology.counts import fitting

from .corpus import Case, Json, Skip, by_value, differences, plain, seconds_of, view
from .workloads import _faults, _view
from .worlds import Scene

# resources


def from_quantity(case: Case) -> list[str]:
    """Quantity to amount; what is beyond int64 is without limit."""
    got = to_amount(case.given["resource"], parse_nano(case.given["quantity"]))
    unlimited = got >= UNLIMITED
    want = case.want
    if "want" in want:
        return differences(got, int(want["want"]), "amount")
    return differences([unlimited, 0 if unlimited else got], [bool(want.get("wantUnlimited")), want.get("wantValue", 0)], "amount")


def round_trip(case: Case) -> list[str]:
    """Amount to quantity."""
    return differences(format_amount(case.given["resource"], int(case.given.get("value", 0))), case.want["expected"], "text")


def as_number(case: Case) -> list[str]:
    """Amount to a number of whole units."""
    value = case.given["amount"]
    amount = UNLIMITED if value == "unlimited" else int(value)
    wanted = case.want.get("want")
    if amount >= UNLIMITED:
        return differences(amount, UNLIMITED, "number")  # without limit: metrics write +Inf where they mean it
    return differences(nanos(case.given["resource"], amount) / NANO, float(wanted), "number")


def count_in(case: Case) -> list[str]:
    """How many fit, and what allows no more."""
    given, want = case.given, case.want
    requests = sorted((given.get("requests") or given.get("request") or {}).items())
    times, limiting = fitting(requests, given.get("capacity") or {})
    if not any(amount for _, amount in requests):
        times = 0  # nothing asked for: it is never counted here, and Kueue says 0
    wanted = next(want[name] for name in ("wantCount", "wantResult", "wantCnt") if name in want)
    wrong = differences(times, wanted, "times")
    name = next((want[each] for each in ("wantLimitingResource", "wantRes") if each in want), None)
    return wrong + (differences(limiting, name, "limiting") if name is not None else [])


# podset


def _info(given: Json | None) -> PodSetInfo:
    found = given or {}
    return PodSetInfo(
        found.get("Name", ""),
        found.get("Count", 0),
        dict(found.get("Labels") or {}),
        dict(found.get("Annotations") or {}),
        dict(found.get("NodeSelector") or {}),
        list(found.get("Tolerations") or []),
        list(found.get("SchedulingGates") or []),
    )


def _facts(info: PodSetInfo) -> Any:
    return plain(
        {
            "Name": info.name,
            "Count": info.count,
            "Labels": info.labels,
            "Annotations": info.annotations,
            "NodeSelector": info.node_selector,
            "Tolerations": info.tolerations,
            "SchedulingGates": info.gates,
        }
    )


def from_assignment(case: Case) -> list[str]:
    """What an assignment puts into a pod set."""
    scene = Scene(case.now)
    scene.flavors(case.given.get("flavors") or ())
    spec = view({**case.fixtures["podSet"], "count": case.given.get("defaultCount", 0), "template": {}}, PodSet)
    topology = case.gates.get("TopologyAwareScheduling", True)
    try:
        made = info_of_assignment(view(case.given["assignment"], PodSetAssignment), spec, scene.world.flavors, topology=topology)
    except MissingFlavorError as error:
        return differences(str(error), case.want.get("wantError"), "error")
    return differences(None, case.want.get("wantError"), "error") + differences(_facts(made), _facts(_info(case.want["wantInfo"])), "info")


def merge_restore(case: Case) -> list[str]:
    """Merged into a template, and taken out again."""
    pod_set = case.given["podSet"]
    before = copy.deepcopy(pod_set["template"])
    template = copy.deepcopy(before)
    if case.gates.get("ElasticJobsViaWorkloadSlices") is False:
        raise Skip("here slices of elastic jobs are always on: what they may change between admissions is not a conflict")
    try:
        inject(template, _info(case.given.get("info")))
    except PodSetConflictError:
        return differences(True, bool(case.want.get("wantError")), "error")
    wrong = differences(False, bool(case.want.get("wantError")), "error")
    wrong += differences(plain(template), plain((case.want.get("wantPodSet") or {}).get("template")), "merged")
    meta, spec = before.get("metadata") or {}, before.get("spec") or {}
    original = PodSetInfo(
        "",
        0,
        dict(meta.get("labels") or {}),
        dict(meta.get("annotations") or {}),
        dict(spec.get("nodeSelector") or {}),
        list(spec.get("tolerations") or []),
        list(spec.get("schedulingGates") or []),
    )
    changed = plain(template) != plain(before)
    restore(template, original)
    wrong += differences(plain(template), plain(before), "restored")
    return wrong + differences(changed, bool(case.want.get("wantRestoreChanges")), "restoring changes it")


def add_label(case: Case) -> list[str]:
    """One more label."""
    info = _info(case.given.get("info"))
    given = case.given
    error = None
    try:
        info.merge(PodSetInfo("", 0, {given["k"]: given["v"]}))
    except PodSetConflictError:
        error = True
    if case.want.get("wantError") or case.want.get("wantErr"):
        return differences(error, True, "error")
    return differences(_facts(info), _facts(_info(case.want["wantInfo"])), "info")


# util


def times_float(case: Case) -> list[str]:
    """Amounts times a factor, exactly, rounded towards zero."""
    amounts = {name: parse_nano(value) for name, value in (case.given.get("rl") or {}).items()}
    wanted = {name: parse_nano(value) for name, value in (case.want.get("want") or {}).items()}
    return differences(scaled(amounts, case.given["f"]), wanted, "scaled")


def merges(case: Case) -> list[str]:
    """What several LimitRanges say together: the lowest maximum, the highest minimum, the first default."""
    specs = [
        {"limits": [{"type": "Container", "max": each, "min": each, "default": each}]}
        for each in (case.given.get("a"), case.given.get("b"))
        if each is not None
    ]
    found = summarize_limits(specs).get("Container", LimitSummary())
    want = case.want["want"]
    wrong = []
    for name, got in (("min", found.max), ("max", found.min), ("merge", found.default)):
        wanted = (want.get(name) or {}).get("result")
        wrong += differences(plain(by_value({"requests": dict(got)})), plain(by_value({"requests": wanted or {}})), name)
    return wrong


def _boosted(case: Case, obj: Json | None) -> WorkloadInfo:
    return WorkloadInfo(_view(obj), priority_boost=case.gates.get("PriorityBoost", False))


def effective_priority(case: Case) -> list[str]:
    """Priority with its boost; a boost that is none counts as nothing (that it is refused is admission's affair)."""
    wanted = case.want.get("wantPriority", case.want.get("want", 0))
    return differences(_boosted(case, case.given.get("workload") or case.given.get("wl")).priority, wanted, "priority")


def boost(case: Case) -> list[str]:
    """The boost alone."""
    info = _boosted(case, case.given["workload"])
    got = boost_of(info.obj) if case.gates.get("PriorityBoost", False) else 0
    return differences(got, case.want.get("wantBoost", 0), "boost")


def limits(case: Case) -> list[str]:
    """A pod spec against LimitRanges."""
    summary = {
        kind: LimitSummary(each.get("max") or {}, each.get("min") or {}, each.get("default") or {}, each.get("defaultRequest") or {})
        for kind, each in (case.given.get("summary") or {}).items()
    }
    got = limit_range_errors(case.fixtures["podSpec"], summary, "spec.podSets[0].template.spec")
    return differences(sorted(got), sorted(_faults(case.want.get("want"))), "errors")


def summary(case: Case) -> list[str]:
    """Several LimitRanges together."""
    objects = next(value for value in case.given.values() if isinstance(value, list))
    found = summarize_limits([each["spec"] for each in objects])
    wanted = case.want.get("expected") or case.want.get("want") or case.want.get("wantSummary") or {}
    got = {
        kind: {"max": dict(each.max), "min": dict(each.min), "default": dict(each.default), "defaultRequest": dict(each.default_request)}
        for kind, each in found.items()
    }
    keys = ("max", "min", "default", "defaultRequest")
    expected = {kind: {key: each.get(key) or {} for key in keys} for kind, each in wanted.items()}
    return differences(
        plain({kind: {key: by_value({"requests": each[key]}) for key in keys} for kind, each in got.items()}),
        plain({kind: {key: by_value({"requests": each[key]}) for key in keys} for kind, each in expected.items()}),
        "summary",
    )


def equal_tolerations(case: Case) -> list[str]:
    """Whether two tolerations are the same."""
    return differences(same_toleration(case.given["a"] or {}, case.given["b"] or {}), bool(case.want.get("wantEq")), "equal")


def backoff(case: Case) -> list[str]:
    """How long an attempt waits. Only doubling is used here."""
    rules = case.given["backoff"]["backoff"]
    if rules["Factor"] != 2:
        raise Skip("only doubling is used here")
    iterations = case.given["iterations"] if "iterations" in case.given else [case.given.get("iteration", 0)]
    wanted = case.want["want"] if isinstance(case.want["want"], list) else [case.want["want"]]
    if not any(iterations):
        raise Skip("the first attempt is number 1")
    wrong: list[str] = []
    for iteration, text in zip(iterations, wanted, strict=True):
        if not iteration:
            continue
        got = wait_seconds(seconds_of(rules["Duration"]), seconds_of(rules["Cap"]), iteration, "case")
        near = abs(got - seconds_of(text)) <= 0.0002 * seconds_of(text)  # jitter of a ten-thousandth
        wrong += differences(near, True, f"attempt {iteration}: {got} s, wanted {text}")
    return wrong


def usage(case: Case) -> list[str]:
    """The use of a LocalQueue as one number."""
    given = case.given
    amounts = [{name: parse_nano(value) for name, value in (given.get(each) or {}).items()} for each in ("consumed", "penalty")]
    weights = {name: float(value) for name, value in (given.get("resWeights") or {}).items()}
    got = weighted_usage(amounts[0], amounts[1], float(given.get("lqWeight", 0)), weights)
    wanted = case.want.get("wantUsage", 0)
    return differences(got, float("inf") if wanted == "+Inf" else float(wanted), "usage")


def weight(case: Case) -> list[str]:
    """The weight of a LocalQueue; an API that cannot be read has no counterpart: weights come from the cache."""
    if case.given.get("getErr"):
        raise Skip("an API that cannot be read: weights come from the cache")
    queue = case.given.get("localQueue") or {}
    got = read_weight(((queue.get("spec") or {}).get("fairSharing") or {}).get("weight"))
    return differences(got, float(case.want.get("wantWeight", 0)), "weight")


RUNNERS = {
    "resources": {
        "TestAmountFromQuantity": from_quantity,
        "TestResourceValueClampsOutsideInt64": from_quantity,
        "TestResourceQuantityRoundTrips": round_trip,
        "TestAmountAsApproximateFloat64": as_number,
        "TestCountIn": count_in,
        "TestCountInWithLimitingResource": count_in,
    },
    "podset": {"TestFromAssignment": from_assignment, "TestMergeRestore": merge_restore, "TestAddOrUpdateLabel": add_label},
    "util-resource": {"TestMulByFloat": times_float, "TestMerge": merges},
    "util-priority": {
        "TestPriority": effective_priority,
        "TestEffectivePriority": effective_priority,
        "TestParseEffectivePriority": effective_priority,
        "TestPriorityBoost": boost,
    },
    "util-limitrange": {"TestValidatePodSpec": limits, "TestSummarize": summary},
    "util-tolerations": {"TestEqual": equal_tolerations},
    "util-wait": {"TestBackoff_WaitTime": backoff, "TestBackoff_WaitTime_Consecutive": backoff},
    "util-admissionfairsharing": {"TestCalculateUsageWithDRA": usage, "TestResolveLQWeight": weight},
}
