"""Kueue's metrics by name, with Kueue's labels and buckets (pkg/metrics/metrics.go); what they tell is in our own words."""

from __future__ import annotations

from typing import Final

from raysail.api.prometheus import Family

ROLE: Final = "replica_role"
_QUEUE: Final = ("cluster_queue",)
_LOCAL: Final = ("name", "namespace")
_CLASS: Final = ("priority_class",)
_EVICTION: Final = ("reason", "underlying_cause")
_AMOUNT: Final = ("flavor", "resource")
_SHARED: Final = ("cohort", "cluster_queue", *_AMOUNT)


def _doubling(count: int) -> tuple[float, ...]:
    """1, 2.5, 5, 10, ...: `count` bounds in seconds."""
    return (1.0, *(2.5 * 2**at for at in range(count - 1)))


_SECONDS_14: Final = _doubling(14)
_SECONDS_16: Final = _doubling(16)
_DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Prometheus' default buckets."""
_CREATION: Final = tuple(0.01 * 2**at for at in range(11))


def _gauge(name: str, labels: tuple[str, ...], told: str) -> Family:
    return Family(f"kueue_{name}", "gauge", told, (*labels, ROLE))


def _counter(name: str, labels: tuple[str, ...], told: str) -> Family:
    return Family(f"kueue_{name}", "counter", told, (*labels, ROLE))


def _histogram(name: str, labels: tuple[str, ...], told: str, buckets: tuple[float, ...] = _SECONDS_14) -> Family:
    return Family(f"kueue_{name}", "histogram", told, (*labels, ROLE), buckets)


BUILD_INFO: Final = Family(
    "kueue_build_info",
    "gauge",
    "1, with what is running in the labels",
    ("git_version", "git_commit", "build_date", "go_version", "compiler", "platform"),
)

# The scheduler.
ADMISSION_ATTEMPTS: Final = _counter(
    "admission_attempts_total", ("result",), "Scheduling cycles: success where something was admitted, else inadmissible"
)
ADMISSION_ATTEMPT_SECONDS: Final = _histogram(
    "admission_attempt_duration_seconds", ("result",), "How long a scheduling cycle took", _DEFAULT_BUCKETS
)
PREEMPTION_SKIPS: Final = _gauge(
    "admission_cycle_preemption_skips",
    _QUEUE,
    "Workloads whose preemption was put off, because others needed the same room in the same cycle",
)
PREEMPTION_RECOMPUTATIONS: Final = _counter(
    "preemption_target_recomputations_total",
    ("cluster_queue", "result"),
    "Targets of preemption found anew since they overlapped: new_targets, deferred_fit or skipped",
)
PREEMPTED: Final = _counter(
    "preempted_workloads_total", ("preempting_cluster_queue", "reason"), "Preempted workloads by the ClusterQueue that preempts"
)

# What waits.
PENDING: Final = _gauge(
    "pending_workloads",
    ("cluster_queue", "status"),
    "Waiting workloads: active will be tried, inadmissible are parked until something changes",
)
PENDING_HASHES: Final = _gauge("pending_scheduling_hashes", ("cluster_queue", "status"), "Distinct forms of waiting workloads")
LOCAL_PENDING: Final = _gauge("local_queue_pending_workloads", (*_LOCAL, "status"), "Waiting workloads of a LocalQueue")
UNADMITTED: Final = _gauge("unadmitted_workloads", ("cluster_queue", *_EVICTION), "Workloads that are not admitted, by why")
LOCAL_UNADMITTED: Final = _gauge(
    "local_queue_unadmitted_workloads", (*_LOCAL, "cluster_queue", *_EVICTION), "Workloads of a LocalQueue that are not admitted, by why"
)
RESOURCE_PENDING: Final = _gauge(
    "cluster_queue_resource_pending", ("cluster_queue", "resource"), "What the waiting workloads ask for together"
)

