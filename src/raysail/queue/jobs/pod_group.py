"""Pods as jobs: a Pod by itself, or the Pods that name the same group. What they do, what they need, which of them count. Pure.

A Pod cannot be suspended: a gate keeps it from being bound, and it stops for good by being deleted. A group therefore lives through its Pods'
replacement: `fit` says which Pods fill the places of its Workload, which are one too many, and how many are missing.
Source: Kueue pkg/controller/jobs/pod/pod_controller.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from raysail.api import conditions
from raysail.api.go_parse import parse_int
from raysail.api.kueue import Workload, names
from raysail.api.kueue.admission.rolehash import role_hash
from raysail.api.meta import parse_time
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JsonObject, pod_set, topology_request
from raysail.queue.model.workload import is_finished

MOST_ROLES: Final = 18
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fit:
    """A group's Pods in the places of its Workload: `kept` fill them, `excess` run although no place is left, `replaced` have ended and are
    replaced; `absent` places wait for a Pod.
    """

    kept: tuple[Job, ...]
    excess: tuple[Job, ...]
    replaced: tuple[Job, ...]
    absent: int


class Pods(Job, frozen=True):
    """One Pod (`group` empty), or the Pods of a group as they were at `now`; metadata, spec and status are the first one's."""

    group: str = ""
    members: tuple[Job, ...] = ()
    now: datetime = _NEVER
    fit: Fit | None = None
    """Set where a Workload of the group stands: then only the Pods that it keeps are the job."""
    fast_release: bool = False
    """Whether Pods that are going count as gone (gate FastQuotaReleaseInPodIntegration)."""

    @property
    def present(self) -> tuple[Job, ...]:
        """The Pods that are the job."""
        return self.members if self.fit is None else self.fit.kept


def gather(members: Sequence[Job], group: str, now: datetime, *, fit: Fit | None = None, fast_release: bool = False) -> Pods:
    """The job made of these Pods; at least one, in the order in which they shall count."""
    first = members[0]
    return Pods(
        api_version="v1",
        kind="Pod",
        metadata=first.metadata,
        spec=first.spec,
        status=first.status,
        group=group,
        members=tuple(members),
        now=now,
        fit=fit,
        fast_release=fast_release,
    )


# one Pod


def group_of_pod(pod: Job, *, by_annotation: bool = True) -> str:
    """The group it names; empty for none. `by_annotation`: gate WorkloadIdentifierAnnotations."""
    named = pod.annotations.get(names.POD_GROUP_NAME, "") if by_annotation else ""
    return named or pod.labels.get(names.POD_GROUP_NAME, "")


def gated(pod: Job, gate: str = names.ADMISSION_GATE) -> bool:
    """Whether it has that scheduling gate."""
    return any(each.get("name") == gate for each in pod.spec.get("schedulingGates") or ())


def ended(pod: Job) -> bool:
    """Whether it succeeded or failed."""
    return pod.status.get("phase") in ("Succeeded", "Failed")


def held(pod: Job) -> bool:
    """Whether it does not run: gated, or ended."""
    return gated(pod) or ended(pod)


def counts(pod: Job) -> bool:
    """Whether it runs, has succeeded, or may still come to run. One that is deleted before it had a node will not."""
    if pod.metadata.deletion_timestamp is not None and not pod.spec.get("nodeName"):
        return False
    return pod.status.get("phase") != "Failed"


def role_of(pod: Job) -> str:
    """What it is in its group; Pods of one role are alike to the scheduler."""
    return pod.annotations.get(names.ROLE_HASH_ANNOTATION) or role_hash(pod.spec)


def is_ready(pod: Job) -> bool:
    """Its condition Ready."""
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in pod.status.get("conditions") or ())


def is_serving(pods: Pods) -> bool:
    """Whether it is a group that never finishes."""
    return bool(pods.group) and pods.annotations.get(names.POD_GROUP_SERVING_ANNOTATION) == "true"


def is_fast(pods: Pods) -> bool:
    """Whether the group may be admitted before all its Pods are there."""
    return pods.annotations.get(names.POD_GROUP_FAST_ADMISSION_ANNOTATION) == "true"


def total_count(pods: Pods) -> int:
    """How many Pods the group says it has. Raises ValueError with Kueue's text."""
    text = pods.annotations.get(names.POD_GROUP_TOTAL_COUNT_ANNOTATION)
    if text is None:
        raise ValueError(f"failed to extract '{names.POD_GROUP_TOTAL_COUNT_ANNOTATION}' annotation")
    count = parse_int(text)
    if count < 1:
        wrong = f"incorrect annotation value '{names.POD_GROUP_TOTAL_COUNT_ANNOTATION}={text}'"
        raise ValueError(f"{wrong}: group total count should be greater than zero")
    return count


# the job


def suspended(pods: Pods) -> bool:
    """Whether one of its Pods does not run."""
    return any(held(pod) for pod in pods.present)


