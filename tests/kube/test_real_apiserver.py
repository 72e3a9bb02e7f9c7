"""The same client, informers, events and leases against a real kube-apiserver."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from raysail.api.core import ConfigMap
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, RAY_CLUSTERS
from raysail.kube.client import PatchType, Propagation
from raysail.kube.discovery import served_kinds
from raysail.kube.events import Recorder
from raysail.kube.informer import Informer
from raysail.kube.leader import LeaderElection
from tests.kube.kube_apiserver import assets, kube_apiserver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(assets() is None, reason="needs KUBEBUILDER_ASSETS, a folder with etcd and kube-apiserver"),
]


async def test_everything_in_one_life() -> None:
    async with kube_apiserver() as api, asyncio.timeout(90):
        client = api.client
        kinds = {(kind.resource.group, kind.resource.plural): kind for kind in await served_kinds(client)}
        assert kinds["", "pods"].resource.namespaced
        assert kinds["apps", "deployments"].verbs >= {"create", "watch", "deletecollection"}
        assert len([k for k in kinds if k[1] == "events"]) == 2

        full = Informer(client, CONFIG_MAPS, ConfigMap, seed=1)
        slim = Informer(client, CONFIG_MAPS, Object, metadata_only=True)
        absent = Informer(client, RAY_CLUSTERS, Object, optional=True)
        following = [asyncio.create_task(informer.run()) for informer in (full, slim, absent)]
        for informer in (full, slim, absent):
            await informer.wait_synced()
        made = await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
        absorbed = full.absorb(made)
        assert absorbed is not None
        assert (absorbed.kind, absorbed.data) == ("ConfigMap", {"x": "1"})
        await slim.until(lambda: slim.get("default", "a") is not None)
        with pytest.raises(StatusError) as twice:
            await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
        assert is_already_exists(twice.value)
        stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "2"}}
        await client.patch(CONFIG_MAPS, "a", stale, "default")
        with pytest.raises(StatusError) as late:
            await client.patch(CONFIG_MAPS, "a", stale | {"data": {"x": "3"}}, "default")
        assert is_conflict(late.value)
        await client.patch(
            CONFIG_MAPS,
            "a",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"y": "1"}},
            "default",
            type=PatchType.APPLY,
            field_manager="raysail",
        )
        await full.until(lambda: (found := full.get("default", "a")) is not None and found.data == {"x": "2", "y": "1"})
        await client.delete(CONFIG_MAPS, "a", "default", propagation=Propagation.BACKGROUND, uid=made["metadata"]["uid"])
        await full.until(lambda: full.get("default", "a") is None)
        with pytest.raises(StatusError) as gone:
            await client.get(CONFIG_MAPS, "a", "default")
        assert is_not_found(gone.value)
        page = await client.list(NAMESPACES, limit=2)
        assert page.continue_token
        assert await client.list(NAMESPACES, limit=2, continue_token=page.continue_token)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

        recorder = Recorder(client)
        recording = asyncio.create_task(recorder.run())
        about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default", "uid": "u"}}
        for _ in range(2):
            recorder.event(about, "Warning", "Tested", "message", "Testing")
        await recorder.flush()
        recording.cancel()
        (event,) = (await client.list(EVENTS, "default")).items
        assert b'"count":2' in event

        election = LeaderElection(client, "default", "lock", retry_seconds=0.2)
        leading = asyncio.Event()

        async def work() -> None:
            leading.set()
            await asyncio.sleep(1)

        await election.run(work)
        assert leading.is_set()
        lease = await client.get(LEASES, "lock", "default")
        assert not lease["spec"].get("holderIdentity")
        with contextlib.suppress(asyncio.CancelledError):
            await recording
