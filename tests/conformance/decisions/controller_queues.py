"""Group `controller-core`, beside the Workload's reconciles: queues, cohorts, flavors, priority classes, checks and time-outs."""

from __future__ import annotations

import asyncio
from typing import Any

from raysail.api.kueue import ClusterQueue, Cohort, Workload, WorkloadPriorityClass
from raysail.api.meta import format_time, parse_time
from raysail.api.resources import (
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
)
from raysail.queue.cache import QueueCache
from raysail.queue.checks.states import checks_for, sync_checks
from raysail.queue.controllers.priority import PriorityClassController, value_changed
from raysail.queue.controllers.queues import ClusterQueueController, spec_changed
from raysail.queue.controllers.references import ReferenceController, flavors_named, let_go
from raysail.queue.lifecycle.queue_status import cluster_queue_status
from raysail.queue.lifecycle.timeouts import not_ready
from raysail.queue.model.activity import Activity
from raysail.queue.model.world import World
from raysail.queue.settings import QueueSettings

from .controller_core import conditions, pods_ready, seconds, workload
from .corpus import Case, Json, Skip, differences, plain, view
from .memory import Bench
from .worlds import NOW

SETTINGS = QueueSettings(wait_for_pods_ready=None)


def bench_of(case: Case) -> tuple[Bench, QueueCache]:
    bench = Bench(parse_time(case.now or case.fixtures.get("now") or NOW))
    return bench, QueueCache(bench.manager, SETTINGS)


def readiness(case: Case) -> list[str]:
    now = parse_time(case.now or case.fixtures["now"])
    obj = view({"metadata": {"name": "wl"}, **case.given["workload"]}, Workload)
    cause, left = not_ready(obj, pods_ready(case.given.get("waitForPodsReady")), now)
    found = differences(cause, case.want.get("wantUnderlyingCause") or "", "cause")
    wanted = seconds(case.want.get("wantRecheckAfter"))
    return found if abs(left - wanted) < 0.01 else [*found, f"left: got {left}, want {wanted}"]


def cluster_queue_reconcile(case: Case) -> list[str]:
    bench, cache = bench_of(case)
    controller = ClusterQueueController(bench.manager, cache, SETTINGS)
    queue = case.fixtures["cq"]
    going = {**queue["metadata"], "deletionTimestamp": format_time(bench.clock.now()), "finalizers": ["kueue.x-k8s.io/resource-in-use"]}
    bench.add(CLUSTER_QUEUES, [{**queue, "metadata": going}])
    bench.add(WORKLOADS, [case.given["workload"]])
    asyncio.run(controller.reconcile(("", case.fixtures["cqName"])))
    got = bench.client.objects.get((CLUSTER_QUEUES, "", case.fixtures["cqName"]))
    found = differences(got is None, bool(case.want.get("wantDeleted")), "deleted")
    status = (got or {}).get("status") or {}
    active = next((c for c in status.get("conditions") or () if c["type"] == "Active"), {})
    told = [active.get("status", ""), active.get("reason", ""), status.get("reservingWorkloads", 0)]
    want = case.want
    return found + differences(told, [want.get("wantActive") or "", want.get("wantReason") or "", want.get("wantReserving") or 0])


def cluster_queue_update(case: Case) -> list[str]:
    given, fixtures = case.given, case.fixtures
    bench, cache = bench_of(case)
    if given.get("insertCqIntoCache") or given.get("insertCqIntoManager"):
        spec = {**(fixtures.get("cq") or {})}
        bench.add(CLUSTER_QUEUES, [spec or {"metadata": {"name": fixtures["cqName"], "generation": 1}, "spec": {"namespaceSelector": {}}}])
    bench.add(LOCAL_QUEUES, [{"metadata": {"name": fixtures["lqName"], "namespace": ""}, "spec": {"clusterQueue": fixtures["cqName"]}}])
    items = (fixtures.get("defaultWls") or {}).get("items") or []
    bench.add(WORKLOADS, [*items, *([given["newWl"]] if given.get("newWl") else [])])
    queue = cache.world.cluster_queues.get(fixtures["cqName"])
    if queue is None:
        return differences(bool(case.want.get("wantError")), True, "error")
    status: Json = dict(given.get("cqStatus") or {})
    activity = Activity(given.get("newConditionStatus") == "True", given.get("newReason") or "", given.get("newMessage") or "")
    waiting = cache.pending.queues.get(queue.name)
    cluster_queue_status(status, queue, len(waiting) if waiting else 0, activity, bench.clock.now(), 1, fair_sharing=False)
    return differences(plain(conditions(status)), plain(conditions(case.want.get("wantCqStatus") or {})))


def cohort_filter(case: Case) -> list[str]:
    old = view(case.given["old"], Cohort) if case.given.get("old") else None
    new = view(case.given["new"], Cohort) if case.given.get("new") else None
    return differences(spec_changed(old, new), bool(case.want.get("want")))


def released_flavors(case: Case) -> list[str]:
    queue = view({"metadata": {"name": ""}, **case.given["cq"]}, ClusterQueue)
    others = [view(obj, ClusterQueue) for obj in case.given.get("clusterQueues") or ()]
    got = let_go(flavors_named(queue), set(), lambda name: any(name in flavors_named(other) for other in others))
    return differences(sorted(got), sorted(case.want.get("wantEnqueued") or ()))


