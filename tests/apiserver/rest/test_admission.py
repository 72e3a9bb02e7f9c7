"""What is filled in and refused on the way into the store."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.conftest import Http

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


async def test_a_pod_gets_account_token_priority_and_tolerations(http: Http) -> None:
    _, made = await http("POST", f"{http.core}/pods", pod())
    spec = made["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["path"] == "token"
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert spec["priority"] == 0
    assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [300, 300]


async def test_an_account_that_is_not_there_is_refused(http: Http) -> None:
    status, refusal = await http("POST", f"{http.core}/pods", pod(serviceAccountName="nobody"))
    assert status == 403
    assert 'serviceaccount "nobody" not found' in refusal["message"]


async def test_priority_comes_from_the_class(http: Http) -> None:
    await http("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": f"{http.ns}-high"}, "value": 100})
    _, made = await http("POST", f"{http.core}/pods", pod(priorityClassName=f"{http.ns}-high"))
    assert made["spec"]["priority"] == 100
    assert (await http("POST", f"{http.core}/pods", pod("q", priorityClassName="none")))[0] == 403


async def test_a_quota_counts_what_is_there(http: Http) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "2", "requests.cpu": "1"}}}
    assert (await http("POST", f"{http.core}/resourcequotas", quota))[0] == 201
    statuses = [(await http("POST", f"{http.core}/configmaps", {"metadata": {"name": f"c{n}"}}))[0] for n in range(3)]
    assert statuses == [201, 201, 403]
    await http("DELETE", f"{http.core}/configmaps/c0")
    assert (await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "c3"}}))[0] == 201
    status, refusal = await http("POST", f"{http.core}/pods", pod())
    assert status == 403
    assert "must specify requests.cpu for: c" in refusal["message"]
    asks = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "600m"}}}]}
    assert (await http("POST", f"{http.core}/pods", pod("a", **asks)))[0] == 201
    status, refusal = await http("POST", f"{http.core}/pods", pod("b", **asks))
    assert status == 403
    assert "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1" in refusal["message"]


async def test_limit_ranges_fill_in_and_bound(http: Http) -> None:
    limits = [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}]
    await http("POST", f"{http.core}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    _, made = await http("POST", f"{http.core}/pods", pod())
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}}
    assert made["status"]["qosClass"] == "Burstable"
    big = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "3"}}}]}
    assert (await http("POST", f"{http.core}/pods", pod("b", **big)))[0] == 403


async def test_services_get_addresses_of_their_own(http: Http) -> None:
    ports = [{"port": 80}]
    made = [await http("POST", f"{http.core}/services", {"metadata": {"name": f"s{n}"}, "spec": {"ports": ports}}) for n in range(3)]
    addresses = {answer["spec"]["clusterIP"] for _, answer in made}
    assert len(addresses) == 3
    _, headless = await http("POST", f"{http.core}/services", {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": ports}})
    assert headless["spec"]["clusterIPs"] == ["None"]
    taken = {"metadata": {"name": "t"}, "spec": {"clusterIP": addresses.pop(), "ports": ports}}
    assert (await http("POST", f"{http.core}/services", taken))[0] == 422
    _, node_port = await http("POST", f"{http.core}/services", {"metadata": {"name": "n"}, "spec": {"type": "NodePort", "ports": ports}})
    assert 30000 <= node_port["spec"]["ports"][0]["nodePort"] <= 32767
    _, changed = await http("PATCH", f"{http.core}/services/n", {"spec": {"type": "ClusterIP"}}, media="application/merge-patch+json")
    assert "nodePort" not in changed["spec"]["ports"][0]


async def test_the_api_itself_is_a_service(http: Http) -> None:
    _, service = await http("GET", "/api/v1/namespaces/default/services/kubernetes")
    _, slice_ = await http("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
    assert http.api.url == f"https://{slice_['endpoints'][0]['addresses'][0]}:{service['spec']['ports'][0]['port']}"


async def test_a_job_that_names_a_queue_is_suspended_at_its_creation(http: Http) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    job = {"metadata": {"name": "j", "labels": {"kueue.x-k8s.io/queue-name": "q"}}, "spec": {"template": template}}
    _, made = await http("POST", f"/apis/batch/v1/namespaces/{http.ns}/jobs", job)
    assert made["spec"]["suspend"] is True


async def test_queues_speak_both_versions(http: Http) -> None:
    name = f"{http.ns}-q"
    old = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "LocalQueue", "metadata": {"name": "l"}, "spec": {"clusterQueue": name}}
    path = f"/namespaces/{http.ns}/localqueues"
    status, made = await http("POST", f"/apis/kueue.x-k8s.io/v1beta1{path}", old)
    assert (status, made["apiVersion"]) == (201, "kueue.x-k8s.io/v1beta1")
    _, new = await http("GET", f"/apis/kueue.x-k8s.io/v1beta2{path}/l")
    assert (new["apiVersion"], new["spec"]["clusterQueue"], new["metadata"]["uid"]) == (
        "kueue.x-k8s.io/v1beta2",
        name,
        made["metadata"]["uid"],
    )


async def test_nobody_grants_what_they_do_not_hold(http: Http) -> None:
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{http.ns}"
    writer = {
        "metadata": {"name": "writer"},
        "rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create"]}],
    }
    subject = {"kind": "User", "name": "zoe", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"}
    assert (await http("POST", f"{roles}/roles", writer))[0] == 201
    assert (await http("POST", f"{roles}/rolebindings", {"metadata": {"name": "b"}, "subjects": [subject], "roleRef": reference}))[0] == 201
    zoe = {"Impersonate-User": "zoe"}
    secrets = {"metadata": {"name": "secrets"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    status, refusal = await http("POST", f"{roles}/roles", secrets, headers=zoe)
    assert status == 403
    assert (
        'attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
        in refusal["message"]
    )
    admin = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    assert (await http("POST", f"{roles}/rolebindings", {"metadata": {"name": "c"}, "subjects": [subject], "roleRef": admin}, headers=zoe))[
        0
    ] == 403
    assert (await http("POST", f"{roles}/roles", {**writer, "metadata": {"name": "same"}}, headers=zoe))[0] == 201
