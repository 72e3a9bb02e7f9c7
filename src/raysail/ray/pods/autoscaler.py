"""The autoscaler's container in the head Pod (KubeRay pod.go BuildAutoscalerContainer, mergeAutoscalerOverrides)."""

from __future__ import annotations

import copy
from typing import Any, Final

from raysail.api.ray import AutoscalerOptions, RayClusterSpec, names
from raysail.ray.pods.container import Container, add_env, add_env_of_field, bash

CONTAINER_NAME: Final = "autoscaler"
_COMMAND: Final = "ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace $(RAY_CLUSTER_NAMESPACE)"
_RESOURCES: Final = {"cpu": "500m", "memory": "512Mi"}


def is_enabled(spec: RayClusterSpec) -> bool:
    """Whether Ray's autoscaler decides how many workers there are."""
    return bool(spec.enable_in_tree_autoscaling)


def version(spec: RayClusterSpec) -> str:
    """`v1`, `v2`, or empty: whatever this Ray takes by default."""
    return (spec.autoscaler_options.version if spec.autoscaler_options else None) or ""


def new_container(image: str, *, login_shell: bool) -> Container:
    """The container before the user's changes."""
    container: Container = {
        "name": CONTAINER_NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": bash(login=login_shell),
        "args": [_COMMAND],
        "resources": {"limits": dict(_RESOURCES), "requests": dict(_RESOURCES)},
    }
    add_env_of_field(container, "RAY_CLUSTER_NAME", f"metadata.labels['{names.CLUSTER_LABEL}']")
    add_env_of_field(container, "RAY_CLUSTER_NAMESPACE", "metadata.namespace")
    add_env_of_field(container, "RAY_HEAD_POD_NAME", "metadata.name")
    add_env(container, "KUBERAY_CRD_VER", "v1")
    add_env(container, "KUBERAY_GEN_AUTOSCALER_START_CMD", _COMMAND)
    return container


def apply_options(container: Container, options: AutoscalerOptions | None) -> None:
    """Lists of the user's are appended, other fields replaced."""
    if options is None:
        return
    replacements: dict[str, Any] = {
        "resources": options.resources,
        "image": options.image,
        "imagePullPolicy": options.image_pull_policy,
        "securityContext": options.security_context,
    }
    container.update({key: copy.deepcopy(value) for key, value in replacements.items() if value is not None})
    for key, extra in (("env", options.env), ("envFrom", options.env_from), ("volumeMounts", options.volume_mounts)):
        if extra:
            container[key] = [*(container.get(key) or ()), *copy.deepcopy(extra)]
    if options.command:
        container["command"] = list(options.command)
    if options.args:
        container["args"] = list(options.args)
