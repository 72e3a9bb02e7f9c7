"""Regenerates src/raysail/api/openapi/kubernetes.json.gz: the schemas of Kubernetes' built-in kinds, from Kubernetes' published OpenAPI.

    go mod download -json k8s.io/kubernetes@v1.36.3          # prints "Dir"
    python tools/openapi_schemas.py DIR/api/openapi-spec/v3

Kept are the groups that raysail serves; dropped are the paths, which the API server writes itself for what it really serves.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

GROUP_VERSIONS = (
    "api__v1",
    "apis__admissionregistration.k8s.io__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__apiregistration.k8s.io__v1",
    "apis__apps__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__autoscaling__v1",
    "apis__batch__v1",
    "apis__coordination.k8s.io__v1",
    "apis__discovery.k8s.io__v1",
    "apis__events.k8s.io__v1",
    "apis__networking.k8s.io__v1",
    "apis__node.k8s.io__v1",
    "apis__policy__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__scheduling.k8s.io__v1",
    "apis__storage.k8s.io__v1",
)


def main(folder: Path) -> None:
    """Writes the data file."""
    schemas: dict[str, object] = {}
    for name in GROUP_VERSIONS:
        schemas |= json.loads((folder / f"{name}_openapi.json").read_text())["components"]["schemas"]
    target = Path(__file__).parents[1] / "src/raysail/api/openapi/kubernetes.json.gz"
    text = json.dumps({"version": "v1.36.3", "schemas": schemas}, sort_keys=True, separators=(",", ":"))
    target.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{target.name}: {len(schemas)} schemas, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
