"""Groups `queue` and `queue-afs`: what waits, in which order, what is parked and what wakes it; penalties of admission fair sharing."""

from __future__ import annotations

from typing import Any

from raysail.api.quantity import parse_nano
from raysail.queue.metrics.gauges import waiting_in
from raysail.queue.metrics.transitions import unadmitted
from raysail.queue.model.usage_ledger import AdmissionFairSharing, UsageLedger
from raysail.queue.model.workload import FlavorScan, WorkloadInfo, backoff_expired, has_reservation, may_be_queued
from raysail.queue.pending.queues import Pending, PendingQueue, Requeue
from raysail.queue.pending.waking import roots_to_wake, wake_tree
from raysail.queue.planner.cycle import _take_head
from raysail.queue.planner.second_pass import SecondPass

from .corpus import Case, Json, differences, plain, seconds_of
from .scheduler import _left, _sets
from .scheduler_rules import _ledger
from .worlds import Scene

DEPARTMENTS = {"dep": ("eng", "sales")}
NAMESPACES = {"ns1": "eng", "ns2": "eng", "ns3": "sales"}


def _key(obj: Json) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _fly(queue: PendingQueue, info: WorkloadInfo) -> WorkloadInfo:
    """As if a cycle had taken it."""
    queue.pop_cycle += 1
    info.evaluated_generation = info.obj.metadata.generation
    queue.in_flight[info.key] = info
    return info


def push_and_update(case: Case) -> list[str]:
    """Pushed, updated, popped."""
    scene = Scene(case.now)
    queue = PendingQueue("cq")
    queue.push(scene.info(case.given["workload"]["Workload"]), scene.seconds)
    updated = (case.given.get("local") or {}).get("updatedWl")
    queue.push(scene.info(updated or case.given["workload"]["Workload"]), scene.seconds)
    popped = queue.pop()
    want = case.want
    wrong = differences(popped.key if popped else None, _key(want["wantWorkload"]) if want.get("wantWorkload") else None, "popped")
    return wrong + differences(sorted(queue.inadmissible), sorted(want.get("wantInAdmissibleWorkloads") or {}), "parked")


def generation_changed(case: Case) -> list[str]:
    """An older version was tried while a newer one arrived."""
    scene = Scene(case.now)
    queue = PendingQueue("cq")
    queue.push(scene.info(case.fixtures["wl"]), scene.seconds)
    info = queue.pop()
    assert info is not None
    newer = scene.info(case.given["updatedWorkload"])
    newer.evaluated_generation = info.evaluated_generation
    queue.in_flight[info.key] = newer
    queue.requeue(newer, Requeue.GENERIC, scene.seconds)
    queue.push(scene.info(case.given["updatedWorkload"]), scene.seconds)
    return differences(
        [len(queue.active), len(queue.inadmissible)],
        [case.want.get("wantActiveWorkloads", 0), case.want.get("wantInadmissibleWorkloads", 0)],
        "active, parked",
    )


def life_of_a_queue(case: Case) -> list[str]:
    """Added, requeued, updated, deleted, retried."""
    scene, given = Scene(case.now), case.given
    queue = PendingQueue("cq")
    for obj in given.get("workloadsToAdd") or ():
        queue.push(scene.info(obj), scene.seconds)
    for reason, name in (
        (Requeue.GENERIC, "inadmissibleWorkloadsToRequeue"),
        (Requeue.FAILED_AFTER_NOMINATION, "admissibleWorkloadsToRequeue"),
    ):
        for given_info in given.get(name) or ():
            obj = given_info["Obj"]
            if _key(obj) not in queue.active:
                queue.in_flight[_key(obj)] = info = scene.info(obj)
                queue.pop_cycle = max(queue.pop_cycle, 1)
                queue.requeue(info, reason, scene.seconds)
            elif reason is Requeue.GENERIC:
                continue
    for obj in given.get("workloadsToUpdate") or ():
        queue.push(scene.info(obj), scene.seconds)
    for obj in given.get("workloadsToDelete") or ():
        queue.discard(_key(obj))
    moved = 0
    if given.get("queueInadmissibleWorkloads"):
        moved = queue.retry(scene.seconds, lambda namespace: NAMESPACES.get(namespace) in DEPARTMENTS["dep"])
    want = case.want
    wrong = differences(sorted(queue.active), sorted(want.get("wantActiveWorkloads") or []), "active")
    wrong += differences(len(queue), want.get("wantPending", 0), "pending")
    if given.get("queueInadmissibleWorkloads"):
        wrong += differences(moved, want.get("wantInadmissibleWorkloadsRequeued", 0), "moved")
    return wrong


