"""Columns of the kinds that make Pods: Job, CronJob, Deployment, ReplicaSet, StatefulSet, DaemonSet, PodTemplate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from raysail.api.durations import human_duration
from raysail.apiserver.tables.columns import (
    AGE,
    NAME,
    NONE,
    Column,
    Columns,
    containers_and_images,
    dig,
    field_,
    map_text,
    selector_text,
    since,
)

Obj = Mapping[str, Any]
_TEMPLATE = "spec.template.spec.containers"


def _selector(help_source: str, path: str = "spec.selector") -> Column:
    return Column("Selector", help_source, lambda obj, _: selector_text(dig(obj, path.split("."), None)), wide=True)


def _job_status(job: Obj, _: datetime) -> str:
    true = {c["type"] for c in dig(job, ["status", "conditions"], []) if c["status"] == "True"}
    for condition in ("Complete", "Failed"):
        if condition in true:
            return condition
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((c for c in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if c in true), "Running")


def _completions(job: Obj, _: datetime) -> str:
    spec, succeeded = job["spec"], dig(job, ["status", "succeeded"], 0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(job: Obj, now: datetime) -> str:
    status = job.get("status") or {}
    if not status.get("startTime"):
        return ""
    end = datetime.fromisoformat(status["completionTime"]) if status.get("completionTime") else now
    return human_duration((end - datetime.fromisoformat(status["startTime"])).total_seconds())


def _last_schedule(cron: Obj, now: datetime) -> str:
    last = dig(cron, ["status", "lastScheduleTime"], None)
    return since(last, now) if last else NONE


def _ready_of_desired(obj: Obj, _: datetime) -> str:
    return f"{dig(obj, ['status', 'readyReplicas'], 0)}/{dig(obj, ['spec', 'replicas'], 0)}"


JOBS = Columns(
    (
        NAME,
        Column("Status", "Status of the job.", _job_status),
        Column("Completions", "batch.v1.JobStatus.succeeded", _completions),
        Column("Duration", "Time required to complete the job.", _duration),
        AGE,
        *containers_and_images(_TEMPLATE),
        _selector("batch.v1.JobSpec.selector"),
    )
)
CRON_JOBS = Columns(
    (
        NAME,
        Column("Schedule", "batch.v1.CronJobSpec.schedule", field_("spec.schedule")),
        Column("Timezone", "batch.v1.CronJobSpec.timeZone", field_("spec.timeZone", NONE)),
        Column("Suspend", "batch.v1.CronJobSpec.suspend", lambda cron, _: str(cron["spec"].get("suspend", "<unset>")), type="boolean"),
        Column("Active", "batch.v1.CronJobStatus.active", lambda cron, _: len(dig(cron, ["status", "active"], [])), type="integer"),
        Column("Last Schedule", "batch.v1.CronJobStatus.lastScheduleTime", _last_schedule),
        AGE,
        *containers_and_images("spec.jobTemplate.spec.template.spec.containers"),
        _selector("batch.v1.JobSpec.selector", "spec.jobTemplate.spec.selector"),
    )
)
DEPLOYMENTS = Columns(
    (
        NAME,
        Column("Ready", "Number of the pod with ready state", _ready_of_desired),
        Column("Up-to-date", "apps.v1.DeploymentStatus.updatedReplicas", field_("status.updatedReplicas", 0)),
        Column("Available", "apps.v1.DeploymentStatus.availableReplicas", field_("status.availableReplicas", 0)),
        AGE,
        *containers_and_images(_TEMPLATE),
        _selector("apps.v1.DeploymentSpec.selector"),
    )
)
REPLICA_SETS = Columns(
    (
        NAME,
        Column("Desired", "apps.v1.ReplicaSetSpec.replicas", field_("spec.replicas", 0), type="integer"),
        Column("Current", "apps.v1.ReplicaSetStatus.replicas", field_("status.replicas", 0), type="integer"),
        Column("Ready", "apps.v1.ReplicaSetStatus.readyReplicas", field_("status.readyReplicas", 0), type="integer"),
        AGE,
        *containers_and_images(_TEMPLATE),
        _selector("apps.v1.ReplicaSetSpec.selector"),
    )
)
STATEFUL_SETS = Columns(
    (NAME, Column("Ready", "Number of the pod with ready state", _ready_of_desired), AGE, *containers_and_images(_TEMPLATE))
)
DAEMON_SETS = Columns(
    (
        NAME,
        *(
            Column(title, f"apps.v1.DaemonSetStatus.{name}", field_(f"status.{name}", 0), type="integer")
            for title, name in (
                ("Desired", "desiredNumberScheduled"),
                ("Current", "currentNumberScheduled"),
                ("Ready", "numberReady"),
                ("Up-to-date", "updatedNumberScheduled"),
                ("Available", "numberAvailable"),
            )
        ),
        Column(
            "Node Selector",
            "core.v1.PodSpec.nodeSelector",
            lambda obj, _: map_text(dig(obj, ["spec", "template", "spec", "nodeSelector"], None)),
        ),
        AGE,
        *containers_and_images(_TEMPLATE),
        _selector("apps.v1.DaemonSetSpec.selector"),
    )
)


def _template_column(title: str, help_text: str, key: str) -> Column:
    return Column(title, help_text, lambda obj, _: ",".join(c.get(key, "") for c in dig(obj, ["template", "spec", "containers"], [])))


POD_TEMPLATES = Columns(
    (
        NAME,
        _template_column("Containers", "Names of each container in the template.", "name"),
        _template_column("Images", "Images referenced by each container in the template.", "image"),
        Column(
            "Pod Labels", "The labels for the pod template.", lambda obj, _: map_text(dig(obj, ["template", "metadata", "labels"], None))
        ),
    )
)
