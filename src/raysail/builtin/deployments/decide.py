"""Which ReplicaSets a Deployment makes, scales and deletes now, and its status (k8s.io/kubernetes pkg/controller/deployment)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.apps import Deployment, ReplicaSet
from raysail.api.meta import format_time, parse_time
from raysail.api.resources import REPLICA_SETS
from raysail.builtin.amounts import amount_of
from raysail.builtin.naming import template_hash
from raysail.builtin.ownedpods import controller_reference
from raysail.builtin.replicasets.decide import changed_fields

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAXIMUM: Final = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED: Final = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MAXIMUM, "deprecated.deployment.rollback.to")

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Step:
    """`create`: the new ReplicaSet; `scale`: to how many; `annotate`: patches of the Deployment's annotations; `status`: what differs."""

    create: JsonObject | None = None
    scale: dict[str, int] = field(default_factory=dict)
    delete: list[ReplicaSet] = field(default_factory=list)
    annotate: dict[str, str] = field(default_factory=dict)
    status: JsonObject | None = None
    wake_seconds: float | None = None


def decide(deployment: Deployment, replica_sets: Sequence[ReplicaSet], now: datetime) -> Step:
    """The next step. `replica_sets` are those that it controls."""
    step = Step()
    ordered = sorted(replica_sets, key=lambda r: (r.metadata.creation_timestamp or "", r.metadata.name))
    current = next((r for r in ordered if _template_of(r) == _plain(deployment.spec.template)), None)
    old = [r for r in ordered if r is not current]
    if deployment.metadata.deletion_timestamp is None:
        if deployment.spec.paused:
            _scale_alone(deployment, ordered, step)
        elif current is None:
            step.create = build_replica_set(deployment, old)
        else:
            _roll(deployment, current, old, step)
            _clean_up(deployment, old, step)
            revision = (current.metadata.annotations or {}).get(REVISION, "")
            if revision and (deployment.metadata.annotations or {}).get(REVISION) != revision:
                step.annotate[REVISION] = revision
    _set_status(deployment, current, old, now, step)
    return step


def size_annotations(deployment: Deployment) -> dict[str, str]:
    """How large a Deployment is meant to be, as its ReplicaSets say it from the last time they were scaled."""
    wanted = _wanted(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + _surge(deployment))}


