"""Group `flavorassigner`: flavors for one workload, and functions on the result."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysail.queue.model.cluster_queue import ClusterQueue, Flavor, Fungibility
from raysail.queue.model.quota import Amounts
from raysail.queue.model.workload import FlavorScan, WorkloadInfo
from raysail.queue.planner.assignment import Assignment, Attempt
from raysail.queue.planner.flavors import FlavorAssigner, Grade, is_preferred
from raysail.queue.planner.partial import largest_fitting
from raysail.queue.planner.preemption import Preemptor

from .corpus import Case, Json, amount, amounts, by_value, differences, plain
from .preemption import assignment_of
from .worlds import Scene


class StubbedOracle:
    """Answers as the case says; (Preempt, 0) for what it does not mention."""

    def __init__(self, answers: Any) -> None:
        self._answers = {(key.get("Flavor", ""), key.get("Resource", "")): answer for key, answer in answers or ()}

    def simulate(self, info: WorkloadInfo, queue: ClusterQueue, key: tuple[str, str], amount: int) -> tuple[str, int]:
        answer = self._answers.get(key)
        if answer is None:
            return "Preempt", 0
        return answer.get("preemptionPossiblity", "NoCandidates"), answer.get("borrowingAfterSimulation", 0)


def _workload(pod_sets: list[Json], reclaimable: Any = None) -> Json:
    return {"metadata": {"name": "wl"}, "spec": {"podSets": pod_sets}, "status": {"reclaimablePods": reclaimable or []}}


def _setting(case: Case, flavors: Any, queues: list[tuple[Json, Any]]) -> tuple[Scene, ClusterQueue]:
    scene = Scene(case.now)
    listed = flavors.values() if isinstance(flavors, dict) else flavors or ()
    scene.flavors(listed)
    scene.topologies(case.given.get("topologies") or case.fixtures.get("topologies") or ())
    scene.nodes(case.given.get("nodes") or case.fixtures.get("nodes") or ())
    for obj, usage in queues:
        scene.queues([obj])
        queue = scene.world.cluster_queues[obj["metadata"]["name"]]
        if queue.parent is None:
            queue.parent = scene.world._cohort("")
            queue.parent.member_nodes[queue.name] = queue
            scene.world._recount(queue.parent)
        queue.add_all(amounts(usage))
    return scene, scene.world.cluster_queues[queues[0][0]["metadata"]["name"]]


def assign(case: Case) -> list[str]:
    """Flavors with an oracle that answers as told."""
    given = case.given
    queues = [(given["clusterQueue"], given.get("clusterQueueUsage"))]
    if given.get("secondaryClusterQueue"):
        queues.append((given["secondaryClusterQueue"], given.get("secondaryClusterQueueUsage")))
    scene, queue = _setting(case, case.fixtures["resourceFlavors"], queues)
    info = scene.info(_workload(given.get("wlPods") or [], given.get("wlReclaimablePods")))
    info.cluster_queue = queue.name
    old = None
    if given.get("preemptWorkloadSlice"):
        old = scene.info(given["preemptWorkloadSlice"]["Obj"])
    oracle = StubbedOracle(given.get("simulationResult"))
    assigner = FlavorAssigner(
        info,
        queue,
        scene.world.flavors,
        oracle,
        fair_sharing=bool(given.get("enableFairSharing")),
        replaced=old,
        topologies=scene.world.topologies,
    )
    return _compare(assigner.assign(), case)


def _compare(got: Assignment, case: Case) -> list[str]:
    want = case.want.get("wantAssignment") or {}
    wrong = differences(got.mode().text, case.want.get("wantRepMode", "NoFit"), "mode")
    wrong += differences(got.borrowing, want.get("Borrowing", 0), "borrowing")
    wrong += differences(got.no_fit_reason, want.get("NoFitReason", ""), "noFitReason")
    wanted_usage = {key: value for key, value in amounts(((want.get("Usage") or {}).get("Quota") or {}).get("Assigned")).items() if value}
    wrong += differences(_named(got.usage), _named(wanted_usage), "usage")
    wrong += differences(len(got.pod_sets), len(want.get("PodSets") or []), "pod sets")
    for pod_set, wanted in zip(got.pod_sets, want.get("PodSets") or [], strict=False):
        at = pod_set.name
        wrong += differences(pod_set.count, wanted.get("Count", 0), f"{at}.count")
        wrong += differences(
            plain({r: {"Name": f.flavor, "Mode": f.mode.text, "TriedFlavorIdx": f.tried} for r, f in pod_set.flavors.items()}),
            plain({r: {"Mode": "NoFit", **f} for r, f in (wanted.get("Flavors") or {}).items()}),
            f"{at}.flavors",
        )
        wrong += differences(sorted(pod_set.reasons), sorted((wanted.get("Status") or {}).get("reasons") or []), f"{at}.reasons")
        wanted_requests = by_value({"requests": wanted.get("Requests") or {}})["requests"]
        wrong += differences(
            plain({r: f"{v * (1_000_000 if r == 'cpu' else 10**9)}n" for r, v in pod_set.requests.items() if v}),
            {r: v for r, v in plain(wanted_requests).items() if v != "0n"},
            f"{at}.requests",
        )
        tried = {attempt["Flavor"]: attempt for attempt in _attempts(pod_set.attempts)}
        for attempt in _wanted_attempts(wanted.get("FlavorAssignmentAttempts") or []):
            if attempt.get("Reasons"):  # the others may be missing on either side
                wrong += differences(tried.get(attempt["Flavor"]), attempt, f"{at}.attempts.{attempt['Flavor']}")
    return wrong


def _named(usage: Amounts) -> Json:
    return {"/".join(key): value for key, value in usage.items() if value}


def _attempts(attempts: list[Attempt]) -> list[Any]:
    return [
        plain({"Flavor": a.flavor, "Mode": a.mode.text, "Borrow": a.borrow, "Reasons": sorted(a.reasons), "NoFitReason": a.no_fit_reason})
        for a in attempts
        if not (a.reasons and all("does not provide resource" in reason for reason in a.reasons))
    ]


def _wanted_attempts(attempts: list[Json]) -> list[Any]:
    return [
        plain({"Mode": "NoFit", **{k: v for k, v in a.items() if k != "PreemptionPossibility"}, "Reasons": sorted(a.get("Reasons") or [])})
        for a in attempts
        if not (a.get("Reasons") and all("does not provide resource" in reason for reason in a["Reasons"]))
    ]


def hierarchical(case: Case) -> list[str]:
    """Flavors in a tree of cohorts, with the real oracle."""
    given, local = case.given, case.given.get("local") or {}
    scene = Scene(case.now)
    flavors = case.fixtures.get("resourceFlavors") or case.fixtures.get("flavors") or {}
    scene.flavors(flavors.values() if isinstance(flavors, dict) else flavors)
    scene.cohorts(case.fixtures.get("cohorts") or ())
    test = local.get("testCq") or case.fixtures.get("testCq")
    other = local.get("otherCq") or case.fixtures.get("otherCq")
    if given.get("flavorFungibility"):
        test = {**test, "spec": {**test["spec"], "flavorFungibility": given["flavorFungibility"]}}
    for flavor in _flavor_names(test) | (_flavor_names(other) if other else set()):
        scene.world.flavors.setdefault(flavor, Flavor(flavor))
    for obj, usage in ((test, given.get("testClusterQueueUsage")), (other, given.get("otherClusterQueueUsage"))):
        if obj is None:
            continue
        scene.queues([obj])
        _hold(scene, obj["metadata"]["name"], amounts(usage))
    queue = scene.world.cluster_queues[test["metadata"]["name"]]
    queue.active = True
    info = scene.info(_workload([given["workloadRequests"]["PodSet"]]))
    info.cluster_queue = queue.name
    got = FlavorAssigner(info, queue, scene.world.flavors, Preemptor(scene.world, scene.seconds)).assign()
    wrong = differences(got.mode().text, case.want["wantMode"], "mode")
    chosen = {resource: given.flavor for resource, given in got.pod_sets[0].flavors.items()}
    return wrong + differences(chosen, case.want.get("wantAssigment") or {}, "flavors")


def _flavor_names(obj: Json) -> set[str]:
    return {f["name"] for group in obj["spec"].get("resourceGroups") or () for f in group.get("flavors") or ()}


def _hold(scene: Scene, queue: str, usage: Amounts) -> None:
    """One workload per flavor and resource holds that usage (so that it can be preempted)."""
    for (flavor, resource), value in usage.items():
        text = f"{value}m" if resource == "cpu" else str(value)
        obj = {
            "metadata": {"name": f"{queue}-{flavor}-{resource}", "namespace": "ns"},
            "spec": {"podSets": [{"name": "main", "count": 1, "template": {"spec": {"containers": []}}}], "priority": -1},
            "status": {
                "admission": {
                    "clusterQueue": queue,
                    "podSetAssignments": [{"name": "main", "count": 1, "flavors": {resource: flavor}, "resourceUsage": {resource: text}}],
                },
                "conditions": [{"type": "QuotaReserved", "status": "True"}],
            },
        }
        scene.workloads([obj])


def preferred(case: Case) -> list[str]:
    """Which of two grades is better."""
    grades = [Grade(g.get("preemptionMode", 0), g.get("borrowingLevel", 0)) for g in (case.given.get("a") or {}, case.given.get("b") or {})]
    config = case.given.get("config") or {}
    rules = Fungibility(preference=config.get("preference") or "BorrowingOverPreemption")
    return differences(is_preferred(grades[0], grades[1], rules), bool(case.want.get("wantPreferred")), "preferred")


def search(case: Case) -> list[str]:
    """The largest number of Pods not above the limit."""
    pod_sets = [(p["count"], p.get("minCount")) for p in case.given["podSets"]]
    limit = case.given.get("countLimit", 0)
    if pod_sets and all(least is None or least == count for count, least in pod_sets):
        found = None
    else:
        found = largest_fitting(pod_sets, lambda counts: sum(counts) if sum(counts) <= limit else None)
    wrong = differences(found is not None, bool(case.want.get("wantFound")), "found")
    return wrong + (differences(found, case.want.get("wantCount"), "count") if case.want.get("wantFound") else [])


def no_fit_reason(case: Case) -> list[str]:
    """Only the reason."""
    given, fixtures = case.given, case.fixtures
    obj = given.get("cq") or fixtures["cq"]
    flavors = given.get("resourceFlavors") or fixtures.get("resourceFlavors")
    queues = [(obj, given.get("cqUsage") or given.get("clusterQueueUsage"))]
    sibling = given.get("siblingCq") or given.get("sibling") or fixtures.get("siblingCq")
    if sibling:
        queues.append((sibling, given.get("siblingUsage")))
    scene, queue = _setting(case, flavors, queues)
    pod_sets = [given["podSet"]] if "podSet" in given else given.get("podSets") or []
    info = scene.info(_workload(pod_sets))
    info.cluster_queue = queue.name
    preemptor = Preemptor(scene.world, scene.seconds)
    old = scene.info(given["replaceWl"]["Obj"]) if given.get("replaceWl") else None
    got = FlavorAssigner(info, queue, scene.world.flavors, preemptor, replaced=old, topologies=scene.world.topologies).assign()
    return differences(got.no_fit_reason, case.want.get("wantNoFitReason") or case.want.get("wantReason") or "", "reason")


def total_requests(case: Case) -> list[str]:
    """What the workload needs under an assignment."""
    scene = Scene(case.now)
    info = scene.info(case.given["args"]["wl"]["Obj"])
    fields = case.given["fields"]
    assignment = assignment_of(fields.get("PodSets") or [], info)
    for made, asked in zip(assignment.pod_sets, info.pod_sets, strict=False):
        made.requests = asked.scaled_to(made.count).requests
    if fields.get("replaceWorkloadSlice"):
        assignment.replaced = scene.info(fields["replaceWorkloadSlice"]["Obj"])
    return differences(_named(assignment.total_requests()), _named(amounts(case.want.get("want"))), "total")


def borrows(case: Case) -> list[str]:
    """Whether borrowing is needed."""
    assignment = Assignment(FlavorScan([], 0, 0, ""))
    assignment.borrowing = amount(case.given.get("borrowing", 0))
    return differences(assignment.borrowing > 0, bool(case.want.get("want")), "borrows")


def allowed(case: Case) -> list[str]:
    """A variant of concurrent admission keeps to its flavors."""
    scene, queue = _setting(case, case.fixtures["resourceFlavors"], [(case.fixtures["cq"], None)])
    info = scene.info(case.given["local"]["wl"])
    info.cluster_queue = queue.name
    oracle = Preemptor(scene.world, scene.seconds)
    concurrent = case.gates.get("ConcurrentAdmission", False)
    got = FlavorAssigner(info, queue, scene.world.flavors, oracle, concurrent_admission=concurrent).assign()
    chosen = got.pod_sets[0].flavors.get("cpu") if got.pod_sets else None
    wrong = differences(got.mode().text, case.want.get("wantRepMode", "NoFit"), "mode")
    return wrong + differences(chosen.flavor if chosen is not None else "", case.want.get("wantFlavor", ""), "flavor")


def deleted(case: Case) -> list[str]:
    """A flavor went away while the queue still names it."""
    flavors = case.fixtures.get("resourceFlavors") or case.fixtures.get("flavorMap") or {}
    listed = flavors if isinstance(flavors, dict) else {each["metadata"]["name"]: each for each in flavors}
    kept = {name: each for name, each in listed.items() if name != "deleted-flavor"}
    return assign(dataclasses.replace(case, fixtures={**case.fixtures, "resourceFlavors": kept}))


RUNNERS = {
    "TestAssignFlavors": assign,
    "TestAssignFlavorsWithAllowedFlavors": allowed,
    "TestDeletedFlavors": deleted,
    "TestHierarchical": hierarchical,
    "TestReclaimBeforePriorityPreemption": hierarchical,
    "TestIsPreferred": preferred,
    "TestSearch": search,
    "TestIsNoFitDueToCapacityAndLimits": no_fit_reason,
    "TestAssignment_TotalRequestsFor": total_requests,
    "TestAssignment_RequiresBorrowing": borrows,
}
