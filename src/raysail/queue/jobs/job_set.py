"""jobset.x-k8s.io/v1alpha2 JobSet: a pod set for each replicated Job. Source: Kueue pkg/controller/jobs/jobset/jobset_controller.go."""

from __future__ import annotations

import copy
from typing import Final

from raysail.api.batch import JOB_COMPLETION_INDEX
from raysail.api.resources import Resource
from raysail.queue.jobs.kind import Ended, Job, JsonObject, pod_set, topology_request
from raysail.queue.jobs.templated import TemplatedKind

JOB_SETS: Final = Resource("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets")
JOB_INDEX: Final = "jobset.sigs.k8s.io/job-index"


class JobSetKind(TemplatedKind):
    """Suspended through spec.suspend."""

    framework = "jobset.x-k8s.io/jobset"
    resource = JOB_SETS

    def templates(self, spec: JsonObject) -> list[JsonObject]:
        """Those of the replicated Jobs."""
        found = []
        for replicated in spec.get("replicatedJobs") or ():
            job_template = replicated.setdefault("template", {})
            job_template.setdefault("metadata", {})  # Kueue writes it out, too
            found.append(job_template.setdefault("spec", {}).setdefault("template", {}))
        return found

    def active(self, job: Job) -> bool:
        """While Jobs of it are."""
        return any(each.get("active") for each in _statuses(job))

    def finished(self, job: Job) -> Ended | None:
        """Completed or Failed."""
        for condition in job.status.get("conditions") or ():
            if condition.get("type") in ("Completed", "Failed") and condition.get("status") == "True":
                return Ended(condition.get("message", ""), condition["type"] == "Completed")
        return None

    def pods_ready(self, job: Job) -> bool:
        """As many Jobs are ready or have succeeded as there shall be."""
        wanted = sum(_replicas(replicated) for replicated in job.spec.get("replicatedJobs") or ())
        return bool(wanted == sum((each.get("ready") or 0) + (each.get("succeeded") or 0) for each in _statuses(job)))

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Named after the replicated Jobs."""
        found = []
        for replicated in copy.deepcopy(job.spec.get("replicatedJobs") or []):
            template = ((replicated.get("template") or {}).get("spec") or {}).get("template") or {}
            count = _replicas(replicated)
            topology = topology_request(
                template, pod_index_label=JOB_COMPLETION_INDEX, sub_group_index_label=JOB_INDEX, sub_group_count=count
            )
            found.append(pod_set(replicated.get("name", ""), template, count * _pods_per_job(replicated), topology=topology))
        return found

    def reclaimable(self, job: Job) -> dict[str, int] | None:
        """The Pods of Jobs that have succeeded."""
        statuses = {each.get("name"): each for each in _statuses(job)}
        found = {}
        for replicated in job.spec.get("replicatedJobs") or ():
            succeeded = (statuses.get(replicated.get("name")) or {}).get("succeeded") or 0
            if 0 < succeeded <= _replicas(replicated):
                found[str(replicated["name"]).lower()] = succeeded * _pods_per_job(replicated)
        return found


def _statuses(job: Job) -> list[JsonObject]:
    return job.status.get("replicatedJobsStatus") or []


def _replicas(replicated: JsonObject) -> int:
    return int(replicated.get("replicas", 1))


def _pods_per_job(replicated: JsonObject) -> int:
    spec = (replicated.get("template") or {}).get("spec") or {}
    parallelism = int(spec.get("parallelism", 1))
    return min(parallelism, int(spec.get("completions", parallelism)))
