"""Requests and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_found, required
from raysail.api.names import label_key_faults
from raysail.api.quantity import NANO, canonical, parse_nano
from raysail.apiserver.kinds.fields import NOT_INTEGER, Faults, JsonMap, check_nonnegative_quantity, check_qualified_name, each

NameCheck = Callable[[str, str, Faults], None]

_STANDARD_CONTAINER: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_STANDARD: Final = _STANDARD_CONTAINER | {
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
}
_NATIVE_PREFIX: Final = "kubernetes.io/"
_COUNTED: Final = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)


def is_huge_page(name: str) -> bool:
    """Whether it is `hugepages-SIZE`."""
    return name.startswith("hugepages-")


def is_standard(name: str) -> bool:
    """Whether Kubernetes itself names it."""
    return name in _STANDARD or is_huge_page(name) or name.startswith("requests.hugepages-")


def is_native(name: str) -> bool:
    """Whether it has no domain, or Kubernetes' own."""
    return "/" not in name or _NATIVE_PREFIX in name


def is_extended(name: str) -> bool:
    """Whether it is a device or the like: with a domain, and fit to be quoted in a quota."""
    return not is_native(name) and not name.startswith("requests.") and not label_key_faults(f"requests.{name}")


def allows_overcommit(name: str) -> bool:
    """Whether a limit may be higher than the request."""
    return is_native(name) and not is_huge_page(name)


def check_resource_name(name: str, at: str, faults: Faults) -> bool:
    """Any resource's name. Whether it is well formed."""
    texts = label_key_faults(name)
    each(faults, at, name, texts)
    if not texts and "/" not in name and not is_standard(name):
        faults.append(invalid(at, name, "must be a standard resource type or fully qualified"))
        return False
    return not texts


def check_container_resource_name(name: str, at: str, faults: Faults) -> None:
    """The name of something a container can have."""
    check_resource_name(name, at, faults)
    if "/" not in name:
        if name not in _STANDARD_CONTAINER and not is_huge_page(name):
            faults.append(invalid(at, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        faults.append(invalid(at, name, "doesn't follow extended resource name standard"))


def check_pod_resource_name(name: str, at: str, faults: Faults) -> None:
    """The name of something that may be set for a Pod as a whole."""
    check_resource_name(name, at, faults)
    if name not in ("cpu", "memory") and not is_huge_page(name):
        faults.append(invalid(at, name, "must be a standard resource for pods"))


def check_amount(name: str, amount: Any, at: str, faults: Faults) -> None:
    """An amount of that resource."""
    check_nonnegative_quantity(amount, at, faults)
    if (name in _COUNTED or is_extended(name)) and parse_nano(amount) % NANO:
        faults.append(invalid(at, amount, NOT_INTEGER))


def check_requirements(
    resources: JsonMap | None, claims: frozenset[str], at: str, faults: Faults, *, check_name: NameCheck = check_container_resource_name
) -> None:
    """Requests and limits, each alone and one against the other. `claims` are the names of the Pod's resource claims."""
    if not resources:
        return
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{at}.{kind}[{name}]"
            check_name(name, here, faults)
            check_amount(name, amount, here, faults)
            if kind == "requests":
                _check_against_limit(name, amount, limits, at, faults)
            if is_huge_page(name):
                _check_huge_page(name, amount, here, faults)
    names = {*limits, *requests}
    if any(map(is_huge_page, names)) and not names & {"cpu", "memory"}:
        faults.append(forbidden(at, "HugePages require cpu or memory"))
    _check_claims(resources.get("claims") or [], claims, f"{at}.claims", faults)


def _check_against_limit(name: str, amount: Any, limits: JsonMap, at: str, faults: Faults) -> None:
    limit = limits.get(name)
    if limit is None:
        if not allows_overcommit(name):
            faults.append(required(f"{at}.limits", "Limit must be set for non overcommitable resources"))
        return
    asked, allowed = parse_nano(amount), parse_nano(limit)
    if asked != allowed and not allows_overcommit(name):
        faults.append(invalid(f"{at}.requests", canonical(amount), f"must be equal to {name} limit of {canonical(limit)}"))
    elif asked > allowed:
        faults.append(invalid(f"{at}.requests", canonical(amount), f"must be less than or equal to {name} limit of {canonical(limit)}"))


def _check_huge_page(name: str, amount: Any, at: str, faults: Faults) -> None:
    try:
        size = parse_nano(name.removeprefix("hugepages-"))
    except ValueError:
        faults.append(
            invalid(at, canonical(amount), "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        )
        return
    if size <= 0 or parse_nano(amount) % size:
        text = f"{canonical(amount)} is not positive integer multiple of {name.removeprefix('hugepages-')}"
        faults.append(invalid(at, canonical(amount), text))


def _check_claims(used: list[Any], claims: frozenset[str], at: str, faults: Faults) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(used):
        here, name, request = f"{at}[{index}]", claim.get("name", ""), claim.get("request", "")
        if not name:
            faults.append(required(f"{here}.name"))
            continue
        key = f"{name}/{request}"
        if key in seen or name in seen:
            faults.append(duplicate(here, key if request else name))
        seen.add(key if request else name)
        if name not in claims:
            faults.append(not_found(f"{here}.name", name))


def check_quantity_map(amounts: JsonMap | None, at: str, faults: Faults) -> None:
    """A list of resources as nodes and quotas have them."""
    for name, amount in (amounts or {}).items():
        check_qualified_name(name, f"{at}[{name}]", faults)
        check_nonnegative_quantity(amount, f"{at}[{name}]", faults)
