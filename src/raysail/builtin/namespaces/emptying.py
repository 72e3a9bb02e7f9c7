"""What is left in a namespace that is being deleted, and what its status says about it.

Conditions, reasons and texts: k8s.io/kubernetes pkg/controller/namespace/deletion/status_condition_utils.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from raysail.api import conditions
from raysail.api.meta import ObjectMeta
from raysail.api.resources import PODS, Resource

FINALIZER: Final = "kubernetes"

DISCOVERY_FAILURE: Final = "NamespaceDeletionDiscoveryFailure"
PARSING_FAILURE: Final = "NamespaceDeletionGroupVersionParsingFailure"
CONTENT_FAILURE: Final = "NamespaceDeletionContentFailure"
CONTENT_REMAINING: Final = "NamespaceContentRemaining"
FINALIZERS_REMAINING: Final = "NamespaceFinalizersRemaining"


@dataclass(frozen=True, slots=True)
class Left:
    """What a look into the namespace found."""

    objects: Mapping[Resource, Sequence[ObjectMeta]] = field(default_factory=dict)
    failures: Sequence[str] = ()
    discovery_failure: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is left and everything could be looked at."""
        return not any(self.objects.values()) and not self.failures and not self.discovery_failure

    def next_kinds(self) -> list[Resource]:
        """Of which kinds everything is to be deleted now: Pods alone while there are any, since they may need the rest to end well."""
        kinds = [resource for resource, found in self.objects.items() if found]
        pods = [resource for resource in kinds if (resource.group, resource.plural) == (PODS.group, PODS.plural)]
        return pods or kinds


def set_conditions(present: list[dict[str, Any]], left: Left, now: datetime) -> bool:
    """Writes what was found into status.conditions (changed in place). True if anything changed."""
    counts = {resource: len(found) for resource, found in left.objects.items() if found}
    remaining = _join(f"{_name(resource)} has {count} resource instances" for resource, count in counts.items())
    finalizers: dict[str, int] = {}
    for found in left.objects.values():
        for meta in found:
            for finalizer in meta.finalizers or ():
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    holding = _join(f"{finalizer} in {count} resource instances" for finalizer, count in finalizers.items())
    wanted = (
        (DISCOVERY_FAILURE, left.discovery_failure, "DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered"),
        (PARSING_FAILURE, "", "GroupVersionParsingFailed", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        (
            CONTENT_FAILURE,
            "; ".join(left.failures),
            "ContentDeletionFailed",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            CONTENT_REMAINING,
            f"Some resources are remaining: {remaining}" if remaining else "",
            "SomeResourcesRemain",
            "ContentRemoved",
            "All content successfully removed",
        ),
        (
            FINALIZERS_REMAINING,
            f"Some content in the namespace has finalizers remaining: {holding}" if holding else "",
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    )
    changed = False
    for type_, fault, bad, good, fine in wanted:
        changed |= conditions.set_condition(present, type_, bool(fault), bad if fault else good, fault or fine, now)
    return changed


def _name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else f"{resource.plural}."


def _join(texts: Any) -> str:
    return ", ".join(sorted(texts))
