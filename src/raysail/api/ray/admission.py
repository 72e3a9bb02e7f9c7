"""KubeRay's validating webhooks as pure functions (ray-operator/pkg/webhooks/v1). KubeRay leaves them off unless ENABLE_WEBHOOKS says otherwise.

They look at names and at groups that are there twice. What its controllers refuse besides is theirs to say (`raysail.ray.validation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes, errors
from raysail.api.errors import Cause, StatusError
from raysail.api.names import label_1035_faults
from raysail.api.ray.names import MAX_RAY_CLUSTER_NAME, MAX_RAY_CRON_JOB_NAME, MAX_RAY_JOB_NAME, MAX_RAY_SERVICE_NAME
from raysail.api.resources import Resource

Json = Mapping[str, Any]
_GROUP: Final = "ray.io"
_LONGEST_NAME: Final[Mapping[str, int]] = {
    "RayCluster": MAX_RAY_CLUSTER_NAME,
    "RayJob": MAX_RAY_JOB_NAME,
    "RayService": MAX_RAY_SERVICE_NAME,
    "RayCronJob": MAX_RAY_CRON_JOB_NAME,
}
"""Characters; what is made for an object has its name in it, and more."""

WEBHOOK_KINDS: Final = ("RayCluster", "RayJob", "RayService")


def name_fault(kind: str, name: str) -> str:
    """What is wrong with the name of such an object, in the words of KubeRay's Validate...Metadata; empty if nothing is."""
    prefix = "" if kind == "RayCluster" else f"The {kind} metadata is invalid: "
    longest = _LONGEST_NAME[kind]
    if len(name) > longest:
        return f"{prefix}{kind} name should be no more than {longest} characters"
    faults = label_1035_faults(name)
    return f"{prefix}{kind} name should be a valid DNS1035 label: [{' '.join(faults)}]" if faults else ""


def ray_causes(kind: str, obj: Json) -> list[Cause]:
    """Faults of a new or changed RayCluster, RayJob or RayService."""
    name = (obj.get("metadata") or {}).get("name", "")
    found = []
    if fault := name_fault(kind, name):
        found.append(causes.invalid("metadata.name", name, fault))
    if kind == "RayCluster":
        seen: set[str] = set()
        for at, group in enumerate((obj.get("spec") or {}).get("workerGroupSpecs") or ()):
            if group.get("groupName", "") in seen:
                found.append(causes.invalid(f"spec.workerGroupSpecs[{at}]", dict(group), "worker group names must be unique"))
                break
            seen.add(group.get("groupName", ""))
    return found


def concerns(resource: Resource) -> bool:
    """Whether KubeRay has a webhook for such objects."""
    return resource.group == _GROUP and resource.kind in WEBHOOK_KINDS


def review(resource: Resource, obj: Json, operation: str) -> StatusError | None:
    """The refusal of KubeRay's webhooks, where they are on; None lets the object through."""
    if not concerns(resource) or operation not in ("CREATE", "UPDATE"):
        return None
    found = ray_causes(resource.kind, obj)
    if not found:
        return None
    refusal = errors.invalid(_GROUP, resource.kind, (obj.get("metadata") or {}).get("name", ""), found)
    refusal.message = f'admission webhook "v{resource.kind.lower()}.kb.io" denied the request: {refusal.message}'
    return refusal
