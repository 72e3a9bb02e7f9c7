"""The first half of building a Pod: the group's template with labels, sidecars and `ray start` parameters.

KubeRay pod.go DefaultHeadPodTemplate and DefaultWorkerPodTemplate. What comes out is a Pod's JSON whose Ray container (always the first)
has not yet got its command, environment and probes; `raysail.ray.pods.build` adds them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysail.api.ray import RayCluster, WorkerGroupSpec, names
from raysail.ray import naming
from raysail.ray.pods import authentication, autoscaler, collector, fault_tolerance, start_command, wait_for_head
from raysail.ray.pods.container import add_env, append, port_named
from raysail.ray.pods.start_command import DEFAULT_METRICS_PORT, StartParams
from raysail.ray.settings import RaySettings


@dataclass(frozen=True, slots=True)
class Template:
    """A Pod in the making. `pod` has metadata and spec and may be changed by who asked for it."""

    pod: dict[str, Any]
    start_params: StartParams


@dataclass(frozen=True, slots=True)
class Replica:
    """Which worker of its group a Pod is: the replica's index and, in groups of several hosts, its name and the host's index."""

    index: int = 0
    name: str = ""
    host: int = 0


def head_name(cluster: RayCluster, settings: RaySettings) -> str:
    """The head Service's full name, by which everybody finds the head."""
    service = naming.head_service(cluster.metadata.name, cluster.spec.head_group_spec.head_service)
    return naming.qualified(service, cluster.metadata.namespace, settings.cluster_domain)


def head_template(cluster: RayCluster, settings: RaySettings) -> Template:
    """The head's template."""
    group, spec = cluster.spec.head_group_spec, cluster.spec
    params = dict(group.ray_start_params or {})
    pod = _copy(group.template)
    start_command.with_group_resources(params, group.resources)
    start_command.with_group_labels(params, group.labels)
    _set_labels(pod, cluster, names.HEAD, names.HEAD_GROUP, group.labels)
    start_command.with_defaults(params, names.HEAD)
    _set_annotations(pod, cluster)
    if autoscaler.is_enabled(spec):
        params["no-monitor"] = "true"  # Ray's own monitor knows nothing of Kubernetes; the sidecar takes its place
        _add_autoscaler(pod, cluster, settings)
    fault_tolerance.configure(pod, cluster, names.HEAD, params)
    _add_metrics_port(pod)
    _add_authentication_and_collector(pod, cluster, names.HEAD, settings)
    _add_configured_defaults(pod, settings.head_sidecar_containers, settings)
    return Template(pod, params)


def worker_template(cluster: RayCluster, group: WorkerGroupSpec, replica: Replica, settings: RaySettings) -> Template:
    """A worker's template."""
    params = dict(group.ray_start_params or {})
    pod = _copy(group.template)
    address = f"{head_name(cluster, settings)}:{start_command.gcs_port(cluster.spec.head_group_spec.ray_start_params)}"
    if settings.inject_init_container:
        waiting = wait_for_head.new_container(pod["spec"]["containers"][0], address, login_shell=settings.login_shell)
        append(pod["spec"], "initContainers", waiting)
    start_command.with_group_resources(params, group.resources)
    start_command.with_group_labels(params, group.labels)
    _set_labels(pod, cluster, names.WORKER, group.group_name, group.labels)
    if settings.gates.ray_multi_host_indexing:
        pod["metadata"]["labels"][names.WORKER_GROUP_REPLICA_INDEX_LABEL] = str(replica.index)
        if (group.num_of_hosts or 1) > 1:
            pod["metadata"]["labels"][names.WORKER_GROUP_REPLICA_NAME_LABEL] = replica.name
            pod["metadata"]["labels"][names.REPLICA_HOST_INDEX_LABEL] = str(replica.host)
    start_command.with_defaults(params, names.WORKER, head_address=address)
    _set_annotations(pod, cluster)
    fault_tolerance.configure(pod, cluster, names.WORKER, params)
    _add_metrics_port(pod)
    if autoscaler.is_enabled(cluster.spec) and autoscaler.version(cluster.spec) == "v2":
        pod["spec"]["restartPolicy"] = "Never"
    _add_authentication_and_collector(pod, cluster, names.WORKER, settings)
    _add_configured_defaults(pod, settings.worker_sidecar_containers, settings)
    return Template(pod, params)


