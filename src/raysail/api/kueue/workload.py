"""Workload: what a job asks for, and how far its admission is. The reasons of its conditions are in `api.kueue.reasons`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.kueue.admissioncheck import PENDING, READY, REJECTED, RETRY
from raysail.api.kueue.flavor import TOLERATION_RULES, KueueToleration
from raysail.api.kueue.names import DEFAULT_POD_SET, V1BETA1, V1BETA2, PodSetName, Reference
from raysail.api.kueue.topologyassignment import ASSIGNMENT, TopologyAssignment
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity
from raysail.api.structural import DNS_SUBDOMAIN, Field, PodTemplate, Rule, Time

DELAYED_TOPOLOGY_PENDING: Final = "Pending"
DELAYED_TOPOLOGY_READY: Final = "Ready"
GATE_CLOSED: Final = "Closed"
GATE_OPEN: Final = "Open"
POD_PRIORITY_CLASS_GROUP: Final = "scheduling.k8s.io"
WORKLOAD_PRIORITY_CLASS_GROUP: Final = "kueue.x-k8s.io"
POD_PRIORITY_CLASS_KIND: Final = "PriorityClass"
WORKLOAD_PRIORITY_CLASS_KIND: Final = "WorkloadPriorityClass"


class PriorityClassRef(View, frozen=True):
    """Where the priority comes from."""

    group: Annotated[str, Field("API group.", required=True, enum=(WORKLOAD_PRIORITY_CLASS_GROUP, POD_PRIORITY_CLASS_GROUP))] = ""
    kind: Annotated[str, Field("Kind.", required=True, enum=(WORKLOAD_PRIORITY_CLASS_KIND, POD_PRIORITY_CLASS_KIND))] = ""
    name: Annotated[str, Field("Name.", required=True, min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)] = ""


class SliceTopologyConstraint(View, frozen=True):
    """One layer of slices."""

    topology: Annotated[str, Field("Node label of the level.", required=True, min_length=1, max_length=63)] = ""
    size: Annotated[int, Field("Pods per slice.", required=True, minimum=1)] = 0


class PodSetTopologyRequest(View, frozen=True):
    """How near to each other the Pods must be."""

    required: Annotated[str | None, Field("All Pods in one domain of this level, or none.", max_length=63, bounds_in=V1BETA2)] = None
    preferred: Annotated[str | None, Field("In one domain of this level if possible.", max_length=63, bounds_in=V1BETA2)] = None
    unconstrained: Annotated[bool | None, Field("Anywhere, with the capacity counted per node.")] = None
    pod_index_label: Annotated[str | None, Field("Label with a Pod's index.", max_length=317, bounds_in=V1BETA2)] = None
    sub_group_index_label: Annotated[str | None, Field("Label with the index of a Pod's sub-group.", max_length=317, bounds_in=V1BETA2)] = (
        None
    )
    sub_group_count: Annotated[int | None, Field("Number of sub-groups.", minimum=0, bounds_in=V1BETA2)] = None
    pod_set_group_name: Annotated[str | None, Field("Pod sets of one group go to the same place.", max_length=256, bounds_in=V1BETA2)] = (
        None
    )
    pod_set_slice_required_topology: Annotated[
        str | None, Field("Each slice of Pods in one domain of this level.", max_length=63, bounds_in=V1BETA2)
    ] = None
    pod_set_slice_size: Annotated[int | None, Field("Pods per slice.", minimum=1)] = None
    podset_slice_required_topology_constraints: Annotated[
        list[SliceTopologyConstraint] | None,
        Field("Slices inside slices, from the widest level on.", list_type="atomic", max_items=3, versions=V1BETA2),
    ] = None


class PodSet(View, frozen=True):
    """Pods that look alike."""

    name: Annotated[PodSetName, Field("Name of the pod set.", default=DEFAULT_POD_SET)] = ""
    template: Annotated[PodTemplate, Field("The Pods.", required=True)] = field(default_factory=dict)
    count: Annotated[int, Field("How many.", required=V1BETA1, default=1, minimum=0)] = 0
    min_count: Annotated[int | None, Field("How few the job can do with.", minimum=1)] = None
    topology_request: Annotated[PodSetTopologyRequest | None, Field("How near to each other the Pods must be.")] = None


POD_SET: Final = Field(
    rules=(Rule("has(self.minCount) ? self.minCount <= self.count : true", "minCount should be positive and less or equal to count"),)
)


class PreemptionGate(View, frozen=True):
    """Something that must be open before this job preempts others."""

    name: Annotated[str, Field("Name of the gate.", required=True, min_length=1, max_length=63)] = ""


class WorkloadSpec(View, frozen=True):
    """What a job asks for."""

    pod_sets: Annotated[
        list[Annotated[PodSet, POD_SET]],
        Field("Groups of Pods.", required=V1BETA1, list_type="map", list_map_keys=("name",), min_items=1, max_items=18),
    ] = field(default_factory=list)
    queue_name: Annotated[Reference, Field("The LocalQueue.")] = ""
    priority_class_ref: Annotated[
        PriorityClassRef | None,
        Field(
            "Where the priority comes from.",
            versions=V1BETA2,
            rules=(
                Rule(
                    "(self.group == 'scheduling.k8s.io') ? self.kind == 'PriorityClass' : true",
                    "only the PriorityClass kind is allowed for the scheduling.k8s.io group",
                ),
                Rule(
                    "(self.group == 'kueue.x-k8s.io') ? self.kind == 'WorkloadPriorityClass' : true",
                    "only the WorkloadPriorityClass kind is allowed for the kueue.x-k8s.io group",
                ),
            ),
        ),
    ] = None
    priority: Annotated[int | None, Field("The priority; higher goes first.")] = None
    active: Annotated[bool | None, Field("false keeps the job out of the queue and evicts it.", default=True)] = None
    maximum_execution_time_seconds: Annotated[int | None, Field("The job is stopped after so many seconds.", minimum=1)] = None
    preemption_gates: Annotated[
        list[PreemptionGate] | None,
        Field(
            "Gates that must be open before this job preempts others.",
            list_type="map",
            list_map_keys=("name",),
            max_items=8,
            versions=V1BETA2,
        ),
    ] = None


SPEC_RULES: Final = (Rule("!has(self.priorityClassRef) || has(self.priority)", "priority should not be nil when priorityClassRef is set"),)


class PodSetAssignment(View, frozen=True):
    """What one pod set got."""

    name: Annotated[PodSetName, Field("The pod set.", required=V1BETA1, default=DEFAULT_POD_SET)] = ""
    flavors: Annotated[dict[str, Reference] | None, Field("The flavor for each resource.")] = None
    resource_usage: Annotated[dict[str, Quantity] | None, Field("Quota that all its Pods hold.")] = None
    count: Annotated[int | None, Field("Pods that are admitted.", minimum=0)] = None
    topology_assignment: Annotated[TopologyAssignment | None, ASSIGNMENT] = None
    delayed_topology_request: Annotated[
        str | None,
        Field(
            "Whether the places are still to be found.",
            enum=(DELAYED_TOPOLOGY_PENDING, DELAYED_TOPOLOGY_READY),
            max_length=7,
            bounds_in=V1BETA2,
        ),
    ] = None


class Admission(View, frozen=True):
    """What the job got."""

    cluster_queue: Annotated[Reference, Field("The ClusterQueue whose quota it holds.", required=V1BETA1)] = ""
    pod_set_assignments: Annotated[
        list[PodSetAssignment],
        Field("What each pod set got.", required=V1BETA1, list_type="map", list_map_keys=("name",), max_items=18),
    ] = field(default_factory=list)


class RequeueState(View, frozen=True):
    """How often it was sent back, and until when it waits."""

    count: Annotated[int | None, Field("How often.", minimum=0)] = None
    requeue_at: Annotated[Time | None, Field("Until when.")] = None


class ReclaimablePod(View, frozen=True):
    """Pods that ended and give their quota back."""

    name: Annotated[PodSetName, Field("The pod set.", required=True)] = ""
    count: Annotated[int, Field("Pods that ended.", required=True, minimum=0)] = 0


class PodSetUpdate(View, frozen=True):
    """What a check changes in a pod set's Pods."""

    name: Annotated[PodSetName, Field("The pod set.", required=True)] = ""
    labels: Annotated[dict[str, str] | None, Field("Labels to add.")] = None
    annotations: Annotated[dict[str, str] | None, Field("Annotations to add.")] = None
    node_selector: Annotated[dict[str, str] | None, Field("Node selector to add.")] = None
    tolerations: Annotated[
        list[KueueToleration] | None, Field("Tolerations to add.", list_type="atomic", max_items=8, rules=TOLERATION_RULES)
    ] = None


