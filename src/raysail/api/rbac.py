"""rbac.authorization.k8s.io/v1 as read views: roles and their bindings."""

from __future__ import annotations

from typing import Any, Final

from msgspec import field

from raysail.api.meta import Object, View

GROUP: Final = "rbac.authorization.k8s.io"
CLUSTER_ADMIN: Final = "cluster-admin"


class PolicyRule(View, frozen=True):
    """Verbs on resources, or on URLs. `*` stands for all."""

    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = field(default=None, name="nonResourceURLs")


class AggregationRule(View, frozen=True):
    """Selects the ClusterRoles whose rules are put together."""

    cluster_role_selectors: list[dict[str, Any]] | None = None


class Role(Object, frozen=True):
    """What is allowed in a namespace."""

    rules: list[PolicyRule] | None = None


class ClusterRole(Object, frozen=True):
    """What is allowed everywhere, or where a RoleBinding says so."""

    rules: list[PolicyRule] | None = None
    aggregation_rule: AggregationRule | None = None


class RoleRef(View, frozen=True):
    """The role that is given."""

    api_group: str = ""
    kind: str = ""
    name: str = ""


class Subject(View, frozen=True):
    """Who gets it: User, Group or ServiceAccount."""

    kind: str = ""
    api_group: str = ""
    name: str = ""
    namespace: str = ""


class RoleBinding(Object, frozen=True):
    """Gives a role in one namespace."""

    subjects: list[Subject] | None = None
    role_ref: RoleRef = RoleRef()


class ClusterRoleBinding(Object, frozen=True):
    """Gives a ClusterRole everywhere."""

    subjects: list[Subject] | None = None
    role_ref: RoleRef = RoleRef()
