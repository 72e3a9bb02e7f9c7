"""Which Pods of a StatefulSet come and go now, in which order, and its status (pkg/controller/statefulset/stateful_set_control.go).

Ordered: a Pod starts when all before it are ready, and stops when all before it are well. Parallel: all at once. A rolling update replaces one Pod at a
time from the last to the partition. Old templates are not kept: a Pod below the partition that is lost comes back with the present template (a
difference on purpose).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from raysail.api.apps import StatefulSet
from raysail.api.core import Pod
from raysail.builtin.podstate import is_ready, seconds_to_available
from raysail.builtin.replicasets.decide import changed_fields
from raysail.builtin.statefulsets.pods import build_claims, build_pod, ordinal_of, revision_of, update_revision

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Step:
    """`claims` are made before the Pods that mount them."""

    claims: list[JsonObject] = field(default_factory=list)
    create: list[JsonObject] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    status: JsonObject | None = None
    wake_seconds: float | None = None


def decide(stateful_set: StatefulSet, pods: Sequence[Pod], now: datetime) -> Step:
    """The next step. `pods` are those that it controls."""
    step = Step()
    spec = stateful_set.spec
    start = spec.ordinals.start if spec.ordinals else 0
    wanted = range(start, start + (1 if spec.replicas is None else spec.replicas))
    present = {ordinal: pod for pod in pods if (ordinal := ordinal_of(stateful_set, pod)) is not None}
    if stateful_set.metadata.deletion_timestamp is None:
        _change(stateful_set, wanted, present, now, step)
    if not step.create and not step.delete:
        _set_status(stateful_set, [present[o] for o in sorted(present) if o in wanted], now, step)
    return step


def _change(stateful_set: StatefulSet, wanted: range, present: dict[int, Pod], now: datetime, step: Step) -> None:
    ordered = stateful_set.spec.pod_management_policy != "Parallel"
    revision = update_revision(stateful_set)
    for ordinal in wanted:
        pod = present.get(ordinal)
        if pod is None:
            step.claims += build_claims(stateful_set, ordinal)
            step.create.append(build_pod(stateful_set, ordinal, revision))
        elif pod.status.phase in ("Failed", "Succeeded") and pod.metadata.deletion_timestamp is None:
            step.delete.append(pod)  # its name must be free before it can come again
        if ordered and (pod is None or not _well(stateful_set, pod, now)):
            return
    condemned = sorted((o for o in present if o not in wanted), reverse=True)
    for ordinal in condemned:
        if present[ordinal].metadata.deletion_timestamp is None:
            step.delete.append(present[ordinal])
        if ordered:
            return
    if not step.create and not step.delete:
        _update(stateful_set, wanted, present, revision, now, step)


def _update(stateful_set: StatefulSet, wanted: range, present: dict[int, Pod], revision: str, now: datetime, step: Step) -> None:
    strategy = stateful_set.spec.update_strategy or {}
    if strategy.get("type") == "OnDelete":
        return
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    for ordinal in sorted((o for o in wanted if o >= partition), reverse=True):
        pod = present.get(ordinal)
        if pod is None:
            return
        if revision_of(pod) != revision and pod.metadata.deletion_timestamp is None:
            step.delete.append(pod)
            return
        if not _well(stateful_set, pod, now):
            return


def _well(stateful_set: StatefulSet, pod: Pod, now: datetime) -> bool:
    running = pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None
    return running and seconds_to_available(pod, stateful_set.spec.min_ready_seconds, now) == 0


def _set_status(stateful_set: StatefulSet, pods: Sequence[Pod], now: datetime, step: Step) -> None:
    revision = update_revision(stateful_set)
    alive = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    waits = [seconds_to_available(pod, stateful_set.spec.min_ready_seconds, now) for pod in pods]
    step.wake_seconds = min((wait for wait in waits if wait), default=None)
    updated = sum(revision_of(pod) == revision for pod in alive)
    current = stateful_set.status.current_revision or revision
    if pods and updated == len(pods) and all(wait == 0 for wait in waits):
        current = revision
    wanted: JsonObject = {
        "observedGeneration": stateful_set.metadata.generation,
        "replicas": len(pods),
        "readyReplicas": sum(is_ready(pod) for pod in pods),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "currentReplicas": sum(revision_of(pod) == current for pod in alive),
        "updatedReplicas": updated,
    }
    status = changed_fields(wanted, msgspec.to_builtins(stateful_set.status)) or {}
    for name, text, stored in (
        ("currentRevision", current, stateful_set.status.current_revision),
        ("updateRevision", revision, stateful_set.status.update_revision),
    ):
        if text != stored:
            status[name] = text
    step.status = status or None
