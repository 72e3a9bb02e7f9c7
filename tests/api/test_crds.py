"""CRDs made from the types: structural, complete, and open to what the real API took."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysail.api.crds import KINDS, KUEUE_KINDS, all_crds, crd
from raysail.api.crds.builtin import builtin_schema
from raysail.api.openapi import SchemaNode

SHARED = Path(os.environ.get("RAYSAIL_SHARED", Path(__file__).parents[3] / "shared"))
VERSIONS = [(kind.crd_name, version.name) for kind in KINDS for version in kind.versions]


def schema_of(name: str, version: str) -> dict[str, Any]:
    found = next(v for v in crd(name)["spec"]["versions"] if v["name"] == version)
    schema: dict[str, Any] = found["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, sub in schema.get("properties", {}).items():
        yield from nodes(sub, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


@pytest.mark.parametrize("case", VERSIONS, ids="/".join)
def test_schemas_are_structural(case: tuple[str, str]) -> None:
    for path, schema in nodes(schema_of(*case)):
        assert "$ref" not in schema, path
        assert schema.get("type") or schema.get("x-kubernetes-int-or-string"), f"{path} has no type"
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), path
        if schema.get("x-kubernetes-list-type") == "map":
            item = schema["items"]
            for key in schema["x-kubernetes-list-map-keys"]:
                assert key in item.get("required", ()) or "default" in item["properties"][key], f"{path}: key {key} may be absent"


def test_what_users_write_is_described() -> None:
    for kind in KINDS:
        for version in kind.versions:
            schema = schema_of(kind.crd_name, version.name)
            assert schema["description"]
            for part in ("spec", "status"):
                for name, node in schema["properties"].get(part, {}).get("properties", {}).items():
                    assert node["description"].endswith((".", "...")), f"{kind.name}.{part}.{name}"


def test_one_storage_version_and_the_names_of_the_real_crds() -> None:
    for made in all_crds():
        spec = made["spec"]
        assert [v["name"] for v in spec["versions"] if v["storage"]] == [{"ray.io": "v1", "kueue.x-k8s.io": "v1beta2"}[spec["group"]]]
        assert made["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"


def test_pod_templates_are_one_shared_object() -> None:
    template = builtin_schema("io.k8s.api.core.v1.PodTemplateSpec")
    head = schema_of("rayjobs.ray.io", "v1")["properties"]["spec"]["properties"]["rayClusterSpec"]["properties"]["headGroupSpec"]
    assert head["properties"]["template"]["properties"] is template["properties"]
    assert set(template["properties"]["metadata"]["properties"]) == {"annotations", "finalizers", "labels", "name", "namespace"}


def test_older_versions_have_only_their_own_fields() -> None:
    old = schema_of("rayclusters.ray.io", "v1alpha1")["properties"]["spec"]["properties"]
    assert "managedBy" not in old
    assert "numOfHosts" not in old["workerGroupSpecs"]["items"]["properties"]
    assert "rayStartParams" in old["workerGroupSpecs"]["items"]["required"]
    old = schema_of("clusterqueues.kueue.x-k8s.io", "v1beta1")["properties"]["spec"]["properties"]
    assert "cohort" in old
    assert "cohortName" not in old
    assert "Borrow" in old["flavorFungibility"]["properties"]["whenCanBorrow"]["enum"]


# --- against what is known of the real CRDs -------------------------------------------------------------------------------------------------

FIELDS = SHARED / "notes" / "kueue-crd-fields.txt"
needs_fields = pytest.mark.skipif(not FIELDS.exists(), reason=f"{FIELDS.name} is not here")


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def described(schema: dict[str, Any]) -> str:
    """The field as the inventory writes it, without its path."""
    if schema.get("x-kubernetes-int-or-string"):
        text = "int-or-string"
    else:
        text = schema["type"] + (f"({schema['format']})" if "format" in schema else "")
    if "default" in schema:
        text += f" default={schema['default']}"
    if "enum" in schema:
        text += f" enum={schema['enum']}"
    for key in ("minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "maxProperties", "pattern"):
        if key in schema:
            text += f" {key}={schema[key]}"
    if "x-kubernetes-list-type" in schema:
        text += f" list-type={schema['x-kubernetes-list-type']}"
    if "x-kubernetes-list-map-keys" in schema:
        text += f" list-map-keys={schema['x-kubernetes-list-map-keys']}"
    if "x-kubernetes-map-type" in schema:
        text += f" map-type={schema['x-kubernetes-map-type']}"
    return text


def words(text: str) -> set[str]:
    """Facts of a line, in any order; a default object's keys too."""
    return set(re.sub(r"default=(\{.*?\})", lambda m: "default=" + "".join(sorted(m[1])), text).split())


