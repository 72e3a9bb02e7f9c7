"""The hash of a cluster's spec by which edits are noticed (KubeRay GenerateHashWithoutReplicasAndWorkersToDelete).

What others change in passing does not count: replicas and workersToDelete (the autoscaler), tolerations and scheduling gates (queues).
Only what a spec says goes in, so that a field added to the API does not change the hash of a spec that does not use it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
import orjson

from raysail.api.ray import RayClusterSpec


def spec_hash(spec: RayClusterSpec) -> str:
    """32 characters, base32hex, as KubeRay's look."""
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    plain.pop("upgradeStrategy", None)
    if head := plain.get("headGroupSpec"):
        head["template"] = _without_scheduling(head.get("template"))
    for group in plain.get("workerGroupSpecs") or ():
        for key in ("replicas", "minReplicas", "maxReplicas", "scaleStrategy"):
            group.pop(key, None)
        group["template"] = _without_scheduling(group.get("template"))
    digest = hashlib.sha1(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS), usedforsecurity=False).digest()
    return base64.b32hexencode(digest).decode()


def _without_scheduling(template: dict[str, Any] | None) -> dict[str, Any]:
    template = dict(template or {})
    template["spec"] = {key: value for key, value in (template.get("spec") or {}).items() if key not in ("tolerations", "schedulingGates")}
    return template
