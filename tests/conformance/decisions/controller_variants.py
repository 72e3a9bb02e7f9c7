"""Group `controller-concurrentadmission`: parents and their variants, reconciled once."""

from __future__ import annotations

import asyncio
from typing import Any

from raysail.api.kueue import ClusterQueue, Workload
from raysail.api.kueue.workloadname import variant_name
from raysail.api.meta import parse_time
from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, NAMESPACES, WORKLOADS
from raysail.queue.cache import QueueCache
from raysail.queue.concurrent.controller import VariantController
from raysail.queue.concurrent.family import first_candidate, flavors_changed
from raysail.queue.settings import QueueSettings

from .controller_core import events, seconds, workload
from .corpus import Case, Json, differences, view
from .memory import Bench
from .worlds import NOW


def _bench(case: Case) -> tuple[Bench, VariantController]:
    bench = Bench(parse_time(case.now or case.fixtures.get("fakeNow") or NOW))
    settings = QueueSettings(wait_for_pods_ready=None, feature_gates={"ConcurrentAdmission": True, **case.gates})
    cache = QueueCache(bench.manager, settings)
    return bench, VariantController(bench.manager, cache, settings)


def reconcile(case: Case) -> list[str]:
    given, want, fixtures = case.given, case.want, case.fixtures
    bench, controller = _bench(case)
    bench.add(NAMESPACES, [{"metadata": {"name": "default"}}])
    bench.add(CLUSTER_QUEUES, fixtures.get("cqs"))
    bench.add(LOCAL_QUEUES, fixtures.get("lqs") or [value for key, value in fixtures.items() if key.endswith("LQ")])
    parent = given.get("parentWorkload")
    bench.add(WORKLOADS, [parent] if parent else [])
    bench.add(WORKLOADS, given.get("variantWorkloads"))
    key = ("default", parent["metadata"]["name"] if parent else "none")
    again = asyncio.run(controller.reconcile(key))
    wanted = seconds((want.get("wantResult") or {}).get("RequeueAfter"))
    found = [] if abs((again or 0) - wanted) < 0.01 else [f"again: got {again}, want {wanted}"]
    if want.get("wantParentWorkload"):
        found += differences(_workload(bench.client.objects.get((WORKLOADS, *key))), _workload(want["wantParentWorkload"]), "parent")
    named = _kindless_names(parent, fixtures)
    made = [obj for obj in bench.client.of(WORKLOADS) if obj["metadata"]["name"] != key[1]]
    got = {named.get(obj["metadata"]["name"], obj["metadata"]["name"]): _workload(obj) for obj in made}
    for name, obj in got.items():
        obj["metadata"]["name"] = name
    said = [{**each, "message": _replaced(each["message"], named)} for each in bench.events.said]
    variants = {obj["metadata"]["name"]: _workload(obj) for obj in want.get("wantVariantWorkloads") or ()}
    found += differences(got, variants, "variants")
    return found + differences(sorted(said, key=str), sorted(events(case), key=str), "events")


def _kindless_names(parent: Json | None, fixtures: Json) -> dict[str, str]:
    """The reference's fake API gives objects without their kind, which then is not in the hash of a variant's name."""
    if parent is None:
        return {}
    flavors = {
        flavor["name"] for queue in fixtures.get("cqs") or () for group in queue["spec"]["resourceGroups"] for flavor in group["flavors"]
    }
    meta = parent["metadata"]
    told = (meta["name"], meta.get("uid", ""))
    return {variant_name(WORKLOADS.kind, WORKLOADS.group, *told, flavor): variant_name("", "", *told, flavor) for flavor in flavors}


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _workload(obj: Json | None) -> Any:
    """Without an admission that holds no quota, as the README says; the reason of before UnadmittedWorkloadsObservability as that of now."""
    found = workload(obj)
    reserved = (found or {}).get("status", {}).get("conditions", {}).get("QuotaReserved")
    if reserved is not None and reserved["status"] == "False":
        found["status"].pop("admission", None)
        if reserved.get("reason") == "Pending":
            reserved["reason"] = "PendingEvaluation"
    return found


def candidate(case: Case) -> list[str]:
    variants = [view(obj, Workload) for obj in (case.given.get("first"), case.fixtures.get("blocked")) if obj]
    got = first_candidate(variants)
    wanted = case.want.get("want")
    return differences(got.metadata.name if got else None, wanted["metadata"]["name"] if wanted else None)


def queue_changed(case: Case) -> list[str]:
    got = flavors_changed(view(case.given["old"], ClusterQueue), view(case.given["new"], ClusterQueue))
    return differences(got, bool(case.want.get("want")))


def parents(case: Case) -> list[str]:
    bench, controller = _bench(case)
    bench.add(LOCAL_QUEUES, case.given.get("localQueues"))
    bench.add(WORKLOADS, case.given.get("workloads"))
    got = sorted(controller.parents_of(case.given["clusterQueue"]))
    wanted = [request["NamespacedName"] for request in case.want.get("want") or ()]
    return differences(got, sorted((each.get("Namespace", ""), each["Name"]) for each in wanted))


RUNNERS = {
    "controller-concurrentadmission": {
        "TestReconcile": reconcile,
        "TestFirstCandidateVariant": candidate,
        "TestClusterQueueFlavorsChanged": queue_changed,
        "TestParentsForClusterQueue": parents,
    }
}
