"""Emptying a deleted cluster's namespace in Redis: the Job that does it (KubeRay raycluster_controller.go buildRedisCleanupJob)."""

from __future__ import annotations

import copy
from typing import Any, Final

from raysail.api.ray import RayCluster, names
from raysail.ray import naming
from raysail.ray.pods.build import head_pod
from raysail.ray.pods.container import add_env, bash, has_env
from raysail.ray.settings import RaySettings

_RESOURCES: Final = {"cpu": "200m", "memory": "256Mi"}
_SCRIPT: Final = (
    "echo \"To get more information about manually deleting the storage namespace in Redis and removing the RayCluster's finalizer, please check "
    'https://docs.ray.io/en/master/cluster/kubernetes/user-guides/kuberay-gcs-ft.html for more details." && python -c '
    '"from ray._private.gcs_utils import cleanup_redis_storage; from urllib.parse import urlparse; import os; import sys; '
    "redis_address = os.getenv('RAY_REDIS_ADDRESS', '').split(',')[0]; "
    "redis_address = redis_address if '://' in redis_address else 'redis://' + redis_address; parsed = urlparse(redis_address); "
    "sys.exit(1) if not cleanup_redis_storage(host=parsed.hostname, port=parsed.port, {user}"
    "password=os.getenv('REDIS_PASSWORD', parsed.password or ''), use_ssl=parsed.scheme=='rediss', "
    "storage_namespace=os.getenv('RAY_external_storage_namespace')) else None\""
)
_USER: Final = "username=os.getenv('REDIS_USERNAME', parsed.username), "


def cleanup_job(cluster: RayCluster, settings: RaySettings) -> dict[str, Any]:
    """A Job with the head's Ray container, image and environment. It tries for five minutes, then the finalizer goes anyway."""
    pod = head_pod(cluster, naming.fixed_head_pod(cluster.metadata.name) if settings.deterministic_head_pod_name else "", "", settings)
    container = pod["spec"]["containers"][0]
    pod["spec"]["containers"] = [container]
    pod["spec"]["restartPolicy"] = "Never"
    user = _USER if has_env(container, "REDIS_USERNAME") else ""
    container |= {
        "command": bash(login=settings.login_shell),
        "args": [_SCRIPT.format(user=user)],
        "resources": {"limits": dict(_RESOURCES), "requests": dict(_RESOURCES)},
    }
    for probe in ("livenessProbe", "readinessProbe"):
        container.pop(probe, None)
    add_env(container, "RAY_redis_db_connect_retries", "120")
    add_env(container, "RAY_redis_db_connect_wait_milliseconds", "500")
    pod_labels = {**pod["metadata"]["labels"], names.NODE_TYPE_LABEL: names.REDIS_CLEANUP}
    annotations = pod["metadata"]["annotations"]
    template_metadata = {key: value for key, value in copy.deepcopy(pod["metadata"]).items() if value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": naming.redis_cleanup_job(cluster.metadata.name),
            "namespace": cluster.metadata.namespace,
            "labels": pod_labels,
            "annotations": annotations,
            "ownerReferences": pod["metadata"]["ownerReferences"],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 300,
            "template": {
                "metadata": {**template_metadata, "labels": dict(pod_labels)},
                "spec": pod["spec"],
            },
        },
    }
