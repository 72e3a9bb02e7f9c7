"""Patches: what each does, what each refuses, and that none changes what it was given."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysail.api.errors import StatusError
from raysail.api.openapi import builtin_node
from raysail.apiserver.patch import apply_json_patch, apply_merge_patch, apply_strategic_patch, json_patch_unknown_fields, unreadable

POD_TEMPLATE = builtin_node("io.k8s.api.core.v1.PodTemplate")
SERVICE = builtin_node("io.k8s.api.core.v1.Service")


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ([{"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0}], {"l": [0, 1, 2, 3], "m": {"a/b": 1}}),
        ([{"op": "replace", "path": "/l/-1", "value": 9}], {"l": [1, 9], "m": {"a/b": 1}}),
        ([{"op": "replace", "path": "/absent", "value": 9}], {"l": [1, 2], "m": {"a/b": 1}, "absent": 9}),
        ([{"op": "remove", "path": "/m/a~1b"}], {"l": [1, 2], "m": {}}),
        ([{"op": "move", "from": "/l", "path": "/m/k"}], {"m": {"a/b": 1, "k": [1, 2]}}),
        (
            [{"op": "copy", "from": "/m", "path": "/n"}, {"op": "add", "path": "/n/x", "value": 1}],
            {"l": [1, 2], "m": {"a/b": 1}, "n": {"a/b": 1, "x": 1}},
        ),
        ([{"op": "test", "path": "/absent", "value": None}], {"l": [1, 2], "m": {"a/b": 1}}),
        ([{"op": "add", "path": "/n"}], {"l": [1, 2], "m": {"a/b": 1}, "n": None}),
        ([{"op": "replace", "path": "", "value": {"x": 1}}], {"x": 1}),
        (None, {"l": [1, 2], "m": {"a/b": 1}}),
    ],
    ids=json.dumps,
)
def test_json_patch(patch: Any, result: Any) -> None:
    current = {"l": [1, 2], "m": {"a/b": 1}}
    before = copy.deepcopy(current)
    assert apply_json_patch(current, patch) == result
    assert current == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": 1.0},
        {"op": "remove", "path": "/none"},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "add", "path": "/l/99", "value": 1},
        {"op": "add", "path": "/l/1_0", "value": 1},
        {"op": "replace", "path": "/l/5", "value": 1},
        {"op": "move", "from": "/none", "path": "/x"},
        {"op": "frob", "path": "/a"},
        {"op": "add", "value": 1},
        {"op": "replace", "path": "", "value": 3},
    ],
    ids=json.dumps,
)
def test_json_patch_refuses_what_it_cannot_do(operation: Any) -> None:
    with pytest.raises(StatusError) as refused:
        apply_json_patch({"a": 1, "l": []}, [operation])
    status = refused.value.to_status()
    assert (status["code"], status["reason"], status["details"]) == (422, "Invalid", {})
    assert status["message"] == "the server rejected our request due to an error in our request"


def test_json_patch_refuses_other_forms() -> None:
    with pytest.raises(StatusError, match=r"cannot unmarshal object into Go value of type \[\]handlers.jsonPatchOp"):
        apply_json_patch({}, {"spec": {}})
    with pytest.raises(StatusError, match=r"cannot unmarshal number into Go struct field jsonPatchOp.op of type string"):
        apply_json_patch({}, [{"op": 1}])
    with pytest.raises(StatusError, match="allowed maximum operations in a JSON patch is 10000, got 10001") as refused:
        apply_json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 10_001)
    assert refused.value.code == 413
    assert json_patch_unknown_fields([{"op": "add", "path": "/a", "frob": 1}]) == ['json patch unknown field "[0].frob"']


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_json_patch_reaches_what_another_library_computes(before: Any, after: Any) -> None:
    kept = copy.deepcopy(before)
    assert apply_json_patch(before, jsonpatch.make_patch(before, after).patch) == after
    assert before == kept


@pytest.mark.parametrize(
    ("current", "patch", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": [1, {"b": 1}]}, {"a": [{"b": None, "c": None}, None]}, {"a": [{}, None]}),
        ({"a": {"b": 1}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
        ({}, {"x": None}, {}),
        ({"a": 1}, {}, {"a": 1}),
    ],
    ids=str,
)
def test_merge_patch(current: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(current)
    assert apply_merge_patch(current, patch) == result
    assert current == before


def test_merge_patch_shares_what_it_does_not_touch() -> None:
    current = {"spec": {"template": {"a": 1}, "replicas": 1}}
    patched = apply_merge_patch(current, {"spec": {"replicas": 2}})
    assert patched["spec"]["template"] is current["spec"]["template"]


@pytest.mark.parametrize("patch", [[], "x", 5])
def test_merge_patch_must_be_an_object(patch: Any) -> None:
    with pytest.raises(
        StatusError, match=r"error decoding patch: json: cannot unmarshal (array|string|number) into Go value of type map"
    ) as refused:
        apply_merge_patch({}, patch)
    assert refused.value.code == 400


def _template(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"finalizers": ["a.io/x"]}, "template": {"metadata": {"labels": {"l": "1"}}, "spec": spec}}


def _names(obj: dict[str, Any], field: str = "containers") -> list[str]:
    return [item["name"] for item in obj["template"]["spec"][field]]


class TestStrategic:
    def patch(self, current: Any, patch: Any) -> Any:
        before, patch_before = copy.deepcopy(current), copy.deepcopy(patch)
        result = apply_strategic_patch(current, patch, POD_TEMPLATE)
        assert (current, patch) == (before, patch_before)
        return result

    def spec(self, current: Any, patch: Any) -> Any:
        return self.patch(_template(**current), {"template": {"spec": patch}})["template"]["spec"]

    def test_items_merge_by_their_key(self) -> None:
        containers = [{"name": "a", "image": "i", "args": ["x"]}, {"name": "b", "image": "j"}]
        assert self.spec({"containers": containers}, {"containers": [{"name": "b", "image": "k"}]}) == {
            "containers": [containers[0], {"name": "b", "image": "k"}]
        }
        assert self.spec({"containers": containers}, {"containers": [{"name": "a", "args": ["z"]}]})["containers"][0]["args"] == ["z"]

    def test_new_items_come_first_unless_an_order_is_given(self) -> None:
        current = _template(containers=[{"name": "a"}, {"name": "b"}])
        assert _names(self.patch(current, {"template": {"spec": {"containers": [{"name": "c"}]}}})) == ["c", "a", "b"]
        ordered = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}], "containers": [{"name": "c"}]}
        assert _names(self.patch(current, {"template": {"spec": ordered}})) == ["b", "a", "c"]
        assert _names(self.patch(current, {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}})) == [
            "b",
            "a",
        ]

    def test_delete_and_replace_directives(self) -> None:
        containers = {"containers": [{"name": "a"}, {"name": "b"}]}
        assert self.spec(containers, {"containers": [{"name": "a", "$patch": "delete"}]}) == {"containers": [{"name": "b"}]}
        assert self.spec(containers, {"containers": [{"$patch": "replace"}, {"name": "c"}]}) == {"containers": [{"name": "c"}]}
        assert self.patch(_template(), {"template": {"metadata": {"labels": {"$patch": "replace", "only": "me"}}}})["template"][
            "metadata"
        ] == {"labels": {"only": "me"}}
        assert self.patch(_template(), {"template": {"metadata": {"$patch": "delete"}}})["template"]["metadata"] == {}

    def test_lists_of_primitives(self) -> None:
        assert self.patch(_template(), {"metadata": {"finalizers": ["b.io/y"]}})["metadata"]["finalizers"] == ["b.io/y", "a.io/x"]
        assert self.patch(_template(), {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.io/x"]}})["metadata"]["finalizers"] == []
        ordered = {"$setElementOrder/finalizers": ["c.io/z", "a.io/x"], "finalizers": ["c.io/z"]}
        assert self.patch(_template(), {"metadata": ordered})["metadata"]["finalizers"] == ["c.io/z", "a.io/x"]

    def test_retain_keys(self) -> None:
        volume = {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
        assert self.spec({"volumes": [{"name": "v", "emptyDir": {}}]}, {"volumes": [volume]}) == {
            "volumes": [{"name": "v", "hostPath": {"path": "/x"}}]
        }

    def test_lists_without_a_key_are_replaced(self) -> None:
        assert self.spec({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}) == {"tolerations": [{"key": "b"}]}

    def test_null_removes(self) -> None:
        assert self.spec({"volumes": [{"name": "v"}], "nodeName": "n"}, {"volumes": None, "nodeName": None, "hostname": None}) == {}

    def test_ports_merge_by_number(self) -> None:
        service = {"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 81, "name": "other"}]}}
        patched = apply_strategic_patch(service, {"spec": {"ports": [{"port": 81, "name": "new"}]}}, SERVICE)
        assert patched["spec"]["ports"] == [{"port": 80, "name": "http"}, {"port": 81, "name": "new"}]

    @pytest.mark.parametrize(
        ("patch", "code", "text"),
        [
            (
                {"template": {"spec": {"containers": [{"image": "x"}]}}},
                500,
                r"map: map\[image:x\] does not contain declared merge key: name",
            ),
            ({"template": {"$patch": "frob"}}, 500, r"unknown patch type: frob in map: map\[\$patch:frob\]"),
            ({"template": {"spec": {"containers": [{"$patch": "merge", "name": "a"}]}}}, 500, "merging lists cannot yet be specified"),
            (
                {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}}},
                500,
                "The order in patch list",
            ),
            (
                {"template": {"spec": {"$setElementOrder/frobs": []}}},
                500,
                'unable to find api field in struct PodSpec for the json field "frobs"',
            ),
            (
                {"template": {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name"], "emptyDir": {}}]}}},
                400,
                "invalid patch format of retainKeys",
            ),
            ([], 400, "cannot unmarshal array into Go value"),
        ],
        ids=str,
    )
    def test_refusals(self, patch: Any, code: int, text: str) -> None:
        with pytest.raises(StatusError, match=text) as refused:
            apply_strategic_patch(_template(containers=[{"name": "a"}], volumes=[{"name": "v"}]), patch, POD_TEMPLATE)
        assert refused.value.code == code


def test_an_unreadable_result_shows_it() -> None:
    status = unreadable({"data": {"a": 5}}, "json: wrong").to_status()
    assert status["message"] == ' "" is invalid: patch: Invalid value: "{\\"data\\":{\\"a\\":5}}": json: wrong'
    assert status["details"]["causes"][0]["field"] == "patch"
    assert unreadable({"b": [1, None], "a": True}, "x", strategic=True).causes[0].message == 'Invalid value: "map[a:true b:[1 <nil>]]": x'