def queue_notifies(case: Case) -> list[str]:
    if not case.given.get("oldCQ"):
        return differences(False, bool(case.want.get("expectEvent")))
    old = flavors_named(view(case.given["oldCQ"], ClusterQueue))
    new = flavors_named(view(case.given["newCQ"], ClusterQueue)) if case.given.get("newCQ") else None
    return differences(new is None or old != new, bool(case.want.get("expectEvent")))


def needed_checks(case: Case) -> list[str]:
    queue = World().set_cluster_queue(view(case.given["cq"], ClusterQueue))
    obj = case.given["wl"]
    status: Json = dict(obj.get("status") or {})
    sync_checks(status, checks_for(view(obj, Workload), queue.checks, queue.all_flavors()), parse_time(NOW))
    return differences(_checks(status.get("admissionChecks")), _checks(case.want.get("wantChecks")))


def _checks(checks: Any) -> list[Json]:
    return [plain({k: v for k, v in check.items() if k != "lastTransitionTime"}) for check in checks or ()]


def sync_states(case: Case) -> list[str]:
    given = case.given
    now = parse_time(case.now or case.fixtures["now"])
    status: Json = {"admissionChecks": [dict(check) for check in given.get("states") or ()]}
    wanted = given.get("list") or given.get("admissionChecks") or []
    changed = sync_checks(status, tuple(sorted(wanted)), now)
    found = differences(changed, bool(case.want.get("wantChange")), "changed")
    return found + differences(_checks(status.get("admissionChecks")), _checks(case.want.get("wantStates")), "states")


def _reference_bench(case: Case) -> tuple[Bench, ReferenceController]:
    bench, cache = bench_of(case)
    used = {name for obj in case.given.get("clusterQueues") or () for name in flavors_named(view(obj, ClusterQueue))}
    single = case.given.get("clusterQueue") or case.given.get("cq")
    used |= flavors_named(view(single, ClusterQueue)) if single else set()
    queues = cache.cluster_queues
    return bench, ReferenceController(bench.manager, RESOURCE_FLAVORS, cache.flavors, used.__contains__, queues, flavors_named)


def flavor_reconcile(case: Case) -> list[str]:
    bench, controller = _reference_bench(case)
    flavor, want = case.given["flavor"], case.want
    name = flavor["metadata"]["name"]
    if want.get("wantDeleted"):  # then it is deleted first, and its finalizer keeps it
        flavor = {**flavor, "metadata": {**flavor["metadata"], "deletionTimestamp": NOW}}
    if not case.given.get("skipStore"):
        bench.add(RESOURCE_FLAVORS, [flavor])
    asyncio.run(controller.reconcile(("", name)))
    got = bench.client.objects.get((RESOURCE_FLAVORS, "", name))
    found = differences(got is None, bool(want.get("wantDeleted")), "deleted") if not case.given.get("skipStore") else []
    if want.get("wantFlavor"):
        finalizers = (got or {}).get("metadata", {}).get("finalizers") or []
        found += differences(finalizers, want["wantFlavor"]["metadata"].get("finalizers") or [], "finalizers")
    return found


def flavor_events(case: Case) -> list[str]:
    raise Skip("predicates of controller-runtime: here the copy is followed by level, and each change of a flavor judges its queues again")


def class_changed(case: Case) -> list[str]:
    if case.given.get("eventType") == "generic":
        raise Skip("an event of controller-runtime's that there is none of here")
    old = view(case.given["oldWPC"], WorkloadPriorityClass) if case.given.get("oldWPC") else None
    new = view(case.given["newWPC"], WorkloadPriorityClass) if case.given.get("newWPC") else None
    return differences(value_changed(old, new), bool(case.want.get("want")))


def class_reconcile(case: Case) -> list[str]:
    bench, cache = bench_of(case)
    controller = PriorityClassController(bench.manager, cache)
    if case.given.get("wpc"):
        bench.add(WORKLOAD_PRIORITY_CLASSES, [case.given["wpc"]])
    bench.add(WORKLOADS, case.given.get("workloads"))
    asyncio.run(controller.reconcile(("", (case.given.get("wpc") or {"metadata": {"name": "none"}})["metadata"]["name"])))
    got = [workload(obj) for obj in bench.client.of(WORKLOADS)]
    return differences(got, [workload(obj) for obj in _sorted(case.want.get("wantWorkloads"))])


def _sorted(objects: Any) -> list[Json]:
    return sorted(objects or (), key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))


RUNNERS = {
    "controller-core": {
        "TestAdmittedNotReadyWorkload": readiness,
        "TestClusterQueueReconcile": cluster_queue_reconcile,
        "TestCohortReconcilerFilters": cohort_filter,
        "TestCqHandlerGeneric": released_flavors,
        "TestNotifyClusterQueueUpdate": queue_notifies,
        "TestReconcileSyncAdmissionChecks": needed_checks,
        "TestResourceFlavorPredicates": flavor_events,
        "TestResourceFlavorReconcile": flavor_reconcile,
        "TestSyncCheckStates": sync_states,
        "TestUpdateCqStatusIfChanged": cluster_queue_update,
        "TestWorkloadPriorityClassPredicates": class_changed,
        "TestWorkloadPriorityClassReconcile": class_reconcile,
    }
}
