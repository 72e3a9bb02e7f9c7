"""Regenerates src/raysail/apiserver/kinds/shapes.json.gz: how Go writes each field of the built-in kinds, from the Go types.

    go mod download -json k8s.io/api@v0.36.3 k8s.io/apimachinery@v0.36.3 k8s.io/apiextensions-apiserver@v0.36.3 k8s.io/kube-aggregator@v0.36.3
    python tools/go_shapes.py API_DIR APIMACHINERY_DIR APIEXTENSIONS_DIR AGGREGATOR_DIR      # the printed "Dir"s

The published schemas do not say which empty values Go leaves out, and which absent ones it writes; the types' json tags do. For each definition and
field one letter:
  z  an empty scalar is left out          e  an empty list or map is left out      o  a struct: written even if empty    O  a struct: left out if empty
  s  absent text is written as ""         i  an absent number as 0                 b  an absent boolean as false
  n  absent is written as null            l  an absent or empty list or map as null            q  an absent quantity as "0"
Fields that are simply kept if they are there (pointers with omitempty) have no entry.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

API_PACKAGES = (
    "admissionregistration/v1",
    "apps/v1",
    "authentication/v1",
    "authorization/v1",
    "autoscaling/v1",
    "batch/v1",
    "coordination/v1",
    "core/v1",
    "discovery/v1",
    "events/v1",
    "networking/v1",
    "node/v1",
    "policy/v1",
    "rbac/v1",
    "scheduling/v1",
    "storage/v1",
)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ALIAS = re.compile(r"^(?:type |\t)(\w+) (?:= )?((?:\[\]|map\[|\*)?[\w.\[\]*]+)\s*(?://.*)?$", re.MULTILINE)
FIELD = re.compile(r'^\t(?:(\w+)\s+)?(\S+)\s+`(?:[^`]*\s)?json:"([^"]*)"', re.MULTILINE)
SCALARS = {"string": "s", "bool": "b"} | dict.fromkeys(("int", "int32", "int64", "uint8", "float64", "uint64"), "i")
NULL_WRITERS = {"metav1.Time", "metav1.MicroTime", "Time", "MicroTime", "runtime.RawExtension", "RawExtension"}


class Package:
    """The types of one Go package; `prefix` is that of its definitions in OpenAPI."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.prefix = prefix
        self.structs: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        for path in sorted(folder.glob("*.go")):
            if path.name.startswith("zz_") or path.name.endswith("_test.go") or "generated" in path.name:
                continue
            text = path.read_text()
            self.structs |= {m[1]: m[2] for m in STRUCT.finditer(text)}
            self.aliases |= {m[1]: m[2] for m in ALIAS.finditer(text) if text[m.start()] == "t"}


def resolve(kind: str, package: Package, core: Package, meta: Package) -> tuple[str, Package]:
    """A type's name in the package that defines it, aliases followed."""
    while True:
        if kind.startswith(("v1.", "corev1.", "core.")) and package is not core:
            kind, package = kind.split(".", 1)[1], core
        elif kind.startswith("metav1."):
            kind, package = kind.split(".", 1)[1], meta
        if kind in package.structs or kind not in package.aliases:
            return kind, package
        kind = package.aliases[kind]


def letter(kind: str, options: list[str], package: Package, core: Package, meta: Package) -> str:
    """The field's letter, empty if it has none."""
    drops = "omitempty" in options
    zero = "omitzero" in options
    if kind.startswith("*"):
        return "" if drops or zero else "n"
    if kind == "[]byte":
        return "z" if drops else "n"
    if kind in ("types.UID", "types.NodeName", "types.NamespacedName"):
        kind = "string"
    if kind.startswith(("[]", "map[")):
        return "e" if drops else "l"
    if kind == "resource.Quantity":
        return "q"
    if kind == "intstr.IntOrString":
        return "i"
    if kind in NULL_WRITERS:
        return "" if zero else "n"
    base, owner = resolve(kind, package, core, meta)
    if base != kind and base.startswith(("[]", "map[", "*")):
        return letter(base, options, owner, core, meta)
    if base in SCALARS:
        return "z" if drops or zero else SCALARS[base]
    if base in owner.structs:
        return "O" if zero else "o"
    raise SystemExit(f"{package.prefix}: what is {kind} ({base})?")


def fields(body: str, package: Package, core: Package, meta: Package) -> dict[str, str]:
    """The letters of a struct's fields, those of inlined structs among them."""
    found: dict[str, str] = {}
    for match in FIELD.finditer(body):
        kind, tag = match[2], match[3]
        name, *options = tag.split(",")
        if "inline" in options or (not name and not match[1]):
            base, owner = resolve(kind, package, core, meta)
            if base in owner.structs:
                found |= fields(owner.structs[base], owner, core, meta)
        elif name and name != "-":
            code = letter(kind, options, package, core, meta)
            if code:
                found[name] = code
    for name in ("kind", "apiVersion"):  # of TypeMeta; the same name elsewhere (references) is text like any other
        if found.get(name) == "z" and "TypeMeta" in body:
            del found[name]
    return found


def main(api: Path, apimachinery: Path, apiextensions: Path, aggregator: Path) -> None:
    """Writes the data file."""
    meta = Package(apimachinery / "pkg/apis/meta/v1", "io.k8s.apimachinery.pkg.apis.meta.v1.")
    packages = [Package(api / name, f"io.k8s.api.{name.replace('/', '.')}.") for name in API_PACKAGES]
    core = packages[API_PACKAGES.index("core/v1")]
    packages += [
        meta,
        Package(apiextensions / "pkg/apis/apiextensions/v1", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."),
        Package(aggregator / "pkg/apis/apiregistration/v1", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1."),
    ]
    shapes = {
        package.prefix + name: letters
        for package in packages
        for name, body in package.structs.items()
        if (letters := fields(body, package, core, meta))
    }
    target = Path(__file__).parents[1] / "src/raysail/apiserver/kinds/shapes.json.gz"
    target.write_bytes(gzip.compress(json.dumps(shapes, sort_keys=True, separators=(",", ":")).encode(), mtime=0))
    print(f"{target.name}: {len(shapes)} structs, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