def backoff_over(case: Case) -> list[str]:
    """Whether it may be tried again."""
    scene = Scene(case.now)
    return differences(
        backoff_expired(scene.info(case.given["workloadInfo"]["Obj"]).obj, scene.seconds), bool(case.want.get("want")), "over"
    )


def _requeue_new(case: Case, queue: PendingQueue, reason: str, scan: FlavorScan | None = None) -> list[str]:
    scene = Scene(case.now)
    info = _fly(queue, scene.info(case.fixtures["wl"]))
    info.last_scan = scan
    first = queue.requeue(info, Requeue(reason), scene.seconds)
    second = queue.requeue(info, Requeue(reason), scene.seconds)
    return differences([first, second], [True, False], "taken back")


def requeue_best_effort(case: Case) -> list[str]:
    """Which reasons park, which make it stay at the head."""
    queue = PendingQueue("cq")
    scan = case.given.get("lastAssignment")
    tried = FlavorScan(scan.get("LastTriedFlavorIdx") or [], 0, 0, "") if scan else None
    wrong = _requeue_new(case, queue, case.given.get("reason", ""), tried)
    wrong += differences(bool(queue.inadmissible), bool(case.want.get("wantInadmissible")), "parked")
    sticky = queue.preemptor is not None and queue.preemptor.sticky
    return wrong + differences(sticky, bool(case.want.get("wantSticky")), "sticky")


def requeue_strict(case: Case) -> list[str]:
    """In strict order only a namespace that does not match parks."""
    queue = PendingQueue("cq", "StrictFIFO")
    wrong = _requeue_new(case, queue, case.id.rsplit("/", 1)[1])
    return wrong + differences(bool(queue.inadmissible), bool(case.want.get("wantInadmissible")), "parked")


def strict_order(case: Case) -> list[str]:
    """Which of two comes first."""
    ordering = (case.given.get("workloadOrdering") or {}).get("PodsReadyRequeuingTimestamp") or "Eviction"
    scene = Scene(case.now)
    queue = PendingQueue("cq", "StrictFIFO")
    for name in ("w1", "w2"):
        info = WorkloadInfo(scene.info(case.given[name]).obj, order_by_eviction=ordering == "Eviction")
        queue.push(info, scene.seconds)
    head = queue.pop()
    return differences(head.name if head else None, case.want["expected"], "head")


def turns(case: Case) -> list[str]:
    """With turns by usage."""
    given = case.given
    ledger = _ledger(given.get("afsConfig"))
    scene = Scene(case.now, ledger=ledger)
    scene.local_queues(given.get("lqs") or ())
    scene.queues([given["cq"]])
    for local, consumed in (given.get("initConsumedResources") or {}).items():
        if ledger is not None:
            ledger.seed(local, {name: parse_nano(value) for name, value in consumed.items()}, scene.seconds)
    queue = scene.pending.queues[given["cq"]["metadata"]["name"]]
    for obj in given["wls"]:
        queue.push(scene.info(obj), scene.seconds)
    head = queue.pop()
    return differences(head.key if head else None, _key(case.want["wantWl"]), "head")


def _shaped(case: Case, name: str, shape: str) -> WorkloadInfo:
    info = Scene(case.now).info({"metadata": {"name": name, "namespace": "default"}, "spec": {"podSets": []}})
    info.shape_hash = "" if shape == "unknown" else shape
    return info


def park_shape(case: Case) -> list[str]:
    """A shape that does not fit parks its equals."""
    queue = PendingQueue("cq")
    for name, shape in (case.given.get("heapWorkloads") or {}).items():
        queue.push(_shaped(case, name, shape), 0)
    moved = queue.park_shape(case.given["hashToRecord"], "WaitingForQuota")
    got = [moved, len(queue.active), len(queue.inadmissible)]
    return differences(got, [case.want.get(name, 0) for name in ("wantMoved", "wantActive", "wantInadmissible")], "moved, active, parked")


def pushed_parked(case: Case) -> list[str]:
    """One whose equals were parked goes to them."""
    queue = PendingQueue("cq")
    for shape in case.given.get("inadmissibleHashes") or ():
        queue.park_shape(shape, "WaitingForQuota")
    queue.push(_shaped(case, "wl", case.given.get("pushHash", "")), 0)
    got = [len(queue.active), len(queue.inadmissible)]
    return differences(got, [case.want.get(name, 0) for name in ("wantActive", "wantInadmissible")], "active, parked")


