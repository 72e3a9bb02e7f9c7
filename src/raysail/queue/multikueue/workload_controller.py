"""The shell around `group.decide`: looks at a Workload and its copies, and does what is decided; the incremental dispatcher; garbage collection.

Source: Kueue pkg/controller/admissionchecks/multikueue/workload.go, pkg/controller/workloaddispatcher.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from raysail.api.errors import is_already_exists, is_not_found
from raysail.api.kueue import MultiKueueConfig, Workload
from raysail.api.kueue.admission.jobkinds import JobKind
from raysail.api.kueue.workload import AdmissionCheckState
from raysail.api.meta import format_time
from raysail.api.resources import MULTI_KUEUE_CONFIGS, WORKLOADS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.checks.parameters import ParametersError, checks_of, configs_used
from raysail.queue.lifecycle import status as transitions
from raysail.queue.model.activity import MULTIKUEUE_CONTROLLER
from raysail.queue.model.workload import has_reservation, is_finished
from raysail.queue.multikueue.clusters import NoClustersError, clusters_of
from raysail.queue.multikueue.dispatch import NoMoreClustersError, is_settled, next_round
from raysail.queue.multikueue.group import DEFERRED_SECONDS, Group, Turn, copy_of, decide
from raysail.queue.multikueue.jobs import copy_of as copy_of_job
from raysail.queue.multikueue.jobs import kind_of, owner_of, status_back, why_unmanaged
from raysail.queue.multikueue.remote import Worker, Workers
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import merge_patch

logger = logging.getLogger(__name__)


def check_of(cache: QueueCache, workload: Workload) -> AdmissionCheckState | None:
    """The Workload's check of MultiKueue."""
    names = checks_of(workload.status.admission_checks, MULTIKUEUE_CONTROLLER, lambda name: cache.checks.get("", name))
    return next((each for each in workload.status.admission_checks or () if names and each.name == names[0]), None)


