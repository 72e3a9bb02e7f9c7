"""What Kueue's webhooks do with kinds that serve: Deployment, StatefulSet, LeaderWorkerSet (pkg/controller/jobs/{deployment,statefulset,leaderworkerset}).

They have no field that suspends them: their Pods are held back one by one, or as a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.kueue.admission.defaults import default_local_queue, default_priority_class, set_annotation, set_label
from raysail.api.kueue.admission.gatedby import gated_by_create_causes, gated_by_update_causes
from raysail.api.kueue.admission.jobkinds import DEPLOYMENT, LEADER_WORKER_SET, STATEFUL_SET, JobKind, set_at, value_at
from raysail.api.kueue.admission.jobs import QUEUE_NAME_FIELD, elastic_causes, priority_class_update_causes, queue_name_causes
from raysail.api.kueue.admission.quotas import IMMUTABLE
from raysail.api.kueue.admission.rolehash import spec_shape
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Surroundings, annotations_of, labels_of, metadata_of, queue_name
from raysail.api.kueue.admission.topology import PodSetSource, grouping_causes, slice_size_causes, topology_causes
from raysail.api.kueue.admission.workloads import semantically_equal
from raysail.api.kueue.names import (
    MANAGED_LABEL,
    MULTIKUEUE_ORIGIN_LABEL,
    MULTIKUEUE_ORIGIN_UID_ANNOTATION,
    POD_GROUP_SERVING_ANNOTATION,
    POD_INDEX_OFFSET_ANNOTATION,
    POD_SET_GROUP_NAME_ANNOTATION,
    POD_SUSPENDING_PARENT_ANNOTATION,
    PRIORITY_CLASS_LABEL,
    QUEUE_NAME_LABEL,
)
from raysail.api.kueue.workloadname import workload_name
from raysail.api.resources import WORKLOADS

Json = Mapping[str, Any]
Object = dict[str, Any]
SERVING_KINDS: Final = (DEPLOYMENT, STATEFUL_SET, LEADER_WORKER_SET)
_TEMPLATE: Final = ("spec", "template")
_LEADER: Final = ("spec", "leaderWorkerTemplate", "leaderTemplate")
_WORKER: Final = ("spec", "leaderWorkerTemplate", "workerTemplate")
_MOST_GROUPS: Final = 1_000_000


def default_serving(obj: Object, kind: JobKind, world: Surroundings) -> None:
    """Marks the Pods of an object that is in a queue as held back by it."""
    if kind is STATEFUL_SET and _managed_by_other_framework(obj):
        return
    default_local_queue(obj, world)
    default_priority_class(obj, world)
    if not world.should_suspend(obj):
        return
    if kind is LEADER_WORKER_SET:
        _mark_leader_and_workers(obj, world.settings)
        return
    template = _object_at(obj, _TEMPLATE)
    set_annotation(template, POD_SUSPENDING_PARENT_ANNOTATION, kind.framework)
    if kind is DEPLOYMENT:
        set_label(template, MANAGED_LABEL, "true")
        _pass_on_labels(obj, template)


def serving_causes(obj: Json, old: Json | None, kind: JobKind, world: Surroundings) -> list[Cause]:
    """Faults of a new or changed object."""
    if kind is STATEFUL_SET and _managed_by_other_framework(obj):
        return []
    settings = world.settings
    found = queue_name_causes(obj) + elastic_causes(obj, kind, settings)
    if kind is LEADER_WORKER_SET:
        found += _replicas_causes(obj)
    if settings.enabled("AdmissionGatedBy") and (old is None or kind is LEADER_WORKER_SET):
        found += gated_by_create_causes(obj)
    if kind is LEADER_WORKER_SET and settings.enabled("TopologyAwareScheduling"):
        found += _leader_worker_topology_causes(obj, settings)
    if old is None:
        return found
    suspended = not value_at(old, ("status", "readyReplicas"))
    if (not suspended or not queue_name(obj)) and queue_name(obj) != queue_name(old):
        found.append(causes.invalid(QUEUE_NAME_FIELD, queue_name(obj), IMMUTABLE))
    found += priority_class_update_causes(obj, old, suspended=suspended)
    if settings.enabled("AdmissionGatedBy"):
        found += gated_by_update_causes(obj, old)
    if kind is STATEFUL_SET and world.should_suspend(obj):
        found += _stateful_set_update_causes(obj, old, world)
    elif kind is LEADER_WORKER_SET and world.should_suspend(obj):
        found += _leader_worker_update_causes(obj, old, settings)
    return found


def _object_at(obj: Object, path: tuple[str, ...]) -> Object:
    if value_at(obj, path) is None:
        set_at(obj, path, {})
    found: Object = value_at(obj, path)
    return found


def _pass_on_labels(obj: Json, template: Object) -> None:
    for key in (QUEUE_NAME_LABEL, PRIORITY_CLASS_LABEL):
        if value := labels_of(obj).get(key):
            set_label(template, key, value)


def _managed_by_other_framework(stateful_set: Json) -> bool:
    """Whether another kind of job than StatefulSet holds back these Pods."""
    parent = (value_at(stateful_set, (*_TEMPLATE, "metadata", "annotations")) or {}).get(POD_SUSPENDING_PARENT_ANNOTATION)
    return parent is not None and parent != STATEFUL_SET.framework


def _mark_leader_and_workers(obj: Object, settings: AdmissionSettings) -> None:
    has_leader = value_at(obj, _LEADER) is not None
    for path in (_LEADER, _WORKER) if has_leader else (_WORKER,):
        template = _object_at(obj, path)
        _pass_on_labels(obj, template)
        set_annotation(template, POD_SUSPENDING_PARENT_ANNOTATION, LEADER_WORKER_SET.framework)
        set_annotation(template, POD_GROUP_SERVING_ANNOTATION, "true")
        offset = has_leader and path is _WORKER and settings.enabled("TopologyAwareScheduling")
        if offset and POD_SET_GROUP_NAME_ANNOTATION not in annotations_of(template):
            set_annotation(template, POD_INDEX_OFFSET_ANNOTATION, "1")


def _replicas_causes(obj: Json) -> list[Cause]:
    replicas = value_at(obj, ("spec", "replicas"))
    if replicas is None or 0 <= replicas <= _MOST_GROUPS:
        return []
    bound = f"must be >= 0, got {replicas}" if replicas < 0 else f"must be <= {_MOST_GROUPS}, got {replicas}"
    return [causes.invalid("spec.replicas", replicas, f"invalid LeaderWorkerSet replicas: {bound}")]


def _group_size(obj: Json) -> int:
    size = value_at(obj, ("spec", "leaderWorkerTemplate", "size"))
    return 1 if size is None else int(size)


def _leader_worker_topology_causes(obj: Json, settings: AdmissionSettings) -> list[Cause]:
    leader = value_at(obj, _LEADER)
    sources = []
    if leader is not None:
        sources.append(PodSetSource("leader", 1, leader.get("metadata") or {}, f"{'.'.join(_LEADER)}.metadata"))
    count = _group_size(obj) - len(sources)
    metadata = value_at(obj, (*_WORKER, "metadata")) or {}
    sources.append(PodSetSource("worker" if sources else "main", count, metadata, f"{'.'.join(_WORKER)}.metadata"))
    found: list[Cause] = []
    for source in sources:
        found += topology_causes(source.path, source.metadata, settings) + slice_size_causes(source)
    return found + grouping_causes(sources)


def _leader_worker_update_causes(new: Json, old: Json, settings: AdmissionSettings) -> list[Cause]:
    """A held back LeaderWorkerSet keeps the shape of its Pods and the size of its groups."""
    found: list[Cause] = []
    for path in (_LEADER, _WORKER):
        after, before, field = value_at(new, path), value_at(old, path), ".".join(path)
        if path is _LEADER and (after is None or before is None):
            if after is not before:
                found.append(causes.invalid(field, after, IMMUTABLE))
        else:
            found += spec_shape_causes((after or {}).get("spec") or {}, (before or {}).get("spec") or {}, f"{field}.spec")
    if settings.enabled("LWSImmutableGroupSize") and _group_size(new) != _group_size(old):
        found.append(causes.invalid("spec.leaderWorkerTemplate.size", _group_size(new), IMMUTABLE))
    return found


def _stateful_set_update_causes(new: Json, old: Json, world: Surroundings) -> list[Cause]:
    """A held back StatefulSet keeps its Pods' shape, and scales only to and from zero."""
    after_spec, before_spec = (value_at(obj, (*_TEMPLATE, "spec")) or {} for obj in (new, old))
    found = spec_shape_causes(after_spec, before_spec, "spec.template.spec")
    after, before = (value_at(obj, ("spec", "replicas")) for obj in (new, old))
    after, before = (1 if replicas is None else replicas for replicas in (after, before))
    if after and before and after != before:
        found.append(causes.invalid("spec.replicas", after, IMMUTABLE))
    if not before and after:
        if value_at(new, ("status", "replicas")):
            found.append(causes.forbidden("spec.replicas", "scaling down is still in progress"))
        elif _workload_is_going(old, world):
            found.append(causes.forbidden("spec.replicas", "workload from previous scale-down is still being deleted"))
    return found