def reason_parks_shape(case: Case) -> list[str]:
    """Which reasons park the shape."""
    scene = Scene(case.now)
    queue = PendingQueue("cq")
    info = _fly(queue, scene.info(case.fixtures["wl"]))
    queue.requeue(info, Requeue(case.given.get("reason", "")), scene.seconds)
    return differences(info.shape_hash in queue.unfit_shapes, bool(case.want.get("wantHash")), "shape parked")


def no_fit_reason(case: Case) -> list[str]:
    """Why equals were parked with it."""
    scene, given = Scene(case.now), case.given
    queue = PendingQueue("cq")
    info = _fly(queue, scene.info(given["local"]["wl"]))
    queue.requeue(info, Requeue(given.get("requeueReason", "")), scene.seconds, given.get("conditionReason", ""))
    if given.get("deleteFromInadmissible"):
        queue.discard(info.key)
    got = queue.unfit_reason(info.key)
    return differences([got, bool(got)], [case.want.get("wantReason", ""), bool(case.want.get("wantOk"))], "reason")


def shape_counts(case: Case) -> list[str]:
    """Different shapes among the active, the parked, and all."""
    queue, given = PendingQueue("cq"), case.given
    for at, shape in enumerate(given.get("activeHashes") or ()):
        queue.push(_shaped(case, f"a{at}", shape), 0)
    for at, shape in enumerate(given.get("inadmissibleHashes") or ()):
        info = _shaped(case, f"i{at}", shape)
        queue.inadmissible[info.key] = info
    if given.get("hasInflight"):
        _fly(queue, _shaped(case, "flying", given.get("inflightHash", "")))
    found = waiting_in(queue, usable=True)
    got = [len(found.active_shapes), len(found.inadmissible_shapes), len(found.active_shapes | found.inadmissible_shapes)]
    return differences(got, [case.want.get(name, 0) for name in ("wantActive", "wantInadmissible", "wantUnion")], "shapes")


def parked_map(case: Case) -> list[str]:
    """The parked ones by key."""
    queue, given = PendingQueue("cq"), case.given
    scene = Scene(case.now)
    for obj in (given.get("initial") or {}).values():
        info = scene.info(obj["Obj"])
        queue.inadmissible[info.key] = info
    if given.get("value"):
        info = scene.info(given["value"]["Obj"])
        queue.inadmissible[info.key] = info
    want = case.want
    if "wantWorkload" in want:
        found = queue.get(given["key"])
        return differences(found.key if found else None, _key(want["wantWorkload"]["Obj"]) if want["wantWorkload"] else None, "found")
    if "wantEmpty" in want:
        return differences(not len(queue), bool(want["wantEmpty"]), "empty")
    if "value" not in given and "key" in given:
        queue.discard(given["key"])
    return differences(len(queue), want.get("wantLen", 0), "length")


def wake(case: Case) -> list[str]:
    """What adding cohorts and queues wakes."""
    scene, given = Scene(case.now), case.given
    scene.namespaces([{"metadata": {"name": case.fixtures["defaultNamespace"]}}])
    scene.cohorts(given.get("cohorts") or ())
    scene.queues(given.get("clusterQueues") or ())
    scene.local_queues(given.get("localQueues") or ())
    for queue in scene.pending.queues.values():
        queue.pop()
    for obj in given.get("workloads") or ():
        info = scene.info(obj)
        name = info.cluster_queue = scene.pending.cluster_queue_of(info)
        queue = scene.pending.queues[name]
        queue.in_flight[info.key] = info
        queue.requeue(info, Requeue.GENERIC, scene.seconds)
    roots = roots_to_wake(scene.world, given.get("cqNames") or ())
    moved = sum(wake_tree(scene.world, scene.pending, queue, scene.seconds) for queue in roots.values())
    want = case.want
    wrong = differences(_left(scene, parked=False), _sets(want.get("wantActive")), "active")
    wrong += differences(_left(scene, parked=True), _sets(want.get("wantInadmissible")), "parked")
    trees = [queue for queue in roots.values() if queue.parent is not None]
    return wrong + differences(
        [len(trees), moved], [want.get("wantMoveWorkloadsLogCount", 0), want.get("wantMovedCount", 0)], "trees, moved"
    )


def _manager(case: Case) -> Scene:
    scene = Scene(case.now)
    fixtures = case.fixtures
    scene.queues(fixtures.get("clusterQueues") or ([fixtures["cq"]] if "cq" in fixtures else []))
    scene.local_queues(fixtures.get("queues") or ())
    return scene


def _assigned(pending: Pending) -> dict[str, str]:
    return dict(pending._locals)


