"""Group `controller-tas`: what feeds the topologies, the ungater and the node failure controller, each reconciled on a case's objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from raysail.api.core.node import Node
from raysail.api.kueue import Workload, names
from raysail.api.meta import parse_time
from raysail.api.resources import NODES, PODS, RESOURCE_FLAVORS, TOPOLOGIES, WORKLOADS, Resource
from raysail.queue.cache import QueueCache
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.slices import chain_name
from raysail.queue.settings import QueueSettings
from raysail.queue.topology.controllers.failures import NodeFailureController
from raysail.queue.topology.controllers.ungater import TopologyUngater
from raysail.queue.topology.controllers.watch import TopologyWatch
from raysail.queue.topology.failures import FailureRules, Health, examine
from raysail.queue.topology.nodes import placement_changed
from raysail.queue.topology.pods import Pod, counts_beside, usage_changed, uses_node
from raysail.queue.topology.ungating import UngatingError

from .controller_core import seconds
from .corpus import Case, Json, Skip, differences, plain, view
from .memory import Bench
from .worlds import NOW

KINDS = {"Pod": PODS, "Node": NODES, "Workload": WORKLOADS, "ResourceFlavor": RESOURCE_FLAVORS, "Topology": TOPOLOGIES}


def _pod(obj: Json | None) -> Pod | None:
    return None if obj is None else view(obj, Pod)


def _about_pod(answer: Callable[[Pod | None], bool]) -> Callable[[Case], list[str]]:
    return lambda case: differences(answer(_pod(case.given.get("pod"))), bool(case.want.get("want")))


def update_matters(case: Case) -> list[str]:
    """Whether a Pod's change is looked at at all."""
    old, new = _pod(case.given.get("oldPod")), _pod(case.given.get("newPod"))
    assert new is not None
    got = uses_node(old) != uses_node(new) or counts_beside(old) != counts_beside(new) or (counts_beside(new) and usage_changed(old, new))
    return differences(got, bool(case.want.get("want")))


def node_update_matters(case: Case) -> list[str]:
    """Whether a node's change can change placements. Kueue also wakes for annotations, and tells the kinds of change apart; here what counts is used."""
    old, new = (view(case.given[name], Node) for name in ("oldNode", "newNode"))
    return differences(placement_changed(old, new), bool(case.want.get("wantChanged")))


class Stage:
    """The controllers over the objects of a case."""

    def __init__(self, case: Case) -> None:
        self.bench = Bench(parse_time(case.now or case.fixtures.get("now") or NOW))
        settings = QueueSettings(wait_for_pods_ready=None, feature_gates=dict(case.gates))
        self.cache = QueueCache(self.bench.manager, settings)
        self.watch = TopologyWatch(self.bench.manager, self.cache)
        self.watch.start_pods()
        self.ungater = TopologyUngater(self.bench.manager, self.cache, settings, self.watch)
        self.failures = NodeFailureController(self.bench.manager, self.cache, settings, self.watch)

    def add(self, resource: Resource, objects: list[Json] | None) -> None:
        self.bench.add(resource, objects)


def ungate(case: Case) -> list[str]:
    """Which Pods lose their gate, and where they may run."""
    if case.given.get("expectUIDs") or case.want.get("expectUIDs"):
        raise Skip("Kueue's expectations: here the informer's copy holds own writes at once")
    stage = Stage(case)
    stage.add(WORKLOADS, case.given.get("workloads"))
    stage.add(PODS, case.given.get("pods"))
    error = ""
    first = case.given["workloads"][0]["metadata"]

    async def run() -> None:
        await stage.ungater.reconcile((first.get("namespace", ""), first["name"]))

    try:
        asyncio.run(run())
    except UngatingError as raised:
        error = str(raised)
    wanted_error = case.want.get("wantErr")
    found = [] if bool(error) == bool(wanted_error) else [f"error: got {error!r}, want {wanted_error!r}"]
    if wanted_error and error and str(wanted_error) not in error:
        found.append(f"error: got {error!r}, want {wanted_error!r}")
    counts_only = case.given.get("nodeSelectorAssertMode") == "CountsOnly"
    got = {obj["metadata"]["name"]: _shown(obj, selector=not counts_only) for obj in stage.bench.client.of(PODS)}
    wanted = {obj["metadata"]["name"]: _shown(obj, selector=not counts_only) for obj in case.want.get("wantPods") or ()}
    if not counts_only:
        found += differences(got, wanted, "pods")
    if case.want.get("wantCounts") is not None:
        found += differences(
            _counts(stage.bench.client.of(PODS)), {_text(c.get("NodeSelector")): c["Count"] for c in case.want["wantCounts"]}, "counts"
        )
    return found


