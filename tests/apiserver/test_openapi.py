"""OpenAPI documents: what clients look for in them, and when they are made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from raysail.api.crds import crd
from raysail.apiserver.customresources import accepted_status, definitions
from raysail.apiserver.kinds import strategy_of
from raysail.apiserver.openapi import OpenApiDocuments, OpenApiPages
from raysail.apiserver.openapi.pages import SWAGGER_PROTOBUF, accepts_protobuf
from raysail.apiserver.protobuf.wire import fields
from raysail.apiserver.registry import Registry
from raysail.apiserver.registry.builtin import builtin_definitions
from raysail.apiserver.strategy import Definition
from raysail.apiserver.tables import PLAIN

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def builtin() -> Iterator[Definition]:
    class Same:
        def from_storage(self, obj: dict[str, Any]) -> dict[str, Any]:
            return obj

        to_storage = from_storage

    return builtin_definitions(strategy_of, lambda _: PLAIN, Same())


def custom(name: str) -> list[Definition]:
    made = {**crd(name)}
    made["status"] = accepted_status(made, [], NOW)
    return list(definitions(made))


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = Registry()
    for definition in builtin():
        found.add(definition)
    for definition in custom("rayclusters.ray.io"):
        found.add(definition)
    return found


@pytest.fixture(scope="module")
def documents(registry: Registry) -> OpenApiDocuments:
    return OpenApiDocuments(registry)


def parsed(documents: OpenApiDocuments, name: str) -> dict[str, Any]:
    document = documents.group_version(name)
    assert document is not None
    found: dict[str, Any] = orjson.loads(document.body)
    return found


def test_the_index_names_each_group_version_with_a_hash(documents: OpenApiDocuments) -> None:
    paths = orjson.loads(documents.index())["paths"]
    assert {"api/v1", "apis/batch/v1", "apis/ray.io/v1"} <= set(paths)
    document = documents.group_version("apis/batch/v1")
    assert document is not None
    assert paths["apis/batch/v1"]["serverRelativeURL"] == f"/openapi/v3/apis/batch/v1?hash={document.tag}"
    assert documents.group_version("apis/no.such/v1") is None


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize("name", ["api/v1", "apis/batch/v1", "apis/ray.io/v1", "apis/apiextensions.k8s.io/v1"])
def test_documents_hold_all_they_refer_to(documents: OpenApiDocuments, name: str) -> None:
    document = parsed(documents, name)
    assert document["openapi"] == "3.0.0"
    assert set(references(document)) <= set(document["components"]["schemas"])


def test_what_kubectl_looks_for(documents: OpenApiDocuments) -> None:
    document = parsed(documents, "apis/ray.io/v1")
    patch = document["paths"]["/apis/ray.io/v1/namespaces/{namespace}/rayclusters/{name}"]["patch"]
    assert {p["name"] for p in patch["parameters"]} >= {"fieldValidation", "dryRun", "fieldManager", "force"}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "ray.io", "version": "v1", "kind": "RayCluster"}
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    collection = document["paths"]["/apis/ray.io/v1/namespaces/{namespace}/rayclusters"]
    assert (collection["get"]["x-kubernetes-action"], collection["post"]["x-kubernetes-action"]) == ("list", "post")
    assert "/apis/ray.io/v1/rayclusters" in document["paths"]


def test_custom_schemas_are_published_with_type_and_metadata(documents: OpenApiDocuments) -> None:
    schemas = parsed(documents, "apis/ray.io/v1")["components"]["schemas"]
    cluster = schemas["io.ray.v1.RayCluster"]
    assert cluster["x-kubernetes-group-version-kind"] == [{"group": "ray.io", "kind": "RayCluster", "version": "v1"}]
    assert cluster["properties"]["metadata"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
    assert schemas["io.ray.v1.RayClusterList"]["required"] == ["items"]


def test_a_change_of_one_kind_changes_its_hash_only(registry: Registry) -> None:
    documents = OpenApiDocuments(registry)
    before = {name: documents.group_version(name) for name in ("apis/ray.io/v1", "api/v1")}
    (definition,) = custom("rayclusters.ray.io")[:1]
    registry.add(replace(definition, subresources=()))
    after = {name: documents.group_version(name) for name in before}
    assert after["api/v1"] is before["api/v1"]
    assert after["apis/ray.io/v1"].tag != before["apis/ray.io/v1"].tag  # type: ignore[union-attr]
    registry.add(definition)


def test_version_2_says_the_same_in_the_older_dialect(documents: OpenApiDocuments) -> None:
    document = orjson.loads(documents.whole(protobuf=False).body)
    assert document["swagger"] == "2.0"
    assert set(references(document)) <= set(document["definitions"])
    assert document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"
    patch = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert {"fieldValidation", "body"} <= {p["name"] for p in patch["parameters"]}
    text = orjson.dumps(document)
    assert document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"].keys() == {"description", "format", "type"}
    assert b"#/components" not in text


def strings(message: bytes, number: int) -> list[bytes]:
    return [value for found, value in fields(message) if found == number and isinstance(value, bytes)]


def test_version_2_as_protobuf_is_the_same_document(documents: OpenApiDocuments) -> None:
    json_form = orjson.loads(documents.whole(protobuf=False).body)
    body = documents.whole(protobuf=True).body
    assert strings(body, 1) == [b"2.0"]
    named = {strings(entry, 1)[0].decode(): strings(entry, 2)[0] for entry in strings(strings(body, 9)[0], 1)}
    assert set(named) == set(json_form["definitions"])
    pod = named["io.k8s.api.core.v1.Pod"]
    assert strings(pod, 3 + 1) == [json_form["definitions"]["io.k8s.api.core.v1.Pod"]["description"].encode()]
    properties = {strings(p, 1)[0].decode() for p in strings(strings(pod, 25)[0], 1)}
    assert properties == {"apiVersion", "kind", "metadata", "spec", "status"}
    paths = {strings(entry, 1)[0].decode() for entry in strings(strings(body, 8)[0], 2)}
    assert paths == set(json_form["paths"])


@pytest.mark.parametrize(
    ("accept", "protobuf"),
    [
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", True),
        (SWAGGER_PROTOBUF, True),
        ("application/json", False),
        ("application/json, application/com.github.proto-openapi.spec.v2@v1.0+protobuf", False),
        ("", False),
        ("*/*", False),
    ],
)
def test_which_form_of_version_2_is_wanted(accept: str, protobuf: bool) -> None:
    assert accepts_protobuf(accept) is protobuf


async def test_pages_answer_with_tags_and_send_on_to_the_present_hash(registry: Registry) -> None:
    pages = OpenApiPages(registry)
    fresh = await pages("/openapi/v3/apis/batch/v1", {}, "")
    assert fresh is not None
    tag = dict(fresh.headers)[b"etag"].decode().strip('"')
    assert (await pages("/openapi/v3/apis/batch/v1", {"hash": tag}, "")).status == 200  # type: ignore[union-attr]
    stale = await pages("/openapi/v3/apis/batch/v1", {"hash": "OLD"}, "")
    assert stale is not None
    assert (stale.status, dict(stale.headers)[b"location"].decode()) == (301, f"/openapi/v3/apis/batch/v1?hash={tag}")
    assert await pages("/openapi/v3/apis/none/v1", {}, "") is None
