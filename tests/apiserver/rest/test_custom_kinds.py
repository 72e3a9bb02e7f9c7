"""CRDs at run time: served when they come, changed while they serve, gone with their objects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apiserver.conftest import Http

pytestmark = pytest.mark.asyncio(loop_scope="module")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(group: str, properties: dict[str, Any], **version: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    return {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}],
        },
    }


def thing(group: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}


async def served(http: Http, path: str) -> None:
    async with asyncio.timeout(10):
        while (await http("GET", path))[0] != 200:
            await asyncio.sleep(0.01)


async def test_a_kind_comes_changes_and_goes(http: Http) -> None:
    group = f"{http.ns}.example.com"
    path = f"/apis/{group}/v1/namespaces/{http.ns}/things"
    assert (await http("POST", CRDS, crd(group, {"size": {"type": "integer"}})))[0] == 201
    await served(http, path)
    status, made = await http("POST", path, thing(group, size=3, color="red"))
    assert (status, made["spec"]) == (201, {"size": 3})
    assert (await http("POST", path, thing(group, size="big")))[0] == 422
    wider = {"spec": {"versions": crd(group, {"size": {"type": "integer"}, "color": {"type": "string"}})["spec"]["versions"]}}
    assert (await http("PATCH", f"{CRDS}/things.{group}", wider, media="application/merge-patch+json"))[0] == 200
    async with asyncio.timeout(10):
        while True:
            _, changed = await http("PATCH", f"{path}/t", {"spec": {"color": "blue"}}, media="application/merge-patch+json")
            if changed["spec"].get("color") == "blue":
                break
    _, going = await http("DELETE", f"{CRDS}/things.{group}")
    assert going["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    async with asyncio.timeout(10):
        while (await http("GET", f"{CRDS}/things.{group}"))[0] != 404:
            await asyncio.sleep(0.01)
    assert (await http("GET", path))[0] == 404
    # Come again, it is empty.
    assert (await http("POST", CRDS, crd(group, {"size": {"type": "integer"}})))[0] == 201
    await served(http, path)
    assert (await http("GET", path))[1]["items"] == []


async def test_selectable_fields_and_status(http: Http) -> None:
    group = f"{http.ns}.example.com"
    path = f"/apis/{group}/v1/namespaces/{http.ns}/things"
    made = crd(group, {"color": {"type": "string"}}, subresources={"status": {}}, selectableFields=[{"jsonPath": ".spec.color"}])
    made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert (await http("POST", CRDS, made))[0] == 201
    await served(http, path)
    await http("POST", path, {**thing(group, color="red"), "status": {"seen": True}})
    _, found = await http("GET", path, fieldSelector="spec.color=red")
    assert [item["metadata"]["name"] for item in found["items"]] == ["t"]
    assert "status" not in found["items"][0]
    _, changed = await http(
        "PATCH", f"{path}/t/status", {"status": {"seen": True}, "spec": {"color": "blue"}}, media="application/merge-patch+json"
    )
    assert (changed["spec"]["color"], changed["status"]["seen"], changed["metadata"]["generation"]) == ("red", True, 1)
    assert (await http("GET", path, fieldSelector="spec.other=red"))[0] == 400
