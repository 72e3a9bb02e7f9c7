"""The kinds of job that the queue can hold back: one module each. `KINDS` has them by the framework name of Kueue's configuration."""

from collections.abc import Mapping
from typing import Final

from raysail.queue.jobs.app_wrapper import AppWrapperKind
from raysail.queue.jobs.batch_job import BatchJob
from raysail.queue.jobs.job_set import JobSetKind
from raysail.queue.jobs.kind import JobKind
from raysail.queue.jobs.leader_worker_set import LeaderWorkerSetKind, LeaderWorkerSetReconciler
from raysail.queue.jobs.pod import PodKind, PodReconciler
from raysail.queue.jobs.ray_cluster import RayClusterKind
from raysail.queue.jobs.ray_job import RayJobKind
from raysail.queue.jobs.ray_service import RayServiceKind
from raysail.queue.jobs.reconciler import JobReconciler
from raysail.queue.jobs.serving import ServingReconciler
from raysail.queue.jobs.stateful_set import StatefulSetKind, StatefulSetReconciler
from raysail.queue.jobs.train_job import TrainJobKind, TrainJobReconciler
from raysail.queue.jobs.training import TRAINING_KINDS

KINDS: Final[Mapping[str, JobKind]] = {
    kind.framework: kind
    for kind in (
        BatchJob(),
        RayClusterKind(),
        RayJobKind(),
        RayServiceKind(),
        JobSetKind(),
        *TRAINING_KINDS,
        TrainJobKind(),
        AppWrapperKind(),
        PodKind(),
        StatefulSetKind(),
        LeaderWorkerSetKind(),
    )
}

RECONCILERS: Final[Mapping[str, type[JobReconciler] | type[ServingReconciler]]] = {
    TrainJobKind.framework: TrainJobReconciler,
    PodKind.framework: PodReconciler,
    StatefulSetKind.framework: StatefulSetReconciler,
    LeaderWorkerSetKind.framework: LeaderWorkerSetReconciler,
}
"""Of the kinds that are not reconciled as all others are."""


def reconciler_of(kind: JobKind) -> type[JobReconciler] | type[ServingReconciler]:
    """What reconciles the jobs of that kind."""
    return RECONCILERS.get(kind.framework, JobReconciler)
