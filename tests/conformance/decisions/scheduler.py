"""Group `scheduler`: whole cycles, and the ordering and reservation rules inside."""

from __future__ import annotations

from typing import Any

from raysail.queue.planner.cycle import plan
from raysail.queue.planner.options import Options

from .corpus import Case, Json, Skip, by_value, differences, plain
from .worlds import Scene, holders


def options_of(case: Case, *, fair: bool = False) -> Options:
    """The switches of the case's gates; one cycle."""
    return Options(
        fair_strategies=() if fair or case.given.get("enableFairSharing") else None,
        admission_fair_sharing=case.gates.get("AdmissionFairSharing", False),
        one_round=True,
        preemption_gates=bool(case.gates.get("MultiKueueOrchestratedPreemption") or case.gates.get("ConcurrentAdmission")),
        partial_admission=case.gates.get("PartialAdmission", True),
        concurrent_admission=case.gates.get("ConcurrentAdmission", False),
        preemptors_first=case.gates.get("PrioritizePreemptorWorkloads", False),
        by_priority=case.gates.get("PrioritySortingWithinCohort", True),
        keep_scan=case.gates.get("FlavorFungibilityPreserveScanProgress", True),
        recompute_overlapping=case.gates.get("RecomputeAssignmentUponPreemptionTargetsOverlap", True),
    )


def scene_of(case: Case) -> Scene:
    scene = Scene(case.now, gates=case.gates)
    fixtures, given = case.fixtures, case.given
    scene.namespaces(fixtures.get("namespaces") or ())
    scene.others(given.get("objects") or ())
    scene.flavors(fixtures.get("resourceFlavors") or ())
    scene.flavors(given.get("resourceFlavors") or ())
    scene.local_queues(fixtures.get("queues") or ())
    scene.local_queues(given.get("additionalLocalQueues") or ())
    scene.queues(fixtures.get("clusterQueues") or ())
    scene.queues(given.get("clusterQueues") or ())
    scene.queues(given.get("additionalClusterQueues") or ())
    scene.cohorts(given.get("cohorts") or ())
    scene.workloads(given.get("workloads") or ())
    return scene


def cycle(case: Case) -> list[str]:
    """One cycle: what is admitted, what the API's objects say, what is left, events."""
    scene = scene_of(case)
    options = options_of(case)
    if case.given.get("admissionError"):
        raise Skip("an API that refuses the write: nothing is decided in it, tests/queue/test_writes.py has it")
    result = plan(scene.world, scene.pending, scene.seconds, options)
    scene.apply(result, options)
    want = case.want
    found = differences(plain(by_value(holders(scene))), plain(by_value(want.get("wantAssignments") or {})), "assignments")
    found += differences(_left(scene, parked=False), _sets(want.get("wantLeft")), "left")
    found += differences(_left(scene, parked=True), _sets(want.get("wantInadmissibleLeft")), "inadmissible")
    if want.get("wantWorkloads") is not None:
        got = {key: _workload(obj) for key, obj in scene.objects.items()}
        wanted = {_key(obj): _workload(obj) for obj in want["wantWorkloads"]}
        found += differences(got, wanted, "workloads")
    if want.get("wantEvents"):
        found += differences(_events(scene, case), _wanted_events(case), "events")
    for name, count in (want.get("wantSkippedPreemptions") or {}).items():
        found += differences(result.skipped_preemptions.get(name, 0), count, f"skipped.{name}")
    for name, counts in (want.get("wantPreemptionTargetRecomputations") or {}).items():
        found += differences(plain(result.recomputed_targets.get(name) or {}), plain(counts), f"recomputed.{name}")
    return found


def _key(obj: Json) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _workload(obj: Json) -> Any:
    kept = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "creationTimestamp")}}
    status = {**(obj.get("status") or {})}
    status["conditions"] = {
        c["type"]: {k: v for k, v in c.items() if k not in ("lastTransitionTime", "observedGeneration")}
        for c in status.get("conditions") or ()
    }
    status["admissionChecks"] = [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in status.get("admissionChecks") or ()]
    kept["status"] = status
    return plain(by_value(kept))


def _left(scene: Scene, *, parked: bool) -> dict[str, list[str]]:
    found = {}
    for name, queue in scene.pending.queues.items():
        keys = sorted(queue.inadmissible if parked else queue.active)
        if keys:
            found[name] = keys
    return found


def _sets(wanted: Any) -> dict[str, list[str]]:
    return {name: sorted(keys) for name, keys in (wanted or {}).items() if keys}


def _events(scene: Scene, case: Case) -> list[Json]:
    texts = case.want.get("eventMessagesCompared")
    return sorted(
        (
            {"key": said.key, "type": said.type, "reason": said.reason, **({"message": said.message} if texts else {})}
            for said in scene.events
        ),
        key=str,
    )


def _wanted_events(case: Case) -> list[Json]:
    texts = case.want.get("eventMessagesCompared")
    return sorted(
        (
            {
                "key": f"{event['Key'].get('Namespace', '')}/{event['Key'].get('Name', '')}"
                if isinstance(event["Key"], dict)
                else event["Key"],
                "type": event.get("EventType", ""),
                "reason": event.get("Reason", ""),
                **({"message": event.get("Message", "")} if texts else {}),
            }
            for event in case.want["wantEvents"]
        ),
        key=str,
    )


RUNNERS = {
    "TestSchedule": cycle,
    "TestScheduleForFairSharing": cycle,
    "TestScheduleRecomputePreemptionTargets": cycle,
    "TestScheduleConcurrentAdmission": cycle,
}
