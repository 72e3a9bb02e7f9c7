"""Server-side apply: who owns what after which write, what is refused, what is removed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from raysail.api.errors import StatusError
from raysail.api.openapi import SchemaNode, builtin_node
from raysail.apiserver.apply import FieldManager, from_scale, name_from_user_agent, reset_fields, settle_times, to_scale

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GADGET = SchemaNode(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "color": {"type": "string"},
                    "size": {"type": "integer"},
                    "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "order": {"type": "array", "items": {"type": "string"}},
                    "frozen": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
                    "options": {"type": "object", "additionalProperties": {"type": "string"}},
                    "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "doors": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name", "side"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "side": {"type": "string", "default": "left"},
                                "width": {"type": "integer"},
                                "paint": {"type": "object", "properties": {"coat": {"type": "integer"}}},
                            },
                        },
                    },
                },
            },
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
)


def gadget(spec: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {"apiVersion": "x.io/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    if spec is not None:
        obj["spec"] = dict(spec)
    return obj | more


def manager_of_gadgets(subresource: str = "") -> FieldManager:
    reset = reset_fields("Gadget", subresource, has_status=True, custom=True)
    return FieldManager(GADGET, "x.io/v1", "Gadget", subresource, reset)


class Object:
    """A live object and the writes that happen to it."""

    def __init__(self) -> None:
        self.live: dict[str, Any] | None = None
        self.now = NOW

    def apply(self, manager: str, obj: dict[str, Any], *, force: bool = False, subresource: str = "") -> dict[str, Any]:
        given = copy.deepcopy((self.live, obj))
        live = manager_of_gadgets(subresource).apply(self.live, obj, manager=manager, force=force, now=self.now)
        assert (self.live, obj) == given
        self.live = live
        return live

    def update(self, manager: str, new: dict[str, Any], subresource: str = "") -> None:
        entries = manager_of_gadgets(subresource).track(self.live, new, manager=manager, now=self.now)
        self.live = copy.deepcopy(new)
        self.live["metadata"].pop("managedFields", None)
        if entries is not None:
            self.live["metadata"]["managedFields"] = entries

    def change(self, manager: str, **spec: Any) -> None:
        assert self.live is not None
        new = copy.deepcopy(self.live)
        for name, value in spec.items():
            if value is None:
                new["spec"].pop(name)
            else:
                new["spec"][name] = value
        self.update(manager, new)

    @property
    def spec(self) -> Any:
        assert self.live is not None
        return self.live.get("spec")

    def owners(self) -> dict[str, Any]:
        assert self.live is not None
        return {f"{e['manager']}/{e['operation']}": e["fieldsV1"] for e in self.live["metadata"].get("managedFields", [])}


def test_an_apply_creates_and_owns_exactly_what_it_says() -> None:
    thing = Object()
    thing.apply(
        "one",
        gadget(
            {
                "color": "red",
                "tags": ["a"],
                "order": ["x"],
                "frozen": {"k": "v"},
                "options": {"o": "1"},
                "doors": [{"name": "d", "width": 1}],
            }
        ),
    )
    assert thing.owners() == {
        "one/Apply": {
            "f:spec": {
                "f:color": {},
                "f:tags": {'v:"a"': {}},
                "f:order": {},
                "f:frozen": {},
                "f:options": {"f:o": {}},
                "f:doors": {'k:{"name":"d","side":"left"}': {".": {}, "f:name": {}, "f:width": {}}},
            }
        }
    }
    assert thing.live is not None
    entry = thing.live["metadata"]["managedFields"][0]
    assert {k: entry[k] for k in entry if k != "fieldsV1"} == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "x.io/v1",
        "time": "2026-01-02T03:04:05Z",
        "fieldsType": "FieldsV1",
    }


def test_the_same_apply_again_changes_nothing_not_even_the_time() -> None:
    thing = Object()
    before = thing.apply("one", gadget({"color": "red"}))
    thing.now += timedelta(hours=1)
    assert thing.apply("one", gadget({"color": "red"})) == before


def test_two_managers_share_what_they_agree_on() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "size": 1}))
    thing.apply("two", gadget({"color": "red"}))
    thing.apply("one", gadget({}))
    assert thing.spec == {"color": "red"}
    assert thing.owners() == {"one/Apply": {"f:spec": {}}, "two/Apply": {"f:spec": {"f:color": {}}}}


def test_conflicts_name_their_owner_and_all_places() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "frozen": {"k": "v"}, "doors": [{"name": "d", "width": 1}]}))
    with pytest.raises(StatusError) as refused:
        thing.apply("two", gadget({"color": "blue", "frozen": {"k": "w"}, "doors": [{"name": "d", "width": 2}]}))
    assert refused.value.code == 409
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "one":\n- .spec.color\n- .spec.frozen\n- .spec.doors[name="d",side="left"].width'
    )
    assert {(c.reason, c.message, c.field) for c in refused.value.causes} == {
        ("FieldManagerConflict", 'conflict with "one"', ".spec.color"),
        ("FieldManagerConflict", 'conflict with "one"', ".spec.frozen"),
        ("FieldManagerConflict", 'conflict with "one"', '.spec.doors[name="d",side="left"].width'),
    }


def test_force_takes_over() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "size": 1}))
    thing.apply("two", gadget({"color": "blue"}), force=True)
    assert thing.spec == {"color": "blue", "size": 1}
    assert thing.owners() == {"one/Apply": {"f:spec": {"f:size": {}}}, "two/Apply": {"f:spec": {"f:color": {}}}}


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ({"options": {"a": "1", "b": "2"}}, {"options": {"a": "1"}}, {"options": {"a": "1"}}),
        ({"options": {"a": "1"}, "color": "red"}, {"color": "red"}, {"color": "red"}),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": ["b"]}),
        ({"doors": [{"name": "a"}, {"name": "b", "width": 1}]}, {"doors": [{"name": "b"}]}, {"doors": [{"name": "b"}]}),
        ({"doors": [{"name": "b", "paint": {"coat": 1}}]}, {"doors": [{"name": "b"}]}, {"doors": [{"name": "b"}]}),
        ({"frozen": {"a": "1"}, "size": 1}, {"size": 1}, {"size": 1}),
        ({"extra": {"a": {"b": 1, "c": 2}}}, {"extra": {"a": {"b": 1}}}, {"extra": {"a": {"b": 1}}}),
    ],
    ids=str,
)
def test_what_a_manager_no_longer_applies_goes(first: Any, second: Any, left: Any) -> None:
    thing = Object()
    thing.apply("one", gadget(first))
    thing.apply("one", gadget(second))
    assert thing.spec == left


def test_an_item_stays_while_another_owns_its_key() -> None:
    thing = Object()
    thing.apply("one", gadget({"doors": [{"name": "d", "width": 1}]}))
    thing.apply("two", gadget({"doors": [{"name": "d"}]}))
    thing.apply("one", gadget())
    assert thing.spec == {"doors": [{"name": "d"}]}
    thing.apply("two", gadget())
    assert not (thing.spec or {}).get("doors")


def test_what_nobody_owns_is_left_alone() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "doors": [{"name": "d", "width": 1}]}))
    assert thing.live is not None
    thing.live["spec"]["size"] = 7  # a default, owned by nobody
    thing.live["spec"]["doors"][0]["paint"] = {"coat": 2}
    thing.apply("one", gadget({"doors": [{"name": "d"}]}))
    assert thing.spec == {"size": 7, "doors": [{"name": "d", "paint": {"coat": 2}}]}


def test_items_keep_the_live_order_and_take_the_applied_one_where_they_must() -> None:
    thing = Object()
    thing.apply("one", gadget({"doors": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}))
    thing.apply("two", gadget({"doors": [{"name": "z"}, {"name": "b", "width": 1}]}))
    assert [d["name"] for d in thing.spec["doors"]] == ["a", "z", "b", "c"]
    thing.apply("three", gadget({"doors": [{"name": "c"}, {"name": "a"}]}))
    assert [d["name"] for d in thing.spec["doors"]] == ["z", "b", "c", "a"]


def test_an_update_takes_what_it_changes_and_nothing_else() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "size": 1}))
    thing.change("editor", color="blue")
    assert thing.owners() == {"one/Apply": {"f:spec": {"f:size": {}}}, "editor/Update": {"f:spec": {"f:color": {}}}}
    before = copy.deepcopy(thing.live)
    thing.change("other", color="blue")
    assert thing.live == before
    with pytest.raises(StatusError, match=r'^Apply failed with 1 conflict: conflict with "editor" using x.io/v1: .spec.color$'):
        thing.apply("one", gadget({"color": "red", "size": 1}))


def test_an_update_that_removes_a_field_removes_its_owners() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red", "doors": [{"name": "d"}]}))
    thing.change("editor", doors=None)
    assert thing.owners() == {"one/Apply": {"f:spec": {"f:color": {}}}}


def test_a_create_owns_its_fields_and_their_parents_but_no_identity() -> None:
    thing = Object()
    thing.update(
        "maker", gadget({"color": "red", "options": {"a": "1"}}, metadata={"name": "g", "labels": {"l": "1"}, "finalizers": ["x.io/y"]})
    )
    assert thing.owners() == {
        "maker/Update": {
            "f:metadata": {"f:labels": {".": {}, "f:l": {}}, "f:finalizers": {".": {}, 'v:"x.io/y"': {}}},
            "f:spec": {".": {}, "f:color": {}, "f:options": {".": {}, "f:a": {}}},
        }
    }


def test_main_and_status_writes_own_their_half_only() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red"}, status={"phase": "Old"}))
    assert thing.owners() == {"one/Apply": {"f:spec": {"f:color": {}}}}
    thing.apply("ctl", gadget({"color": "green"}, status={"phase": "New"}), subresource="status", force=True)
    assert thing.owners()["ctl/Apply"] == {"f:status": {"f:phase": {}}}
    with pytest.raises(StatusError, match=r'conflict with "ctl" with subresource "status": .status.phase'):
        thing.apply("other", gadget(None, status={"phase": "Odd"}), subresource="status")


def test_the_first_apply_on_an_object_without_owners_meets_an_owner_of_the_past() -> None:
    thing = Object()
    thing.live = gadget({"color": "red", "size": 1})
    with pytest.raises(StatusError, match=r'conflict with "before-first-apply" using x.io/v1: .spec.color'):
        thing.apply("one", gadget({"color": "blue"}))
    thing.apply("one", gadget({"color": "red"}))
    assert thing.owners()["before-first-apply/Update"]["f:spec"] == {".": {}, "f:color": {}, "f:size": {}}


@pytest.mark.parametrize("reset", [[], [{}]])
def test_owners_can_be_cleared_and_stay_cleared(reset: Any) -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red"}))
    thing.update("any", gadget({"color": "red"}, metadata={"name": "g", "managedFields": reset}))
    assert thing.owners() == {}
    thing.change("any", color="blue")
    assert thing.owners() == {}


def test_owners_that_a_client_leaves_out_or_garbles_are_kept() -> None:
    thing = Object()
    thing.apply("one", gadget({"color": "red"}))
    owners = thing.owners()
    thing.update("any", gadget({"color": "red"}))
    assert thing.owners() == owners
    thing.update("any", gadget({"color": "red"}, metadata={"name": "g", "managedFields": [{"manager": "x", "operation": "Frob"}]}))
    assert thing.owners() == owners


def test_the_oldest_updaters_are_put_together() -> None:
    thing = Object()
    thing.update("m0", gadget({"options": {"k0": "0"}}))
    for number in range(1, 12):
        thing.now += timedelta(seconds=1)
        thing.change(f"m{number}", options={**thing.spec["options"], f"k{number}": "1"})
    names = [name.removesuffix("/Update") for name in thing.owners()]
    assert len(names) == 10
    assert names[0] == "ancient-changes"
    assert set(thing.owners()["ancient-changes/Update"]["f:spec"]["f:options"]) == {".", "f:k0", "f:k1", "f:k2"}


@pytest.mark.parametrize(
    ("config", "code", "text"),
    [
        (
            gadget({"frob": 1}),
            500,
            r"failed to create typed patch object \(/g; x.io/v1, Kind=Gadget\): .spec.frob: field not declared in schema",
        ),
        (gadget({"color": 5}), 500, "failed to create typed patch object .*: .spec.color: expected string"),
        (gadget({"tags": ["a", "a"]}), 500, r'.spec.tags: duplicate entries for key \[="a"\]'),
        (gadget({"doors": [{"width": 1}, {"width": 2}]}), 500, r'duplicate entries for key \[side="left"\]'),
        (gadget({"doors": "x"}), 500, ".spec.doors: expected list, got"),
        (gadget(None, kind="Other"), 400, "invalid object type: x.io/v1, Kind=Other"),
        ({"metadata": {"name": "g"}}, 400, "invalid object type: /, Kind="),
        (gadget(None, metadata={"name": "g", "managedFields": [{"manager": "x"}]}), 400, "metadata.managedFields must be nil"),
    ],
    ids=str,
)
def test_configurations_that_are_refused(config: Any, code: int, text: str) -> None:
    with pytest.raises(StatusError, match=text) as refused:
        Object().apply("one", config)
    assert refused.value.code == code


def test_kubectl_may_take_over_what_its_client_side_apply_set() -> None:
    applied = '{"apiVersion":"x.io/v1","kind":"Gadget","metadata":{"name":"g"},"spec":{"color":"red"}}'
    meta = {"name": "g", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    thing = Object()
    thing.update("kubectl-client-side-apply", gadget({"color": "red", "size": 1}, metadata=meta))
    with pytest.raises(StatusError, match="conflict"):
        thing.apply("other", gadget({"color": "blue"}))
    thing.apply("kubectl", gadget({"color": "blue"}))
    assert thing.spec == {"color": "blue", "size": 1}
    assert thing.live is not None
    assert '"color":"blue"' in thing.live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    with pytest.raises(StatusError, match=r".spec.size"):
        thing.apply("kubectl", gadget({"color": "blue", "size": 2}))


class V2:
    """Version v2 of a gadget calls its color paint."""

    def schema(self, api_version: str) -> SchemaNode | None:
        if api_version != "x.io/v2":
            return None
        return SchemaNode(
            {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {"paint": {"type": "string"}, "size": {"type": "integer"}}}},
            }
        )

    def convert(self, obj: Mapping[str, Any], api_version: str) -> dict[str, Any]:
        names = ("color", "paint") if api_version == "x.io/v2" else ("paint", "color")
        spec = {names[1] if key == names[0] else key: value for key, value in (obj.get("spec") or {}).items()}
        return {**obj, "apiVersion": api_version, "spec": spec}


def test_owners_of_another_version_keep_their_words() -> None:
    manager = FieldManager(GADGET, "x.io/v1", "Gadget", versions=V2())
    live = gadget({"color": "red", "size": 1})
    entry = {
        "manager": "two",
        "operation": "Apply",
        "apiVersion": "x.io/v2",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:paint": {}, "f:size": {}}},
    }
    gone = {
        "manager": "old",
        "operation": "Apply",
        "apiVersion": "x.io/v0",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:tint": {}}},
    }
    live["metadata"]["managedFields"] = [entry, gone]
    with pytest.raises(StatusError, match=r'conflict with "two": .spec.paint'):
        manager.apply(live, gadget({"color": "blue"}), manager="one", force=False, now=NOW)
    forced = manager.apply(live, gadget({"color": "blue"}), manager="one", force=True, now=NOW)
    owners = {e["manager"]: e["fieldsV1"] for e in forced["metadata"]["managedFields"]}
    assert owners == {"two": {"f:spec": {"f:size": {}}}, "one": {"f:spec": {"f:color": {}}}}
    moved = manager.apply(live, gadget({"color": "red"}), manager="two", force=False, now=NOW)
    assert moved["spec"] == {"color": "red"}


def test_a_pod_template_merges_as_kubernetes_says() -> None:
    manager = FieldManager(builtin_node("io.k8s.api.apps.v1.Deployment"), "apps/v1", "Deployment")

    def deployment(*containers: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": list(containers)}}},
        }

    live = manager.apply(
        None, deployment({"name": "a", "image": "i", "ports": [{"containerPort": 80}]}), manager="one", force=False, now=NOW
    )
    live = manager.apply(
        live, deployment({"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}]}), manager="two", force=False, now=NOW
    )
    assert live["spec"]["template"]["spec"]["containers"] == [
        {"name": "a", "image": "i", "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]}
    ]
    fields = live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"a"}']
    assert fields["f:ports"] == {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}


def test_scale_writes_own_the_replicas_of_the_parent() -> None:
    path = ("f:spec", "f:size")
    fields = {"f:spec": {"f:size": {}, "f:color": {}}}
    parent = [{"manager": "one", "operation": "Apply", "apiVersion": "x.io/v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]
    scale = to_scale(parent, {"x.io/v1": path})
    assert scale is not None
    assert (scale[0]["manager"], scale[0]["apiVersion"], scale[0]["fieldsV1"]) == ("one", "autoscaling/v1", {"f:spec": {"f:replicas": {}}})
    taken = [{**scale[0], "manager": "hpa", "operation": "Update", "subresource": "scale"}]
    owners = {e["manager"]: (e["fieldsV1"], e.get("subresource")) for e in from_scale(taken, parent, "x.io/v1", {"x.io/v1": path}) or []}
    assert owners == {"one": ({"f:spec": {"f:color": {}}}, None), "hpa": ({"f:spec": {"f:size": {}}}, "scale")}
    assert from_scale(scale, parent, "x.io/v1", {"x.io/v1": path}) == parent


def test_only_times_of_owners_make_no_difference() -> None:
    def at(time: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": "g", "managedFields": [{"manager": "m", "time": time}]}, "spec": spec}

    assert settle_times(at("2"), at("1"))
    assert not settle_times(at("2", a=1), at("1"))


@pytest.mark.parametrize(
    ("agent", "name"), [("my-tool/2.0 (linux)", "my-tool"), ("", ""), ("a\x00b/1", "ab"), ("ä" * 100, "ä" * 64), ("kubectl", "kubectl")]
)
def test_the_user_agent_names_a_manager(agent: str, name: str) -> None:
    assert name_from_user_agent(agent) == name
