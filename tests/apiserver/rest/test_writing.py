"""Creating, changing and deleting over HTTP: what Kubernetes' clients rely on."""

from __future__ import annotations

import asyncio

import pytest

from tests.apiserver.conftest import Http

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = "application/merge-patch+json"


async def test_a_write_that_changes_nothing_keeps_the_version(http: Http) -> None:
    _, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    _, same = await http("PATCH", f"{http.core}/configmaps/a", {"data": {"x": "1"}}, media=MERGE)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_dry_run_answers_as_if_and_stores_nothing(http: Http) -> None:
    status, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}}, dryRun="All")
    assert status == 201
    assert made["metadata"]["uid"]
    assert (await http("GET", f"{http.core}/configmaps/a"))[0] == 404


async def test_an_update_of_an_old_version_is_a_conflict(http: Http) -> None:
    _, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
    await http("PATCH", f"{http.core}/configmaps/a", {"data": {"x": "1"}}, media=MERGE)
    status, refusal = await http("PUT", f"{http.core}/configmaps/a", made)
    assert (status, refusal["reason"]) == (409, "Conflict")


async def test_of_many_writers_with_the_same_version_one_wins(http: Http) -> None:
    _, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
    answers = await asyncio.gather(*(http("PUT", f"{http.core}/configmaps/a", {**made, "data": {"n": str(n)}}) for n in range(10)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 9


async def test_generated_names_differ(http: Http) -> None:
    body = {"metadata": {"generateName": "job-"}}
    names = {(await http("POST", f"{http.core}/configmaps", body))[1]["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


@pytest.mark.parametrize(
    ("validation", "status"), [("Strict", 400), ("Warn", 201), ("Ignore", 201)], ids=["strict refuses", "warn tells", "ignore is silent"]
)
async def test_unknown_fields(http: Http, validation: str, status: int) -> None:
    body = {"metadata": {"name": "a"}, "dota": {"x": "y"}}
    found, headers, answer = await http.whole("POST", f"{http.core}/configmaps", body, fieldValidation=validation)
    assert found == status
    assert ("Warning" in headers) == (validation == "Warn")
    assert "dota" not in answer


async def test_a_key_given_twice_is_found_in_json_and_yaml(http: Http) -> None:
    status, answer = await http(
        "POST", f"{http.core}/configmaps", b'{"metadata":{"name":"a"},"data":{"x":"1","x":"2"}}', fieldValidation="Strict"
    )
    assert status == 400
    assert 'duplicate field "data.x"' in answer["message"]
    status, answer = await http(
        "POST",
        f"{http.core}/configmaps",
        b"metadata: {name: a}\ndata:\n  x: '1'\n  x: '2'\n",
        media="application/yaml",
        fieldValidation="Strict",
    )
    assert status == 400


async def test_what_is_too_large_is_refused_with_the_limit(http: Http) -> None:
    status, answer = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "v" * 4_000_000}})
    assert (status, answer["reason"]) == (413, "RequestEntityTooLarge")
    flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "big"}, "spec": {}}
    flavor["metadata"]["annotations"] = {"raysail.io/x": "v" * 200_000}  # type: ignore[index]
    assert (await http("POST", "/apis/kueue.x-k8s.io/v1beta2/resourceflavors", flavor))[0] == 201
    await http("DELETE", "/apis/kueue.x-k8s.io/v1beta2/resourceflavors/big")


async def test_finalizers_hold_an_object_until_the_last_is_gone(http: Http) -> None:
    await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a", "finalizers": ["x.io/a"]}})
    _, held = await http("DELETE", f"{http.core}/configmaps/a")
    assert held["metadata"]["deletionTimestamp"]
    status, refusal = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
    assert status == 409
    assert "being deleted" in refusal["message"]
    await http("PATCH", f"{http.core}/configmaps/a", {"metadata": {"finalizers": None}}, media=MERGE)
    assert (await http("GET", f"{http.core}/configmaps/a"))[0] == 404


async def test_deletion_only_of_the_object_that_is_meant(http: Http) -> None:
    _, made = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
    wrong = {"preconditions": {"uid": "11111111-2222-3333-4444-555555555555"}}
    assert (await http("DELETE", f"{http.core}/configmaps/a", wrong))[0] == 409
    right = {"preconditions": {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}}
    assert (await http("DELETE", f"{http.core}/configmaps/a", right))[0] == 200


async def test_a_pod_on_a_node_is_given_its_grace(http: Http) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"terminationGracePeriodSeconds": 7, "containers": [{"name": "c", "image": "i"}]}}
    assert (await http("POST", f"{http.core}/pods", pod))[0] == 201
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await http("POST", f"{http.core}/pods/p/binding", binding))[0] == 201
    assert (await http("POST", f"{http.core}/pods/p/binding", binding))[0] == 409
    _, deleting = await http("DELETE", f"{http.core}/pods/p")
    assert deleting["metadata"]["deletionGracePeriodSeconds"] == 7
    assert (await http("GET", f"{http.core}/pods/p"))[0] == 200
    await http("DELETE", f"{http.core}/pods/p", {"gracePeriodSeconds": 0})
    assert (await http("GET", f"{http.core}/pods/p"))[0] == 404


async def test_nothing_is_created_in_a_namespace_that_ends(http: Http) -> None:
    _, ended = await http("DELETE", f"/api/v1/namespaces/{http.ns}")
    assert ended["status"]["phase"] == "Terminating"
    status, refusal = await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}})
    assert status == 403
    assert refusal["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert (await http("DELETE", f"/api/v1/namespaces/{http.ns}"))[0] == 409
    _, namespace = await http("GET", f"/api/v1/namespaces/{http.ns}")
    assert (await http("PUT", f"/api/v1/namespaces/{http.ns}/finalize", {**namespace, "spec": {}}))[0] == 200
    assert (await http("GET", f"/api/v1/namespaces/{http.ns}"))[0] == 404


async def test_the_default_namespace_stays(http: Http) -> None:
    assert (await http("DELETE", "/api/v1/namespaces/default"))[0] == 403
    assert (await http("POST", "/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}}))[0] == 404
