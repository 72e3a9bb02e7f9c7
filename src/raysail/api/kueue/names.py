"""Labels, annotations, finalizers, gates and controller names that Kueue's users and tools know.

Sources: pkg/controller/constants, pkg/constants, apis/kueue/v1beta2, pkg/controller/jobs/{pod,job,raycluster} of Kueue.
"""

from __future__ import annotations

from typing import Annotated, Final

from raysail.api.structural import DNS_LABEL, DNS_SUBDOMAIN, Field

GROUP: Final = "kueue.x-k8s.io"
V1BETA2: Final = ("v1beta2",)
V1BETA1: Final = ("v1beta1",)

# Labels on jobs
QUEUE_NAME_LABEL: Final = "kueue.x-k8s.io/queue-name"
PRIORITY_CLASS_LABEL: Final = "kueue.x-k8s.io/priority-class"
MAX_EXEC_TIME_SECONDS_LABEL: Final = "kueue.x-k8s.io/max-exec-time-seconds"
PREBUILT_WORKLOAD_NAME: Final = "kueue.x-k8s.io/prebuilt-workload-name"
"""Label or annotation of a job that names a Workload which exists already."""

# Labels that Kueue sets
MANAGED_LABEL: Final = "kueue.x-k8s.io/managed"
POD_SET_LABEL: Final = "kueue.x-k8s.io/podset"
LOCAL_QUEUE_NAME_LABEL: Final = "kueue.x-k8s.io/local-queue-name"
CLUSTER_QUEUE_NAME_LABEL: Final = "kueue.x-k8s.io/cluster-queue-name"
JOB_UID_LABEL: Final = "kueue.x-k8s.io/job-uid"
MULTIKUEUE_ORIGIN_LABEL: Final = "kueue.x-k8s.io/multikueue-origin"
MULTIKUEUE_ORIGIN_UID_ANNOTATION: Final = "kueue.x-k8s.io/multikueue-origin-uid"
MULTIKUEUE_WORKER_WORKLOAD_POD_LABEL: Final = "kueue.x-k8s.io/multikueue-worker-workload-pod"
CONCURRENT_ADMISSION_PARENT_LABEL: Final = "kueue.x-k8s.io/concurrent-admission-parent"

# Pods and groups of Pods
POD_GROUP_NAME: Final = "kueue.x-k8s.io/pod-group-name"
POD_GROUP_TOTAL_COUNT_ANNOTATION: Final = "kueue.x-k8s.io/pod-group-total-count"
POD_GROUP_FAST_ADMISSION_ANNOTATION: Final = "kueue.x-k8s.io/pod-group-fast-admission"
POD_GROUP_SERVING_ANNOTATION: Final = "kueue.x-k8s.io/pod-group-serving"
POD_GROUP_POD_INDEX_LABEL: Final = "kueue.x-k8s.io/pod-group-pod-index"
POD_GROUP_POD_INDEX_LABEL_ANNOTATION: Final = "kueue.x-k8s.io/pod-group-pod-index-label"
POD_INDEX_OFFSET_ANNOTATION: Final = "kueue.x-k8s.io/pod-index-offset"
ROLE_HASH_ANNOTATION: Final = "kueue.x-k8s.io/role-hash"
RETRIABLE_IN_GROUP_ANNOTATION: Final = "kueue.x-k8s.io/retriable-in-group"
IS_GROUP_WORKLOAD_ANNOTATION: Final = "kueue.x-k8s.io/is-group-workload"
POD_SUSPENDING_PARENT_ANNOTATION: Final = "kueue.x-k8s.io/pod-suspending-parent"
SAFE_TO_FORCEFULLY_DELETE_ANNOTATION: Final = "kueue.x-k8s.io/safe-to-forcefully-delete"

