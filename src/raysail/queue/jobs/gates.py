"""The feature gates of Kueue that change what happens to jobs, with Kueue's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raysail.api.kueue import names
from raysail.queue.settings import QueueSettings


@dataclass(frozen=True, slots=True)
class JobGates:
    """One field a gate; `of` reads them from the settings."""

    admission_gated_by: bool = True
    assign_queue_labels_for_pods: bool = True
    custom_metric_labels: bool = False
    elastic_jobs: bool = True
    finish_orphaned_workloads: bool = True
    partial_admission: bool = True
    reclaimable_pods: bool = True
    short_workload_names: bool = False
    skip_reassignment_for_pod_owned_workloads: bool = True
    topology_aware_scheduling: bool = True
    workload_identifier_annotations: bool = True

    @classmethod
    def of(cls, settings: QueueSettings) -> JobGates:
        """As they are set; Kueue's default where nothing is said."""
        default = cls()
        return cls(
            admission_gated_by=settings.gate("AdmissionGatedBy", default.admission_gated_by),
            assign_queue_labels_for_pods=settings.gate("AssignQueueLabelsForPods", default.assign_queue_labels_for_pods),
            custom_metric_labels=settings.gate("CustomMetricLabels", default.custom_metric_labels),
            elastic_jobs=settings.gate("ElasticJobsViaWorkloadSlices", default.elastic_jobs),
            finish_orphaned_workloads=settings.gate("FinishOrphanedWorkloads", default.finish_orphaned_workloads),
            partial_admission=settings.gate("PartialAdmission", default.partial_admission),
            reclaimable_pods=settings.gate("ReclaimablePods", default.reclaimable_pods),
            short_workload_names=settings.gate("ShortWorkloadNames", default.short_workload_names),
            skip_reassignment_for_pod_owned_workloads=settings.gate(
                "SkipReassignmentForPodOwnedWorkloads", default.skip_reassignment_for_pod_owned_workloads
            ),
            topology_aware_scheduling=settings.gate("TopologyAwareScheduling", default.topology_aware_scheduling),
            workload_identifier_annotations=settings.gate("WorkloadIdentifierAnnotations", default.workload_identifier_annotations),
        )

    def elastic(self, annotations: Mapping[str, str] | None) -> bool:
        """Whether these are the annotations of an elastic job, or of one of its slices."""
        return self.elastic_jobs and (annotations or {}).get(names.ELASTIC_JOB_ANNOTATION) == "true"


DEFAULT_GATES = JobGates()