class DispatchedWorkloads:
    """Workloads of queues with a MultiKueue check. `workers` are the connections."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings, workers: Workers) -> None:
        self.cache = cache
        self.settings = settings.multi_kueue
        self.workers = workers
        self.clock = manager.clock
        self.client = manager.client
        self.events = manager.events
        self.writer = cache.workload_writer
        self.configs = manager.informer(MULTI_KUEUE_CONFIGS, MultiKueueConfig, optional=True)
        cache.checks.add_indexes({"multikueue_config": _configs_of})
        self.controller = Controller("multikueue", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 10))
        self.deleted: dict[Key, Workload] = {}
        """Workloads that went while they had copies, until those are gone too."""
        cache.workloads.on_change(self._workload_changed)
        self.configs.on_change(lambda old, new: self._all())
        manager.add(self.controller)
        manager.add_service("multikueue-gc", self.collect)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        obj = new if new is not None else old
        if obj is None or check_of(self.cache, obj) is None:
            return
        if new is None:
            self.deleted[obj.metadata.key] = obj
        self.controller.enqueue(obj.metadata.key)

    def _all(self) -> None:
        for workload in self.cache.workloads.list():
            if check_of(self.cache, workload) is not None:
                self.controller.enqueue(workload.metadata.key)

    def changed(self, key: Key) -> None:
        """A copy changed."""
        self.controller.enqueue(key)

    def returned(self, cluster: str) -> None:
        """A cluster came or went: everything handed out, or to be handed out, is looked at again."""
        self._all()
        for key in self.deleted:
            self.controller.enqueue(key)

    async def collect(self) -> None:
        """Removes copies without a Workload, from time to time."""
        while self.settings.gc_interval_seconds:
            await self.clock.sleep(self.settings.gc_interval_seconds)
            for worker in list(self.workers.by_name.values()):
                await worker.collect(lambda key: self.cache.workloads.get(*key) is not None)

    async def reconcile(self, key: Key) -> float | None:
        """One turn."""
        workload = self.cache.workloads.get(*key)
        gone = workload is None or workload.metadata.deletion_timestamp is not None
        workload = workload if workload is not None else self.deleted.get(key)
        if workload is None:
            return None
        check = check_of(self.cache, workload)
        if check is None or check.state == transitions.REJECTED:
            self.deleted.pop(key, None)
            return None
        owner = owner_of(workload)
        kind = kind_of(owner)
        if kind is None or owner is None:
            text = (
                f'No multikueue adapter found for owner kind "{owner.api_version}, Kind={owner.kind}"'
                if owner
                else "No multikueue adapter found"
            )
            await self._reject(workload, check, text)
            return None
        job: dict[str, Any] = {}
        if not gone:
            found = await self._job(kind, (key[0], owner.name))
            if found is None:
                return None  # the job went: so will the Workload
            job = found
            unmanaged = why_unmanaged(job, kind)
            if unmanaged:
                await self._reject(workload, check, f"The owner is not managed by Kueue: {unmanaged}")
                return None
        now = self.clock.now()
        group = self._group(workload, check, now)
        if gone:
            for cluster in group.remotes:
                await self.workers.by_name[cluster].remove(key, kind, owner.name)
            if key in self.deleted:
                del self.deleted[key]  # copies on clusters that do not answer are collected when those are back
            return None
        return await self._do(workload, kind, job, decide(group, self.settings, now))

    def _group(self, workload: Workload, check: AdmissionCheckState, now: datetime) -> Group:
        obj = self.cache.checks.get("", check.name)
        if obj is None:
            return Group(workload, check, {})
        names = clusters_of(obj, lambda name: self.configs.get("", name))
        remotes: dict[str, Workload | None] = {}
        lost: dict[str, datetime] = {}
        for name in names:
            worker = self.workers.connected(name)
            if worker is not None:
                remotes[name] = worker.workloads.get(*workload.metadata.key)
            else:
                lost[name] = self.workers.lost_since(name, now)
        return Group(workload, check, remotes, lost)

    async def _job(self, kind: JobKind, key: Key) -> dict[str, Any] | None:
        try:
            return await self.client.get(kind.resource, key[1], key[0])
        except Exception as error:
            if is_not_found(error):
                return None
            raise

    async def _reject(self, workload: Workload, check: AdmissionCheckState, message: str) -> None:
        text = f'{message}, Previously: "{check.state}"'

        def change(current: Workload, status: dict[str, Any]) -> bool:
            return transitions.set_check(status, check.name, transitions.REJECTED, text, self.clock.now())

        await self.writer.change(workload, change)

    async def _do(self, workload: Workload, kind: JobKind, job: dict[str, Any], turn: Turn) -> float | None:
        key, name = workload.metadata.key, job["metadata"]["name"]
        for cluster in turn.remove:
            await self.workers.by_name[cluster].remove(key, kind, name)
        for cluster, patch in turn.follow.items():
            await self.workers.by_name[cluster].client.patch(WORKLOADS, key[1], patch, key[0])
        if turn.deactivate is not None:
            await self._deactivate(workload, *turn.deactivate)
        again = turn.again
        if turn.sync and await self._sync(self.workers.by_name[turn.sync], workload, kind, job):
            again = DEFERRED_SECONDS
        if turn.status is not None and not await self._write(workload, turn.status):
            return None
        for type_, reason, message in turn.events:
            self.events.event(workload, type_, reason, message, reason)
        if turn.create:
            await self._offer(workload, turn.create)
        return again

    async def _write(self, workload: Workload, wanted: dict[str, Any]) -> bool:
        """Whether the status is as wanted; not where the Workload changed meanwhile, which enqueues it again."""
        version = workload.metadata.resource_version
        before = transitions.complete(msgspec.to_builtins(workload.status))
        if not merge_patch(before, wanted):
            return True

        def change(current: Workload, status: dict[str, Any]) -> bool:
            if current.metadata.resource_version != version:
                return False
            status.clear()
            status.update(wanted)
            return True

        return await self.writer.change(workload, change, alone=True) is not None

    async def _offer(self, workload: Workload, clusters: Iterable[str]) -> None:
        body = await self.client.get(WORKLOADS, workload.metadata.name, workload.metadata.namespace)
        for cluster in clusters:
            worker = self.workers.by_name[cluster]
            try:
                made = await worker.client.create(WORKLOADS, copy_of(body, self.settings.origin), workload.metadata.namespace)
            except Exception as error:
                if is_already_exists(error):
                    continue  # its informer is about to tell, or it is somebody else's: then this cluster is not to be had
                raise
            worker.workloads.absorb(made)

    async def _deactivate(self, workload: Workload, cluster: str, message: str) -> None:
        worker = self.workers.by_name[cluster]
        copy = worker.workloads.get(*workload.metadata.key)
        if copy is None:
            return
        status = transitions.complete(msgspec.to_builtins(copy.status))
        now, generation = self.clock.now(), copy.metadata.generation
        if transitions.put(status, "DeactivationTarget", True, "EvictedOnManagerCluster", message, now, generation):
            meta = {"resourceVersion": copy.metadata.resource_version}
            patch = {"metadata": meta, "status": {"conditions": status["conditions"]}}
            await worker.client.patch(WORKLOADS, copy.metadata.name, patch, copy.metadata.namespace, subresource="status")

    async def _sync(self, worker: Worker, workload: Workload, kind: JobKind, job: dict[str, Any]) -> bool:
        """Makes the job on the worker, or brings its status back. Whether that was held back for now."""
        name, namespace = job["metadata"]["name"], workload.metadata.namespace
        remote = await worker.job(kind, (namespace, name))
        if remote is None:
            made = copy_of_job(job, kind, workload.metadata.name, worker.origin)
            try:
                await worker.client.create(kind.resource, made, namespace)
            except Exception as error:
                if not is_already_exists(error):
                    raise
            return False
        status, deferred = status_back(job, remote, kind, format_time(self.clock.now()))
        if status is not None:
            patch = merge_patch(job.get("status") or {}, status)
            if patch:
                await self.client.patch(kind.resource, name, {"status": patch}, namespace, subresource="status")
        return deferred


class IncrementalDispatcher:
    """Nominates a few more clusters each round."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.settings = settings
        self.clock = manager.clock
        self.writer = cache.workload_writer
        self.configs = manager.informer(MULTI_KUEUE_CONFIGS, MultiKueueConfig, optional=True)
        self.rounds: dict[Key, datetime] = {}
        """When the last round of each Workload began. Lost at a restart: then the next round begins at once."""
        self.controller = Controller("multikueue-dispatcher", self.reconcile)
        self.controller.watches(cache.workloads)
        manager.add(self.controller)

    async def reconcile(self, key: Key) -> float | None:
        """The next round, if it is time."""
        workload = self.cache.workloads.get(*key)
        if workload is None or workload.metadata.deletion_timestamp is not None:
            self.rounds.pop(key, None)
            return None
        state = check_of(self.cache, workload)
        if state is None or is_settled(state, workload):
            return None
        if is_finished(workload) or not has_reservation(workload):
            self.rounds.pop(key, None)
            return None
        check = self.cache.checks.get("", state.name)
        if check is None:
            return None
        try:
            clusters = clusters_of(check, lambda name: self.configs.get("", name))
        except (ParametersError, NoClustersError):
            return None  # the check's condition Active says why
        return await self.nominate(workload, clusters)

    async def nominate(self, workload: Workload, clusters: list[str]) -> float | None:
        """Writes the next nomination; once all clusters are asked there is nothing more to do."""
        key, now = workload.metadata.key, self.clock.now()
        step = self.settings.multi_kueue.step_size if self.settings.gate("MultiKueueIncrementalDispatcherConfig", True) else 3
        in_order = self.settings.gate("MultiKueueIncrementalDispatcherRespectConfigOrder", True)
        try:
            nomination = next_round(workload, clusters, self.rounds.get(key), now, step_size=step, in_order=in_order)
        except NoMoreClustersError:
            return None
        if nomination.clusters is None:
            return nomination.again

        def change(current: Workload, status: dict[str, Any]) -> bool:
            status["nominatedClusterNames"] = nomination.clusters
            return True

        if await self.writer.change(workload, change) is not None:
            self.rounds[key] = now
        return None


def _configs_of(check: Any) -> tuple[str, ...]:
    return configs_used(check, MULTIKUEUE_CONTROLLER, MULTI_KUEUE_CONFIGS)