# What holds quota, and what ended.
RESERVING: Final = _gauge("reserving_active_workloads", _QUEUE, "Workloads that hold quota")
ADMITTED_ACTIVE: Final = _gauge("admitted_active_workloads", _QUEUE, "Workloads that are admitted and not finished")
FINISHED: Final = _gauge("finished_workloads", _QUEUE, "Finished workloads that are still there")
LOCAL_RESERVING: Final = _gauge("local_queue_reserving_active_workloads", _LOCAL, "Workloads of a LocalQueue that hold quota")
LOCAL_ADMITTED_ACTIVE: Final = _gauge(
    "local_queue_admitted_active_workloads", _LOCAL, "Workloads of a LocalQueue that are admitted and not finished"
)
LOCAL_FINISHED: Final = _gauge("local_queue_finished_workloads", _LOCAL, "Finished workloads of a LocalQueue that are still there")

# Queues and cohorts.
QUEUE_STATUS: Final = _gauge(
    "cluster_queue_status", ("cluster_queue", "status"), "1 for the state a ClusterQueue is in: pending, active, terminating"
)
QUEUE_INFO: Final = _gauge(
    "cluster_queue_info", ("cluster_queue", "parent_cohort", "root_cohort"), "1, with a ClusterQueue's place in the labels"
)
COHORT_INFO: Final = _gauge("cohort_info", ("cohort", "parent_cohort", "root_cohort"), "1, with a Cohort's place in the labels")
LOCAL_STATUS: Final = _gauge("local_queue_status", (*_LOCAL, "active"), "1 for what a LocalQueue's condition Active says")
NOMINAL: Final = _gauge("cluster_queue_nominal_quota", _SHARED, "Nominal quota")
BORROWING_LIMIT: Final = _gauge("cluster_queue_borrowing_limit", _SHARED, "Borrowing limit; +Inf where there is none")
LENDING_LIMIT: Final = _gauge("cluster_queue_lending_limit", _SHARED, "Lending limit; +Inf where there is none")
RESERVATION: Final = _gauge("cluster_queue_resource_reservation", _SHARED, "Quota that workloads hold")
USAGE: Final = _gauge("cluster_queue_resource_usage", _SHARED, "Quota that admitted workloads hold")
WEIGHTED_SHARE: Final = _gauge(
    "cluster_queue_weighted_share", ("cluster_queue", "cohort"), "Share that fair sharing compares; NaN for a borrower of weight 0"
)
COHORT_WEIGHTED_SHARE: Final = _gauge(
    "cohort_weighted_share", ("cohort",), "Share that fair sharing compares; NaN for a borrower of weight 0"
)
SUBTREE_QUOTA: Final = _gauge("cohort_subtree_quota", ("cohort", *_AMOUNT), "Quota of everything below a Cohort")
SUBTREE_RESERVATION: Final = _gauge(
    "cohort_subtree_resource_reservations", ("cohort", *_AMOUNT), "Quota that workloads below a Cohort hold"
)
SUBTREE_ADMITTED_ACTIVE: Final = _gauge("cohort_subtree_admitted_active_workloads", ("cohort",), "Admitted workloads below a Cohort")
LOCAL_RESERVATION: Final = _gauge("local_queue_resource_reservation", (*_LOCAL, *_AMOUNT), "Quota that workloads of a LocalQueue hold")
LOCAL_USAGE: Final = _gauge("local_queue_resource_usage", (*_LOCAL, *_AMOUNT), "Quota that admitted workloads of a LocalQueue hold")
LOCAL_FAIR_USAGE: Final = _gauge(
    "local_queue_admission_fair_sharing_usage", (*_LOCAL, "cluster_queue"), "Decayed use that admission fair sharing compares"
)

