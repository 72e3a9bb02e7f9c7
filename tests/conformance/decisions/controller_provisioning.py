"""Groups `controller-provisioning`, `util-admissioncheck`: the ProvisioningRequest check, and parameters of checks."""

from __future__ import annotations

import asyncio
from typing import Any

from raysail.api.kueue import AdmissionCheck, MultiKueueConfig, ProvisioningRequestConfig, Workload
from raysail.api.meta import parse_time
from raysail.api.resources import (
    ADMISSION_CHECKS,
    POD_TEMPLATES,
    PROVISIONING_REQUEST_CONFIGS,
    RESOURCE_FLAVORS,
    WORKLOADS,
    Resource,
)
from raysail.queue.cache import QueueCache
from raysail.queue.checks.controller import ProvisioningCheckController, ProvisioningController
from raysail.queue.checks.parameters import ParametersError, checks_of, config_of, configs_used
from raysail.queue.checks.requests import (
    PROVISIONING_REQUESTS,
    InconsistentAssignmentsError,
    ProvisioningRequest,
    is_needed,
    last_requests,
    merged_pod_sets,
)
from raysail.queue.lifecycle.status import set_check
from raysail.queue.model.activity import MULTIKUEUE_CONTROLLER
from raysail.queue.multikueue.clusters import NoClustersError, clusters_of
from raysail.queue.settings import QueueSettings

from .controller_core import events, workload
from .corpus import Case, Json, Skip, by_value, differences, plain, view
from .memory import Bench
from .worlds import NOW


def _bench(case: Case) -> tuple[Bench, QueueCache, QueueSettings]:
    bench = Bench(parse_time(case.now or NOW))
    settings = QueueSettings(wait_for_pods_ready=None, feature_gates=dict(case.gates))
    return bench, QueueCache(bench.manager, settings), settings


def reconcile(case: Case) -> list[str]:
    given, want = case.given, case.want
    bench, cache, settings = _bench(case)
    controller = ProvisioningController(bench.manager, cache, settings)
    for resource, name in (
        (RESOURCE_FLAVORS, "flavors"),
        (PROVISIONING_REQUEST_CONFIGS, "configs"),
        (ADMISSION_CHECKS, "checks"),
        (PROVISIONING_REQUESTS, "requests"),
        (POD_TEMPLATES, "templates"),
    ):
        bench.add(resource, given.get(name))
    bench.add(WORKLOADS, [given["workload"]])
    found: list[str] = []
    error = ""
    try:
        asyncio.run(controller.reconcile(("ns", given["workload"]["metadata"]["name"])))
    except InconsistentAssignmentsError as failure:
        error = str(failure)
    if bool(error) != bool(want.get("wantReconcileError")):
        found.append(f"error: got {error!r}, want {want.get('wantReconcileError')!r}")
    for resource, wanted, ignored in (
        (WORKLOADS, want.get("wantWorkloads"), ("metadata",)),
        (PROVISIONING_REQUESTS, want.get("wantRequests"), ()),
        (POD_TEMPLATES, want.get("wantTemplates"), ()),
    ):
        for name, obj in (wanted or {}).items():
            got = bench.client.objects.get((resource, "ns", name))
            compare = workload if resource is WORKLOADS else _plain
            found += differences(_less(compare(got), ignored), _less(compare(obj), ignored), name)
    for name in want.get("wantRequestsNotFound") or ():
        if (PROVISIONING_REQUESTS, "ns", name) in bench.client.objects:
            found.append(f"{name} should be gone")
    return found + differences(bench.events.said, events(case), "events")


def _less(obj: Any, ignored: tuple[str, ...]) -> Any:
    return {key: value for key, value in obj.items() if key not in ignored} if isinstance(obj, dict) else obj


