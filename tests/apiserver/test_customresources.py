"""Custom resources: the CRD itself, its life, and what it serves."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from raysail.api.crds import all_crds
from raysail.api.errors import StatusError
from raysail.apiserver.customresources import (
    CustomColumns,
    CustomStrategy,
    DefinitionStrategy,
    ScalePaths,
    accepted_status,
    definitions,
    is_established,
    terminating_status,
)
from raysail.apiserver.customresources.columns import human_duration
from raysail.apiserver.customresources.json_path import JsonPathError, compile_path
from raysail.apiserver.customresources.scale import AccessorError
from raysail.apiserver.strategy import Definition, Request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = Request(NOW)
STATUS = Request(NOW, subresource="status")


def version(name: str = "v1", schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or {"type": "object"}}, **more}


def crd(*versions: dict[str, Any], **names: Any) -> dict[str, Any]:
    """A CRD of kind Thing in x.io, defaulted and ready to be created."""
    spec = {
        "group": "x.io",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing", **names},
        "versions": list(versions) or [version()],
    }
    made = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{spec['names']['plural']}.x.io"},
        "spec": spec,
    }
    strategy = DefinitionStrategy()
    strategy.default(made)
    strategy.prepare_for_create(made, REQUEST)
    return made


def faults(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c.reason, c.field) for c in DefinitionStrategy().validate(made, REQUEST)]


INVALID, REQUIRED, FORBIDDEN = "FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"


def test_names_and_conversion_are_filled_in() -> None:
    made = crd()
    assert made["spec"]["names"] == {"plural": "things", "kind": "Thing", "singular": "thing", "listKind": "ThingList"}
    assert made["spec"]["conversion"] == {"strategy": "None"}
    assert made["status"] == {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}
    assert faults(made) == []


def spec_schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


ROOT = "spec.validation.openAPIV3Schema"
FIELD = f"{ROOT}.properties[spec].properties[f]"


@pytest.mark.parametrize(
    ("rule", "made", "found"),
    [
        ("name", {**crd(), "metadata": {"name": "other.x.io"}}, [(INVALID, "metadata.name")]),
        ("no schema", crd({"name": "v1", "served": True, "storage": True}), [(REQUIRED, "spec.versions[0].schema.openAPIV3Schema")]),
        ("two storage versions", crd(version(), version("v2")), [(INVALID, "spec.versions"), (INVALID, "status.storedVersions")]),
        ("version name", crd(version("V1")), [(INVALID, "spec.versions[0].name")]),
        ("short names", crd(shortNames=["T"]), [(INVALID, "spec.names.shortNames[0]")]),
        ("kind and listKind", crd(listKind="Thing"), [(INVALID, "spec.names.listKind")]),
        ("no type", crd(version(schema=spec_schema(f={"properties": {}}))), [(REQUIRED, f"{FIELD}.type")]),
        ("no items", crd(version(schema=spec_schema(f={"type": "array"}))), [(REQUIRED, f"{FIELD}.items")]),
        ("unknown type", crd(version(schema=spec_schema(f={"type": "text"}))), [("FieldValueNotSupported", f"{FIELD}.type")]),
        (
            "metadata",
            crd(
                version(
                    schema={"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}
                )
            ),
            [(FORBIDDEN, f"{ROOT}.properties[metadata]")],
        ),
        (
            "type under anyOf",
            crd(version(schema=spec_schema(f={"type": "string", "anyOf": [{"type": "string"}]}))),
            [(FORBIDDEN, f"{FIELD}.anyOf[0].type")],
        ),
        (
            "field only under allOf",
            crd(version(schema={"type": "object", "allOf": [{"properties": {"a": {}}}]})),
            [(REQUIRED, f"{ROOT}.properties[a]")],
        ),
        ("pattern", crd(version(schema=spec_schema(f={"type": "string", "pattern": "("}))), [(INVALID, f"{FIELD}.pattern")]),
        (
            "default of another type",
            crd(version(schema=spec_schema(f={"type": "integer", "default": "x"}))),
            [("FieldValueTypeInvalid", f"{FIELD}.default")],
        ),
        (
            "default with unknown fields",
            crd(version(schema=spec_schema(f={"type": "object", "default": {"a": 1}}))),
            [(INVALID, f"{FIELD}.default")],
        ),
        (
            "uniqueItems",
            crd(version(schema=spec_schema(f={"type": "array", "items": {"type": "string"}, "uniqueItems": True}))),
            [(FORBIDDEN, f"{FIELD}.uniqueItems")],
        ),
        (
            "keys of a list map",
            crd(
                version(
                    schema=spec_schema(
                        f={
                            "type": "array",
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["k"],
                            "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                        }
                    )
                )
            ),
            [(REQUIRED, f"{FIELD}.items.properties[k].default")],
        ),
        (
            "properties and additionalProperties",
            crd(
                version(
                    schema=spec_schema(
                        f={"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}
                    )
                )
            ),
            [(FORBIDDEN, f"{FIELD}.additionalProperties")],
        ),
        (
            "rule that does not compile",
            crd(version(schema={"type": "object", "x-kubernetes-validations": [{"rule": "self.nope > 1"}]})),
            [(INVALID, f"{ROOT}.x-kubernetes-validations[0].rule")],
        ),
        (
            "rule that is no bool",
            crd(version(schema=spec_schema(f={"type": "string", "x-kubernetes-validations": [{"rule": "self"}]}))),
            [(INVALID, f"{FIELD}.x-kubernetes-validations[0].rule")],
        ),
        (
            "message that is no text",
            crd(
                version(
                    schema=spec_schema(f={"type": "string", "x-kubernetes-validations": [{"rule": "self == ''", "messageExpression": "1"}]})
                )
            ),
            [(INVALID, f"{FIELD}.x-kubernetes-validations[0].messageExpression")],
        ),
        (
            "oldSelf where nothing corresponds",
            crd(
                version(
                    schema=spec_schema(
                        f={"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}
                    )
                )
            ),
            [(INVALID, f"{FIELD}.items.x-kubernetes-validations[0].rule")],
        ),
        (
            "rule that could run away",
            crd(
                version(
                    schema=spec_schema(
                        f={
                            "type": "array",
                            "items": {"type": "string"},
                            "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a == b))"}],
                        }
                    )
                )
            ),
            [
                (FORBIDDEN, f"{FIELD}.x-kubernetes-validations[0].rule"),
                (FORBIDDEN, f"{FIELD}.x-kubernetes-validations[0].rule"),
                (FORBIDDEN, ROOT),
            ],
        ),
        (
            "the same with limits",
            crd(
                version(
                    schema=spec_schema(
                        f={
                            "type": "array",
                            "maxItems": 50,
                            "items": {"type": "string", "maxLength": 50},
                            "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a == b))"}],
                        }
                    )
                )
            ),
            [],
        ),
        (
            "field path",
            crd(version(schema={"type": "object", "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".nope"}]})),
            [(INVALID, f"{ROOT}.x-kubernetes-validations[0].fieldPath")],
        ),
        (
            "default that breaks its rule",
            crd(version(schema=spec_schema(f={"type": "integer", "default": 1, "x-kubernetes-validations": [{"rule": "self > 1"}]}))),
            [(INVALID, f"{FIELD}.default")],
        ),
        (
            "scale path",
            crd(version(subresources={"scale": {"specReplicasPath": ".replicas", "statusReplicasPath": ".status.n"}})),
            [(INVALID, "spec.subresources.scale.specReplicasPath")],
        ),
        (
            "column type",
            crd(version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".a"}])),
            [(INVALID, "spec.additionalPrinterColumns[0].type")],
        ),
        (
            "selectable field",
            crd(version(selectableFields=[{"jsonPath": ".spec.f"}], schema=spec_schema(f={"type": "object"}))),
            [(INVALID, "spec.selectableFields[0].jsonPath")],
        ),
        ("deprecation warning", crd(version(deprecationWarning="old")), [(INVALID, "spec.versions[0].deprecationWarning")]),
        (
            "rule at the root beside a status",
            crd(
                version(
                    schema={"type": "object", "anyOf": [{"required": ["spec"]}], "properties": {"spec": {"type": "object"}}},
                    subresources={"status": {}},
                )
            ),
            [(INVALID, ROOT)],
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_a_definition_may_not_say(rule: str, made: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert faults(made) == found


def test_protected_groups_need_an_approval() -> None:
    made = crd()
    made["spec"]["group"], made["metadata"]["name"] = "x.k8s.io", "things.x.k8s.io"
    assert faults(made) == [(REQUIRED, "metadata.annotations[api-approved.kubernetes.io]")]
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    assert faults(made) == []


def test_an_update_may_not_change_what_is_stored_under() -> None:
    old = crd()
    old["status"] = accepted_status(old, [], NOW)
    strategy = DefinitionStrategy()
    new = copy.deepcopy(old)
    new["spec"]["scope"] = "Cluster"
    assert [(c.field, c.message) for c in strategy.validate_update(new, old, REQUEST)] == [
        ("spec.scope", 'Invalid value: "Cluster": field is immutable')
    ]
    new = copy.deepcopy(old)
    new["spec"]["versions"] = [version("v2")]
    strategy.prepare_for_update(new, old, REQUEST)
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    assert [c.field for c in strategy.validate_update(new, old, REQUEST)] == ["status.storedVersions[0]"]


def test_faults_of_old_do_not_stop_other_changes() -> None:
    old = crd(version(schema=spec_schema(f={"type": "text"})))
    new = copy.deepcopy(old)
    new["spec"]["names"]["shortNames"] = ["t"]
    assert DefinitionStrategy().validate_update(new, old, REQUEST) == []


def test_unrecognized_formats_are_warned_about() -> None:
    made = crd(version(schema=spec_schema(f={"type": "string", "format": "poem"}, g={"type": "integer", "format": "int32"})))
    assert DefinitionStrategy().warnings(made) == ['unrecognized format "poem"']


def test_unknown_fields_of_a_definition_are_named_deep_inside_its_schemas() -> None:
    made = crd(version(schema=spec_schema(f={"type": "array", "items": {"type": "string", "bogus": 1}})))
    unknown = DefinitionStrategy().decode(made).unknown
    assert list(unknown) == ["spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.f.items.bogus"]


def test_a_free_name_is_accepted_and_established() -> None:
    made = crd(shortNames=["th"], categories=["all"])
    made["status"] = accepted_status(made, [], NOW)
    assert is_established(made)
    assert made["status"]["acceptedNames"] == made["spec"]["names"]
    assert [(c["type"], c["status"], c["reason"]) for c in made["status"]["conditions"]] == [
        ("NamesAccepted", "True", "NoConflicts"),
        ("Established", "True", "InitialNamesAccepted"),
    ]
    assert accepted_status(made, [], NOW + timedelta(hours=1)) == made["status"]


def test_a_taken_name_is_refused_until_it_is_free() -> None:
    first = crd(shortNames=["th"])
    first["status"] = accepted_status(first, [], NOW)
    second = crd(plural="thoughts", kind="Thought", shortNames=["th"])
    second["status"] = accepted_status(second, [first, second], NOW)
    assert not is_established(second)
    condition = second["status"]["conditions"][0]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "ShortNamesConflict", '"th" is already in use')
    assert second["status"]["acceptedNames"]["kind"] == "Thought"
    second["status"] = accepted_status(second, [second], NOW)
    assert is_established(second)


def test_a_definition_on_its_way_out_says_so() -> None:
    assert [(c["type"], c["reason"]) for c in terminating_status(crd(), NOW)["conditions"]] == [("Terminating", "InstanceDeletionPending")]


def served(made: dict[str, Any]) -> dict[str, Definition]:
    made["status"] = accepted_status(made, [], NOW)
    return {d.resource.version: d for d in definitions(made)}


def test_each_served_version_is_a_definition() -> None:
    made = crd(
        version(
            "v1",
            subresources={"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
            selectableFields=[{"jsonPath": ".spec.c"}],
        ),
        version("v1beta1", storage=False, deprecated=True),
        version("v1alpha1", storage=False, served=False),
        shortNames=["th"],
    )
    found = served(made)
    assert list(found) == ["v1", "v1beta1"]
    stable, beta = found["v1"], found["v1beta1"]
    assert (stable.singular, stable.short_names, stable.list_kind, stable.subresources) == (
        "thing",
        ("th",),
        "ThingList",
        ("status", "scale"),
    )
    assert stable.selectable_fields == ("spec.c",)
    assert stable.conversion is None
    assert (beta.storage_version, beta.deprecation_warning) == ("v1", "x.io/v1beta1 Thing is deprecated")
    assert beta.conversion is not None


def test_versions_without_a_webhook_differ_in_name_and_pruning_only() -> None:
    made = crd(version("v1", spec_schema(a={"type": "string"})), version("v2", spec_schema(b={"type": "string"}), storage=False))
    conversion = served(made)["v2"].conversion
    assert conversion is not None
    kept = {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {}, "spec": {"a": "1"}}
    assert conversion.from_storage(kept) == {"apiVersion": "x.io/v2", "kind": "Thing", "metadata": {}, "spec": {}}


def test_objects_stored_before_a_change_are_shown_by_todays_schema() -> None:
    made = crd(
        version("v1", spec_schema(a={"type": "string", "default": "d"}, c={"type": "string"}), storage=False),
        version("v2", spec_schema(a={"type": "string"}, b={"type": "string", "default": "e"})),
    )
    made["metadata"]["generation"] = 2
    conversion = served(made)["v2"].conversion
    assert conversion is not None
    kept = {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {}, "spec": {"c": "1"}}
    assert conversion.from_storage(kept) == {"apiVersion": "x.io/v2", "kind": "Thing", "metadata": {}, "spec": {"a": "d"}}
    assert conversion.to_storage({"apiVersion": "x.io/v2", "spec": {"b": "x"}}) == {"apiVersion": "x.io/v2", "spec": {"b": "x"}}


def strategy(schema: dict[str, Any], **version_fields: Any) -> CustomStrategy:
    found = served(crd(version(schema=schema, **version_fields)))["v1"].strategy
    assert isinstance(found, CustomStrategy)
    return found


def thing(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, **fields}


def test_decode_reads_metadata_as_object_metadata() -> None:
    made = strategy(spec_schema())
    decoded = made.decode(thing(metadata={"name": "a", "odd": 1, "creationTimestamp": None}, top=1))
    assert list(decoded.unknown) == ["metadata.odd", "top"]
    assert decoded.object["metadata"] == {"name": "a"}
    with pytest.raises(StatusError) as refused:
        made.decode(thing(metadata={"labels": {"a": 5}}))
    assert (
        str(refused.value)
        == 'Thing in version "v1" cannot be handled as a Thing: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string'
    )


def test_an_object_of_another_kind_is_refused_and_left_alone() -> None:
    made = strategy(spec_schema(f={"type": "string", "default": "d"}))
    other = thing(kind="Other", junk=1, spec={})
    assert list(made.decode(other).unknown) == []
    made.default(other)
    assert other["spec"] == {}
    assert [(c.field, c.message) for c in made.validate(other, REQUEST)] == [("kind", 'Invalid value: "Other": must be Thing')]


def test_faults_of_the_schema_keep_rules_from_running() -> None:
    made = strategy(
        {**spec_schema(f={"type": "string", "enum": ["a"]}), "x-kubernetes-validations": [{"rule": "false", "message": "never"}]}
    )
    found = made.validate(thing(spec={"f": "b"}), REQUEST)
    assert [c.field for c in found] == ["spec.f", "<nil>"]
    assert "were not checked" in found[1].message
    assert [c.message for c in made.validate(thing(spec={}), REQUEST)] == ["Invalid value: never"]


def test_status_and_the_rest_are_written_apart() -> None:
    made = strategy({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, subresources={"status": {}})
    old = thing(spec={"a": 1}, status={"s": 1})
    new = thing(spec={"a": 2}, status={"s": 2})
    made.prepare_for_update(new, old, REQUEST)
    assert (new["spec"], new["status"]) == ({"a": 2}, {"s": 1})
    new = thing(metadata={"name": "a", "labels": {"x": "y"}, "managedFields": [{}]}, spec={"a": 2}, status={"s": 2})
    made.prepare_for_update(new, old, STATUS)
    assert new == thing(metadata={"name": "a", "managedFields": [{}]}, spec={"a": 1}, status={"s": 2})
    created = thing(status={"s": 1})
    made.prepare_for_create(created, REQUEST)
    assert "status" not in created


@pytest.mark.parametrize(
    ("subresources", "new", "changed"),
    [
        ({"status": {}}, {"status": {"s": 2}}, False),
        ({"status": {}}, {"spec": {"a": 2}}, True),
        ({}, {"status": {"s": 2}}, True),
        ({}, {"metadata": {"labels": {"a": "b"}}}, False),
        ({"status": {}}, {"other": 1}, True),
    ],
)
def test_what_raises_the_generation(subresources: dict[str, Any], new: dict[str, Any], changed: bool) -> None:
    made = strategy({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, subresources=subresources)
    old = thing(spec={"a": 1}, status={"s": 1})
    assert made.spec_changed({**old, **new}, old) is changed


SCALE = ScalePaths(".spec.n", ".status.n", ".status.sel")


def test_scale_reads_and_writes_its_paths() -> None:
    found = thing(
        metadata={"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "1", "labels": {"x": "y"}},
        spec={"n": 3},
        status={"n": 2, "sel": "a=b"},
    )
    scale = SCALE.read(found)
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    assert "labels" not in scale["metadata"]
    SCALE.write(found, 5)
    assert found["spec"]["n"] == 5
    with pytest.raises(AccessorError):
        SCALE.read(thing(spec={}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"n": -1}, "Invalid value: -1: should be a non-negative integer"),
        ({"n": 2**31}, "Invalid value: 2147483648: should be less than or equal to 2147483647"),
        ({"n": 2.0}, "Invalid value: 0: .spec.n accessor error: 2 is of the type float64, expected int64"),
        ({"n": "many"}, "Invalid value: 0: .spec.n accessor error: many is of the type string, expected int64"),
    ],
)
def test_replicas_that_cannot_be(spec: dict[str, Any], message: str) -> None:
    assert [(c.field, c.message) for c in SCALE.spec_causes(thing(spec=spec))] == [(".spec.n", message)]


def test_columns_of_a_custom_kind() -> None:
    columns = CustomColumns(
        [
            {"name": "Color", "type": "string", "jsonPath": ".spec.color", "description": "The paint."},
            {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
            {"name": "Ports", "type": "string", "jsonPath": ".spec.ports[*].name", "priority": 1},
            {"name": "Map", "type": "string", "jsonPath": ".spec.map"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ]
    )
    found = thing(
        metadata={"name": "a", "creationTimestamp": "2025-12-31T23:00:00Z"},
        spec={"color": "red", "n": 2.0, "ports": [{"name": "x"}, {"name": "y"}], "map": {"b": 1, "a": "<"}},
        status={"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
    )
    assert columns.cells(found, NOW) == ["a", "red", 2, "True", "x", '{"a":"\\u003c","b":1}', "60m"]
    assert columns.cells(thing(), NOW) == ["a", None, None, None, None, None, None]
    assert [(d["name"], d["format"], d["priority"]) for d in columns.definitions()][:2] == [("Name", "name", 0), ("Color", "", 0)]
    assert columns.definitions()[2]["description"] == "Custom resource definition column (in JSONPath format): .spec.n"
    assert [d["name"] for d in CustomColumns(None).definitions()] == ["Name", "Age"]


DATA = {"a": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "m": {"b.c": {"d": 1}, "e": None}, "n": 0}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".n", [0]),
        ("$.n", [0]),
        (".a[0].k", ["x"]),
        (".a[-1].v", [2]),
        (".a[5]", []),
        (".a[*].v", [1, 2]),
        (".a[0:1].k", ["x"]),
        (".a[?(@.v>1)].k", ["y"]),
        (".a[?(@.k=='x')].v", [1]),
        ('.a[?(@.k!="x")].v', [2]),
        (".m['b.c'].d", [1]),
        (r".m.b\.c.d", [1]),
        (".m.e", [None]),
        (".zz.y", []),
        ("..v", [1, 2]),
        (".m.*.d", [1]),
        (".a[0,1].k", ["x", "y"]),
    ],
)
def test_json_path(path: str, found: list[Any]) -> None:
    assert compile_path(path)(DATA) == found


@pytest.mark.parametrize("path", [".a[", ".a[x", ".a[?(]", ".a..[", ".a[1.5]"])
def test_malformed_json_paths(path: str) -> None:
    with pytest.raises(JsonPathError):
        compile_path(path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (3600, "60m"),
        (3 * 3600 + 300, "3h5m"),
        (24 * 3600, "24h"),
        (3 * 86400 + 3600, "3d1h"),
        (100 * 86400, "100d"),
        (800 * 86400, "2y70d"),
        (-5, "<invalid>"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize("made", all_crds(), ids=lambda made: made["metadata"]["name"])
def test_our_own_definitions_are_valid_and_pass_through_the_decoder(made: dict[str, Any]) -> None:
    found = copy.deepcopy(made)
    own = DefinitionStrategy()
    assert list(own.decode(found).unknown) == []
    own.default(found)
    own.prepare_for_create(found, REQUEST)
    assert own.validate(found, REQUEST) == []
    assert served(found)