class AdmissionCheckState(View, frozen=True):
    """How far one check is."""

    name: Annotated[str, Field("The AdmissionCheck.", required=True, min_length=1, max_length=316)] = ""
    state: Annotated[str, Field("Pending, Ready, Retry or Rejected.", required=True, enum=(PENDING, READY, RETRY, REJECTED))] = ""
    last_transition_time: Annotated[Time, Field("Since when.", required=True)] = ""
    message: Annotated[str, Field("More about it.", required=True, max_length=32768)] = ""
    requeue_after_seconds: Annotated[int | None, Field("Seconds to wait after Retry.", minimum=0)] = None
    retry_count: Annotated[int | None, Field("How often it was tried again.", minimum=0)] = None
    pod_set_updates: Annotated[list[PodSetUpdate] | None, Field("What it changes in the Pods.", list_type="atomic", max_items=18)] = None


class PodSetRequest(View, frozen=True):
    """What a pod set counts as."""

    name: Annotated[PodSetName, Field("The pod set.", required=True)] = ""
    resources: Annotated[dict[str, Quantity] | None, Field("Quota that all its Pods need.")] = None


class SchedulingStatsEviction(View, frozen=True):
    """Evictions for one cause."""

    reason: Annotated[str, Field("Reason of the Evicted condition.", required=True, max_length=316)] = ""
    underlying_cause: Annotated[str, Field("What lay behind it; may be empty.", required=True, max_length=316)] = ""
    count: Annotated[int, Field("How often.", required=True, minimum=0)] = 0


