"""kueue.x-k8s.io/v1beta1 where it differs from v1beta2. Only schemas are made from these; controllers read v1beta2 (see `conversion`)."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.core.scheduling import Taint
from raysail.api.kueue import admissioncheck, clusterqueue, cohort, localqueue, multikueue, topology, workload
from raysail.api.kueue.fairsharing import LocalQueueFairSharingStatus
from raysail.api.kueue.names import Reference
from raysail.api.meta import Object, View
from raysail.api.structural import Field, Int64, Rule, Time


class FlavorFungibility(clusterqueue.FlavorFungibility, frozen=True):
    """With the older names Borrow and Preempt for MayStopSearch."""

    when_can_borrow: Annotated[
        str,
        Field(
            "A job fits by borrowing: MayStopSearch (older: Borrow) takes it, TryNextFlavor looks further.",
            default="MayStopSearch",
            enum=("MayStopSearch", "TryNextFlavor", "Borrow"),
        ),
    ] = ""
    when_can_preempt: Annotated[
        str,
        Field(
            "A job fits by preempting: MayStopSearch (older: Preempt) takes it, TryNextFlavor looks further.",
            default="TryNextFlavor",
            enum=("MayStopSearch", "TryNextFlavor", "Preempt"),
        ),
    ] = ""


class ClusterQueueSpec(clusterqueue.ClusterQueueSpec, frozen=True):
    """Quota, and the rules for using it."""

    cohort: Annotated[Reference, Field("Queues of the same cohort lend each other what they do not use.")] = ""
    flavor_fungibility: Annotated[
        FlavorFungibility | None,
        Field(
            "Whether to try the next flavor before borrowing or preempting in this one.",
            default={},
            rules=(
                Rule(
                    "!has(self.preference) || (self.whenCanBorrow == 'TryNextFlavor' && self.whenCanPreempt == 'TryNextFlavor')",
                    "preference can only be set when both whenCanBorrow and whenCanPreempt are TryNextFlavor",
                ),
            ),
        ),
    ] = None
    admission_checks: Annotated[
        list[Annotated[str, Field(max_length=316)]] | None,
        Field("Checks that a job must pass after quota is reserved. Excludes admissionChecksStrategy."),
    ] = None


class PendingWorkload(View, frozen=True):
    """A job that waits."""

    name: Annotated[str, Field("Name.", required=True)] = ""
    namespace: Annotated[str, Field("Namespace.", required=True)] = ""


class PendingWorkloadsStatus(View, frozen=True):
    """Jobs that wait."""

    cluster_queue_pending_workload: Annotated[list[PendingWorkload] | None, Field("The first of them.", list_type="atomic")] = None
    last_change_time: Annotated[Time, Field("When the list last changed.", required=True)] = ""


class ClusterQueueStatus(clusterqueue.ClusterQueueStatus, frozen=True):
    """What was observed of a ClusterQueue."""

    pending_workloads_status: Annotated[PendingWorkloadsStatus | None, Field("Deprecated, no longer written.")] = None
    fair_sharing: Annotated[LocalQueueFairSharingStatus | None, Field("The share now, when fair sharing is on.")] = None


CLUSTER_QUEUE_RULES: Final = tuple(Rule(r.rule.replace("self.cohortName", "self.cohort"), r.message) for r in clusterqueue.SPEC_RULES)


class ClusterQueue(clusterqueue.ClusterQueue, frozen=True):
    """A pool of quota for the whole cluster, and the rules for using it."""

    spec: Annotated[
        ClusterQueueSpec,
        Field(
            "Quota, and the rules for using it.",
            rules=CLUSTER_QUEUE_RULES,
        ),
    ] = ClusterQueueSpec()
    status: Annotated[ClusterQueueStatus, Field("What was observed.")] = ClusterQueueStatus()


class CohortStatus(View, frozen=True):
    """What was observed of a Cohort."""

    fair_sharing: Annotated[LocalQueueFairSharingStatus | None, Field("The share now, when fair sharing is on.")] = None


class Cohort(Object, frozen=True):
    """Queues that lend each other what they do not use."""

    spec: Annotated[cohort.CohortSpec, Field("Where the cohort is in the tree, and what it adds.")] = cohort.CohortSpec()
    status: Annotated[CohortStatus, Field("What was observed.")] = CohortStatus()


class TopologyInfo(View, frozen=True):
    """A flavor's topology."""

    name: Annotated[Reference, Field("Name.", required=True)] = ""
    levels: Annotated[list[str], Field("Node labels.", required=True, list_type="atomic", min_items=1, max_items=16)] = field(
        default_factory=list
    )


