"""Group `controller-core`: admission fair sharing as the controllers keep it, penalties, settlement, samples in the status of LocalQueues."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from raysail.api.kueue import Workload
from raysail.api.meta import parse_time
from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, NAMESPACES, WORKLOADS
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.queues import LocalQueueController
from raysail.queue.model.requests import quantities
from raysail.queue.model.usage_ledger import AdmissionFairSharing, UsageEntry, UsageLedger, requests_of
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.settings import QueueSettings
from raysail.queue.usage_tracking import UsageTracking

from .controller_core import conditions, seconds
from .corpus import Case, Json, by_value, differences, plain, view
from .memory import Bench
from .worlds import NOW

KEY = "ns/wl"
LOCAL = "ns/lq"


def _rules(config: Json | None) -> AdmissionFairSharing | None:
    if not config:
        return None
    return AdmissionFairSharing(seconds(config.get("usageHalfLifeTime")), seconds(config.get("usageSamplingInterval")))


def _bench(case: Case, config: Json | None) -> tuple[Bench, QueueCache, QueueSettings]:
    bench = Bench(parse_time(case.now or case.fixtures.get("now") or NOW))
    settings = replace(QueueSettings(wait_for_pods_ready=None), admission_fair_sharing=_rules(config))
    return bench, QueueCache(bench.manager, settings), settings


def _parts(cache: QueueCache) -> tuple[UsageTracking, UsageLedger]:
    tracking = cache.usage
    if tracking is None:
        raise AssertionError("admission fair sharing is off")
    return tracking, tracking.ledger


def _entry(given: Json) -> UsageEntry:
    last = parse_time(given["LastUpdate"]).timestamp() if given.get("LastUpdate") else 0.0
    return UsageEntry(dict(quantities(given.get("Resources"))), last, seeded=bool(given.get("StatusAccounted")))


def local_queue(case: Case) -> list[str]:
    given, want = case.given, case.want
    bench, cache, settings = _bench(case, given.get("afsConfig"))
    controller = LocalQueueController(bench.manager, cache, settings)
    local, queue = given["localQueue"], given.get("clusterQueue")
    meta = local["metadata"]
    key = (meta.get("namespace", ""), meta["name"])
    bench.add(NAMESPACES, [{"metadata": {"name": key[0]}}])
    bench.add(CLUSTER_QUEUES, [queue] if queue else [])
    bench.add(LOCAL_QUEUES, [local])
    name = f"{key[0]}/{key[1]}"
    if given.get("afsConfig"):
        # The reference fills the cache's ledger itself, after the workloads are there.
        bench.add(WORKLOADS, given.get("runningWls"))
        _, ledger = _parts(cache)
        ledger.entries.pop(name, None)
        if given.get("initialConsumedResources", {}).get("Resources") is not None:
            ledger.entries[name] = _entry(given["initialConsumedResources"])
        if given.get("pendingEntryPenalty"):
            entry = ledger.entries.setdefault(name, UsageEntry({}, bench.clock.now().timestamp(), seeded=False))
            entry.penalties["ns/pending-wl"] = dict(quantities(given["pendingEntryPenalty"]))
    else:
        bench.add(WORKLOADS, given.get("runningWls"))
    if queue is not None:
        active = any(c["type"] == "Active" and c["status"] == "True" for c in (queue.get("status") or {}).get("conditions") or ())
        cache.world.cluster_queues[queue["metadata"]["name"]].active = active
    if queue is not None and given.get("deleteClusterQueue"):
        bench.remove(CLUSTER_QUEUES, queue["metadata"]["name"])
    again = asyncio.run(controller.reconcile(key))
    found = []
    if want.get("wantRequeueAfter") is not None and abs((again or 0) - seconds(want["wantRequeueAfter"])) > 0.01:
        found.append(f"again: got {again}, want {want['wantRequeueAfter']}")
    got = bench.client.objects[LOCAL_QUEUES, key[0], key[1]]
    found += differences(_local(got), _local(want["wantLocalQueue"]))
    if given.get("pendingEntryPenalty"):
        found += differences("ns/pending-wl" in _parts(cache)[1].entries[name].penalties, True, "penalty kept")
    if want.get("wantConsumedResources"):
        entry, wanted = _parts(cache)[1].entries[name], _entry(want["wantConsumedResources"])
        told = [entry.consumed, entry.last_update, entry.seeded]
        found += differences(told, [wanted.consumed, wanted.last_update, wanted.seeded], "entry")
    return found


def _local(obj: Json) -> Any:
    status = conditions(obj.get("status") or {})
    sharing = (status.get("fairSharing") or {}).get("admissionFairSharingStatus")
    if isinstance(sharing, dict):
        used = {"resources": sharing.get("consumedResources") or {}}
        status["fairSharing"] = {**status["fairSharing"], "admissionFairSharingStatus": used}
    return plain(by_value({"spec": obj.get("spec"), "status": status}))


def _stage(case: Case, config: Json, mode: str = "UsageBasedAdmissionFairSharing") -> tuple[UsageTracking, UsageLedger]:
    bench, cache, _ = _bench(case, config)
    queue = (case.given.get("local") or {}).get("cq") or {"metadata": {"name": "cq"}, "spec": {"namespaceSelector": {}}}
    queue = {**queue, "spec": {**queue["spec"], "admissionScope": {"admissionMode": mode}}}
    bench.add(CLUSTER_QUEUES, [queue])
    bench.add(LOCAL_QUEUES, [{"metadata": {"name": "lq", "namespace": "ns"}, "spec": {"clusterQueue": "cq"}}])
    return _parts(cache)


def drops(case: Case) -> list[str]:
    tracking, ledger = _stage(case, {"usageHalfLifeTime": "5m", "usageSamplingInterval": "5m"}, "NoAdmissionFairSharing")
    ledger.penalize(LOCAL, KEY, {"cpu": 4 * 10**9}, parse_time(case.now).timestamp())
    tracking.workload_changed(view(case.given["oldWl"], Workload), view(case.given["newWl"], Workload))
    found = []
    for local, wanted in (case.want.get("wantPendingOn") or {}).items():
        entry = ledger.entries.get(local)
        found += differences(bool(entry and entry.pending()), wanted, local)
    return found


def settles(case: Case) -> list[str]:
    tracking, ledger = _stage(case, {"usageHalfLifeTime": "1m", "usageSamplingInterval": "1s"})
    new = view(case.given["newWl"], Workload)
    ledger.penalize(LOCAL, KEY, requests_of(WorkloadInfo(new).pod_sets), parse_time(case.now).timestamp())
    tracking.workload_changed(view(case.given["oldWl"], Workload), new)
    entry = ledger.entries[LOCAL]
    got = [bool(entry.pending()), bool(entry.consumed.get("cpu"))]
    return differences(got, [bool(case.want.get("wantPending")), bool(case.want.get("wantFolded"))])


def consumed(case: Case) -> list[str]:
    """The reference calls the settlement itself, for a workload that is admitted and counted already."""
    config = case.fixtures["afsConfig"]
    bench, cache, _ = _bench(case, config)
    queue = (case.given.get("local") or {}).get("cq") or {"metadata": {"name": "cq"}, "spec": {"namespaceSelector": {}}}
    bench.add(CLUSTER_QUEUES, [queue])
    bench.add(LOCAL_QUEUES, [case.fixtures["lq"]])
    tracking, ledger = _parts(cache)
    now = parse_time(case.now).timestamp()
    obj = view(case.fixtures["wl"], Workload)
    cache.world.add_workload(WorkloadInfo(obj))
    ledger.entries.pop(LOCAL, None)
    if case.given.get("initialEntry"):
        ledger.entries[LOCAL] = _entry(case.given["initialEntry"])
    ledger.penalize(LOCAL, KEY, requests_of(WorkloadInfo(obj).pod_sets), now)
    ledger.settle(LOCAL, KEY, tracking._used(LOCAL), now)
    entry, want = ledger.entries[LOCAL], case.want
    last = parse_time(want["wantLastUpdate"]).timestamp() if want.get("wantLastUpdate") else now
    got = [entry.consumed.get("cpu", 0) // 10**6, entry.last_update, entry.seeded]
    return differences(got, [want.get("wantCPUMilli"), last, bool(want.get("wantStatusAccounted"))])


RUNNERS = {
    "controller-core": {
        "TestLocalQueueReconcile": local_queue,
        "TestUpdateAfsConsumedUsage": consumed,
        "TestUpdateDropsUnsettleableAfsEntryPenalty": drops,
        "TestUpdateSettlesAfsEntryPenalty": settles,
    }
}
