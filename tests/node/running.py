"""An embedded API and an agent in the test's own event loop, with Pods that are bound by hand."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysail.api.resources import CONFIG_MAPS, EVENTS, NODES, PODS, SERVICE_ACCOUNTS
from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from raysail.node.agent import Agent
from raysail.node.capabilities import Capabilities, find_capabilities
from raysail.node.kubelet import serve
from raysail.node.launcher import keep_launcher
from raysail.node.settings import NodeSettings, parse_nodes
from tests.support.embedded import embedded_api

WAIT_SECONDS = 20.0


@dataclass
class Machine:
    """The API, the agent and short ways to use both."""

    client: HttpClient
    agent: Agent
    settings: NodeSettings

    async def create(self, name: str, containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
        """A Pod that is bound to the first Node."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", **spec.pop("metadata", {})},
            "spec": {"nodeName": self.settings.nodes[0].name, "containers": containers, "terminationGracePeriodSeconds": 5, **spec},
        }
        return await self.client.create(PODS, body, "default")

    async def until(self, name: str, condition: Callable[[dict[str, Any]], Any], seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The Pod as soon as the condition holds."""
        version = ""
        pod: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                pod = await self.client.get(PODS, name, "default")
                while not condition(pod):
                    version = pod["metadata"]["resourceVersion"]
                    selector = f"metadata.name={name}"
                    async for event in self.client.watch(PODS, "default", resource_version=version, field_selector=selector):
                        if event.type in ("MODIFIED", "ADDED"):
                            break
                    pod = await self.client.get(PODS, name, "default")
        except TimeoutError as error:
            raise AssertionError(f"{name} did not get there: {pod.get('status')}") from error
        return pod

    async def gone(self, name: str, seconds: float = WAIT_SECONDS) -> None:
        """Returns when the Pod is no more, in the API and on this machine."""
        from raysail.api.errors import StatusError

        async with asyncio.timeout(seconds):
            while True:
                try:
                    await self.client.get(PODS, name, "default")
                except StatusError:
                    break
                await asyncio.sleep(0.02)
            while any(w.pod.metadata.name == name for w in self.agent.workers.values()):
                await asyncio.sleep(0.01)

    def log(self, pod: dict[str, Any], container: str = "main", number: int = 0) -> str:
        """What the container has written so far, without the log's own columns."""
        path = self.settings.pods / pod["metadata"]["uid"] / "logs" / container / f"{number}.log"
        return "".join(line.split(" ", 3)[3] + "\n" for line in path.read_text().splitlines())

    async def until_log(self, pod: dict[str, Any], text: str, container: str = "main", number: int = 0) -> str:
        """The log as soon as it holds the text."""
        async with asyncio.timeout(WAIT_SECONDS):
            while text not in (log := self.log(pod, container, number)):
                await asyncio.sleep(0.02)
        return log

    async def event(self, reason: str) -> str:
        """The note of an event with that reason, once there is one: they are written a moment after what they tell."""
        import orjson

        page = await self.client.list(EVENTS, "default")
        found = [orjson.loads(item) for item in page.items]
        async with asyncio.timeout(10):
            for event in found:
                if event.get("reason") == reason:
                    return str(event.get("note", ""))
            async for change in self.client.watch(EVENTS, "default", resource_version=page.resource_version):
                event = orjson.loads(change.object)
                if event.get("reason") == reason:
                    return str(event.get("note", ""))
        raise TimeoutError(f"no event {reason}")


def phase(wanted: str) -> Callable[[dict[str, Any]], bool]:
    """A condition for `until`."""
    return lambda pod: bool(pod.get("status", {}).get("phase") == wanted)


def ready(pod: dict[str, Any]) -> bool:
    """A condition for `until`."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


def shell(script: str, name: str = "main", **more: Any) -> dict[str, Any]:
    """A container that runs a script of bash."""
    return {"name": name, "image": "none", "command": ["bash", "-c", script], **more}


@contextlib.asynccontextmanager
async def agent_running(settings: NodeSettings, capabilities: Capabilities | None = None) -> AsyncIterator[Agent]:
    """An agent of these settings, until the context ends; its Pods stay."""
    settings.pods.mkdir(parents=True, exist_ok=True)
    settings.run.mkdir(parents=True, exist_ok=True)
    async with HttpClient(unix_socket(settings.api_socket)) as client:
        manager = Manager(client, component="kubelet")
        agent = Agent(manager, settings, capabilities or find_capabilities())
        manager.add_service("nodes", agent.presence.run)
        manager.add_service("pods", agent.run)
        manager.add_service("kubelet API", lambda: serve(agent))
        if settings.warm_ray:
            manager.add_service("warm launcher", lambda: keep_launcher(agent))
        task = asyncio.create_task(manager.run())
        try:
            await manager.wait_ready()
            await _registered(client, settings)
            yield agent
        finally:
            manager.stop()
            await task


async def _registered(client: HttpClient, settings: NodeSettings) -> None:
    from raysail.api.errors import StatusError

    async with asyncio.timeout(WAIT_SECONDS):
        for node in settings.nodes:
            while True:
                try:
                    if (await client.get(NODES, node.name)).get("status", {}).get("conditions"):
                        break
                except StatusError:
                    pass
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def machine(nodes: str = "cpu=4,memory=8Gi", capabilities: Capabilities | None = None, **options: Any) -> AsyncIterator[Machine]:
    """The API and an agent; at the end every Pod is removed."""
    home = Path(tempfile.mkdtemp(prefix="rsnode-"))
    try:
        async with embedded_api(home / "api", port=None, install_crds=False, service_cidr="127.98.0.0/20") as api:
            await namespace_contents(api.client)
            options = {"warm_ray": False, "pod_cidr": "127.98.128.0/17", "service_cidr": "127.98.0.0/20", **options}
            settings = NodeSettings(home / "node", home / "run", api.socket, nodes=parse_nodes(nodes, "testnode"), **options)
            async with agent_running(settings, capabilities) as agent:
                created = Machine(api.client, agent, settings)
                try:
                    yield created
                finally:
                    await remove_all(created)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def namespace_contents(client: HttpClient) -> None:
    """What controllers put into each namespace."""
    await client.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, "default")
    root = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "-"}}
    await client.create(CONFIG_MAPS, root, "default")


async def remove_all(created: Machine) -> None:
    for worker in list(created.agent.workers.values()):
        meta = worker.pod.metadata
        with contextlib.suppress(Exception):
            await created.client.delete(PODS, meta.name, meta.namespace, grace_seconds=0)
    async with asyncio.timeout(WAIT_SECONDS):
        while created.agent.workers:
            await asyncio.sleep(0.01)