def _copy(template: Mapping[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = {"metadata": copy.deepcopy(template.get("metadata")) or {}, "spec": copy.deepcopy(template.get("spec")) or {}}
    for key in ("name", "generateName", "namespace"):
        pod["metadata"].pop(key, None)
    return pod


def _set_labels(pod: dict[str, Any], cluster: RayCluster, node_type: str, group: str, group_labels: Mapping[str, str] | None) -> None:
    fixed = {names.CLUSTER_LABEL: cluster.metadata.name, names.NODE_TYPE_LABEL: node_type, names.GROUP_LABEL: group}
    pod["metadata"]["labels"] = {
        names.IS_RAY_NODE_LABEL: "yes",
        names.IDENTIFIER_LABEL: naming.identifier(cluster.metadata.name, node_type),
        names.APPLICATION_NAME_LABEL: names.APPLICATION_NAME,
        names.CREATED_BY_LABEL: names.OPERATOR_NAME,
        **(pod["metadata"].get("labels") or {}),
        **(group_labels or {}),
        **fixed,
    }


def _set_annotations(pod: dict[str, Any], cluster: RayCluster) -> None:
    annotations = pod["metadata"].get("annotations") or {}
    if (cluster.metadata.annotations or {}).get(names.OVERWRITE_CONTAINER_CMD_ANNOTATION, "").lower() == "true":
        annotations[names.OVERWRITE_CONTAINER_CMD_ANNOTATION] = "true"
    pod["metadata"]["annotations"] = annotations


def _add_autoscaler(pod: dict[str, Any], cluster: RayCluster, settings: RaySettings) -> None:
    spec, pod_spec = cluster.spec, pod["spec"]
    ray_container = pod_spec["containers"][0]
    pod_spec["serviceAccountName"] = naming.clip_name(pod_spec.get("serviceAccountName") or cluster.metadata.name)
    sidecar = autoscaler.new_container(ray_container.get("image", ""), login_shell=settings.login_shell)
    if authentication.is_enabled(spec.auth_options):
        authentication.add_token(sidecar, cluster.metadata.name, spec.auth_options)
    autoscaler.apply_options(sidecar, spec.autoscaler_options)
    pod_spec["containers"].append(sidecar)
    if version := autoscaler.version(spec):
        add_env(ray_container, "RAY_enable_autoscaler_v2", "true" if version == "v2" else "false")
    if version == "v2":
        pod_spec["restartPolicy"] = "Never"


def _add_metrics_port(pod: dict[str, Any]) -> None:
    container = pod["spec"]["containers"][0]
    if port_named(container, names.METRICS_PORT_NAME) is None:
        append(container, "ports", {"name": names.METRICS_PORT_NAME, "containerPort": DEFAULT_METRICS_PORT})


def _add_authentication_and_collector(pod: dict[str, Any], cluster: RayCluster, node_type: str, settings: RaySettings) -> None:
    auth, name = cluster.spec.auth_options, cluster.metadata.name
    if authentication.is_enabled(auth):
        authentication.configure(pod["spec"], name, auth)
    history = cluster.spec.history_server_options
    if not settings.gates.ray_cluster_history_server or history is None or history.collector_options is None:
        return
    sidecar = collector.new_container(
        history.collector_options,
        node_type,
        cluster=name,
        namespace=cluster.metadata.namespace,
        head_name=head_name(cluster, settings),
        cluster_labels=cluster.metadata.labels or {},
    )
    if authentication.is_enabled(auth):
        authentication.add_token(sidecar, name, auth)
    pod["spec"]["containers"].append(sidecar)


def _add_configured_defaults(pod: dict[str, Any], sidecars: tuple[dict[str, Any], ...], settings: RaySettings) -> None:
    pod["spec"]["containers"].extend(copy.deepcopy(list(sidecars)))
    pod["metadata"]["annotations"] = {**settings.default_pod_annotations, **pod["metadata"]["annotations"]}
    pod["metadata"]["labels"] = {**settings.default_pod_labels, **pod["metadata"]["labels"]}
