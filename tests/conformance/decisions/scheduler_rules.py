"""Group `scheduler`, the rules inside a cycle: order, what is reserved, what is given back, flavor scans, turns by usage."""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.quantity import parse_nano
from raysail.queue.lifecycle.outcomes import tell_waiting
from raysail.queue.model.cluster_queue import ClusterQueue
from raysail.queue.model.fairness import Share, turn_key
from raysail.queue.model.quota import Amounts
from raysail.queue.model.usage_ledger import AdmissionFairSharing, UsageLedger
from raysail.queue.model.workload import FlavorScan, WorkloadInfo
from raysail.queue.planner import cycle as planner
from raysail.queue.planner.assignment import Assignment, FlavorAssignment, Mode, PodSetAssignment
from raysail.queue.planner.cycle import Round, plan
from raysail.queue.planner.decisions import Plan, Wait
from raysail.queue.planner.entry import Entry, classical_order, to_reserve
from raysail.queue.planner.options import Options
from raysail.queue.planner.preemption import Victim

from .corpus import Case, Json, amounts, by_value, differences, plain, seconds_of
from .preemption import MODES
from .scheduler import _left, _sets, _workload, options_of
from .worlds import Scene, holders

NO_SCAN: Any = None


def _entry(scene: Scene, given: Json, queue: ClusterQueue | None = None) -> Entry:
    """An entry from Kueue's struct."""
    head = given.get("Head") or {}
    obj = (head.get("Info") or {}).get("Obj") or {"metadata": {"name": "wl", "namespace": "ns"}}
    info = scene.info({"spec": {"podSets": []}, **obj})
    entry = Entry(info, queue or ClusterQueue("", scene.world.journal), is_preemptor=bool(head.get("IsPreemptor")))
    entry.assignment = Assignment(FlavorScan([], 0, 0, ""))
    entry.assignment.borrowing = (given.get("assignment") or {}).get("Borrowing", 0)
    return entry


def entry_order(case: Case) -> list[str]:
    """The heads of a cycle in the order in which they are processed."""
    ordering = (case.given.get("workloadOrdering") or {}).get("PodsReadyRequeuingTimestamp") or "Eviction"
    scene = Scene(case.now, gates=case.gates)
    entries = []
    for given in case.given["input"]:
        entry = _entry(scene, given)
        entry.info = WorkloadInfo(
            entry.info.obj, order_by_eviction=ordering == "Eviction", by_priority=case.gates.get("PrioritySortingWithinCohort", True)
        )
        entries.append(entry)
    options = options_of(case)
    entries.sort(key=lambda entry: classical_order(entry, preemptors_first=options.preemptors_first, by_priority=options.by_priority)[:-1])
    return differences([entry.info.name for entry in entries], case.want["wantOrder"], "order")


def turn(case: Case) -> list[str]:
    """Whether a's turn comes before b's, in a tournament of fair sharing."""
    scene = Scene(case.now, gates=case.gates)
    a, b = _entry(scene, case.given["a"]), _entry(scene, case.given["b"])
    shares: dict[str, Share] = {}
    for key, drs in case.given.get("drsValues") or ():
        if key.get("parentCohort") != case.fixtures["cohort"]:
            continue
        borrowed = tuple((each.get("Flavor", ""), each.get("Resource", "")) for each in drs.get("borrowedFRs") or ())
        shares[key["workloadKey"]] = Share(
            float(drs.get("fairWeight", 0)), float(drs.get("unweightedRatio", 0)), drs.get("dominantResource", ""), borrowed
        )
    requested = {key: amounts(pairs) for key, pairs in (case.given.get("requestedFRs") or {}).items()}
    options = options_of(case)
    keys = [
        turn_key(
            entry.info,
            shares.get(entry.info.key, Share(0.0)),
            requested.get(entry.info.key) or {},
            by_priority=options.by_priority,
            goes_first=options.preemptors_first and entry.is_preemptor,
        )
        for entry in (a, b)
    ]
    return differences(keys[0] < keys[1], bool(case.want.get("wantLess")), "less")


def preemption_outcome(case: Case) -> list[str]:
    """What issuing preemptions leaves in the entry."""
    entry = _entry(Scene(case.now), {})
    entry.message = "fits with preemption"
    entry.info.last_scan = FlavorScan([], 0, 0, "")
    entry.issued(case.given.get("preempted", 0), case.given.get("errors", 0))
    wrong = differences(entry.message, case.want.get("wantMessage", ""), "message")
    wrong += differences(entry.requeue.value, case.want.get("wantRequeueReason", ""), "requeue reason")
    return wrong + differences(entry.info.last_scan is None, bool(case.want.get("wantLastAssignmentNil")), "scan dropped")


