"""trainer.kubeflow.org/v1alpha1 TrainJob: a pod set for each replicated Job of its runtime; what admission gives is a runtime patch of the queue's own.

Source: Kueue pkg/controller/jobs/trainjob/trainjob_controller.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from raysail.api.kueue import Workload
from raysail.api.kueue.admission.jobkinds import TRAIN_JOB
from raysail.api.trainer import CLUSTER_TRAINING_RUNTIMES, KUEUE_MANAGER, TRAINING_RUNTIMES, replicated_jobs, runtime_of
from raysail.kube.informer import Informer, Key
from raysail.queue.jobs.job_set import JobSetKind
from raysail.queue.jobs.kind import Ended, InvalidJobError, Job, JobKind, JsonObject, Step, check_length
from raysail.queue.jobs.reconciler import JobReconciler
from raysail.queue.jobs.shared import Jobs
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo

_JOB_SETS = JobSetKind()


class TrainJobKind(JobKind):
    """Suspended through spec.suspend. The runtime comes with the job, as its `companion`."""

    framework = TRAIN_JOB.framework
    resource = TRAIN_JOB.resource

    def active(self, job: Job) -> bool:
        """While Jobs of it are."""
        return any(each.get("active") for each in job.status.get("jobsStatus") or ())

    def finished(self, job: Job) -> Ended | None:
        """Complete or Failed."""
        for condition in job.status.get("conditions") or ():
            if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
                return Ended(condition.get("message", ""), condition["type"] == "Complete")
        return None

    def pods_ready(self, job: Job) -> bool:
        """As many Jobs are ready or have succeeded as there shall be; false while its runtime is missing."""
        return job.companion is not None and _JOB_SETS.pods_ready(_job_set(job))

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """As of the JobSet. Raises InvalidJobError."""
        return _JOB_SETS.pod_sets(_job_set(job))

    def reclaimable(self, job: Job) -> dict[str, int] | None:
        """The Pods of Jobs that have succeeded."""
        return _JOB_SETS.reclaimable(_job_set(job)) if job.status.get("jobsStatus") else {}

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Runs, with the infos as the queue's runtime patch. Raises PodSetConflictError, InvalidJobError."""
        check_length(infos, len(_job_set(job).spec["replicatedJobs"]))
        spec = copy.deepcopy(job.spec)
        patch = queue_patch(spec)
        if patch is None:
            raise PodSetConflictError("kueue runtime patch not found")
        patch["replicatedJobs"] = [_as_patch(info) for info in infos]
        spec["suspend"] = False
        return Step(spec)

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspends; the patch is emptied once no Job is active any more: before, the trainer refuses that."""
        spec = copy.deepcopy(job.spec)
        spec["suspend"] = True
        patch = queue_patch(spec)
        steps = [] if self.suspended(job) else [Step(copy.deepcopy(spec))]
        if patch is not None and not self.active(job) and patch.pop("replicatedJobs", None) is not None:
            steps.append(Step(spec))
        return steps


def _job_set(job: Job) -> Job:
    """The JobSet that the trainer will make. Raises InvalidJobError where the runtime is not there."""
    if job.companion is None:
        raise InvalidJobError(f"runtime '{runtime_of({'spec': job.spec})[1]}' not found")
    jobs = replicated_jobs({"spec": job.spec}, {"spec": job.companion.spec})
    return Job(metadata=job.metadata, spec={"replicatedJobs": jobs}, status={"replicatedJobsStatus": job.status.get("jobsStatus") or []})


def queue_patch(spec: JsonObject) -> JsonObject | None:
    """The spec of the template in the queue's own runtime patch, to change in place; admission has put it there."""
    for patch in spec.get("runtimePatches") or ():
        if patch.get("manager") == KUEUE_MANAGER:
            template: JsonObject = patch.setdefault("trainingRuntimeSpec", {}).setdefault("template", {})
            found: JsonObject = template.setdefault("spec", {})
            return found
    return None


def _as_patch(info: PodSetInfo) -> JsonObject:
    metadata: dict[str, Any] = {"annotations": info.annotations, "labels": info.labels}
    spec: dict[str, Any] = {"nodeSelector": info.node_selector, "tolerations": info.tolerations, "schedulingGates": info.gates}
    template = {"metadata": {k: v for k, v in metadata.items() if v}, "spec": {k: v for k, v in spec.items() if v}}
    return {"name": info.name, "template": {"spec": {"template": template}}}


class TrainJobReconciler(JobReconciler):
    """As of all jobs, with the runtime at hand."""

    def __init__(self, jobs: Jobs, kind: JobKind) -> None:
        super().__init__(jobs, kind)
        self.runtimes: dict[str, Informer[Job]] = {
            resource.kind: jobs.manager.informer(resource, Job, optional=True)
            for resource in (TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES)
        }
        self.informer.add_indexes({"runtime": _runtime_key})
        for informer in self.runtimes.values():
            self.controller.watches(informer, self._keys_of_runtime)

    def _keys_of_runtime(self, runtime: Job) -> Iterable[Key]:
        return [job.metadata.key for job in self.informer.by_index("runtime", runtime.metadata.key)]

    def load(self, key: Key) -> Job | None:
        """With its runtime as companion, where that is there."""
        job = self.informer.get(*key)
        if job is None:
            return None
        resource, name = runtime_of({"spec": job.spec})
        runtime = self.runtimes[resource.kind].get(job.metadata.namespace if resource.namespaced else "", name)
        return msgspec.structs.replace(job, companion=runtime) if runtime is not None else job

    async def _start(self, job: Job, workload: Workload) -> None:
        """The patch is written while the job is suspended: later the trainer refuses it."""
        try:
            step = self.kind.start(job, self._infos(workload))
        except PodSetConflictError as error:
            await self._finish(workload, "FailedToStart", str(error))
            return
        patched = await self._apply(job, Step({**(step.spec or {}), "suspend": True}))
        if patched is None or await self._apply(patched, step) is None or workload.status.admission is None:
            return
        self._say(job, "Normal", "Started", f"Admitted by clusterQueue {workload.status.admission.cluster_queue}")


def _runtime_key(job: Job) -> tuple[Key, ...]:
    resource, name = runtime_of({"spec": job.spec})
    return ((job.metadata.namespace if resource.namespaced else "", name),)