def _text(selector: Any) -> str:
    return str(sorted((selector or {}).items()))


def _counts(pods: list[Json]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in pods:
        waits = any(gate["name"] == names.TOPOLOGY_GATE for gate in pod["spec"].get("schedulingGates") or ())
        if waits or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        found[_text(pod["spec"].get("nodeSelector"))] = found.get(_text(pod["spec"].get("nodeSelector")), 0) + 1
    return found


def _shown(pod: Json, *, selector: bool) -> Any:
    spec = {key: value for key, value in pod["spec"].items() if selector or key != "nodeSelector"}
    return plain({"spec": spec, "status": pod.get("status")})


def node_failure(case: Case) -> list[str]:
    """Reconciles the nodes of the case; what the Workload's status says then, and which Pods were ended."""
    if case.given.get("injectPatchError"):
        raise Skip("an error of the client of controller-runtime")
    stage = Stage(case)
    for obj in (case.given.get("local") or {}).get("initObjs") or case.given.get("initObjs") or ():
        stage.add(KINDS[obj["kind"]], [obj])
    waits: list[float] = []

    async def run() -> None:
        for request in case.given["reconcileRequests"]:
            name = request.get("NamespacedName", request).get("Name", "")
            waits.append(await stage.failures.reconcile(("", name)) or 0.0)

    asyncio.run(run())
    want, fixtures = case.want, case.fixtures
    key = fixtures["wlKey"]
    status = stage.bench.client.objects[WORKLOADS, key["Namespace"], key["Name"]].get("status") or {}
    found = differences(round(waits[-1]), round(seconds(want.get("wantRequeue"))), "requeue")
    if not case.given.get("ignoreUnhealthyNodes"):
        found += differences(plain(status.get("unhealthyNodes")), plain(want.get("wantUnhealthyNodes")), "unhealthyNodes")
    evicted = next((c for c in status.get("conditions") or () if c["type"] == "Evicted"), None)
    wanted = want.get("wantEvictedCond")
    keys = ("type", "status", "reason", "message")
    found += differences(plain({k: (evicted or {}).get(k) for k in keys}), plain({k: (wanted or {}).get(k) for k in keys}), "evicted")
    missing = set(want.get("wantPatchedPods") or ()) - set(_ended(stage.bench.client.of(PODS)))  # only those named are looked at
    return found + [f"not ended: {name}" for name in sorted(missing)]


def _ended(pods: list[Json]) -> list[str]:
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if any(each.get("type") == "TerminatedByKueue" for each in (pod.get("status") or {}).get("conditions") or ())
    )


def status_on_node(case: Case) -> list[str]:
    """Whether the Workload's places on the node are lost."""
    given = case.given
    objects = given.get("initObjs") or []
    workload = next((view(obj, Workload) for obj in objects if obj["kind"] == "Workload"), None)
    pods = [view(obj, Pod) for obj in objects if obj["kind"] == "Pod"]
    if workload is None:
        return differences(case.want.get("wantStatus") or 0, 0)  # the controller passes over what is gone
    node = view(given["node"], Node)
    chain = chain_name(workload)
    bound = [pod for pod in pods if pod.chain == chain and pod.node == given["nodeName"]]
    selecting = [pod for pod in pods if pod.selected_host == given["nodeName"] and pod.workload == workload.metadata.name]
    flavors = {"unit-test-flavor": Flavor("unit-test-flavor")}
    finding = examine(workload, node, FailureRules.from_gates(case.gates), selecting, bound, flavors)
    found = differences(0 if finding.health is Health.HEALTHY else 1, case.want.get("wantStatus") or 0, "status")
    return found + differences(sorted(pod.metadata.name for pod in finding.to_end), sorted(case.want.get("wantDeleted") or ()), "ended")


RUNNERS = {
    "controller-tas": {
        "TestBelongsToNonTASCache": _about_pod(counts_beside),
        "TestIsTAS": _about_pod(lambda pod: pod is not None and pod.placed),
        "TestPodUsageReconcilerCreate": _about_pod(uses_node),
        "TestPodUsageReconcilerDelete": _about_pod(lambda pod: pod is not None and bool(pod.node)),
        "TestPodUsageReconcilerUpdatePredicate": update_matters,
        "TestNodeHandler_Update": node_update_matters,
        "TestReconcile": ungate,
        "TestRecordPodSchedulingGateRemovalSeconds": ungate,
        "TestNodeFailureReconciler": node_failure,
        "TestGetWorkloadStatus": status_on_node,
    }
}
