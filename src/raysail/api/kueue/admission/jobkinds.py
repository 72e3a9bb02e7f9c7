"""The kinds of jobs that Kueue holds back, and where each keeps what the queue turns: suspension and the controller that acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.resources import DEPLOYMENTS, JOBS, PODS, RAY_CLUSTERS, RAY_JOBS, RAY_SERVICES, REPLICA_SETS, STATEFUL_SETS, Resource

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind. `name` is its word in the names of webhooks (`vjob.kb.io`); `own_controller` the value of managedBy that means its usual controller."""

    framework: str
    name: str
    resource: Resource
    suspend: tuple[str, ...] = ()
    managed_by: tuple[str, ...] = ()
    own_controller: str = ""
    elastic: bool = False
    prebuilt: bool = True

    @property
    def gvk(self) -> str:
        """As Go prints a GroupVersionKind: `batch/v1, Kind=Job`."""
        group = self.resource.group
        return (
            f"{group}/{self.resource.version}, Kind={self.resource.kind}"
            if group
            else f"/{self.resource.version}, Kind={self.resource.kind}"
        )

    def is_suspended(self, job: Json) -> bool:
        """Whether the job is kept from running."""
        return bool(value_at(job, self.suspend))

    def set_suspended(self, job: dict[str, Any]) -> None:
        """Keeps the job from running."""
        set_at(job, self.suspend, True)


def value_at(obj: Json, path: tuple[str, ...]) -> Any:
    """The value down that path, None where it ends early."""
    value: Any = obj
    for key in path:
        value = (value or {}).get(key)
    return value


def set_at(obj: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Puts the value there, making objects on the way."""
    for key in path[:-1]:
        if obj.get(key) is None:
            obj[key] = {}
        obj = obj[key]
    obj[path[-1]] = value


def _external(framework: str, group: str, version: str, kind: str, plural: str, policy: bool, own_controller: str) -> JobKind:
    base: tuple[str, ...] = ("spec", "runPolicy") if policy else ("spec",)
    return JobKind(
        framework, kind.lower(), Resource(group, version, kind, plural), (*base, "suspend"), (*base, "managedBy"), own_controller
    )


def _training(kind: str) -> JobKind:
    name = kind.lower()
    return _external(f"kubeflow.org/{name}", "kubeflow.org", "v1", kind, f"{name}s", True, "kubeflow.org/training-operator")


_KUBERAY: Final = "ray.io/kuberay-operator"
BATCH_JOB: Final = JobKind(
    "batch/job", "job", JOBS, ("spec", "suspend"), ("spec", "managedBy"), "kubernetes.io/job-controller", elastic=True
)
RAY_JOB: Final = JobKind("ray.io/rayjob", "rayjob", RAY_JOBS, ("spec", "suspend"), ("spec", "managedBy"), _KUBERAY, elastic=True)
RAY_CLUSTER: Final = JobKind(
    "ray.io/raycluster", "raycluster", RAY_CLUSTERS, ("spec", "suspend"), ("spec", "managedBy"), _KUBERAY, elastic=True
)
RAY_SERVICE: Final = JobKind(
    "ray.io/rayservice",
    "rayservice",
    RAY_SERVICES,
    ("spec", "rayClusterConfig", "suspend"),
    ("spec", "managedBy"),
    _KUBERAY,
    elastic=True,
)
JOB_SET: Final = _external(
    "jobset.x-k8s.io/jobset", "jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets", False, "jobset.sigs.k8s.io/jobset-controller"
)
MPI_JOB: Final = _external("kubeflow.org/mpijob", "kubeflow.org", "v2beta1", "MPIJob", "mpijobs", True, "kubeflow.org/mpi-operator")
TRAIN_JOB: Final = _external(
    "trainer.kubeflow.org/trainjob",
    "trainer.kubeflow.org",
    "v1alpha1",
    "TrainJob",
    "trainjobs",
    False,
    "trainer.kubeflow.org/trainjob-controller",
)
APP_WRAPPER: Final = _external(
    "workload.codeflare.dev/appwrapper",
    "workload.codeflare.dev",
    "v1beta2",
    "AppWrapper",
    "appwrappers",
    False,
    "workload.codeflare.dev/appwrapper-controller",
)
TRAINING_JOBS: Final = tuple(_training(kind) for kind in ("PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob"))
JAX_JOB: Final = JobKind(
    "kubeflow.org/jaxjob",
    "jaxjob",
    Resource("kubeflow.org", "v1", "JAXJob", "jaxjobs"),
    ("spec", "runPolicy", "suspend"),
    ("spec", "runPolicy", "managedBy"),
    "kubeflow.org/training-operator",
    prebuilt=False,
)
POD: Final = JobKind("pod", "pod", PODS)
DEPLOYMENT: Final = JobKind("deployment", "deployment", DEPLOYMENTS, prebuilt=False)
STATEFUL_SET: Final = JobKind("statefulset", "statefulset", STATEFUL_SETS, prebuilt=False)

LEADER_WORKER_SET: Final = JobKind(
    "leaderworkerset.x-k8s.io/leaderworkerset",
    "leaderworkerset",
    Resource("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"),
    prebuilt=False,
)

JOB_KINDS: Final = (
    BATCH_JOB,
    RAY_JOB,
    RAY_CLUSTER,
    RAY_SERVICE,
    JOB_SET,
    MPI_JOB,
    *TRAINING_JOBS,
    JAX_JOB,
    TRAIN_JOB,
    APP_WRAPPER,
    POD,
    DEPLOYMENT,
    STATEFUL_SET,
    LEADER_WORKER_SET,
)
BY_GROUP_KIND: Final = {(kind.resource.group, kind.resource.kind): kind for kind in JOB_KINDS}
BY_OWNER: Final = {(kind.resource.api_version, kind.resource.kind): kind for kind in JOB_KINDS}
"""By apiVersion and kind, as owner references name them."""

TRANSPARENT_OWNERS: Final = {(REPLICA_SETS.api_version, REPLICA_SETS.kind): REPLICA_SETS}
"""Owners that stand between a Pod and its job."""
