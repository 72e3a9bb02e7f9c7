"""Group `flavorassigner`, tables about topology: what is asked for under an assignment, what it takes, where the flavor scan stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysail.queue.model.cluster_queue import ClusterQueue, Flavor
from raysail.queue.model.workload import FlavorScan, WorkloadInfo
from raysail.queue.planner.assignment import Assignment, FlavorAssignment, Mode, PodSetAssignment
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.flavors import FlavorAssigner
from raysail.queue.topology.nominate import TopologyStep
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.tree import domain_id
from raysail.queue.topology.world import DomainUse

from .corpus import Case, Json, amounts, differences, plain
from .flavorassigner import StubbedOracle, _setting, _workload
from .scheduler import options_of
from .topology import _assignment
from .worlds import Scene, later

MODES = {mode.text: mode for mode in Mode}
HOST = "kubernetes.io/hostname"


def _assigned(listed: list[Json]) -> Assignment:
    made = Assignment(FlavorScan([], 0, 0, ""))
    for each in listed:
        pod_set = PodSetAssignment(each["Name"], each.get("Count", 0), {})
        pod_set.flavors = {
            resource: FlavorAssignment(given["Name"], MODES[given.get("Mode", "NoFit")])
            for resource, given in (each.get("Flavors") or {}).items()
        }
        if each.get("TopologyAssignment"):
            pod_set.topology = _assignment(each["TopologyAssignment"])
        made.pod_sets.append(pod_set)
    return made


def _step(case: Case, info: WorkloadInfo, scene: Scene, flavors: dict[str, Any], replaced: WorkloadInfo | None = None) -> TopologyStep:
    """A step in a queue with these topology flavors; one that is null is not known to the topologies."""
    topologies = scene.world.topologies
    topologies.profile = Profile.from_gates(case.gates)
    topologies.set_topology("hosts", [HOST])
    queue = ClusterQueue("cq", scene.world.journal)
    quotas: list[Json] = [{"name": name, "resources": []} for name in [*flavors, *(["other"] if None in flavors.values() else [])]]
    groups = [{"coveredResources": ["cpu"], "flavors": quotas}]
    scene.queues([{"metadata": {"name": "cq"}, "spec": {"resourceGroups": groups, "namespaceSelector": {}}}])
    queue = scene.world.cluster_queues["cq"]
    for name in [each["name"] for each in quotas]:
        if flavors.get(name, {}) is not None:
            scene.world.set_flavor(Flavor(name, topology_name="hosts"))
    return TopologyStep(info, queue, topologies, scene.world.flavors, replaced=replaced)


def requests(case: Case) -> list[str]:
    """Which pod sets are to be placed, or why one cannot be."""
    given = case.given
    scene = Scene(case.now)
    listed = given["assignment"]["PodSets"] if "assignment" in given else given["podSets"]
    info = scene.info((given["workload"] if "workload" in given else given["local"]["wl"])["Obj"])
    replaced = (given.get("assignment") or {}).get("replaceWorkloadSlice")
    flavors = (given.get("cq") or {}).get("TASFlavors")
    step = _step(case, info, scene, {"tas": {}} if flavors is None else flavors, scene.info(replaced["Obj"]) if replaced else None)
    assignment = _assigned(listed)
    found = step.requests(assignment)
    if "wantTASPodSets" in case.want:
        return differences(sorted(each.name for group in found.values() for each in group), sorted(case.want["wantTASPodSets"] or ()))
    error = next((pod_set.error for pod_set in assignment.pod_sets if pod_set.error), "")
    wrong = differences(error, case.want.get("wantErr") or "", "error")
    return wrong + (differences(assignment.mode().text, "NoFit", "mode") if error else [])


def net_uses(case: Case) -> list[str]:
    """What an assignment takes beyond what is admitted."""
    given = case.given
    obj = given["wl"]["Obj"]
    scene = Scene(case.now)
    before = given.get("prevAdmission")
    info = scene.info({**obj, "metadata": obj.get("metadata") or {"name": "wl"}, "status": {"admission": before} if before else {}})
    step = _step(case, info, scene, given["cq"]["TASFlavors"])
    got: dict[str, list[Json]] = {}
    for use in step.net_uses(_assigned(given["assignment"]["PodSets"])):
        got.setdefault(use.flavor, []).append({"Values": use.domain.split(","), "SinglePodRequests": dict(use.requests), "Count": use.pods})
    return differences(plain(got), plain(case.want.get("want") or {}))


def grouped(case: Case) -> list[str]:
    """A leader that asks for nothing takes part in the topology of its group."""
    scene, queue = _setting(case, case.fixtures["resourceFlavors"], [(case.given["clusterQueue"], None)])
    info = scene.info(_workload(case.given.get("wlPods") or []))
    info.cluster_queue = queue.name
    got = FlavorAssigner(info, queue, scene.world.flavors, StubbedOracle(None), topologies=scene.world.topologies).assign()
    errors = {pod_set.name: pod_set.error for pod_set in got.pod_sets if pod_set.error}
    wrong = differences(errors, case.want.get("wantPodSetErrors") or {}, "errors")
    flavors = {
        pod_set.name: {r: {"Name": f.flavor, "Mode": f.mode.text, "TriedFlavorIdx": f.tried} for r, f in pod_set.flavors.items()}
        for pod_set in got.pod_sets
    }
    wrong += differences(plain(flavors), plain(case.want.get("wantPodSetFlavors") or {}), "flavors")
    if case.want.get("wantRepMode"):
        wrong += differences(got.mode().text, case.want["wantRepMode"], "mode")
    return wrong


def _bookmarked(case: Case) -> tuple[Scene, ClusterQueue, WorkloadInfo]:
    given = case.given
    local = given["local"]
    scene = Scene(case.now)
    for flavor in local["flavors"].values():
        scene.world.topologies.set_topology(flavor["spec"]["topologyName"], [HOST])
    scene.nodes(local["nodes"])
    scene.flavors(local["flavors"].values())
    scene.queues(local["clusterQueues"])
    queue = scene.world.cluster_queues["cq"]
    queue.add_all(amounts(given.get("clusterQueueUsage")))
    for flavor, listed in (given.get("nodeUsage") or {}).items():
        scene.world.topologies.count([_use(flavor, each) for each in listed], 1)
    info = scene.info((local.get("wlInfo") or case.fixtures["wlInfo"])["Obj"])
    info.cluster_queue = queue.name
    return scene, queue, info


def _use(flavor: str, listed: Json) -> DomainUse:
    return DomainUse(flavor, domain_id(listed["Values"]), listed["SinglePodRequests"], listed.get("Count", 0))


def _assign(case: Case, scene: Scene, queue: ClusterQueue, info: WorkloadInfo) -> Assignment:
    oracle = StubbedOracle(case.given.get("simulationResult"))
    cycle = case.fixtures.get("bookmarkTestCycle", 0)
    return FlavorAssigner(info, queue, scene.world.flavors, oracle, cycle=cycle, topologies=scene.world.topologies).assign()


def bookmark(case: Case) -> list[str]:
    """Where the flavor scan stands when topology has its say."""
    got = _assign(case, *_bookmarked(case))
    wrong = differences(got.mode().text, case.want["wantMode"], "mode")
    wrong += differences(got.scan.tried[0].get("cpu"), case.want["wantTriedFlavorIdx"], "tried")
    placed = got.pod_sets[0].topology is not None
    return wrong + differences(placed, bool(case.want.get("wantPlan")), "placed")


def bookmark_again(case: Case) -> list[str]:
    """The same when the places that were found went to another workload of the cycle."""
    scene, queue, info = _bookmarked(case)
    first = FlavorAssigner(info, queue, scene.world.flavors, StubbedOracle(None), topologies=scene.world.topologies).assign()
    wrong = differences(first.scan.tried[0].get("cpu"), 0, "nominated")
    scene.world.topologies.count([DomainUse("flavor-1", "node-1", {"cpu": 2000}, 1)], 1)
    queue.add_all(amounts(case.given.get("quotaUsageAtRecompute")))
    info.last_scan = None
    info.nomination = {each.name: {resource: given.flavor for resource, given in each.flavors.items()} for each in first.pod_sets}
    again = _assign(case, scene, queue, info)
    wrong += differences(again.scan.tried[0].get("cpu"), case.want["wantRecomputedIdx"], "recomputed")
    return wrong + differences(again.mode().text, "Preempt", "mode")


def second_pass(case: Case) -> list[str]:
    """While Pods that are not ready block admission, one that holds quota is still placed."""
    fixtures, obj = case.fixtures, case.given["workload"]
    scene = Scene(case.now)
    scene.namespaces([fixtures["ns"]])
    scene.topologies([fixtures["topology"]])
    scene.nodes(fixtures["nodes"])
    scene.checks([fixtures["provCheck"]])
    scene.flavors([fixtures["rf"]])
    scene.local_queues([fixtures["lq"]])
    scene.queues([fixtures["cq"]])
    scene.workloads([obj])
    info = scene.info(obj)
    scene.world.cluster_queues["tas-main"].not_ready.add(info.key)
    scene.pending.second_pass.put(info, scene.seconds)
    scene.now = later(scene.now, 1)
    options = replace(options_of(case), block_until_pods_ready=True)
    result = plan(scene.world, scene.pending, scene.seconds, options)
    scene.apply(result, options)
    status = scene.objects[info.key]["status"]
    want = case.want
    given = status["admission"]["podSetAssignments"][0]
    holds = {c["type"]: c["status"] == "True" for c in status["conditions"]}
    wrong = differences(holds.get("QuotaReserved", False), bool(want.get("quotaReservationKept")), "reserved")
    wrong += differences(len(result.decisions), want.get("statusPatches", 0), "decisions")
    wrong += differences(given.get("delayedTopologyRequest") or "", want.get("delayedTopologyRequest") or "", "delayed")
    wrong += differences("topologyAssignment" in given, bool(want.get("topologyAssignmentPresent")), "placed")
    for node in want.get("topologyAssignmentExcludesNodes") or ():
        wrong += differences(f'"{node}"' in str(given["topologyAssignment"]).replace("'", '"'), False, node)
    return wrong


RUNNERS = {
    "flavorassigner": {
        "TestWorkloadsTopologyRequests_ElasticJobsValidation": requests,
        "TestWorkloadsTopologyRequests_ErrorBranches": requests,
        "TestWorkloadsTopologyRequests_ZeroCountPodSetSkipped": requests,
        "TestAssignment_ComputeTASNetUsage": net_uses,
        "TestAssignFlavors_LeaderWorkerSetTASFlavor": grouped,
        "TestFlavorScanRecordsLastTriedFlavorIdx": bookmark,
        "TestRecomputeRecordsLastTriedFlavorIdx": bookmark_again,
    },
    "scheduler": {"TestSecondPassSkipsWaitForPodsReadyBlock": second_pass},
}
