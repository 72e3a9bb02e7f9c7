"""Groups `tas` and `util-tas`: placement on one flavor, and the list functions around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from raysail.api.core.node import Node
from raysail.api.kueue.topologycoding import Domain
from raysail.queue.topology.assignment import TopologyAssignment, add_usage, merged, stale_domain
from raysail.queue.topology.balanced import BalancedPlacement, deal_out_evenly, optimal_set
from raysail.queue.topology.counts import Counts
from raysail.queue.topology.find import Finder, Held
from raysail.queue.topology.flavor import FlavorTopology
from raysail.queue.topology.hosts import HostRules
from raysail.queue.topology.nodes import Nodes, OtherPods, pod_amounts
from raysail.queue.topology.order import Order
from raysail.queue.topology.pods import Pod
from raysail.queue.topology.profile import Profile
from raysail.queue.topology.request import Needs, PlacementRequest, has_levels
from raysail.queue.topology.tree import Host, Tree, domain_id, lies_in

from .corpus import Case, Json, Skip, differences, plain, view


def _assignment(listed: Any) -> TopologyAssignment:
    listed = listed or {}
    return TopologyAssignment(
        listed.get("Levels") or (), [Domain(tuple(d.get("Values") or ()), d.get("Count", 0)) for d in listed.get("Domains") or ()]
    )


def _listed(assignment: TopologyAssignment | None) -> Any:
    if assignment is None:
        return None
    return {"Levels": list(assignment.levels), "Domains": [{"Values": list(d.values), "Count": d.count} for d in assignment.domains]}


def _nodes(objects: Iterable[Json]) -> Nodes:
    nodes = Nodes()
    for obj in objects:
        nodes.set(view(obj, Node))
    return nodes


def flavor_of(case: Case, levels: list[str], profile: Profile) -> FlavorTopology:
    """The tree of the case's nodes with what Pods and workloads already use."""
    given = case.given
    nodes = _nodes(given.get("nodes") or ())
    found = FlavorTopology(
        "default", levels, nodes.of_flavor(given.get("nodeLabels") or {}, levels), preferred_affinity=profile.preferred_affinity
    )
    for pod in (view(obj, Pod) for obj in given.get("pods") or ()):
        if not pod.ended:
            found.use_beside(pod.node, pod_amounts(pod.spec), 1)
    used = list(given.get("priorOwnUsage") or ())
    if profile.overlapping and found.tree.lowest_is_host:
        used += given.get("priorFlavorUsage") or ()
    for usage in used:
        amounts = TopologyAssignment((), [Domain(tuple(usage["Values"]), usage.get("Count", 0))]).usage(
            usage.get("SinglePodRequests") or {}
        )
        for domain, taken in amounts.items():
            found.use(domain, taken, 1)
    return found


def _held(workload: Json | None) -> Held:
    if not workload:
        return Held()
    status = workload.get("status") or {}
    owners = (workload["metadata"].get("ownerReferences")) or []
    group = (workload["metadata"].get("annotations") or {}).get("kueue.x-k8s.io/is-group-workload") == "true"
    assignments = {
        given["name"]: found
        for given in (status.get("admission") or {}).get("podSetAssignments") or ()
        if (found := TopologyAssignment.from_api(given.get("topologyAssignment"))) is not None
    }
    one = len(owners) == 1 and owners[0].get("kind") == "Pod" and owners[0].get("apiVersion") == "v1" and not group
    return Held([node["name"] for node in status.get("unhealthyNodes") or ()], assignments, one)


def _request(pod_set: Json) -> PlacementRequest:
    topology = pod_set.get("topologyRequest")
    if pod_set.get("podSetGroupName"):
        topology = {**(topology or {}), "podSetGroupName": pod_set["podSetGroupName"]}
    rules = HostRules(pod_set.get("tolerations") or (), pod_set.get("nodeSelector"), pod_set.get("nodeAffinity"))
    previous = TopologyAssignment.from_api(pod_set.get("previousAssignment"))
    return PlacementRequest(
        pod_set.get("podSetName", "main"), pod_set.get("count", 0), pod_set.get("requests") or {}, topology, rules, previous=previous
    )


