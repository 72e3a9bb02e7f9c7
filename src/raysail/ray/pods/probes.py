"""Liveness and readiness of Ray containers (KubeRay pod.go initLivenessAndReadinessProbe).

From Ray 2.53 on one HTTP path of the dashboard agent tells; before, a shell command asks raylet and, on the head, the GCS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.ray import names
from raysail.ray.pods.container import Container, port_named
from raysail.ray.pods.start_command import DEFAULT_AGENT_PORT
from raysail.ray.versions import at_least

DEFAULT_DASHBOARD_PORT: Final = 8265
DEFAULT_SERVE_PORT: Final = 8000
_LIVENESS: Final = {"initialDelaySeconds": 30, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 120}
_READINESS: Final = {"initialDelaySeconds": 10, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 10}
_WORKER_TIMEOUT_SECONDS: Final = 2
_HEAD_TIMEOUT_SECONDS: Final = 5


def add_probes(container: Container, node_type: str, *, serves: bool, start_params: Mapping[str, str], ray_version: str) -> None:
    """Adds the probes that the user has not given. `serves`: the Pod belongs to a RayService."""
    agent_port = _port(start_params, "dashboard-agent-listen-port", DEFAULT_AGENT_PORT)
    checks = [_wget(2, agent_port, "api/local_raylet_healthz")]
    if node_type == names.HEAD:
        checks.append(_wget(10, _port(start_params, "dashboard-port", DEFAULT_DASHBOARD_PORT), "api/gcs_healthz"))
    if at_least(ray_version, "2.53.0"):
        check: dict[str, Any] = {"httpGet": {"path": "/api/healthz", "port": agent_port}}
    else:
        check = {"exec": {"command": ["bash", "-c", " && ".join(checks)]}}
    timeout = _HEAD_TIMEOUT_SECONDS if node_type == names.HEAD else _WORKER_TIMEOUT_SECONDS
    if not container.get("livenessProbe"):
        container["livenessProbe"] = {**_LIVENESS, "timeoutSeconds": timeout, **check}
    if not container.get("readinessProbe"):
        readiness: dict[str, Any] = {**_READINESS, "timeoutSeconds": timeout, **check}
        if serves and node_type == names.WORKER:
            # the head's proxy is asked by the RayService controller itself; a worker without a Serve replica never becomes ready
            checks.append(_wget(10, port_named(container, "serve") or DEFAULT_SERVE_PORT, "-/healthz"))
            readiness = {
                **_READINESS,
                "timeoutSeconds": timeout,
                "failureThreshold": 1,
                "exec": {"command": ["bash", "-c", " && ".join(checks)]},
            }
        container["readinessProbe"] = readiness


def _wget(timeout_seconds: int, port: int, path: str) -> str:
    return f"wget --tries 1 -T {timeout_seconds} -q -O- http://localhost:{port}/{path} | grep success"


def _port(start_params: Mapping[str, str], key: str, default: int) -> int:
    text = start_params.get(key, "")
    return int(text) if text.isdigit() else default
