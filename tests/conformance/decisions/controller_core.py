"""Groups `controller-core`, `workload-evict`, `workload-finish`: the controllers of Kueue's own kinds, each reconciled once on a case's objects."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from raysail.api.errors import StatusError
from raysail.api.meta import parse_time
from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, NAMESPACES, WORKLOADS
from raysail.queue.cache import QueueCache
from raysail.queue.controllers.workload import WorkloadController
from raysail.queue.settings import QueueSettings, RequeuingStrategy, WaitForPodsReady

from .corpus import Case, Json, Skip, by_value, differences, plain
from .memory import Bench
from .worlds import NOW


def seconds(text: Any) -> float:
    """Go's duration text."""
    total, number = 0.0, ""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    at = 0
    text = str(text or "0s")
    while at < len(text):
        if text[at].isdigit() or text[at] in ".-":
            number += text[at]
            at += 1
            continue
        unit = text[at : at + 2] if text[at : at + 2] in units else text[at]
        total += float(number) * units[unit]
        number, at = "", at + len(unit)
    return total


def pods_ready(option: Json | None) -> WaitForPodsReady | None:
    """The reconciler's waitForPodsReady option."""
    if not option:
        return None
    recovery = option.get("recoveryTimeout")
    return WaitForPodsReady(
        seconds(option.get("timeout")),
        None if recovery is None else seconds(recovery),
        False,
        RequeuingStrategy(
            "Eviction",
            option.get("requeuingBackoffLimitCount"),
            option.get("requeuingBackoffBaseSeconds") or 0,
            int(seconds(option.get("requeuingBackoffMaxDuration"))),
        ),
    )


def settings_of(case: Case) -> QueueSettings:
    found = QueueSettings(wait_for_pods_ready=None, feature_gates={**case.gates, "AdmissionGatedBy": True})
    for each in case.given.get("reconcilerOpts") or ():
        option = each["$option"]
        if "waitForPodsReady" in option:
            found = replace(found, wait_for_pods_ready=pods_ready(option["waitForPodsReady"]))
        retention = option.get("workloadRetention") or {}
        if retention.get("afterFinished") is not None:
            found = replace(found, retention_after_finished_seconds=seconds(retention["afterFinished"]))
    return found


def conditions(status: Json) -> Json:
    """Without what the corpus says to ignore."""
    found = dict(status)
    found["conditions"] = {c["type"]: {k: v for k, v in c.items() if k != "lastTransitionTime"} for c in status.get("conditions") or ()}
    found["admissionChecks"] = {
        c["name"]: {k: v for k, v in c.items() if k != "lastTransitionTime"} for c in status.get("admissionChecks") or ()
    }
    found["preemptionGates"] = [{k: v for k, v in g.items() if k != "lastTransitionTime"} for g in status.get("preemptionGates") or ()]
    if isinstance(status.get("requeueState"), dict):
        found["requeueState"] = {k: v for k, v in status["requeueState"].items() if k != "requeueAt"}
    return found


def workload(obj: Json | None) -> Any:
    if obj is None:
        return None
    kept = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}
    kept["metadata"] = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "resourceVersion"}
    kept["status"] = conditions(obj.get("status") or {})
    spec = kept.get("spec") or {}
    found = plain(by_value(kept))
    if spec.get("active") is False:  # a pointer in Go: false is not the same as missing
        found.setdefault("spec", {})["active"] = False
    return found


def events(case: Case) -> list[Json]:
    return [
        {
            "key": f"{e['Key'].get('Namespace', '')}/{e['Key'].get('Name', '')}",
            "type": e.get("EventType", ""),
            "reason": e.get("Reason", ""),
            "message": e.get("Message", ""),
        }
        for e in case.want.get("wantEvents") or ()
    ]


def reconcile_workload(case: Case) -> list[str]:
    given, want = case.given, case.want
    if case.gates.get("UnadmittedWorkloadsObservability") is False:
        raise Skip("the reasons of before the gate UnadmittedWorkloadsObservability, which is on by default")
    bench = Bench(parse_time(case.now or (case.fixtures.get("fakeClock") or {}).get("fakeClockNow") or NOW))
    settings = settings_of(case)
    cache = QueueCache(bench.manager, settings)
    controller = WorkloadController(bench.manager, cache, settings)
    obj = given["workload"]
    meta = obj["metadata"]
    if meta.get("namespace"):
        bench.add(NAMESPACES, [{"metadata": {"name": meta["namespace"]}}])
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None and not case.gates.get("FinishOrphanedWorkloads"):
        bench.add(JOBS, [{"metadata": {"name": owner["name"], "namespace": meta.get("namespace", ""), "uid": owner["uid"]}}])
    if given.get("cq"):
        bench.add(CLUSTER_QUEUES, [given["cq"]])
        active = any(c["type"] == "Active" and c["status"] == "True" for c in (given["cq"].get("status") or {}).get("conditions") or ())
        if not active and not given.get("shouldDeleteCQ"):
            # as in the reference run, where a queue that was not Active is unknown to the cache
            cache.world.cluster_queues[given["cq"]["metadata"]["name"]].active = False
        if given.get("shouldDeleteCQ"):
            _leave(bench, CLUSTER_QUEUES, given["cq"])
    if given.get("lq"):
        bench.add(LOCAL_QUEUES, [given["lq"]])
        if given.get("shouldDeleteLQ"):
            _leave(bench, LOCAL_QUEUES, given["lq"])
    bench.add(WORKLOADS, [obj])
    if given.get("patchErr"):

        def refuse(verb: str, resource: Any, name: str, subresource: str) -> None:
            if subresource == "status":
                raise StatusError("InternalError", str(given["patchErr"]))

        bench.client.refuse = refuse
    error, again = "", None
    try:
        again = asyncio.run(controller.reconcile((meta.get("namespace", ""), meta["name"])))
    except Exception as failure:
        error = str(failure)
        if not (want.get("wantError") or want.get("wantErrorMsg")):
            raise
    found = []
    if want.get("wantErrorMsg") and want["wantErrorMsg"] not in error:
        found.append(f"error: got {error}, want {want['wantErrorMsg']}")
    if want.get("wantError") and not error:
        found.append(f"error: got none, want {want['wantError']}")
    wanted_again = seconds((want.get("wantResult") or {}).get("RequeueAfter"))
    if abs((again or 0) - wanted_again) > 0.01:
        found.append(f"again: got {again}, want {wanted_again}")
    wanted = want.get("wantWorkloadUseMergePatch") or want.get("wantWorkload")  # what we write are merge patches
    if wanted is not None:
        got = bench.client.objects.get((WORKLOADS, meta.get("namespace", ""), meta["name"]))
        found += differences(workload(got), workload(wanted), "workload")
    found += differences(bench.events.said, events(case), "events")
    return found


def _leave(bench: Bench, resource: Any, obj: Json) -> None:
    """The object as it is while something still holds it: on its way out."""
    going = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": NOW, "finalizers": ["kueue.x-k8s.io/resource-in-use"]}}
    bench.add(resource, [going])


RUNNERS = {
    "controller-core": {
        "TestReconcile": reconcile_workload,
        "TestReconcileEviction": reconcile_workload,
        "TestReconcileInadmissible": reconcile_workload,
        "TestReconcileRequeue": reconcile_workload,
        "TestReconcileDRA": reconcile_workload,
    }
}
