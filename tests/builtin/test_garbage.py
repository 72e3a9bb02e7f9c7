"""Garbage collection on the embedded API."""

from __future__ import annotations

import os

import pytest

from raysail.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, EVENTS, RAY_CLUSTERS, SECRETS, Resource
from raysail.builtin.garbage.graph import FOREGROUND
from raysail.kube.client import Propagation
from tests.builtin.conftest import cluster


async def test_background() -> None:
    async with cluster("gc") as c:
        owner = await c.config_map("owner")
        child = await c.config_map("child", owner)
        await c.config_map("grandchild", child)
        other = await c.config_map("other")
        await c.config_map("shared", owner, other)
        await c.client.delete(CONFIG_MAPS, "owner", "ns", propagation=Propagation.BACKGROUND)
        await c.gone(CONFIG_MAPS, "grandchild")
        shared = await c.until(CONFIG_MAPS, "shared", lambda o: o and len(o["metadata"]["ownerReferences"]) == 1)
        assert shared is not None
        assert shared["metadata"]["ownerReferences"][0]["name"] == "other"


async def test_foreground_waits_for_those_that_block() -> None:
    async with cluster("gc") as c:
        owner = await c.config_map("owner")
        await c.config_map("blocks", owner, block=True, finalizers=["x.io/hold"])
        await c.config_map("free", owner, finalizers=["x.io/hold"])
        await c.client.delete(CONFIG_MAPS, "owner", "ns", propagation=Propagation.FOREGROUND)
        for name in ("blocks", "free"):
            await c.until(CONFIG_MAPS, name, lambda o: o and o["metadata"].get("deletionTimestamp"))
        waiting = await c.get(CONFIG_MAPS, "owner")
        assert waiting is not None
        assert waiting["metadata"]["finalizers"] == [FOREGROUND]
        await c.client.patch(CONFIG_MAPS, "blocks", {"metadata": {"finalizers": None}}, "ns")
        await c.gone(CONFIG_MAPS, "owner")
        assert await c.get(CONFIG_MAPS, "free") is not None, "who does not block is not waited for"


async def test_orphans_are_let_go_first() -> None:
    async with cluster("gc") as c:
        owner = await c.config_map("owner")
        for number in range(5):
            await c.config_map(f"child-{number}", owner)
        await c.client.delete(CONFIG_MAPS, "owner", "ns", propagation=Propagation.ORPHAN)
        await c.gone(CONFIG_MAPS, "owner")
        for number in range(5):
            child = await c.get(CONFIG_MAPS, f"child-{number}")
            assert child is not None
            assert not child["metadata"].get("ownerReferences")
            assert not child["metadata"].get("deletionTimestamp")


async def test_an_owner_that_never_was() -> None:
    async with cluster("gc") as c:
        ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
        await c.config_map("lost", ghost)
        await c.gone(CONFIG_MAPS, "lost")


async def test_the_same_name_with_another_uid_is_another_owner() -> None:
    async with cluster("gc") as c:
        old = await c.config_map("owner")
        await c.client.delete(CONFIG_MAPS, "owner", "ns")
        await c.config_map("owner")
        await c.config_map("child", old)
        await c.gone(CONFIG_MAPS, "child")


async def test_an_owner_in_another_namespace_is_said_to_be_wrong() -> None:
    async with cluster("gc") as c:
        owner = await c.create(CONFIG_MAPS, "owner", "default")
        await c.config_map("stray", owner)
        await c.gone(CONFIG_MAPS, "stray")
        await c.manager.events.flush()
        events = await c.listed(EVENTS)
        assert [e["reason"] for e in events] == ["OwnerRefInvalidNamespace"]
        assert (await c.get(CONFIG_MAPS, "owner", "default")) is not None


async def test_kinds_that_come_while_it_runs() -> None:
    widgets = Resource("demo.raysail.io", "v1", "Widget", "widgets")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    async with cluster("gc") as c:
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.demo.raysail.io"},
            "spec": {
                "group": "demo.raysail.io",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
        await c.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)

        def established(o: dict[str, object] | None) -> bool:
            return bool(o) and "Established" in str(o.get("status"))  # type: ignore[union-attr]

        await c.until(CUSTOM_RESOURCE_DEFINITIONS, "widgets.demo.raysail.io", established)
        owner = await c.config_map("owner")
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
        widget = await c.create(widgets, "w", metadata={"ownerReferences": [reference]})
        await c.create(
            SECRETS,
            "of-widget",
            metadata={
                "ownerReferences": [{"apiVersion": "demo.raysail.io/v1", "kind": "Widget", "name": "w", "uid": widget["metadata"]["uid"]}]
            },
        )
        await c.client.delete(CONFIG_MAPS, "owner", "ns")
        await c.gone(SECRETS, "of-widget")


@pytest.mark.slow
async def test_many_dependents() -> None:
    async with cluster("gc") as c:
        owner = await c.config_map("owner")
        for number in range(300):
            await c.config_map(f"child-{number}", owner, block=True)
        await c.client.delete(CONFIG_MAPS, "owner", "ns", propagation=Propagation.FOREGROUND)
        await c.gone(CONFIG_MAPS, "owner")
        assert [o["metadata"]["name"] for o in await c.listed(CONFIG_MAPS)] == []


@pytest.mark.skipif(os.environ.get("HOST") == "kube-apiserver", reason="needs the CRDs that the embedded API installs")
async def test_ray_clusters_own_too() -> None:
    async with cluster("gc", install_crds=True) as c:
        template = {"spec": {"containers": [{"name": "ray-head", "image": "rayproject/ray:2.9.0"}]}}
        owner = await c.create(RAY_CLUSTERS, "rc", spec={"headGroupSpec": {"rayStartParams": {}, "template": template}})
        await c.config_map("of-cluster", owner)
        await c.client.delete(RAY_CLUSTERS, "rc", "ns")
        await c.gone(CONFIG_MAPS, "of-cluster")
