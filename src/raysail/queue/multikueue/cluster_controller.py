"""MultiKueueClusters: connected by their kubeconfig, Active as long as they answer; and the condition Active of the checks that use them.

Source: Kueue pkg/controller/admissionchecks/multikueue (multikueuecluster.go, admissioncheck.go).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from raysail.api.errors import StatusError
from raysail.api.kueue import AdmissionCheck, MultiKueueCluster, MultiKueueConfig
from raysail.api.kueue.multikueue import KUBECONFIG_SECRET_KEY, SECRET
from raysail.api.resources import ADMISSION_CHECKS, MULTI_KUEUE_CLUSTERS, MULTI_KUEUE_CONFIGS, SECRETS
from raysail.kube.backoff import Backoff
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.kubeconfig import KubeconfigError
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.lifecycle.status import put
from raysail.queue.model.activity import MULTIKUEUE_CONTROLLER
from raysail.queue.multikueue.clusters import KubeconfigRefusedError, activity_of_check, check_kubeconfig
from raysail.queue.multikueue.remote import Worker, Workers
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter

ALLOWED_FOLDER: Final = Path("/etc/multikueue/kubeconfigs")
LOOK_AGAIN_SECONDS: Final = 5.0


class UnreadableError(Exception):
    """There is no kubeconfig to be had; the text says why."""


class ClusterController:
    """Connects the workers. `changed`: told the key of each Workload whose copy changed; `returned`: told when a worker comes or goes."""

    def __init__(
        self,
        manager: Manager,
        settings: QueueSettings,
        workers: Workers,
        changed: Callable[[Key], None],
        returned: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.workers = workers
        self.changed = changed
        self.returned = returned
        self.clock = manager.clock
        self.clusters = manager.informer(MULTI_KUEUE_CLUSTERS, MultiKueueCluster, optional=True)
        self.client = manager.client
        self.writer = StatusWriter(manager.client, MULTI_KUEUE_CLUSTERS, self.clusters)
        self.controller = Controller("multikueuecluster", self.reconcile, 4)
        self.controller.watches(self.clusters)
        self._backoffs: dict[str, Backoff] = {}
        manager.add(self.controller)

    async def reconcile(self, key: Key) -> float | None:
        """Connects where need be; says whether it answers, and looks again from time to time, also at the Secret."""
        name = key[1]
        cluster = self.clusters.get(*key)
        if cluster is None or cluster.metadata.deletion_timestamp is not None:
            await self.workers.drop(name)
            self.workers.lost.pop(name, None)
            self._backoffs.pop(name, None)
            self.returned(name)
            return None
        try:
            text = await self._kubeconfig(cluster)
            check_kubeconfig(text)
        except (UnreadableError, KubeconfigRefusedError) as error:
            await self.workers.drop(name)
            reason = "BadKubeConfig" if isinstance(error, UnreadableError) else "InsecureKubeConfig"
            await self._tell(cluster, False, reason, f"load client config failed: {error}")
            return LOOK_AGAIN_SECONDS
        worker = self.workers.by_name.get(name)
        if worker is None or Worker.print_of(text) != worker.fingerprint:
            await self.workers.drop(name)
            failure = await self._connect(name, text)
            if failure:
                await self._tell(cluster, False, "ClientConnectionFailed", failure)
                return self._backoffs.setdefault(name, Backoff(first=1.0, longest=300.0)).next()
            worker = self.workers.by_name[name]
        self._backoffs.pop(name, None)
        if worker.connected:
            await self._tell(cluster, True, "Active", "Connected")
        else:
            await self._tell(cluster, False, "ClientConnectionFailed", worker.error)
        return LOOK_AGAIN_SECONDS

    async def _connect(self, name: str, text: str) -> str:
        """Why it failed; empty where it did not."""
        try:
            worker = Worker(name, text, self.settings.multi_kueue.origin, self.changed)
        except KubeconfigError as error:
            return str(error)
        try:
            await worker.connect()
        except Exception as error:  # whatever it is, the condition says it and it is tried again
            await worker.close()
            return str(error) or type(error).__name__
        self.workers.by_name[name] = worker
        return ""

    async def _kubeconfig(self, cluster: MultiKueueCluster) -> str:
        source = cluster.spec.cluster_source.kube_config
        if source is None:
            raise UnreadableError("MultiKueueClusterProfile feature gate is disabled")
        if source.location_type != SECRET:
            return self._from_path(Path(source.location))
        name = source.location
        try:
            secret = await self.client.get(SECRETS, name, self.settings.multi_kueue.secrets_namespace)
        except StatusError as error:
            raise UnreadableError(str(error)) from error
        data = (secret.get("data") or {}).get(KUBECONFIG_SECRET_KEY)
        if data is None:
            raise UnreadableError(f'key "{KUBECONFIG_SECRET_KEY}" not found in secret "{name}"')
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnreadableError(f'secret "{name}": {error}') from error

    def _from_path(self, path: Path) -> str:
        real = path.resolve()
        if self.settings.gate("MultiKueueKubeConfigPathValidation", True) and not real.is_relative_to(ALLOWED_FOLDER):
            raise UnreadableError(f"kubeconfig path is not under the allowed prefix: {path}")
        try:
            return real.read_text()
        except OSError as error:
            raise UnreadableError(str(error)) from error

    async def _tell(self, cluster: MultiKueueCluster, active: bool, reason: str, message: str) -> None:
        name = cluster.metadata.name
        if active:
            self.workers.lost.pop(name, None)
        else:
            self.workers.lost_since(name, self.clock.now())

        def change(current: MultiKueueCluster, status: dict[str, Any]) -> bool:
            return put(status, "Active", active, reason, message, self.clock.now(), current.metadata.generation)

        if await self.writer.change(cluster, change) is not None:
            self.returned(name)


class MultiKueueCheckController:
    """The condition Active of the AdmissionChecks of this kind."""

    def __init__(self, manager: Manager, cache: QueueCache) -> None:
        self.checks = cache.checks
        self.clock = manager.clock
        self.configs = manager.informer(MULTI_KUEUE_CONFIGS, MultiKueueConfig, optional=True)
        self.clusters = manager.informer(MULTI_KUEUE_CLUSTERS, MultiKueueCluster, optional=True)
        self.writer = StatusWriter(manager.client, ADMISSION_CHECKS, cache.checks)
        self.controller = Controller("multikueue-check", self.reconcile)
        self.controller.watches(cache.checks)
        self.configs.on_change(lambda old, new: self._all())
        self.clusters.on_change(lambda old, new: self._all())
        manager.add(self.controller)

    def _all(self) -> None:
        for check in self.checks.list():
            if check.spec.controller_name == MULTIKUEUE_CONTROLLER:
                self.controller.enqueue(check.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Active, or why not."""
        check = self.checks.get(*key)
        if check is None or check.spec.controller_name != MULTIKUEUE_CONTROLLER:
            return None
        activity = activity_of_check(check, lambda name: self.configs.get("", name), lambda name: self.clusters.get("", name))

        def change(current: AdmissionCheck, status: dict[str, Any]) -> bool:
            now, generation = self.clock.now(), current.metadata.generation
            return put(status, "Active", activity.active, activity.reason, activity.message, now, generation)

        await self.writer.change(check, change)
        return None
