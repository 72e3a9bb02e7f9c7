"""Group `preemption`: victims, their order, the policies, messages."""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.kueue import Workload
from raysail.queue.lifecycle.outcomes import evict_victim, preemption_message
from raysail.queue.model.workload import FlavorScan, WorkloadInfo, boost_of
from raysail.queue.model.world import World
from raysail.queue.planner.assignment import Assignment, FlavorAssignment, Mode, PodSetAssignment
from raysail.queue.planner.decisions import Preempt
from raysail.queue.planner.preemption import Preemptor
from raysail.queue.planner.preemption import victims as search
from raysail.queue.planner.preemption.candidates import order_of, satisfies_policy
from raysail.queue.planner.preemption.fair import INITIAL_SHARE, TargetQueues

from .corpus import Case, Json, differences, view
from .scheduler import _workload
from .worlds import Scene

MODES = {"NoFit": Mode.NO_FIT, "Preempt": Mode.PREEMPT, "DeferredFit": Mode.DEFERRED_FIT, "Fit": Mode.FIT}


def assignment_of(pod_sets: list[Json], info: WorkloadInfo) -> Assignment:
    """An assignment from Kueue's struct; amounts are the workload's own."""
    assignment = Assignment(FlavorScan([], 0, 0, ""))
    asked = {pod_set.name: pod_set for pod_set in info.pod_sets}
    for given in pod_sets:
        own = asked.get(given["Name"])
        made = PodSetAssignment(given["Name"], given.get("Count", 0), dict(own.requests) if own else {})
        for resource, flavor in (given.get("Flavors") or {}).items():
            made.flavors[resource] = FlavorAssignment(flavor["Name"], MODES[flavor.get("Mode", "NoFit")])
        made.reasons = ["needs preemption"]
        assignment.pod_sets.append(made)
    return assignment


def _scene(case: Case) -> Scene:
    scene = Scene(case.now)
    scene.flavors(case.given.get("flavors") or case.fixtures.get("flavors") or ())
    scene.queues(case.given.get("clusterQueues") or ())
    scene.cohorts(case.given.get("cohorts") or ())
    for queue in scene.world.cluster_queues.values():
        queue.active = True
    scene.workloads(case.given.get("admitted") or ())
    return scene


def _usage(world: World) -> dict[str, Any]:
    return {name: dict(queue.usage) for name, queue in world.cluster_queues.items()} | {
        name: dict(cohort.usage) for name, cohort in world.cohorts.items()
    }


