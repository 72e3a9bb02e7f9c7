"""Group `cache`: the quota tree, fair shares, use and readiness of queues, and who refers to whom."""

from __future__ import annotations

from typing import Any

from raysail.api.kueue import ClusterQueue, Cohort
from raysail.queue.lifecycle.queue_status import flavors_in_use, local_queue_status
from raysail.queue.model.activity import Activity, Check, Surroundings, activity_of
from raysail.queue.model.cluster_queue import Cohort as CohortTree
from raysail.queue.model.cluster_queue import Flavor, Tally
from raysail.queue.model.fairness import Share, lendable_of, share_of
from raysail.queue.model.quota import Amounts, CohortNode
from raysail.queue.model.world import World
from raysail.queue.topology.tree import domain_id
from raysail.queue.topology.world import DomainUse

from .corpus import Case, Json, amounts, by_value, differences, plain, view
from .worlds import Scene


def _named(usage: Amounts, *, zeros: bool = True) -> Json:
    return {"/".join(key): value for key, value in usage.items() if value or zeros}


def _scene(case: Case, flavors: Any = None) -> Scene:
    scene = Scene(case.now, gates=case.gates)
    for flavor in flavors or ():
        scene.world.flavors[flavor] = Flavor(flavor)
    scene.cohorts(case.given.get("cohorts") or ())
    scene.queues(case.given.get("clusterQueues") or case.given.get("cqs") or ())
    return scene


def available(case: Case) -> list[str]:
    """What may be used, and what could be."""
    scene = _scene(case, case.fixtures["flavors"])
    wrong: list[str] = []
    queues = scene.world.cluster_queues

    def check(wanted: Any, what: str, *, potential: bool = False) -> None:
        for name, pairs in (wanted or {}).items():
            queue = queues[name]
            got = {key: queue.potential_available(key) if potential else max(0, queue.available(key)) for key in amounts(pairs)}
            wrong.extend(differences(_named(got), _named(amounts(pairs)), f"{what}.{name}"))

    most = case.want.get("wantPotentiallyAvailable")
    check(most, "potential", potential=True)
    check(most, "before")
    for name, pairs in (case.given.get("usage") or {}).items():
        queues[name].add_all(amounts(pairs))
    check(case.want.get("wantAvailable"), "available")
    for name, pairs in (case.given.get("usage") or {}).items():
        queues[name].remove_all(amounts(pairs))
    check(most, "after")
    return wrong


def share(case: Case) -> list[str]:
    """Shares of all queues and cohorts, with more usage assumed."""
    scene = Scene(case.now)
    for flavor in case.fixtures["flavors"]:
        scene.world.flavors[flavor] = Flavor(flavor)
    scene.cohorts(case.given.get("cohorts") or ())
    scene.queues([each for each in (case.given["clusterQueue"], case.given.get("lendingClusterQueue")) if each])
    queue = scene.world.cluster_queues["cq"]
    queue.add_all(amounts(case.given.get("usage")))
    queue.add_all(amounts(case.given.get("flvResQ")))
    got = []
    for kind, nodes in (("ClusterQueue", scene.world.cluster_queues), ("Cohort", scene.world.cohorts)):
        for name, node in nodes.items():  # type: ignore[attr-defined]
            found = share_of(node)
            got.append({"Name": name, "NodeType": kind, "DrName": found.resource, "DrValue": found.rounded, "Borrowing": found.borrowing})
    ordered = [sorted(listed, key=lambda each: (each["NodeType"], each["Name"])) for listed in (got, case.want["want"])]
    return differences(plain(ordered[0]), plain(ordered[1]), "shares")


def borrowing_on(case: Case) -> list[str]:
    """Whether it borrows, and whether what is asked for."""
    scene = Scene(case.now)
    scene.queues([case.fixtures["cq"], case.fixtures["lendingCQ"]])
    queue = scene.world.cluster_queues[case.fixtures["cq"]["metadata"]["name"]]
    queue.add_all(amounts(case.given.get("usage")))
    found = share_of(queue)
    got = [found.borrowing, found.borrowing_on(amounts(case.given.get("requestedFRs")))]
    return differences(got, [bool(case.want.get(name)) for name in ("wantBorrowing", "wantBorrowingOnRequested")], "borrowing")


