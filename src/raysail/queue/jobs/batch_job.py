"""batch/v1 Job. Source: Kueue pkg/controller/jobs/job/job_controller.go."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

from raysail.api.batch import (
    CONTROLLER_UID_LABEL,
    JOB_COMPLETION_INDEX,
    JOB_NAME_LABEL,
    LEGACY_CONTROLLER_UID_LABEL,
    LEGACY_JOB_NAME_LABEL,
)
from raysail.api.kueue import names
from raysail.api.resources import JOBS
from raysail.queue.jobs.kind import Ended, Job, JobKind, JsonObject, Step, check_length, pod_set, topology_request
from raysail.queue.model.podset import PodSetInfo, inject, restore

_MANAGED_LABELS = (LEGACY_JOB_NAME_LABEL, LEGACY_CONTROLLER_UID_LABEL, JOB_NAME_LABEL, CONTROLLER_UID_LABEL)


class BatchJob(JobKind):
    """Suspended through spec.suspend; partial admission lowers spec.parallelism."""

    framework = "batch/job"
    resource = JOBS

    def suspended(self, job: Job) -> bool:
        """A stop that is half done counts as not suspended yet: it goes on."""
        return bool(job.spec.get("suspend")) and job.annotations.get(names.STOPPING_ANNOTATION) != "true"

    def active(self, job: Job) -> bool:
        """Terminating Pods do not count (status.active leaves them out)."""
        return bool(job.status.get("active"))

    def finished(self, job: Job) -> Ended | None:
        """Complete or Failed."""
        for condition in job.status.get("conditions") or ():
            if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
                return Ended(condition.get("message", ""), condition["type"] != "Failed")
        return None

    def pods_ready(self, job: Job) -> bool:
        """Ready and succeeded Pods together are as many as run at a time."""
        uncounted = (job.status.get("uncountedTerminatedPods") or {}).get("succeeded") or ()
        return int((job.status.get("succeeded") or 0) + (job.status.get("ready") or 0) + len(uncounted)) >= _count(job)

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """One pod set, main."""
        template = copy.deepcopy(job.spec.get("template") or {})
        labels = (template.get("metadata") or {}).get("labels")
        for label in _MANAGED_LABELS:
            if labels and label != JOB_NAME_LABEL:
                labels.pop(label, None)
        if labels is not None and not labels:
            template["metadata"].pop("labels")
        topology = topology_request(template, pod_index_label=JOB_COMPLETION_INDEX)
        return [pod_set("main", template, _count(job), min_count=_least(job), topology=topology)]

    def reclaimable(self, job: Job) -> dict[str, int] | None:
        """What of the parallelism the remaining completions will not fill any more."""
        parallelism = int(job.spec.get("parallelism", 1))
        completions = int(job.spec["completions"]) if job.spec.get("completions") is not None else parallelism
        ended = int(job.status.get("succeeded") or 0)
        if job.spec.get("completionMode") == "Indexed":
            ended = ended_indexes(job.status.get("completedIndexes") or "", job.status.get("failedIndexes") or "", completions)
        if parallelism <= 1 or ended <= 0:
            return {}
        free = parallelism - max(completions - ended, 0)
        return {"main": free} if free > 0 else {}

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Runs with the admitted number of Pods."""
        check_length(infos, 1)
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = False
        if _least(job) is not None:
            _set_parallelism(spec, job, infos[0].count)
        inject(spec.setdefault("template", {}), infos[0])
        return Step(spec)

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspends; clears status.startTime, without which the API refuses changes of the template; then restores the template."""
        steps = []
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = True
        if not self.suspended(job):
            steps.append(Step(copy.deepcopy(spec), annotations={names.STOPPING_ANNOTATION: "true"}))
        if job.status.get("startTime"):
            steps.append(Step(status={"startTime": None}))
        if infos:
            if _least(job) is not None:
                _set_parallelism(spec, job, infos[0].count)
            template = spec.setdefault("template", {})
            own = (template.get("metadata") or {}).get("labels") or {}
            info = infos[0]
            info.labels.update({label: own[label] for label in _MANAGED_LABELS if label in own})
            restore(template, info)
        if spec != job.spec or names.STOPPING_ANNOTATION in job.annotations or steps:
            steps.append(Step(spec, annotations={names.STOPPING_ANNOTATION: None}))
        return steps

    def suspend(self, job: Job) -> list[Step]:
        """One write: its template stays as its owner made it."""
        return [] if self.suspended(job) else [Step({**job.spec, "suspend": True})]


def _count(job: Job) -> int:
    parallelism = int(job.spec.get("parallelism", 1))
    completions = job.spec.get("completions")
    return min(parallelism, int(completions)) if completions is not None else parallelism


def _least(job: Job) -> int | None:
    text = job.annotations.get(names.JOB_MIN_PARALLELISM_ANNOTATION, "")
    try:
        return int(text) if text else None
    except ValueError:
        return None  # refused at creation; here it is as if it were absent


def _set_parallelism(spec: JsonObject, job: Job, count: int) -> None:
    spec["parallelism"] = count
    if job.annotations.get(names.JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION, "") in ("1", "t", "T", "true", "TRUE", "True"):
        spec["completions"] = count


def ended_indexes(completed: str, failed: str, completions: int) -> int:
    """How many indexes of an indexed Job have ended: the union of both lists (`1,3-5`), within the Job's completions."""
    intervals = sorted((first, min(last, completions - 1)) for text in (completed, failed) for first, last in _intervals(text))
    count, last_counted = 0, -1
    for first, last in intervals:
        start = max(first, last_counted + 1)
        if start <= last:
            count += last - start + 1
            last_counted = last
    return count


def _intervals(text: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        try:
            interval = int(first), int(last) if dash else int(first)
        except ValueError:
            continue  # as Kueue: an interval that cannot be read counts for nothing
        if interval[0] <= interval[1]:
            yield interval
