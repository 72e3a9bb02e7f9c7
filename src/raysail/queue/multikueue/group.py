"""What becomes of a Workload here and of its copies on the workers: one look at all of them gives the next things to do. Pure.

Source: Kueue pkg/controller/admissionchecks/multikueue/workload.go (reconcileGroup); order and texts as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from raysail.api import conditions
from raysail.api.kueue import Workload
from raysail.api.kueue.names import JOB_UID_LABEL, MULTIKUEUE_ORIGIN_LABEL
from raysail.api.kueue.workload import AdmissionCheckState
from raysail.api.meta import Condition, parse_time
from raysail.api.resources import WORKLOADS
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.workload import has_reservation, is_finished
from raysail.queue.multikueue.dispatch import is_elastic, is_settled
from raysail.queue.multikueue.settings import MultiKueueSettings

DEFERRED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Group:
    """A Workload and its copies. `remotes`: one entry for each connected cluster, None where there is no copy."""

    local: Workload
    check: AdmissionCheckState
    remotes: Mapping[str, Workload | None]
    lost: Mapping[str, datetime] = field(default_factory=dict)
    """Clusters that do not answer, and since when."""


@dataclass(slots=True)
class Turn:
    """What to do, in this order; what fails ends the turn and is tried again."""

    remove: list[str] = field(default_factory=list)
    """Clusters on which the job and the Workload go."""
    follow: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Patches of Workloads on clusters."""
    deactivate: tuple[str, str] | None = None
    """(cluster, message): there it is evicted because it is evicted here."""
    sync: str = ""
    """The cluster with which the job is brought in step: made there, its status brought back."""
    status: transitions.Status | None = None
    """The Workload's new status here."""
    create: list[str] = field(default_factory=list)
    """Clusters that get a copy of the Workload."""
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None


def decide(group: Group, settings: MultiKueueSettings, now: datetime) -> Turn:
    """The next turn of a Workload that exists and whose job may be handed on."""
    local, check = group.local, group.check
    elastic = is_elastic(local)
    if elastic and _is_replaced(local):
        return Turn()
    copies = {cluster: copy for cluster, copy in group.remotes.items() if copy is not None}
    if is_finished(local) or not has_reservation(local):
        return _over(group, copies, settings)
    if (ended := _first(copies, "Finished")) is not None:
        return _ended(group, *ended, now)
    evicted = _first(copies, "Evicted")
    if evicted is not None:
        if conditions.is_true(local.status.conditions, "Evicted"):
            return Turn(sync=evicted[1])
        if check.state == transitions.READY:
            message = f'Workload evicted on worker cluster: "{local.status.cluster_name}", resetting for re-admission. Previously: "{check.state}"'
            return Turn(status=_check(group, transitions.RETRY, message, now), events=[("Normal", "MultiKueue", cut(message))])
    turn = Turn()
    for cluster in sorted(copies):
        patch = _followed(local, copies[cluster], elastic=elastic)
        if patch is None:
            turn.remove.append(cluster)
            del copies[cluster]
        elif patch:
            turn.follow[cluster] = patch
    admitted = _first(copies, "Admitted")
    if admitted is not None:
        return _admitted(group, turn, copies, *admitted, settings, now)
    if check.state == transitions.READY:
        return _lost(group, turn, settings, now)
    if is_settled(check, local):
        return turn
    return _nominated(group, turn, copies, settings)


def _over(group: Group, copies: Mapping[str, Workload], settings: MultiKueueSettings) -> Turn:
    """Nothing is to be on any worker. The job may be left where it was taken, also without its Workload; what was away is collected later."""
    taken = group.local.status.cluster_name or ""
    clusters = {*copies, *([taken] if taken in group.remotes else [])}
    return Turn(remove=sorted(clusters), again=settings.worker_lost_seconds if taken in group.lost else None)


def _first(copies: Mapping[str, Workload], type_: str) -> tuple[Condition, str] | None:
    """The earliest such condition that is True, and its cluster."""
    found: list[tuple[datetime, str, Condition]] = []
    for cluster, copy in copies.items():
        condition = conditions.find(copy.status.conditions, type_)
        if condition is not None and condition.status == "True":
            found.append((parse_time(condition.last_transition_time or "1970-01-01T00:00:00Z"), cluster, condition))
    if not found:
        return None
    _, cluster, condition = min(found, key=lambda each: each[:2])
    return condition, cluster


def _is_replaced(local: Workload) -> bool:
    finished = conditions.find(local.status.conditions, "Finished")
    return finished is not None and finished.status == "True" and finished.reason == "WorkloadSliceReplaced"


def _status(workload: Workload) -> transitions.Status:
    found: transitions.Status = msgspec.to_builtins(workload.status)
    return transitions.complete(found)


def _check(group: Group, state: str, message: str, now: datetime) -> transitions.Status:
    status = _status(group.local)
    transitions.set_check(status, group.check.name, state, message, now)
    return status


def _previously(group: Group, message: str) -> str:
    return f'{message}, Previously: "{group.check.state}"'


def _ended(group: Group, ended: Condition, cluster: str, now: datetime) -> Turn:
    if ended.reason == "OutOfSync" and not is_elastic(group.local):
        # Not an end of the job but of its being in step: it is handed on anew.
        if group.check.state != transitions.READY:
            return Turn()
        text = f'Remote workload on worker cluster "{cluster}" is out of sync with its user job, resetting for re-dispatch'
        message = _previously(group, text)
        return Turn(status=_check(group, transitions.RETRY, message, now), events=[("Warning", "MultiKueue", cut(message))])
    status = _status(group.local)
    transitions.finish(status, ended.reason, ended.message, now, group.local.metadata.generation)
    return Turn(sync=cluster, status=status)


