"""RayCluster -> head Pod and worker Pods: pure, complete, ready to be created.

KubeRay raycluster_controller.go buildHeadPod and buildWorkerPod, pod.go BuildPod. The Pods' names are given by the caller, who chose them
beforehand (`raysail.ray.cluster.planner`), so that creating one twice collides instead of making two.
"""

from __future__ import annotations

from typing import Any

import msgspec

from raysail import __version__
from raysail.api.ray import AuthOptions, RayCluster, WorkerGroupSpec, names
from raysail.ray import naming
from raysail.ray.pods import autoscaler, collector, environment, probes, start_command, volumes
from raysail.ray.pods.container import Container, bash
from raysail.ray.pods.template import Replica, Template, head_name, head_template, worker_template
from raysail.ray.settings import VERSION, RaySettings

Pod = dict[str, Any]
"""A Pod's JSON, as it is posted."""


def with_default_authentication(cluster: RayCluster, settings: RaySettings) -> RayCluster:
    """The cluster with token authentication where it says nothing of it and the settings ask for it.

    An older Ray ignores the token; so this does not look at spec.rayVersion, which on one machine is not what really runs.
    """
    if not settings.token_authentication or cluster.spec.auth_options is not None:
        return cluster
    return msgspec.structs.replace(cluster, spec=msgspec.structs.replace(cluster.spec, auth_options=AuthOptions(mode="token")))


def head_pod(cluster: RayCluster, name: str, spec_hash: str, settings: RaySettings) -> Pod:
    """The head. `spec_hash` goes into the annotation that the Recreate strategy compares; empty leaves it out. Without a name it gets no name."""
    pod = _finish(cluster, head_template(cluster, settings), names.HEAD, settings)
    if name:
        pod["metadata"]["name"] = name
    if not settings.deterministic_head_pod_name:
        pod["metadata"]["generateName"] = naming.pod_prefix(cluster.metadata.name, names.HEAD)
    if spec_hash:
        pod["metadata"]["annotations"][names.UPGRADE_STRATEGY_RECREATE_HASH_ANNOTATION] = spec_hash
        pod["metadata"]["annotations"][names.KUBERAY_VERSION_ANNOTATION] = VERSION
    return pod


def worker_pod(cluster: RayCluster, group: WorkerGroupSpec, replica: Replica, name: str, settings: RaySettings) -> Pod:
    """One worker (or one host of one)."""
    pod = _finish(cluster, worker_template(cluster, group, replica, settings), names.WORKER, settings)
    pod["metadata"]["name"] = name
    pod["metadata"]["generateName"] = worker_prefix(cluster, group)
    return pod


def worker_prefix(cluster: RayCluster, group: WorkerGroupSpec) -> str:
    """What the names of a group's Pods begin with."""
    return naming.pod_prefix(f"{cluster.metadata.name}-{group.group_name}", names.WORKER)


def creator_kind(cluster: RayCluster) -> str:
    """The kind of the object that this cluster was made for: RayCluster itself, RayJob or RayService."""
    kind = (cluster.metadata.labels or {}).get(names.ORIGINATED_FROM_CRD_LABEL, "")
    return kind if kind in ("RayJob", "RayService") else "RayCluster"


def controller_reference(kind: str, name: str, uid: str) -> dict[str, Any]:
    """The owner reference that KubeRay's children carry."""
    return {"apiVersion": "ray.io/v1", "kind": kind, "name": name, "uid": uid, "controller": True, "blockOwnerDeletion": True}


def _finish(cluster: RayCluster, template: Template, node_type: str, settings: RaySettings) -> Pod:
    pod, params, kind = template.pod, template.start_params, creator_kind(cluster)
    pod_spec: dict[str, Any] = pod["spec"]
    ray_container: Container = pod_spec["containers"][0]
    if kind == "RayService":
        # a worker's readiness probe decides about traffic; the head's label is switched by the RayService controller
        pod["metadata"]["labels"][names.SERVE_LABEL] = "true" if node_type == names.WORKER else "false"
    if "plasma-directory" not in params:
        volumes.add_shared_memory(pod_spec)
    if node_type == names.HEAD and autoscaler.is_enabled(cluster.spec):
        volumes.add_shared_logs(pod_spec, _container(pod_spec, autoscaler.CONTAINER_NAME) or ray_container)
    collecting = _container(pod_spec, collector.CONTAINER_NAME) if settings.gates.ray_cluster_history_server else None
    if collecting is not None:
        volumes.add_shared_logs(pod_spec, collecting)
    start_command.with_container_resources(params, ray_container.get("resources"))
    command = start_command.command(params, node_type)
    overwrite = pod["metadata"]["annotations"].get(names.OVERWRITE_CONTAINER_CMD_ANNOTATION, "").lower() == "true"
    _set_command(ray_container, command, overwrite=overwrite, login_shell=settings.login_shell)
    address = head_name(cluster, settings)
    for container in pod_spec.get("initContainers") or ():
        environment.add_head_address(container, address)
    environment.add_ray_environment(
        ray_container,
        node_type,
        head_name=address,
        gcs_port=start_command.gcs_port(cluster.spec.head_group_spec.ray_start_params),
        start_command=command,
        creator_kind=kind,
        operator_version=f"raysail-{__version__}",
        defaults=settings.default_container_envs,
    )
    if collecting is not None:
        environment.add_collector_environment(ray_container)
    if settings.inject_probes:
        probes.add_probes(ray_container, node_type, serves=kind == "RayService", start_params=params, ray_version=cluster.spec.ray_version)
    owner = controller_reference("RayCluster", cluster.metadata.name, cluster.metadata.uid)
    metadata = {**pod["metadata"], "namespace": cluster.metadata.namespace, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec}


def _set_command(container: Container, start: str, *, overwrite: bool, login_shell: bool) -> None:
    own = "".join(f" {word} " for word in [*(container.get("command") or ()), *(container.get("args") or ())])
    if overwrite or "ray start" in own:
        return
    generated = f"ulimit -n ${{RAY_START_ULIMIT_OPEN_FILES:-65536}}; {start}"
    container["command"] = bash(login=login_shell)
    container["args"] = [f"{own} && {generated}" if own else generated]


def _container(pod_spec: dict[str, Any], name: str) -> Container | None:
    return next((container for container in pod_spec["containers"] if container.get("name") == name), None)
