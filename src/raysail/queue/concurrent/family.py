"""A parent Workload and its variants, one for each flavor of the queue: which are to be there, which may be tried, and who may preempt. Pure.

Source: Kueue pkg/controller/concurrentadmission/controller.go; order and texts as there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from raysail.api import conditions
from raysail.api.kueue import ClusterQueue, Workload
from raysail.api.kueue.workloadname import variant_name
from raysail.api.meta import Condition, parse_time
from raysail.api.resources import WORKLOADS
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.status import Status
from raysail.queue.model.variants import PARENT_LABEL, allowed_flavors
from raysail.queue.model.workload import ALLOWED_FLAVORS, is_active, is_admitted, may_be_queued

PREEMPTION_GATE: Final = "kueue.x-k8s.io/concurrent-admission"
PREEMPTION_TIMEOUT: Final = timedelta(minutes=5)
"""How long one variant may try to make room before the next one may."""
RETAIN_FIRST: Final = "RetainFirstAdmission"
_COMES_BACK_AT_ONCE: Final = ("Preempted", "NodeFailures")


@dataclass(frozen=True, slots=True)
class Rules:
    """The queue's flavors in order of preference, and its policy of migration."""

    flavors: tuple[str, ...]
    mode: str = "TryPreferredFlavors"
    last_acceptable: str | None = None

    @classmethod
    def of(cls, queue: ClusterQueue) -> Rules:
        """From the ClusterQueue."""
        groups = queue.spec.resource_groups or []
        flavors = tuple(flavor.name for flavor in groups[0].flavors) if groups else ()
        policy = queue.spec.concurrent_admission_policy
        migration = policy.migration if policy is not None else None
        if migration is None:
            return cls(flavors)
        limits = migration.constraints
        return cls(flavors, migration.mode or "TryPreferredFlavors", limits.last_acceptable_flavor_name if limits is not None else None)

    def place(self, variant: Workload) -> int:
        """Where its flavor comes in the order; the best is 0."""
        return self.rank(flavor_of(variant))

    def rank(self, flavor: str) -> int:
        """Where that flavor comes in the order; as the best where the queue does not have it."""
        return self.flavors.index(flavor) if flavor in self.flavors else 0

    def ordered(self, variants: Sequence[Workload]) -> list[Workload]:
        """By preference."""
        return sorted(variants, key=self.place)


def flavor_of(variant: Workload) -> str:
    """The flavor that the variant is for."""
    allowed = allowed_flavors(variant)
    return allowed[0] if allowed else ""


def flavors_changed(old: ClusterQueue, new: ClusterQueue) -> bool:
    """Whether variants have to come or go: other flavors, or in another order."""
    return _names(old) != _names(new)


def _names(queue: ClusterQueue) -> list[list[str]]:
    return [[flavor.name for flavor in group.flavors] for group in queue.spec.resource_groups or ()]


def admitted(variants: Sequence[Workload]) -> Workload | None:
    """The variant that runs."""
    return next((variant for variant in variants if is_admitted(variant)), None)


def name_of(obj: Workload) -> str:
    """As events name it."""
    return f"{obj.metadata.namespace}/{obj.metadata.name}" if obj.metadata.namespace else obj.metadata.name


# which are there