class SchedulingStats(View, frozen=True):
    """What the queue did with the job so far."""

    evictions: Annotated[
        list[SchedulingStatsEviction] | None,
        Field("Evictions by cause.", list_type="map", list_map_keys=("reason", "underlyingCause"), max_items=256, bounds_in=V1BETA2),
    ] = None


class UnhealthyNode(View, frozen=True):
    """A node that must be replaced."""

    name: Annotated[str, Field("The node.", required=True, max_length=63, bounds_in=V1BETA2)] = ""


class PreemptionGateState(View, frozen=True):
    """Whether a gate is open."""

    name: Annotated[str, Field("The gate.", required=True, min_length=1, max_length=63)] = ""
    position: Annotated[str, Field("Open or Closed.", required=True, enum=(GATE_CLOSED, GATE_OPEN))] = ""
    last_transition_time: Annotated[Time, Field("Since when.", required=True)] = ""


class WorkloadStatus(View, frozen=True):
    """How far a job's admission is."""

    conditions: Annotated[
        list[Condition] | None,
        Field("Quota, admission, eviction, end.", list_type="map", list_map_keys=("type",), max_items=16, bounds_in=V1BETA2),
    ] = None
    admission: Annotated[Admission | None, Field("What the job got.")] = None
    requeue_state: Annotated[RequeueState | None, Field("How often it was sent back, and until when it waits.")] = None
    reclaimable_pods: Annotated[
        list[ReclaimablePod] | None,
        Field("Pods that ended and give their quota back.", list_type="map", list_map_keys=("name",), max_items=18),
    ] = None
    admission_checks: Annotated[
        list[AdmissionCheckState] | None, Field("How far the checks are.", list_type="map", list_map_keys=("name",), max_items=8)
    ] = None
    resource_requests: Annotated[
        list[PodSetRequest] | None,
        Field("What the pod sets count as, while no quota is held.", list_type="map", list_map_keys=("name",), max_items=18),
    ] = None
    accumulated_past_execution_time_seconds: Annotated[
        int | None, Field("Seconds that it was admitted before the last eviction.", versions=V1BETA2)
    ] = None
    scheduling_stats: Annotated[SchedulingStats | None, Field("What the queue did with the job so far.")] = None
    nominated_cluster_names: Annotated[
        list[Annotated[str, Field(max_length=256, bounds_in=V1BETA2)]] | None,
        Field("Clusters that may take the job.", list_type="atomic", max_items=20),
    ] = None
    cluster_name: Annotated[str | None, Field("The cluster that took it.", max_length=256, bounds_in=V1BETA2)] = None
    unhealthy_nodes: Annotated[
        list[UnhealthyNode] | None,
        Field("Nodes that must be replaced.", list_type="map", list_map_keys=("name",), max_items=8, bounds_in=V1BETA2),
    ] = None
    preemption_gates: Annotated[
        list[PreemptionGateState] | None,
        Field("Whether the gates are open.", list_type="map", list_map_keys=("name",), max_items=8, versions=V1BETA2),
    ] = None


