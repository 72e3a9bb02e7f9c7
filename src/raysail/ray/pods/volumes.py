"""Volumes that KubeRay adds to Ray Pods: shared memory for the object store, and the log folder that sidecars read."""

from __future__ import annotations

from typing import Any, Final

from raysail.ray.pods.container import Container, append, mount

_SHARED_MEMORY: Final = "shared-mem"
_LOGS: Final = "ray-logs"
_LOG_FOLDER: Final = "/tmp/ray"  # noqa: S108 - where Ray keeps its sessions inside the Pod


def add_shared_memory(pod_spec: dict[str, Any]) -> None:
    """Memory for the object store, as large as the Ray container's memory."""
    container = pod_spec["containers"][0]
    resources = container.get("resources") or {}
    size = (resources.get("limits") or {}).get("memory") or (resources.get("requests") or {}).get("memory")
    source: dict[str, Any] = {"medium": "Memory"}
    if size is not None:
        source["sizeLimit"] = size
    _add_empty_dir(pod_spec, container, _SHARED_MEMORY, "/dev/shm", source)  # noqa: S108


def add_shared_logs(pod_spec: dict[str, Any], other: Container) -> None:
    """One folder of Ray's logs for the Ray container and the one beside it."""
    for container in (pod_spec["containers"][0], other):
        _add_empty_dir(pod_spec, container, _LOGS, _LOG_FOLDER, {})


def _add_empty_dir(pod_spec: dict[str, Any], container: Container, name: str, path: str, source: dict[str, Any]) -> None:
    if any(m.get("mountPath") == path for m in container.get("volumeMounts") or ()):
        return
    if not any(volume.get("name") == name for volume in pod_spec.get("volumes") or ()):
        append(pod_spec, "volumes", {"name": name, "emptyDir": source})
    mount(container, name, path)