class LocalQueueFlavorStatus(View, frozen=True):
    """A flavor that the queue can use."""

    name: Annotated[Reference, Field("Name.", required=True)] = ""
    resources: Annotated[list[str] | None, Field("Resources.", list_type="set", max_items=64)] = None
    node_labels: Annotated[dict[str, str] | None, Field("Labels of the nodes.", map_type="atomic", max_properties=8)] = None
    node_taints: Annotated[
        list[Annotated[Taint, Field(builtin="io.k8s.api.core.v1.Taint")]] | None,
        Field("Taints of the nodes.", list_type="atomic", max_items=8),
    ] = None
    topology: Annotated[TopologyInfo | None, Field("Topology of the nodes.")] = None


class LocalQueueStatus(localqueue.LocalQueueStatus, frozen=True):
    """What was observed of a LocalQueue."""

    flavor_usage: Annotated[
        list[localqueue.LocalQueueFlavorUsage] | None,
        Field("Use by jobs that are admitted.", list_type="map", list_map_keys=("name",), max_items=64),
    ] = None
    flavors: Annotated[
        list[LocalQueueFlavorStatus] | None,
        Field("Deprecated, no longer written.", list_type="map", list_map_keys=("name",), max_items=64),
    ] = None


class LocalQueue(localqueue.LocalQueue, frozen=True):
    """Where the jobs of a namespace line up for a ClusterQueue."""

    status: Annotated[LocalQueueStatus, Field("What was observed.")] = LocalQueueStatus()


class WorkloadSpec(workload.WorkloadSpec, frozen=True):
    """What a job asks for."""

    priority_class_name: Annotated[Reference, Field("Name of the class that the priority comes from.")] = ""
    priority_class_source: Annotated[
        str,
        Field(
            "Kind of that class.",
            default="",
            enum=("kueue.x-k8s.io/workloadpriorityclass", "scheduling.k8s.io/priorityclass", ""),
        ),
    ] = ""


class TopologyDomainAssignment(View, frozen=True):
    """Pods in one domain."""

    values: Annotated[list[str], Field("Values of the labels.", required=True, list_type="atomic", min_items=1, max_items=16)] = field(
        default_factory=list
    )
    count: Annotated[int, Field("Pods.", required=True, minimum=1)] = 0


class TopologyAssignment(View, frozen=True):
    """Where the Pods of a pod set go."""

    levels: Annotated[list[str], Field("Node labels.", required=True, list_type="atomic", min_items=1, max_items=16)] = field(
        default_factory=list
    )
    domains: Annotated[list[TopologyDomainAssignment], Field("The domains.", required=True)] = field(default_factory=list)


class PodSetAssignment(workload.PodSetAssignment, frozen=True):
    """What one pod set got."""

    topology_assignment: Annotated[TopologyAssignment | None, Field("Where the Pods go.")] = None  # type: ignore[assignment]


class Admission(View, frozen=True):
    """What the job got."""

    cluster_queue: Annotated[Reference, Field("The ClusterQueue whose quota it holds.", required=True)] = ""
    pod_set_assignments: Annotated[
        list[PodSetAssignment], Field("What each pod set got.", required=True, list_type="map", list_map_keys=("name",), max_items=18)
    ] = field(default_factory=list)


class WorkloadStatus(workload.WorkloadStatus, frozen=True):
    """How far a job's admission is."""

    admission: Annotated[Admission | None, Field("What the job got.")] = None  # type: ignore[assignment]
    accumulated_past_excecution_time_seconds: Annotated[
        int | None, Field("Seconds that it was admitted before the last eviction (the name's typo is Kueue's).")
    ] = field(default=None, name="accumulatedPastExexcutionTimeSeconds")


