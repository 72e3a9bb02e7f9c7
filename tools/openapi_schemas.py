"""Regenerates src/raysail/api/openapi/kubernetes.json.gz: the schemas of Kubernetes' built-in kinds, from Kubernetes' published OpenAPI.

    go mod download -json k8s.io/kubernetes@v1.36.3          # prints "Dir"
    python tools/openapi_schemas.py DIR

The published documents lack enumerations, which a server does say (`kubectl explain` prints them): those come from the generated Go source. Kept are the groups that raysail serves; dropped are the paths, which the API server writes itself for what it really serves.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

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


_FUNCTION = re.compile(r"^func schema_k8sio_api_(\w+)\(ref ")
_FIELD = re.compile(r'^\t{5}"(\w+)": \{$')
_DESCRIPTION = re.compile(r'^\t{7}Description: +(".*"),$')
_ENUM = re.compile(r"^\t{7}Enum: +\[\]interface\{\}\{(.*)\},$")


def add_enumerations(schemas: dict[str, dict[str, Any]], source: str) -> int:
    """Puts `enum`, and the description that lists its values, into the fields that have one; says how many."""
    definition, field, description, added = "", "", "", 0
    for line in source.splitlines():
        if found := _FUNCTION.match(line):
            definition = "io.k8s.api." + found[1].replace("_", ".")
        elif found := _FIELD.match(line):
            field, description = found[1], ""
        elif found := _DESCRIPTION.match(line):
            description = json.loads(found[1])
        elif found := _ENUM.match(line):
            target = schemas.get(definition, {}).get("properties", {}).get(field)
            if target is not None and target.get("type") == "string":
                target["enum"] = json.loads(f"[{found[1]}]")
                target["description"] = description
                added += 1
    return added


def main(folder: Path) -> None:
    """Writes the data file."""
    schemas: dict[str, dict[str, Any]] = {}
    for name in GROUP_VERSIONS:
        document = folder / "api/openapi-spec/v3" / f"{name}_openapi.json"
        schemas |= json.loads(document.read_text())["components"]["schemas"]
    print(f"{add_enumerations(schemas, (folder / 'pkg/generated/openapi/zz_generated.openapi.go').read_text())} enumerations")
    target = Path(__file__).parents[1] / "src/raysail/api/openapi/kubernetes.json.gz"
    text = json.dumps({"version": "v1.36.3", "schemas": schemas}, sort_keys=True, separators=(",", ":"))
    target.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{target.name}: {len(schemas)} schemas, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
