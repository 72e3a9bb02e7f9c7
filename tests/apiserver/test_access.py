"""Who may do what: RBAC rules, tokens, impersonation, certificates, reviews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raysail.api.errors import StatusError
from raysail.apiserver.access import pki, reviews
from raysail.apiserver.access.authentication import Authenticator, impersonate, wanted_impersonation
from raysail.apiserver.access.authorization import Attributes, Authorizer, forbidden, rule_allows
from raysail.apiserver.access.bootstrap import bootstrap_objects
from raysail.apiserver.access.service_account_tokens import ISSUER, BoundObject, ServiceAccountTokens
from raysail.apiserver.access.users import ANONYMOUS, LOCAL_ADMIN, User, service_account_user

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZOE = User("zoe", ("team", "system:authenticated"))


def authorizer(*objects: tuple[str, dict[str, Any]]) -> Authorizer:
    found = Authorizer()
    for plural, obj in (*bootstrap_objects(), *objects):
        found.set_object(plural, obj)
    return found


def binding(role: str, subject: dict[str, str], namespace: str = "", kind: str = "ClusterRole") -> tuple[str, dict[str, Any]]:
    metadata = {"name": f"b-{role}", **({"namespace": namespace} if namespace else {})}
    return ("rolebindings" if namespace else "clusterrolebindings"), {
        "metadata": metadata,
        "roleRef": {"kind": kind, "name": role},
        "subjects": [subject],
    }


@pytest.mark.parametrize(
    ("rule", "request_", "allowed"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods", "log"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}, Attributes("get", "", "pods", "log"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, Attributes("get", "", "pods", "log"), True),
        ({"verbs": ["*"], "apiGroups": ["ray.io"], "resources": ["*"]}, Attributes("delete", "ray.io", "rayjobs", "status"), True),
        ({"verbs": ["*"], "apiGroups": ["ray.io"], "resources": ["*"]}, Attributes("delete", "", "pods"), False),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            Attributes("get", "", "pods", name="b"),
            False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz/*"]}, Attributes("get", path="/healthz/etcd"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/version"]}, Attributes("get", path="/metrics"), False),
    ],
)
def test_a_rule_allows_only_what_it_names(rule: dict[str, Any], request_: Attributes, allowed: bool) -> None:
    assert rule_allows(rule, request_) is allowed


def test_everybody_may_discover_and_nobody_may_read_secrets() -> None:
    rbac = authorizer()
    assert rbac.allowed(ZOE, Attributes("get", path="/api"))
    assert rbac.allowed(ANONYMOUS, Attributes("get", path="/version"))
    assert not rbac.allowed(ANONYMOUS, Attributes("get", path="/api"))
    assert not rbac.allowed(ZOE, Attributes("list", "", "secrets", namespace="a"))
    assert rbac.allowed(LOCAL_ADMIN, Attributes("delete", "", "nodes"))


def test_aggregated_roles_reach_what_they_gather_in_their_namespace_only() -> None:
    rbac = authorizer(binding("edit", {"kind": "User", "name": "zoe"}, "a"))
    assert rbac.allowed(ZOE, Attributes("create", "ray.io", "rayjobs", namespace="a"))
    assert rbac.allowed(ZOE, Attributes("list", "kueue.x-k8s.io", "workloads", namespace="a"))
    assert not rbac.allowed(ZOE, Attributes("create", "ray.io", "rayjobs", namespace="b"))
    assert not rbac.allowed(ZOE, Attributes("create", "rbac.authorization.k8s.io", "roles", namespace="a"))


def test_a_removed_binding_takes_its_rights_with_it() -> None:
    rbac = authorizer(binding("view", {"kind": "ServiceAccount", "name": "robot", "namespace": "a"}, "a"))
    robot = service_account_user("a", "robot")
    assert rbac.allowed(robot, Attributes("list", "", "pods", namespace="a"))
    rbac.remove_object("rolebindings", "a", "b-view")
    assert not rbac.allowed(robot, Attributes("list", "", "pods", namespace="a"))


def test_nobody_grants_what_they_do_not_hold() -> None:
    rbac = authorizer(binding("view", {"kind": "User", "name": "zoe"}, "a"))
    reading = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    writing = {"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["pods"]}
    assert rbac.escalation(ZOE, [reading, writing], "a") == [writing]
    assert rbac.escalation(LOCAL_ADMIN, [writing], "a") == []


def test_forbidden_reads_as_kubernetes_does() -> None:
    error = forbidden(ZOE, Attributes("patch", "ray.io", "rayclusters", "status", "a", "x"))
    assert error.message == (
        'rayclusters.ray.io "x" is forbidden: User "zoe" cannot patch resource "rayclusters/status" in API group "ray.io" in the namespace "a"'
    )
    assert error.details == {"name": "x", "group": "ray.io", "kind": "rayclusters"}
    assert forbidden(ZOE, Attributes("get", path="/metrics")).message == 'forbidden: User "zoe" cannot get path "/metrics"'


class World:
    """An instance's keys, with the uids of what tokens are bound to."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.uids = {("serviceaccounts", "a", "robot"): "u1", ("pods", "a", "p"): "u2"}
        self.pki = pki.prepare(folder, ["127.0.0.1", "localhost"])
        self.tokens = ServiceAccountTokens(self.pki.service_account_key.read_bytes(), self.uid_of)
        self.authenticator = Authenticator({"admin-token": LOCAL_ADMIN}, self.tokens, lambda: self.now)

    def uid_of(self, plural: str, namespace: str, name: str) -> str | None:
        return self.uids.get((plural, namespace, name))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "pki")


