"""What the queue must know about a kind of job to hold it back: pure questions about the object, and what starting and stopping change in it.

A kind is a subclass of `JobKind` in a module of its own. Jobs are read as plain spec and status: what the queue changes are pod templates, which
pass through. Source: Kueue pkg/controller/jobframework/interface.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import field

from raysail.api.go_parse import parse_bool, parse_int
from raysail.api.kueue import names
from raysail.api.meta import Object
from raysail.api.resources import Resource
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo

JsonObject = dict[str, Any]
_MOST_LAYERS: Final = 3


class Job(Object, frozen=True):
    """Any job: metadata typed, spec and status plain."""

    spec: JsonObject = field(default_factory=dict)
    status: JsonObject = field(default_factory=dict)
    companion: Job | None = None
    """The object that does the job's work, for kinds that name one; no part of the object itself."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.metadata.labels or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return self.metadata.annotations or {}

    @property
    def queue_name(self) -> str:
        """The LocalQueue it wants; empty for none."""
        return self.labels.get(names.QUEUE_NAME_LABEL, "")


class Ended(NamedTuple):
    """How a job ended."""

    message: str
    success: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One write to a job: the whole new spec and metadata changes; or, with `status`, a merge patch of its status."""

    spec: JsonObject | None = None
    annotations: Mapping[str, str | None] | None = None
    status: JsonObject | None = None


class InvalidJobError(Exception):
    """The job cannot be turned into a Workload as it is; the message says why. `told`: in an event, too."""

    def __init__(self, message: str, *, told: bool = True) -> None:
        super().__init__(message)
        self.told = told


class JobKind:
    """One kind. Every method is pure; `spec` dicts handed out are copies to change."""

    framework = ""
    """Name in the configuration's integrations.frameworks."""
    resource: Resource
    implied_by: tuple[str, ...] = ()
    """Frameworks that switch this one on for their own objects."""
    never_finishes = False
    top_level = False
    """Whether it stands for itself whoever owns it."""
    label_selector = ""
    """Which objects of the kind the queue looks at; all when empty."""
    companion: Resource | None = None
    """The kind of the objects that do the work of this kind's jobs, where what they do counts; it is a kind of job itself."""

    def companion_name(self, job: Job) -> str:
        """The object of that kind that does this job's work; empty for none yet."""
        return ""

    # what is it doing?

    def leaving(self, job: Job) -> bool:
        """Whether it is being deleted."""
        return job.metadata.deletion_timestamp is not None

    def suspended(self, job: Job) -> bool:
        """Whether it is told not to run."""
        return bool(job.spec.get("suspend"))

    def active(self, job: Job) -> bool:
        """Whether Pods of it may still run. Quota is given back only when this is false."""
        raise NotImplementedError

    def finished(self, job: Job) -> Ended | None:
        """How it ended; None while it has not."""
        raise NotImplementedError

    def pods_ready(self, job: Job) -> bool:
        """Whether all its Pods are ready or done."""
        raise NotImplementedError

    def skip(self, job: Job) -> bool:
        """Whether the queue has nothing to do with it in spite of its queue name."""
        return False

    def follows_queue_name(self, job: Job) -> bool:
        """Whether its waiting Workload goes to the queue that the job names now."""
        return True

    def workload_active(self, job: Job) -> bool | None:
        """What spec.active of its Workload is to be; None: that is not for the job to say."""
        return None

    def on_hold(self, job: Job) -> bool:
        """Whether it waits for its user, and should hold no quota meanwhile."""
        return False

    # what does it need?

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """spec.podSets of its Workload. Raises InvalidJobError."""
        raise NotImplementedError

    def reclaimable(self, job: Job) -> dict[str, int] | None:
        """Pods per pod set that have done their part; None where the kind cannot tell."""
        return None

    def slice_name_part(self, job: Job) -> str:
        """What tells the slices of an elastic job apart in their names."""
        return str(job.metadata.generation)

    def own_annotations(self, job: Job) -> Mapping[str, str]:
        """Annotations that an elastic job is to have, from what its companion shows."""
        return {}

    def priority_class(self, job: Job) -> str | None:
        """The PriorityClass that counts; None: that of the first pod template that names one."""
        return None

    # start and stop

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Unsuspended, with the infos injected. Raises PodSetConflictError."""
        raise NotImplementedError

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspended, templates restored (no infos: left as they are). Empty where it is stopped already."""
        raise NotImplementedError

    def suspend(self, job: Job) -> list[Step]:
        """Suspended and nothing else: what is done to a job that follows another."""
        return self.stop(job, ())


def check_length(infos: Sequence[PodSetInfo], expected: int) -> None:
    """Raises PodSetConflictError where the admission does not have as many pod sets as the job."""
    if len(infos) != expected:
        raise PodSetConflictError(f"invalid podset infos: expecting {expected} podset, got {len(infos)}")


def topology_request(
    template: Mapping[str, Any], *, pod_index_label: str = "", sub_group_index_label: str = "", sub_group_count: int | None = None
) -> JsonObject | None:
    """spec.podSets[].topologyRequest from the template's annotations (Kueue jobframework/tas.go). Raises InvalidJobError."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    request: JsonObject = {}
    try:
        if names.POD_SET_REQUIRED_TOPOLOGY_ANNOTATION in annotations:
            request["required"] = annotations[names.POD_SET_REQUIRED_TOPOLOGY_ANNOTATION]
        elif names.POD_SET_PREFERRED_TOPOLOGY_ANNOTATION in annotations:
            request["preferred"] = annotations[names.POD_SET_PREFERRED_TOPOLOGY_ANNOTATION]
        elif names.POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION in annotations:
            request["unconstrained"] = parse_bool(annotations[names.POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION])
        if names.POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION in annotations:
            text = annotations[names.POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION]
            request["podsetSliceRequiredTopologyConstraints"] = _layers(text)
        elif names.POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION in annotations and names.POD_SET_SLICE_SIZE_ANNOTATION in annotations:
            request["podSetSliceRequiredTopology"] = annotations[names.POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION]
            request["podSetSliceSize"] = parse_int(annotations[names.POD_SET_SLICE_SIZE_ANNOTATION])
    except ValueError as error:
        raise InvalidJobError(str(error)) from error
    if pod_index_label:
        request["podIndexLabel"] = pod_index_label
    if sub_group_index_label:
        request["subGroupIndexLabel"] = sub_group_index_label
    if sub_group_count is not None:
        request["subGroupCount"] = sub_group_count
    if ("required" in request or "preferred" in request) and names.POD_SET_GROUP_NAME_ANNOTATION in annotations:
        request["podSetGroupName"] = annotations[names.POD_SET_GROUP_NAME_ANNOTATION]
    return request or None


def _layers(text: str) -> list[JsonObject]:
    """Raises ValueError."""
    try:
        layers = msgspec.json.decode(text, type=list[JsonObject])
    except msgspec.DecodeError as error:
        raise ValueError(f"failed to parse multi-layer topology constraints annotation: {error}") from error
    if not 1 <= len(layers) <= _MOST_LAYERS:
        raise ValueError(f"topology constraints must contain between 1 and {_MOST_LAYERS} entries: got {len(layers)}")
    return layers


def pod_set(name: str, template: JsonObject, count: int, *, min_count: int | None = None, topology: JsonObject | None = None) -> JsonObject:
    """One entry of spec.podSets; names are lower-cased, as Kueue does."""
    made: JsonObject = {"name": name.lower(), "template": template, "count": count}
    if min_count is not None:
        made["minCount"] = min_count
    if topology is not None:
        made["topologyRequest"] = topology
    return made
