"""Ray's token authentication in Pods: which variables, volumes and Secrets (KubeRay pod.go SetContainerTokenAuthEnvVars)."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.ray import AuthOptions
from raysail.ray import naming
from raysail.ray.pods.container import Container, add_env, append, default_env, has_env, mount

TOKEN_KEY: Final = "auth_token"  # noqa: S105 - the name of a key
"""The key in the Secret."""
_VOLUME: Final = "ray-token"
_MOUNT_PATH: Final = "/var/run/secrets/ray.io/serviceaccount"


def is_enabled(options: AuthOptions | None) -> bool:
    """Whether the cluster's parts must show a token."""
    return options is not None and options.mode == "token"


def uses_kubernetes_tokens(options: AuthOptions | None) -> bool:
    """Whether tokens of service accounts are shown instead of one shared by all."""
    return options is not None and bool(options.enable_k8s_token_auth)


def secret_name(cluster: str, options: AuthOptions | None) -> str:
    """The Secret with the cluster's token."""
    return (options.secret_name if options else None) or naming.clip_name(cluster)


def add_token(container: Container, cluster: str, options: AuthOptions | None) -> None:
    """Gives the container the means to show the token."""
    default_env(container, "RAY_AUTH_MODE", "token")
    if uses_kubernetes_tokens(options):
        default_env(container, "RAY_ENABLE_K8S_TOKEN_AUTH", "true")
        if not any(m.get("name") == _VOLUME for m in container.get("volumeMounts") or ()):
            mount(container, _VOLUME, _MOUNT_PATH, read_only=True)
    elif not has_env(container, "RAY_AUTH_TOKEN"):
        reference = {"secretKeyRef": {"name": secret_name(cluster, options), "key": TOKEN_KEY}}
        add_env(container, "RAY_AUTH_TOKEN", value_from=reference)


def add_token_volume(pod_spec: dict[str, Any]) -> None:
    """The projected service account token that `add_token` mounts with Kubernetes' tokens."""
    if not any(volume.get("name") == _VOLUME for volume in pod_spec.get("volumes") or ()):
        source = {"serviceAccountToken": {"path": "token"}}
        append(pod_spec, "volumes", {"name": _VOLUME, "projected": {"sources": [source]}})


def configure(pod_spec: dict[str, Any], cluster: str, options: AuthOptions | None) -> None:
    """Ray container and, on workers, the init container that waits for the GCS."""
    add_token(pod_spec["containers"][0], cluster, options)
    if uses_kubernetes_tokens(options):
        add_token_volume(pod_spec)
    for container in pod_spec.get("initContainers") or ():
        if container.get("name") == "wait-gcs-ready":
            add_token(container, cluster, options)
