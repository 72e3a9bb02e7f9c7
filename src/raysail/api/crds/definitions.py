"""Names, versions, subresources and printer columns of the kinds that raysail brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raysail.api import kueue, ray
from raysail.api.crds.schema import kind_schema
from raysail.api.kueue import v1beta1
from raysail.api.kueue.workload import RULES as WORKLOAD_RULES
from raysail.api.meta import View
from raysail.api.structural import Rule


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `priority` above 0 shows it only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a CRD."""
        made: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            made["description"] = self.description
        if self.priority:
            made["priority"] = self.priority
        return made


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a kind. `storage` marks the one in which objects are kept."""

    name: str
    view: type[View]
    columns: tuple[Column, ...] = ()
    storage: bool = False
    status: bool = True
    rules: tuple[Rule, ...] = ()
    selectable_fields: tuple[str, ...] = ()
    deprecated: bool = False
    deprecation_warning: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a CRD, schema included."""
        made: dict[str, Any] = {
            "name": self.name,
            "served": True,
            "storage": self.storage,
            "schema": {"openAPIV3Schema": kind_schema(self.view, self.name, self.rules)},
        }
        if self.status:
            made["subresources"] = {"status": {}}
        if self.columns:
            made["additionalPrinterColumns"] = [column.to_dict() for column in self.columns]
        if self.selectable_fields:
            made["selectableFields"] = [{"jsonPath": path} for path in self.selectable_fields]
        if self.deprecated:
            made["deprecated"] = True
        if self.deprecation_warning:
            made["deprecationWarning"] = self.deprecation_warning
        return made


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind with all its versions."""

    group: str
    name: str
    plural: str
    versions: tuple[Version, ...]
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{self.group}"

    def to_dict(self) -> dict[str, Any]:
        """The CustomResourceDefinition."""
        names: dict[str, Any] = {"plural": self.plural, "singular": self.name.lower(), "kind": self.name, "listKind": f"{self.name}List"}
        if self.short_names:
            names["shortNames"] = list(self.short_names)
        if self.categories:
            names["categories"] = list(self.categories)
        metadata: dict[str, Any] = {"name": self.crd_name}
        if self.labels:
            metadata["labels"] = dict(self.labels)
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {
                "group": self.group,
                "names": names,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": [version.to_dict() for version in self.versions],
            },
        }


_AGE: Final = ".metadata.creationTimestamp"
_CLUSTER_COLUMNS: Final = (
    Column("desired workers", ".status.desiredWorkerReplicas", "integer"),
    Column("available workers", ".status.availableWorkerReplicas", "integer"),
    Column("cpus", ".status.desiredCPU"),
    Column("memory", ".status.desiredMemory"),
    Column("gpus", ".status.desiredGPU"),
    Column("tpus", ".status.desiredTPU", priority=1),
    Column("status", ".status.state"),
    Column("age", _AGE, "date"),
    Column("head pod IP", ".status.head.podIP", priority=1),
    Column("head service IP", ".status.head.serviceIP", priority=1),
)
_JOB_COLUMNS: Final = (
    Column("job status", ".status.jobStatus"),
    Column("deployment status", ".status.jobDeploymentStatus"),
    Column("ray cluster name", ".status.rayClusterName"),
    Column("start time", ".status.startTime"),
    Column("end time", ".status.endTime"),
    Column("age", _AGE, "date"),
)
_SERVICE_COLUMNS: Final = (
    Column("service status", ".status.serviceStatus"),
    Column("num serve endpoints", ".status.numServeEndpoints"),
)
_CRON_COLUMNS: Final = (
    Column("schedule", ".spec.schedule"),
    Column("timezone", ".spec.timeZone"),
    Column("last schedule", ".status.lastScheduleTime", "date"),
    Column("age", _AGE, "date"),
    Column("suspend", ".spec.suspend", "boolean"),
)


def _ray(name: str, plural: str, view: type[View], columns: tuple[Column, ...], alpha_columns: tuple[Column, ...] | None) -> Kind:
    versions = [Version("v1", view, columns, storage=True)]
    if alpha_columns is not None:
        warning = (
            f"ray.io/v1alpha1 {name} is deprecated; use ray.io/v1 {name}. v1alpha1 receives no new fields and will be unavailable in "
            "KubeRay 1.9."
        )
        versions.append(Version("v1alpha1", view, alpha_columns, deprecated=True, deprecation_warning=warning))
    return Kind("ray.io", name, plural, tuple(versions), categories=("all",))


RAY_KINDS: Final = (
    _ray("RayCluster", "rayclusters", ray.RayCluster, _CLUSTER_COLUMNS, _CLUSTER_COLUMNS),
    _ray("RayJob", "rayjobs", ray.RayJob, _JOB_COLUMNS, ()),
    _ray("RayService", "rayservices", ray.RayService, _SERVICE_COLUMNS, ()),
    _ray("RayCronJob", "raycronjobs", ray.RayCronJob, _CRON_COLUMNS, None),
)


def _cluster_queue_columns(cohort: str) -> tuple[Column, ...]:
    return (
        Column("Cohort", f".spec.{cohort}", description="Cohort that this ClusterQueue belongs to"),
        Column("Strategy", ".spec.queueingStrategy", priority=1, description="Order in which jobs are considered"),
        Column("Pending Workloads", ".status.pendingWorkloads", "integer", description="Jobs that wait"),
        Column(
            "Admitted Workloads", ".status.admittedWorkloads", "integer", priority=1, description="Jobs that are admitted and not finished"
        ),
    )


_LOCAL_QUEUE_COLUMNS: Final = (
    Column("ClusterQueue", ".spec.clusterQueue", description="ClusterQueue behind this queue"),
    Column("Pending Workloads", ".status.pendingWorkloads", "integer", description="Jobs that wait"),
    Column("Admitted Workloads", ".status.admittedWorkloads", "integer", description="Jobs that are admitted and not finished"),
)
_WORKLOAD_COLUMNS: Final = (
    Column("Queue", ".spec.queueName", description="LocalQueue that the job is in"),
    Column("Reserved in", ".status.admission.clusterQueue", description="ClusterQueue whose quota it holds"),
    Column("Admitted", ".status.conditions[?(@.type=='Admitted')].status", description="Whether it may run"),
    Column("Finished", ".status.conditions[?(@.type=='Finished')].status", description="Whether it has ended"),
    Column("Age", _AGE, "date", description="Time since it was created"),
)
_MULTIKUEUE_CLUSTER_COLUMNS: Final = (
    Column("Connected", ".status.conditions[?(@.type=='Active')].status", description="Whether the cluster answers"),
    Column("Age", _AGE, "date", description="Time since it was created"),
)
_PRIORITY_COLUMNS: Final = (Column("Value", ".value", "integer", description="The priority; higher goes first"),)
_V1BETA1_WARNING: Final = "This version is deprecated. Use v1beta2 instead."


def _kueue(
    name: str,
    plural: str,
    short_names: tuple[str, ...],
    new: type[View],
    old: type[View],
    columns: tuple[Column, ...] = (),
    old_columns: tuple[Column, ...] | None = None,
    *,
    namespaced: bool = False,
    status: bool = True,
    rules: tuple[Rule, ...] = (),
    old_rules: tuple[Rule, ...] = (),
    selectable_fields: tuple[str, ...] = (),
) -> Kind:
    deprecated = name != "MultiKueueConfig"  # Kueue forgot that one
    return Kind(
        "kueue.x-k8s.io",
        name,
        plural,
        (
            Version(
                "v1beta1",
                old,
                columns if old_columns is None else old_columns,
                status=status,
                rules=old_rules,
                deprecated=deprecated,
                deprecation_warning=_V1BETA1_WARNING if deprecated else "",
            ),
            Version("v1beta2", new, columns, storage=True, status=status, rules=rules, selectable_fields=selectable_fields),
        ),
        namespaced=namespaced,
        short_names=short_names,
    )


KUEUE_KINDS: Final = (
    _kueue(
        "ClusterQueue",
        "clusterqueues",
        ("cq",),
        kueue.ClusterQueue,
        v1beta1.ClusterQueue,
        _cluster_queue_columns("cohortName"),
        _cluster_queue_columns("cohort"),
    ),
    _kueue(
        "LocalQueue",
        "localqueues",
        ("queue", "queues", "lq"),
        kueue.LocalQueue,
        v1beta1.LocalQueue,
        _LOCAL_QUEUE_COLUMNS,
        namespaced=True,
    ),
    _kueue(
        "Workload",
        "workloads",
        ("kwl", "kueueworkload", "kueueworkloads"),
        kueue.Workload,
        v1beta1.Workload,
        _WORKLOAD_COLUMNS,
        namespaced=True,
        rules=WORKLOAD_RULES,
        old_rules=v1beta1.WORKLOAD_RULES,
        selectable_fields=(".status.admission.clusterQueue",),
    ),
    _kueue("ResourceFlavor", "resourceflavors", ("flavor", "flavors", "rf"), kueue.ResourceFlavor, kueue.ResourceFlavor, status=False),
    _kueue("Cohort", "cohorts", ("co",), kueue.Cohort, v1beta1.Cohort),
    _kueue(
        "WorkloadPriorityClass",
        "workloadpriorityclasses",
        ("wpc",),
        kueue.WorkloadPriorityClass,
        kueue.WorkloadPriorityClass,
        _PRIORITY_COLUMNS,
        status=False,
    ),
    _kueue("AdmissionCheck", "admissionchecks", ("ac",), kueue.AdmissionCheck, v1beta1.AdmissionCheck),
    _kueue(
        "ProvisioningRequestConfig",
        "provisioningrequestconfigs",
        ("prc",),
        kueue.ProvisioningRequestConfig,
        kueue.ProvisioningRequestConfig,
        status=False,
    ),
    _kueue("Topology", "topologies", ("topo",), kueue.Topology, v1beta1.Topology, status=False),
    _kueue(
        "MultiKueueCluster",
        "multikueueclusters",
        ("mkc",),
        kueue.MultiKueueCluster,
        v1beta1.MultiKueueCluster,
        _MULTIKUEUE_CLUSTER_COLUMNS,
    ),
    _kueue("MultiKueueConfig", "multikueueconfigs", ("mkconf",), kueue.MultiKueueConfig, v1beta1.MultiKueueConfig, status=False),
)
KINDS: Final = RAY_KINDS + KUEUE_KINDS