# Annotations from users to Kueue
POD_SET_REQUIRED_TOPOLOGY_ANNOTATION: Final = "kueue.x-k8s.io/podset-required-topology"
POD_SET_PREFERRED_TOPOLOGY_ANNOTATION: Final = "kueue.x-k8s.io/podset-preferred-topology"
POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION: Final = "kueue.x-k8s.io/podset-unconstrained-topology"
POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION: Final = "kueue.x-k8s.io/podset-slice-required-topology"
POD_SET_SLICE_SIZE_ANNOTATION: Final = "kueue.x-k8s.io/podset-slice-size"
POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION: Final = "kueue.x-k8s.io/podset-slice-required-topology-constraints"
POD_SET_GROUP_NAME_ANNOTATION: Final = "kueue.x-k8s.io/podset-group-name"
ELASTIC_JOB_ANNOTATION: Final = "kueue.x-k8s.io/elastic-job"
ADMISSION_GATED_BY_ANNOTATION: Final = "kueue.x-k8s.io/admission-gated-by"
PRIORITY_BOOST_ANNOTATION: Final = "kueue.x-k8s.io/priority-boost"
JOB_MIN_PARALLELISM_ANNOTATION: Final = "kueue.x-k8s.io/job-min-parallelism"
JOB_COMPLETIONS_EQUAL_PARALLELISM_ANNOTATION: Final = "kueue.x-k8s.io/job-completions-equal-parallelism"
PROVISIONING_REQUEST_ANNOTATION_PREFIX: Final = "provreq.kueue.x-k8s.io/"

# Annotations from Kueue
WORKLOAD_ANNOTATION: Final = "kueue.x-k8s.io/workload"
WORKLOAD_SLICE_NAME_ANNOTATION: Final = "kueue.x-k8s.io/workload-slice-name"
WORKLOAD_SLICE_REPLACEMENT_FOR_ANNOTATION: Final = "kueue.x-k8s.io/workload-slice-replacement-for"
WORKLOAD_ALLOWED_RESOURCE_FLAVORS_ANNOTATION: Final = "kueue.x-k8s.io/workload-allowed-resource-flavors"
COMPONENT_WORKLOAD_INDEX_ANNOTATION: Final = "kueue.x-k8s.io/component-workload-index"
JOB_OWNER_GVK_ANNOTATION: Final = "kueue.x-k8s.io/job-owner-gvk"
JOB_OWNER_NAME_ANNOTATION: Final = "kueue.x-k8s.io/job-owner-name"
STOPPING_ANNOTATION: Final = "kueue.x-k8s.io/stopping"
RAY_CLUSTER_GENERATION_ANNOTATION: Final = "kueue.x-k8s.io/raycluster-generation"
RAY_CLUSTER_POD_SET_REPLICA_SIZES_ANNOTATION: Final = "kueue.x-k8s.io/raycluster-podset-replica-sizes"

# Gates of Pods and of preemption
ADMISSION_GATE: Final = "kueue.x-k8s.io/admission"
TOPOLOGY_GATE: Final = "kueue.x-k8s.io/topology"
ELASTIC_JOB_GATE: Final = "kueue.x-k8s.io/elastic-job"
CONCURRENT_ADMISSION_PREEMPTION_GATE: Final = "kueue.x-k8s.io/concurrent-admission"
MULTIKUEUE_PREEMPTION_GATE: Final = "kueue.x-k8s.io/multikueue"

# Finalizers
RESOURCE_IN_USE_FINALIZER: Final = "kueue.x-k8s.io/resource-in-use"
MANAGED_FINALIZER: Final = MANAGED_LABEL
"""Finalizer on Pods that Kueue manages."""

# Controllers of admission checks
MULTIKUEUE_CONTROLLER: Final = "kueue.x-k8s.io/multikueue"
PROVISIONING_REQUEST_CONTROLLER: Final = "kueue.x-k8s.io/provisioning-request"

# Field managers
ADMISSION_FIELD_MANAGER: Final = "kueue-admission"
JOB_FIELD_MANAGER: Final = "kueue-job-controller"
WORKLOAD_FIELD_MANAGER: Final = "kueue-workload-controller"
RECLAIMABLE_PODS_FIELD_MANAGER: Final = "kueue-reclaimable-pods"

DEFAULT_LOCAL_QUEUE: Final = "default"
"""The LocalQueue of jobs that name none, where it exists."""
DEFAULT_WORKLOAD_PRIORITY_CLASS: Final = "default"
DEFAULT_POD_SET: Final = "main"

Reference = Annotated[str, Field(pattern=DNS_SUBDOMAIN, max_length=253)]
"""The name of another object."""
PodSetName = Annotated[str, Field(pattern=DNS_LABEL, max_length=63)]
