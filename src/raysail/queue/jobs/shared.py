"""What the reconcilers of all kinds of jobs share: informers of every kind, the way up to the ancestor that decides, priority classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.kueue import WorkloadPriorityClass
from raysail.api.resources import PRIORITY_CLASSES, WORKLOAD_PRIORITY_CLASSES, WORKLOADS
from raysail.api.scheduling import PriorityClass
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.jobs.kind import InvalidJobError, Job, JobKind
from raysail.queue.jobs.workloads import prebuilt_name
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter

_MAX_NESTING: Final = 10


def group_of(api_version: str) -> str:
    """The API group in an apiVersion; empty for core."""
    return api_version.partition("/")[0] if "/" in api_version else ""


class Jobs:
    """What reconcilers of all kinds share: informers of every kind (to find ancestors), priority classes, writers."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings, kinds: Iterable[JobKind]) -> None:
        self.manager = manager
        self.cache = cache
        self.settings = settings
        self.kinds: dict[tuple[str, str], JobKind] = {}
        self.informers: dict[tuple[str, str], Informer[Job]] = {}
        for kind in kinds:
            key = (kind.resource.group, kind.resource.kind)
            self.kinds[key] = kind
            self.informers[key] = manager.informer(
                kind.resource, Job, {"owner_uid": _by_owner_uid, "prebuilt": _by_prebuilt}, optional=True
            )
        self.workload_classes = manager.informer(WORKLOAD_PRIORITY_CLASSES, WorkloadPriorityClass)
        self.pod_classes = manager.informer(PRIORITY_CLASSES, PriorityClass, optional=True)
        self.workload_writer = StatusWriter(manager.client, WORKLOADS, cache.workloads)

    def default_class(self) -> PriorityClass | None:
        """The global default PriorityClass; of several the lowest."""
        found = [each for each in self.pod_classes.list() if each.global_default]
        return min(found, key=lambda each: each.value, default=None)

    def ancestor(self, job: Job) -> tuple[JobKind, Job] | None:
        """The topmost owner whose Workload decides about this job. Raises InvalidJobError where owners go on without end."""
        top: tuple[JobKind, Job] | None = None
        current = job
        seen = {job.metadata.uid}
        while True:
            owner = current.metadata.controller_owner()
            if owner is None:
                return top
            key = (group_of(owner.api_version), owner.kind)
            informer = self.informers.get(key)
            parent = informer.get(job.metadata.namespace, owner.name) if informer is not None else None
            if parent is None or parent.metadata.uid != owner.uid or parent.metadata.uid in seen:
                return top
            if self.settings.manage_jobs_without_queue_name or parent.queue_name:
                top = self.kinds[key], parent
            seen.add(parent.metadata.uid)
            current = parent
            if len(seen) > _MAX_NESTING:
                raise InvalidJobError(f"Terminated search for Kueue-managed Job because ancestor depth exceeded limit of {_MAX_NESTING}")


def _by_owner_uid(job: Job) -> Iterable[str]:
    owner = job.metadata.controller_owner()
    return (owner.uid,) if owner is not None else ()


def _by_prebuilt(job: Job) -> Iterable[Key]:
    name = prebuilt_name(job)
    return ((job.metadata.namespace, name),) if name else ()
