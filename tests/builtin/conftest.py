from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from raysail import builtin
from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import CONFIG_MAPS, NAMESPACES, NODES, PODS, Resource
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from tests.kube.kube_apiserver import assets, kube_apiserver
from tests.support.embedded import embedded_api

PATIENCE_SECONDS = 20


class Cluster:
    """The embedded API with some controllers on it, and a hand on everything in namespace `ns`."""

    def __init__(self, client: HttpClient, manager: Manager) -> None:
        self.client = client
        self.manager = manager

    async def create(self, resource: Resource, name: str, namespace: str = "ns", **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        return await self.client.create(resource, body, namespace if resource.namespaced else None)

    async def config_map(self, name: str, *owners: dict[str, Any], block: bool = False, **metadata: Any) -> dict[str, Any]:
        references = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": block,
            }
            for owner in owners
        ]
        return await self.create(CONFIG_MAPS, name, metadata={"ownerReferences": references, **metadata})

    async def node(self, name: str, **allocatable: str) -> None:
        size = {"cpu": "4", "memory": "8Gi", "pods": "110", **allocatable}
        await self.create(NODES, name)
        ready = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        await self.client.patch(NODES, name, {"status": {"capacity": size, "allocatable": size, "conditions": ready}}, subresource="status")
        # New Nodes carry a taint until the node controller has seen that they are ready.
        await self.until(NODES, name, lambda o: o and not o.get("spec", {}).get("taints"))

    async def pod(self, name: str, requests: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        spec = {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests or {}}}], **fields.pop("spec", {})}
        return await self.create(PODS, name, spec=spec, **fields)

    async def set_pod(self, name: str, phase: str = "Running", *, ready: bool = True, ip: str = "", exit_code: int = 0) -> None:
        """Plays the node agent."""
        status: dict[str, Any] = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
        if ip:
            status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        if phase in ("Succeeded", "Failed"):
            ended = {"exitCode": exit_code, "finishedAt": "2026-01-01T00:00:00Z", "startedAt": "2026-01-01T00:00:00Z"}
            status["containerStatuses"] = [
                {"name": "c", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended}}
            ]
        await self.client.patch(PODS, name, {"status": status}, "ns", subresource="status")

    async def end_pod(self, name: str) -> None:
        """Plays the node agent at the end of a deletion; a Pod that never had a Node is gone already."""
        try:
            await self.client.delete(PODS, name, "ns", grace_seconds=0)
        except StatusError as error:
            if not is_not_found(error):
                raise

    async def get(self, resource: Resource, name: str, namespace: str = "ns") -> dict[str, Any] | None:
        try:
            return await self.client.get(resource, name, namespace if resource.namespaced else None)
        except StatusError as error:
            if is_not_found(error):
                return None
            raise

    async def listed(self, resource: Resource, namespace: str = "ns") -> list[dict[str, Any]]:
        import msgspec

        return [msgspec.json.decode(item) for item in (await self.client.list(resource, namespace)).items]

    async def until(self, resource: Resource, name: str, condition: Callable[[dict[str, Any] | None], Any]) -> dict[str, Any] | None:
        """Waits until the object (None: gone) is as wanted; looks after each change of its kind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                version = (await self.client.list(resource, limit=1)).resource_version
                obj = await self.get(resource, name)
                if condition(obj):
                    return obj
                async with contextlib.aclosing(self.client.watch(resource, resource_version=version)) as events:
                    async for event in events:
                        if event.type != "BOOKMARK":
                            break

    async def gone(self, resource: Resource, name: str) -> None:
        await self.until(resource, name, lambda obj: obj is None)

    def pods(self) -> list[Pod]:
        return sorted(self.manager.informer(PODS, Pod).list("ns"), key=lambda p: p.metadata.name)

    async def pods_until(self, condition: Callable[[list[Pod]], Any]) -> list[Pod]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.manager.informer(PODS, Pod).until(lambda: bool(condition(self.pods())))
        return self.pods()


def host() -> Any:
    """Which API the controllers speak to: the embedded one, or with HOST=kube-apiserver a real one."""
    if os.environ.get("HOST") != "kube-apiserver":
        return embedded_api
    if assets() is None:
        pytest.skip("HOST=kube-apiserver needs KUBEBUILDER_ASSETS, a folder with etcd and kube-apiserver")
    return kube_apiserver


@contextlib.asynccontextmanager
async def cluster(*controllers: str, volumes_folder: Path | None = None, **options: Any) -> AsyncIterator[Cluster]:
    async with host()(port=None, **options) as api:
        manager = Manager(api.client)
        authority = api.folder / "published-ca.crt"
        authority.write_text("-----CA-----")
        settings = BuiltinSettings(root_ca_file=authority, volumes_folder=volumes_folder)
        builtin.register(manager, settings, controllers)
        manager.informer(PODS, Pod)
        await api.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        async with manager:
            yield Cluster(api.client, manager)
