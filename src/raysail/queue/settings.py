"""What can be set about the queue: the fields of Kueue's Configuration that change what it does, and a few switches of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysail.api.kueue.admission import SERVED_FRAMEWORKS
from raysail.api.resources import Resource
from raysail.api.selectors import Requirement, Selector
from raysail.queue.metrics.settings import MetricsSettings
from raysail.queue.model.requests import NO_RULES, ResourceRules
from raysail.queue.model.usage_ledger import AdmissionFairSharing
from raysail.queue.multikueue.settings import MultiKueueSettings
from raysail.queue.planner.options import Options

ALL_BUT_SYSTEM = Selector((Requirement("kubernetes.io/metadata.name", "NotIn", frozenset(("kube-system", "kueue-system"))),))
HEADS_PER_PLAN = 32
"""A plan ends with the round that reaches this, so that writes go out and events come in."""
DEFAULT_FRAMEWORKS = tuple(sorted(SERVED_FRAMEWORKS))
"""As in admission: what is held back must be let go."""


@dataclass(frozen=True, slots=True)
class RequeuingStrategy:
    """How workloads whose Pods did not become ready come back. `backoff_limit_count` None: without end."""

    timestamp: str = "Eviction"
    backoff_limit_count: int | None = None
    backoff_base_seconds: int = 60
    backoff_max_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class WaitForPodsReady:
    """Admitted workloads must get all their Pods ready in time. `recovery_timeout_seconds` None: no limit on recovery."""

    timeout_seconds: float = 1800
    recovery_timeout_seconds: float | None = 1800
    block_admission: bool = False
    requeuing: RequeuingStrategy = RequeuingStrategy()


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Settings of the queue's controllers. Defaults are those of Kueue's config.kueue.x-k8s.io/v1beta2."""

    frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS
    external_frameworks: tuple[Resource, ...] = ()
    """Kinds that others hold back: jobs below one of their objects follow it."""
    manage_jobs_without_queue_name: bool = False
    managed_jobs_namespace_selector: Selector = ALL_BUT_SYSTEM
    label_keys_to_copy: tuple[str, ...] = ()
    annotation_keys_to_copy: tuple[str, ...] = ()
    wait_for_pods_ready: WaitForPodsReady | None = WaitForPodsReady()
    fair_sharing_strategies: tuple[str, ...] | None = None
    """None: fair sharing is off. Empty: on, with Kueue's default strategies."""
    admission_fair_sharing: AdmissionFairSharing | None = None
    resources: ResourceRules = NO_RULES
    multi_kueue: MultiKueueSettings = field(default_factory=MultiKueueSettings)
    retention_after_finished_seconds: float | None = None
    retention_after_deactivated_seconds: float | None = None
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    concurrency: Mapping[str, int] = field(default_factory=dict)
    """Reconciles side by side per kind, as in controller.groupKindConcurrency (`Job.batch`, `Workload.kueue.x-k8s.io`, ...)."""
    one_head_per_queue: bool = False
    """Kueue's form of the cycle: one head of each ClusterQueue, then write. For comparison."""

    def gate(self, name: str, default: bool) -> bool:
        """Whether a feature gate is on; `default` is Kueue's."""
        return self.feature_gates.get(name, default)

    def parallel(self, kind: str, default: int) -> int:
        """How many reconciles of that kind run side by side."""
        return max(1, self.concurrency.get(kind, default))

    def cycle_options(self) -> Options:
        """What of it the planner needs."""
        return Options(
            fair_strategies=self.fair_sharing_strategies,
            admission_fair_sharing=self.admission_fair_sharing is not None,
            ignore_undeclared=self.resources.ignore_undeclared,
            block_until_pods_ready=self.wait_for_pods_ready is not None and self.wait_for_pods_ready.block_admission,
            one_round=self.one_head_per_queue,
            max_heads=HEADS_PER_PLAN,
            preemption_gates=self.gate("ConcurrentAdmission", False) or self.gate("MultiKueueOrchestratedPreemption", False),
            partial_admission=self.gate("PartialAdmission", True),
            recompute_overlapping=self.gate("RecomputeAssignmentUponPreemptionTargetsOverlap", True),
            concurrent_admission=self.gate("ConcurrentAdmission", False),
            preemptors_first=self.gate("PrioritizePreemptorWorkloads", False),
            by_priority=self.gate("PrioritySortingWithinCohort", True),
            keep_scan=self.gate("FlavorFungibilityPreserveScanProgress", True),
        )
