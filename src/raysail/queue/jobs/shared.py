"""What the reconcilers of all kinds of jobs share: informers of every kind, the way up to the ancestor that decides, priority classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.kueue import WorkloadPriorityClass
from raysail.api.resources import PRIORITY_CLASSES, WORKLOAD_PRIORITY_CLASSES, Resource
from raysail.api.scheduling import PriorityClass
from raysail.kube.informer import Informer, Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.jobs.kind import Job, JobKind
from raysail.queue.jobs.workloads import prebuilt_name
from raysail.queue.settings import QueueSettings

_MAX_NESTING: Final = 10
_AGAIN_SECONDS: Final = 0.02
_OWNER_SECONDS: Final = 1.0


class LookAgain(Exception):  # noqa: N818 - it is no error: the world is not yet, or no longer, as a reconcile needs it
    """The reconcile ends here and starts over in `seconds`; None: an event will start it."""

    def __init__(self, message: str, seconds: float | None = _AGAIN_SECONDS) -> None:
        super().__init__(message)
        self.seconds = seconds


class NestingTooDeepError(Exception):
    """Owners go on without end."""

    def __init__(self) -> None:
        super().__init__(f"Terminated search for Kueue-managed Job because ancestor depth exceeded limit of {_MAX_NESTING}")


def group_of(api_version: str) -> str:
    """The API group in an apiVersion; empty for core."""
    return api_version.partition("/")[0] if "/" in api_version else ""


class ExternalKind(JobKind):
    """A kind that others hold back: only what it is called matters, and who owns its Workload."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource


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
                kind.resource,
                Job,
                {"owner_uid": _by_owner_uid, "prebuilt": _by_prebuilt},
                label_selector=kind.label_selector,
                optional=True,
            )
        for resource in settings.external_frameworks:
            external = (resource.group, resource.kind)
            if external not in self.kinds:
                self.kinds[external] = ExternalKind(resource)
                self.informers[external] = manager.informer(resource, Job, metadata_only=True, optional=True)
        self.workload_classes = manager.informer(WORKLOAD_PRIORITY_CLASSES, WorkloadPriorityClass)
        self.pod_classes = manager.informer(PRIORITY_CLASSES, PriorityClass, optional=True)
        self.workload_writer = cache.workload_writer

    def default_class(self) -> PriorityClass | None:
        """The global default PriorityClass; of several the lowest."""
        found = [each for each in self.pod_classes.list() if each.global_default]
        return min(found, key=lambda each: each.value, default=None)

    def ancestor(self, job: Job) -> tuple[JobKind, Job] | None:
        """The topmost owner whose Workload decides about this job. Raises NestingTooDeepError, LookAgain where owners cannot be followed."""
        top: tuple[JobKind, Job] | None = None
        current = job
        seen: set[str] = set()
        while True:
            if current.metadata.uid in seen:
                raise LookAgain("cyclic ownership", None)
            seen.add(current.metadata.uid)
            owner = current.metadata.controller_owner()
            kind = self.kinds.get((group_of(owner.api_version), owner.kind)) if owner is not None else None
            if owner is None or kind is None or owner.api_version != kind.resource.api_version:
                return top
            parent = self.informers[kind.resource.group, kind.resource.kind].get(job.metadata.namespace, owner.name)
            if parent is None and kind.label_selector:
                return top  # not one of those that the queue looks at
            if parent is None:
                raise LookAgain(f"workload owner not found: {kind.resource.plural} {owner.name}", _OWNER_SECONDS)
            if parent.metadata.uid != owner.uid:
                return top  # the reference is stale: another object has the name now
            managed = kind.framework in self.settings.frameworks or kind.resource in self.settings.external_frameworks
            if managed and (self.settings.manage_jobs_without_queue_name or parent.queue_name):
                top = kind, parent
            current = parent
            if len(seen) > _MAX_NESTING:
                raise NestingTooDeepError


def _by_owner_uid(job: Job) -> Iterable[str]:
    owner = job.metadata.controller_owner()
    return (owner.uid,) if owner is not None else ()


def _by_prebuilt(job: Job) -> Iterable[Key]:
    name = prebuilt_name(job)
    return ((job.metadata.namespace, name),) if name else ()
