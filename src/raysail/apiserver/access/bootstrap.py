"""The roles and bindings that every cluster has (k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).

Those of Kubernetes' own components that do not run here (cloud nodes, kube-proxy, volumes) are left out; ours for the ray.io and
kueue.x-k8s.io kinds are aggregated into admin, edit and view, as KubeRay's and Kueue's charts do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "update", "patch", "delete", "deletecollection")
_AGGREGATE: Final = "rbac.authorization.k8s.io/aggregate-to-"
_API: Final = "rbac.authorization.k8s.io/v1"
_LABELS: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS: Final = {"rbac.authorization.kubernetes.io/autoupdate": "true"}

JsonObject = dict[str, Any]


def bootstrap_objects() -> Iterator[tuple[str, JsonObject]]:
    """(plural, object) of everything that must be there at the first start; existing objects are left as they are."""
    for role in _cluster_roles():
        yield "clusterroles", role
    for name, groups in _BINDINGS:
        yield "clusterrolebindings", _binding(name, groups)
    yield (
        "clusterrolebindings",
        {
            "apiVersion": _API,
            "kind": "ClusterRoleBinding",
            "metadata": _metadata("system:service-account-issuer-discovery"),
            "roleRef": _role_ref("system:service-account-issuer-discovery"),
            "subjects": [_group("system:serviceaccounts")],
        },
    )


_BINDINGS: Final = (
    ("cluster-admin", ("system:masters",)),
    ("system:monitoring", ("system:monitoring",)),
    ("system:discovery", ("system:authenticated",)),
    ("system:basic-user", ("system:authenticated",)),
    ("system:public-info-viewer", ("system:authenticated", "system:unauthenticated")),
)


def _cluster_roles() -> Iterator[JsonObject]:
    yield _role("cluster-admin", [_rule(("*",), ("*",), ("*",)), _urls(("*",), "*")])
    yield _role(
        "system:discovery",
        [
            _urls(
                ("get",),
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            )
        ],
    )
    yield _role(
        "system:monitoring",
        [
            _urls(("get",), "/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*"),
            _rule(("get",), ("",), ("nodes/metrics",)),
        ],
    )
    yield _role(
        "system:basic-user",
        [
            _rule(("create",), ("authorization.k8s.io",), ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
            _rule(("create",), ("authentication.k8s.io",), ("selfsubjectreviews",)),
        ],
    )
    yield _role("system:public-info-viewer", [_urls(("get",), "/healthz", "/livez", "/readyz", "/version", "/version/")])
    yield _role(
        "system:service-account-issuer-discovery",
        [_urls(("get",), "/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")],
    )
    yield _role(
        "system:auth-delegator",
        [
            _rule(("create",), ("authentication.k8s.io",), ("tokenreviews",)),
            _rule(("create",), ("authorization.k8s.io",), ("subjectaccessreviews",)),
        ],
    )
    yield _aggregated("admin")
    yield _aggregated("edit", into="admin")
    yield _aggregated("view", into="edit")
    yield _role("system:aggregate-to-admin", _admin_rules(), into="admin")
    yield _role("system:aggregate-to-edit", _edit_rules(), into="edit")
    yield _role("system:aggregate-to-view", _view_rules(), into="view")
    yield _role("raysail:aggregate-to-edit", [_rule(_WRITE, ("ray.io",), _RAY), _rule(_WRITE, ("batch",), ("jobs",))], into="edit")
    yield _role(
        "raysail:aggregate-to-view",
        [
            _rule(_READ, ("ray.io",), (*_RAY, *(f"{plural}/status" for plural in _RAY))),
            _rule(_READ, ("kueue.x-k8s.io",), ("localqueues", "localqueues/status", "workloads", "workloads/status")),
        ],
        into="view",
    )


_RAY: Final = ("rayclusters", "rayjobs", "rayservices", "raycronjobs")


def _admin_rules() -> list[JsonObject]:
    return [
        _rule(("create",), ("authorization.k8s.io",), ("localsubjectaccessreviews",)),
        _rule((*_READ, *_WRITE), ("rbac.authorization.k8s.io",), ("roles", "rolebindings")),
    ]


def _edit_rules() -> list[JsonObject]:
    return [
        _rule(_READ, ("",), ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy")),
        _rule(("impersonate",), ("",), ("serviceaccounts",)),
        _rule(_WRITE, ("",), ("pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy")),
        _rule(("create",), ("",), ("pods/eviction",)),
        _rule(_WRITE, ("",), ("configmaps", "persistentvolumeclaims", "secrets", "serviceaccounts", "services", "services/proxy")),
        _rule(("create",), ("",), ("serviceaccounts/token",)),
        _rule(_WRITE, ("", "events.k8s.io"), ("events",)),
        _rule(
            _WRITE,
            ("apps",),
            (
                "daemonsets",
                "deployments",
                "deployments/rollback",
                "deployments/scale",
                "replicasets",
                "replicasets/scale",
                "statefulsets",
                "statefulsets/scale",
            ),
        ),
        _rule(_WRITE, ("batch",), ("cronjobs", "jobs")),
        _rule(_WRITE, ("networking.k8s.io",), ("ingresses", "networkpolicies")),
        _rule(_WRITE, ("policy",), ("poddisruptionbudgets",)),
        _rule((*_READ, *_WRITE), ("coordination.k8s.io",), ("leases",)),
    ]


def _view_rules() -> list[JsonObject]:
    def with_status(*plurals: str) -> tuple[str, ...]:
        return tuple(sorted(name for plural in plurals for name in (plural, f"{plural}/status")))

    apps = ("daemonsets", "deployments", "replicasets", "statefulsets")
    return [
        _rule(
            _READ,
            ("",),
            (
                "configmaps",
                "endpoints",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
                "serviceaccounts",
                "services",
                "services/status",
            ),
        ),
        _rule(
            _READ,
            ("",),
            ("bindings", "limitranges", "namespaces/status", "pods/log", "pods/status", "resourcequotas", "resourcequotas/status"),
        ),
        _rule(_READ, ("",), ("namespaces",)),
        _rule(_READ, ("", "events.k8s.io"), ("events",)),
        _rule(_READ, ("discovery.k8s.io",), ("endpointslices",)),
        _rule(
            _READ, ("apps",), ("controllerrevisions", *with_status(*apps), "deployments/scale", "replicasets/scale", "statefulsets/scale")
        ),
        _rule(_READ, ("batch",), with_status("cronjobs", "jobs")),
        _rule(_READ, ("networking.k8s.io",), ("ingresses", "ingresses/status", "networkpolicies")),
        _rule(_READ, ("policy",), with_status("poddisruptionbudgets")),
    ]


def _rule(verbs: Sequence[str], groups: Sequence[str], resources: Sequence[str]) -> JsonObject:
    return {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}


def _urls(verbs: Sequence[str], *urls: str) -> JsonObject:
    return {"nonResourceURLs": list(urls), "verbs": list(verbs)}


def _metadata(name: str, into: str = "") -> JsonObject:
    labels = _LABELS | ({f"{_AGGREGATE}{into}": "true"} if into else {})
    return {"name": name, "labels": labels, "annotations": dict(_ANNOTATIONS)}


def _role(name: str, rules: list[JsonObject], into: str = "") -> JsonObject:
    return {"apiVersion": _API, "kind": "ClusterRole", "metadata": _metadata(name, into), "rules": rules}


def _aggregated(name: str, into: str = "") -> JsonObject:
    selector = {"matchLabels": {f"{_AGGREGATE}{name}": "true"}}
    return _role(name, [], into) | {"aggregationRule": {"clusterRoleSelectors": [selector]}}


def _role_ref(name: str) -> JsonObject:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def _group(name: str) -> JsonObject:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}


def _binding(name: str, groups: Sequence[str]) -> JsonObject:
    return {
        "apiVersion": _API,
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(name),
        "roleRef": _role_ref(name),
        "subjects": [_group(g) for g in groups],
    }
