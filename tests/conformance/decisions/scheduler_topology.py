"""Group `scheduler`, tables of topology-aware scheduling: whole cycles with nodes, Pods and second passes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from raysail.queue.lifecycle.outcomes import Said, event_of_eviction, evict_unhealthy
from raysail.queue.model.requests import ResourceRules, Transformation
from raysail.queue.pending.waking import wake_tree
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import Admit, Decision, EvictUnhealthy, Plan, SecondPassFailed
from raysail.queue.planner.options import Options
from raysail.queue.planner.second_pass import needs_second_pass
from raysail.queue.topology.profile import Profile

from .corpus import Case, Json, by_value, differences, plain
from .scheduler import _events, _key, _left, _sets, _wanted_events, _workload, options_of
from .worlds import Scene, later


def _scene(case: Case) -> Scene:
    given, fixtures = case.given, case.fixtures
    scene = Scene(case.now, _rules(given.get("resourceTransformations")))
    scene.world.topologies.profile = Profile.from_gates(case.gates)
    scene.namespaces(fixtures.get("namespaces") or ())
    scene.topologies(given.get("topologies") or ())
    scene.nodes(given.get("nodes") or ())
    scene.pods(given.get("pods") or ())
    scene.checks(given.get("admissionChecks") or ())
    scene.flavors(given.get("resourceFlavors") or ())
    scene.local_queues(fixtures.get("queues") or ())
    scene.queues(given.get("clusterQueues") or ())
    scene.cohorts(given.get("cohorts") or ())
    scene.workloads(given.get("workloads") or ())
    return scene


def _rules(transformations: Any) -> ResourceRules:
    return ResourceRules(
        transformations={
            each["input"]: Transformation(
                each["input"], {name: int(factor) * 10**9 for name, factor in each["outputs"].items()}, each.get("strategy") == "Replace"
            )
            for each in transformations or ()
        }
    )


def cycle(case: Case) -> list[str]:
    """One cycle; workloads that need a second pass are lined up for it first."""
    scene = _scene(case)
    before = {key: copy.deepcopy(obj.get("status") or {}) for key, obj in scene.objects.items()}
    second = [info for key in sorted(scene.objects) if needs_second_pass((info := scene.info(scene.objects[key])).obj)]
    for info in second:
        scene.pending.second_pass.put(info, scene.seconds)
    scene.now = later(scene.now, len(second))
    options = options_of(case)
    result = plan(scene.world, scene.pending, scene.seconds, options)
    _apply(scene, result, options, case.given.get("patchStatusErr"))
    want = case.want
    found = differences(plain(by_value(_new(scene, before))), plain(by_value(want.get("wantNewAssignments") or {})), "assignments")
    found += differences(_left(scene, parked=False), _sets(want.get("wantLeft")), "left")
    found += differences(_left(scene, parked=True), _sets(want.get("wantInadmissibleLeft")), "inadmissible")
    if want.get("wantWorkloads") is not None:
        got = {key: _workload(obj) for key, obj in scene.objects.items()}
        found += differences(got, {_key(obj): _workload(obj) for obj in want["wantWorkloads"]}, "workloads")
    want["wantEvents"] = want.get("wantEvents") or []
    return found + differences(_events(scene, case), _wanted_events(case), "events")


def _new(scene: Scene, before: dict[str, Json]) -> dict[str, Json]:
    """What holds quota in the world and was not admitted before, or has unhealthy nodes."""
    found = {}
    for queue in scene.world.cluster_queues.values():
        for key in queue.workloads:
            old = before[key]
            admitted = any(c["type"] == "Admitted" and c["status"] == "True" for c in old.get("conditions") or ())
            if not admitted or old.get("unhealthyNodes"):
                found[key] = scene.objects[key].get("status", {}).get("admission")
    return found


def _apply(scene: Scene, result: Plan, options: Options, refusal: str | None) -> None:
    """What the shell does with the decisions; `refusal` is the error of every write."""
    if refusal:
        for decision in result.decisions:
            if isinstance(decision, EvictUnhealthy) and "not found" not in refusal:
                scene.pending.second_pass.put(decision.info, scene.seconds)
                scene.events.append(Said(decision.info.key, "Warning", "SecondPassFailed", decision.message))
            elif isinstance(decision, Admit):
                scene.world.remove_workload(decision.info.key)
        return
    others: list[Decision] = []
    for decision in result.decisions:
        if isinstance(decision, EvictUnhealthy):
            obj = scene.objects[decision.info.key]
            message = evict_unhealthy(obj["status"], decision, scene.now, int(obj["metadata"].get("generation", 0)))
            scene.events.append(event_of_eviction(decision, message))
        elif isinstance(decision, SecondPassFailed):
            scene.events.append(Said(decision.info.key, "Warning", "SecondPassFailed", decision.message))
        else:
            others.append(decision)
    result.decisions = others
    scene.apply(result, options)


def scan_progress(case: Case) -> list[str]:
    """Whether a workload gets past a flavor that has quota but no place, while the queue's quota changes all the time."""
    fixtures = case.fixtures
    scene = Scene(case.now, gates=case.gates)
    scene.namespaces([{"metadata": {"name": "default"}}])
    scene.topologies([fixtures["singleLevelTopology"]])
    scene.nodes(fixtures["nodes"])
    scene.flavors(fixtures["resourceFlavors"])
    scene.local_queues(fixtures["queues"])
    scene.queues([fixtures["clusterQueue"]])
    scene.workloads([fixtures["blocker"], fixtures["pending"]])
    options = replace(options_of(case), fair_strategies=())
    queue = copy.deepcopy(fixtures["clusterQueue"])
    second = queue["spec"]["resourceGroups"][0]["flavors"][1]["resources"][0]
    for number in range(fixtures["preserveProgressCycles"]):
        scene.apply(plan(scene.world, scene.pending, scene.seconds, options), options)
        if not case.given.get("noChurn"):
            second["nominalQuota"] = "5" if number % 2 == 0 else "4"
            scene.queues([queue])
            for each in scene.world.cluster_queues.values():
                wake_tree(scene.world, scene.pending, each, scene.seconds)

    def flavor_of(name: str) -> str:
        admission = scene.objects[f"default/{name}"].get("status", {}).get("admission") or {}
        return next((given["flavors"]["cpu"] for given in admission.get("podSetAssignments") or ()), "")

    got = [flavor_of("pending"), flavor_of("blocker")]
    return differences(got, [case.want.get("wantPendingFlavor") or "", case.want.get("wantBlockerFlavor") or ""])


RUNNERS = {
    "scheduler": {
        "TestScheduleForTAS": cycle,
        "TestScheduleForTASCohorts": cycle,
        "TestScheduleForTASPreemption": cycle,
        "TestScheduleForPreserveFlavorScanProgress": scan_progress,
    }
}