_RESERVED_WITH_SOURCE: Final = (
    "has(oldSelf.status) && has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(c, c.type == 'QuotaReserved' && "
    "c.status == 'True') && has(oldSelf.spec.priorityClassSource) && has(self.spec.priorityClassSource)"
)
WORKLOAD_RULES: Final = (
    workload.ASSIGNMENTS_RULE,
    Rule(
        f"({_RESERVED_WITH_SOURCE}) ? (oldSelf.spec.priorityClassSource == self.spec.priorityClassSource) : true",
        "priorityClassSource is immutable while workload quota reserved",
    ),
    Rule(
        f"({_RESERVED_WITH_SOURCE} && (self.spec.priorityClassSource != 'kueue.x-k8s.io/workloadpriorityclass') && "
        "has(oldSelf.spec.priorityClassName) && has(self.spec.priorityClassName)) ? "
        "(oldSelf.spec.priorityClassName == self.spec.priorityClassName) : true",
        "priorityClassName is immutable while workload quota reserved and priorityClassSource is not equal to "
        "kueue.x-k8s.io/workloadpriorityclass",
    ),
    workload.QUEUE_NAME_RULE,
    workload.MAXIMUM_EXECUTION_TIME_RULE,
)


class Workload(workload.Workload, frozen=True):
    """What a job asks for, and how far its admission is."""

    spec: Annotated[
        WorkloadSpec,
        Field(
            "What the job asks for.",
            rules=(
                Rule("has(self.priorityClassName) ? has(self.priority) : true", "priority should not be nil when priorityClassName is set"),
            ),
        ),
    ] = WorkloadSpec()
    status: Annotated[WorkloadStatus, Field("How far its admission is.", rules=workload.STATUS_RULES)] = WorkloadStatus()


class AdmissionCheckSpec(admissioncheck.AdmissionCheckSpec, frozen=True):
    """Who checks, with which settings."""

    retry_delay_minutes: Annotated[Int64 | None, Field("Deprecated, without effect.", default=15)] = None


class AdmissionCheck(admissioncheck.AdmissionCheck, frozen=True):
    """A further condition for admission, decided by a controller of its own."""

    spec: Annotated[AdmissionCheckSpec, Field("Who checks, with which settings.")] = AdmissionCheckSpec()


class MultiKueueClusterSpec(View, frozen=True):
    """How to reach the cluster."""

    kube_config: Annotated[multikueue.KubeConfig, Field("A kubeconfig.", required=True)] = multikueue.KubeConfig()
    cluster_profile_ref: Annotated[multikueue.ClusterProfileReference | None, Field("A ClusterProfile (alpha).")] = None


class MultiKueueCluster(Object, frozen=True):
    """A cluster to which jobs are handed on."""

    spec: Annotated[MultiKueueClusterSpec, Field("How to reach the cluster.")] = MultiKueueClusterSpec()
    status: Annotated[multikueue.MultiKueueClusterStatus, Field("What was observed.")] = multikueue.MultiKueueClusterStatus()


class MultiKueueConfigSpec(multikueue.MultiKueueConfigSpec, frozen=True):
    """Which clusters."""

    clusters: Annotated[list[str], Field("MultiKueueClusters.", required=True, list_type="set", min_items=1, max_items=20)] = field(
        default_factory=list
    )


class MultiKueueConfig(multikueue.MultiKueueConfig, frozen=True):
    """Clusters for an AdmissionCheck to choose from."""

    spec: Annotated[MultiKueueConfigSpec, Field("Which clusters.")] = MultiKueueConfigSpec()


class TopologySpec(topology.TopologySpec, frozen=True):
    """The levels."""

    levels: Annotated[
        list[topology.TopologyLevel],
        Field(
            "Levels from the widest to the narrowest. Cannot be changed.",
            required=True,
            list_type="atomic",
            min_items=1,
            max_items=16,
            rules=(Rule("self == oldSelf", "field is immutable"), topology.UNIQUE_LEVELS, topology.HOSTNAME_LAST),
        ),
    ] = field(default_factory=list)


class Topology(topology.Topology, frozen=True):
    """How nodes are grouped, from data centre down to host."""

    spec: Annotated[TopologySpec, Field("The levels.")] = TopologySpec()
