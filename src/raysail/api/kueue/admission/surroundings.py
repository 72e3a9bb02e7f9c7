"""What admission may ask about other objects: queues, namespaces, priority classes, owners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.errors import StatusError
from raysail.api.kueue.admission.jobkinds import BY_OWNER, TRANSPARENT_OWNERS
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.names import DEFAULT_LOCAL_QUEUE, DEFAULT_WORKLOAD_PRIORITY_CLASS, MULTIKUEUE_CONTROLLER, QUEUE_NAME_LABEL
from raysail.api.resources import ADMISSION_CHECKS, CLUSTER_QUEUES, LOCAL_QUEUES, NAMESPACES, WORKLOAD_PRIORITY_CLASSES, Resource

Json = Mapping[str, Any]
Lookup = Callable[[Resource, str, str], Mapping[str, Any] | None]
"""An object by resource, namespace (empty for cluster-scoped ones) and name; None where it is not there."""

_LONGEST_OWNER_CHAIN: Final = 10


def metadata_of(obj: Json) -> Json:
    """The object's metadata; empty where it has none."""
    return obj.get("metadata") or {}


def labels_of(obj: Json) -> Mapping[str, str]:
    """The object's labels."""
    return metadata_of(obj).get("labels") or {}


def annotations_of(obj: Json) -> Mapping[str, str]:
    """The object's annotations."""
    return metadata_of(obj).get("annotations") or {}


def queue_name(obj: Json) -> str:
    """The LocalQueue that the object names; empty if none."""
    return labels_of(obj).get(QUEUE_NAME_LABEL, "")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The rest of the world, as far as a webhook looks at it."""

    lookup: Lookup
    settings: AdmissionSettings

    def has_default_queue(self, namespace: str) -> bool:
        """Whether the namespace has a LocalQueue for jobs that name none."""
        return self.lookup(LOCAL_QUEUES, namespace, DEFAULT_LOCAL_QUEUE) is not None

    def has_default_priority_class(self) -> bool:
        """Whether there is a WorkloadPriorityClass for jobs that name none."""
        return self.lookup(WORKLOAD_PRIORITY_CLASSES, "", DEFAULT_WORKLOAD_PRIORITY_CLASS) is not None

    def namespace_managed(self, namespace: str) -> bool:
        """Whether `managedJobsNamespaceSelector` selects the namespace."""
        selector = self.settings.managed_namespaces
        if selector is None:
            return True
        found = self.lookup(NAMESPACES, "", namespace)
        return selector.matches(labels_of(found) if found is not None else {})

    def owner_is_managed(self, obj: Json) -> bool:
        """Whether the object's controller is of a kind that is held back."""
        owner = _controller_of(obj)
        return owner is not None and self._is_held_back(owner)

    def managed_ancestor(self, obj: Json) -> Json | None:
        """The topmost owner that is a held back job itself. Raises StatusError where an owner is gone or owners go in a circle."""
        namespace = metadata_of(obj).get("namespace", "")
        seen: set[str] = set()
        current, topmost = obj, None
        while True:
            uid = metadata_of(current).get("uid", "")
            if uid in seen:
                raise StatusError("Forbidden", "cyclic ownership")
            seen.add(uid)
            owner = _controller_of(current)
            key = (owner.get("apiVersion", ""), owner.get("kind", "")) if owner else ("", "")
            kind = BY_OWNER.get(key)
            resource = kind.resource if kind is not None else self._external(key) or TRANSPARENT_OWNERS.get(key)
            if owner is None or resource is None:
                return topmost
            parent = self.lookup(resource, namespace, owner.get("name", ""))
            if parent is None:
                qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
                raise StatusError("Forbidden", f'workload owner not found\n{qualified} "{owner.get("name", "")}" not found')
            if metadata_of(parent).get("uid", "") != owner.get("uid", ""):
                return topmost  # a stale reference: another object has the name now
            if self._is_held_back(owner) and (self.settings.manage_jobs_without_queue_name or queue_name(parent)):
                topmost = parent
            current = parent
            if len(seen) > _LONGEST_OWNER_CHAIN:
                raise StatusError("Forbidden", f"managed owners chain limit reached: {_LONGEST_OWNER_CHAIN}")

    def _is_held_back(self, owner: Json) -> bool:
        key = (owner.get("apiVersion", ""), owner.get("kind", ""))
        kind = BY_OWNER.get(key)
        return self._external(key) is not None or (kind is not None and kind.framework in self.settings.frameworks)

    def _external(self, key: tuple[str, str]) -> Resource | None:
        return next((each for each in self.settings.external if (each.api_version, each.kind) == key), None)

    def should_suspend(self, obj: Json) -> bool:
        """Whether a new job is held back: it names a queue, or all jobs are; and no owner of it is held back already."""
        if self.settings.enabled("SkipAncestorCheckForDeletedWorkloads") and metadata_of(obj).get("deletionTimestamp"):
            return False
        if self.managed_ancestor(obj) is not None:
            return False
        if queue_name(obj):
            return True
        return self.settings.manage_jobs_without_queue_name and self.namespace_managed(metadata_of(obj).get("namespace", ""))

    def goes_to_multikueue(self, namespace: str, queue: str) -> bool:
        """Whether the queue's ClusterQueue hands jobs on to other clusters."""
        local = self.lookup(LOCAL_QUEUES, namespace, queue)
        cluster = self.lookup(CLUSTER_QUEUES, "", (local.get("spec") or {}).get("clusterQueue", "")) if local is not None else None
        if cluster is None:
            return False
        strategy = (cluster.get("spec") or {}).get("admissionChecksStrategy") or {}
        checks = (self.lookup(ADMISSION_CHECKS, "", check.get("name", "")) for check in strategy.get("admissionChecks") or ())
        return any(check is not None and (check.get("spec") or {}).get("controllerName") == MULTIKUEUE_CONTROLLER for check in checks)


def _controller_of(obj: Json) -> Json | None:
    return next((owner for owner in metadata_of(obj).get("ownerReferences") or () if owner.get("controller")), None)
