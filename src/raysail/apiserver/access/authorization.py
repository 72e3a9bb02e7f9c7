"""RBAC: may this user do that. Evaluated over the Roles and bindings of the store, kept in memory and current.

Rules: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac and pkg/apis/rbac/v1/evaluation_helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from raysail.api import selectors
from raysail.api.errors import StatusError
from raysail.apiserver.access.users import User, split_service_account

Rule = Mapping[str, Any]


class Attributes(NamedTuple):
    """What is asked for. Either a resource, or (`resource` empty) a `path` such as /version."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def with_verb(self, verb: str) -> Attributes:
        """The same request under another verb."""
        return self._replace(verb=verb)


class Authorizer:
    """The present roles and bindings, and what they allow.

    The API calls `set_object`/`remove_object` for every change of the four RBAC kinds, in order.
    """

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._bindings: dict[str, dict[str, Mapping[str, Any]]] = {}

    def set_object(self, plural: str, obj: Mapping[str, Any]) -> None:
        """A role or binding was created or changed."""
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        if plural in ("roles", "clusterroles"):
            self._roles[namespace, name] = obj
        else:
            self._bindings.setdefault(namespace, {})[name] = obj

    def remove_object(self, plural: str, namespace: str, name: str) -> None:
        """A role or binding is gone."""
        if plural in ("roles", "clusterroles"):
            self._roles.pop((namespace, name), None)
        else:
            self._bindings.get(namespace, {}).pop(name, None)

    def allowed(self, user: User, request: Attributes) -> bool:
        """Whether any rule allows it. Members of system:masters may do everything."""
        if user.is_master:
            return True
        return any(rule_allows(rule, request) for rule in self.rules_for(user, request.namespace))

    def rules_for(self, user: User, namespace: str = "") -> Iterator[Rule]:
        """All rules that hold for the user in the namespace: those of cluster bindings and of the namespace's."""
        for scope in ("", namespace) if namespace else ("",):
            for binding in self._bindings.get(scope, {}).values():
                if any(_is_subject(user, subject, scope) for subject in binding.get("subjects") or ()):
                    yield from self.rules_of(binding.get("roleRef") or {}, scope)

    def rules_of(self, role_ref: Mapping[str, Any], namespace: str) -> Sequence[Rule]:
        """The rules of the role that a binding in the namespace refers to; an aggregated ClusterRole's are gathered on the spot."""
        scope = "" if role_ref.get("kind") == "ClusterRole" else namespace
        role = self._roles.get((scope, role_ref.get("name", "")))
        if role is None:
            return ()
        return self.aggregated_rules(role) if role.get("aggregationRule") else role.get("rules") or ()

    def aggregated_rules(self, role: Mapping[str, Any]) -> list[Rule]:
        """The union of the rules of the ClusterRoles that an aggregation rule selects, in order of name."""
        wanted = [selectors.from_object(s) for s in role["aggregationRule"].get("clusterRoleSelectors") or ()]
        rules: list[Rule] = []
        for (namespace, _), other in sorted(self._roles.items(), key=lambda item: item[0]):
            if namespace or other is role or not any(s.matches(other["metadata"].get("labels")) for s in wanted):
                continue
            own = self.aggregated_rules(other) if other.get("aggregationRule") else other.get("rules") or ()
            rules += [rule for rule in own if rule not in rules]
        return rules

    def escalation(self, user: User, rules: Sequence[Rule], namespace: str) -> list[Rule]:
        """Those of `rules` that the user does not hold: nobody may grant what they may not do."""
        if user.is_master:
            return []
        held = list(self.rules_for(user, namespace))
        return [rule for rule in rules if not all(any(_covers(own, atom) for own in held) for atom in _atoms(rule))]


def rule_allows(rule: Rule, request: Attributes) -> bool:
    """Whether one PolicyRule allows the request."""
    if not _has(rule.get("verbs"), request.verb):
        return False
    if not request.resource:
        return any(
            url in ("*", request.path) or (url.endswith("*") and request.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    if not _has(rule.get("apiGroups"), request.group):
        return False
    combined = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    resources = rule.get("resources") or ()
    if not ("*" in resources or combined in resources or (request.subresource and f"*/{request.subresource}" in resources)):
        return False
    names = rule.get("resourceNames")
    return not names or request.name in names


def forbidden(user: User, request: Attributes, reason: str = "") -> StatusError:
    """The 403 that kube-apiserver answers (responsewriters/errors.go)."""
    if not request.resource:
        message = f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"'
        return StatusError("Forbidden", message + (f": {reason}" if reason else ""), empty_details=True)
    qualified = f"{request.resource}.{request.group}" if request.group else request.resource
    combined = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    text = f'User "{user.name}" cannot {request.verb} resource "{combined}" in API group "{request.group}" {where}'
    subject = f'{qualified} "{request.name}" is forbidden' if request.name else f"{qualified} is forbidden"
    details = {key: value for key, value in (("name", request.name), ("group", request.group), ("kind", request.resource)) if value}
    return StatusError("Forbidden", f"{subject}: {text}" + (f": {reason}" if reason else ""), details=details)


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return bool(values) and ("*" in (values or ()) or wanted in (values or ()))


def _is_subject(user: User, subject: Mapping[str, Any], namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject.get("name") == user.name)
        case "Group":
            return subject.get("name") in user.groups
        case "ServiceAccount":
            return split_service_account(user.name) == (subject.get("namespace") or namespace, subject.get("name"))
    return False


def _atoms(rule: Rule) -> Iterator[Rule]:
    """The rule taken apart into rules of one verb, group, resource and name each."""
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [url]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or (None,):
                    atom: dict[str, Any] = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                    yield atom | ({"resourceNames": [name]} if name is not None else {})


def _covers(owner: Rule, atom: Rule) -> bool:
    if not _has(owner.get("verbs"), atom["verbs"][0]):
        return False
    if "nonResourceURLs" in atom:
        url = atom["nonResourceURLs"][0]
        return any(u in ("*", url) or (u.endswith("*") and url.startswith(u[:-1])) for u in owner.get("nonResourceURLs") or ())
    resource = atom["resources"][0]
    resources = owner.get("resources") or ()
    subresource = resource.partition("/")[2]
    known = "*" in resources or resource in resources or (subresource and f"*/{subresource}" in resources)
    names = owner.get("resourceNames")
    named = not names or ("resourceNames" in atom and atom["resourceNames"][0] in names)
    return _has(owner.get("apiGroups"), atom["apiGroups"][0]) and bool(known) and named
