"""Binding a Pod to a Node (k8s.io/kubernetes pkg/registry/core/pod/storage/storage.go, assignPod)."""

from __future__ import annotations

from typing import Any

import orjson

from raysail.api.conditions import set_condition
from raysail.api.errors import Cause, bad_request, conflict, invalid, not_found
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest.answer import Answer, json_answer
from raysail.apiserver.rest.call import Call
from raysail.apiserver.rest.options import dry_run
from raysail.apiserver.rest.storing import encoder


def success() -> Answer:
    """What a created thing that leaves nothing to show is answered with."""
    return json_answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


async def bind(call: Call) -> Answer:
    """POST pods/NAME/binding."""
    return await _bind(call, _body(call), call.target.name)


async def bind_by_body(call: Call) -> Answer:
    """POST bindings: the Pod is named by the body."""
    body = _body(call)
    return await _bind(call, body, (body.get("metadata") or {}).get("name", ""))


def _body(call: Call) -> dict[str, Any]:
    value, _ = bodies.decode(call.body, bodies.media_type(call.header(b"content-type")), find_duplicates=False)
    if not isinstance(value, dict):
        raise bad_request("the body is not a Binding")
    return value


async def _bind(call: Call, body: dict[str, Any], name: str) -> Answer:
    metadata, target = body.get("metadata") or {}, body.get("target") or {}
    if metadata.get("name") and metadata["name"] != name:
        raise bad_request("name in URL does not match name in Binding object")
    causes = []
    if target.get("kind", "") not in ("", "Node"):
        text = f'Unsupported value: {orjson.dumps(target["kind"]).decode()}: supported values: "Node", "<empty>"'
        causes.append(Cause("FieldValueNotSupported", text, "target.kind"))
    if not target.get("name"):
        causes.append(Cause("FieldValueRequired", "Required value", "target.name"))
    if causes:
        raise invalid("", "Binding", name, causes)
    definition = call.shared.registry.find("", "v1", "pods")
    if definition is None:
        raise LookupError("pods are not served")
    key = f"{call.target.namespace}/{name}"
    record = call.store.latest("pods", key)
    if record is None:
        raise not_found("", "pods", name)
    pod = record.object()
    for wanted, field in ((metadata.get("uid"), "uid"), (metadata.get("resourceVersion"), "resourceVersion")):
        if wanted and wanted != pod["metadata"][field]:
            raise conflict(
                "", "pods/binding", name, f"Precondition failed: {field} in precondition: {wanted}, in object: {pod['metadata'][field]}"
            )
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        raise conflict("", "pods/binding", name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"')
    if pod["spec"].get("schedulingGates"):
        raise conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    pod["spec"]["nodeName"] = target["name"]
    for part in ("annotations", "labels"):
        if metadata.get(part):
            pod["metadata"][part] = {**(pod["metadata"].get(part) or {}), **metadata[part]}
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    set_condition(conditions, "PodScheduled", True, "", "", call.shared.now())
    for condition in conditions:
        if condition["type"] == "PodScheduled":
            condition.pop("reason", None)
            condition.pop("message", None)
            condition.setdefault("lastProbeTime", None)
    if not dry_run(call):
        await call.store.put("pods", key, encoder(definition, pod))
    return success()