def test_a_service_account_token_lives_until_it_ends_or_its_account_goes(world: World) -> None:
    token = world.tokens.issue("a", "robot", "u1", [], 3600, NOW)
    user = world.authenticator.authenticate(f"Bearer {token}")
    assert (user.name, user.groups) == (
        "system:serviceaccount:a:robot",
        ("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"),
    )
    world.now = NOW + timedelta(seconds=30)
    del world.uids["serviceaccounts", "a", "robot"]
    with pytest.raises(StatusError) as refused:
        world.authenticator.authenticate(f"Bearer {token}")
    assert refused.value.code == 401
    world.uids["serviceaccounts", "a", "robot"] = "u1"
    world.now = NOW + timedelta(hours=2)
    assert world.authenticator.user_of_token(token) is None


def test_a_bound_token_ends_with_its_pod(world: World) -> None:
    token = world.tokens.issue("a", "robot", "u1", [], 3600, NOW, BoundObject("Pod", "p", "u2"))
    found = world.tokens.authenticate(token, NOW)
    assert found is not None
    assert found[0].extra["authentication.kubernetes.io/pod-name"] == ("p",)
    world.uids["pods", "a", "p"] = "another"
    assert world.tokens.authenticate(token, NOW) is None


def test_a_foreign_or_changed_token_is_refused_and_no_token_is_anonymous(world: World, tmp_path: Path) -> None:
    token = World(tmp_path / "other").tokens.issue("a", "robot", "u1", [], 3600, NOW)
    for bad in (token, "nonsense", token[:-2]):
        with pytest.raises(StatusError):
            world.authenticator.authenticate(f"Bearer {bad}")
    assert world.authenticator.authenticate(None) is ANONYMOUS
    assert world.authenticator.authenticate("Basic YTpi") is ANONYMOUS
    assert world.authenticator.authenticate("Bearer admin-token") is LOCAL_ADMIN


def test_a_token_for_another_audience_is_not_for_the_api(world: World) -> None:
    token = world.tokens.issue("a", "robot", "u1", ["ray"], 3600, NOW)
    assert world.authenticator.user_of_token(token) is None
    assert world.authenticator.user_of_token(token, "ray") is not None
    assert world.authenticator.user_of_token(token, ISSUER) is None


def test_masters_impersonate_and_others_need_the_right() -> None:
    request = Attributes("list", "", "pods", namespace="a")
    wanted = wanted_impersonation([(b"impersonate-user", b"max"), (b"impersonate-group", b"team")])
    assert wanted is not None
    assert impersonate(LOCAL_ADMIN, wanted, request, authorizer()).groups == ("team", "system:authenticated")
    with pytest.raises(StatusError) as refused:
        impersonate(ZOE, wanted, request, authorizer())
    assert 'cannot impersonate-on:user-info:list resource "pods"' in refused.value.message
    role = (
        "clusterroles",
        {"metadata": {"name": "actor"}, "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "groups"]}]},
    )
    rbac = authorizer(role, binding("actor", {"kind": "User", "name": "zoe"}))
    assert impersonate(ZOE, wanted, request, rbac).name == "max"


def test_groups_without_a_user_are_a_bad_request() -> None:
    with pytest.raises(StatusError) as refused:
        wanted_impersonation([(b"impersonate-group", b"g")])
    assert refused.value.code == 400


def test_the_server_certificate_is_kept_until_a_name_is_missing(world: World) -> None:
    before = world.pki.server_certificate.read_bytes()
    pki.prepare(world.pki.folder, ["127.0.0.1"])
    assert world.pki.server_certificate.read_bytes() == before
    pki.prepare(world.pki.folder, ["127.0.0.1", "127.9.0.1"])
    assert world.pki.server_certificate.read_bytes() != before


def test_token_requests_check_their_duration_and_what_they_bind_to(world: World) -> None:
    account = {"metadata": {"name": "robot", "namespace": "a", "uid": "u1"}}
    answer = reviews.token_request({"spec": {"boundObjectRef": {"kind": "Pod", "name": "p"}}}, account, world.tokens, world.uid_of, NOW)
    assert answer["spec"]["expirationSeconds"] == 3600
    assert world.authenticator.user_of_token(answer["status"]["token"]) is not None
    with pytest.raises(StatusError) as short:
        reviews.token_request({"spec": {"expirationSeconds": 1}}, account, world.tokens, world.uid_of, NOW)
    assert short.value.causes[0].field == "spec.expirationSeconds"
    with pytest.raises(StatusError) as other:
        reviews.token_request(
            {"spec": {"boundObjectRef": {"kind": "Pod", "name": "p", "uid": "x"}}}, account, world.tokens, world.uid_of, NOW
        )
    assert other.value.code == 409


def test_a_rules_review_lists_what_a_person_holds() -> None:
    rbac = authorizer(binding("view", {"kind": "User", "name": "zoe"}, "a"))
    status = reviews.self_subject_rules_review({"spec": {"namespace": "a"}}, ZOE, rbac)["status"]
    assert any("pods/log" in rule["resources"] for rule in status["resourceRules"])
    assert any("/version" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