STATUS_RULES: Final = (
    Rule(
        "!has(oldSelf.clusterName) || !has(self.clusterName) || oldSelf.clusterName == self.clusterName",
        "clusterName is immutable once set",
    ),
    Rule(
        "!has(self.clusterName) || (!has(self.nominatedClusterNames) || (has(self.nominatedClusterNames) && "
        "size(self.nominatedClusterNames) == 0))",
        "clusterName and nominatedClusterNames are mutually exclusive",
    ),
)


def _holds(obj: str, type_: str) -> str:
    has = f"has({obj}.status) && has({obj}.status.conditions)"
    return f"{has} && {obj}.status.conditions.exists(c, c.type == '{type_}' && c.status == 'True')"


_WAS_RESERVED: Final = _holds("oldSelf", "QuotaReserved")
_BOTH_REFS: Final = "has(oldSelf.spec.priorityClassRef) && has(self.spec.priorityClassRef)"
ASSIGNMENTS_RULE: Final = Rule(
    f"{_holds('self', 'QuotaReserved')} && has(self.status.admission) ? size(self.spec.podSets) == "
    "size(self.status.admission.podSetAssignments) : true",
    "podSetAssignments must have the same number of podSets as the spec",
)
QUEUE_NAME_RULE: Final = Rule(
    f"(({_WAS_RESERVED}) && ({_holds('self', 'QuotaReserved')})) ? ((has(oldSelf.spec.queueName) == has(self.spec.queueName)) && "
    "(!has(oldSelf.spec.queueName) || oldSelf.spec.queueName == self.spec.queueName)) : true",
    "queueName is immutable while workload quota reserved",
)
MAXIMUM_EXECUTION_TIME_RULE: Final = Rule(
    f"(({_holds('oldSelf', 'Admitted')}) && ({_holds('self', 'Admitted')})) ? "
    "((has(oldSelf.spec.maximumExecutionTimeSeconds) ? oldSelf.spec.maximumExecutionTimeSeconds : 0) == "
    "(has(self.spec.maximumExecutionTimeSeconds) ? self.spec.maximumExecutionTimeSeconds : 0)) : true",
    "maximumExecutionTimeSeconds is immutable while workload quota reserved",
)
RULES: Final = (
    ASSIGNMENTS_RULE,
    Rule(
        f"({_WAS_RESERVED}) ? (!has(oldSelf.spec.priorityClassRef) && !has(self.spec.priorityClassRef)) || ({_BOTH_REFS}) : true",
        "priorityClassRef is immutable while workload quota reserved",
    ),
    Rule(
        f"({_WAS_RESERVED} && {_BOTH_REFS}) ? oldSelf.spec.priorityClassRef.group == self.spec.priorityClassRef.group : true",
        "priorityClassRef.group is immutable while workload quota reserved",
    ),
    Rule(
        f"({_WAS_RESERVED} && {_BOTH_REFS}) ? oldSelf.spec.priorityClassRef.kind == self.spec.priorityClassRef.kind : true",
        "priorityClassRef.kind is immutable while workload quota reserved",
    ),
    Rule(
        f"({_WAS_RESERVED} && {_BOTH_REFS} && self.spec.priorityClassRef.group == 'scheduling.k8s.io' && "
        "self.spec.priorityClassRef.kind == 'PriorityClass') ? oldSelf.spec.priorityClassRef.name == self.spec.priorityClassRef.name : true",
        "priorityClassRef.name is immutable for scheduling.k8s.io/priorityclass while workload quota reserved",
    ),
    QUEUE_NAME_RULE,
    MAXIMUM_EXECUTION_TIME_RULE,
)
"""Rules on the whole object."""


class Workload(Object, frozen=True):
    """What a job asks for, and how far its admission is. Kueue makes one for each job."""

    spec: Annotated[WorkloadSpec, Field("What the job asks for.", rules=SPEC_RULES)] = WorkloadSpec()
    status: Annotated[WorkloadStatus, Field("How far its admission is.", rules=STATUS_RULES)] = WorkloadStatus()
