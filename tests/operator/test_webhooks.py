"""Admission and conversion as an API server asks for them: the pure answers, and everything together on a real kube-apiserver."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml

from raysail.api.errors import StatusError
from raysail.api.kueue.admission import AdmissionSettings
from raysail.api.resources import (
    CLUSTER_QUEUES,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    JOBS,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    WORKLOADS,
    Resource,
)
from raysail.kube.connection import unix_socket
from raysail.kube.discovery import served_kinds
from raysail.kube.http import HttpClient
from raysail.operator.arguments import parse
from raysail.operator.extension.front_proxy import from_config_map
from raysail.operator.extension.handler import ExtensionHandler
from raysail.operator.extension.socket import SocketServer
from raysail.operator.process import run
from raysail.operator.settings import QUEUE, OperatorSettings, ServiceReference, SettingsError, WebhookSettings
from raysail.operator.webhooks import admission, certificate, configurations
from raysail.operator.webhooks.configurations import Endpoint
from raysail.operator.webhooks.conversion import convert
from raysail.operator.webhooks.json_patch import difference
from raysail.operator.webhooks.objects import decide
from tests.support.embedded import embedded_api, short_folder
from tests.support.kubernetes import MISSING, Kubernetes, assets

MANIFESTS = Path(__file__).parents[2] / "examples" / "kubernetes" / "raysail.yaml"
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "a", "namespace": "ns", "labels": {"kueue.x-k8s.io/queue-name": "lq"}},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}},
}


def request(resource: Resource, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "uid": "1",
        "kind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        "namespace": obj["metadata"].get("namespace", ""),
        "operation": "UPDATE" if old is not None else "CREATE",
        "object": obj,
        "oldObject": old,
    }


def of(resource: Resource, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}


def nothing(resource: Resource, namespace: str, name: str) -> None:
    return None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1], "d": None}}),
        ({"metadata": {"labels": {"a/b": "1", "c~d": "2"}}}, {"metadata": {"labels": {"a/b": "2"}}}),
        ({"a": True}, {"a": 1}),
        ({}, {}),
    ],
)
def test_a_difference_applied_gives_the_new_object(old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = jsonpatch.apply_patch(old, list(difference(old, new)))
    assert json.dumps(changed, sort_keys=True) == json.dumps(new, sort_keys=True)


def test_a_job_in_a_queue_is_suspended() -> None:
    answer = admission.mutate_queue(request(JOBS, JOB), nothing, AdmissionSettings())
    assert answer["allowed"]
    patched = jsonpatch.apply_patch(JOB, json.loads(base64.b64decode(answer["patch"])))
    assert patched["spec"]["suspend"] is True
    assert "suspend" not in JOB["spec"]


def test_a_refusal_leaves_the_webhooks_name_to_the_api_server() -> None:
    resources = [{"name": "cpu", "nominalQuota": "1", "lendingLimit": "2"}]
    groups = [{"coveredResources": ["cpu"], "flavors": [{"name": "rf", "resources": resources}]}]
    queue = {"metadata": {"name": "cq"}, "spec": {"cohortName": "co", "resourceGroups": groups}}
    answer = admission.validate_queue(request(CLUSTER_QUEUES, queue), nothing, AdmissionSettings())
    assert not answer["allowed"]
    assert answer["status"]["code"] == 403
    assert answer["status"]["message"].startswith("spec.resourceGroups[0].flavors[0].resources[0].lendingLimit: ")


def test_an_owner_that_is_gone_is_a_refusal_too() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "gone", "uid": "u", "controller": True}
    job = {**JOB, "metadata": {**JOB["metadata"], "ownerReferences": [owner]}}  # type: ignore[dict-item]
    answer = admission.mutate_queue(request(JOBS, job), nothing, AdmissionSettings())
    assert answer["status"]["message"].startswith("workload owner not found")


def test_conversion_keeps_order_and_refuses_what_it_does_not_know() -> None:
    queues = [
        {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "ClusterQueue", "metadata": {"name": n}, "spec": {"cohort": n}} for n in "ab"
    ]
    answer = convert({"uid": "1", "desiredAPIVersion": "kueue.x-k8s.io/v1beta2", "objects": queues})
    assert [obj["spec"] for obj in answer["convertedObjects"]] == [{"cohortName": "a"}, {"cohortName": "b"}]
    assert answer["result"] == {"status": "Success"}
    assert convert({"uid": "1", "desiredAPIVersion": "kueue.x-k8s.io/v1", "objects": queues})["result"]["status"] == "Failure"
    foreign = [{"apiVersion": "batch/v1", "kind": "Job"}]
    assert "batch/v1" in convert({"uid": "1", "desiredAPIVersion": "kueue.x-k8s.io/v1beta2", "objects": foreign})["result"]["message"]


async def test_a_decision_is_made_again_with_what_it_asked_for() -> None:
    async with embedded_api(port=None) as api:
        await api.client.create(RESOURCE_FLAVORS, of(RESOURCE_FLAVORS, "rf", {}))
        calls = []

        def decision(lookup: Any) -> tuple[bool, bool]:
            calls.append(1)
            return lookup(RESOURCE_FLAVORS, "", "rf") is not None, lookup(JOBS, "ns", "none") is not None

        assert await decide(decision, api.client) == (True, False)
        assert len(calls) == 3


def test_only_kinds_that_are_held_have_webhooks() -> None:
    made = configurations.mutating(Endpoint("https://127.0.0.1:1"), AdmissionSettings(frameworks=frozenset({"batch/job"})))
    names = [hook["name"] for hook in made["webhooks"]]
    assert names == ["mclusterqueue.kb.io", "mresourceflavor.kb.io", "mworkload.kb.io", "mjob.kb.io"]
    assert made["webhooks"][-1]["clientConfig"] == {"url": "https://127.0.0.1:1/mutate"}
    behind = Endpoint(service=ServiceReference("ns", "svc"), authority=b"CA")
    config = configurations.validating(behind, AdmissionSettings())["webhooks"][0]["clientConfig"]
    assert config == {"service": {"namespace": "ns", "name": "svc", "port": 443, "path": "/validate"}, "caBundle": "Q0E="}


def test_a_certificate_is_for_its_names(tmp_path: Path) -> None:
    made = certificate.own(["svc.ns.svc", "127.0.0.1"])
    assert made.lasts_for(["127.0.0.1"])
    assert not made.lasts_for(["example.org"])
    (tmp_path / "tls.crt").write_bytes(made.certificate)
    (tmp_path / "tls.key").write_bytes(made.key)
    given = certificate.from_folder(tmp_path)
    assert given.authority == b""
    given.server_context()


async def test_the_example_is_taken_by_an_api_server() -> None:
    async with embedded_api(port=None) as api:
        kinds = {kind.resource.kind: kind.resource for kind in await served_kinds(api.client)}
        for document in yaml.safe_load_all(MANIFESTS.read_text()):
            resource = kinds[document["kind"]]
            await api.client.create(resource, document, "raysail-system" if resource.namespaced else None)


async def test_replicas_share_one_certificate() -> None:
    async with embedded_api(port=None) as api:
        first, second = await asyncio.gather(*(certificate.shared(api.client, "default", "cert", ["a"]) for _ in range(2)))
        assert first == second
        other = await certificate.shared(api.client, "default", "cert", ["b"])
        assert other != first


async def test_who_does_not_lead_does_not_say_that_there_is_no_queue(tmp_path: Path) -> None:
    leading = False
    handler = ExtensionHandler({"g": lambda path, query: {"path": path, **query}}, None, lambda: leading)
    server = await SocketServer.open(handler, tmp_path / "s")
    async with HttpClient(unix_socket(tmp_path / "s")) as client:
        assert (await client.raw("GET", "/apis/g/v1"))[0] == 200
        assert (await client.raw("GET", "/apis/g/v1/things/x"))[0] == 503
        leading = True
        status, _, body = await client.raw("GET", "/apis/g/v1/things/x", params={"limit": "2"})
        assert (status, json.loads(body)) == (200, {"path": "/apis/g/v1/things/x", "limit": ["2"]})
        assert (await client.raw("GET", "/apis/other/v1"))[0] == 404
    await server.close()


def test_a_front_proxy_is_known_by_authority_and_name() -> None:
    assert from_config_map({}) is None
    found = from_config_map({"requestheader-client-ca-file": "CA", "requestheader-allowed-names": '["front-proxy-client"]'})
    assert found is not None
    assert found.names == {"front-proxy-client"}


def settings(*flags: str, **environment: str) -> OperatorSettings:
    return parse(["--socket=/run/api.sock", *flags], environment)


def test_flags_of_webhooks(tmp_path: Path) -> None:
    assert settings().webhooks is None
    found = settings("--install", "--webhook-address=:9443", "--webhook-service=kueue-system/webhooks", ENABLE_WEBHOOKS="true")
    assert found.install
    assert found.webhooks is not None
    assert (found.webhooks.port, found.webhooks.service, found.webhooks.ray) == (9443, ServiceReference("kueue-system", "webhooks"), True)
    assert found.webhooks.certificate_secret == ("kueue-system", "raysail-webhook-server-cert")
    assert "webhooks.kueue-system.svc" in found.webhooks.names()
    for flags, fault in (
        (["--webhook-url=https://x"], "say with --webhook-address"),
        (["--webhook-address=:1", "--webhook-url=http://x"], "over https:// only"),
        (["--webhook-address=:1", "--webhook-service=x"], "expected NAMESPACE/NAME"),
    ):
        with pytest.raises(SettingsError, match=fault):
            settings(*flags)
    file = tmp_path / "kueue.yaml"
    file.write_text("{apiVersion: config.kueue.x-k8s.io/v1beta2, kind: Configuration, integrations: {frameworks: [batch/job]}}")
    assert settings(f"--queue-config={file}").webhooks is None
    in_pod = settings(f"--queue-config={file}", KUBERNETES_SERVICE_HOST="10.0.0.1").webhooks
    assert in_pod is not None
    assert (in_pod.port, in_pod.service) == (9443, ServiceReference("kueue-system", "kueue-webhook-service"))
    assert in_pod.admission.frameworks == {"batch/job"}


def test_the_flags_of_kueues_load_test_are_taken() -> None:
    found = settings(
        "--only=queue", "--metricsPort", "8080", "--enableTAS", "--zap-log-level=2", "--cpuprofile", "/x", "--memprofile", "/y"
    )
    assert found.metrics_address == "127.0.0.1:8080"
    assert found.controllers == {QUEUE}


@pytest.mark.slow
@pytest.mark.skipif(assets() is None, reason=MISSING)
async def test_on_a_real_kube_apiserver() -> None:
    """With the rights of the example's service account, and no more."""
    with short_folder(None) as folder:
        api = Kubernetes(folder)
        stop = asyncio.Event()
        try:
            await api.start()
            async with api.client() as client:
                await _grant(client)
            connection = replace(api.connection(), impersonate="system:serviceaccount:raysail-system:raysail")
            chosen = OperatorSettings(
                connection=connection, controllers=frozenset({QUEUE}), install=True, webhooks=WebhookSettings("127.0.0.1", 0)
            )
            running = asyncio.create_task(run(chosen, stop))
            async with api.client() as client, asyncio.timeout(90):
                await _until_served(client, running)
                await _a_queue_and_its_jobs(client)
            stop.set()
            await running
        finally:
            await api.stop()


