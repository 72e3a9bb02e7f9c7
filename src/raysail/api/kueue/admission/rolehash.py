"""The hash that tells which Pods of a group play the same role: what decides about scheduling, as Go writes it in JSON (pkg/util/pod)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from raysail.api.quantity import canonical

Json = Mapping[str, Any]
_PORT: Final = ("name", "hostPort", "containerPort", "protocol", "hostIP")
_TOLERATION: Final = ("key", "operator", "value", "effect", "tolerationSeconds")
_NODE_REQUIREMENT: Final = ("key", "operator", "values")
_SELECTOR: Final = ("matchLabels", "matchExpressions")
_SPREAD: Final = (
    "maxSkew",
    "topologyKey",
    "whenUnsatisfiable",
    "labelSelector",
    "minDomains",
    "nodeAffinityPolicy",
    "nodeTaintsPolicy",
    "matchLabelKeys",
)
_CLAIM: Final = ("name", "resourceClaimName", "resourceClaimTemplateName")
_AFFINITY: Final = (
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
    "weight",
    "podAffinityTerm",
    "preference",
    "matchExpressions",
    "matchFields",
    "labelSelector",
    "namespaces",
    "topologyKey",
    "namespaceSelector",
    "matchLabelKeys",
    "mismatchLabelKeys",
)
"""Fields of affinities of all depths, in the order of Go's structs."""


def spec_shape(spec: Json) -> dict[str, Any]:
    """What of a Pod's spec decides about scheduling (SpecShape), keys sorted as Go sorts those of maps."""
    shape = {
        "affinity": _ordered(spec.get("affinity"), _AFFINITY),
        "containers": _containers(spec.get("containers")),
        "initContainers": _containers(spec.get("initContainers")),
        "nodeSelector": _sorted(spec.get("nodeSelector")),
        "overhead": _amounts(spec.get("overhead")),
        "priority": spec.get("priority"),
        "resourceClaims": _each(spec.get("resourceClaims"), _CLAIM),
    }
    if spec.get("resources") is not None:
        shape["resources"] = _amounts(spec["resources"].get("requests"))
    return {
        **shape,
        "runtimeClassName": spec.get("runtimeClassName"),
        "tolerations": _each(spec.get("tolerations"), _TOLERATION),
        "topologySpreadConstraints": _each(spec.get("topologySpreadConstraints"), _SPREAD),
    }


def role_hash(spec: Json) -> str:
    """Eight hexadecimal digits; the same for Pods that are alike to the scheduler."""
    return hashlib.sha256(orjson.dumps({"spec": spec_shape(spec)})).hexdigest()[:8]


def _containers(containers: Sequence[Json] | None) -> list[dict[str, Any]] | None:
    if not containers:
        return None
    return [
        {"ports": _each(c.get("ports"), _PORT), "resources": {"requests": _amounts((c.get("resources") or {}).get("requests"))}}
        for c in containers
    ]


def _each(items: Sequence[Json] | None, order: tuple[str, ...]) -> list[Any] | None:
    return [_ordered(item, order) for item in items] if items else None


def _ordered(value: Any, order: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        nested = _SELECTOR if set(value) <= set(_SELECTOR) and "matchLabels" in value else order
        if set(value) <= set(_NODE_REQUIREMENT):
            nested = _NODE_REQUIREMENT
        known = [key for key in nested if key in value]
        return {key: _ordered(value[key], order) for key in [*known, *sorted(set(value) - set(known))]}
    return [_ordered(item, order) for item in value] if isinstance(value, list) else value


def _sorted(values: Mapping[str, str] | None) -> dict[str, str] | None:
    return {key: values[key] for key in sorted(values)} if values else None


def _amounts(amounts: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {name: canonical(amounts[name]) for name in sorted(amounts)} if amounts is not None else None