def precise_share(case: Case) -> list[str]:
    """The share as text."""
    drs = case.given["drs"]
    found = Share(float(drs.get("fairWeight", 0)), float(drs.get("unweightedRatio", 0))).weighted
    text = "+Inf" if found == float("inf") else f"{found:g}"
    wanted = case.want["want"]
    return differences(float(text.replace("+Inf", "inf")), float(str(wanted).replace("+Inf", "inf")), "share")


def cohort_steps(case: Case) -> list[str]:
    """Cohorts and queues change; those that go round in circles are errors, and the others are counted right."""
    world = World()
    wrong: list[str] = []
    for at, (step, wanted) in enumerate(zip(case.given["steps"], case.want["steps"], strict=True)):
        error = False
        match step["op"]:
            case "addOrUpdateCohort":
                cohort = world.set_cohort(view(step["object"], Cohort))
                error = world.cohorts[cohort.name].cyclic
            case "addClusterQueue" | "updateClusterQueue":
                queue = world.set_cluster_queue(view(step["object"], ClusterQueue))
                error = world.in_circle(queue)
            case "deleteCohort":
                world.drop_cohort(step["name"])
            case "deleteClusterQueue":
                world.drop_cluster_queue(step["name"])
            case other:
                wrong.append(f"step {at}: unknown operation {other}")
        wrong += differences(error, bool(wanted.get("wantError")), f"step {at}")
        for name, pairs in (wanted.get("wantSubtreeQuota") or {}).items():
            found = world.cohorts[name].subtree_quota if name in world.cohorts else {}
            wrong += differences(_named(found, zeros=False), _named(amounts(pairs), zeros=False), f"step {at}.{name}")
    return wrong


def lendable(case: Case) -> list[str]:
    """What could at most be had at a cohort, by resource."""
    scene = _scene(case, ())
    name = case.given.get("cohort") or case.given.get("cohortName") or next(iter(scene.world.cohorts))
    node = scene.world.cohorts[name if isinstance(name, str) else name["metadata"]["name"]]
    wanted = next(iter(case.want.values()))
    return differences(plain(lendable_of(node)), plain({key: int(value) for key, value in wanted.items()}), "lendable")


def _tallied(scene: Scene, objects: Any) -> None:
    for obj in objects or ():
        scene.world.add_workload(scene.info(obj))


def queue_usage(case: Case) -> list[str]:
    """A ClusterQueue's use as its status says."""
    scene = Scene(case.now)
    obj = case.given["clusterQueue"]
    scene.queues([obj])
    _tallied(scene, case.given.get("workloads"))
    queue = scene.world.cluster_queues[obj["metadata"]["name"]]
    tally = queue.tally
    want = case.want
    got = [by_value({"resources": flavors_in_use(queue, each)}) for each in (tally.reserved, tally.used)]
    wanted = [by_value({"resources": want.get(name) or []}) for name in ("wantReservedResources", "wantUsedResources")]
    wrong = differences(plain(got), plain(wanted), "reserved, used")
    return wrong + differences(
        [tally.reserving, tally.admitted], [want.get("wantReservingWorkloads", 0), want.get("wantAdmittedWorkloads", 0)], "counts"
    )


def local_usage(case: Case) -> list[str]:
    """A LocalQueue's use as its status says."""
    scene = Scene(case.now)
    scene.queues([case.given.get("cq") or case.fixtures["cq"]])
    for obj in case.given.get("wls") or ():
        if (obj.get("status") or {}).get("admission"):
            scene.world.add_workload(scene.info(obj))
    local = case.fixtures["localQueue"]
    queue = scene.world.cluster_queues.get(local["spec"]["clusterQueue"])
    tally = scene.world.local_tallies.get(f"{local['metadata']['namespace']}/{local['metadata']['name']}", Tally())
    status: Json = {}
    local_queue_status(status, tally, queue, 0, Activity(True, "Ready", ""), scene.now, 0)
    got = by_value({"resources": status.get("flavorsReservation") or []})
    return differences(plain(got), plain(by_value({"resources": case.want.get("wantUsage") or []})), "usage")


