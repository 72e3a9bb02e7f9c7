"""Regenerates src/raysail/apiserver/protobuf/messages.json.gz: the field numbers of Kubernetes' built-in kinds, from its published generated.proto files.

    go mod download -json k8s.io/api@v0.36.3 k8s.io/apimachinery@v0.36.3
    python tools/protobuf_messages.py API_DIR APIMACHINERY_DIR      # the printed "Dir"s

For each message: number -> [name, type, label], where type is a scalar's name or another message's (named as in the OpenAPI document), and label is
empty, `repeated` or `map`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

from go_shapes import API_PACKAGES

MACHINERY = ("pkg/apis/meta/v1", "pkg/runtime", "pkg/util/intstr", "pkg/api/resource")
MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (?:(optional|repeated) ([\w.]+)|map<string, ([\w.]+)>) (\w+) = (\d+);", re.MULTILINE)
SCALARS = {"string", "bytes", "bool", "int32", "int64", "double", "uint32", "uint64"}


def main(api: Path, machinery: Path) -> None:
    """Writes the data file."""
    files = [api / package for package in API_PACKAGES] + [machinery / package for package in MACHINERY]
    messages: dict[str, dict[str, list[str]]] = {}
    for folder in files:
        text = (folder / "generated.proto").read_text()
        package = re.findall(r"^package ([\w.]+);", text, re.MULTILINE)[0]
        for name, body in MESSAGE.findall(text):
            fields = {}
            for label, single, mapped, field, number in FIELD.findall(body):
                kind = single or mapped
                if kind not in SCALARS:
                    kind = kind if "." in kind else f"{package}.{kind}"
                    kind = _openapi_name(kind)
                fields[number] = [field, kind, "map" if mapped else label.replace("optional", "")]
            messages[_openapi_name(f"{package}.{name}")] = fields
    target = Path(__file__).parents[1] / "src/raysail/apiserver/protobuf/messages.json.gz"
    target.write_bytes(gzip.compress(json.dumps(messages, sort_keys=True, separators=(",", ":")).encode(), mtime=0))
    print(f"{target.name}: {len(messages)} messages, {target.stat().st_size / 1024:.0f} KiB")


def _openapi_name(name: str) -> str:
    return f"io.k8s.{name.strip('.').removeprefix('k8s.io.')}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
