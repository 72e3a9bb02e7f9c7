"""Who asks, over TLS: tokens, certificates, nobody, and people who act for others."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raysail.apiserver.access.certificates import client_certificate
from raysail.apiserver.access.pki import Pki
from tests.apiserver.conftest import Http

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def ask(http: Http, context: ssl.SSLContext, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(http.api.url + WHO, json={}, headers=headers) as answer,
    ):
        body = json.loads(await answer.text())
        return answer.status, body.get("status", {}).get("userInfo") if answer.status == 201 else body


@pytest.fixture
def context(http: Http) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(http.api.ca))


async def test_a_token_names_the_administrator(http: Http, context: ssl.SSLContext) -> None:
    status, user = await ask(http, context, Authorization=f"Bearer {http.api.token}")
    assert (status, user["groups"]) == (201, ["system:masters", "system:authenticated"])


async def test_a_bad_token_and_no_token_are_told_apart(http: Http, context: ssl.SSLContext) -> None:
    assert (await ask(http, context, Authorization="Bearer nonsense"))[0] == 401
    status, refusal = await ask(http, context)
    assert status == 403
    assert 'User "system:anonymous"' in refusal["message"]


async def test_a_client_certificate_names_its_holder(http: Http, context: ssl.SSLContext, tmp_path: Path) -> None:
    certificate, key = client_certificate(Pki(http.api.folder / "pki"), "zoe", ["painters"])
    (tmp_path / "zoe.pem").write_bytes(certificate + key)
    context.load_cert_chain(tmp_path / "zoe.pem")
    _, user = await ask(http, context)
    assert (user["username"], user["groups"]) == ("zoe", ["painters", "system:authenticated"])


async def test_the_administrator_may_act_for_others(http: Http, context: ssl.SSLContext) -> None:
    headers = {"Authorization": f"Bearer {http.api.token}", "Impersonate-User": "zoe", "Impersonate-Group": "painters"}
    _, user = await ask(http, context, **headers)
    assert (user["username"], user["groups"]) == ("zoe", ["painters", "system:authenticated"])


async def test_the_token_of_a_service_account_ends_with_its_pod(http: Http, context: ssl.SSLContext) -> None:
    await http("POST", f"{http.core}/serviceaccounts", {"metadata": {"name": "sa"}})
    pod = {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "sa", "containers": [{"name": "c", "image": "i"}]}}
    _, made = await http("POST", f"{http.core}/pods", pod)
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    status, answer = await http("POST", f"{http.core}/serviceaccounts/sa/token", {"spec": {"boundObjectRef": reference}})
    assert status == 201
    token = answer["status"]["token"]
    _, user = await ask(http, context, Authorization=f"Bearer {token}")
    assert user["username"] == f"system:serviceaccount:{http.ns}:sa"
    await http("DELETE", f"{http.core}/pods/p", {"gracePeriodSeconds": 0})
    status, review = await http(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        {"spec": {"token": token, "audiences": ["https://kubernetes.default.svc.cluster.local"]}},
    )
    assert status == 201
    assert not review["status"].get("authenticated")


async def test_rights_are_what_roles_say(http: Http) -> None:
    zoe = {"Impersonate-User": "zoe"}
    assert (await http("GET", f"{http.core}/pods", headers=zoe))[0] == 403
    binding = {
        "metadata": {"name": "zoe-views"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "zoe", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await http("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{http.ns}/rolebindings", binding)
    assert (await http("GET", f"{http.core}/pods", headers=zoe))[0] == 200
    assert (await http("GET", f"{http.core}/secrets", headers=zoe))[0] == 403
    assert (await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "a"}}, headers=zoe))[0] == 403
    await http("DELETE", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{http.ns}/rolebindings/zoe-views")
    assert (await http("GET", f"{http.core}/pods", headers=zoe))[0] == 403