def _activity(
    case: Case, obj: Json, checks: dict[str, Check], flavors: dict[str, Flavor], topologies: set[str], *, ending: bool
) -> Activity:
    scene = Scene(case.now)
    queue = scene.world.set_cluster_queue(view(obj, ClusterQueue))
    return activity_of(queue, Surroundings(flavors, checks, topologies), terminating=ending)


def _check_objects(listed: Any) -> dict[str, Check]:
    found = {}
    for obj in listed or ():
        active = any(c.get("type") == "Active" and c.get("status") == "True" for c in (obj.get("status") or {}).get("conditions") or ())
        found[obj["metadata"]["name"]] = Check((obj.get("spec") or {}).get("controllerName", ""), active)
    return found


def _flavor_objects(listed: Any) -> dict[str, Flavor]:
    return {
        obj["metadata"]["name"]: Flavor(obj["metadata"]["name"], topology_name=(obj.get("spec") or {}).get("topologyName", ""))
        for obj in listed or ()
    }


def readiness(case: Case) -> list[str]:
    """The condition Active."""
    given, want = case.given, case.want
    obj = next((each for each in given.get("clusterQueues") or () if each["metadata"]["name"] == given["clusterQueueName"]), None)
    if obj is None:
        found = Activity(False, "NotFound", f"ClusterQueue {given['clusterQueueName']} not found")
        return differences([found.active], [bool(want.get("wantActive"))], "active")
    flavors = _flavor_objects(given.get("resourceFlavors"))
    found = _activity(case, obj, _check_objects(given.get("admissionChecks")), flavors, set(), ending=bool(given.get("terminate")))
    got = ["True" if found.active else "False", found.reason, found.message, found.active]
    wanted = [want.get("wantStatus"), want.get("wantReason"), want.get("wantMessage"), bool(want.get("wantActive"))]
    return differences(got, wanted, "active")


def readiness_with_topology(case: Case) -> list[str]:
    """The condition Active, with a topology."""
    given, want = case.given, case.want
    topologies = set() if given.get("skipTopology") else {case.fixtures["topology"]["metadata"]["name"]}
    local = given.get("local") or {}
    checks = _check_objects([local[name] for name in ("acWithPR", "mkAC") if name in local])
    obj = given.get("updatedCq") or given["cq"]
    found = _activity(case, obj, checks, _flavor_objects([case.fixtures["rf"]]), topologies, ending=False)
    return differences([found.reason, found.message], [want.get("wantReason"), want.get("wantMessage")], "active")


def readiness_by_checks(case: Case) -> list[str]:
    """The condition Active, with checks."""
    given, want = case.given, case.want
    checks = {
        name: Check(each.get("Controller", ""), bool(each.get("Active"))) for name, each in (given.get("admissionChecks") or {}).items()
    }
    flavors = _flavor_objects([])
    ending = given.get("cqStatus") == "terminating"
    for group in given["cq"]["spec"].get("resourceGroups") or ():
        flavors |= {each["name"]: Flavor(each["name"]) for each in group.get("flavors") or ()}
    found = _activity(case, given["cq"], checks, flavors, set(), ending=ending)
    status = "terminating" if ending else "active" if found.active else "pending"
    got = [status, found.reason, found.message]
    return differences(got, [want.get("wantStatus"), want.get("wantReason"), want.get("wantMessage")], "active")


def readiness_by_flavors(case: Case) -> list[str]:
    """The condition Active, with flavors."""
    flavors = _flavor_objects((case.given.get("flavors") or {}).values())
    ending = case.given.get("curStatus") == "terminating"
    found = _activity(case, case.fixtures["cq"], {}, flavors, set(), ending=ending)
    status = "terminating" if ending else "active" if found.active else "pending"
    return differences(status, case.want.get("wantStatus"), "status")