def _followed(local: Workload, copy: Workload, *, elastic: bool) -> dict[str, Any] | None:
    """The patch that brings a copy's spec in step; empty where it is; None where the copy has to go."""
    mine = msgspec.structs.replace(local.spec, preemption_gates=None, active=local.spec.active is not False)
    theirs = msgspec.structs.replace(copy.spec, preemption_gates=None, active=copy.spec.active is not False)
    if mine == theirs:
        return {}
    patch: dict[str, Any] = {}
    if elastic and _scaled_down(copy, local):
        patch["podSets"] = msgspec.to_builtins(local.spec.pod_sets)
    if (mine.priority, mine.priority_class_ref) != (theirs.priority, theirs.priority_class_ref):
        patch["priority"] = local.spec.priority
        reference = local.spec.priority_class_ref
        patch["priorityClassRef"] = msgspec.to_builtins(reference) if reference is not None else None
    return {"spec": patch} if patch else None


def _scaled_down(before: Workload, after: Workload) -> bool:
    old = {pod_set.name: pod_set.count for pod_set in before.spec.pod_sets}
    new = {pod_set.name: pod_set.count for pod_set in after.spec.pod_sets}
    return old.keys() == new.keys() and old != new and all(new[name] <= count for name, count in old.items())


def _lost(group: Group, turn: Turn, settings: MultiKueueSettings, now: datetime) -> Turn:
    """Ready, and no admitted copy in sight: a cluster that does not answer gets time, one that answers has lost it."""
    cluster = group.local.status.cluster_name or ""
    if not cluster:
        text = "Admission check is Ready but no admitting cluster is recorded; this is unexpected, please report it"
    elif cluster in group.lost:
        left = settings.worker_lost_seconds - (now - group.lost[cluster]).total_seconds()
        if left > 0:
            turn.again = left
            return turn
        text = "Admitting remote lost"
    else:
        text = "Admitting remote no longer exists"
    turn.status = _check(group, transitions.RETRY, _previously(group, text), now)
    return turn


def _admitted(
    group: Group, turn: Turn, copies: Mapping[str, Workload], _: Condition, cluster: str, settings: MultiKueueSettings, now: datetime
) -> Turn:
    turn.remove += sorted(other for other in copies if other != cluster)
    evicted = conditions.find(group.local.status.conditions, "Evicted")
    if evicted is not None and evicted.status == "True":
        turn.deactivate = (cluster, f"Evicted on manager: {evicted.message}")
        return turn
    turn.sync, turn.again = cluster, settings.worker_lost_seconds
    status = _status(group.local)
    placed = _topologies_ready(status, copies[cluster])
    if group.check.state not in (transitions.RETRY, transitions.REJECTED):
        first = group.check.state != transitions.READY
        message = f'The workload was admitted on "{cluster}"'
        transitions.set_check(status, group.check.name, transitions.READY, message, now)
        if status.get("clusterName") is None:
            status["clusterName"] = cluster
        status.pop("nominatedClusterNames", None)
        if first:
            turn.events.append(("Normal", "MultiKueue", message))
        placed = True
    if placed:
        turn.status = status
    return turn


def _topologies_ready(status: transitions.Status, copy: Workload) -> bool:
    """Pod sets whose topology is found on the worker are placed."""
    placed = {
        given.name
        for given in (copy.status.admission.pod_set_assignments if copy.status.admission is not None else None) or ()
        if given.topology_assignment is not None
    }
    changed = False
    for given in (status.get("admission") or {}).get("podSetAssignments") or ():
        if given.get("name") in placed and given.get("delayedTopologyRequest") == transitions.PENDING:
            given["delayedTopologyRequest"] = "Ready"
            changed = True
    return changed


def _nominated(group: Group, turn: Turn, copies: Mapping[str, Workload], settings: MultiKueueSettings) -> Turn:
    local = group.local
    if any(check.state != transitions.READY for check in local.status.admission_checks or () if check.name != group.check.name):
        return turn  # first whatever else is to be checked
    if is_elastic(local) and local.status.cluster_name:
        nominated = [local.status.cluster_name]  # a further slice goes where the first one is
    elif settings.all_at_once:
        nominated = sorted(group.remotes)
        if set(local.status.nominated_cluster_names or ()) != set(nominated):
            turn.status = _status(local)
            turn.status["nominatedClusterNames"] = nominated
    else:
        nominated = list(local.status.nominated_cluster_names or ())
    turn.create = [cluster for cluster in nominated if cluster in group.remotes and cluster not in copies]
    turn.remove += sorted(cluster for cluster in copies if cluster not in nominated)
    return turn


def copy_of(local: dict[str, Any], origin: str) -> dict[str, Any]:
    """The Workload (wire form) as it is created on a worker."""
    meta = local["metadata"]
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != JOB_UID_LABEL}
    return {
        "apiVersion": WORKLOADS.api_version,
        "kind": WORKLOADS.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "labels": {**labels, MULTIKUEUE_ORIGIN_LABEL: origin},
            "annotations": dict(meta.get("annotations") or {}),
        },
        "spec": {key: value for key, value in (local.get("spec") or {}).items() if key != "preemptionGates"},
    }