def victims(case: Case) -> list[str]:
    """The chosen victims, what is written about them, and an unchanged world."""
    scene = _scene(case)
    before = _usage(scene.world)
    info = scene.info(case.given["incoming"])
    info.cluster_queue = case.given["targetCQ"]
    assignment = assignment_of(case.given["assignment"].get("PodSets") or [], info)
    found = Preemptor(scene.world, scene.seconds).victims(info, assignment)
    got = sorted(f"{victim.info.key}:{victim.reason}" for victim in found)
    want = sorted((case.want.get("observed") or {}).get("targets") or [])
    wrong = differences(got, want, "victims") + differences(len(got), case.want.get("wantPreempted", 0), "count")
    wrong += differences(_usage(scene.world) == before, True, "world unchanged")
    queues = scene.world.cluster_queues
    decision = Preempt(info, tuple(found), queues[info.cluster_queue].path(), tuple(queues[v.info.cluster_queue].path() for v in found))
    objects = {key: copy.deepcopy(obj) for key, obj in scene.objects.items()}
    for at, victim in enumerate(found):
        if not victim.info.is_evicted():
            evict_victim(objects[victim.info.key].setdefault("status", {}), decision, at, scene.now, 0)
    wanted = {f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": _workload(o) for o in case.want.get("wantWorkloads") or ()}
    return wrong + differences({key: _workload(obj) for key, obj in objects.items()}, wanted, "workloads")


def fair_victims(case: Case) -> list[str]:
    """Victims by fair sharing."""
    scene = _scene(case)
    before = _usage(scene.world)
    info = scene.info(case.given["incoming"])
    info.cluster_queue = case.given["targetCQ"]
    flavor = case.given.get("assignmentFlavor") or "default"
    pod_sets = [{"Name": p.name, "Count": p.count, "Flavors": {"cpu": {"Name": flavor, "Mode": "Preempt"}}} for p in info.pod_sets]
    assignment = assignment_of(pod_sets, info)
    for made in assignment.pod_sets:
        made.requests = {"cpu": made.requests.get("cpu", 0)}
    strategies = tuple(case.given.get("strategies") or ())
    found = Preemptor(scene.world, scene.seconds, fair_strategies=strategies).victims(info, assignment)
    got = sorted(f"{victim.info.key}:{victim.reason}" for victim in found)
    wrong = differences(got, sorted(case.want.get("wantPreempted") or []), "victims")
    return wrong + differences(_usage(scene.world) == before, True, "world unchanged")


def _boosted(obj: Json, case: Case) -> WorkloadInfo:
    return WorkloadInfo(view(obj, Workload), priority_boost=case.gates.get("PriorityBoost", False))


def policy(case: Case) -> list[str]:
    """May the one preempt the other?"""
    got = satisfies_policy(_boosted(case.given["preemptor"], case), _boosted(case.given["candidate"], case), case.given["policy"])
    return differences(got, bool(case.want.get("want")), "allowed")


def order(case: Case) -> list[str]:
    """Candidates in the order in which they go."""
    infos = []
    for candidate in case.given["candidates"]:
        info = _boosted(candidate["Obj"], case)
        info.cluster_queue = candidate.get("ClusterQueue", "")
        info.local_queue_usage = candidate.get("LocalQueueFSUsage")
        infos.append(info)
    now = Scene(case.now).seconds
    by_usage = case.gates.get("AdmissionFairSharing", False)
    infos.sort(key=lambda info: order_of(info, case.fixtures["preemptorCq"], now, by_usage=by_usage))
    return differences([info.name for info in infos], case.want["wantCandidates"], "order")


def message(case: Case) -> list[str]:
    """The text of the condition."""
    info = WorkloadInfo(view(case.given["preemptor"], Workload))
    got = preemption_message(info, case.given.get("reason", ""), case.given.get("preemptorPath", ""), case.given.get("preempteePath", ""))
    return differences(got, case.want["want"], "message")


def priorities(case: Case) -> list[str]:
    """Effective, base and boost."""
    info = _boosted(case.given["wl"], case)
    base = info.obj.spec.priority or 0
    boost = boost_of(info.obj) if case.gates.get("PriorityBoost") else 0
    got = [info.priority, base, boost]
    return differences(got, [case.want.get(name, 0) for name in ("wantEffective", "wantBase", "wantBoost")], "priorities")


def target_queues(case: Case) -> list[str]:
    """The queues from which fair sharing takes, one after the other."""
    scene = _scene(case)
    queue = scene.world.cluster_queues[case.given["preemptorCQ"]]
    now = scene.seconds
    only = set(case.given.get("candidateCQs") or ())
    candidates = [info for q in scene.world.cluster_queues.values() for info in q.workloads.values() if q.name in only]
    candidates.sort(key=lambda info: order_of(info, queue.name, now, by_usage=False))
    targets = TargetQueues(scene.world, queue, candidates, now)
    actions = case.given.get("actions") or []
    got: list[str] = []
    for target in targets:
        action = actions[len(got)] if len(got) < len(actions) else ""
        got.append(target.name)
        if action == "drop":
            targets.drop(target)
        else:
            targets.pop(target)
        if len(got) > 100:
            break
    return differences(got, case.want.get("wantOrder") or [], "order")


def strategy_evaluations(case: Case) -> list[str]:
    """For how many queues each strategy of fair sharing was asked, and for how many asking was spared; nobody is taken."""
    fixtures = case.fixtures
    scene = Scene(case.now)
    scene.flavors([{"metadata": {"name": "default"}, "spec": {}}])
    scene.queues(case.given["local"]["clusterQueues"])
    scene.workloads(fixtures["admitted"])
    info = scene.info(fixtures["wlInfo"]["Obj"])
    info.cluster_queue = "a"
    pod_sets = [{"Name": p.name, "Count": p.count, "Flavors": {"cpu": {"Name": "default", "Mode": "Preempt"}}} for p in info.pod_sets]
    second = judged_queues = spared = 0
    allows, hopeless = search.strategy_allows, search.hopeless

    def counted(strategy: str, *shares: Any) -> bool:
        nonlocal second
        second += strategy == INITIAL_SHARE
        return allows(strategy, *shares)

    def judged(*shares: Any) -> bool:
        nonlocal judged_queues, spared
        found = hopeless(*shares)
        judged_queues += 1
        spared += found
        return found

    search.strategy_allows, search.hopeless = counted, judged
    try:
        found = Preemptor(scene.world, scene.seconds, fair_strategies=()).victims(info, assignment_of(pod_sets, info))
    finally:
        search.strategy_allows, search.hopeless = allows, hopeless
    want = case.want
    got = [judged_queues - spared, second, spared]
    wanted = [want.get(name, 0) for name in ("wantFirstStrategyEvals", "wantSecondStrategyEvals", "wantSkippedQueues")]
    return differences(got, wanted, "evaluations") + differences(len(found), 0, "victims")


RUNNERS = {
    "TestFairPreemptionSkipsUnsatisfiableTournament": strategy_evaluations,
    "TestPreemption": victims,
    "TestHierarchicalPreemptions": victims,
    "TestFairPreemptions": fair_victims,
    "TestCandidatesOrdering": order,
    "TestSatisfiesPreemptionPolicy": policy,
    "TestPreemptionMessage": message,
    "TestPriorityInfo": priorities,
    "TestMakeClusterQueueOrdering": target_queues,
}
