"""What the RayJob machine works with: what is seen, what it decides, what it wants done."""

from __future__ import annotations

from dataclasses import dataclass

from raysail.api.batch import Job
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.ray import RayCluster, RayJobStatus
from raysail.ray.cluster.actions import Event


@dataclass(frozen=True, slots=True)
class RayJobInfo:
    """Ray's word about a job. Times in milliseconds since 1970, 0 for none."""

    status: str
    message: str = ""
    start_ms: int = 0
    end_ms: int = 0


@dataclass(frozen=True, slots=True)
class NotFound:
    """Ray answers, and knows no such job."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer that can be used. `refused`: Ray did not like our token."""

    error: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """Ray has taken the job; its state is not known yet."""


Answer = RayJobInfo | NotFound | Unreachable | Submitted


@dataclass(frozen=True, slots=True)
class Seen:
    """The world around a RayJob. `answer`: what Ray's dashboard said last, None before it was asked; `names`: fresh random suffixes."""

    cluster: RayCluster | None = None
    head_service: Service | None = None
    own_service: Service | None = None
    submitter: Job | None = None
    head_pod: Pod | None = None
    answer: Answer | None = None
    names: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """So that the program can be stopped before the RayJob is gone."""


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """The job's own cluster, under the name in its status."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteCluster:
    """The job's own cluster."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class SuspendWorkers:
    """All worker groups of the job's cluster."""


@dataclass(frozen=True, slots=True)
class CreateSubmitter:
    """The Kubernetes Job that submits. `status` has the dashboard's address and the job's id."""

    status: RayJobStatus


@dataclass(frozen=True, slots=True)
class DeleteSubmitter:
    """That Job, with its Pods."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EnsureService:
    """The RayJob's head Service, pointing at the present cluster. `update`: there is one that points at another."""

    update: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Keep asking Ray's dashboard how the job is. `url` is host:port."""

    url: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Hand the program to Ray (HTTPMode)."""

    url: str
    job_id: str


@dataclass(frozen=True, slots=True)
class DeleteSelf:
    """The RayJob."""


Action = (
    AddFinalizer
    | CreateCluster
    | DeleteCluster
    | SuspendWorkers
    | CreateSubmitter
    | DeleteSubmitter
    | EnsureService
    | Ask
    | Submit
    | DeleteSelf
)


@dataclass(frozen=True, slots=True)
class Step:
    """Actions are carried out in order; the status is written when all have succeeded. `wake_seconds`: when to look again without a change."""

    status: RayJobStatus | None = None
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    wake_seconds: float | None = None
