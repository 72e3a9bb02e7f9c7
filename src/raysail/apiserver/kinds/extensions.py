"""Kinds by which the API itself is extended: webhook configurations, admission policies, APIService; and ServiceCIDR and IPAddress.

pkg/apis/{admissionregistration,networking}/validation, kube-aggregator pkg/apis/apiregistration/validation. Expressions of policies are not compiled:
nothing evaluates them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from raysail.api.causes import duplicate, invalid, not_supported, required
from raysail.apiserver.kinds.fields import (
    IMMUTABLE,
    Faults,
    JsonMap,
    between,
    check_choice,
    check_cidr,
    check_selector,
    check_subdomain,
    dns1035_faults,
    each,
)
from raysail.apiserver.kinds.rules import Rules, spec_differs
from raysail.apiserver.rest.names import label_faults, subdomain_faults

_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_REVIEW_VERSIONS: Final = ("v1", "v1beta1")
_FORM: Final = "; desired format: https://host[/path]"


# Webhooks.


def _check_webhooks(*, mutating: bool) -> Any:
    def check(obj: JsonMap, faults: Faults) -> None:
        names: set[str] = set()
        for index, hook in enumerate(obj.get("webhooks") or ()):
            at, name = f"webhooks[{index}]", hook.get("name", "")
            _check_webhook(hook, at, faults, mutating=mutating)
            _check_review_versions(hook.get("admissionReviewVersions") or [], f"{at}.admissionReviewVersions", faults)
            if name and name in names:
                faults.append(duplicate(f"{at}.name", name))
            names.add(name)

    return check


def _check_webhook(hook: JsonMap, at: str, faults: Faults, *, mutating: bool) -> None:
    _check_full_name(hook.get("name", ""), f"{at}.name", faults)
    for index, rule in enumerate(hook.get("rules") or ()):
        _check_rule(rule, f"{at}.rules[{index}]", faults)
    for name, choices in (("failurePolicy", ("Fail", "Ignore")), ("matchPolicy", ("Equivalent", "Exact"))):
        if hook.get(name) is not None and hook[name] not in choices:
            faults.append(not_supported(f"{at}.{name}", hook[name], choices))
    effects = hook.get("sideEffects")
    if effects is None:
        faults.append(required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun"))
    elif effects not in ("None", "NoneOnDryRun"):
        faults.append(not_supported(f"{at}.sideEffects", effects, ("None", "NoneOnDryRun")))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        faults.append(invalid(f"{at}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"))
    for name in ("namespaceSelector", "objectSelector"):
        check_selector(hook.get(name), f"{at}.{name}", faults)
    if mutating and hook.get("reinvocationPolicy") not in (None, "Never", "IfNeeded"):
        faults.append(not_supported(f"{at}.reinvocationPolicy", hook["reinvocationPolicy"], ("IfNeeded", "Never")))
    client = hook.get("clientConfig") or {}
    if (client.get("url") is None) == (client.get("service") is None):
        faults.append(required(f"{at}.clientConfig", "exactly one of url or service is required"))
    elif client.get("url") is not None:
        _check_url(client["url"], f"{at}.clientConfig.url", faults)
    else:
        _check_service(client["service"], f"{at}.clientConfig.service", faults)


def _check_full_name(name: str, at: str, faults: Faults) -> None:
    if not name:
        faults.append(required(at))
        return
    if texts := subdomain_faults(name):
        faults.append(invalid(at, name, ", ".join(texts)))
    elif name.count(".") < 2:
        faults.append(invalid(at, name, "should be a domain with at least three segments separated by dots"))


def _check_review_versions(versions: list[str], at: str, faults: Faults) -> None:
    if not versions:
        faults.append(required(at, "must specify one of v1, v1beta1"))
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            faults.append(invalid(f"{at}[{index}]", version, "duplicate version"))
        else:
            each(faults, f"{at}[{index}]", version, dns1035_faults(version))
    if not set(versions) & set(_REVIEW_VERSIONS):
        faults.append(invalid(at, versions, "must include at least one of v1, v1beta1"))


def _check_rule(rule: JsonMap, at: str, faults: Faults) -> None:
    operations = rule.get("operations") or []
    if not operations:
        faults.append(required(f"{at}.operations"))
    if len(operations) > 1 and "*" in operations:
        faults.append(invalid(f"{at}.operations", operations, "if '*' is present, must not specify other operations"))
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            faults.append(not_supported(f"{at}.operations[{index}]", operation, _OPERATIONS))
    for name, called in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(name) or []
        if not values:
            faults.append(required(f"{at}.{name}"))
        if len(values) > 1 and "*" in values:
            faults.append(invalid(f"{at}.{name}", values, f"if '*' is present, must not specify other {called}"))
        if name == "apiVersions":
            faults.extend(required(f"{at}.{name}[{index}]") for index, value in enumerate(values) if not value)
    _check_resources(rule.get("resources") or [], f"{at}.resources", faults)
    if rule.get("scope") not in (None, "*", "Cluster", "Namespaced"):
        faults.append(not_supported(f"{at}.scope", rule["scope"], ("*", "Cluster", "Namespaced")))


def _check_resources(resources: list[str], at: str, faults: Faults) -> None:
    if not resources:
        faults.append(required(at))
    whole: set[str] = set()
    everywhere: set[str] = set()
    for index, entry in enumerate(resources):
        here = f"{at}[{index}]"
        resource, slash, part = entry.partition("/")
        if not entry:
            faults.append(required(here))
        if not slash:
            continue
        if resource in whole:
            faults.append(invalid(here, entry, f"if '{resource}/*' is present, must not specify {entry}"))
        if part in everywhere:
            faults.append(invalid(here, entry, f"if '*/{part}' is present, must not specify {entry}"))
        if part == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(part)
    if len(resources) > 1 and "*/*" in resources:
        faults.append(invalid(at, resources, "if '*/*' is present, must not specify other resources"))
    plain = [entry for entry in resources if entry and "/" not in entry]
    if "*" in resources and plain and plain[-1] != "*":
        faults.append(invalid(at, resources, "if '*' is present, must not specify other resources without subresources"))


def _check_url(text: str, at: str, faults: Faults) -> None:
    try:
        url = urlsplit(text)
    except ValueError as error:
        faults.append(required(at, f"url must be a valid URL: {error}{_FORM}"))
        return
    if url.scheme != "https":
        faults.append(invalid(at, url.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, _, host = url.netloc.rpartition("@")
    if not host:
        faults.append(invalid(at, host, f"host must be specified{_FORM}"))
    for value, what in ((user, "user information is"), (url.fragment, "fragments are"), (url.query, "query parameters are")):
        if value:
            faults.append(invalid(at, value, f"{what} not permitted in the URL"))


def _check_service(service: JsonMap, at: str, faults: Faults) -> None:
    faults.extend(required(f"{at}.{name}") for name in ("name", "namespace") if not service.get(name))
    port, path = service.get("port", 0), service.get("path") or ""
    if not 1 <= port <= 65535:
        faults.append(invalid(f"{at}.port", port, f"port is not valid: {between(1, 65535)}"))
    if path in ("", "/"):
        return
    if not path.startswith("/"):
        faults.append(invalid(f"{at}.path", path, "must start with a '/'"))
    for index, step in enumerate(path[1:].removesuffix("/").split("/")):
        if not step:
            faults.append(invalid(f"{at}.path", path, f"segment[{index}] may not be empty"))
        else:
            each(faults, f"{at}.path", path, (f"segment[{index}]: {text}" for text in subdomain_faults(step)))


def _webhooks_differ(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return obj.get("webhooks") != old.get("webhooks")


# Admission policies.


def _check_policy(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    check_choice(spec.get("failurePolicy"), ("Fail", "Ignore"), "spec.failurePolicy", faults)
    if not (spec.get("matchConstraints") or {}).get("resourceRules"):
        at = "spec.matchConstraints" + (".resourceRules" if spec.get("matchConstraints") is not None else "")
        faults.append(required(at))
    for index, rule in enumerate((spec.get("matchConstraints") or {}).get("resourceRules") or ()):
        _check_rule(rule, f"spec.matchConstraints.resourceRules[{index}]", faults)


def _check_validating_policy(obj: JsonMap, faults: Faults) -> None:
    _check_policy(obj, faults)
    spec = obj.get("spec") or {}
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        for name, other in (("validations", "auditAnnotations"), ("auditAnnotations", "validations")):
            faults.append(required(f"spec.{name}", f"{name} or {other} must contain at least one item"))
    for index, validation in enumerate(spec.get("validations") or ()):
        if not (validation.get("expression") or "").strip():
            faults.append(required(f"spec.validations[{index}].expression", "expression is not specified"))


def _check_binding(obj: JsonMap, faults: Faults) -> None:
    name = (obj.get("spec") or {}).get("policyName", "")
    if not name:
        faults.append(required("spec.policyName"))
    else:
        check_subdomain(name, "spec.policyName", faults)


# APIService.


def _check_api_service(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    group, version, name = spec.get("group", ""), spec.get("version", ""), obj["metadata"].get("name", "")
    if name and name != f"{version}.{group}":
        faults.append(invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{version}.{group}"'))
    if not group and version != "v1":
        faults.append(required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if group:
        check_subdomain(group, "spec.group", faults)
    each(faults, "spec.version", version, dns1035_faults(version))
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        if not 0 < spec.get(field, 0) <= most:
            faults.append(invalid(f"spec.{field}", spec.get(field, 0), f"must be positive and less than {most}"))
    service, bundle, insecure = spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify", False)
    if service is None:
        if bundle:
            size = len(bundle) * 3 // 4 - bundle[-2:].count("=")
            faults.append(invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle"))
        if insecure:
            text = "local APIServices may not have insecureSkipTLSVerify"
            faults.append(invalid("spec.insecureSkipTLSVerify", insecure, text))
        return
    faults.extend(required(f"spec.service.{field}") for field in ("namespace", "name") if not service.get(field))
    if not 1 <= service.get("port", 0) <= 65535:
        faults.append(invalid("spec.service.port", service.get("port", 0), f"port is not valid: {between(1, 65535)}"))
    if insecure and bundle:
        faults.append(invalid("spec.insecureSkipTLSVerify", insecure, "may not be true if caBundle is present"))


# Addresses.


def _check_service_cidr(obj: JsonMap, faults: Faults) -> None:
    ranges = (obj.get("spec") or {}).get("cidrs") or []
    if not ranges:
        faults.append(required("spec.cidrs", "at least one CIDR required"))
    elif len(ranges) > 2:
        faults.append(invalid("spec.cidrs", obj["spec"], "may only hold up to 2 values"))
    else:
        valid = [check_cidr(value, f"spec.cidrs[{index}]", faults) for index, value in enumerate(ranges)]
        if len(ranges) == 2 and all(valid) and len({":" in value for value in ranges}) == 1:
            text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            faults.append(invalid("spec.cidrs", ranges, text))


def _check_service_cidr_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    now, was = [(o.get("spec") or {}).get("cidrs") or [] for o in (obj, old)]
    if len(now) == len(was) or (len(was), len(now)) == (1, 2):
        faults.extend(invalid(f"spec.cidrs[{index}]", now[index], IMMUTABLE) for index, value in enumerate(was) if now[index] != value)
    else:
        faults.append(invalid("spec.cidrs", now, IMMUTABLE))


def _check_address(obj: JsonMap, faults: Faults) -> None:
    name = obj["metadata"].get("name", "")
    try:
        canonical = str(ipaddress.ip_address(name)) == name
    except ValueError:
        canonical = False
    if name and not canonical:
        faults.append(invalid("metadata.name", name, "must be a valid IP address in canonical form"))
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        faults.append(required("spec.parentRef"))
        return
    for field in ("resource", "name"):
        if not parent.get(field):
            faults.append(required(f"spec.parentRef.{field}"))
        else:
            check = label_faults if field == "resource" else subdomain_faults
            each(faults, f"spec.parentRef.{field}", parent[field], check(parent[field]))


def _check_address_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    now, was = [(o.get("spec") or {}).get("parentRef") for o in (obj, old)]
    if now != was:
        faults.append(invalid("spec.parentRef", now, IMMUTABLE))


VALIDATING_WEBHOOKS: Final = Rules(check=_check_webhooks(mutating=False), changed=_webhooks_differ)
MUTATING_WEBHOOKS: Final = Rules(check=_check_webhooks(mutating=True), changed=_webhooks_differ)
VALIDATING_POLICY: Final = Rules(has_status=True, check=_check_validating_policy, changed=spec_differs)
MUTATING_POLICY: Final = Rules(check=_check_policy, changed=spec_differs)
POLICY_BINDING: Final = Rules(check=_check_binding, changed=spec_differs)
API_SERVICE: Final = Rules(has_status=True, check=_check_api_service, status_keeps=("*",))
SERVICE_CIDR: Final = Rules(has_status=True, check=_check_service_cidr, check_update=_check_service_cidr_update)
IP_ADDRESS: Final = Rules(check=_check_address, check_update=_check_address_update)