def find(case: Case) -> list[str]:
    """All pod sets in one call."""
    profile = Profile.from_gates(case.gates)
    topology = flavor_of(case, case.given["levels"], profile)
    finder = Finder(topology, profile, held=_held(case.given.get("workload")))
    placed = finder.find([_request(pod_set) for pod_set in case.given["podSets"]])
    found = []
    for name, want in case.want["podSets"].items():
        reason = placed.reason if placed.reason and placed.assignments.get(name) is None else ""
        found += differences(plain(_listed(placed.assignments.get(name))), plain(want.get("assignment")), f"{name}.assignment")
        found += differences(reason, want.get("reason", ""), f"{name}.reason")
    return found


def replace_in_layers(case: Case) -> list[str]:
    """A failed node under slices within slices."""
    profile = Profile.from_gates(case.gates)
    given, fixtures = case.given, case.fixtures
    topology = flavor_of(case, given.get("levels") or fixtures["defaultLevels"], profile)
    name = fixtures["podSetName"]
    existing = TopologyAssignment.from_api(given["existingTA"])
    assert existing is not None
    request = PlacementRequest(name, given["count"], {"cpu": 1000}, given["topologyRequest"])
    placed = Finder(topology, profile, held=Held([given["unhealthyNode"]], {name: existing})).find([request])
    want = case.want
    got: Json = {"reason": placed.reason, "assignment": _listed(placed.assignments.get(name))}
    wanted = {"reason": want.get("wantReason", ""), "assignment": want.get("wantAssignment") or want.get("wantTA")}
    return differences(plain(got), plain(wanted))


def _tree(given: Json) -> Tree:
    levels = given.get("levelKeys") or given.get("levels") or []
    return Tree(levels, [Host(node["metadata"]["name"], node["metadata"].get("labels") or {}) for node in given.get("nodes") or ()])


def merge(case: Case) -> list[str]:
    got = merged(_tree(case.fixtures), _assignment(case.given["a"]), _assignment(case.given["b"]))
    return differences(plain(_listed(got)), plain(case.want["want"]))


def truncate(case: Case) -> list[str]:
    got = _assignment(case.given.get("assignment")).truncated(case.given.get("newCount", 0))
    return differences(plain(_listed(got)), plain(case.want["want"]))


def count_pods(case: Case) -> list[str]:
    return differences(_assignment(case.given.get("assignment")).pods, case.want["want"] or 0)


def usage_of_assignment(case: Case) -> list[str]:
    return differences(plain(_assignment(case.given["assignment"]).usage({"cpu": 1000, "memory": 1024})), plain(case.want["want"]))


def assumed_usage(case: Case) -> list[str]:
    given = case.given
    total = {domain: dict(amounts) for domain, amounts in (given.get("assumedUsage") or {}).items()}
    add_usage(total, _assignment(given["assignment"]).usage(given["tasRequests"].get("SinglePodRequests") or {}))
    return differences(plain(total), plain(case.want["want"]))


def stale(case: Case) -> list[str]:
    found = stale_domain(_tree(case.given["tree"]), _assignment(case.given["assignment"]))
    return differences([found is not None, found or ""], [bool(case.want.get("wantStale")), case.want.get("wantStaleDomain", "")])


def levels(case: Case) -> list[str]:
    return differences(has_levels(Tree(case.fixtures["levels"], []), case.given.get("podSetTopologyRequest")), bool(case.want["want"]))


def order_of_values(case: Case) -> list[str]:
    levels = case.given["levels"]
    hosts = [Host(name, dict(zip(levels, case.given[name]["levelValues"], strict=True))) for name in ("a", "b")]
    tree = Tree(levels, hosts)
    a, b = (tree.rank[tree.leaf_of_host[name]] for name in ("a", "b"))
    return differences((a > b) - (a < b), case.want["want"] or 0)


def _stage(listed: list[Json]) -> tuple[Tree, Counts, list[int], list[str]]:
    """Domains of one level with given counts; their numbers and ids in the order of the case."""
    tree = Tree(["level"], [Host(str(at), {"level": domain_id(each["domain"]["levelValues"])}) for at, each in enumerate(listed)])
    counts = Counts(len(tree.values))
    numbers = [tree.leaf_of_host[str(at)] for at in range(len(listed))]
    for number, each in zip(numbers, listed, strict=True):
        _set(counts, number, each.get("state") or {})
    return tree, counts, numbers, [each["domain"]["id"] for each in listed]


