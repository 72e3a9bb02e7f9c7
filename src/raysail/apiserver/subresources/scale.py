"""The scale subresource: an object's number of replicas as an autoscaling/v1 Scale.

k8s.io/kubernetes pkg/registry/apps/*/storage; apiextensions pkg/registry/customresource/etcd.go. A write is a write of the object itself, by all of its rules.
"""

from __future__ import annotations

from dataclasses import replace as with_changes
from functools import cache
from typing import Any

import orjson

from raysail.api.errors import Cause, StatusError, bad_request, conflict, invalid
from raysail.api.openapi import SchemaNode, builtin_node
from raysail.api.selectors import from_object
from raysail.apiserver.apply import FieldManager, field_path, from_scale, to_scale
from raysail.apiserver.apply.fields import Path
from raysail.apiserver.customresources import CustomStrategy, ScalePaths
from raysail.apiserver.customresources.scale import AccessorError
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest import forms
from raysail.apiserver.rest.answer import Answer, encode
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.objects import read_yaml
from raysail.apiserver.rest.options import force
from raysail.apiserver.rest.patching import APPLY_PATCH, patched_by
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.rest.target import Target
from raysail.apiserver.rest.writing import MODIFIED, store_changed
from raysail.apiserver.store import Record

SCALE_VERSION = "autoscaling/v1"


@cache
def _node() -> SchemaNode:
    return builtin_node("io.k8s.api.autoscaling.v1.Scale")


class BuiltinScale:
    """Kinds of apps/v1: replicas in spec and status, the selector in spec."""

    def read(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The Scale of an object."""
        spec, status, metadata = obj.get("spec") or {}, obj.get("status") or {}, obj["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        selector = spec.get("selector") or {}
        if selector and not ("matchLabels" in selector or "matchExpressions" in selector):
            selector = {"matchLabels": selector}  # a ReplicationController's
        replicas = spec.get("replicas", 1)
        text = _selector_text(selector)
        return {
            "kind": "Scale",
            "apiVersion": SCALE_VERSION,
            "metadata": {key: metadata[key] for key in kept if key in metadata},
            "spec": {"replicas": replicas} if replicas else {},
            "status": {"replicas": status.get("replicas", 0), **({"selector": text} if text else {})},
        }

    def write(self, obj: dict[str, Any], replicas: int) -> None:
        """Sets the wanted number."""
        obj.setdefault("spec", {})["replicas"] = replicas


def _selector_text(selector: dict[str, Any]) -> str:
    terms = []
    for requirement in from_object(selector).requirements if selector else ():
        values = sorted(requirement.values)
        match requirement.operator:
            case "In" if len(values) == 1:
                terms.append((requirement.key, f"{requirement.key}={values[0]}"))
            case "In":
                terms.append((requirement.key, f"{requirement.key} in ({','.join(values)})"))
            case "NotIn":
                terms.append((requirement.key, f"{requirement.key} notin ({','.join(values)})"))
            case "Exists":
                terms.append((requirement.key, requirement.key))
            case _:
                terms.append((requirement.key, f"!{requirement.key}"))
    return ",".join(text for _, text in sorted(terms))


def _scale_of(call: Call) -> ScalePaths | BuiltinScale:
    strategy = call.definition.strategy
    if isinstance(strategy, CustomStrategy) and strategy.scale is not None:
        return strategy.scale
    return BuiltinScale()


def _paths(call: Call) -> dict[str, Path | None]:
    """Where the replicas stand in each served version."""
    found: dict[str, Path | None] = {}
    for definition in call.shared.registry.definitions():
        if definition.collection == call.definition.collection:
            strategy = definition.strategy
            scale = strategy.scale if isinstance(strategy, CustomStrategy) else None
            place = scale.spec_replicas if scale else None if definition.custom else ".spec.replicas"
            found[definition.resource.api_version] = field_path(place) if place else None
    return found


async def serve(call: Call) -> Answer:
    """GET, PUT and PATCH of a scale."""
    record = (
        call.store.get(call.definition.collection, call.key)
        if call.verb == "get"
        else call.store.latest(call.definition.collection, call.key)
    )
    if record is None:
        raise absent(call)
    old = decoded(call.definition, record.object())
    rules = _scale_of(call)
    try:
        present = rules.read(old)
    except AccessorError as error:
        raise StatusError("InternalError", f"Internal error occurred: {error}") from error
    if call.verb == "get":
        return forms.object_answer(call, encode(present))
    paths = _paths(call)
    present["metadata"]["managedFields"] = to_scale(old["metadata"].get("managedFields") or [], paths) or []
    return await _write(call, record, old, rules, present, paths)


async def _write(
    call: Call,
    record: Record,
    old: dict[str, Any],
    rules: ScalePaths | BuiltinScale,
    present: dict[str, Any],
    paths: dict[str, Path | None],
) -> Answer:
    resource = call.definition.resource
    manager = FieldManager(_node(), SCALE_VERSION, "Scale", "scale")
    now = call.shared.now()
    media = bodies.media_type(call.header(b"content-type"))
    if call.verb == "patch" and media == APPLY_PATCH:
        config = read_yaml(call)
        wanted = manager.apply(present, config, manager=call.query.get("fieldManager", ""), force=force(call), now=now)
    else:
        wanted = _read(call) if call.verb == "update" else patched_by(call, present, media, _node())
        wanted = orjson.loads(orjson.dumps(wanted))
        if (wanted.get("kind") or "Scale") != "Scale":
            raise bad_request(f"wrong object passed to Scale update: {wanted.get('kind')}")
        wanted["kind"], wanted["apiVersion"] = "Scale", SCALE_VERSION
        entries = manager.track(present, wanted, manager=call.manager, now=now)
        wanted.setdefault("metadata", {})["managedFields"] = entries or []
    metadata = wanted["metadata"]
    version = metadata.get("resourceVersion", "")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, call.target.name, MODIFIED)
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32'
        )
    if replicas < 0 and not call.definition.custom:
        cause = Cause("FieldValueInvalid", f"Invalid value: {replicas}: must be greater than or equal to 0", "spec.replicas")
        raise invalid("autoscaling", "Scale", call.target.name, [cause])
    new = orjson.loads(orjson.dumps(old))
    rules.write(new, replicas)
    entries = from_scale(metadata.get("managedFields"), old["metadata"].get("managedFields") or [], resource.api_version, paths)
    if entries:
        new["metadata"]["managedFields"] = entries
    else:
        new["metadata"].pop("managedFields", None)
    whole = with_changes(call, target=_main(call.target), form=forms.PLAIN)
    data = await store_changed(whole, record, old, new, track=False)
    return forms.object_answer(call, encode(rules.read(orjson.loads(data))))


def _main(target: Target) -> Target:
    return with_changes(target, subresource="")


def _read(call: Call) -> dict[str, Any]:
    value, _ = bodies.decode(call.body, bodies.media_type(call.header(b"content-type")), find_duplicates=False)
    if not isinstance(value, dict):
        raise bad_request("the body is not a Scale")
    name = (value.get("metadata") or {}).get("name", "")
    if name and name != call.target.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.target.name})")
    return value
