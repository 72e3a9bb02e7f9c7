"""Labels, annotations, finalizers, names of ports and limits on names that KubeRay's users and tools know (controllers/ray/utils/constant.go)."""

from __future__ import annotations

from typing import Final

# Labels
ORIGINATED_FROM_CR_NAME_LABEL: Final = "ray.io/originated-from-cr-name"
ORIGINATED_FROM_CRD_LABEL: Final = "ray.io/originated-from-crd"
CLUSTER_LABEL: Final = "ray.io/cluster"
NODE_TYPE_LABEL: Final = "ray.io/node-type"
GROUP_LABEL: Final = "ray.io/group"
IS_RAY_NODE_LABEL: Final = "ray.io/is-ray-node"
IDENTIFIER_LABEL: Final = "ray.io/identifier"
SERVE_LABEL: Final = "ray.io/serve"
HEADLESS_WORKER_SERVICE_LABEL: Final = "ray.io/headless-worker-svc"
CRONJOB_NAME_LABEL: Final = "ray.io/cronjob-name"
JOB_SUBMISSION_MODE_LABEL: Final = "ray.io/job-submission-mode"
WORKER_GROUP_REPLICA_NAME_LABEL: Final = "ray.io/worker-group-replica-name"
WORKER_GROUP_REPLICA_INDEX_LABEL: Final = "ray.io/worker-group-replica-index"
REPLICA_HOST_INDEX_LABEL: Final = "ray.io/replica-host-index"
PRIORITY_CLASS_NAME_LABEL: Final = "ray.io/priority-class-name"
GANG_SCHEDULING_ENABLED_LABEL: Final = "ray.io/gang-scheduling-enabled"
APPLICATION_NAME_LABEL: Final = "app.kubernetes.io/name"
CREATED_BY_LABEL: Final = "app.kubernetes.io/created-by"

# Values of labels
HEAD: Final = "head"
WORKER: Final = "worker"
REDIS_CLEANUP: Final = "redis-cleanup"
HEAD_GROUP: Final = "headgroup"
SUBMITTER_GROUP: Final = "submittergroup"
APPLICATION_NAME: Final = "kuberay"
OPERATOR_NAME: Final = "kuberay-operator"

# Annotations
SPEC_HASH_ANNOTATION: Final = "ray.io/hash-without-replicas-and-workers-to-delete"
UPGRADE_STRATEGY_RECREATE_HASH_ANNOTATION: Final = "ray.io/upgrade-strategy-recreate-hash"
NUM_WORKER_GROUPS_ANNOTATION: Final = "ray.io/num-worker-groups"
KUBERAY_VERSION_ANNOTATION: Final = "ray.io/kuberay-version"
CRONJOB_SCHEDULED_TIMESTAMP_ANNOTATION: Final = "ray.io/cronjob-scheduled-timestamp"
DISABLE_PROVISIONED_HEAD_RESTART_ANNOTATION: Final = "ray.io/disable-provisioned-head-restart"
FT_ENABLED_ANNOTATION: Final = "ray.io/ft-enabled"
EXTERNAL_STORAGE_NAMESPACE_ANNOTATION: Final = "ray.io/external-storage-namespace"
GCS_FT_DELETION_TIMEOUT_ANNOTATION: Final = "ray.io/gcs-ft-deletion-timeout"
OVERWRITE_CONTAINER_CMD_ANNOTATION: Final = "ray.io/overwrite-container-cmd"
INITIALIZING_TIMEOUT_ANNOTATION: Final = "ray.io/initializing-timeout"
ENABLE_SERVE_SERVICE_ANNOTATION: Final = "ray.io/enable-serve-service"

# Finalizers
GCS_FT_REDIS_CLEANUP_FINALIZER: Final = "ray.io/gcs-ft-redis-cleanup-finalizer"
RAY_JOB_FINALIZER: Final = "ray.io/rayjob-finalizer"
RAY_SERVICE_FINALIZER: Final = "ray.io/rayservice-finalizer"

# spec.managedBy
KUBERAY_CONTROLLER: Final = "ray.io/kuberay-operator"
MULTIKUEUE_CONTROLLER: Final = "kueue.x-k8s.io/multikueue"

# Ports
CLIENT_PORT: Final = 10001
GCS_SERVER_PORT: Final = 6379
DASHBOARD_PORT: Final = 8265
METRICS_PORT: Final = 8080
DASHBOARD_AGENT_LISTEN_PORT: Final = 52365
SERVING_PORT: Final = 8000
CLIENT_PORT_NAME: Final = "client"
GCS_SERVER_PORT_NAME: Final = "gcs-server"
DASHBOARD_PORT_NAME: Final = "dashboard"
METRICS_PORT_NAME: Final = "metrics"
SERVING_PORT_NAME: Final = "serve"

# Containers, volumes
SUBMITTER_CONTAINER: Final = "ray-job-submitter"
COLLECTOR_CONTAINER: Final = "ray-history-collector"
AUTOSCALER_CONTAINER: Final = "autoscaler"
GCS_STORAGE_VOLUME: Final = "gcs-storage"
GCS_STORAGE_MOUNT_PATH: Final = "/data/gcs"
TLS_VOLUME: Final = "ray-tls"
TLS_MOUNT_PATH: Final = "/etc/ray/tls"

# Limits, in characters: names of clusters leave room for the suffixes of what is made for them
MAX_RAY_CLUSTER_NAME: Final = 53
MAX_RAY_SERVICE_NAME: Final = MAX_RAY_CLUSTER_NAME - 6
MAX_RAY_JOB_NAME: Final = MAX_RAY_CLUSTER_NAME - 6
MAX_RAY_CRON_JOB_NAME: Final = MAX_RAY_JOB_NAME - 11
