"""Groups `controller-workloaddispatcher`, `workload-evict`, `workload-finish`."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from raysail.api.kueue import Workload
from raysail.api.meta import format_time, parse_time
from raysail.api.resources import ADMISSION_CHECKS, MULTI_KUEUE_CONFIGS, WORKLOADS
from raysail.queue.cache import QueueCache
from raysail.queue.lifecycle.next_step import evicted_for, is_deactivated_by_queue
from raysail.queue.lifecycle.status import finish, set_check
from raysail.queue.multikueue.dispatch import ROUND, NoMoreClustersError, next_round
from raysail.queue.multikueue.settings import MultiKueueSettings
from raysail.queue.multikueue.workload_controller import IncrementalDispatcher
from raysail.queue.settings import QueueSettings

from .controller_core import workload
from .corpus import Case, Skip, differences, plain, view
from .memory import Bench


def nominate(case: Case) -> list[str]:
    given, want = case.given, case.want
    now = parse_time(case.now)
    obj = view(given["workload"], Workload)
    held = case.gates.get("MultiKueueIncrementalDispatcherConfig") is False
    step = 3 if held else int((given.get("cfg") or {}).get("stepSize") or 3)
    before = obj.status.nominated_cluster_names or []
    started = (now - ROUND - timedelta(seconds=1) if given.get("advanceRoundTime") else now) if before else None
    got, error = before, ""
    in_order = case.gates.get("MultiKueueIncrementalDispatcherRespectConfigOrder", True)
    try:
        nomination = next_round(obj, given["remoteClusters"], started, now, step_size=step, in_order=in_order)
        got = nomination.clusters if nomination.clusters is not None else before
    except NoMoreClustersError as failure:
        error = str(failure)
    return differences([got, error], [want.get("wantNominatedClusters") or [], want.get("wantErr") or ""])


def dispatch(case: Case) -> list[str]:
    given, want = case.given, case.want
    bench = Bench(parse_time(case.now))
    settings = QueueSettings(wait_for_pods_ready=None, multi_kueue=MultiKueueSettings(), feature_gates=dict(case.gates))
    cache = QueueCache(bench.manager, settings)
    controller = IncrementalDispatcher(bench.manager, cache, settings)
    obj = given.get("workload")
    if obj is None:
        raise Skip("a Workload that is gone is no error: nothing is to be dispatched")
    state = given.get("mkAcState")
    if state:
        parameters = {"apiGroup": MULTI_KUEUE_CONFIGS.group, "kind": MULTI_KUEUE_CONFIGS.kind, "name": state["name"]}
        spec = {"controllerName": "kueue.x-k8s.io/multikueue", "parameters": parameters}
        bench.add(
            MULTI_KUEUE_CONFIGS, [{"metadata": {"name": state["name"]}, "spec": {"clusters": given.get("remoteClusters") or ["cluster1"]}}]
        )
        bench.add(ADMISSION_CHECKS, [{"metadata": {"name": state["name"]}, "spec": spec}])
        obj = {**obj, "status": {**(obj.get("status") or {}), "admissionChecks": [state]}}
    bench.add(WORKLOADS, [obj])
    meta = obj["metadata"]
    asyncio.run(controller.reconcile((meta.get("namespace", ""), meta["name"])))
    got = (bench.client.objects[WORKLOADS, meta.get("namespace", ""), meta["name"]].get("status") or {}).get("nominatedClusterNames") or []
    return differences(got, want.get("wantNominatedClusters") or [])


def by_deactivation(case: Case) -> list[str]:
    return differences(is_deactivated_by_queue(view(case.given["workload"], Workload), by_anybody=True), bool(case.want.get("want")))


def by_pods_ready_timeout(case: Case) -> list[str]:
    got = evicted_for(view(case.given["workload"], Workload)) == "PodsReadyTimeout"
    return differences(got, bool(case.want.get("wantEvictedByTimeout")))


def finished(case: Case) -> list[str]:
    given = case.given["args"]
    obj = given["wl"]
    status = dict(obj.get("status") or {})
    status["conditions"] = [dict(each) for each in status.get("conditions") or ()]
    finish(status, given.get("reason") or "", given.get("message") or "", parse_time(case.now), obj["metadata"].get("generation", 0))
    return differences(workload({**obj, "status": status}), workload(case.want["want"]["wl"]))


def set_state(case: Case) -> list[str]:
    """Times are in whole seconds here, as the API keeps them; a new state's is the present."""
    given, now = case.given, parse_time(case.now)
    if given.get("origStates") is None:
        raise Skip("a nil pointer of Go")
    status: dict[str, Any] = {"admissionChecks": [dict(each) for each in given["origStates"]]}
    new = given["state"]
    more = {key: value for key, value in new.items() if key not in ("name", "state", "message", "lastTransitionTime")}
    set_check(status, new["name"], new.get("state") or "", new.get("message") or "", now, **more)
    return differences(_second(status["admissionChecks"]), _second(case.want.get("wantStates"), now))


def _second(states: Any, now: datetime | None = None) -> list[Any]:
    """Without fractions of seconds; where the table leaves the time open it is the present."""
    found = []
    for each in states or ():
        at = each.get("lastTransitionTime")
        moment = parse_time(at) if at else now
        found.append(plain({**each, "lastTransitionTime": format_time(moment) if moment is not None else None}))
    return found


RUNNERS = {
    "workload-patching": {"TestSetCheckState": set_state},
    "controller-workloaddispatcher": {
        "TestIncrementalDispatcherNominateWorkers": nominate,
        "TestIncrementalDispatcherReconciler_Reconcile": dispatch,
    },
    "workload-evict": {"TestIsEvictedByDeactivation": by_deactivation, "TestIsEvictedByPodsReadyTimeout": by_pods_ready_timeout},
    "workload-finish": {"TestFinish": finished},
}
