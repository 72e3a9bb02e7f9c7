"""The shell of concurrent admission: keeps the variants of each parent Workload, and the parent in step with the one that runs."""

from __future__ import annotations

from typing import Any

import msgspec

from raysail.api import conditions
from raysail.api.errors import is_already_exists, is_not_found
from raysail.api.kueue import ClusterQueue, Workload
from raysail.api.meta import format_time
from raysail.api.resources import WORKLOADS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.concurrent.family import (
    Reasons,
    Rules,
    admit_parent,
    admitted,
    body_of,
    clear_admission,
    flavor_of,
    flavors_changed,
    gate_to_open,
    is_leaving,
    name_of,
    open_gate,
    to_activate,
    to_deactivate,
)
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.next_step import FINALIZER
from raysail.queue.model.variants import is_parent, is_variant
from raysail.queue.model.workload import has_reservation, is_active, is_admitted, is_finished
from raysail.queue.settings import QueueSettings


def _by_parent(workload: Workload) -> tuple[Key, ...]:
    return tuple((workload.metadata.namespace, owner.name) for owner in workload.metadata.owner_references or () if is_variant(workload))


class VariantController:
    """Reconciles parents; a variant's change is its parent's."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.clock = manager.clock
        self.client = manager.client
        self.events = manager.events
        self.writer = cache.workload_writer
        cache.workloads.add_indexes({"parent": _by_parent})
        self.controller = Controller("concurrent-admission", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 5))
        cache.workloads.on_change(self._workload_changed)
        cache.cluster_queues.on_change(self._queue_changed)
        manager.add(self.controller)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        for key in (obj.metadata.key,) if is_parent(obj) else _by_parent(obj):
            self.controller.enqueue(key)

    def _queue_changed(self, old: ClusterQueue | None, new: ClusterQueue | None) -> None:
        if old is not None and new is not None and flavors_changed(old, new):
            for key in self.parents_of(new.metadata.name):
                self.controller.enqueue(key)

    def parents_of(self, cluster_queue: str) -> list[Key]:
        """The parents that wait in, or hold quota of, that ClusterQueue."""
        return [
            workload.metadata.key
            for local in self.cache.local_queues.by_index("cluster_queue", cluster_queue)
            for workload in self.cache.workloads.by_index("queue", local.metadata.key)
            if is_parent(workload)
        ]

    async def reconcile(self, key: Key) -> float | None:
        """The family, one step after the other, each on what the one before it left."""
        parent = self.cache.workloads.get(*key)
        if parent is None or not is_parent(parent):
            return None
        local = self.cache.local_queues.get(key[0], parent.spec.queue_name)
        queue = self.cache.cluster_queues.get("", local.spec.cluster_queue) if local is not None else None
        if queue is None:
            return None  # its change enqueues the parent
        rules = Rules.of(queue)
        variants = rules.ordered(list(self.cache.workloads.by_index("parent", key)))
        await self._create(parent, variants, rules)
        variants = await self._delete_stale(parent, variants, rules)
        leaving = next((at for at, variant in enumerate(variants) if is_leaving(variant)), None)
        if leaving is not None:
            if has_reservation(parent):
                if not conditions.is_true(parent.status.conditions, "Evicted"):
                    await self._evict_parent(parent, "VariantEvicted", "Admitted variant was evicted")
                return None  # until the job has stopped
            variants[leaving] = await self._clear(variants[leaving])
        variants = await self._deactivate(variants, to_deactivate(parent, variants, rules))
        variants = await self._activate(variants, to_activate(parent, variants, rules))
        await self._bring_in_step(parent, variants)
        candidate, again = gate_to_open(variants, self.clock.now())
        if candidate is not None:
            await self._open_gate(candidate)
        return again

    async def _create(self, parent: Workload, variants: list[Workload], rules: Rules) -> None:
        present = {flavor_of(variant) for variant in variants}
        missing = [flavor for flavor in rules.flavors if flavor not in present]
        if not missing:
            return
        raw = await self.client.get(WORKLOADS, parent.metadata.name, parent.metadata.namespace)
        for flavor in missing:
            body = body_of(raw, flavor)
            try:
                made = await self.client.create(WORKLOADS, body, parent.metadata.namespace)
            except Exception as error:
                if not is_already_exists(error):
                    raise
                continue
            self.cache.workloads.absorb(made)
            message = f'Variant Workload "{parent.metadata.namespace}/{body["metadata"]["name"]}" created'
            self.events.event(parent, "Normal", "CreatedVariant", message, "CreatedVariant")

    async def _delete_stale(self, parent: Workload, variants: list[Workload], rules: Rules) -> list[Workload]:
        fresh = []
        for variant in variants:
            flavor = flavor_of(variant)
            if flavor in rules.flavors:
                fresh.append(variant)
                continue
            if FINALIZER in (variant.metadata.finalizers or ()):
                kept = [each for each in variant.metadata.finalizers or () if each != FINALIZER]
                await self.writer.patch(variant, {"metadata": {"finalizers": kept or None}})
            try:
                await self.client.delete(WORKLOADS, variant.metadata.name, variant.metadata.namespace, uid=variant.metadata.uid)
            except Exception as error:
                if not is_not_found(error):
                    raise
            message = f'Variant Workload "{name_of(variant)}" deleted; flavor "{flavor}" no longer in ClusterQueue'
            self.events.event(parent, "Normal", "DeletedVariant", message, "DeletedVariant")
        return fresh

    async def _evict_parent(self, parent: Workload, reason: str, message: str) -> None:
        def change(current: Workload, status: dict[str, Any]) -> bool:
            return transitions.put(status, "Evicted", True, reason, message, self.clock.now(), current.metadata.generation)

        await self.writer.change(parent, change)

    async def _clear(self, variant: Workload) -> Workload:
        def change(current: Workload, status: dict[str, Any]) -> bool:
            evicted = conditions.find(current.status.conditions, "Evicted")
            return evicted is not None and clear_admission(status, evicted, self.clock.now(), current.metadata.generation)

        return await self.writer.change(variant, change) or variant

    async def _deactivate(self, variants: list[Workload], reasons: Reasons) -> list[Workload]:
        changed: dict[str, Workload] = {}
        for variant, why in reasons:
            current = variant
            if is_active(current):
                current = await self._set_active(current, False, "DeactivatedVariant", f"Variant Workload deactivated due to {why}")
            if is_leaving(current):
                current = await self._clear(current)
            changed[variant.metadata.name] = current
        return [changed.get(variant.metadata.name, variant) for variant in variants]

    async def _activate(self, variants: list[Workload], reasons: Reasons) -> list[Workload]:
        changed: dict[str, Workload] = {}
        for variant, why in reasons:
            text = f"Variant Workload activated due to {why}"
            changed[variant.metadata.name] = await self._set_active(variant, True, "ActivatedVariant", text)
        return [changed.get(variant.metadata.name, variant) for variant in variants]

    async def _set_active(self, variant: Workload, active: bool, reason: str, message: str) -> Workload:
        written: Workload | None = await self.writer.patch(variant, {"spec": {"active": active}})
        self.events.event(variant, "Normal", reason, message, reason)
        return written or variant

    async def _bring_in_step(self, parent: Workload, variants: list[Workload]) -> None:
        """The end, readiness and admission are the same for the parent and the variant that runs."""
        finished = conditions.find(parent.status.conditions, "Finished")
        if is_finished(parent) and finished is not None:
            reason, message = finished.reason, finished.message
            for variant in variants:

                def end(current: Workload, status: dict[str, Any]) -> bool:
                    return transitions.finish(status, reason, message, self.clock.now(), current.metadata.generation)

                await self.writer.change(variant, end)
            return
        running = admitted(variants)
        if running is None:
            if is_admitted(parent):
                await self._evict_parent(parent, "ConcurrentAdmission", "No variant is running")
            return
        ready = conditions.find(parent.status.conditions, "PodsReady")
        if ready is not None:
            value, told, text = ready.status == "True", ready.reason, ready.message

            def tell(current: Workload, status: dict[str, Any]) -> bool:
                return transitions.put(status, "PodsReady", value, told, text, self.clock.now(), current.metadata.generation)

            await self.writer.change(running, tell)
        if not is_admitted(parent):
            admission = msgspec.to_builtins(running.status.admission)

            def admit(current: Workload, status: dict[str, Any]) -> bool:
                return admit_parent(status, running, admission, self.clock.now(), current.metadata.generation)

            await self.writer.change(parent, admit)

    async def _open_gate(self, variant: Workload) -> None:
        written = await self.writer.change(variant, lambda _, status: open_gate(status, format_time(self.clock.now())))
        if written is not None:
            message = f'Opened preemption gate for variant workload "{name_of(variant)}"'
            self.events.event(variant, "Normal", "PreemptionUngatedVariant", message, "PreemptionUngatedVariant")