def quota_generation(case: Case) -> list[str]:
    """Goes up where quotas change, else not."""
    world = World()
    for flavor in case.fixtures["resourceFlavors"]:
        world.flavors[flavor["metadata"]["name"]] = Flavor(flavor["metadata"]["name"])
    queue = world.set_cluster_queue(view(case.given["cq"], ClusterQueue))
    first = queue.generation
    world.set_cluster_queue(view(case.given["newcq"], ClusterQueue))
    return differences(queue.generation > first, case.want.get("wantLastAssignmentGeneration", 0) > 1, "went up")


def _way_up(world: World, cohort: CohortNode | None) -> tuple[list[str] | None, str | None]:
    if cohort is None or not isinstance(cohort, CohortTree) or not cohort.explicit:
        return None, None
    if cohort.cyclic:
        return None, "cohort has a cycle"
    return [cohort.name, *(each.name for each in cohort.ancestors())], None


def ancestors(case: Case) -> list[str]:
    """From a cohort to the root."""
    scene = _scene(case)
    found, error = _way_up(scene.world, scene.world.cohorts.get(case.given["cohortName"]))
    return differences([found or None, error], [case.want.get("wantAncestors"), case.want.get("wantErr")], "ancestors")


def queue_ancestors(case: Case) -> list[str]:
    """From a queue to below the root."""
    scene = _scene(case)
    scene.queues([case.given["cq"]])
    queue = scene.world.cluster_queues[case.given["cq"]["metadata"]["name"]]
    found, error = _way_up(scene.world, queue.parent)
    return differences([(found or [])[:-1] or None, error], [case.want.get("wantAncestors"), case.want.get("wantErr")], "ancestors")


def workload_ancestors(case: Case) -> list[str]:
    """From the queue that holds a workload to the root."""
    scene = _scene(case)
    obj = case.given.get("wl") or {}
    admission = (obj.get("status") or {}).get("admission") or {}
    queue = scene.world.cluster_queues.get(admission.get("clusterQueue", ""))
    found, error = _way_up(scene.world, queue.parent if queue is not None else None)
    return differences([found or None, error], [case.want.get("wantAncestors"), case.want.get("wantErr")], "ancestors")


def _tree(world: World) -> Json:
    queues = {
        name: {
            "quota": _named(queue.subtree_quota, zeros=False),
            "usage": _named(queue.usage, zeros=False),
            "workloads": sorted(queue.workloads),
            "weight": queue.fair_weight,
        }
        for name, queue in world.cluster_queues.items()
        if world.usable(queue)
    }
    cohorts = {
        name: {"quota": _named(cohort.subtree_quota, zeros=False), "usage": _named(cohort.usage, zeros=False)}
        for name, cohort in world.cohorts.items()
        if not cohort.cyclic
    }
    return {"queues": queues, "cohorts": cohorts}


def _wanted_tree(want: Json) -> Json:
    def node(each: Json) -> Json:
        found = each.get("ResourceNode") or {}
        return {
            "quota": _named(amounts(found.get("SubtreeQuota")), zeros=False),
            "usage": _named(amounts(found.get("Usage")), zeros=False),
        }

    queues = {
        name: {**node(each), "workloads": sorted(each.get("Workloads") or {}), "weight": each.get("FairWeight", 1)}
        for name, each in (want.get("clusterQueues") or {}).items()
    }
    return {"queues": queues, "cohorts": {name: node(each) for name, each in (want.get("cohorts") or {}).items()}}


def _topology_use(scene: Scene, given: Any, wanted: Any) -> list[str]:
    """Use by flavor and domain."""
    topologies = scene.world.topologies
    found: Json = {}
    for flavor, domains in (given or {}).items():
        topologies.count([DomainUse(flavor, domain_id(each["Values"]), each["SinglePodRequests"], each["Count"]) for each in domains], 1)
    for flavor in given or {}:
        topology = topologies.flavor(flavor)
        if topology is not None:
            for domain, leaf in topology.tree.leaf_of.items():
                capacity, free = topology.capacity[leaf], topology.free[leaf]
                used = {resource: amount - free.get(resource, 0) for resource, amount in capacity.items()}
                found.setdefault(flavor, {})[domain] = used
    return differences(plain(found), plain(wanted or {}), "topology")


