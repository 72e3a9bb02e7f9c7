"""What Kueue's webhooks say about batch Jobs and about the jobs of other frameworks (pkg/controller/jobs/{job,jobset,mpijob,kubeflow,...})."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_parse import parse_bool, parse_int
from raysail.api.kueue.admission.jobkinds import BATCH_JOB, JOB_SET, MPI_JOB, TRAIN_JOB, JobKind
from raysail.api.kueue.admission.jobs import job_create_causes, job_update_causes
from raysail.api.kueue.admission.podsets import batch_job_pod_count, pod_sets
from raysail.api.kueue.admission.quotas import IMMUTABLE
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Surroundings, annotations_of, metadata_of
from raysail.api.kueue.admission.topology import PodSetSource, grouping_causes, slice_size_causes, topology_causes
from raysail.api.kueue.admission.workloads import is_elastic
from raysail.api.kueue.names import (
    JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION,
    JOB_MIN_PARALLELISM_ANNOTATION,
    POD_SET_PREFERRED_TOPOLOGY_ANNOTATION,
    POD_SET_REQUIRED_TOPOLOGY_ANNOTATION,
)
from raysail.api.trainer import replicated_jobs, runtime_of

Json = Mapping[str, Any]
_MIN_FIELD: Final = f"metadata.annotations[{JOB_MIN_PARALLELISM_ANNOTATION}]"
_SYNC_FIELD: Final = f"metadata.annotations[{JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION}]"
_WHERE_TRAIN_JOBS_SAY_IT: Final = (
    '. Adjust either the "TrainJob.spec.runtimePatches" or the "TrainingRuntime.Template" annotations for the corresponding Job'
)
_TEMPLATE: Final = "spec.template.metadata"


def batch_job_causes(job: Json, old: Json | None, world: Surroundings) -> list[Cause]:
    """Faults of a new or changed batch Job."""
    settings = world.settings
    found = job_create_causes(job, BATCH_JOB, settings)
    minimum = annotations_of(job).get(JOB_MIN_PARALLELISM_ANNOTATION)
    if old is None or minimum != annotations_of(old).get(JOB_MIN_PARALLELISM_ANNOTATION):
        found += _minimum_causes(job, settings)
    found += _sync_causes(job)
    if old is not None:
        found += job_update_causes(
            job, old, BATCH_JOB, world, suspended=BATCH_JOB.is_suspended(job), was_suspended=BATCH_JOB.is_suspended(old)
        )
        found += _partial_admission_update_causes(job, old)
    if settings.enabled("TopologyAwareScheduling"):
        found += _topology_causes(job, settings)
    return found


def other_job_causes(job: Json, old: Json | None, kind: JobKind, world: Surroundings) -> list[Cause]:
    """Faults of a new or changed job of another framework."""
    settings = world.settings
    common = job_create_causes(job, kind, settings)
    changes: list[Cause] = []
    if old is not None:
        suspended, was_suspended = kind.is_suspended(job), kind.is_suspended(old)
        changes = job_update_causes(job, old, kind, world, suspended=suspended, was_suspended=was_suspended)
    places: list[Cause] = []
    if settings.enabled("TopologyAwareScheduling"):
        sources = _sources_of_train_job(job, world) if kind is TRAIN_JOB else pod_sets(job, kind)
        for source in sources:
            places += topology_causes(source.path, source.metadata, settings) + slice_size_causes(source)
        if kind is TRAIN_JOB:
            places = [Cause(cause.reason, f"{cause.message}{_WHERE_TRAIN_JOBS_SAY_IT}", cause.field) for cause in places]
        if kind in (JOB_SET, MPI_JOB):
            places += grouping_causes(sources)
    if kind in (JOB_SET, MPI_JOB) or old is None:
        found = changes + common + places
    else:  # the shared webhook does not look at the whole job again
        found = changes + places
    return sorted(found, key=lambda cause: cause.field) if kind is MPI_JOB else found


def _sources_of_train_job(job: Json, world: Surroundings) -> list[PodSetSource]:
    """Those of its runtime; none where that is not there yet (the queue's controller says so then)."""
    resource, name = runtime_of(job)
    runtime = world.lookup(resource, metadata_of(job).get("namespace", "") if resource.namespaced else "", name)
    found = []
    for replicated in replicated_jobs(job, runtime) if runtime is not None else ():
        spec = (replicated.get("template") or {}).get("spec") or {}
        parallelism = _or_one(spec.get("parallelism"))
        completions = spec.get("completions")
        count = _or_one(replicated.get("replicas")) * (parallelism if completions is None else min(parallelism, completions))
        metadata = (spec.get("template") or {}).get("metadata") or {}
        found.append(PodSetSource(replicated.get("name", ""), count, metadata, f"job[{replicated.get('name', '')}]"))
    return found


def _minimum_causes(job: Json, settings: AdmissionSettings) -> list[Cause]:
    value = annotations_of(job).get(JOB_MIN_PARALLELISM_ANNOTATION)
    if value is None:
        return []
    found = []
    most = batch_job_pod_count(job) - 1
    try:
        minimum = parse_int(value)
    except ValueError as error:
        found.append(causes.invalid(_MIN_FIELD, value, str(error)))
    else:
        if not 0 < minimum <= most:
            found.append(causes.invalid(_MIN_FIELD, minimum, f"should be between 0 and {most}"))
    if is_elastic(job, settings):
        found.append(causes.invalid(_MIN_FIELD, value, "partial admission and elastic job cannot be used together"))
    return found


def _sync_causes(job: Json) -> list[Cause]:
    value = annotations_of(job).get(JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION)
    if value is None:
        return []
    try:
        enabled = parse_bool(value)
    except ValueError as error:
        return [causes.invalid(_SYNC_FIELD, value, str(error))]
    if not enabled:
        return []
    spec = job.get("spec") or {}
    found = []
    if spec.get("completionMode") in (None, "NonIndexed"):
        found.append(causes.invalid(_SYNC_FIELD, value, "should not be enabled for NonIndexed jobs"))
    if _or_one(spec.get("parallelism")) != _or_one(spec.get("completions")):
        detail = f"should be equal to parallelism when {JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION} annotation is true"
        found.append(causes.invalid("spec.completions", spec.get("completions"), detail))
    return found


def _partial_admission_update_causes(new: Json, old: Json) -> list[Cause]:
    found = []
    suspended, was_suspended = BATCH_JOB.is_suspended(new), BATCH_JOB.is_suspended(old)
    after, before = (_or_one((job.get("spec") or {}).get("parallelism")) for job in (new, old))
    if JOB_MIN_PARALLELISM_ANNOTATION in annotations_of(old) and not was_suspended and after != before:
        found.append(causes.forbidden("spec.parallelism", "cannot change when partial admission is enabled and the job is not suspended"))
    if not suspended and not was_suspended and _synced(new) != _synced(old):
        found.append(causes.forbidden(_SYNC_FIELD, f"{IMMUTABLE} while the job is not suspended"))
    return found


def _synced(job: Json) -> bool:
    try:
        return parse_bool(annotations_of(job).get(JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION, "false"))
    except ValueError:
        return False


def _or_one(number: int | None) -> int:
    return 1 if number is None else number


def _topology_causes(job: Json, settings: AdmissionSettings) -> list[Cause]:
    (source,) = pod_sets(job, BATCH_JOB)
    found = topology_causes(_TEMPLATE, source.metadata, settings)
    if found:
        return found
    if is_elastic(job, settings):
        for key, word in ((POD_SET_REQUIRED_TOPOLOGY_ANNOTATION, "required"), (POD_SET_PREFERRED_TOPOLOGY_ANNOTATION, "preferred")):
            if key in source.annotations:
                return [causes.forbidden(f"{_TEMPLATE}.annotations.{key}", f"{word} topology is not supported with elastic jobs")]
    return slice_size_causes(source)