def body_of(parent: dict[str, Any], flavor: str) -> dict[str, Any]:
    """A new variant of the parent (wire form). It must not preempt until that is its turn."""
    meta = parent["metadata"]
    name = variant_name(WORKLOADS.kind, WORKLOADS.group, meta["name"], meta.get("uid", ""), flavor)
    spec = copy.deepcopy(parent.get("spec") or {})
    gates = [gate for gate in spec.get("preemptionGates") or () if gate.get("name") != PREEMPTION_GATE]
    spec["preemptionGates"] = [*gates, {"name": PREEMPTION_GATE}]
    owner = {"apiVersion": WORKLOADS.api_version, "kind": WORKLOADS.kind, "name": meta["name"], "uid": meta.get("uid", "")}
    return {
        "apiVersion": WORKLOADS.api_version,
        "kind": WORKLOADS.kind,
        "metadata": {
            "name": name,
            "namespace": meta.get("namespace", ""),
            "labels": {key: value for key, value in (meta.get("labels") or {}).items() if key != PARENT_LABEL},
            "annotations": {**(meta.get("annotations") or {}), ALLOWED_FLAVORS: flavor},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": spec,
    }


# which may be tried

Reasons = list[tuple[Workload, str]]
"""Variants, each with why."""


def to_deactivate(parent: Workload, variants: Sequence[Workload], rules: Rules) -> Reasons:
    """Those that are not to be tried (any more), also ones that are inactive already."""
    if not is_active(parent):
        return [(variant, f'Parent Workload "{name_of(parent)}" not active') for variant in variants]
    running = admitted(variants)
    if running is None:
        return []
    if rules.mode == RETAIN_FIRST:
        text = f'RetainFirstAdmission: another Variant "{name_of(running)}" is admitted'
        return [(variant, text) for variant in variants if variant.metadata.name != running.metadata.name]
    found: Reasons = []
    if rules.last_acceptable is not None:
        text = f'being below lastAcceptableFlavor: "{rules.last_acceptable}" and another Variant admitted "{name_of(running)}"'
        found += _beyond(variants, text, rules, rules.rank(rules.last_acceptable), lambda each: each is not running)
    text = f'being lower priority than admitted Variant "{name_of(running)}"'
    known = {variant.metadata.name for variant, _ in found}
    found += _beyond(variants, text, rules, rules.place(running), lambda each: each.metadata.name not in known)
    return found


def _beyond(variants: Sequence[Workload], text: str, rules: Rules, place: int, also: Callable[[Workload], bool]) -> Reasons:
    return [(variant, text) for variant in variants if rules.place(variant) > place and also(variant)]


def to_activate(parent: Workload, variants: Sequence[Workload], rules: Rules) -> Reasons:
    """Those that are inactive and may be tried: all while none runs, then only better ones than the one that runs."""
    if not is_active(parent):
        return []
    running = admitted(variants)
    idle = [variant for variant in variants if not is_active(variant)]
    if running is None:
        return [(variant, "no other Variant being admitted") for variant in idle]
    if rules.mode == RETAIN_FIRST:
        return []
    better = [variant for variant in idle if rules.place(variant) < rules.place(running)]
    text = f'higher priority than admitted Variant "{name_of(running)}"'
    if rules.last_acceptable is None:
        return [(variant, f"being {text}") for variant in better]
    text = f'being at least lastAcceptableFlavor: "{rules.last_acceptable}" and {text}'
    return [(variant, text) for variant in better if rules.place(variant) <= rules.rank(rules.last_acceptable)]


def is_leaving(workload: Workload) -> bool:
    """Whether it is evicted and still holds quota."""
    return conditions.is_true(workload.status.conditions, "Evicted") and conditions.is_true(workload.status.conditions, "QuotaReserved")


def clear_admission(status: Status, evicted: Condition, now: datetime, generation: int) -> bool:
    """An evicted variant has stopped, together with its parent: its quota goes back."""
    changed = transitions.requeued(status, evicted.reason in _COMES_BACK_AT_ONCE, evicted.reason, evicted.message, now, generation)
    return transitions.release(status, "PendingEvaluation", evicted.message, now, generation) or changed


def admit_parent(status: Status, variant: Workload, admission: dict[str, Any], now: datetime, generation: int) -> bool:
    """The parent holds what the variant holds, and runs."""
    changed = transitions.reserve(status, admission, now, generation)
    message = f"The variant {variant.metadata.name} is admitted"
    return transitions.put(status, "Admitted", True, "Admitted", message, now, generation) or changed


# who may preempt


def first_candidate(variants: Sequence[Workload]) -> Workload | None:
    """The most preferred variant that waits for leave to preempt. None as long as a better one has not even been looked at."""
    for variant in variants:
        if _gate(variant) is not None:
            continue
        if conditions.is_true(variant.status.conditions, "BlockedOnPreemptionGates"):
            return variant
        if conditions.find(variant.status.conditions, "QuotaReserved") is None:
            return None
    return None


def gate_to_open(variants: Sequence[Workload], now: datetime) -> tuple[Workload | None, float | None]:
    """The variant that may preempt from now on, and when to look again in seconds."""
    waiting = [variant for variant in variants if may_be_queued(variant)]
    candidate = first_candidate(waiting)
    if candidate is None:
        return None, None
    opened = [at for variant in waiting if (at := _gate(variant)) is not None]
    if opened:
        left = (max(opened) + PREEMPTION_TIMEOUT - now).total_seconds()
        if left > 0:
            return None, left
    return candidate, PREEMPTION_TIMEOUT.total_seconds()


def _gate(variant: Workload) -> datetime | None:
    """Since when it may preempt; None: it may not."""
    for gate in variant.status.preemption_gates or ():
        if gate.name == PREEMPTION_GATE and gate.position == "Open":
            return parse_time(gate.last_transition_time)
    return None


def open_gate(status: Status, now: str) -> bool:
    """From now on it may preempt."""
    gates = status.setdefault("preemptionGates", [])
    gate = next((each for each in gates if each.get("name") == PREEMPTION_GATE), None)
    if gate is None:
        gate = {"name": PREEMPTION_GATE}
        gates.append(gate)
    if gate.get("position") == "Open":
        return False
    gate.update(position="Open", lastTransitionTime=now)
    return True