def _workload_is_going(stateful_set: Json, world: Surroundings) -> bool:
    """Whether its Workload is there and not merely on hold."""
    metadata = metadata_of(stateful_set)
    uid = metadata.get("uid", "")
    if MULTIKUEUE_ORIGIN_LABEL in labels_of(stateful_set):
        uid = annotations_of(stateful_set).get(MULTIKUEUE_ORIGIN_UID_ANNOTATION, uid)
    resource = STATEFUL_SET.resource
    for owner in (uid, ""):  # older Workloads have no UID in their name
        name = workload_name(resource.kind, resource.group, metadata.get("name", ""), owner)
        workload = world.lookup(WORKLOADS, metadata.get("namespace", ""), name)
        if workload is not None:
            conditions = (workload.get("status") or {}).get("conditions") or ()
            reserved = next((c for c in conditions if c.get("type") == "QuotaReserved"), None)
            return reserved is None or reserved.get("status") != "False" or reserved.get("reason") != "OnHold"
    return False


def spec_shape_causes(new: Json, old: Json, field: str) -> list[Cause]:
    """What decides about scheduling stays the same; `field` is where the Pod's spec is."""
    return _shape_causes(spec_shape(new), spec_shape(old), field)


def _shape_causes(new: Any, old: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    for name in new.keys() | old.keys():
        after, before, field = new.get(name), old.get(name), f"{path}.{name}"
        if name in ("containers", "initContainers") and len(after or ()) == len(before or ()):
            for at, (container, was) in enumerate(zip(after or (), before or (), strict=True)):
                found += _shape_causes(container, was, f"{field}[{at}]")
        elif name == "resources" and "containers[" in path.lower():
            found += _shape_causes(after, before, field)
        elif not semantically_equal(after, before):
            found.append(causes.invalid(field, after, IMMUTABLE))
    return found
