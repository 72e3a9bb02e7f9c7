"""What is said of a job that waits: the parts of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from raysail.api.kueue import Workload, names


@dataclass(frozen=True, slots=True)
class Job:
    """The job behind a Workload: kind and name of its owner (the Workload itself where it has none)."""

    kind: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds what is missing. `borrowed`: beyond the nominal quota of its own ClusterQueue. `since` in seconds since the epoch."""

    job: Job
    workload: str
    cluster_queue: str
    local_queue: str
    priority: int
    since: float
    amounts: dict[str, str]
    borrowed: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    """A workload that the queue takes first."""

    job: Job
    workload: str
    priority: int
    since: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Quota of one resource in one flavor: what is needed, what is free, what there could be at most."""

    flavor: str
    resource: str
    needed: str
    free: str
    most: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one flavor for one pod set. `outcome` is NoFit, Preempt or Fit."""

    pod_set: str
    flavor: str
    outcome: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Help:
    """A change that would let the job start; it was tried. `kind` is wait, fewer, priority, topology, quota, or fix."""

    kind: str
    text: str


@dataclass(slots=True)
class Why:
    """The whole answer. `state` is finished, running, checking, preempting, pending, inactive or blocked; `never` means: not as things are set up."""

    workload: str
    job: Job
    state: str
    summary: str
    local_queue: str = ""
    cluster_queue: str = ""
    reason: str = ""
    position: int = 0
    waiting: int = 0
    never: bool = False
    since: float = 0.0
    ahead: list[Ahead] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    helps: list[Help] = field(default_factory=list)


def job_of(workload: Workload) -> Job:
    """The job that a Workload stands for: its owner, the object that its group of Pods is of, or the group itself."""
    namespace = workload.metadata.namespace
    owner = workload.metadata.controller_owner()
    if owner is not None:
        return Job(owner.kind, owner.name, namespace)
    annotations = workload.metadata.annotations or {}
    if named := annotations.get(names.JOB_OWNER_NAME_ANNOTATION):
        return Job(annotations.get(names.JOB_OWNER_GVK_ANNOTATION, "").partition("Kind=")[2] or "Workload", named, namespace)
    grouped = annotations.get(names.IS_GROUP_WORKLOAD_ANNOTATION) == "true"
    return Job("PodGroup" if grouped else "Workload", workload.metadata.name, namespace)
