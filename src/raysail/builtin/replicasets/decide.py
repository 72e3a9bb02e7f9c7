"""How many Pods a ReplicaSet makes or deletes now, and its status (k8s.io/kubernetes pkg/controller/replicaset).

Pods are those that it controls; orphans are not adopted and Pods whose labels changed are not let go (a difference on purpose: nobody relies on it here).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from raysail.api.apps import ReplicaSet
from raysail.api.core import Pod
from raysail.api.resources import PODS
from raysail.builtin.naming import unique_name
from raysail.builtin.ownedpods import controller_reference
from raysail.builtin.podstate import is_active, is_ready, is_terminating, removal_order, seconds_to_available

BURST: Final = 500
_PREFIX_LENGTH: Final = 58

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Step:
    """Pod changes first; `status` is what differs, to be written when there are none."""

    create: list[JsonObject] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    status: JsonObject | None = None
    wake_seconds: float | None = None


def decide(replica_set: ReplicaSet, pods: Sequence[Pod], now: datetime) -> Step:
    """The next step."""
    step = Step()
    active = [pod for pod in pods if is_active(pod)]
    wanted = 1 if replica_set.spec.replicas is None else replica_set.spec.replicas
    if replica_set.metadata.deletion_timestamp is None:
        taken = {pod.metadata.name for pod in pods}
        for _ in range(min(wanted - len(active), BURST)):
            body = build_pod(replica_set, taken)
            taken.add(body["metadata"]["name"])
            step.create.append(body)
        step.delete = sorted(active, key=removal_order)[: max(0, min(len(active) - wanted, BURST))]
    if not step.create and not step.delete:
        _set_status(replica_set, pods, active, now, step)
    return step


def build_pod(replica_set: ReplicaSet, taken: set[str]) -> JsonObject:
    """A Pod from the template, in wire form."""
    template = copy.deepcopy(replica_set.spec.template or {})
    meta = template.get("metadata") or {}
    prefix = replica_set.metadata.name[: _PREFIX_LENGTH - 1] + "-"
    # The version moves with each status, so a deleted Pod's name does not come back, and a create whose answer was lost is not done twice.
    seed = f"{replica_set.metadata.uid}/{replica_set.metadata.resource_version}"
    metadata = {
        "name": unique_name(prefix, seed, 0, taken),
        "generateName": prefix,
        "namespace": replica_set.metadata.namespace,
        "ownerReferences": [controller_reference(replica_set)],
        **{name: meta[name] for name in ("labels", "annotations", "finalizers") if meta.get(name)},
    }
    return {"apiVersion": PODS.api_version, "kind": PODS.kind, "metadata": metadata, "spec": template.get("spec") or {}}


def _set_status(replica_set: ReplicaSet, pods: Sequence[Pod], active: Sequence[Pod], now: datetime, step: Step) -> None:
    waits = [seconds_to_available(pod, replica_set.spec.min_ready_seconds, now) for pod in active]
    template_labels = ((replica_set.spec.template or {}).get("metadata") or {}).get("labels") or {}
    wanted: JsonObject = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.items() <= (pod.metadata.labels or {}).items() for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "terminatingReplicas": sum(is_terminating(pod) for pod in pods),
        "observedGeneration": replica_set.metadata.generation,
    }
    step.wake_seconds = min((wait for wait in waits if wait), default=None)
    step.status = changed_fields(wanted, msgspec.to_builtins(replica_set.status))


def changed_fields(wanted: JsonObject, present: JsonObject) -> JsonObject | None:
    """The counters that differ, absent and 0 being the same; None when none does."""
    patch = {name: value for name, value in wanted.items() if value != present.get(name, 0)}
    return patch or None