def add(case: Case) -> list[str]:
    """Whether a workload is taken, and for which LocalQueue it counts."""
    scene = _manager(case)
    info = scene.info(case.given["workload"])
    local = f"{info.namespace}/{info.local_queue}"
    error = None
    if not may_be_queued(info.obj):
        error = "workload is inadmissible and can't be added to a LocalQueue"
    elif not scene.pending.push(info, scene.seconds):
        known = local in scene.pending.local_queues
        error = "clusterQueue doesn't exist" if known else "localQueue doesn't exist or inactive"
    wrong = differences(_assigned(scene.pending), case.want.get("wantAssigned") or {}, "assigned")
    return wrong + differences(error, case.want.get("wantErr"), "error")


def heads(case: Case) -> list[str]:
    """One of each queue."""
    scene = _manager(case)
    for obj in case.given.get("workloads") or ():
        scene.pending.push(scene.info(obj), scene.seconds)
    for queue in scene.world.cluster_queues.values():
        queue.active = not queue.name.startswith("pending")  # the fixtures' status was pruned; their names tell
    names = sorted(scene.pending.queues)
    found = [info for name in names if (info := _take_head(scene.world, scene.pending, name)) is not None]
    wrong = differences(sorted(info.name for info in found), sorted(case.want.get("wantWorkloads") or []), "heads")
    if case.want.get("wantAssigned") is not None:
        wrong += differences(_assigned(scene.pending), case.want["wantAssigned"], "assigned")
    return wrong


def pending_order(case: Case) -> list[str]:
    """All that wait, in order."""
    scene = _manager(case)
    for obj in case.fixtures.get("workloads") or ():
        scene.pending.push(scene.info(obj), scene.seconds)
    queue = scene.pending.queues.get(case.given["cqName"])
    got = [{"name": info.name, "queue": info.local_queue} for info in (queue.in_order() if queue else [])]
    wanted = [
        {"name": each["Obj"]["metadata"]["name"], "queue": each["Obj"]["spec"].get("queueName", "")}
        for each in case.want.get("wantPendingWorkloadsInfo") or ()
    ]
    return differences(got, wanted, "order")


def pending_count(case: Case) -> list[str]:
    """How many wait in a LocalQueue."""
    scene = _manager(case)
    for obj in case.fixtures.get("workloads") or ():
        scene.pending.push(scene.info({"metadata": obj["metadata"], "spec": {"podSets": [], **obj["spec"]}}), scene.seconds)
    local = _key(case.given["queue"])
    if local not in scene.pending.local_queues:
        return differences("localQueue doesn't exist or inactive", case.want.get("wantErr"), "error")
    return differences(scene.pending.counts.get(local, 0), case.want.get("wantStatus", 0), "pending") + differences(
        None, case.want.get("wantErr"), "error"
    )


def requeue_through_manager(case: Case) -> list[str]:
    """What was deleted, holds quota, or has no queue does not come back."""
    scene, given = _manager(case), case.given
    info = scene.info(given["workload"])
    queue = scene.pending.queues.get(scene.pending.cluster_queue_of(info))
    if given.get("inQueue"):
        scene.pending.push(info, scene.seconds)
    elif given.get("inClient") and queue is not None and may_be_queued(info.obj) and not has_reservation(info.obj):
        scene.pending.push(info, scene.seconds)
        queue.pop()
    got = queue.requeue(info, Requeue.GENERIC, scene.seconds) if queue is not None else False
    return differences(got, bool(case.want.get("wantRequeued")), "requeued")


def second_pass(case: Case) -> list[str]:
    """Who is ready for the second pass after that time."""
    scene, given = Scene(case.now), case.given
    waiting = SecondPass()
    for obj in given.get("workloads") or ():
        waiting.put(scene.info(obj), scene.seconds)
    wrong = []
    if given.get("updateWorkload"):
        updated = scene.info(given["updateWorkload"])
        updated.second_pass = 1
        wrong = differences(waiting.put(updated, scene.seconds), bool(case.want.get("wantUpdateQueued")), "queued again")
    ready = waiting.take_ready(scene.seconds + seconds_of(given.get("passTime", "0s")))
    return wrong + differences(sorted(info.key for info in ready), sorted(case.want.get("wantReady") or []), "ready")


