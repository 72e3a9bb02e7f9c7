"""Names and service addresses, as Pods and the machine see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from raysail.api.core.pod import Pod
from raysail.api.core.service import Service, ServicePort, ServiceSpec
from raysail.api.discovery import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from raysail.api.meta import ObjectMeta
from raysail.api.resources import CONFIG_MAPS, ENDPOINT_SLICES, SERVICES
from raysail.node.names import hosts_file, records
from raysail.node.proxy import routes
from tests.node.running import Machine, machine, ready, shell

pytestmark = pytest.mark.asyncio(loop_scope="module")


def service(name: str, cluster_ip: str, namespace: str = "default", **spec: Any) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace=namespace), spec=ServiceSpec(cluster_ip=cluster_ip, **spec))


def slice_of(name: str, *endpoints: Endpoint, port: int = 8000, port_name: str = "", namespace: str = "default") -> EndpointSlice:
    meta = ObjectMeta(name=f"{name}-x", namespace=namespace, labels={"kubernetes.io/service-name": name})
    return EndpointSlice(metadata=meta, endpoints=list(endpoints), ports=[EndpointPort(name=port_name, port=port)])


def endpoint(address: str, *, ready: bool = True, hostname: str = "") -> Endpoint:
    return Endpoint(addresses=[address], conditions=EndpointConditions(ready=ready), hostname=hostname or None)


async def test_a_headless_service_is_its_ready_pods_and_another_is_its_address() -> None:
    slices = [slice_of("head", endpoint("127.1.128.1", hostname="zero"), endpoint("127.1.128.2", ready=False))]
    known = records([service("head", "None"), service("web", "127.1.0.9"), service("away", "127.1.0.8", "other")], slices)
    assert known == {
        ("default", "head"): ("127.1.128.1",),
        ("default", "zero.head"): ("127.1.128.1",),
        ("default", "web"): ("127.1.0.9",),
        ("other", "away"): ("127.1.0.8",),
    }
    pod = Pod(metadata=ObjectMeta(name="p", namespace="default"))
    lines = hosts_file(pod, "127.1.128.7", "p", known, "cluster.local").splitlines()
    assert "127.1.128.7\tp" in lines
    assert "127.1.128.1\thead.default.svc.cluster.local head.default.svc head.default head" in lines
    assert "127.1.0.8\taway.other.svc.cluster.local away.other.svc away.other" in lines


async def test_unready_pods_are_named_where_the_service_says_so() -> None:
    slices = [slice_of("head", endpoint("127.1.128.2", ready=False))]
    assert records([service("head", "None", publish_not_ready_addresses=True)], slices) == {("default", "head"): ("127.1.128.2",)}


async def test_routes_lead_from_the_port_to_the_target_port_of_ready_pods() -> None:
    ports = [ServicePort(name="http", port=80, target_port=8000)]
    slices = [slice_of("web", endpoint("127.1.128.1"), endpoint("127.1.128.2"), endpoint("127.1.128.3", ready=False), port_name="http")]
    found = routes([service("web", "127.1.0.9", ports=ports), service("far", "10.0.0.1", ports=ports)], slices, "127.1.0.0/20")
    assert found == {("127.1.0.9", 80): (("127.1.128.1", 8000), ("127.1.128.2", 8000))}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Machine]:
    async with machine() as running:
        yield running


async def make_service(here: Machine, name: str, cluster_ip: str, port: int, target: int, addresses: list[str]) -> None:
    spec = {"clusterIP": cluster_ip, "ports": [{"port": port, "targetPort": target}]}
    await here.client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}, "default")
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [{"name": "", "port": target, "protocol": "TCP"}],
    }
    await here.client.create(ENDPOINT_SLICES, body, "default")


async def test_a_service_address_goes_round_its_pods(here: Machine) -> None:
    probe = {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 1}
    script = "mkdir -p www && cd www && hostname > name && exec python -m http.server 8000"
    for name in ("a", "b"):
        await here.create(name, [shell(script, readinessProbe=probe, ports=[{"containerPort": 8000, "name": "web"}])])
    addresses = [(await here.until(name, ready))["status"]["podIP"] for name in ("a", "b")]
    await make_service(here, "web", "127.98.0.77", 80, 8000, addresses)
    await make_service(here, "pods", "None", 8000, 8000, addresses[:1])
    found = set()
    async with asyncio.timeout(10), aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        while found != {"a\n", "b\n"}:
            try:
                async with session.get("http://127.98.0.77/name") as answer:
                    found.add(await answer.text())
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
    script = "for name in web pods.default pods.default.svc.cluster.local; do wget -q -O- http://$name$PORT/name; done 2>&1; wget -q -O- http://web/name; env | grep ^WEB_SERVICE_HOST; echo end; sleep 60"
    pod = await here.create("asks", [shell(script.replace("$PORT", ":8000").replace("web pods", "pods"))])
    log = await here.until_log(await here.until("asks", ready), "end")
    assert log.splitlines()[:2] == ["a", "a"]
    assert log.splitlines()[2] in ("a", "b")
    assert log.splitlines()[3] == "WEB_SERVICE_HOST=127.98.0.77"
    assert pod["metadata"]["name"] == "asks"


async def test_a_new_service_is_known_in_a_running_pod_and_a_changed_config_map_too(here: Machine) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "live"}, "data": {"key": "old"}}
    await here.client.create(CONFIG_MAPS, body, "default")
    script = "until getent hosts later; do sleep 0.05; done; until grep new /live/key; do sleep 0.05; done; echo end; sleep 60"
    container = shell(script, volumeMounts=[{"name": "live", "mountPath": "/live"}])
    await here.create("waits", [container], volumes=[{"name": "live", "configMap": {"name": "live"}}])
    pod = await here.until("waits", ready)
    await make_service(here, "later", "127.98.0.78", 80, 80, [])
    await here.client.patch(CONFIG_MAPS, "live", {"data": {"key": "new"}}, "default")
    assert (await here.until_log(pod, "end")).startswith("127.98.0.78")
