"""`alpha:cpu=9;memory=36Gi,beta:cpu=18;memory=72Gi` as resource groups. Pure; the grammar and its faults are kueuectl's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from raysail.api.quantity import QuantityError, parse_nano

_SPEC: Final = re.compile(r"([a-z0-9][a-z0-9\-.]{0,252}):((?:[\w.\-]+/?)*[\w.\-]*=\w[\w.]*;)*(?:[\w.\-]+/?)*[\w.\-]*=\w[\w.]*;?", re.ASCII)
FIELDS: Final = {"nominal-quota": "nominalQuota", "borrowing-limit": "borrowingLimit", "lending-limit": "lendingLimit"}
"""Flag to field of a flavor's resource."""

Amounts = dict[str, dict[str, dict[str, str]]]
"""Flavor to resource to field to quantity, in the order in which they were said."""


class QuotaSpecError(ValueError):
    """A quota that cannot be followed; the text says which and why."""


def resource_groups(said: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """From the values of the three flags (each perhaps with commas, perhaps repeated) to spec.resourceGroups. Raises QuotaSpecError."""
    amounts: Amounts = {}
    for flag, texts in said.items():
        for text in texts:
            for spec in filter(None, (part.strip() for part in text.split(","))):
                _add(amounts, spec, flag)
    return _grouped(amounts)


def _add(amounts: Amounts, spec: str, flag: str) -> None:
    if _SPEC.fullmatch(spec) is None:
        raise QuotaSpecError(f"--{flag}: {spec!r} is not FLAVOR:RESOURCE=QUANTITY[;RESOURCE=QUANTITY...]")
    flavor, _, resources = spec.partition(":")
    named = [pair.partition("=") for pair in resources.split(";") if pair]
    if flavor in amounts and {name for name, _, _ in named} != amounts[flavor].keys():
        raise QuotaSpecError(f"--{flag}: flavor {flavor} must list the same resources each time: {', '.join(amounts[flavor])}")
    for name, _, quantity in named:
        try:
            parse_nano(quantity)
        except QuantityError as error:
            raise QuotaSpecError(f"--{flag}: {flavor}: {name}={quantity}: not a quantity such as 9, 500m or 36Gi") from error
        amounts.setdefault(flavor, {}).setdefault(name, {})[FIELDS[flag]] = quantity


def _grouped(amounts: Amounts) -> list[dict[str, Any]]:
    """Flavors that cover the same resources are one group; groups must not share a resource."""
    groups: dict[frozenset[str], dict[str, Any]] = {}
    for flavor, resources in amounts.items():
        covered = frozenset(resources)
        shared = next((sorted(other & covered) for other in groups if other != covered and other & covered), None)
        if shared:
            raise QuotaSpecError(
                f"flavor {flavor}: {', '.join(shared)} is covered by another group of flavors with other resources beside it"
            )
        group = groups.setdefault(covered, {"coveredResources": list(resources), "flavors": []})
        group["flavors"].append({"name": flavor, "resources": _quotas(group["coveredResources"], resources)})
    return list(groups.values())


def _quotas(order: Sequence[str], resources: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """In the group's order of resources, as the API wants it; a nominal quota nobody named is 0."""
    return [{"name": name, "nominalQuota": "0", **resources[name]} for name in order]
