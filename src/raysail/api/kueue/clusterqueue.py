"""ClusterQueue: a pool of quota for the whole cluster, and the rules for using it."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.kueue.fairsharing import FairSharing, FairSharingStatus
from raysail.api.kueue.names import V1BETA2, Reference
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity
from raysail.api.structural import Field, LabelSelector, Rule

ACTIVE: Final = "Active"
MULTIKUEUE_MANAGER_QUOTA_AUTOMATION: Final = "MultiKueueManagerQuotaAutomation"

# Reasons of Active
READY: Final = "Ready"
TERMINATING: Final = "Terminating"
STOPPED: Final = "Stopped"
FLAVOR_NOT_FOUND: Final = "FlavorNotFound"
TOPOLOGY_NOT_FOUND: Final = "TopologyNotFound"
ADMISSION_CHECK_NOT_FOUND: Final = "AdmissionCheckNotFound"
ADMISSION_CHECK_INACTIVE: Final = "AdmissionCheckInactive"
MULTIPLE_MULTIKUEUE_ADMISSION_CHECKS: Final = "MultipleMultiKueueAdmissionChecks"
MULTIKUEUE_ADMISSION_CHECK_APPLIED_PER_FLAVOR: Final = "MultiKueueAdmissionCheckAppliedPerFlavor"
MULTIKUEUE_WITH_PROVISIONING_REQUEST: Final = "MultiKueueWithProvisioningRequest"
UNKNOWN: Final = "Unknown"

# Values of spec fields
STRICT_FIFO: Final = "StrictFIFO"
BEST_EFFORT_FIFO: Final = "BestEffortFIFO"
NEVER: Final = "Never"
LOWER_PRIORITY: Final = "LowerPriority"
LOWER_OR_NEWER_EQUAL_PRIORITY: Final = "LowerOrNewerEqualPriority"
ANY: Final = "Any"
MAY_STOP_SEARCH: Final = "MayStopSearch"
TRY_NEXT_FLAVOR: Final = "TryNextFlavor"
BORROWING_OVER_PREEMPTION: Final = "BorrowingOverPreemption"
PREEMPTION_OVER_BORROWING: Final = "PreemptionOverBorrowing"
STOP_NONE: Final = "None"
HOLD: Final = "Hold"
HOLD_AND_DRAIN: Final = "HoldAndDrain"
USAGE_BASED_ADMISSION_FAIR_SHARING: Final = "UsageBasedAdmissionFairSharing"
NO_ADMISSION_FAIR_SHARING: Final = "NoAdmissionFairSharing"
TRY_PREFERRED_FLAVORS: Final = "TryPreferredFlavors"
RETAIN_FIRST_ADMISSION: Final = "RetainFirstAdmission"

MAX_INT32: Final = 2147483647

STOP_POLICY: Final = Field(
    "None admits; Hold admits no more and lets what runs go on; HoldAndDrain also evicts what runs.",
    enum=(STOP_NONE, HOLD, HOLD_AND_DRAIN),
    default=STOP_NONE,
)


class ResourceQuota(View, frozen=True):
    """Quota of one resource in one flavor."""

    name: Annotated[str, Field("The resource, e.g. cpu, memory, nvidia.com/gpu.", required=True)] = ""
    nominal_quota: Annotated[Quantity, Field("What this queue may always use.", required=True)] = 0
    borrowing_limit: Annotated[
        Quantity | None, Field("How much more it may use of what its cohort does not; as much as there is where absent.")
    ] = None
    lending_limit: Annotated[
        Quantity | None, Field("How much of the nominal quota others in the cohort may use while it is idle; all where absent.")
    ] = None


class FlavorQuotas(View, frozen=True):
    """Quotas in one flavor."""

    name: Annotated[Reference, Field("The ResourceFlavor.", required=True)] = ""
    resources: Annotated[
        list[ResourceQuota],
        Field(
            "Quota for each covered resource, in the order of coveredResources.",
            required=True,
            list_type="map",
            list_map_keys=("name",),
            min_items=1,
            max_items=64,
        ),
    ] = field(default_factory=list)


class ResourceGroup(View, frozen=True):
    """Resources that a job gets from the same flavor."""

    covered_resources: Annotated[
        list[str],
        Field("The resources. A resource is in one group only.", required=True, list_type="atomic", min_items=1, max_items=64),
    ] = field(default_factory=list)
    flavors: Annotated[
        list[FlavorQuotas],
        Field(
            "Flavors in the order in which they are tried.",
            required=True,
            list_type="map",
            list_map_keys=("name",),
            min_items=1,
            max_items=64,
        ),
    ] = field(default_factory=list)


RESOURCE_GROUP: Final = Field(
    rules=(
        Rule(
            "self.flavors.all(x, size(x.resources) == size(self.coveredResources))",
            "flavors must have the same number of resources as the coveredResources",
        ),
    )
)


class FlavorFungibility(View, frozen=True):
    """Whether to try the next flavor before borrowing or preempting in this one."""

    when_can_borrow: Annotated[
        str,
        Field(
            "A job fits by borrowing: MayStopSearch takes it, TryNextFlavor looks further.",
            default=MAY_STOP_SEARCH,
            enum=(MAY_STOP_SEARCH, TRY_NEXT_FLAVOR),
        ),
    ] = ""
    when_can_preempt: Annotated[
        str,
        Field(
            "A job fits by preempting: MayStopSearch takes it, TryNextFlavor looks further.",
            default=TRY_NEXT_FLAVOR,
            enum=(MAY_STOP_SEARCH, TRY_NEXT_FLAVOR),
        ),
    ] = ""
    preference: Annotated[
        str | None,
        Field("What is better when both are possible in different flavors.", enum=(BORROWING_OVER_PREEMPTION, PREEMPTION_OVER_BORROWING)),
    ] = None


class BorrowWithinCohort(View, frozen=True):
    """Preempting in the cohort while borrowing."""

    policy: Annotated[
        str,
        Field("LowerPriority allows it against lower priorities.", default=NEVER, enum=(NEVER, LOWER_PRIORITY)),
    ] = ""
    max_priority_threshold: Annotated[int | None, Field("Only jobs of at most this priority are preempted.")] = None


class ClusterQueuePreemption(View, frozen=True):
    """Whom a pending job may preempt."""

    reclaim_within_cohort: Annotated[
        str,
        Field(
            "Jobs of other queues that borrow this queue's quota: never, those of lower priority, or any.",
            default=NEVER,
            enum=(NEVER, LOWER_PRIORITY, ANY),
        ),
    ] = ""
    borrow_within_cohort: Annotated[BorrowWithinCohort | None, Field("Preempting in the cohort while borrowing.", default={})] = None
    within_cluster_queue: Annotated[
        str,
        Field(
            "Jobs of this queue: never, those of lower priority, or also newer ones of the same priority.",
            default=NEVER,
            enum=(NEVER, LOWER_PRIORITY, LOWER_OR_NEWER_EQUAL_PRIORITY),
        ),
    ] = ""


class AdmissionCheckStrategyRule(View, frozen=True):
    """One check, and for which flavors it holds."""

    name: Annotated[str, Field("The AdmissionCheck.", required=True, min_length=1, max_length=316)] = ""
    on_flavors: Annotated[
        list[Reference] | None, Field("Flavors that need the check; all where absent.", list_type="set", max_items=64)
    ] = None


class AdmissionChecksStrategy(View, frozen=True):
    """Checks that a job must pass after quota is reserved."""

    admission_checks: Annotated[
        list[AdmissionCheckStrategyRule] | None,
        Field("The checks.", required=V1BETA2, list_type="map", list_map_keys=("name",), min_items=1, max_items=64, bounds_in=V1BETA2),
    ] = None


class AdmissionScope(View, frozen=True):
    """Order between LocalQueues."""

    admission_mode: Annotated[
        str,
        Field(
            "UsageBasedAdmissionFairSharing lets LocalQueues that used less go first.",
            required=True,
            enum=(USAGE_BASED_ADMISSION_FAIR_SHARING, NO_ADMISSION_FAIR_SHARING),
            bounds_in=V1BETA2,
        ),
    ] = ""


class ConcurrentAdmissionConstraints(View, frozen=True):
    """Where moving to better flavors ends."""

    last_acceptable_flavor_name: Annotated[Reference | None, Field("The last flavor that may be used.")] = None


class ConcurrentAdmissionMigration(View, frozen=True):
    """Whether an admitted job moves to a better flavor."""

    mode: Annotated[
        str,
        Field(
            "TryPreferredFlavors moves, RetainFirstAdmission stays.",
            required=True,
            enum=(TRY_PREFERRED_FLAVORS, RETAIN_FIRST_ADMISSION),
            max_length=253,
        ),
    ] = ""
    constraints: Annotated[ConcurrentAdmissionConstraints | None, Field("Where moving ends.")] = None


class ConcurrentAdmissionPolicy(View, frozen=True):
    """Trying several flavors at once (alpha)."""

    migration: Annotated[ConcurrentAdmissionMigration, Field("What happens when a better flavor is free.", required=True)] = (
        ConcurrentAdmissionMigration()
    )


class ClusterQueueSpec(View, frozen=True):
    """Quota, and the rules for using it."""

    resource_groups: Annotated[
        list[Annotated[ResourceGroup, RESOURCE_GROUP]] | None,
        Field("Quotas by flavor and resource.", list_type="atomic", max_items=16),
    ] = None
    cohort_name: Annotated[Reference, Field("Queues of the same cohort lend each other what they do not use.", versions=V1BETA2)] = ""
    queueing_strategy: Annotated[
        str,
        Field(
            "BestEffortFIFO lets a later job pass one that does not fit; StrictFIFO makes all wait for it.",
            default=BEST_EFFORT_FIFO,
            enum=(STRICT_FIFO, BEST_EFFORT_FIFO),
        ),
    ] = ""
    namespace_selector: Annotated[
        LabelSelector | None, Field("Namespaces whose jobs may use this queue. {} means all; absent means none.")
    ] = None
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
    preemption: Annotated[
        ClusterQueuePreemption | None,
        Field(
            "Whom a pending job may preempt.",
            default={},
            rules=(
                Rule(
                    "!(self.reclaimWithinCohort == 'Never' && has(self.borrowWithinCohort) &&  self.borrowWithinCohort.policy != 'Never')",
                    "reclaimWithinCohort=Never and borrowWithinCohort.Policy!=Never",
                ),
            ),
        ),
    ] = None
    admission_checks_strategy: Annotated[AdmissionChecksStrategy | None, Field("Checks that a job must pass after quota is reserved.")] = (
        None
    )
    stop_policy: Annotated[str | None, STOP_POLICY] = None
    fair_sharing: Annotated[FairSharing | None, Field("Weight when fair sharing is on.")] = None
    admission_scope: Annotated[AdmissionScope | None, Field("Order between LocalQueues.")] = None
    concurrent_admission_policy: Annotated[
        ConcurrentAdmissionPolicy | None, Field("Trying several flavors at once (alpha).", versions=V1BETA2)
    ] = None


SPEC_RULES: Final = (
    Rule(
        "!has(self.cohortName) && has(self.resourceGroups) ? self.resourceGroups.all(rg, rg.flavors.all(f, f.resources.all(r, "
        "!has(r.borrowingLimit)))) : true",
        "borrowingLimit must be nil when cohort is empty",
    ),
)


class ResourceUsage(View, frozen=True):
    """Use of one resource."""

    name: Annotated[str, Field("The resource.", required=True)] = ""
    total: Annotated[Quantity, Field("In use, borrowed quota included.")] = 0
    borrowed: Annotated[Quantity, Field("Of that, borrowed from the cohort.")] = 0


class FlavorUsage(View, frozen=True):
    """Use of one flavor."""

    name: Annotated[Reference, Field("The ResourceFlavor.", required=True)] = ""
    resources: Annotated[
        list[ResourceUsage] | None, Field("Use by resource.", required=True, list_type="map", list_map_keys=("name",), max_items=64)
    ] = None


class ClusterQueueStatus(View, frozen=True):
    """What was observed of a ClusterQueue."""

    conditions: Annotated[
        list[Condition] | None,
        Field("Active says whether it admits.", list_type="map", list_map_keys=("type",), max_items=16, bounds_in=V1BETA2),
    ] = None
    flavors_reservation: Annotated[
        list[FlavorUsage] | None,
        Field("Use by jobs that hold quota.", list_type="map", list_map_keys=("name",), max_items=64),
    ] = None
    flavors_usage: Annotated[
        list[FlavorUsage] | None,
        Field("Use by jobs that are admitted.", list_type="map", list_map_keys=("name",), max_items=64),
    ] = None
    pending_workloads: Annotated[int | None, Field("Jobs that wait.")] = None
    reserving_workloads: Annotated[int | None, Field("Jobs that hold quota.")] = None
    admitted_workloads: Annotated[int | None, Field("Jobs that are admitted and not finished.")] = None
    fair_sharing: Annotated[FairSharingStatus | None, Field("The share now, when fair sharing is on.")] = None


class ClusterQueue(Object, frozen=True):
    """A pool of quota for the whole cluster, and the rules for using it."""

    spec: Annotated[ClusterQueueSpec, Field("Quota, and the rules for using it.", rules=SPEC_RULES)] = ClusterQueueSpec()
    status: Annotated[ClusterQueueStatus, Field("What was observed.")] = ClusterQueueStatus()