def carries_scan(case: Case) -> list[str]:
    """Whether a new version goes on with the flavor scan of the one before."""
    scene, given = Scene(case.now, gates=case.gates), case.given
    scene.queues([{"metadata": {"name": "cq"}, "spec": {"queueingStrategy": "BestEffortFIFO", "namespaceSelector": {}}}])
    scene.local_queues([{"metadata": {"name": "lq"}, "spec": {"clusterQueue": "cq"}}])
    queue = scene.pending.queues["cq"]
    wl = case.fixtures["wl"]
    info = scene.info(wl)
    recorded = given.get("recorded")
    scene.pending.push(info, scene.seconds)
    if recorded:
        info.last_scan = FlavorScan(
            recorded.get("LastTriedFlavorIdx") or [],
            recorded.get("ClusterQueueGeneration", 0),
            recorded.get("SchedulingCycle", 0),
            info.shape_hash,
        )
    if given.get("inadmissible") or given.get("inflight"):
        queue.pop()
    if given.get("inadmissible"):
        queue.in_flight.pop(info.key)
        queue.inadmissible[info.key] = info
    newer = wl
    if given.get("changeShape"):
        newer = {**wl, "spec": {**wl["spec"], "podSets": [{**wl["spec"]["podSets"][0], "count": 5}]}}
    scene.pending.push(scene.info(newer), scene.seconds)
    tracked = queue.get(info.key)
    carried = tracked is not None and tracked.last_scan is not None
    return differences(carried, bool(case.want.get("wantCarried")), "carried")


def why_unadmitted(case: Case) -> list[str]:
    """Under what a workload that is not admitted is counted."""
    scene = _manager(case)
    scene.local_queues([case.fixtures["lq"]])
    info = scene.info(case.given["workload"])
    found = unadmitted(info.obj)
    got = (
        {
            "ClusterQueue": scene.pending.cluster_queue_of(info),
            "LocalQueueName": info.local_queue,
            "LocalQueueNamespace": info.namespace,
            "Reason": found[0],
            "UnderlyingCause": found[1],
        }
        if found is not None
        else None
    )
    return differences(plain(got), plain(case.want.get("expectedStatus")), "counted")


def penalties(case: Case) -> list[str]:
    """Penalties per workload: once each, taken back exactly."""
    ledger = UsageLedger(AdmissionFairSharing(usage_half_life_seconds=1, usage_sampling_interval_seconds=1e9))  # a penalty in full
    local, now = case.fixtures["lqKey"], Scene(case.now).seconds
    for op in case.given.get("ops") or ():
        if op.get("push") is not None:
            ledger.penalize(local, op["wl"], {name: parse_nano(value) for name, value in op["push"].items()}, now)
        else:
            ledger.forgive(local, op["wl"])
    entry = ledger.entries.get(local)
    pending = entry.pending() if entry is not None else {}
    got: Any = {name: value // 1_000_000 for name, value in pending.items()}
    wrong = differences(plain(got), plain(case.want.get("wantMilli") or {}), "milli")
    return wrong + differences(bool(pending), bool(case.want.get("wantHas")), "has")


RUNNERS = {
    "queue": {
        "Test_PushOrUpdate": push_and_update,
        "TestPushOrUpdateGenerationChanged": generation_changed,
        "TestClusterQueueImpl": life_of_a_queue,
        "TestBackoffWaitingTimeExpired": backoff_over,
        "TestBestEffortFIFORequeueIfNotPresent": requeue_best_effort,
        "TestStrictFIFORequeueIfNotPresent": requeue_strict,
        "TestStrictFIFO": strict_order,
        "TestFsAdmission": turns,
        "TestRecordInadmissibleHash": park_shape,
        "TestPushOrUpdateRespectsInadmissibleHashes": pushed_parked,
        "TestRequeueHashTriggerByReason": reason_parks_shape,
        "TestGetNoFitReason": no_fit_reason,
        "TestSchedulingHashCounts": shape_counts,
        "TestInadmissibleWorkloads_Delete": parked_map,
        "TestInadmissibleWorkloads_Empty": parked_map,
        "TestInadmissibleWorkloads_Get": parked_map,
        "TestInadmissibleWorkloads_Insert": parked_map,
        "TestInadmissibleWorkloads_Len": parked_map,
        "TestQueueInadmissibleWorkloads": wake,
        "TestAddWorkload": add,
        "TestHeads": heads,
        "TestGetPendingWorkloadsInfo": pending_order,
        "TestStatus": pending_count,
        "TestRequeueWorkloadStrictFIFO": requeue_through_manager,
        "TestQueueSecondPassIfNeeded": second_pass,
        "TestUpdateUnadmittedWorkload": why_unadmitted,
        "TestAddOrUpdateWorkloadCarriesLastAssignment": carries_scan,
    },
    "queue-afs": {"TestPenaltyBookkeepingIsIdempotentAndExact": penalties},
}
