"""The merge patch that takes a Job's stored status to the wanted one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from raysail.api.batch import Job

JsonObject = dict[str, Any]
_EMPTY: Final[tuple[Any, ...]] = ({}, [], "", 0, None)


def status_patch(job: Job, wanted: JsonObject) -> JsonObject | None:
    """Only the fields that differ, null for those to remove; None when nothing differs. Fields that `wanted` does not name stay."""
    present: JsonObject = msgspec.to_builtins(job.status)
    patch: JsonObject = {}
    for name, value in wanted.items():
        if name == "conditions":
            if _comparable(value) != _comparable(present.get("conditions") or []):
                # Kubernetes sets the probe time together with the transition; nobody probes.
                patch[name] = [{**c, "lastProbeTime": c.get("lastTransitionTime")} for c in value]
        elif name == "uncountedTerminatedPods":
            stored = present.get(name)
            if stored is None or value != stored:
                patch[name] = {key: value.get(key) for key in ("succeeded", "failed") if value.get(key) or (stored or {}).get(key)}
        elif name in ("ready", "terminating", "failedIndexes"):
            if value != getattr(job.status, _ATTRIBUTES[name]):
                patch[name] = value
        elif (value in _EMPTY) != (present.get(name) in _EMPTY) or (value not in _EMPTY and value != present.get(name)):
            patch[name] = value if value not in _EMPTY else None
    return patch or None


_ATTRIBUTES: Final = {"ready": "ready", "terminating": "terminating", "failedIndexes": "failed_indexes"}
"""Fields where zero and absent are two things."""


def _comparable(listed: list[JsonObject]) -> list[JsonObject]:
    return [{key: value for key, value in condition.items() if key != "lastProbeTime" and value not in _EMPTY} for condition in listed]
