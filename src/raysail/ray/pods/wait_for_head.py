"""The init container that keeps a worker from starting before the head's GCS answers (KubeRay pod.go, `wait-gcs-ready`)."""

from __future__ import annotations

import copy
from typing import Final

from raysail.ray.pods.container import Container, bash

CONTAINER_NAME: Final = "wait-gcs-ready"
_RESOURCES: Final = {"cpu": "200m", "memory": "256Mi"}
_SCRIPT: Final = """
SECONDS=0
quiet=/dev/null
while true; do
  if (( SECONDS > 120 )); then quiet=/dev/stderr; fi
  if ray health-check --address {address} > "$quiet" 2>&1; then
    echo "GCS is ready."
    break
  fi
  echo "$SECONDS seconds elapsed: waiting for the GCS at {address}."
  sleep 5
done
"""


def new_container(ray_container: Container, head_address: str, *, login_shell: bool) -> Container:
    """A container with the Ray container's image, environment and mounts (which TLS needs). `head_address` is host:port of the GCS."""
    container: Container = {
        "name": CONTAINER_NAME,
        "image": ray_container.get("image", ""),
        "command": bash(login=login_shell),
        "args": [_SCRIPT.format(address=head_address)],
        "resources": {"limits": dict(_RESOURCES), "requests": dict(_RESOURCES)},
    }
    for key in ("imagePullPolicy", "securityContext", "env", "volumeMounts"):
        if ray_container.get(key):
            container[key] = copy.deepcopy(ray_container[key])
    return container
