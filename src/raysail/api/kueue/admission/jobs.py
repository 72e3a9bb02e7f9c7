"""Rules that hold for all kinds of jobs (pkg/controller/jobframework/validation.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_parse import parse_int
from raysail.api.kueue.admission.gatedby import gated_by_create_causes, gated_by_update_causes
from raysail.api.kueue.admission.jobkinds import JobKind
from raysail.api.kueue.admission.quotas import IMMUTABLE
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Surroundings, annotations_of, labels_of, metadata_of, queue_name
from raysail.api.kueue.admission.workloads import is_elastic
from raysail.api.kueue.names import (
    ELASTIC_JOB_ANNOTATION,
    MAX_EXEC_TIME_SECONDS_LABEL,
    PREBUILT_WORKLOAD_NAME,
    PRIORITY_CLASS_LABEL,
    QUEUE_NAME_LABEL,
)
from raysail.api.names import MAX_LABEL, subdomain_faults

Json = Mapping[str, Any]
QUEUE_NAME_FIELD: Final = f"metadata.labels[{QUEUE_NAME_LABEL}]"
PRIORITY_CLASS_FIELD: Final = f"metadata.labels[{PRIORITY_CLASS_LABEL}]"
_MAX_EXEC_TIME_FIELD: Final = f"metadata.labels[{MAX_EXEC_TIME_SECONDS_LABEL}]"
_ELASTIC_FIELD: Final = f"metadata.annotations[{ELASTIC_JOB_ANNOTATION}]"


def job_create_causes(job: Json, kind: JobKind, settings: AdmissionSettings) -> list[Cause]:
    """Faults of a new job."""
    found = queue_name_causes(job)
    found += _prebuilt_causes(job, kind, settings)
    found += _max_exec_time_causes(job)
    found += elastic_causes(job, kind, settings)
    if settings.enabled("AdmissionGatedBy"):
        found += gated_by_create_causes(job)
    return found


def job_update_causes(new: Json, old: Json, kind: JobKind, world: Surroundings, *, suspended: bool, was_suspended: bool) -> list[Cause]:
    """Faults of a change to a job. What decides about quota stays the same while the job may run."""
    settings = world.settings
    found = []
    if not suspended and queue_name(new) != queue_name(old):
        found.append(causes.invalid(QUEUE_NAME_FIELD, queue_name(new), IMMUTABLE))
    if not queue_name(new) and queue_name(old) and world.has_default_queue(metadata_of(old).get("namespace", "")):
        found.append(causes.invalid(QUEUE_NAME_FIELD, "", "queue-name must not be empty in namespace with default queue"))
    if suspended or is_elastic(old, settings):
        found += _prebuilt_causes(new, kind, settings)
    elif prebuilt_workload(new, settings) != prebuilt_workload(old, settings):
        found.append(causes.invalid(prebuilt_field(new, settings), prebuilt_workload(new, settings), IMMUTABLE))
    if not (suspended and was_suspended):
        after, before = (labels_of(job).get(MAX_EXEC_TIME_SECONDS_LABEL, "") for job in (new, old))
        if after != before:
            found.append(causes.invalid(_MAX_EXEC_TIME_FIELD, after, IMMUTABLE))
    found += priority_class_update_causes(new, old, suspended=suspended)
    if is_elastic(new, settings) != is_elastic(old, settings):
        found.append(causes.invalid(_ELASTIC_FIELD, is_elastic(new, settings), IMMUTABLE))
    if settings.enabled("AdmissionGatedBy"):
        found += gated_by_update_causes(new, old)
    return found


def queue_name_causes(job: Json) -> list[Cause]:
    """The queue's name is a name."""
    return _name_causes(labels_of(job), "labels", QUEUE_NAME_LABEL)


def elastic_causes(job: Json, kind: JobKind, settings: AdmissionSettings) -> list[Cause]:
    """Only some kinds can be elastic."""
    if kind.elastic or not is_elastic(job, settings):
        return []
    return [causes.forbidden(_ELASTIC_FIELD, f'elastic job is not supported for "{kind.gvk}"')]


def priority_class_update_causes(new: Json, old: Json, *, suspended: bool) -> list[Cause]:
    """A WorkloadPriorityClass may be changed, but not given to a running job nor taken away."""
    after, before = (labels_of(job).get(PRIORITY_CLASS_LABEL, "") for job in (new, old))
    if not suspended and after and not before:
        return [causes.invalid(PRIORITY_CLASS_FIELD, after, "WorkloadPriorityClass cannot be added to a non-suspended workload")]
    if before and not after:
        return [causes.invalid(PRIORITY_CLASS_FIELD, "", "WorkloadPriorityClass cannot be removed from a workload")]
    return []


def prebuilt_workload(job: Json, settings: AdmissionSettings) -> str:
    """The Workload that the job says exists already; empty if none."""
    annotation, label = annotations_of(job).get(PREBUILT_WORKLOAD_NAME, ""), labels_of(job).get(PREBUILT_WORKLOAD_NAME, "")
    if settings.enabled("WorkloadIdentifierAnnotations"):
        return annotation or label
    return label or (annotation if len(annotation) > MAX_LABEL else "")


def prebuilt_field(job: Json, settings: AdmissionSettings) -> str:
    """Where the job says so."""
    return f"metadata.{_prebuilt_place(job, settings)}[{PREBUILT_WORKLOAD_NAME}]"


def annotation_or_label_causes(job: Json, key: str, settings: AdmissionSettings) -> list[Cause]:
    """A name given as annotation, or else as label, is a name."""
    if settings.enabled("WorkloadIdentifierAnnotations") and annotations_of(job).get(key):
        return _name_causes(annotations_of(job), "annotations", key)
    return _name_causes(labels_of(job), "labels", key)


def _prebuilt_place(job: Json, settings: AdmissionSettings) -> str:
    annotation = annotations_of(job).get(PREBUILT_WORKLOAD_NAME, "")
    by_annotation = annotation and (settings.enabled("WorkloadIdentifierAnnotations") or len(annotation) > MAX_LABEL)
    return "annotations" if by_annotation else "labels"


def _prebuilt_causes(job: Json, kind: JobKind, settings: AdmissionSettings) -> list[Cause]:
    place = _prebuilt_place(job, settings)
    found = _name_causes(annotations_of(job) if place == "annotations" else labels_of(job), place, PREBUILT_WORKLOAD_NAME)
    if prebuilt_workload(job, settings) and not kind.prebuilt:
        found.append(causes.forbidden(prebuilt_field(job, settings), f'Is not supported for "{kind.gvk}"'))
    return found


def _name_causes(values: Mapping[str, str], place: str, key: str) -> list[Cause]:
    if key not in values:
        return []
    faults = subdomain_faults(values[key])
    return [causes.invalid(f"metadata.{place}[{key}]", values[key], ",".join(faults))] if faults else []


def _max_exec_time_causes(job: Json) -> list[Cause]:
    value = labels_of(job).get(MAX_EXEC_TIME_SECONDS_LABEL)
    if value is None:
        return []
    try:
        seconds = parse_int(value)
    except ValueError as error:
        return [causes.invalid(_MAX_EXEC_TIME_FIELD, value, str(error))]
    return [] if seconds > 0 else [causes.invalid(_MAX_EXEC_TIME_FIELD, seconds, "should be greater than 0")]
