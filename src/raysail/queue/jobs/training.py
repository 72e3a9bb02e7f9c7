"""Kubeflow's training jobs: PyTorchJob, TFJob, XGBoostJob, PaddleJob, JAXJob, MPIJob. A pod set for each kind of replica, in a fixed order.

Source: Kueue pkg/controller/jobs/kubeflow, pkg/controller/jobs/mpijob.
"""

from __future__ import annotations

import copy
from typing import Final

from raysail.api.resources import Resource
from raysail.queue.jobs.kind import Ended, Job, JsonObject, pod_set, topology_request
from raysail.queue.jobs.templated import TemplatedKind, condition_is_true

_GROUP = "kubeflow.org"
REPLICA_INDEX: Final = "training.kubeflow.org/replica-index"


class TrainingKind(TemplatedKind):
    """One of them: its name, where its replicas stand, and in which order they count."""

    def __init__(self, kind: str, replicas_field: str, order: tuple[str, ...], version: str = "v1") -> None:
        self.framework = f"{_GROUP}/{kind.lower()}"
        self.resource = Resource(_GROUP, version, kind, f"{kind.lower()}s")
        self._field = replicas_field
        self._order = order

    def replicas(self, spec: JsonObject) -> list[tuple[str, JsonObject]]:
        """Those that it has, in the order in which they count."""
        found = spec.get(self._field) or {}
        return [(name, found[name]) for name in self._order if found.get(name) is not None]

    def switch(self, spec: JsonObject) -> JsonObject:
        """spec.runPolicy."""
        policy: JsonObject = spec.setdefault("runPolicy", {})
        return policy

    def templates(self, spec: JsonObject) -> list[JsonObject]:
        """Those of the replicas, in order."""
        return [replica.setdefault("template", {}) for _, replica in self.replicas(spec)]

    def active(self, job: Job) -> bool:
        """While replicas are."""
        return any(each.get("active") for each in (job.status.get("replicaStatuses") or {}).values())

    def finished(self, job: Job) -> Ended | None:
        """Succeeded or Failed."""
        for condition in job.status.get("conditions") or ():
            if condition.get("type") in ("Succeeded", "Failed") and condition.get("status") == "True":
                return Ended(condition.get("message", ""), condition["type"] == "Succeeded")
        return None

    def pods_ready(self, job: Job) -> bool:
        """It says that it runs."""
        return condition_is_true(job, "Running")

    def pod_sets(self, job: Job) -> list[JsonObject]:
        """Named after the replicas."""
        found = []
        for name, replica in self.replicas(copy.deepcopy(job.spec)):
            template = replica.get("template") or {}
            topology = topology_request(template, pod_index_label=REPLICA_INDEX)
            found.append(pod_set(name, template, int(replica.get("replicas", 1)), topology=topology))
        return found

    def priority_class(self, job: Job) -> str | None:
        """The scheduling policy's; else that of the first replicas that name one."""
        policy = (job.spec.get("runPolicy") or {}).get("schedulingPolicy") or {}
        return policy.get("priorityClass") or None


TRAINING_KINDS: Final = (
    TrainingKind("PyTorchJob", "pytorchReplicaSpecs", ("Master", "Worker")),
    TrainingKind("TFJob", "tfReplicaSpecs", ("Chief", "Master", "PS", "Worker", "Evaluator")),
    TrainingKind("XGBoostJob", "xgbReplicaSpecs", ("Master", "Worker")),
    TrainingKind("PaddleJob", "paddleReplicaSpecs", ("Master", "Worker")),
    TrainingKind("JAXJob", "jaxReplicaSpecs", ("Worker",)),
    TrainingKind("MPIJob", "mpiReplicaSpecs", ("Launcher", "Worker"), "v2beta1"),
)