async def _grant(client: Any) -> None:
    """The example's ClusterRole and its binding."""
    for document in yaml.safe_load_all(MANIFESTS.read_text()):
        resource = {"ClusterRole": CLUSTER_ROLES, "ClusterRoleBinding": CLUSTER_ROLE_BINDINGS}.get(document["kind"])
        if resource is not None:
            await client.create(resource, document)


async def _until_served(client: Any, running: asyncio.Task[None]) -> None:
    while True:
        status, _, _ = await client.raw("GET", "/apis/visibility.kueue.x-k8s.io/v1beta2")
        if status == 200:
            return
        assert not running.done(), running.exception()
        await asyncio.sleep(0.2)


async def _a_queue_and_its_jobs(client: Any) -> None:
    await client.create(RESOURCE_FLAVORS, of(RESOURCE_FLAVORS, "rf", {}))
    older = Resource("kueue.x-k8s.io", "v1beta1", "ClusterQueue", "clusterqueues", namespaced=False)
    quota = [{"name": "cpu", "nominalQuota": "1"}]
    groups = [{"coveredResources": ["cpu"], "flavors": [{"name": "rf", "resources": quota}]}]
    spec = {"cohort": "co", "namespaceSelector": {}, "resourceGroups": groups, "stopPolicy": "Hold"}
    await client.create(older, of(older, "cq", spec))
    newer = await client.get(CLUSTER_QUEUES, "cq")
    assert newer["spec"]["cohortName"] == "co"
    assert newer["metadata"]["finalizers"] == ["kueue.x-k8s.io/resource-in-use"]
    await client.create(LOCAL_QUEUES, of(LOCAL_QUEUES, "lq", {"clusterQueue": "cq"}), "default")
    job = {**JOB, "metadata": {**JOB["metadata"], "namespace": "default"}}  # type: ignore[dict-item]
    created = await client.create(JOBS, job, "default")
    assert created["spec"]["suspend"] is True
    with pytest.raises(StatusError) as refused:
        await client.patch(
            JOBS, "a", {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "other"}}, "spec": {"suspend": False}}, "default"
        )
    assert refused.value.code == 403
    assert refused.value.message.startswith('admission webhook "vjob.kb.io" denied the request: metadata.labels[kueue.x-k8s.io/queue-name]')
    while not (waiting := (await client.list(WORKLOADS, "default")).items):
        await asyncio.sleep(0.1)
    name = json.loads(waiting[0])["metadata"]["name"]
    path = "/apis/visibility.kueue.x-k8s.io/v1beta2/clusterqueues/cq/pendingworkloads"
    while not (items := json.loads((await client.raw("GET", path))[2]).get("items")):
        await asyncio.sleep(0.1)
    assert [(item["metadata"]["name"], item["positionInClusterQueue"]) for item in items] == [(name, 0)]