_STATE = {
    "podCount": "pods",
    "sliceCount": "slices",
    "podCountWithLeader": "pods_with_leader",
    "sliceCountWithLeader": "slices_with_leader",
    "leaderCount": "leaders",
    "affinityScore": "affinity",
}


def _set(counts: Counts, number: int, state: Json) -> None:
    for key, attribute in _STATE.items():
        getattr(counts, attribute)[number] = state.get(key, 0)


def _ordered(by: Callable[[Order, list[int]], list[int]]) -> Callable[[Case], list[str]]:
    def run(case: Case) -> list[str]:
        tree, counts, numbers, ids = _stage(case.given["domains"])
        profile = Profile(preferred_affinity=bool(case.given.get("enableTASPreferredSchedulingAffinity")))
        order = Order(tree, counts, profile, unconstrained=bool(case.given.get("unconstrained")))
        return differences([ids[numbers.index(number)] for number in by(order, numbers)], case.want["wantOrder"])

    return run


def optimal(case: Case) -> list[str]:
    tree, counts, numbers, ids = _stage(case.given["domains"])
    order = Order(tree, counts, Profile(), unconstrained=False)
    found = optimal_set(order, numbers, case.given.get("workerCount", 0), case.given.get("leaderCount", 0), 1, by_entropy=True)
    return differences(sorted(ids[numbers.index(number)] for number in found or ()), sorted(case.want["want"] or ()))


def evenly(case: Case) -> list[str]:
    given = case.given
    tree, counts, numbers, ids = _stage(given["domains"])
    order = Order(tree, counts, Profile(), unconstrained=False)
    args = (given.get("sliceCount", 0), given.get("leaderCount", 0), given.get("sliceSize", 1), given.get("threshold", 0))
    found = deal_out_evenly(order, numbers, *args)
    got = {
        ids[numbers.index(number)]: {key: getattr(counts, attribute)[number] for key, attribute in _STATE.items()} for number in found or ()
    }
    return differences(plain(got), plain(case.want.get("want") or {}))


def best_group(case: Case) -> list[str]:
    given = case.given
    names = ["block", "rack"]
    listed = {domain["id"]: domain for domain in given["domains"]}
    leaves = [domain for domain in listed.values() if len(domain["levelValues"]) == 2]
    tree = Tree(names, [Host(domain["id"], dict(zip(names, domain["levelValues"], strict=True))) for domain in leaves])
    counts = Counts(len(tree.values))
    for domain in listed.values():
        _set(counts, tree.values.index(tuple(domain["levelValues"])), domain)
    params = given["params"]
    topology: Json = {"preferred": names[params.get("requestedLevelIdx", 0)]}
    if params.get("sliceLevelIdx", 1) != 1 or params.get("sliceSize", 1) != 1:
        topology |= {"podSetSliceRequiredTopology": names[params.get("sliceLevelIdx", 0)], "podSetSliceSize": params["sliceSize"]}
    workers = PlacementRequest("workers", params["count"], {}, topology)
    leader = PlacementRequest("leader", 1, {}, topology) if params.get("leaderCount") else None
    domains, threshold, _ = BalancedPlacement(tree, counts, Needs(tree, workers, leader), Profile(balanced=True)).best_group()
    want = case.want
    return differences([len(domains), threshold], [want.get("wantDomainsCount", 0), want.get("wantThreshold", 0)])


def new_tree(case: Case) -> list[str]:
    tree = Tree(case.given["levels"], _nodes(case.given["nodes"]).hosts.values())
    level = {domain: at for at, listed in enumerate(tree.by_level) for domain in listed}

    def named(domain: int) -> Json:
        return {"ID": tree.ids[domain], "Level": level[domain]}

    got = []
    for domain, values in enumerate(tree.values):
        body: Json = {"LevelValues": list(values), "Children": sorted((named(child) for child in tree.children[domain]), key=str)}
        if tree.parent[domain] >= 0:
            body["Parent"] = named(tree.parent[domain])
        else:
            body["Root"] = True
        if domain < tree.leaf_count:
            host = tree.hosts[domain]
            body |= {"Leaf": True, "CPUCapacity": tree.capacity[domain].get("cpu", 0), "NodeName": host.name if host else ""}
        got.append([named(domain), body])
    return differences(sorted(plain(got), key=str), sorted(plain(case.want["want"]), key=str))


