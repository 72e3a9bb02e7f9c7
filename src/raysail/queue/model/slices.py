"""Elastic jobs: a job whose number of Pods changes while it runs has a chain of Workloads, its slices. Pure.

Growing makes a new slice that names the one it replaces; the old one is finished when the new one has quota, and the Pods beyond the old count wait
behind a scheduling gate until then. Shrinking, and any change before there is quota, is made in place. Never more than two slices are alive: the one
that has quota and the one that waits to replace it. Source: Kueue pkg/workloadslicing/workloadslicing.go (KEP-77).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from raysail.api import conditions
from raysail.api.kueue import Workload, names
from raysail.queue.model.workload import has_reservation, is_finished

T = TypeVar("T")
Counts = Mapping[str, int]
"""Pods by pod set."""

OUT_OF_SYNC: Final = ("OutOfSync", "The workload slice is out of sync with its parent job")
REPLACED: Final = ("WorkloadSliceReplaced", "Replaced to accommodate a new workload slice")


class Finish(NamedTuple):
    """A slice that is over, and why."""

    workload: Workload
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """What to do about a job's slices. `fits` False: they are not slices of this job as it is; then the job is treated like any other.

    `resize` not None: `workload` gets these counts. No workload, but fitting: the job needs a new slice.
    """

    fits: bool
    workload: Workload | None = None
    resize: Counts | None = None
    finish: Sequence[Finish] = ()


def key_of(workload: Workload) -> str:
    """As slices name each other."""
    return f"{workload.metadata.namespace}/{workload.metadata.name}"


def replacement_for(workload: Workload) -> str | None:
    """The key of the slice that this one is to replace."""
    return (workload.metadata.annotations or {}).get(names.WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION)


def replaced_slice(workload: Workload, holders: Mapping[str, T]) -> T | None:
    """Of what holds quota in its ClusterQueue, by key, the slice that this one is to replace. Never one of another namespace: names are free to claim."""
    key = replacement_for(workload)
    if key is None or key.partition("/")[0] != workload.metadata.namespace:
        return None
    return holders.get(key)


def chain_name(workload: Workload) -> str:
    """The name that all slices of one chain, and their Pods, share: that of its first slice."""
    return (workload.metadata.annotations or {}).get(names.WORKLOAD_SLICE_NAME_ANNOTATION) or workload.metadata.name


def counts_of(pod_sets: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Pods by pod set, of pod sets in wire form."""
    return {str(each.get("name", "")): int(each.get("count") or 0) for each in pod_sets}


def workload_counts(workload: Workload) -> dict[str, int]:
    """Pods by pod set of a Workload."""
    return {each.name: each.count for each in workload.spec.pod_sets}


def scaled_down(old: Counts, new: Counts) -> bool:
    """Some pod set shrinks and none grows."""
    return _any_fewer(new, old) and not _any_fewer(old, new)


def _any_fewer(a: Counts, b: Counts) -> bool:
    return any(count < b.get(name, 0) for name, count in a.items())


def is_evicted(workload: Workload) -> bool:
    """Whether it is on its way out."""
    return conditions.is_true(workload.status.conditions, "Evicted")


def unfinished(workloads: Iterable[Workload]) -> list[Workload]:
    """Those that are not finished, oldest first."""
    alive = [each for each in workloads if not is_finished(each)]
    return sorted(alive, key=lambda each: (each.metadata.creation_timestamp or "", each.metadata.uid))


def latest_with_quota(workloads: Iterable[Workload]) -> Workload | None:
    """The slice whose counts are granted now: the newest that holds quota and is not about to lose it."""
    return next((each for each in reversed(unfinished(workloads)) if has_reservation(each) and not is_evicted(each)), None)


def plan_slices(wanted: Counts, workloads: Iterable[Workload]) -> SlicePlan:
    """What is to be done so that the slices of a job stand for these counts."""
    slices = unfinished(workloads)
    if not slices:
        return SlicePlan(fits=True)
    if len(slices) == 1:
        selected: Workload | None = slices[0]
        finish: list[Finish] = []
    else:
        selected, finish = normalize(slices)
    if selected is None:
        return SlicePlan(fits=True, finish=finish)
    present = workload_counts(selected)
    if present.keys() != wanted.keys():
        return SlicePlan(fits=False, finish=finish)
    if present == wanted:
        return SlicePlan(fits=True, workload=selected, finish=finish)
    if not has_reservation(selected) or scaled_down(present, wanted):
        return SlicePlan(fits=True, workload=selected, resize=dict(wanted), finish=finish)
    return SlicePlan(fits=True, finish=finish)


def normalize(slices: Sequence[Workload]) -> tuple[Workload | None, list[Finish]]:
    """(the slice that stands for the job, those that are over); `slices` are unfinished ones, oldest first.

    Of those with quota one is kept: the end of the chain of replacements; and of those without the one that replaces it. Evicted ones are over.
    """
    replacements: dict[str, Workload] = {}
    for each in slices:
        target = replacement_for(each)
        if target is None or is_evicted(each):
            continue
        present = replacements.get(target)
        if present is None or (not has_reservation(present) and has_reservation(each)):
            replacements[target] = each
    holder: Workload | None = None
    newest: Workload | None = None
    for each in slices:
        if is_evicted(each):
            continue
        newest = each
        successor = replacements.get(key_of(each))
        if has_reservation(each) and not (successor is not None and has_reservation(successor)):
            holder = each
    waiting = replacements.get(key_of(holder)) if holder is not None else None
    if waiting is not None and has_reservation(waiting):
        waiting = None
    selected = waiting or holder or newest
    finish = [
        Finish(each, *(REPLACED if key_of(each) in replacements else OUT_OF_SYNC))
        for each in slices
        if each is not selected and each is not holder
    ]
    return selected, finish


def slice_annotations(name: str, workloads: Iterable[Workload]) -> dict[str, str]:
    """The annotations of a new slice with that name. Raises ValueError where more than one slice is alive: the chain has to be put right first."""
    made = {names.ELASTIC_JOB_ANNOTATION: "true"}
    slices = unfinished(workloads)
    if len(slices) > 1:
        raise ValueError(f"unexpected workload-slices count: {len(slices)}")
    if not slices:
        return {**made, names.WORKLOAD_SLICE_NAME_ANNOTATION: name}
    (old,) = slices
    return {
        **made,
        names.WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION: key_of(old),
        names.WORKLOAD_SLICE_NAME_ANNOTATION: chain_name(old),
    }