def skipped(case: Case) -> list[str]:
    """Whether an entry that is passed over keeps its place in the flavors."""
    entry = _entry(Scene(case.now), {})
    entry.info.last_scan = FlavorScan([], 0, 0, "")
    entry.skip("passed over", keep_scan=options_of(case).keep_scan)
    return differences(entry.info.last_scan is None, bool(case.want.get("wantLastAssignmentNil")), "scan dropped")


def _assigned(usage: Amounts, mode: Mode, borrowing: int = 0) -> Assignment:
    assignment = Assignment(FlavorScan([], 0, 0, ""))
    made = PodSetAssignment("main", 1, {})
    for (flavor, resource), amount in usage.items():
        made.flavors[resource] = FlavorAssignment(flavor, mode)
        made.requests[resource] = amount
    if mode is not Mode.FIT:
        made.reasons = ["does not fit as it is"]
    assignment.pod_sets = [made]
    assignment.usage = usage
    assignment.borrowing = borrowing
    return assignment


def reserved(case: Case) -> list[str]:
    """What a preempting entry without victims keeps from others."""
    scene = Scene(case.now)
    scene.flavors(case.fixtures["resourceFlavors"])
    scene.queues([case.fixtures["cq"]])
    queue = scene.world.cluster_queues[case.fixtures["cq"]["metadata"]["name"]]
    queue.add_all(amounts(case.given.get("cqUsage")))
    entry = _entry(scene, {}, queue)
    mode = MODES[case.given.get("assignmentMode", "NoFit")]
    entry.assignment = _assigned(amounts(case.given.get("assignmentUsage")), mode, case.given.get("borrowing", 0))
    return differences(_named(to_reserve(entry)), _named(amounts(case.want.get("wantReserved"))), "reserved")


def _named(usage: Amounts) -> Json:
    return {"/".join(key): value for key, value in usage.items()}


def fits_once(case: Case) -> list[str]:
    """A victim that two want is subtracted once."""
    scene = Scene(case.now)
    scene.flavors([{"metadata": {"name": "default"}, "spec": {}}])
    scene.queues([case.given["clusterQueue"]])
    queue = scene.world.cluster_queues[case.given["clusterQueue"]["metadata"]["name"]]
    for obj in case.given["admitted"]:
        scene.world.add_workload(scene.info(obj))
    entry = _entry(scene, {}, queue)
    entry.assignment = _assigned(amounts(case.given["incomingUsage"]), Mode.PREEMPT)
    entry.victims = [Victim(queue.workloads[key], "InClusterQueue") for key in case.given.get("targets") or ()]
    round_ = Round(scene.world, scene.pending, scene.seconds, Options(), Plan())
    round_._leave(queue.workloads[key] for key in case.given.get("alreadyPreempted") or ())
    return differences(all(round_._fits(entry)), bool(case.want.get("wantFits")), "fits")


def outdated(case: Case) -> list[str]:
    """Whether a recorded flavor scan says nothing about the present."""
    args = case.given["args"]
    last = args.get("last") or {}
    scan = FlavorScan([], last.get("ClusterQueueGeneration", 0), last.get("SchedulingCycle", 0), last.get("SchedulingHash", ""))
    got = scan.outdated(
        args.get("currentCQGeneration", 0),
        args.get("currentSchedulingCycle", 0),
        args.get("currentSchedulingHash", ""),
        keep_scan=options_of(case).keep_scan,
    )
    return differences(got, bool(case.want.get("want")), "outdated")


def requeued(case: Case) -> list[str]:
    """An entry is given back: where it is then, and what is written; the second time nothing is."""
    fixtures = case.fixtures
    scene = Scene(case.now)
    scene.queues([fixtures["cq"]])
    scene.local_queues([fixtures["q1"]])
    scene.workloads([fixtures["w1"]])
    name = fixtures["cq"]["metadata"]["name"]
    info = scene.pending.queues[name].pop()
    assert info is not None
    given = case.given["e"]
    status: Json = {}
    writes: list[int] = []
    for _ in range(2):
        entry = Entry(info, scene.world.cluster_queues[name])
        entry.status, entry.message = given.get("status", ""), given.get("inadmissibleMsg", "")
        entry.reason = given.get("quotaReservedReason", "")
        entry.requeue = planner.Requeue(given.get("requeueReason", ""))
        result = Plan()
        Round(scene.world, scene.pending, scene.seconds, options_of(case), result).give_back(entry)
        writes.append(sum(tell_waiting(status, each, scene.now, 0) for each in result.decisions if isinstance(each, Wait)))
    want = case.want
    wrong = differences(_left(scene, parked=False), _sets(want.get("wantWorkloads")), "workloads")
    wrong += differences(_left(scene, parked=True), _sets(want.get("wantInadmissible")), "inadmissible")
    wrong += differences(
        _workload({"metadata": {}, "status": status}), _workload({"metadata": {}, "status": copy.deepcopy(want["wantStatus"])}), "status"
    )
    return wrong + differences(writes, [want.get("wantStatusUpdates", 0), 0], "writes")


