"""RayService, the pure parts: when a cluster is replaced, when traffic moves, what the status says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from raysail.api.ray import RayCluster, RayService
from raysail.ray.service import clusters, gateway, suspension
from raysail.ray.service.draft import Draft
from raysail.ray.service.status import Seen, applications, conclude, has_timed_out, initializing_timeout_seconds
from raysail.ray.settings import RaySettings
from tests.ray.builders import NOW, ago, container, group, ray_service, template

SETTINGS = RaySettings()
STEPS = {"maxSurgePercent": 40, "stepSizePercent": 20, "intervalSeconds": 10, "gatewayClassName": "nginx"}
INCREMENTAL: dict[str, Any] = {
    "upgradeStrategy": {"type": "NewClusterWithIncrementalUpgrade", "clusterUpgradeOptions": STEPS},
    "cluster_config": {"enableInTreeAutoscaling": True},
}
ANOTHER_IMAGE = template(container(image="rayproject/ray:2.47.0"))


def condition(type_: str, status: bool, reason: str = "Because", since: str | None = None) -> dict[str, Any]:
    given = {"type": type_, "status": str(status), "reason": reason, "message": "", "observedGeneration": 1}
    return {**given, "lastTransitionTime": since or ago(60)}


def status(active: str = "", pending: str = "", *conditions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"conditions": list(conditions), **fields}
    if active:
        made["activeServiceStatus"] = {"rayClusterName": active}
    if pending:
        made["pendingServiceStatus"] = {"rayClusterName": pending}
    return made


def made_from(service: RayService, name: str = "rs-a", **changes: Any) -> RayCluster:
    """The cluster as the API answers after it was made for that service."""
    body = clusters.cluster_for(service, name, SETTINGS)
    body["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "3", **changes}
    return msgspec.convert(body, RayCluster)


FIRST = ray_service(group("a"), group("b"))


@pytest.mark.parametrize(
    ("what", "service", "new_cluster", "update"),
    [
        ("nothing", FIRST, False, False),
        ("replicas", ray_service(group("a", 5, minReplicas=1, maxReplicas=7), group("b")), False, False),
        ("suspended", ray_service(group("a"), group("b"), suspend=True), False, False),
        ("applications", ray_service(group("a"), group("b"), serveConfigV2="applications: [1]"), False, False),
        ("a group appended", ray_service(group("a"), group("b"), group("c")), False, True),
        ("a group removed", ray_service(group("a")), True, False),
        ("a group in front", ray_service(group("c"), group("a"), group("b")), True, False),
        ("an image", ray_service(group("a"), group("b", template=ANOTHER_IMAGE)), True, False),
        ("an image and a group", ray_service(group("a"), group("b", template=ANOTHER_IMAGE), group("c")), True, False),
        ("an image, upgrades off", ray_service(group("b", template=ANOTHER_IMAGE), upgradeStrategy={"type": "None"}), False, False),
    ],
)
def test_which_changes_need_another_cluster(what: str, service: RayService, new_cluster: bool, update: bool) -> None:
    cluster = made_from(FIRST)
    assert clusters.wants_new_cluster(service, cluster, None, SETTINGS) == new_cluster, what
    assert clusters.wants_update(service, cluster, None, active=True) == update, what


def test_another_cluster_is_prepared_in_place_of_a_pending_one_that_nobody_wants_any_more() -> None:
    old, wanted = made_from(FIRST), ray_service(group("a", template=ANOTHER_IMAGE))
    assert not clusters.wants_new_cluster(wanted, old, made_from(wanted, "rs-b"), SETTINGS)
    assert clusters.wants_new_cluster(ray_service(group("z")), old, made_from(wanted, "rs-b"), SETTINGS)


@pytest.mark.parametrize(("zero_downtime", "strategy", "replaces"), [
    (True, None, True), (False, None, False), (False, "NewCluster", True), (True, "None", False),
])  # fmt: skip
def test_the_strategy_says_more_than_the_setting(zero_downtime: bool, strategy: str | None, replaces: bool) -> None:
    service = ray_service(upgradeStrategy={"type": strategy})
    assert clusters.replaces_clusters(service.spec, RaySettings(zero_downtime=zero_downtime)) == replaces


def test_a_cluster_of_another_operator_is_taken_over_without_a_replacement() -> None:
    service = FIRST
    cluster = made_from(
        service, annotations={"ray.io/kuberay-version": "v1.4.2", "ray.io/hash-without-replicas-and-workers-to-delete": "old"}
    )
    assert clusters.wants_update(service, cluster, None, active=True)


def test_an_update_leaves_alone_what_others_own() -> None:
    service = ray_service(group("a", 1), group("b", 1), cluster_config={"enableInTreeAutoscaling": True})
    cluster = made_from(service)
    scaled = msgspec.structs.replace(cluster.spec.worker_group_specs[0], replicas=6)  # type: ignore[index]
    spec = msgspec.structs.replace(cluster.spec, suspend=True, worker_group_specs=[scaled])
    patch = clusters.update_patch(service, msgspec.structs.replace(cluster, spec=spec), SETTINGS)
    assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "3"}
    assert patch[-1]["value"]["suspend"] is True
    assert [(g["groupName"], g["replicas"]) for g in patch[-1]["value"]["workerGroupSpecs"]] == [("a", 6), ("b", 1)]


def test_what_serve_says() -> None:
    assert applications({}) == (False, {})
    running = {"": {"status": "RUNNING", "deployments": {"d": {"status": "HEALTHY"}}}}
    ready, apps = applications(running)
    assert ready
    assert apps["default"].deployments["d"].status == "HEALTHY"  # type: ignore[index]
    assert not applications({**running, "other": {"status": "DEPLOYING", "message": "wait"}})[0]


def concluded(service: RayService, seen: Seen) -> tuple[Draft, list[str]]:
    draft = Draft(service, NOW)
    events = conclude(service, draft, seen, SETTINGS, NOW)
    return draft, [event.reason for event in events]


def said(draft: Draft) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in draft.conditions}


def test_a_new_service_prepares_its_first_cluster() -> None:
    draft, _ = concluded(FIRST, Seen(new_name="rs-new"))
    assert (draft.active.ray_cluster_name, draft.pending.ray_cluster_name) == ("", "rs-new")
    assert said(draft) == {"Ready": ("False", "Initializing"), "UpgradeInProgress": ("False", "Initializing")}


def test_a_cluster_that_serves_is_promoted() -> None:
    service = ray_service(status=status("", "rs-b", condition("Ready", False, "Initializing")))
    draft, _ = concluded(service, Seen(pending=made_from(service, "rs-b"), points_at="rs-b", endpoints=2, new_name="rs-new"))
    assert (draft.active.ray_cluster_name, draft.pending.ray_cluster_name) == ("rs-b", "")
    assert said(draft)["Ready"] == ("True", "NonZeroServeEndpoints")
    assert said(draft)["UpgradeInProgress"] == ("False", "NoPendingCluster")
    assert (draft.service_status, draft.endpoints) == ("Running", 2)


def test_a_change_prepares_another_cluster_beside_the_one_that_serves() -> None:
    service = ray_service(group("z"), status=status("rs-a", "", condition("Ready", True), numServeEndpoints=1))
    draft, _ = concluded(service, Seen(active=made_from(FIRST), points_at="rs-a", endpoints=1, new_name="rs-new"))
    assert (draft.active.ray_cluster_name, draft.pending.ray_cluster_name) == ("rs-a", "rs-new")
    assert said(draft)["UpgradeInProgress"] == ("True", "BothActivePendingClustersExist")
    assert draft.service_status == "Running"


def test_a_service_that_nobody_reaches_any_more_is_not_ready() -> None:
    service = ray_service(status=status("rs-a", "", condition("Ready", True, "NonZeroServeEndpoints"), numServeEndpoints=1))
    draft, _ = concluded(service, Seen(active=made_from(service)))
    assert said(draft)["Ready"] == ("False", "ZeroServeEndpoints")
    assert draft.service_status == ""


def test_nothing_new_is_not_written() -> None:
    first = ray_service(status=status("rs-a", "", condition("Ready", True), numServeEndpoints=1))
    seen = Seen(active=made_from(first), points_at="rs-a", endpoints=1)
    draft, _ = concluded(first, seen)
    assert draft.says_anything_new()
    told = {**status("rs-a"), "conditions": msgspec.to_builtins(draft.conditions), "numServeEndpoints": 1, "serviceStatus": "Running"}
    second = ray_service(status=told)
    assert not concluded(second, seen)[0].says_anything_new()


@pytest.mark.parametrize(("text", "since", "gives_up"), [
    ("5m", 299, False), ("5m", 301, True), ("30", 31, True), (None, 9999, False),
])  # fmt: skip
def test_a_service_gives_up_after_the_time_that_it_is_allowed(text: str | None, since: int, gives_up: bool) -> None:
    service = ray_service(
        metadata={"annotations": {"ray.io/initializing-timeout": text} if text else {}},
        status=status("", "rs-b", condition("Ready", False, "Initializing", ago(since))),
    )
    draft, events = concluded(service, Seen(pending=made_from(service, "rs-b")))
    assert (said(draft)["Ready"] == ("False", "InitializingTimeout")) == gives_up
    assert (draft.pending.ray_cluster_name == "") == gives_up
    assert events == (["RayServiceInitializingTimeout"] if gives_up else [])


def test_giving_up_is_for_good() -> None:
    assert has_timed_out(ray_service(status=status("", "", condition("Ready", False, "InitializingTimeout"))))
    assert not has_timed_out(ray_service(status=status("", "", condition("Ready", False, "Initializing"))))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("1.5m", 90), ("250ms", 0.25), ("90", 90), ("", None)])
def test_durations(text: str, seconds: float | None) -> None:
    assert initializing_timeout_seconds({"ray.io/initializing-timeout": text}) == seconds


class TestSuspension:
    """Suspending is written first, holds until all has gone, and only then is anything resumed."""

    @staticmethod
    def advanced(service: RayService, *, all_gone: bool = False) -> Draft:
        draft = Draft(service, NOW)
        suspension.advance(service, draft, all_gone=all_gone)
        return draft

    def test_begins(self) -> None:
        draft = self.advanced(ray_service(suspend=True, status=status("rs-a", "", condition("Ready", True), numServeEndpoints=1)))
        assert said(draft)["Suspending"] == ("True", "SuspendRequested")
        assert said(draft)["Ready"] == ("False", "SuspendInProgress")
        assert (draft.active.ray_cluster_name, draft.endpoints, draft.service_status) == ("", 0, "")
        assert suspension.is_operative(draft)

    @pytest.mark.parametrize("suspend", [True, False])
    def test_holds_until_all_has_gone(self, suspend: bool) -> None:
        service = ray_service(suspend=suspend, status=status("", "", condition("Suspending", True)))
        assert suspension.is_deleting(service)
        assert said(self.advanced(service))["Suspending"] == ("True", "SuspendInProgress")
        done = said(self.advanced(service, all_gone=True))
        assert (done["Suspending"], done["Suspended"]) == (("False", "SuspendComplete"), ("True", "SuspendComplete"))

    def test_stays(self) -> None:
        service = ray_service(suspend=True, status=status("", "", condition("Suspended", True)))
        assert not suspension.is_deleting(service)
        assert not self.advanced(service).says_anything_new()

    def test_resumes(self) -> None:
        draft = self.advanced(ray_service(status=status("", "", condition("Suspended", True), condition("Ready", False))))
        assert said(draft)["Suspended"] == ("False", "RayServiceResumed")
        assert said(draft)["Ready"] == ("False", "Initializing")
        assert {c.type: c.last_transition_time for c in draft.conditions}["Ready"] == ago(0), "the time to initialize begins anew"
        assert not suspension.is_operative(draft)


def upgrading(
    active: tuple[int | None, int | None], pending: tuple[int | None, int | None], *, moved: int = 60, back: bool = False
) -> tuple[RayService, Draft]:
    """In an upgrade: (capacity, traffic) of each cluster, in percent."""

    def part(name: str, capacity: int | None, traffic: int | None) -> dict[str, Any]:
        given = {"rayClusterName": name, "targetCapacity": capacity, "trafficRoutedPercent": traffic, "lastTrafficMigratedTime": ago(moved)}
        return {key: value for key, value in given.items() if value is not None}

    conditions = [condition("UpgradeInProgress", True)] + ([condition("RollbackInProgress", True)] if back else [])
    told = {"conditions": conditions, "activeServiceStatus": part("rs-a", *active), "pendingServiceStatus": part("rs-b", *pending)}
    service = ray_service(status=told, **INCREMENTAL)
    return service, Draft(service, NOW)


@pytest.mark.parametrize(
    ("what", "active", "pending", "moved", "ready", "back", "weights"),
    [
        ("nothing before there is capacity", (100, 100), (0, 0), 60, True, False, (100, 0)),
        ("a step", (100, 100), (40, 0), 60, True, False, (80, 20)),
        ("not too soon", (100, 80), (40, 20), 5, True, False, (80, 20)),
        ("not before it serves", (100, 80), (40, 20), 60, False, False, (80, 20)),
        ("up to the capacity", (60, 70), (40, 30), 60, True, False, (60, 40)),
        ("back a step", (60, 40), (80, 60), 60, False, True, (60, 40)),
        ("back to all", (100, 90), (0, 10), 60, False, True, (100, 0)),
    ],
)
def test_traffic(what: str, active: Any, pending: Any, moved: int, ready: bool, back: bool, weights: tuple[int, int]) -> None:
    service, draft = upgrading(active, pending, moved=moved, back=back)
    assert gateway.next_weights(service, draft, NOW, pending_ready=ready) == weights, what


@pytest.mark.parametrize(
    ("what", "active", "pending", "back", "of_active", "of_pending"),
    [
        ("the new one grows first", (100, 100), (0, 0), False, None, 40),
        ("traffic has to follow", (100, 100), (40, 20), False, None, None),
        ("then the old one shrinks", (100, 60), (40, 40), False, 60, None),
        ("and so on", (60, 60), (40, 40), False, None, 80),
        ("down to nothing", (20, 0), (100, 100), False, 0, None),
        ("back: the old one grows", (20, 20), (80, 80), True, 60, None),
        ("back: then the new one shrinks", (60, 60), (80, 40), True, None, 40),
    ],
)
def test_capacity(what: str, active: Any, pending: Any, back: bool, of_active: int | None, of_pending: int | None) -> None:
    service, draft = upgrading(active, pending, back=back)
    assert (gateway.next_capacity(service, draft, "rs-a"), gateway.next_capacity(service, draft, "rs-b")) == (of_active, of_pending), what


def test_an_upgrade_ends_with_all_traffic_on_the_new_cluster_and_never_has_too_little_capacity() -> None:
    active, pending = (100, 100), (0, 0)
    for step in range(40):
        service, draft = upgrading(active, pending)
        if not gateway.is_capacity_moving(draft) and active[1] == 0:
            break
        weights = gateway.next_weights(service, draft, NOW, pending_ready=True)
        draft.change_active(traffic_routed_percent=weights[0])
        draft.change_pending(traffic_routed_percent=weights[1])
        of_active = gateway.next_capacity(service, draft, "rs-a")
        of_pending = gateway.next_capacity(service, draft, "rs-b")
        active = (active[0] if of_active is None else of_active, weights[0])
        pending = (pending[0] if of_pending is None else of_pending, weights[1])
        assert active[0] + pending[0] >= 100 or step == 0
        assert active[0] >= active[1], "no cluster gets more traffic than it has capacity for"
        assert pending[0] >= pending[1]
        assert active[1] + pending[1] == 100
    assert (active, pending) == ((0, 0), (100, 100))


def test_the_route_and_what_it_says() -> None:
    service = ray_service(**INCREMENTAL)
    old, new = made_from(service, "rs-a"), made_from(service, "rs-b")
    route = gateway.route(service, old, new, (80, 20))
    assert gateway.weights_in(route, "rs-a", "rs-b") == (80, 20)
    assert gateway.weights_in(route, "rs-a", "rs-c") == (80, -1)
    assert gateway.weights_in(None, "rs-a", "") == (-1, -1)
    stored = {**route["spec"], "hostnames": [], "rules": [{**route["spec"]["rules"][0], "timeouts": {}}]}
    assert gateway.says_the_same(stored, route["spec"]), "what the API adds is no difference"
    assert not gateway.says_the_same(stored, gateway.route(service, old, new, (60, 40))["spec"])
    assert not gateway.is_route_ready(route, service)
    accepted = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]
    answered = {**route, "status": {"parents": [{"parentRef": {"name": "rs-gateway"}, "conditions": accepted}]}}
    assert gateway.is_route_ready(answered, service)
    assert not gateway.is_route_ready({**answered, "status": {"parents": [{"parentRef": {"name": "x"}, "conditions": accepted}]}}, service)
