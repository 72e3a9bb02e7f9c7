"""Role, ClusterRole and their bindings (pkg/apis/rbac/validation)."""

from __future__ import annotations

from typing import Final

from raysail.api.causes import invalid, not_supported, required
from raysail.apiserver.kinds.fields import Faults, JsonMap, check_selector, check_subdomain, each
from raysail.apiserver.kinds.rules import Check, Rules
from raysail.apiserver.rest.names import segment_faults

_GROUP: Final = "rbac.authorization.k8s.io"


def _check_rule(rule: JsonMap, at: str, faults: Faults, *, namespaced: bool) -> None:
    urls = rule.get("nonResourceURLs") or []
    if not rule.get("verbs"):
        faults.append(required(f"{at}.verbs", "verbs must contain at least one value"))
    if urls:
        if namespaced:
            faults.append(invalid(f"{at}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            faults.append(invalid(f"{at}.nonResourceURLs", urls, text))
        return
    if not rule.get("apiGroups"):
        faults.append(required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        faults.append(required(f"{at}.resources", "resource rules must supply at least one resource"))


def _check_role(obj: JsonMap, faults: Faults) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _check_rule(rule, f"rules[{index}]", faults, namespaced=True)


def _check_cluster_role(obj: JsonMap, faults: Faults) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _check_rule(rule, f"rules[{index}]", faults, namespaced=False)
    if obj.get("aggregationRule") is None:
        return
    at = "aggregationRule.clusterRoleSelectors"
    selectors = obj["aggregationRule"].get("clusterRoleSelectors") or []
    if not selectors:
        faults.append(required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for index, selector in enumerate(selectors):
        check_selector(selector, f"{at}[{index}]", faults)


def _check_binding(kinds: tuple[str, ...], *, namespaced: bool) -> Check:
    def check(obj: JsonMap, faults: Faults) -> None:
        reference = obj.get("roleRef") or {}
        if reference.get("apiGroup") != _GROUP:
            faults.append(not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (_GROUP,)))
        if reference.get("kind") not in kinds:
            faults.append(not_supported("roleRef.kind", reference.get("kind", ""), kinds))
        if not reference.get("name"):
            faults.append(required("roleRef.name"))
        else:
            each(faults, "roleRef.name", reference["name"], segment_faults(reference["name"]))
        for index, subject in enumerate(obj.get("subjects") or ()):
            _check_subject(subject, f"subjects[{index}]", faults, namespaced=namespaced)

    return check


def _check_subject(subject: JsonMap, at: str, faults: Faults, *, namespaced: bool) -> None:
    name, kind, group = subject.get("name", ""), subject.get("kind", ""), subject.get("apiGroup", "")
    if not name:
        faults.append(required(f"{at}.name"))
    if kind == "ServiceAccount":
        if name:
            check_subdomain(name, f"{at}.name", faults)
        if group:
            faults.append(not_supported(f"{at}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            faults.append(required(f"{at}.namespace"))
    elif kind in ("User", "Group"):
        if group != _GROUP:
            faults.append(not_supported(f"{at}.apiGroup", group, (_GROUP,)))
    else:
        faults.append(not_supported(f"{at}.kind", kind, ("ServiceAccount", "User", "Group")))


def _check_same_role(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    if obj.get("roleRef") != old.get("roleRef"):
        faults.append(invalid("roleRef", obj.get("roleRef"), "cannot change roleRef"))


ROLE: Final = Rules(check=_check_role)
CLUSTER_ROLE: Final = Rules(check=_check_cluster_role)
ROLE_BINDING: Final = Rules(check=_check_binding(("Role", "ClusterRole"), namespaced=True), check_update=_check_same_role)
CLUSTER_ROLE_BINDING: Final = Rules(check=_check_binding(("ClusterRole",), namespaced=False), check_update=_check_same_role)