def _ledger(config: Json | None) -> UsageLedger | None:
    if config is None:
        return None
    return UsageLedger(
        AdmissionFairSharing(
            seconds_of(config.get("usageHalfLifeTime", "0s")),
            seconds_of(config.get("usageSamplingInterval", "0s")),
            {name: float(weight) for name, weight in (config.get("resourceWeights") or {}).items()},
        )
    )


def by_usage(case: Case) -> list[str]:
    """Cycles with turns by usage: as many as there are workloads."""
    fixtures, given = case.fixtures, case.given
    ledger = _ledger(fixtures["afsConfig"])
    assert ledger is not None
    scene = Scene(case.now, gates=case.gates, ledger=ledger)
    scene.namespaces([{"metadata": {"name": "default"}}])
    scene.flavors(fixtures["resourceFlavors"])
    scene.local_queues(fixtures["queues"])
    scene.queues(fixtures["clusterQueues"])
    if given.get("deleteQueue"):
        ledger.drop(f"default/{given['deleteQueue']}")
    for name, resources in (given.get("initialUsage") or {}).items():
        ledger.seed(f"default/{name}", {resource: parse_nano(value) for resource, value in resources.items()}, scene.seconds)
    scene.workloads(given.get("workloads") or ())
    options = options_of(case, fair=case.gates.get("AdmissionFairSharing", False))
    for _ in given.get("workloads") or ():
        scene.apply(plan(scene.world, scene.pending, scene.seconds, options), options)
    got = {key: _workload(obj) for key, obj in scene.objects.items()}
    wanted = {f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": _workload(o) for o in case.want["wantWorkloads"]}
    return differences(got, wanted, "workloads")


def applies_penalty(case: Case) -> list[str]:
    """Whether a reservation counts at once in the use of its LocalQueue."""
    scene = Scene(case.now, ledger=_ledger(case.given.get("afsConfig")))
    queue = ClusterQueue("cq", scene.world.journal)
    queue.admission_mode = case.given.get("admissionMode", "")
    info = scene.info(case.given["wl"])
    return differences(scene.world.counts_at_once(queue, info), bool(case.want.get("want")), "penalty")


def two_cycles(case: Case) -> list[str]:
    """A cycle, then some workloads are deleted, then another."""
    fixtures, given = case.fixtures, case.given
    scene = Scene(case.now, gates=case.gates)
    scene.namespaces([{"metadata": {"name": "default"}}])
    scene.flavors(fixtures["resourceFlavors"])
    scene.local_queues(fixtures["queues"])
    scene.queues(given["cqs"])
    scene.workloads(given["workloads"])
    options = options_of(case)
    scene.apply(plan(scene.world, scene.pending, scene.seconds, options), options)
    got = {key: _workload(obj) for key, obj in scene.objects.items()}
    wanted = {f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": _workload(o) for o in case.want["wantWorkloads"]}
    wrong = differences(got, wanted, "workloads")
    for each in given.get("deleteWorkloads") or ():
        scene.world.remove_workload(f"{each.get('Namespace', '')}/{each['Name']}")
        scene.objects.pop(f"{each.get('Namespace', '')}/{each['Name']}")
    for waiting in scene.pending.queues.values():
        waiting.retry(scene.seconds, lambda _: True)
    scene.apply(plan(scene.world, scene.pending, scene.seconds, options), options)
    admissions = case.want.get("wantAdmissionsOnSecondSchedule") or {}
    return wrong + differences(plain(by_value(holders(scene))), plain(by_value(admissions)), "second")


RUNNERS = {
    "scheduler": {
        "TestEntryOrdering": entry_order,
        "TestEntryComparerLess": turn,
        "TestEntryMarkPreemptionOutcome": preemption_outcome,
        "TestEntryMarkSkipped": skipped,
        "TestResourcesToReserve": reserved,
        "TestFitsDedupsOverlappingVictims": fits_once,
        "TestLastAssignmentOutdated": outdated,
        "TestRequeueAndUpdate": requeued,
        "TestScheduleForAFS": by_usage,
        "TestShouldApplyEntryPenalty": applies_penalty,
        "TestLastSchedulingContext": two_cycles,
    }
}
