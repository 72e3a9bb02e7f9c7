"""What Kueue's webhooks say about ResourceFlavors (pkg/webhooks/resourceflavor_webhook.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysail.api import causes
from raysail.api.causes import duplicate
from raysail.api.errors import Cause
from raysail.api.names import label_key_causes, label_value_faults, labels_causes

Json = Mapping[str, Any]


def resource_flavor_causes(flavor: Json) -> list[Cause]:
    """Faults of a new or changed ResourceFlavor."""
    spec = flavor.get("spec") or {}
    found = labels_causes(spec.get("nodeLabels"), "spec.nodeLabels")
    found += _taints_causes(spec.get("nodeTaints") or (), "spec.nodeTaints")
    return found + tolerations_causes(spec.get("tolerations") or (), "spec.tolerations")


def tolerations_causes(tolerations: Sequence[Json], field: str) -> list[Cause]:
    """Keys of tolerations are label keys; an empty one stands for all."""
    return [
        cause
        for at, toleration in enumerate(tolerations)
        if toleration.get("key")
        for cause in label_key_causes(toleration["key"], f"{field}[{at}].key")
    ]


def _taints_causes(taints: Sequence[Json], field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for at, taint in enumerate(taints):
        path, key, value, effect = f"{field}[{at}]", taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        found += label_key_causes(key, f"{path}.key")
        if faults := label_value_faults(value):
            found.append(causes.invalid(f"{path}.value", value, ";".join(faults)))
        if (key, effect) in seen:
            twice = duplicate(path, dict(taint))
            found.append(Cause(twice.reason, f"{twice.message}: taints must be unique by key and effect pair", path))
        seen.add((key, effect))
    return found
