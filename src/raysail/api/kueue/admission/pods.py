"""What Kueue's webhooks do with Pods and groups of Pods (pkg/controller/jobs/pod)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_parse import parse_int
from raysail.api.kueue.admission.defaults import add_gate, default_priority_class, set_annotation, set_label
from raysail.api.kueue.admission.jobkinds import POD, value_at
from raysail.api.kueue.admission.jobs import (
    annotation_or_label_causes,
    job_create_causes,
    job_update_causes,
    prebuilt_field,
    prebuilt_workload,
)
from raysail.api.kueue.admission.quotas import IMMUTABLE
from raysail.api.kueue.admission.rolehash import role_hash
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Surroundings, annotations_of, labels_of, metadata_of, queue_name
from raysail.api.kueue.admission.topology import topology_causes
from raysail.api.kueue.names import (
    ADMISSION_GATE,
    DEFAULT_LOCAL_QUEUE,
    MANAGED_FINALIZER,
    MANAGED_LABEL,
    POD_GROUP_NAME,
    POD_GROUP_POD_INDEX_LABEL,
    POD_GROUP_POD_INDEX_LABEL_ANNOTATION,
    POD_GROUP_TOTAL_COUNT_ANNOTATION,
    POD_SUSPENDING_PARENT_ANNOTATION,
    QUEUE_NAME_LABEL,
    RETRIABLE_IN_GROUP_ANNOTATION,
    ROLE_HASH_ANNOTATION,
    TOPOLOGY_GATE,
)

Json = Mapping[str, Any]
_TOTAL_COUNT_FIELD: Final = f"metadata.annotations[{POD_GROUP_TOTAL_COUNT_ANNOTATION}]"
_MANAGED_FIELD: Final = f"metadata.labels[{MANAGED_LABEL}]"


def default_pod(pod: dict[str, Any], world: Surroundings) -> None:
    """A Pod in a queue is gated, marked as managed, given a finalizer and the hash of its role."""
    by_parent = POD_SUSPENDING_PARENT_ANNOTATION in annotations_of(pod)
    if not by_parent:
        namespace = metadata_of(pod).get("namespace", "")
        if not world.namespace_managed(namespace) or world.managed_ancestor(pod) is not None:
            return
        if not queue_name(pod) and world.has_default_queue(namespace):
            set_label(pod, QUEUE_NAME_LABEL, DEFAULT_LOCAL_QUEUE)
        default_priority_class(pod, world)
        if not queue_name(pod) and not world.settings.manage_jobs_without_queue_name:
            return
        set_label(pod, MANAGED_LABEL, "true")
        finalizers = pod["metadata"].get("finalizers") or []
        if MANAGED_FINALIZER not in finalizers:
            pod["metadata"]["finalizers"] = [*finalizers, MANAGED_FINALIZER]
    add_gate(pod, ADMISSION_GATE)
    if world.settings.enabled("TopologyAwareScheduling"):
        index_label = annotations_of(pod).get(POD_GROUP_POD_INDEX_LABEL_ANNOTATION)
        if index_label is not None:
            set_label(pod, POD_GROUP_POD_INDEX_LABEL, labels_of(pod).get(index_label, ""))
        add_gate(pod, TOPOLOGY_GATE)
    if ROLE_HASH_ANNOTATION not in annotations_of(pod):
        set_annotation(pod, ROLE_HASH_ANNOTATION, role_hash(pod["spec"]))


def is_pod_suspended(pod: Json) -> bool:
    """Whether the Pod is still gated, or ended already."""
    gates = value_at(pod, ("spec", "schedulingGates")) or ()
    return value_at(pod, ("status", "phase")) in ("Failed", "Succeeded") or any(gate.get("name") == ADMISSION_GATE for gate in gates)


def pod_group_name(pod: Json, settings: AdmissionSettings) -> str:
    """The group that the Pod belongs to; empty if none."""
    annotation = annotations_of(pod).get(POD_GROUP_NAME, "") if settings.enabled("WorkloadIdentifierAnnotations") else ""
    return annotation or labels_of(pod).get(POD_GROUP_NAME, "")


def pod_causes(pod: Json, old: Json | None, world: Surroundings) -> list[Cause]:
    """Faults of a new or changed Pod."""
    settings = world.settings
    if old is None:
        return job_create_causes(pod, POD, settings) + _state_causes(pod, settings)
    found = job_update_causes(pod, old, POD, world, suspended=is_pod_suspended(pod), was_suspended=is_pod_suspended(old))
    found += _state_causes(pod, settings)
    group, old_group = pod_group_name(pod, settings), pod_group_name(old, settings)
    if group and _unretriable(old) and not _unretriable(pod):
        detail = "unretriable pod group can't be converted to retriable"
        found.append(causes.forbidden(f"metadata.annotations[{RETRIABLE_IN_GROUP_ANNOTATION}]", detail))
    if old_group and group != old_group:
        found.append(causes.invalid(_group_name_field(pod, settings), group, IMMUTABLE))
    return found


def pod_warnings(pod: Json, old: Json | None, world: Surroundings) -> list[str]:
    """Texts for the client: a managed Pod whose owner is managed too."""
    if labels_of(pod).get(MANAGED_LABEL) != "true" or not world.owner_is_managed(pod):
        return []
    if old is not None and POD_SUSPENDING_PARENT_ANNOTATION in annotations_of(pod):
        return []
    return [f"pod owner is managed by kueue, label '{MANAGED_LABEL}=true' might lead to unexpected behaviour"]


def _state_causes(pod: Json, settings: AdmissionSettings) -> list[Cause]:
    found = []
    if labels_of(pod).get(MANAGED_LABEL, "true") != "true":
        found.append(causes.forbidden(_MANAGED_FIELD, "managed label value can only be 'true'"))
    found += _group_causes(pod, settings)
    found += topology_causes("metadata", metadata_of(pod), settings)
    group, prebuilt = pod_group_name(pod, settings), prebuilt_workload(pod, settings)
    if group and prebuilt and group != prebuilt:
        found.append(causes.invalid(prebuilt_field(pod, settings), prebuilt, "prebuilt workload and pod group should be equal"))
    return found


def _unretriable(pod: Json) -> bool:
    return annotations_of(pod).get(RETRIABLE_IN_GROUP_ANNOTATION) == "false"


def _group_by_annotation(pod: Json, settings: AdmissionSettings) -> bool:
    return settings.enabled("WorkloadIdentifierAnnotations") and bool(annotations_of(pod).get(POD_GROUP_NAME))


def _group_name_field(pod: Json, settings: AdmissionSettings) -> str:
    place = "annotations" if _group_by_annotation(pod, settings) else "labels"
    return f"metadata.{place}[{POD_GROUP_NAME}]"


def _group_causes(pod: Json, settings: AdmissionSettings) -> list[Cause]:
    """Name and size of a group are given together."""
    count = annotations_of(pod).get(POD_GROUP_TOTAL_COUNT_ANNOTATION)
    word = "annotation" if _group_by_annotation(pod, settings) else "label"
    both = f"both the '{POD_GROUP_TOTAL_COUNT_ANNOTATION}' annotation and the '{POD_GROUP_NAME}' {word} should be set"
    found: list[Cause] = []
    if not pod_group_name(pod, settings):
        return [causes.required(_group_name_field(pod, settings), both)] if count is not None else []
    found += annotation_or_label_causes(pod, POD_GROUP_NAME, settings)
    if count is None:
        return [*found, causes.required(_TOTAL_COUNT_FIELD, both)]
    try:
        number = parse_int(count)
    except ValueError as error:
        return [*found, causes.invalid(_TOTAL_COUNT_FIELD, count, str(error))]
    if number < 1:
        detail = f"incorrect annotation value '{POD_GROUP_TOTAL_COUNT_ANNOTATION}={count}': group total count should be greater than zero"
        found.append(causes.invalid(_TOTAL_COUNT_FIELD, count, detail))
    return found
