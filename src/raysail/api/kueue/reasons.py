"""Types and reasons of a Workload's conditions. All of them are seen by users and tools (apis/kueue/v1beta2/workload_types.go)."""

from __future__ import annotations

from typing import Final

# Types
QUOTA_RESERVED: Final = "QuotaReserved"
ADMITTED: Final = "Admitted"
PODS_READY: Final = "PodsReady"
EVICTED: Final = "Evicted"
PREEMPTED: Final = "Preempted"
REQUEUED: Final = "Requeued"
FINISHED: Final = "Finished"
DEACTIVATION_TARGET: Final = "DeactivationTarget"
BLOCKED_ON_PREEMPTION_GATES: Final = "BlockedOnPreemptionGates"
WAITING_FOR_REPLACEMENT_PODS: Final = "WaitingForReplacementPods"

# QuotaReserved false
NO_MATCHING_FLAVOR: Final = "NoMatchingFlavor"
EXCEEDS_MAX_QUOTA: Final = "ExceedsMaxQuota"
WAITING_FOR_QUOTA: Final = "WaitingForQuota"
TOPOLOGY_PLACEMENT_FAILED: Final = "TopologyPlacementFailed"
WAITING_FOR_PREEMPTED_WORKLOADS: Final = "WaitingForPreemptedWorkloads"
MISCONFIGURED: Final = "Misconfigured"
SUSPENDED: Final = "Suspended"
PENDING_EVALUATION: Final = "PendingEvaluation"
WAITING_FOR_PODS_READY: Final = "WaitingForPodsReady"
ADMISSION_GATED: Final = "AdmissionGated"
ON_HOLD: Final = "OnHold"
PENDING: Final = "Pending"
WAITING: Final = "Waiting"
INADMISSIBLE: Final = "Inadmissible"

# Admitted false
NO_RESERVATION: Final = "NoReservation"
UNSATISFIED_ADMISSION_CHECKS: Final = "UnsatisfiedAdmissionChecks"
PENDING_DELAYED_TOPOLOGY_REQUESTS: Final = "PendingDelayedTopologyRequests"

# PodsReady
WAIT_FOR_START: Final = "WaitForStart"
WAIT_FOR_RECOVERY: Final = "WaitForRecovery"
STARTED: Final = "Started"
RECOVERED: Final = "Recovered"

# Evicted
EVICTED_BY_PREEMPTION: Final = "Preempted"
EVICTED_BY_FLAVOR_MIGRATION: Final = "FlavorMigration"
EVICTED_BY_PODS_READY_TIMEOUT: Final = "PodsReadyTimeout"
EVICTED_BY_ADMISSION_CHECK: Final = "AdmissionCheck"
EVICTED_BY_CLUSTER_QUEUE_STOPPED: Final = "ClusterQueueStopped"
EVICTED_BY_LOCAL_QUEUE_STOPPED: Final = "LocalQueueStopped"
EVICTED_BY_NODE_FAILURES: Final = "NodeFailures"
EVICTED_ON_MANAGER_CLUSTER: Final = "EvictedOnManagerCluster"
DEACTIVATED: Final = "Deactivated"
DEACTIVATED_DUE_TO: Final = "DeactivatedDueTo"
"""Prefix; the cause follows, as in DeactivatedDueToRequeuingLimitExceeded."""

# Preempted
IN_CLUSTER_QUEUE: Final = "InClusterQueue"
IN_COHORT_RECLAMATION: Final = "InCohortReclamation"
IN_COHORT_FAIR_SHARING: Final = "InCohortFairSharing"
IN_COHORT_RECLAIM_WHILE_BORROWING: Final = "InCohortReclaimWhileBorrowing"

# Requeued
REACTIVATED: Final = "Reactivated"
BACKOFF_FINISHED: Final = "BackoffFinished"
CLUSTER_QUEUE_RESTARTED: Final = "ClusterQueueRestarted"
LOCAL_QUEUE_RESTARTED: Final = "LocalQueueRestarted"

# DeactivationTarget
REQUEUING_LIMIT_EXCEEDED: Final = "RequeuingLimitExceeded"
MAXIMUM_EXECUTION_TIME_EXCEEDED: Final = "MaximumExecutionTimeExceeded"

# Finished
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
OUT_OF_SYNC: Final = "OutOfSync"
OWNER_NOT_FOUND: Final = "OwnerNotFound"
FAILED_TO_START: Final = "FailedToStart"
WORKLOAD_SLICE_REPLACED: Final = "WorkloadSliceReplaced"

# BlockedOnPreemptionGates
PREEMPTION_GATED: Final = "PreemptionGated"
