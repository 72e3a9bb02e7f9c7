"""Objects for tests of the Ray controllers: complete by default, one fact varied per case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from raysail.api.batch import Job
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.meta import format_time
from raysail.api.ray import RayCluster, RayCronJob, RayJob, RayService

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    """That long before NOW, as it stands in objects."""
    return format_time(NOW - timedelta(seconds=seconds))


def container(name: str = "ray", **fields: Any) -> dict[str, Any]:
    """A Ray container with one CPU and 2Gi."""
    amounts = {"cpu": "1", "memory": "2Gi"}
    return {"name": name, "image": "rayproject/ray:2.46.0", "resources": {"limits": dict(amounts), "requests": dict(amounts)}, **fields}


def template(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Pod template."""
    return {**({"metadata": metadata} if metadata else {}), "spec": {"containers": list(containers) or [container()], **spec}}


def group(name: str = "small", replicas: int = 1, **fields: Any) -> dict[str, Any]:
    """A worker group, as the API stores it."""
    return {
        "groupName": name,
        "replicas": replicas,
        "minReplicas": 0,
        "maxReplicas": 10,
        "numOfHosts": 1,
        "rayStartParams": {},
        "template": template(),
        **fields,
    }


def cluster_spec(*groups: dict[str, Any], head: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A RayCluster's spec."""
    return {
        "rayVersion": "2.46.0",
        "headGroupSpec": {"rayStartParams": {}, "template": template(), **(head or {})},
        "workerGroupSpecs": list(groups),
        **spec,
    }


def cluster(
    *groups: dict[str, Any],
    name: str = "rc",
    status: dict[str, Any] | None = None,
    head: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> RayCluster:
    """A RayCluster as the controller sees it."""
    return msgspec.convert(
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"uid-{name}",
                "resourceVersion": "7",
                "generation": 1,
                **(metadata or {}),
            },
            "spec": cluster_spec(*groups, head=head, **spec),
            "status": status or {},
        },
        RayCluster,
    )


def pod(
    name: str,
    *,
    group_name: str = "small",
    node_type: str = "worker",
    index: int | None = None,
    phase: str = "Running",
    ready: bool | None = True,
    terminating: bool = False,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    restart_policy: str = "Always",
    ended: bool = False,
    containers: list[dict[str, Any]] | None = None,
    ip: str = "10.0.0.1",
) -> Pod:
    """A Ray Pod as the controller sees it."""
    marks = {"ray.io/cluster": "rc", "ray.io/node-type": node_type, "ray.io/group": group_name, **(labels or {})}
    if index is not None:
        marks["ray.io/worker-group-replica-index"] = str(index)
    conditions = [] if ready is None else [{"type": "Ready", "status": "True" if ready else "False"}]
    state = {"terminated": {"exitCode": 1, "reason": "Error"}} if ended else {"running": {}}
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"uid-{name}",
                "labels": marks,
                "annotations": annotations or {},
                **({"deletionTimestamp": ago(1)} if terminating else {}),
            },
            "spec": {"containers": [{"name": "ray"}], "restartPolicy": restart_policy},
            "status": {
                "phase": phase,
                "podIP": ip,
                "conditions": conditions,
                "containerStatuses": containers if containers is not None else [{"name": "ray", "state": state}],
            },
        },
        Pod,
    )


def head(name: str = "rc-head-abcde", **fields: Any) -> Pod:
    """A head Pod."""
    return pod(name, node_type="head", group_name="headgroup", **fields)


def service(
    name: str = "rc-head-svc", *, cluster_ip: str = "None", selector: str = "rc", ports: list[dict[str, Any]] | None = None
) -> Service:
    """A head Service as the API answers."""
    given = ports if ports is not None else [{"name": "dashboard", "port": 8265, "targetPort": 8265}]
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"clusterIP": cluster_ip, "ports": given, "selector": {"ray.io/cluster": selector}},
        },
        Service,
    )


def job(*, name: str = "rj", status: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: Any) -> RayJob:
    """A RayJob as the controller sees it."""
    given: dict[str, Any] = {"entrypoint": "python main.py", "submissionMode": "HTTPMode", "backoffLimit": 0, **spec}
    if "clusterSelector" not in given:
        given.setdefault("rayClusterSpec", cluster_spec(group()))
    return msgspec.convert(
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"uid-{name}",
                "resourceVersion": "9",
                "finalizers": ["ray.io/rayjob-finalizer"],
                **(metadata or {}),
            },
            "spec": given,
            "status": status or {},
        },
        RayJob,
    )


def submitter(*conditions: dict[str, Any], name: str = "rj", terminating: bool = False) -> Job:
    """The Kubernetes Job of K8sJobMode."""
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "ns", "uid": "uid-submitter", **({"deletionTimestamp": ago(1)} if terminating else {})},
            "status": {"conditions": list(conditions)},
        },
        Job,
    )


def env(container_: dict[str, Any]) -> dict[str, Any]:
    """Environment by name: the value, or the whole source."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom", "")) for entry in container_.get("env", [])}


def ray_service(
    *groups: dict[str, Any],
    name: str = "rs",
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    cluster_config: dict[str, Any] | None = None,
    **spec: Any,
) -> RayService:
    """A RayService as the controller sees it."""
    given = cluster_spec(*(groups or (group(),)), **(cluster_config or {}))
    return msgspec.convert(
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayService",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"uid-{name}",
                "resourceVersion": "5",
                "generation": 1,
                "finalizers": ["ray.io/rayservice-finalizer"],
                **(metadata or {}),
            },
            "spec": {"serveConfigV2": "applications: []", "rayClusterConfig": given, **spec},
            "status": status or {},
        },
        RayService,
    )


def cron_job(*, name: str = "rcj", status: dict[str, Any] | None = None, created: str | None = None, **spec: Any) -> RayCronJob:
    """A RayCronJob as the controller sees it."""
    template_ = {"entrypoint": "python main.py", "rayClusterSpec": cluster_spec(group())}
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "creationTimestamp": created or ago(3600)}
    given = {"schedule": "*/5 * * * *", "timeZone": "UTC", "jobTemplate": template_, **spec}
    return msgspec.convert(
        {"apiVersion": "ray.io/v1", "kind": "RayCronJob", "metadata": metadata, "spec": given, "status": status or {}}, RayCronJob
    )