def _plain(obj: Json | None) -> Any:
    """Of a request its labels and spec, of a template all but its restartPolicy."""
    if obj is None:
        return None
    kept = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    if "template" in kept:
        spec = {key: value for key, value in (kept["template"].get("spec") or {}).items() if key != "restartPolicy"}
        kept["template"] = {**kept["template"], "spec": spec}
        kept["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    else:
        kept["metadata"] = {"labels": obj["metadata"].get("labels")}
        conditions = {
            c["type"]: (c["status"], c.get("reason"), c.get("message")) for c in (obj.get("status") or {}).get("conditions") or ()
        }
        kept["status"] = {**(obj.get("status") or {}), "conditions": conditions}
    return plain(by_value(kept))


def reconcile_check(case: Case) -> list[str]:
    bench, cache, _ = _bench(case)
    controller = ProvisioningCheckController(bench.manager, cache)
    bench.add(PROVISIONING_REQUEST_CONFIGS, case.given.get("configs"))
    bench.add(ADMISSION_CHECKS, [case.given["check"]])
    name = case.given["check"]["metadata"]["name"]
    asyncio.run(controller.reconcile(("", name)))
    got = (bench.client.objects[ADMISSION_CHECKS, "", name].get("status") or {}).get("conditions") or [None]
    wanted = dict(case.want["wantCondition"] or {})
    if "message" in wanted:  # a real API's cache names the kind where the reference's fake names the plural
        plural, kind = PROVISIONING_REQUEST_CONFIGS.plural, PROVISIONING_REQUEST_CONFIGS.kind
        wanted["message"] = wanted["message"].replace(f"{plural}.kueue", f"{kind}.kueue")
    return differences(plain({k: v for k, v in (got[0] or {}).items() if k != "lastTransitionTime"}), plain(wanted))


def needed(case: Case) -> list[str]:
    config = view(case.given.get("prc") or case.fixtures["prc"], ProvisioningRequestConfig)
    try:
        got, error = is_needed(view(case.given["workload"], Workload), config), ""
    except InconsistentAssignmentsError as failure:
        got, error = False, str(failure)
    return differences([got, bool(error)], [bool(case.want.get("want")), bool(case.want.get("wantErr"))])


def merged(case: Case) -> list[str]:
    spec = {"podSetMergePolicy": case.given["mergePolicy"]} if case.given.get("mergePolicy") else {}
    config = view({"metadata": {"name": "config"}, "spec": spec}, ProvisioningRequestConfig)
    pods = merged_pod_sets(view(case.given["workload"], Workload), config)
    found = differences([each.pod_set.name for each in pods], case.want.get("wantNames") or [], "names")
    return found + differences([each.count for each in pods], case.want.get("wantCounts") or [], "counts")


def last(case: Case) -> list[str]:
    config = case.fixtures["baseConfig"]
    config = view(config.get("ProvisioningRequestConfig", config), ProvisioningRequestConfig)
    owned = [view(obj, ProvisioningRequest) for obj in case.given.get("requests") or ()]
    got = last_requests(view(case.fixtures["baseWorkload"], Workload), {"check": config}, owned)
    wanted = {check: obj["metadata"]["name"] for check, obj in (case.want.get("wantResult") or {}).items()}
    return differences({check: request.metadata.name for check, request in got.items()}, wanted)


def config_helper(case: Case) -> list[str]:
    given, want = case.given, case.want
    config = view(given["config"], ProvisioningRequestConfig) if given.get("config") else None
    check = view(given["admissioncheck"], AdmissionCheck) if given.get("admissioncheck") else None
    if check is None or check.metadata.name != given["targetAdmissionCheck"]:
        return differences(bool(want.get("wantError")), True)
    try:
        got, error = (
            config_of(check, PROVISIONING_REQUEST_CONFIGS, lambda name: config if config and config.metadata.name == name else None),
            "",
        )
    except ParametersError as failure:
        got, error = None, str(failure)
    wanted = want.get("wantError") or ""
    found = differences(got.metadata.name if got else None, (want.get("wantConfig") or {}).get("metadata", {}).get("name"))
    if wanted == "any error" or "not found" in str(wanted):
        return found + differences(bool(error), True)
    return found + ([] if (wanted in error and bool(wanted) == bool(error)) else [f"error: got {error!r}, want {wanted!r}"])


def indexed(case: Case) -> list[str]:
    given = case.given.get("admissioncheck")
    if given is None or "spec" not in given:
        raise Skip("an index asked about no check at all")
    kind = Resource("kueue.x-k8s.io", "v1beta2", "ProvisioningRequestConfig", "provisioningrequestconfigs")
    return differences(list(configs_used(view(given, AdmissionCheck), "test-controller", kind)), case.want.get("wantResult") or [])


def multikueue_check(case: Case) -> list[str]:
    checks = {obj["metadata"]["name"]: view(obj, AdmissionCheck) for obj in case.given.get("admissionChecks") or ()}
    found = view({"metadata": {"name": "wl"}, "status": {"admissionChecks": case.given.get("workloadACS") or []}}, Workload)
    got = checks_of(found.status.admission_checks, MULTIKUEUE_CONTROLLER, checks.get)
    return differences(got[:1], [case.want["wantResult"]["name"]] if case.want.get("wantResult") else [])


def filtered(case: Case) -> list[str]:
    checks = {obj["metadata"]["name"]: view(obj, AdmissionCheck) for obj in case.given.get("admissionchecks") or ()}
    found = view({"metadata": {"name": "wl"}, "status": {"admissionChecks": case.given.get("states") or []}}, Workload)
    return differences(checks_of(found.status.admission_checks, "test-controller", checks.get), case.want.get("wantResult") or [])


def remote_clusters(case: Case) -> list[str]:
    given = case.given.get("multiKueueConfig")
    check = view(case.fixtures["ac"], AdmissionCheck)
    config = view(given, MultiKueueConfig) if given else None
    try:
        got, error = clusters_of(check, lambda name: config), ""
    except (ParametersError, NoClustersError) as failure:
        got, error = [], str(failure)
    return differences([list(got), bool(error)], [case.want.get("wantResult") or [], bool(case.want.get("wantErr"))])


def message_update(case: Case) -> list[str]:
    now = parse_time(NOW)
    status: Json = {}
    set_check(status, "check", "Pending", case.given.get("message") or "", now)
    changed = set_check(status, "check", "Pending", case.given.get("newMessage") or "", now)
    got = [changed, status["admissionChecks"][0]["message"]]
    return differences(got, [bool(case.want.get("wantChanged")), case.want.get("wantMessage") or ""])


def missing_in_cache(case: Case) -> list[str]:
    bench, cache, settings = _bench(case)
    controller = ProvisioningController(bench.manager, cache, settings)
    bench.add(PROVISIONING_REQUESTS, case.given.get("requests"))
    meta = case.fixtures["request"]["metadata"]
    return differences(controller.requests.get(meta["namespace"], meta["name"]) is None, case.want["want"])


RUNNERS = {
    "controller-provisioning": {
        "TestReconcile": reconcile,
        "TestReconcileAdmissionCheck": reconcile_check,
        "TestReqIsNeeded": needed,
        "TestMergePodSetsSkipsZeroCounts": merged,
        "TestActiveOrLastPRForChecks": last,
        "TestIsMissingInCache": missing_in_cache,
        "TestUpdateCheckMessage": message_update,
    },
    "util-admissioncheck": {
        "TestConfigHelper": config_helper,
        "TestIndexerFunc": indexed,
        "TestGetMultiKueueAdmissionCheck": multikueue_check,
        "TestFilterCheckStates": filtered,
        "TestGetRemoteClusters": remote_clusters,
    },
}