# What happened.
QUOTA_RESERVED: Final = _counter("quota_reserved_workloads_total", (*_QUEUE, *_CLASS), "Workloads that got quota")
QUOTA_RESERVED_WAIT: Final = _histogram("quota_reserved_wait_time_seconds", (*_QUEUE, *_CLASS), "From being queued to getting quota")
ADMITTED: Final = _counter("admitted_workloads_total", (*_QUEUE, *_CLASS), "Workloads that were admitted")
ADMISSION_WAIT: Final = _histogram("admission_wait_time_seconds", (*_QUEUE, *_CLASS), "From being queued to admission", _SECONDS_16)
CHECKS_WAIT: Final = _histogram("admission_checks_wait_time_seconds", (*_QUEUE, *_CLASS), "From getting quota to admission")
READY_WAIT: Final = _histogram("ready_wait_time_seconds", (*_QUEUE, *_CLASS), "From being queued to all Pods ready")
ADMITTED_UNTIL_READY: Final = _histogram("admitted_until_ready_wait_time_seconds", (*_QUEUE, *_CLASS), "From admission to all Pods ready")
EVICTED: Final = _counter("evicted_workloads_total", (*_QUEUE, *_EVICTION, *_CLASS), "Evictions")
EVICTED_ONCE: Final = _counter(
    "evicted_workloads_once_total", (*_QUEUE, *_EVICTION, *_CLASS), "Workloads evicted for the first time for that cause"
)
READY_TO_EVICTED: Final = _histogram("pods_ready_to_evicted_time_seconds", (*_QUEUE, *_EVICTION), "From Pods ready to eviction")
EVICTION_LATENCY: Final = _histogram("workload_eviction_latency_seconds", (*_QUEUE, "reason"), "From eviction to quota given back")
FINISHED_TOTAL: Final = _counter("finished_workloads_total", (*_QUEUE, *_CLASS), "Workloads that finished")
EXECUTION: Final = _histogram(
    "execution_time_seconds", (*_QUEUE, *_CLASS), "Time admitted, over all admissions, of workloads that finished", _SECONDS_16
)
SUBTREE_ADMITTED: Final = _counter("cohort_subtree_admitted_workloads_total", ("cohort", *_CLASS), "Workloads admitted below a Cohort")
REPLACED_SLICES: Final = _counter("replaced_workload_slices_total", _QUEUE, "Slices of elastic jobs that another slice took the place of")
CREATION_LATENCY: Final = _histogram(
    "workload_creation_latency_seconds",
    ("job_kind",),
    "From a job's creation to its Workload's, for jobs that were not changed before",
    _CREATION,
)
GATE_REMOVAL: Final = _histogram(
    "pod_scheduling_gate_removal_seconds",
    ("name", "cluster_queue", "is_group"),
    "From admission to the removal of a Pod's scheduling gate",
    _DEFAULT_BUCKETS,
)
LOCAL_QUOTA_RESERVED: Final = _counter("local_queue_quota_reserved_workloads_total", (*_LOCAL, *_CLASS), "Workloads that got quota")
LOCAL_QUOTA_RESERVED_WAIT: Final = _histogram(
    "local_queue_quota_reserved_wait_time_seconds", (*_LOCAL, *_CLASS), "From being queued to getting quota"
)
LOCAL_ADMITTED: Final = _counter("local_queue_admitted_workloads_total", (*_LOCAL, *_CLASS), "Workloads that were admitted")
LOCAL_ADMISSION_WAIT: Final = _histogram("local_queue_admission_wait_time_seconds", (*_LOCAL, *_CLASS), "From being queued to admission")
LOCAL_CHECKS_WAIT: Final = _histogram(
    "local_queue_admission_checks_wait_time_seconds", (*_LOCAL, *_CLASS), "From getting quota to admission"
)
LOCAL_READY_WAIT: Final = _histogram("local_queue_ready_wait_time_seconds", (*_LOCAL, *_CLASS), "From being queued to all Pods ready")
LOCAL_ADMITTED_UNTIL_READY: Final = _histogram(
    "local_queue_admitted_until_ready_wait_time_seconds", (*_LOCAL, *_CLASS), "From admission to all Pods ready"
)
LOCAL_EVICTED: Final = _counter("local_queue_evicted_workloads_total", (*_LOCAL, *_EVICTION, *_CLASS), "Evictions")
LOCAL_FINISHED_TOTAL: Final = _counter("local_queue_finished_workloads_total", (*_LOCAL, *_CLASS), "Workloads that finished")
LOCAL_EXECUTION: Final = _histogram(
    "local_queue_execution_time_seconds", (*_LOCAL, *_CLASS), "Time admitted, over all admissions, of workloads that finished", _SECONDS_16
)

# MultiKueue.
DISPATCHED: Final = Family(
    "multikueue_workloads_dispatched_total", "counter", "Workloads made on a worker cluster", ("cluster_queue", "cluster", ROLE)
)
DISPATCHED_ADMITTED: Final = Family(
    "multikueue_workloads_admitted_total", "counter", "Workloads that a worker cluster admitted", ("cluster_queue", "cluster", ROLE)
)
