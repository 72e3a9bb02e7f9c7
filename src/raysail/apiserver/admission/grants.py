"""Nobody grants what they do not hold: roles and bindings written by people without all rights.

k8s.io/kubernetes pkg/registry/rbac/{role,rolebinding,clusterrole,clusterrolebinding}/policybased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from raysail.api.resources import Resource
from raysail.apiserver.access.authorization import Attributes, Authorizer
from raysail.apiserver.access.users import User
from raysail.apiserver.admission.chain import Operation
from raysail.apiserver.admission.refusal import forbidden

_GROUP: Final = "rbac.authorization.k8s.io"
_EVERYTHING: Final = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class NoEscalation:
    """Asks the authorizer what the writer holds."""

    mutating = False

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def concerns(self, resource: Resource) -> bool:
        """Roles and bindings."""
        return resource.group == _GROUP

    def admit(self, operation: Operation) -> None:
        """Nothing to fill in."""

    def validate(self, operation: Operation) -> None:
        """Raises StatusError (403) for a role or binding that would give more than its writer has."""
        resource, obj = operation.definition.resource, operation.object
        if resource.group != _GROUP or obj is None or operation.verb not in ("create", "update") or operation.user.is_master:
            return
        if resource.kind in ("Role", "ClusterRole"):
            self._role(operation, obj)
        else:
            self._binding(operation, obj)

    def _role(self, operation: Operation, role: Mapping[str, Any]) -> None:
        old = operation.old or {}
        rules, aggregation = role.get("rules") or [], role.get("aggregationRule")
        if operation.verb == "update" and rules == (old.get("rules") or []) and aggregation == old.get("aggregationRule"):
            return
        if self._may(operation.user, "escalate", operation.definition.resource.plural, operation.namespace, operation.name):
            return
        needed = [*rules, *(_EVERYTHING if aggregation and aggregation != old.get("aggregationRule") else ())]
        self._confirm(operation, needed)

    def _binding(self, operation: Operation, binding: Mapping[str, Any]) -> None:
        old = operation.old or {}
        if operation.verb == "update" and all(binding.get(key) == old.get(key) for key in ("roleRef", "subjects")):
            return
        reference = binding.get("roleRef") or {}
        plural = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        if self._may(operation.user, "bind", plural, operation.namespace, reference.get("name", "")):
            return
        self._confirm(operation, self._authorizer.rules_of(reference, operation.namespace))

    def _may(self, user: User, verb: str, plural: str, namespace: str, name: str) -> bool:
        return self._authorizer.allowed(user, Attributes(verb, _GROUP, plural, "", namespace, name))

    def _confirm(self, operation: Operation, rules: Sequence[Mapping[str, Any]]) -> None:
        missing = self._authorizer.escalation(operation.user, rules, operation.namespace)
        if missing:
            user = operation.user
            groups = " ".join(f'"{group}"' for group in user.groups)
            shown = "\n".join(sorted(_text(rule) for rule in missing))
            text = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{shown}'
            raise forbidden(operation, text)


def _text(rule: Mapping[str, Any]) -> str:
    """A rule as Kubernetes prints it (PolicyRule CompactString)."""
    parts = []
    for key, name in (
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("resourceNames", "ResourceNames"),
        ("verbs", "Verbs"),
    ):
        values = rule.get(key)
        if values:
            quoted = " ".join(f'"{value}"' for value in values)
            parts.append(f"{name}:[{quoted}]")
    return "{" + ", ".join(parts) + "}"