def build_replica_set(deployment: Deployment, old: Sequence[ReplicaSet]) -> JsonObject:
    """The ReplicaSet for the present template, in wire form."""
    template = copy.deepcopy(deployment.spec.template or {})
    digest = template_hash(template, deployment.status.collision_count or 0)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(deployment.spec.selector or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    wanted = _wanted(deployment)
    running = sum(_replicas(r) for r in old)
    replicas = wanted if _strategy(deployment) == "Recreate" and not running else _room(deployment, running, 0)
    return {
        "apiVersion": REPLICA_SETS.api_version,
        "kind": REPLICA_SETS.kind,
        "metadata": {
            "name": f"{deployment.metadata.name[:242]}-{digest}",
            "namespace": deployment.metadata.namespace,
            "labels": meta["labels"],
            "annotations": {
                **{k: v for k, v in (deployment.metadata.annotations or {}).items() if k not in _NOT_COPIED},
                REVISION: str(max((_revision(r) for r in old), default=0) + 1),
                **size_annotations(deployment),
            },
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {
            "replicas": 0 if _strategy(deployment) == "Recreate" and running else replicas,
            "minReadySeconds": deployment.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    }


def _roll(deployment: Deployment, current: ReplicaSet, old: Sequence[ReplicaSet], step: Step) -> None:
    wanted, running = _wanted(deployment), [r for r in old if _replicas(r) > 0]
    if _strategy(deployment) == "Recreate":
        if running:
            step.scale = {r.metadata.name: 0 for r in running}
        elif not any(r.status.replicas or r.status.terminating_replicas for r in old) and _replicas(current) != wanted:
            step.scale[current.metadata.name] = wanted
        return
    if not running:
        if _replicas(current) != wanted:
            step.scale[current.metadata.name] = wanted
        return
    others = sum(_replicas(r) for r in old)
    if _replicas(current) > wanted:
        step.scale[current.metadata.name] = wanted
    elif (grown := _room(deployment, others, _replicas(current))) > _replicas(current):
        step.scale[current.metadata.name] = grown
    _shrink_old(deployment, current, running, step)


def _shrink_old(deployment: Deployment, current: ReplicaSet, running: Sequence[ReplicaSet], step: Step) -> None:
    least = _wanted(deployment) - _max_unavailable(deployment)
    total = _replicas(current) + sum(_replicas(r) for r in running)
    missing_in_new = max(0, _replicas(current) - current.status.available_replicas)
    spare = total - least - missing_in_new
    # First what is not available anyway, then as much as availability allows; oldest first.
    for r in running:
        broken = min(max(0, _replicas(r) - r.status.available_replicas), max(0, spare))
        if broken:
            step.scale[r.metadata.name] = _replicas(r) - broken
            spare -= broken
    available = current.status.available_replicas + sum(r.status.available_replicas for r in running)
    allowed = available - least
    for r in running:
        left = step.scale.get(r.metadata.name, _replicas(r))
        fewer = min(left, max(0, allowed))
        if fewer:
            step.scale[r.metadata.name] = left - fewer
            allowed -= fewer


def _room(deployment: Deployment, others: int, own: int) -> int:
    """How large the new ReplicaSet may be beside the others."""
    wanted = _wanted(deployment)
    free = wanted + _surge(deployment) - others - own
    return own if free <= 0 else min(wanted, own + free)


def _scale_alone(deployment: Deployment, ordered: Sequence[ReplicaSet], step: Step) -> None:
    """A paused Deployment changes no template but follows its number of replicas."""
    active = [r for r in ordered if _replicas(r) > 0] or list(ordered[-1:])
    if len(active) == 1 and _replicas(active[0]) != _wanted(deployment):
        step.scale[active[0].metadata.name] = _wanted(deployment)


def _clean_up(deployment: Deployment, old: Sequence[ReplicaSet], step: Step) -> None:
    limit = 10 if deployment.spec.revision_history_limit is None else deployment.spec.revision_history_limit
    idle = [r for r in old if not _replicas(r) and not r.status.replicas and r.metadata.deletion_timestamp is None]
    step.delete = sorted(idle, key=_revision)[: max(0, len(idle) - limit)]


def _set_status(deployment: Deployment, current: ReplicaSet | None, old: Sequence[ReplicaSet], now: datetime, step: Step) -> None:
    everyone = [*old, *([current] if current else [])]
    available = sum(r.status.available_replicas for r in everyone)
    total = sum(r.status.replicas for r in everyone)
    wanted: JsonObject = {
        "observedGeneration": deployment.metadata.generation,
        "replicas": total,
        "updatedReplicas": current.status.replicas if current else 0,
        "readyReplicas": sum(r.status.ready_replicas for r in everyone),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(_replicas(r) for r in everyone) - available),
        "terminatingReplicas": sum(r.status.terminating_replicas or 0 for r in everyone),
    }
    status = changed_fields(wanted, msgspec.to_builtins(deployment.status)) or {}
    listed: list[JsonObject] = [{k: v for k, v in msgspec.to_builtins(c).items() if v} for c in deployment.status.conditions or ()]
    before = copy.deepcopy(listed)
    enough = available >= _wanted(deployment) - _max_unavailable(deployment)
    if enough:
        conditions.set_condition(listed, "Available", True, "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        text = "Deployment does not have minimum availability."
        conditions.set_condition(listed, "Available", False, "MinimumReplicasUnavailable", text, now)
    _tell_progress(deployment, current, wanted, listed, now, step, changed=bool(status))
    if listed != before:
        # Times of the last update are Kubernetes' own addition to these conditions.
        status["conditions"] = [{**c, "lastUpdateTime": format_time(now)} for c in listed]
    step.status = status or None


def _tell_progress(
    deployment: Deployment,
    current: ReplicaSet | None,
    wanted: JsonObject,
    listed: list[JsonObject],
    now: datetime,
    step: Step,
    *,
    changed: bool,
) -> None:
    if deployment.spec.paused:
        conditions.set_condition(listed, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
        return
    if current is None:
        return
    name, goal = current.metadata.name, _wanted(deployment)
    done = wanted["updatedReplicas"] == goal and wanted["replicas"] == goal and wanted["availableReplicas"] == goal
    if done:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        conditions.set_condition(listed, "Progressing", True, "NewReplicaSetAvailable", text, now)
        return
    present = conditions.find(deployment.status.conditions, "Progressing")
    limit = 600 if deployment.spec.progress_deadline_seconds is None else deployment.spec.progress_deadline_seconds
    if present is not None and not changed and present.reason != "NewReplicaSetAvailable" and present.last_transition_time:
        remaining = limit - (now - parse_time(present.last_transition_time)).total_seconds()
        if remaining <= 0:
            text = f'ReplicaSet "{name}" has timed out progressing.'
            conditions.set_condition(listed, "Progressing", False, "ProgressDeadlineExceeded", text, now)
            return
        step.wake_seconds = remaining
        return
    text = f'ReplicaSet "{name}" is progressing.'
    conditions.set_condition(listed, "Progressing", True, "ReplicaSetUpdated", text, now)
    step.wake_seconds = float(limit)


def _template_of(replica_set: ReplicaSet) -> JsonObject:
    template = _plain(replica_set.spec.template)
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(HASH_LABEL, None)
    return template


def _plain(template: JsonObject | None) -> JsonObject:
    plain = copy.deepcopy(template or {})
    meta = plain.get("metadata") or {}
    plain["metadata"] = {name: meta[name] for name in ("labels", "annotations", "finalizers", "name") if meta.get(name)}
    return plain


def _wanted(deployment: Deployment) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def _replicas(replica_set: ReplicaSet) -> int:
    return 1 if replica_set.spec.replicas is None else replica_set.spec.replicas


def _revision(replica_set: ReplicaSet) -> int:
    text = (replica_set.metadata.annotations or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def _strategy(deployment: Deployment) -> str:
    return (deployment.spec.strategy or {}).get("type") or "RollingUpdate"


def _rolling(deployment: Deployment, name: str) -> int | str:
    found: int | str = ((deployment.spec.strategy or {}).get("rollingUpdate") or {}).get(name, "25%")
    return found


def _surge(deployment: Deployment) -> int:
    return 0 if _strategy(deployment) == "Recreate" else amount_of(_rolling(deployment, "maxSurge"), _wanted(deployment), up=True)


def _max_unavailable(deployment: Deployment) -> int:
    if _strategy(deployment) == "Recreate":
        return 0
    found = amount_of(_rolling(deployment, "maxUnavailable"), _wanted(deployment), up=False)
    # One of both must leave room, or nothing would ever move.
    return 1 if not found and not _surge(deployment) and _wanted(deployment) else min(found, _wanted(deployment))