def active(pods: Pods) -> bool:
    """Whether a Pod of the group runs and will go on to. A Pod by itself never counts: its Workload goes with it."""
    return bool(pods.group) and any(_holds_quota(pod, pods.now, fast_release=pods.fast_release) for pod in pods.present)


def _holds_quota(pod: Job, now: datetime, *, fast_release: bool) -> bool:
    if pod.status.get("phase") != "Running":
        return False
    going = pod.metadata.deletion_timestamp
    if going is None:
        return True
    grace = pod.metadata.deletion_grace_period_seconds
    # One that is stuck (a lost node) must not hold quota for ever.
    return not fast_release and (grace is None or now <= parse_time(going) + timedelta(seconds=grace))


def finished(pods: Pods) -> Ended | None:
    """A group ends when all its Pods have succeeded, or, where failures are final, when none runs any more."""
    if is_serving(pods):
        return None
    if not pods.group:
        return Ended(pods.status.get("message", ""), pods.status.get("phase") == "Succeeded") if ended(pods) else None
    try:
        total = total_count(pods)
    except ValueError:
        return None
    succeeded = sum(pod.status.get("phase") == "Succeeded" for pod in pods.present)
    final = any(pod.annotations.get(names.RETRIABLE_IN_GROUP_ANNOTATION) == "false" for pod in pods.present)
    if succeeded == total or (final and all(ended(pod) for pod in pods.present)):
        return Ended(f"Pods succeeded: {succeeded}/{total}.", True)
    return None


def pods_ready(pods: Pods) -> bool:
    """Whether all its Pods are there and ready."""
    if not pods.group:
        return is_ready(pods)
    try:
        return len(pods.present) >= total_count(pods) and all(is_ready(pod) for pod in pods.present)
    except ValueError:
        return False


def reclaimable(pods: Pods) -> dict[str, int]:
    """Pods of a group that have succeeded, by role."""
    found: dict[str, int] = {}
    for pod in pods.present if pods.group and not is_serving(pods) else ():
        if pod.status.get("phase") == "Succeeded":
            found[role_of(pod)] = found.get(role_of(pod), 0) + 1
    return found


def pod_sets(pods: Pods) -> list[JsonObject]:
    """`main` of one for a Pod; one for each role of a group. Raises InvalidJobError."""
    if not pods.group:
        return [_pod_set(names.DEFAULT_POD_SET, pods)]
    if not is_fast(pods):
        return _by_role(pods.present)
    first = next((pod for pod in pods.present if counts(pod)), None)
    if first is None:
        raise InvalidJobError("failed to find a runnable pod in the group", told=False)
    try:
        return [{**_pod_set(role_of(first), first), "count": total_count(pods)}]
    except ValueError as error:
        raise InvalidJobError(str(error), told=False) from error


def _by_role(members: Iterable[Job]) -> list[JsonObject]:
    found: dict[str, JsonObject] = {}
    for pod in members:
        if counts(pod):
            role = role_of(pod)
            if role in found:
                found[role]["count"] += 1
            else:
                found[role] = _pod_set(role, pod)
    return [found[role] for role in sorted(found)]


def _pod_set(name: str, pod: Job) -> JsonObject:
    topology = topology_request({"metadata": {"annotations": pod.annotations}}, pod_index_label=names.POD_GROUP_POD_INDEX_LABEL)
    return pod_set(name, {"spec": copy.deepcopy(pod.spec)}, 1, topology=topology)


# a group and its Workload


def youngest_last(members: Iterable[Job]) -> list[Job]:
    """Pods in the order in which they are kept: still ours, let run already, older."""
    return sorted(members, key=lambda pod: (not _is_ours(pod), gated(pod), _created(pod)))


def replaced_last(members: Iterable[Job], now: datetime) -> list[Job]:
    """Pods that ended in the order in which they are kept: still ours, ended last, older."""
    return sorted(members, key=lambda pod: (not _is_ours(pod), -_last_active(pod, now).timestamp(), _created(pod)))


def _is_ours(pod: Job) -> bool:
    return names.MANAGED_FINALIZER in (pod.metadata.finalizers or ())


def _created(pod: Job) -> datetime:
    return parse_time(pod.metadata.creation_timestamp) if pod.metadata.creation_timestamp else _NEVER


def _last_active(pod: Job, now: datetime) -> datetime:
    """When it failed or was deleted, whichever was first."""
    deleted = parse_time(pod.metadata.deletion_timestamp) if pod.metadata.deletion_timestamp else now
    for condition in pod.status.get("conditions") or ():
        if condition.get("type") == "ContainersReady":
            if condition.get("status") == "False" and condition.get("reason") == "Failed" and condition.get("lastTransitionTime"):
                return min(deleted, parse_time(condition["lastTransitionTime"]))
            break
    return min(deleted, now)


