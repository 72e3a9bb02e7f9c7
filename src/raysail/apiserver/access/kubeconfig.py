"""The kubeconfig that the API writes for its owner."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_kubeconfig(
    path: Path, server: str, ca_certificate: Path, token: str, context: str = "raysail", namespace: str = "default"
) -> None:
    """Writes (whole or not at all, readable by its owner only) a kubeconfig that names the CA by path and carries the bearer token."""
    cluster = {"server": server, "certificate-authority": str(ca_certificate)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": namespace}}],
        "current-context": context,
    }
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file, indent=2)  # which is YAML, too
    temporary.replace(path)
