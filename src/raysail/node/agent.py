"""All Pods of the agent's Nodes: a worker for each, names and service addresses for all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from raysail.api.core.pod import Pod
from raysail.api.core.settings import ConfigMap, Secret
from raysail.api.meta import ObjectMeta
from raysail.api.resources import PODS
from raysail.kube.manager import Manager
from raysail.node import names, records
from raysail.node.addresses import AddressPool
from raysail.node.capabilities import Capabilities
from raysail.node.content import Content
from raysail.node.host import Host
from raysail.node.launching import hostname_of
from raysail.node.presence import Presence, machine_memory_bytes
from raysail.node.proxy import Proxy, routes
from raysail.node.settings import NodeSettings
from raysail.node.worker import PodWorker

logger = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 0.02
"""Changes of Services are put together for so long before hosts files are written."""


class Agent:
    """Everything that runs Pods, except for the kubelet-like API."""

    def __init__(self, manager: Manager, settings: NodeSettings, capabilities: Capabilities) -> None:
        self.settings = settings
        self.manager = manager
        self.presence = Presence(manager, settings, capabilities)
        self.content = Content(manager)
        self._own = {node.name for node in settings.nodes}
        self.pods = manager.informer(PODS, Pod, {"uid": _uid})
        self.workers: dict[str, PodWorker] = {}
        self.proxy = Proxy()
        self.host = Host(
            settings, manager, capabilities, self.content, AddressPool(settings.pod_cidr), machine_memory_bytes(), self.presence.capacities
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._records: names.Records = {}
        self._network_changed = asyncio.Event()
        self._volumes_changed: set[str] = set()
        self._volumes_wake = asyncio.Event()
        self._listening = False

    def worker_of(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a Pod by its name."""
        pod = self.pods.get(namespace, name)
        return self.workers.get(pod.metadata.uid) if pod is not None else None

    async def run(self) -> None:
        """Runs Pods until cancelled; Pods are left running then."""
        self._restore()
        self._listen()
        self._network_changed.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_names(), name="names")
                group.create_task(self._keep_volumes(), name="volumes")
                group.create_task(self.proxy.run(), name="service proxy")
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> None:
        """Follows what concerns Pods; when run anew after a failure, only takes up the Pods that are there."""
        if self._listening:
            for pod in self.pods.list():
                self._pod_changed(None, pod)
            return
        self._listening = True
        self.pods.on_change(self._pod_changed)
        for source in (self.content.services, self.content.slices):
            source.on_change(lambda old, new: self._network_changed.set())
        self.content.config_maps.on_change(self._settings_changed)
        self.content.secrets.on_change(self._settings_changed)

    def _restore(self) -> None:
        """Takes up what an earlier agent left: first all addresses, then a worker for each Pod, also for those that the API has no more."""
        self.host.addresses = AddressPool(self.settings.pod_cidr)
        found = []
        folders = sorted(self.settings.pods.iterdir()) if self.settings.pods.is_dir() else []
        for folder in folders:
            record = records.read_record(folder)
            if record is not None and record.uid == folder.name:
                if record.address:
                    self.host.addresses.take(record.address)
                found.append(record)
        for record in found:
            pod = next(iter(self.pods.by_index("uid", record.uid)), None)
            if pod is None:
                logger.info("pod %s/%s is gone from the API: what is left of it ends", record.namespace, record.name)
                meta = ObjectMeta(name=record.name, namespace=record.namespace, uid=record.uid)
                pod = Pod(api_version="v1", kind="Pod", metadata=meta)
            self._begin(pod)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and new.spec.node_name in self._own and new.metadata.uid not in self.workers:
            self._begin(new)
        for pod in (old, new):
            if pod is not None and (worker := self.workers.get(pod.metadata.uid)) is not None:
                worker.wake()

    def _begin(self, pod: Pod) -> None:
        uid = pod.metadata.uid

        def current() -> Pod | None:
            return next(iter(self.pods.by_index("uid", uid)), None)

        worker = self.workers[uid] = PodWorker(self.host, pod, current, self.pods.absorb, self._hosts_of)
        task = self._tasks[uid] = asyncio.create_task(worker.run(), name=f"pod {pod.metadata.namespace}/{pod.metadata.name}")

        def ended(task: asyncio.Task[None]) -> None:
            self.workers.pop(uid, None)
            self._tasks.pop(uid, None)
            if not task.cancelled() and task.exception() is not None:
                logger.error("pod %s/%s: its worker failed", pod.metadata.namespace, pod.metadata.name, exc_info=task.exception())
                present = current()
                if present is not None:
                    asyncio.get_running_loop().call_later(1.0, self._again, present)

        task.add_done_callback(ended)

    def _again(self, pod: Pod) -> None:
        if pod.metadata.uid not in self.workers:
            self._begin(pod)

    def _hosts_of(self, pod: Pod, address: str) -> str:
        return names.hosts_file(pod, address, hostname_of(pod), self._records, self.settings.cluster_domain)

    async def _keep_names(self) -> None:
        while True:
            await self._network_changed.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._network_changed.clear()
            services, slices = self.content.services.list(), self.content.slices.list()
            self.proxy.update(routes(services, slices, self.settings.service_cidr, self.settings.api_host))
            known = names.records(services, slices)
            if known != self._records:
                self._records = known
                for worker in list(self.workers.values()):
                    worker.write_hosts()

    def _settings_changed(self, old: ConfigMap | Secret | None, new: ConfigMap | Secret | None) -> None:
        changed = new or old
        if changed is not None and old is not None:
            self._volumes_changed.add(changed.metadata.namespace)
            self._volumes_wake.set()

    async def _keep_volumes(self) -> None:
        while True:
            await self._volumes_wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._volumes_wake.clear()
            namespaces, self._volumes_changed = self._volumes_changed, set()
            for worker in list(self.workers.values()):
                if worker.pod.metadata.namespace in namespaces:
                    await worker.refresh_volumes()


def _uid(pod: Pod) -> tuple[str, ...]:
    return (pod.metadata.uid,)