def snapshot(case: Case) -> list[str]:
    """Quota and use of everything that takes part."""
    given = case.given
    scene = Scene(case.now, gates=case.gates)
    scene.topologies(given.get("topologies") or ())
    scene.nodes(given.get("nodes") or ())
    scene.flavors(given.get("rfs") or ())
    scene.cohorts(given.get("cohorts") or ())
    scene.queues(given.get("cqs") or ())
    topologies = {each["metadata"]["name"] for each in given.get("topologies") or ()}
    for queue in scene.world.cluster_queues.values():
        queue.active = activity_of(queue, Surroundings(scene.world.flavors, {}, topologies)).active
    _tallied(scene, given.get("wls"))
    want = case.want.get("wantSnapshot") or {}
    if "clusterQueues" not in want:
        return _topology_use(scene, given.get("tasFlavorUsage"), case.want.get("wantTASUsage"))
    inactive = sorted(name for name, queue in scene.world.cluster_queues.items() if not scene.world.usable(queue))
    wrong = differences(plain(_tree(scene.world)), plain(_wanted_tree(want)), "tree")
    if "InactiveClusterQueueSets" in want:
        wrong += differences(inactive, sorted(want["InactiveClusterQueueSets"] or ()), "inactive")
    return wrong


def add_remove(case: Case) -> list[str]:
    """Use after workloads left and came."""
    fixtures = case.fixtures
    scene = Scene(case.now)
    scene.flavors(fixtures["flavors"])
    scene.queues(fixtures["clusterQueues"])
    _tallied(scene, fixtures["workloads"])
    infos = {key: info for queue in scene.world.cluster_queues.values() for key, info in queue.workloads.items()}
    for key in case.given.get("remove") or ():
        scene.world.remove_workload(key)
    for key in case.given.get("add") or ():
        scene.world.add_workload(infos[key])
    got, wanted = _tree(scene.world), _wanted_tree(case.want["want"])
    uses = [{part: {name: each["usage"] for name, each in tree[part].items()} for part in ("queues", "cohorts")} for tree in (got, wanted)]
    return differences(plain(uses[0]), plain(uses[1]), "usage")


def users(case: Case) -> list[str]:
    """Queues that refer to a flavor, a check, or cover a resource."""
    scene = Scene(case.now)
    for obj in case.given.get("clusterQueues") or ():
        scene.world.set_cluster_queue(view(obj, ClusterQueue))
    queues = scene.world.cluster_queues.values()
    if "resourceNames" in case.given:
        got = [queue.name for queue in queues if queue.covered_resources() & set(case.given["resourceNames"])]
    elif "check" in case.given:
        got = [queue.name for queue in queues if case.given["check"] in queue.checks]
    else:
        got = [queue.name for queue in queues if "x86" in queue.all_flavors()]
    wanted = case.want.get("wantCQNames") or case.want.get("wantInUseClusterQueueNames") or []
    return differences(sorted(got), sorted(wanted), "queues")


RUNNERS = {
    "cache": {
        "TestAvailable": available,
        "TestDominantResourceShare": share,
        "TestIsBorrowingOn": borrowing_on,
        "TestPreciseWeightedShareSerialized": precise_share,
        "TestCohortCycles": cohort_steps,
        "TestCohortLendable": lendable,
        "TestClusterQueueUsage": queue_usage,
        "TestLocalQueueUsage": local_usage,
        "TestClusterQueueReadiness": readiness,
        "TestClusterQueueReadinessWithTAS": readiness_with_topology,
        "TestClusterQueueUpdateWithAdmissionCheck": readiness_by_checks,
        "TestClusterQueueUpdateWithFlavors": readiness_by_flavors,
        "TestClusterQueueUpdate": quota_generation,
        "TestAncestors": ancestors,
        "TestClusterQueueAncestors": queue_ancestors,
        "TestWorkloadAncestors": workload_ancestors,
        "TestSnapshot": snapshot,
        "TestSnapshotAddRemoveWorkload": add_remove,
        "TestSnapshotAddRemoveWorkloadWithLendingLimit": add_remove,
        "TestClusterQueuesUsingFlavor": users,
        "TestClusterQueuesUsingAdmissionChecks": users,
        "TestClusterQueuesForResources": users,
    }
}
