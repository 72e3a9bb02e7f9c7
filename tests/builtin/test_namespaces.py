"""Namespaces are emptied before they go, and get what each needs when they come."""

from __future__ import annotations

from raysail.api.core import Namespace
from raysail.api.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS
from raysail.builtin.namespaces.emptying import Left
from tests.builtin.conftest import cluster


async def test_everything_in_it_goes() -> None:
    async with cluster("namespace") as c:
        for number in range(5):
            await c.config_map(f"c{number}")
        await c.create(SECRETS, "s")
        await c.pod("p")
        await c.client.delete(NAMESPACES, "ns")
        await c.gone(NAMESPACES, "ns")
        assert await c.listed(CONFIG_MAPS) == []
        assert await c.listed(PODS) == []


async def test_what_a_finalizer_holds_is_told() -> None:
    async with cluster("namespace") as c:
        await c.config_map("held", finalizers=["x.io/hold"])
        await c.client.delete(NAMESPACES, "ns")
        found = await c.until(NAMESPACES, "ns", lambda o: o and o["status"].get("conditions"))
        assert found is not None
        said = {cond["type"]: cond for cond in found["status"]["conditions"]}
        assert said["NamespaceContentRemaining"]["message"] == "Some resources are remaining: configmaps. has 1 resource instances"
        assert (
            said["NamespaceFinalizersRemaining"]["message"]
            == "Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances"
        )
        assert said["NamespaceDeletionContentFailure"]["status"] == "False"
        await c.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "ns")
        await c.gone(NAMESPACES, "ns")


async def test_other_namespaces_stay() -> None:
    async with cluster("namespace") as c:
        await c.create(NAMESPACES, "other")
        await c.create(CONFIG_MAPS, "mine", "other")
        await c.client.delete(NAMESPACES, "ns")
        await c.gone(NAMESPACES, "ns")
        assert await c.get(CONFIG_MAPS, "mine", "other") is not None


async def test_pods_go_first() -> None:
    from raysail.api.meta import ObjectMeta

    left = Left({CONFIG_MAPS: [ObjectMeta(name="c")], PODS: [ObjectMeta(name="p")]})
    assert left.next_kinds() == [PODS]
    assert Left({CONFIG_MAPS: [ObjectMeta(name="c")], PODS: []}).next_kinds() == [CONFIG_MAPS]
    assert not Left(discovery_failure="x").empty
    assert Left({PODS: []}).empty


async def test_each_gets_a_service_account_and_the_certificate() -> None:
    async with cluster("serviceaccount") as c:
        await c.until(SERVICE_ACCOUNTS, "default", bool)
        found = await c.until(CONFIG_MAPS, "kube-root-ca.crt", bool)
        assert found is not None
        assert found["data"] == {"ca.crt": "-----CA-----"}
        await c.client.delete(SERVICE_ACCOUNTS, "default", "ns")
        await c.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged", "more": "x"}}, "ns")
        await c.until(SERVICE_ACCOUNTS, "default", bool)
        await c.until(CONFIG_MAPS, "kube-root-ca.crt", lambda o: o and o["data"]["ca.crt"] == "-----CA-----")
        assert c.manager.informer(NAMESPACES, Namespace).get("", "ns") is not None