def split(members: Iterable[Job]) -> tuple[list[Job], list[Job]]:
    """(those that count, those that do not any more)."""
    found: tuple[list[Job], list[Job]] = [], []
    for pod in members:
        found[not counts(pod)].append(pod)
    return found


def fit_to(pods: Pods, workload: Workload) -> Fit | None:
    """The group's Pods in the places of that Workload; None where it cannot be the group's."""
    counting, gone = split(pods.members)
    kept: list[Job] = []
    excess: list[Job] = []
    replaced: list[Job] = []
    absent = 0
    for place in workload.spec.pod_sets:
        here = [pod for pod in counting if role_of(pod) == place.name]
        left = [pod for pod in gone if role_of(pod) == place.name]
        if is_fast(pods):
            absent += place.count > 0 and not here
        else:
            absent += max(0, place.count - len(here))
        if len(here) > place.count:
            here = youngest_last(here)
        kept += here[: place.count]
        excess += here[place.count :]
        over = min(len(left), len(left) + len(here) - place.count)
        if over > 0:
            left = replaced_last(left, pods.now)
            kept += left[:-over]
            replaced += left[-over:]
        else:
            kept += left
    if not kept or not covers(workload, _by_role(kept)):
        return None
    return Fit(tuple(kept), tuple(excess), tuple(replaced), absent)


def covers(workload: Workload, wanted: Sequence[JsonObject]) -> bool:
    """Whether the Workload has a place for each of these (in the same order), and as many as there are Pods unless it has finished."""
    over = is_finished(workload)
    places = list(workload.spec.pod_sets)
    if not over and len(places) < len(wanted):
        return False
    rest = iter(places)
    for each in wanted:
        place = next((found for found in rest if found.name == each["name"]), None)
        if place is None or (not over and place.count < each["count"]):
            return False
    return True


def check_members(pods: Pods, counting: Sequence[Job]) -> None:
    """Whether the Pods agree about their group and are all there. Raises InvalidJobError, ValueError (both with Kueue's texts)."""
    total = total_count(pods)
    index = pods.labels.get(names.POD_GROUP_POD_INDEX_LABEL)
    if index is not None and not (index.isascii() and index.isdigit() and int(index) < total):
        raise ValueError(f'incorrect label value "{index}" for Pod "{pods.metadata.namespace}/{pods.metadata.name}": not below {total}')
    if not is_fast(pods) and len(counting) < total:
        raise InvalidJobError(f"'{pods.group}' group has fewer runnable pods than expected")
    first = pods.metadata.name
    for pod in pods.members:
        if pod.status.get("phase") == "Failed":
            continue
        name = pod.metadata.name
        if pod.queue_name != pods.queue_name:
            text = f"pods '{first}' and '{name}' has different queue names: {pods.queue_name}!={pod.queue_name}"
            raise InvalidJobError(text, told=False)
        annotation = names.POD_GROUP_TOTAL_COUNT_ANNOTATION
        try:
            count = parse_int(pod.annotations.get(annotation, ""))
        except ValueError as error:
            raise ValueError(f"failed to extract '{annotation}' annotation from the pod '{name}': {error}") from error
        if count != total:
            raise InvalidJobError(f"pods '{first}' and '{name}' has different '{annotation}' values: {total}!={count}", told=False)


def common(members: Iterable[Mapping[str, str]], keys: Iterable[str], what: str) -> dict[str, str]:
    """Of each key the value that all who have it agree on. Raises ValueError where they do not."""
    found: dict[str, str] = {}
    wanted = tuple(keys)
    for each in members:
        for key in wanted:
            if key in each and found.setdefault(key, each[key]) != each[key]:
                raise ValueError(f"constructing workload: pods have different {what} values")
    return found


def waiting_for_replacement(pods: Pods, workload: Workload) -> tuple[bool, str, str] | None:
    """The condition WaitingForReplacementPods as (value, reason, message); None where nothing is to be said anew."""
    if not pods.group:
        return None
    present = conditions.find(workload.status.conditions, "WaitingForReplacementPods")
    missing = pods.fit is not None and pods.fit.absent > 0
    if present is None and not missing:
        return None
    before = (present.status == "True", present.reason, present.message) if present is not None else None
    if not missing:
        return (False, "PodsReady", "No pods need replacement") if before is None or before[0] else None
    evicted = conditions.find(workload.status.conditions, "Evicted")
    if evicted is not None and evicted.status == "True":
        wanted = True, evicted.reason, evicted.message
    elif before is not None and before[0]:
        return None
    else:
        wanted = True, "PodsFailed", "Some Failed pods need replacement"
    return wanted if wanted != before else None


def without_gate(spec: dict[str, Any], gate: str) -> None:
    """Takes a scheduling gate off (changed in place)."""
    left = [each for each in spec.get("schedulingGates") or () if each.get("name") != gate]
    if left:
        spec["schedulingGates"] = left
    else:
        spec.pop("schedulingGates", None)
