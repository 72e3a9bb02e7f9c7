"""From a Service and its Pods to addresses: tables of the pure part, and the controller on the embedded API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from raysail.api.core import Pod, Service
from raysail.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from raysail.builtin.endpoints.slices import endpoint_slices, endpoints
from tests.builtin.builders import pod
from tests.builtin.conftest import cluster


def service(*ports: dict[str, Any], **spec: Any) -> Service:
    wire = {
        "metadata": {"name": "s", "namespace": "ns", "uid": "uid-s", "labels": {"team": "a"}},
        "spec": {"selector": {"app": "x"}, "ports": list(ports) or [{"port": 80}], **spec},
    }
    return msgspec.convert(wire, Service)


def up(name: str, ip: str, *, ready: bool = True, **fields: Any) -> Pod:
    return pod(name, ip=ip, ready=ready, node="n", **fields)


NAMED = [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]


@dataclass(frozen=True)
class Case:
    rule: str
    service: Service
    pods: list[Pod] = field(default_factory=list)
    ready: dict[str, bool] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return self.rule


CASES = [
    Case("nobody", service()),
    Case("ready Pods", service(), [up("a", "127.0.0.2"), up("b", "127.0.0.3", ready=False)], {"127.0.0.2": True, "127.0.0.3": False}, [80]),
    Case("all count as ready where not-ready addresses are published", service(publishNotReadyAddresses=True), [up("a", "127.0.0.2", ready=False)], {"127.0.0.2": True}, [80]),
    Case("one that is being stopped is not ready", service(), [up("a", "127.0.0.2", deleting=True)], {"127.0.0.2": False}, [80]),
    Case("ended Pods and those without address or Node are left out", service(), [up("a", "127.0.0.2", phase="Succeeded"), up("b", ""), pod("c", ip="127.0.0.4")]),
    Case("target port by number", service({"port": 80, "targetPort": 9000}), [up("a", "127.0.0.2")], {"127.0.0.2": True}, [9000]),
    Case("target port by name", service({"port": 80, "targetPort": "web"}), [up("a", "127.0.0.2", containers=NAMED)], {"127.0.0.2": True}, [8080]),
    Case("a Pod without that name is left out", service({"port": 80, "targetPort": "web"}), [up("a", "127.0.0.2")]),
    Case("headless without ports", service(ports=[], clusterIP="None"), [up("a", "127.0.0.2")], {"127.0.0.2": True}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_slices(case: Case) -> None:
    (found,) = endpoint_slices(case.service, case.pods)
    assert {e["addresses"][0]: e["conditions"]["ready"] for e in found["endpoints"]} == case.ready
    assert [p["port"] for p in found["ports"]] == case.ports
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "s"
    assert found["metadata"]["labels"]["team"] == "a"
    assert ("service.kubernetes.io/headless" in found["metadata"]["labels"]) == case.service.spec.headless
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-s"


def test_pods_with_different_ports_are_in_different_slices() -> None:
    other = [{"name": "c", "ports": [{"name": "web", "containerPort": 9090}]}]
    found = endpoint_slices(
        service({"port": 80, "targetPort": "web"}), [up("a", "127.0.0.2", containers=NAMED), up("b", "127.0.0.3", containers=other)]
    )
    assert sorted(p["port"] for s in found for p in s["ports"]) == [8080, 9090]
    assert len({s["metadata"]["name"] for s in found}) == 2


def test_a_slice_holds_a_hundred() -> None:
    found = endpoint_slices(service(), [up(f"p{i:03}", f"127.0.1.{i}") for i in range(150)])
    assert [len(s["endpoints"]) for s in found] == [100, 50]


def test_hostnames_of_pods_with_a_subdomain() -> None:
    (found,) = endpoint_slices(
        service(), [up("a", "127.0.0.2", hostname="w-0", subdomain="s"), up("b", "127.0.0.3", hostname="w-1", subdomain="t")]
    )
    assert [e.get("hostname") for e in found["endpoints"]] == ["w-0", None]


def test_old_endpoints_tell_ready_and_not_ready_apart() -> None:
    found = endpoints(service(), [up("a", "127.0.0.2"), up("b", "127.0.0.3", ready=False)])
    (subset,) = found["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["127.0.0.2"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["127.0.0.3"]
    assert subset["ports"] == [{"port": 80, "protocol": "TCP"}]
    assert "subsets" not in endpoints(service(), [])


async def test_follows_its_pods() -> None:
    async with cluster("endpointslice", "binder", "node", "gc") as c:
        await c.node("n1")
        await c.create(
            SERVICES, "s", spec={"selector": {"app": "x"}, "clusterIP": "None", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        )
        await c.pod("a", metadata={"labels": {"app": "x"}})
        await c.pod("b", metadata={"labels": {"app": "other"}})
        await c.pods_until(lambda pods: len(pods) == 2 and all(p.spec.node_name for p in pods))
        await c.set_pod("a", ip="10.1.0.2")

        def addresses(o: dict[str, Any] | None) -> list[str]:
            return [a["ip"] for subset in (o or {}).get("subsets") or () for a in subset.get("addresses") or ()]

        await c.until(ENDPOINTS, "s", lambda o: addresses(o) == ["10.1.0.2"])
        (found,) = await c.listed(ENDPOINT_SLICES)
        assert [e["addresses"] for e in found["endpoints"]] == [["10.1.0.2"]]
        assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        await c.set_pod("a", ready=False, ip="10.1.0.2")
        await c.until(ENDPOINTS, "s", lambda o: addresses(o) == [])
        await c.client.delete(SERVICES, "s", "ns")
        await c.gone(ENDPOINTS, "s")
        await c.gone(ENDPOINT_SLICES, found["metadata"]["name"])