def nodes_of_flavor(case: Case) -> list[str]:
    nodes = Nodes()
    for name, obj in case.fixtures["nc"]["nodes"].items():
        nodes.hosts[name] = Host(name, obj["metadata"].get("labels") or {})
    got = [host.name for host in nodes.of_flavor(case.given.get("nodeLabels") or {}, case.given.get("levels") or [])]
    return differences(sorted(got), sorted(node["metadata"]["name"] for node in case.want.get("wantNodes") or ()))


def sync_node(case: Case) -> list[str]:
    nodes = _nodes([case.given["node"]])
    if case.given.get("enableSchedulerLibraryIntegration") and not nodes.hosts:
        raise Skip("Kueue's alpha simulator keeps unready nodes in its list to filter them later; the nodes used are the same")
    return differences(sorted(nodes.hosts), sorted(node["metadata"]["name"] for node in case.want.get("wantNodes") or ()))


def other_pods(case: Case) -> list[str]:
    pods = OtherPods()
    for pod in case.given.get("initialPods") or ():
        pods.set(f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}", pod["spec"]["nodeName"], pod_amounts(pod["spec"]))
    for key in case.given.get("podsDelete") or ():
        pods.drop(f"{key.get('Namespace', '')}/{key['Name']}")
    return differences(plain(pods.by_node), plain(case.want.get("wantNodeUsage") or {}))


def belongs(case: Case) -> list[str]:
    return differences(lies_in(case.given.get("domainID", ""), case.given.get("targetDomain", "")), bool(case.want["want"]))


def _on_node(given: Json | None, node: str) -> bool:
    found = TopologyAssignment.from_api((given or {}).get("topologyAssignment"))
    return found is not None and found.pods_on_host(node) > 0


def pod_set_on_node(case: Case) -> list[str]:
    return differences(_on_node(case.given.get("psa"), case.given.get("nodeName", "")), bool(case.want["want"]))


def workload_on_node(case: Case) -> list[str]:
    listed = (case.given.get("admission") or {}).get("podSetAssignments") or ()
    return differences(any(_on_node(given, case.given.get("nodeName", "")) for given in listed), bool(case.want["want"]))


def host_of_domain(case: Case) -> list[str]:
    """The node of a leaf, where leaves are hosts."""
    on_hosts = TopologyAssignment(case.given.get("levels") or (), []).on_hosts
    return differences(
        [on_hosts, case.given.get("domainID", "") if on_hosts else ""], [bool(case.want.get("wantOK")), case.want.get("wantNodeName") or ""]
    )


RUNNERS = {
    "util-tas": {
        "TestNodeNameFromDomainID": host_of_domain,
        "TestBelongsTo": belongs,
        "TestHasNodeInPodSetAssignment": pod_set_on_node,
        "TestHasTASAssignmentOnNode": workload_on_node,
    },
    "tas": {
        "TestFindTopologyAssignments": find,
        "TestFindTopologyAssignmentsMultiLayerReplacement": replace_in_layers,
        "TestMergeTopologyAssignments": merge,
        "TestTruncateAssignment": truncate,
        "TestCountPodsInAssignment": count_pods,
        "TestComputeAssumedUsageFromAssignment": usage_of_assignment,
        "TestAddAssumedUsage": assumed_usage,
        "TestIsTopologyAssignmentStale": stale,
        "TestHasLevel": levels,
        "TestCompareDomainLevelValues": order_of_values,
        "TestSortedDomains": _ordered(Order.by_room),
        "TestSortedDomainsWithLeader": _ordered(Order.by_room_with_leader),
        "TestSelectOptimalDomainSetToFit": optimal,
        "TestPlaceSlicesOnDomainsBalanced": evenly,
        "TestFindBestDomainsForBalancedPlacement": best_group,
        "TestNewTopologyTree": new_tree,
        "TestNodesCacheFind": nodes_of_flavor,
        "TestNodesCacheSync": sync_node,
        "TestNonTasUsageCacheIncrementalUpdates": other_pods,
    },
}