@needs_fields
def test_every_field_of_the_inventory_is_there_with_its_facts() -> None:
    wrong = []
    for line in FIELDS.read_text().splitlines():
        match = re.fullmatch(r"(\w+) (\.\S+)( \*)? : (.*)", line)
        if match is None:
            continue
        kind, path, required, facts = match.groups()
        found = dict(nodes(schema_of(next(k.crd_name for k in KUEUE_KINDS if k.name == kind), "v1beta2")))
        if path not in found:
            wrong.append(f"missing {kind} {path}")
        elif "<corev1" not in facts and words(described(found[path])) != words(facts):
            wrong.append(f"{kind} {path}: {described(found[path])!r} is not {facts!r}")
        elif required and path.rsplit(".", 1)[1] not in found[path.rsplit(".", 1)[0]].get("required", ()):
            wrong.append(f"{kind} {path} is not required")
    assert wrong == []


@needs_fields
def test_cel_rules_are_those_of_the_inventory() -> None:
    wanted: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for line in FIELDS.read_text().splitlines():
        if match := re.fullmatch(r"(\w+)/(v1beta\d) (\S+) :: (.*) :: (.*)", line):
            wanted.setdefault((match[1], match[2]), set()).add((match[3], squeezed(match[4]), match[5]))
    for kind in KUEUE_KINDS:
        for version in kind.versions:
            made = {
                (path or ".", squeezed(rule["rule"]), rule["message"])
                for path, node in nodes(schema_of(kind.crd_name, version.name))
                for rule in node.get("x-kubernetes-validations", ())
            }
            assert made == wanted.get((kind.name, version.name), set()), (kind.name, version.name)


@needs_fields
def test_names_and_printer_columns_are_those_of_the_inventory() -> None:
    for line in FIELDS.read_text().splitlines():
        match = re.fullmatch(
            r"(\w+)/(v1beta\d) storage=(\w+) .* scope=(\w+) plural=(\w+) short=(\[.*?\]) subres=(\[.*?\]) sel=(.*) cols: (.*)", line
        )
        if match is None:
            continue
        kind, version, storage, scope, plural, short, subresources, _, columns = match.groups()
        spec = crd(f"{plural}.kueue.x-k8s.io")["spec"]
        made = next(v for v in spec["versions"] if v["name"] == version)
        assert (spec["names"]["kind"], spec["scope"], str(made["storage"])) == (kind, scope, storage)
        assert str(spec["names"].get("shortNames", [])) == short
        assert str(list(made.get("subresources", {}))) == subresources
        printed = ";".join(
            f"{c['name']}[{c['type']}]={c['jsonPath']}" + (f"(p{c['priority']})" if c.get("priority") else "")
            for c in made.get("additionalPrinterColumns", ())
        )
        assert printed == columns


def unknown_or_missing(value: Any, node: SchemaNode, path: str) -> list[str]:
    if isinstance(value, dict):
        faults = [
            f"{path}.{name} is missing"
            for name in node.schema.get("required", ())
            if name not in value and not node.properties[name].has_default
        ]
        for name, item in value.items():
            below = node.child(name)
            if below is not None:
                faults += unknown_or_missing(item, below, f"{path}.{name}")
            elif node.properties or node.values:
                faults.append(f"{path}.{name} is unknown")
        return faults
    if isinstance(value, list) and node.items is not None:
        return [fault for item in value for fault in unknown_or_missing(item, node.items, f"{path}[]")]
    if node.schema.get("enum") and value not in node.schema["enum"]:
        return [f"{path}: {value!r} is not one of {node.schema['enum']}"]
    return []


def accepted_objects() -> Iterator[tuple[str, dict[str, Any]]]:
    for suite in ("ray", "queue"):
        root = SHARED / "conformance" / suite
        for recording in sorted((root / "recorded").glob("*/*.json")):
            scenario = root / "scenarios" / recording.parent.name / f"{recording.stem}.yaml"
            if not scenario.exists():
                continue
            steps = yaml.load(scenario.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["steps"]
            for answer in json.loads(recording.read_text()).get("answers", ()):
                step = steps[answer["step"]]
                if answer.get("code", 0) < 400 and answer["what"].startswith("apply "):
                    for obj in step["apply"] if isinstance(step["apply"], list) else [step["apply"]]:
                        if f"{obj.get('kind')}/{obj.get('metadata', {}).get('name')}" == answer["what"].removeprefix("apply "):
                            yield f"{suite}/{recording.parent.name}/{recording.stem}", obj


@pytest.mark.skipif(not (SHARED / "conformance").exists(), reason="the recordings are not here")
def test_objects_that_the_real_api_took_fit_the_schemas() -> None:
    served = {(c["spec"]["group"], v["name"], c["spec"]["names"]["kind"]): v for c in all_crds() for v in c["spec"]["versions"]}
    seen = 0
    for case, obj in accepted_objects():
        group, _, version = obj["apiVersion"].partition("/")
        found = served.get((group, version, obj["kind"]))
        if found is None:
            continue
        seen += 1
        schema = found["schema"]["openAPIV3Schema"]
        spec = {key: value for key, value in obj.items() if key != "metadata"}
        assert unknown_or_missing(spec, SchemaNode(schema), obj["kind"]) == [], case
    assert seen > 100
