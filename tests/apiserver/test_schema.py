"""Structural schemas: pruning, defaulting, validation; and reading built-in objects."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raysail.api.openapi import SchemaNode, builtin_node
from raysail.apiserver.schema import DecodeError, StructuralSchema, decode
from raysail.apiserver.schema.acceptance import compile_acceptance
from raysail.apiserver.schema.explanation import explain
from raysail.apiserver.schema.formats import text_format
from raysail.apiserver.schema.patterns import PatternError, compile_pattern

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def structural(**properties: Any) -> StructuralSchema:
    """A kind whose spec has these fields."""
    return StructuralSchema({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def obj(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "a"}, "spec": spec}


@dataclass
class Case:
    rule: str
    schema: dict[str, Any]
    value: Any
    faults: list[tuple[str, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.rule


@pytest.mark.parametrize(
    ("name", "schema", "given", "kept", "unknown"),
    [
        ("unknown fields go", {"a": TEXT}, {"a": "x", "b": 1}, {"a": "x"}, ["spec.b"]),
        (
            "inside lists too",
            {"l": {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}},
            {"l": [{"a": "1", "z": 2}]},
            {"l": [{"a": "1"}]},
            ["spec.l[0].z"],
        ),
        (
            "map values are pruned by their schema",
            {"m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": TEXT}}}},
            {"m": {"k": {"a": "1", "b": 2}}},
            {"m": {"k": {"a": "1"}}},
            ["spec.m.k.b"],
        ),
        (
            "preserved objects keep all",
            {
                "p": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {"type": "object", "properties": {}}},
                }
            },
            {"p": {"z": {"deep": [1, {"x": None}]}, "a": {"gone": 1}}},
            {"p": {"z": {"deep": [1, {"x": None}]}, "a": {}}},
            ["spec.p.a.gone"],
        ),
        ("null without default goes", {"a": TEXT}, {"a": None}, {}, []),
        ("null stays where nullable", {"a": {"type": "string", "nullable": True}}, {"a": None}, {"a": None}, []),
        ("null waits for its default", {"a": {"type": "string", "default": "d"}}, {"a": None}, {"a": "d"}, []),
        ("nullable with default keeps null", {"a": {"type": "string", "nullable": True, "default": "d"}}, {"a": None}, {"a": None}, []),
        ("defaults fill in", {"a": {"type": "string", "default": "d"}}, {}, {"a": "d"}, []),
        (
            "defaults inside what is there",
            {"o": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}},
            {"o": {}},
            {"o": {"a": 1}},
            [],
        ),
        ("no defaults inside what is not", {"o": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}}, {}, {}, []),
        (
            "defaults of defaults",
            {"o": {"type": "object", "default": {}, "properties": {"a": {"type": "integer", "default": 1}}}},
            {},
            {"o": {"a": 1}},
            [],
        ),
        (
            "list items get defaults",
            {"l": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}}},
            {"l": [{}, {"a": 2}]},
            {"l": [{"a": 1}, {"a": 2}]},
            [],
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_prune_and_default(name: str, schema: dict[str, Any], given: Any, kept: Any, unknown: list[str]) -> None:
    compiled = structural(**schema)
    found = obj(**given)
    assert compiled.prune(found) == unknown
    compiled.default(found)
    assert found["spec"] == kept


def test_defaults_are_not_shared_between_objects() -> None:
    compiled = structural(o={"type": "object", "default": {"l": []}, "properties": {"l": {"type": "array", "items": TEXT}}})
    first, second = obj(), obj()
    compiled.default(first)
    first["spec"]["o"]["l"].append("x")
    compiled.default(second)
    assert second["spec"]["o"] == {"l": []}


def test_unknown_top_level_fields_are_named_and_metadata_is_not_touched() -> None:
    found = obj() | {"top": 1}
    assert structural().prune(found) == ["top"]
    assert found["metadata"] == {"name": "a"}


def test_embedded_metadata_is_read_as_object_metadata() -> None:
    compiled = structural(t={"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True})
    found = obj(t={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "odd": 1}, "spec": {"any": "thing"}})
    assert compiled.prune(found) == ["spec.t.metadata.odd"]
    assert compiled.faults(found) == []
    with pytest.raises(DecodeError, match=r"spec\.t\.metadata"):
        compiled.prune(obj(t={"metadata": {"labels": {"a": 5}}}))
    missing = compiled.faults(obj(t={"metadata": {}}))
    assert [(c.reason, c.field) for c in missing] == [("FieldValueRequired", "spec.t.apiVersion"), ("FieldValueRequired", "spec.t.kind")]


INVALID, TYPE, REQUIRED = "FieldValueInvalid", "FieldValueTypeInvalid", "FieldValueRequired"


@pytest.mark.parametrize(
    "case",
    [
        Case("type", WHOLE, "x", [(TYPE, "spec.f", 'Invalid value: "string": spec.f in body must be of type integer: "string"')]),
        Case("a whole float is an integer", WHOLE, 2.0),
        Case(
            "a broken one is not",
            WHOLE,
            2.5,
            [
                (TYPE, "spec.f", 'Invalid value: "number": spec.f in body must be of type integer: "number"'),
                (INVALID, "<nil>", 'Invalid value: "": Checked value must be of type integer (default format) in spec.f'),
            ],
        ),
        Case("an integer is a number", {"type": "number"}, 1),
        Case(
            "true is no integer",
            WHOLE,
            True,
            [(TYPE, "spec.f", 'Invalid value: "boolean": spec.f in body must be of type integer: "boolean"')],
        ),
        Case(
            "int32",
            {"type": "integer", "format": "int32"},
            2**31,
            [(INVALID, "<nil>", 'Invalid value: "": Checked value must be of type integer with format int32 in spec.f')],
        ),
        Case("int or string takes both", {"x-kubernetes-int-or-string": True}, "80%"),
        Case(
            "int or string",
            {"x-kubernetes-int-or-string": True},
            1.5,
            [(TYPE, "spec.f", 'Invalid value: "number": spec.f in body must be of type integer,string: "number"')],
        ),
        Case(
            "enum",
            {"type": "string", "enum": ["a", "b"]},
            "c",
            [("FieldValueNotSupported", "spec.f", 'Unsupported value: "c": supported values: "a", "b"')],
        ),
        Case(
            "pattern",
            {"type": "string", "pattern": "^a+$"},
            "b",
            [(INVALID, "spec.f", "Invalid value: \"b\": spec.f in body should match '^a+$'")],
        ),
        Case(
            "maxLength",
            {"type": "string", "maxLength": 2},
            "abc",
            [("FieldValueTooLong", "spec.f", "Too long: may not be more than 2 bytes")],
        ),
        Case("maxLength counts characters", {"type": "string", "maxLength": 2}, "éé"),
        Case(
            "minLength",
            {"type": "string", "minLength": 1},
            "",
            [(INVALID, "spec.f", 'Invalid value: "": spec.f in body should be at least 1 chars long')],
        ),
        Case(
            "format",
            {"type": "string", "format": "date-time"},
            "now",
            [(TYPE, "spec.f", 'Invalid value: "now": spec.f in body must be of type date-time: "now"')],
        ),
        Case("unknown formats are not checked", {"type": "string", "format": "poem"}, "x"),
        Case(
            "maximum",
            {"type": "integer", "maximum": 3},
            4,
            [(INVALID, "spec.f", "Invalid value: 4: spec.f in body should be less than or equal to 3")],
        ),
        Case(
            "exclusive minimum",
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            0,
            [(INVALID, "spec.f", "Invalid value: 0: spec.f in body should be greater than 0")],
        ),
        Case(
            "multipleOf",
            {"type": "integer", "multipleOf": 5},
            7,
            [(INVALID, "spec.f", "Invalid value: 7: spec.f in body should be a multiple of 5")],
        ),
        Case("multipleOf of fractions", {"type": "number", "multipleOf": 0.1}, 0.3),
        Case(
            "maxItems",
            {"type": "array", "items": WHOLE, "maxItems": 1},
            [1, 2],
            [("FieldValueTooMany", "spec.f", "Too many: 2: must have at most 1 item")],
        ),
        Case(
            "minItems",
            {"type": "array", "items": WHOLE, "minItems": 1},
            [],
            [(INVALID, "spec.f", "Invalid value: 0: spec.f in body should have at least 1 items")],
        ),
        Case(
            "maxProperties",
            {"type": "object", "additionalProperties": WHOLE, "maxProperties": 1},
            {"a": 1, "b": 2},
            [("FieldValueTooMany", "spec.f", "Too many: 2: must have at most 1 item")],
        ),
        Case("required", {"type": "object", "required": ["a"], "properties": {"a": TEXT}}, {}, [(REQUIRED, "spec.f.a", "Required value")]),
        Case(
            "items have indexes",
            {"type": "array", "items": WHOLE},
            [1, "x"],
            [(TYPE, "spec.f[1]", 'Invalid value: "string": spec.f[1] in body must be of type integer: "string"')],
        ),
        Case(
            "set",
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
            ["a", "b", "a", "a"],
            [("FieldValueDuplicate", "spec.f[2]", 'Duplicate value: "a"')],
        ),
        Case(
            "map",
            {
                "type": "array",
                "items": {"type": "object", "properties": {"k": TEXT}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            [{"k": "a"}, {"k": "a"}],
            [("FieldValueDuplicate", "spec.f[1]", 'Duplicate value: {"k":"a"}')],
        ),
        Case(
            "oneOf, none",
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            [
                (INVALID, "<nil>", 'Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found none valid'),
                (REQUIRED, "spec.f.a", "Required value"),
            ],
        ),
        Case(
            "oneOf, two",
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": "1", "b": "2"},
            [(INVALID, "<nil>", 'Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives')],
        ),
        Case(
            "anyOf",
            {"type": "integer", "anyOf": [{"maximum": 1}, {"minimum": 5}]},
            3,
            [
                (INVALID, "<nil>", 'Invalid value: "": "spec.f" must validate at least one schema (anyOf)'),
                (INVALID, "spec.f", "Invalid value: 3: spec.f in body should be less than or equal to 1"),
            ],
        ),
        Case(
            "not",
            {"type": "integer", "not": {"enum": [3]}},
            3,
            [(INVALID, "<nil>", 'Invalid value: "": "spec.f" must not validate the schema (not)')],
        ),
    ],
    ids=str,
)
def test_faults(case: Case) -> None:
    found = structural(f=case.schema).faults(obj(f=case.value))
    assert [(c.reason, c.field, c.message) for c in found] == case.faults


def test_faults_in_unchanged_parts_are_forgiven() -> None:
    compiled = structural(
        a={"type": "string", "maxLength": 1},
        b={"type": "string", "maxLength": 1},
        l={"type": "array", "items": {"type": "string", "maxLength": 1}},
    )
    old = obj(a="long", b="x", l=["long"])
    new = obj(a="long", b="longer", l=["long"])
    assert [c.field for c in compiled.faults(new, old)] == ["spec.b"]
    assert [c.field for c in compiled.faults(obj(a="longer", l=["long", "x"]), old)] == ["spec.a", "spec.l[0]"]


def test_items_of_keyed_lists_correlate_by_their_keys() -> None:
    items = {"type": "object", "properties": {"k": TEXT, "v": {"type": "string", "maxLength": 1}}}
    compiled = structural(l={"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items})
    old = obj(l=[{"k": "a", "v": "long"}, {"k": "b", "v": "x"}])
    new = obj(l=[{"k": "b", "v": "longer"}, {"k": "a", "v": "long"}])
    assert [c.field for c in compiled.faults(new, old)] == ["spec.l[0].v"]


def test_items_without_keys_have_no_old_value_to_be_forgiven_by() -> None:
    item = {"type": "object", "properties": {"k": TEXT, "v": {"type": "string", "maxLength": 1}}, "required": ["k"]}
    compiled = structural(l={"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}, b=TEXT)
    assert [c.field for c in compiled.faults(obj(l=[{"v": "x"}], b="new"), obj(l=[{"v": "x"}], b="old"))] == ["spec.l[0].k"]


def test_a_field_the_schema_does_not_describe_makes_its_place_count_as_changed() -> None:
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 1}
    compiled = structural(free=open_schema, known={"type": "object", "properties": {"a": TEXT, "b": TEXT}, "maxProperties": 1})
    same = obj(free={"a": "1", "b": "2"}, known={"a": "1", "b": "2"})
    assert [c.field for c in compiled.faults(same, copy.deepcopy(same))] == ["spec.free"]


def test_a_status_is_judged_alone() -> None:
    compiled = StructuralSchema(
        {
            "type": "object",
            "required": ["spec"],
            "properties": {"status": {"type": "object", "properties": {"phase": {"type": "string", "enum": ["A"]}}}},
        }
    )
    found = compiled.status_faults({"status": {"phase": "B"}}, {"status": {}})
    assert [(c.field, c.reason) for c in found] == [("status.phase", "FieldValueNotSupported")]
    assert compiled.status_faults({"status": {"phase": "A"}}, {"status": {}}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0]) | st.sampled_from(["", "a", "bb", "ccc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    scalar = st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={
                "maxLength": st.integers(0, 2),
                "minLength": st.integers(0, 2),
                "pattern": st.just("^a"),
                "enum": st.just(["a", "bb"]),
                "nullable": st.booleans(),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])},
            optional={
                "minimum": st.integers(-1, 1),
                "maximum": st.integers(0, 2),
                "multipleOf": st.integers(1, 2),
                "exclusiveMinimum": st.booleans(),
                "nullable": st.booleans(),
                "enum": st.just([1, 2]),
            },
        ),
        st.just({"type": "boolean"}),
        st.just({"x-kubernetes-int-or-string": True}),
        st.just({"x-kubernetes-preserve-unknown-fields": True}),
    )

    def deeper(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        names = st.sampled_from(["a", "b", "c"])
        conditions = st.lists(
            st.sampled_from([{"required": ["a"]}, {"required": ["b"]}, {"maxProperties": 1}, {"minItems": 1}]), min_size=1, max_size=2
        )
        combined = {"anyOf": conditions, "oneOf": conditions, "allOf": conditions, "not": st.just({"required": ["c"]})}
        return st.one_of(
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
                optional={"required": st.lists(names, max_size=2, unique=True), "maxProperties": st.integers(0, 2), **combined},
            ),
            st.fixed_dictionaries(
                {"type": st.just("object"), "additionalProperties": inner}, optional={"minProperties": st.integers(0, 2)}
            ),
            st.fixed_dictionaries(
                {"type": st.just("array"), "items": inner}, optional={"maxItems": st.integers(0, 2), "uniqueItems": st.booleans()}
            ),
        )

    return st.recursive(scalar, deeper, max_leaves=4)


@settings(max_examples=300, deadline=None)
@example({"type": "string", "pattern": "^a", "maxLength": 2}, "a")
@example({"type": "integer", "minimum": 0}, 1)
@example({"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}, {"a": "bb"})
@given(_schemas(), JSON)
def test_the_fast_and_the_wordy_validation_agree(schema: dict[str, Any], value: Any) -> None:
    node = SchemaNode(schema)
    assert compile_acceptance(node)(value) == (explain(node, value) == [])


@settings(max_examples=200, deadline=None)
@given(_schemas(), JSON)
def test_pruning_and_defaulting_twice_is_once(schema: dict[str, Any], value: Any) -> None:
    compiled = structural(f=schema)
    found = obj(f=value)
    compiled.prune(found)
    compiled.default(found)
    again = copy.deepcopy(found)
    assert compiled.prune(again) == []
    compiled.default(again)
    assert again == found


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a$", "a\n", False),
        (r"a\z", "a", True),
        ("^[[:alpha:]]+$", "abc", True),
        (r"^\d$", "٣", False),
        (r"^\pL+$", "éa", True),
        (r"^\p{Lu}$", "a", False),
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        ("(?i)abc", "ABC", True),
        ("a(?i)b", "aB", True),
        ("a(?i)b", "AB", False),
        ("(a(?i)b)c", "aBC", False),
        (r"[^\s]", "\v", True),
        (r"x{2,}", "xx", True),
        ("a{,2}", "a{,2}", True),
        ("(?P<n>a)", "a", True),
        ("(?<n>a)", "a", True),
        ("(?U)^a+", "aa", True),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", True),
        (r"[]a]", "]", True),
        (r"[a\-z]", "-", True),
        (r"[&&]", "&", True),
        ("^x(?i)|y$", "Y", True),
        ("(?i)é", "É", True),
        (r"\bé", "aé", True),
        (r"^?\b*a$+", "a", True),
        (r"^\B$", "", True),
    ],
)
def test_patterns_mean_what_go_says(pattern: str, text: str, matches: bool) -> None:
    assert (compile_pattern(pattern).search(text) is not None) is matches


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)", "[a", "*a", "a**", r"(?=a)", r"(?<=a)", r"(a)\1", "a{1001}", "a{2,1}", r"\y", r"\C", "(?P<n", "(?z)", r"\p{Nope}"],
)
def test_patterns_that_go_refuses(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2020-01-01T00:00:00.5+01:00", "2020-01-01"),
        ("date", "2024-02-29", "2023-02-29"),
        ("duration", "1h30m", "soon"),
        ("byte", "aGk=", "a"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("mac", "00:11:22:33:44:55", "00:11"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("hostname", "a.example.com", "-a"),
        ("email", "a@b.c", "a"),
        ("uri", "https://a/b", "a b"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("k8s-short-name", "a-1", "A"),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    check = text_format(name)
    assert check is not None
    assert check(good)
    assert not check(bad)


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}], **spec}}


POD = builtin_node("io.k8s.api.core.v1.Pod")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pod(hostNetwork="yes"), "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"),
        (
            pod(containers={"name": "c"}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (pod(priority=2**31), "json: cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority of type int32"),
        (pod(priority=1.5), "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"),
        (
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"metadata": {"creationTimestamp": "today"}},
            'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"',
        ),
        (pod(containers=[{"name": "c", "resources": {"limits": {"cpu": "x"}}}]), "quantities must match the regular expression"),
    ],
)
def test_wrong_types_of_built_in_fields_in_gos_words(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(POD, given)
    assert message in str(refused.value)


def test_reading_a_built_in_object() -> None:
    given = pod(
        nodeName=None,
        bogus=1,
        nodeSelector={},
        containers=[{"name": "c", "odd": True, "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}, "env": []}],
        tolerations=[None],
    )
    found, unknown = decode(POD, given)
    assert sorted(unknown) == ["spec.bogus", "spec.containers[0].odd"]
    assert found["spec"] == {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}], "tolerations": [{}]}


def test_micro_times_need_a_fraction() -> None:
    lease = builtin_node("io.k8s.api.coordination.v1.Lease")
    found, _ = decode(lease, {"spec": {"renewTime": "2020-01-01T01:00:00.000001+01:00"}})
    assert found["spec"]["renewTime"] == "2020-01-01T00:00:00.000001Z"
    with pytest.raises(DecodeError):
        decode(lease, {"spec": {"renewTime": "2020-01-01T00:00:01Z"}})
