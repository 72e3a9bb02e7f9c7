"""Which container of which Pod a stream is for, and on which agent's socket it is found. Pure.

Refusals in kube-apiserver's words: k8s.io/kubernetes pkg/registry/core/pod/strategy.go (LogLocation, ExecLocation, ...).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.errors import StatusError, bad_request

KUBELET_SOCKET: Final = "raysail.io/kubelet-socket"
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class Target:
    """A path on the agent's socket, without its query."""

    socket: str
    path: str


def container_target(what: str, pod: Mapping[str, Any], node: Mapping[str, Any] | None, container: str) -> Target:
    """For `containerLogs`, `exec`, `attach`. Raises StatusError 400 where the container is not clear, absent, or the Pod on no node yet."""
    metadata = pod["metadata"]
    name = _container(pod, container)
    if not pod["spec"].get("nodeName"):
        # A Pod without a node has nothing to stream; for logs Kubernetes answers an empty log, which the caller decides.
        raise bad_request(f"pod {metadata['name']} does not have a host assigned")
    return Target(_socket(pod, node), f"/{what}/{metadata['namespace']}/{metadata['name']}/{name}")


def port_forward_target(pod: Mapping[str, Any], node: Mapping[str, Any] | None) -> Target:
    """For port-forward; the port comes with each stream."""
    metadata = pod["metadata"]
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {metadata['name']} does not have a host assigned")
    return Target(_socket(pod, node), f"/portForward/{metadata['namespace']}/{metadata['name']}")


def _container(pod: Mapping[str, Any], wanted: str) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers, inits = _names(spec, "containers"), _names(spec, "initContainers")
    ephemeral = _names(spec, "ephemeralContainers")
    if wanted:
        if wanted in (*containers, *inits, *ephemeral):
            return wanted
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    chosen = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if chosen in containers:
        return str(chosen)
    if len(containers) == 1:
        return containers[0]
    if inits:
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}] or one of the init containers: [{' '.join(inits)}]"
        )
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]")


def _names(spec: Mapping[str, Any], key: str) -> Sequence[str]:
    return [c["name"] for c in spec.get(key) or ()]


def _socket(pod: Mapping[str, Any], node: Mapping[str, Any] | None) -> str:
    found = ((node or {}).get("metadata", {}).get("annotations") or {}).get(KUBELET_SOCKET)
    if not found:
        text = f'the node "{pod["spec"]["nodeName"]}" of pod {pod["metadata"]["name"]} has no agent that could be asked: is `raysail node` running?'
        raise StatusError("ServiceUnavailable", text)
    return str(found)
